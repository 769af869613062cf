//! Tests API keys and certificates: modified keys, validity periods, and replaced directories.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::node::Node;
use crate::policy::Policy;
use crate::policy::credentials::clients::ReadClients;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: Duration = Duration::from_secs(1_790_000_000);

fn policy() -> Policy {
    let document = json!({
        "version": "1.0",
        "environment": "test",
        "clients_from": { "uri": "https://clients.example/", "cluster": "clients" },
        "routes": [{ "path": "/x", "auth": "none", "response": {} }],
    });
    Policy::from_node(&Node::from(document), &|_| None).unwrap()
}

/// Returns a directory with one client that has this key.
fn directory(key: &str, more: serde_json::Value) -> ClientDirectory {
    let read = ApiKey::read(key.as_bytes()).unwrap();
    let hash: String = read.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = json!({ "id": "k-1", "prefix": read.prefix, "hash": format!("sha256:{hash}") });
    let mut client = json!({ "id": "billing", "owner": "o", "purpose": "p", "keys": [key] });
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let document = json!({ "version": "1.0", "clients": [client] });
    parse(&document.to_string()).unwrap()
}

fn parse(text: &str) -> Result<ClientDirectory, String> {
    policy().client_reader().unwrap().parse(text.as_bytes())
}

fn by_key(directory: &ClientDirectory, presented: &[u8], now: Duration) -> Result<Arc<Caller>, Rejection> {
    directory.by_key(&ApiKey::read(presented).map_err(refused)?, now)
}

fn key() -> String {
    ApiKey::compose("test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG")
}

#[test]
fn every_changed_character_of_a_key_is_refused_even_with_a_matching_checksum() {
    let (key, directory) = (key(), directory(&key(), json!({})));
    let caller = by_key(&directory, key.as_bytes(), NOW).unwrap();
    assert_eq!((caller.client_id.as_deref(), caller.key().map(AsRef::as_ref)), (Some("billing"), Some("k-1")));
    for at in 0..key.len() {
        for bit in 0..8 {
            let mut changed = key.clone().into_bytes();
            changed[at] ^= 1 << bit;
            assert!(by_key(&directory, &changed, NOW).is_err(), "byte {at}, bit {bit}");
        }
    }
    let parts = ["test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG"];
    for (part, changed) in [(0, "prod"), (1, "bill0000ing2"), (2, "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiH")] {
        let mut parts = parts;
        parts[part] = changed;
        let changed = ApiKey::compose(parts[0], parts[1], parts[2]);
        let refused = by_key(&directory, changed.as_bytes(), NOW).unwrap_err();
        assert!(["api_key_wrong", "api_key_unknown"].contains(&refused.reason), "{changed}: {}", refused.reason);
    }
    for cut in 0..key.len() {
        assert!(by_key(&directory, &key.as_bytes()[..cut], NOW).is_err(), "the first {cut} bytes");
    }
}

#[test]
fn a_wrong_secret_is_refused_before_other_checks() {
    let directory = directory(&key(), json!({ "expires": "2026-01-01T00:00:00Z" }));
    let guess = ApiKey::compose("test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiX");
    assert_eq!(by_key(&directory, guess.as_bytes(), NOW).unwrap_err().reason, "api_key_wrong");
    assert_eq!(by_key(&directory, key().as_bytes(), NOW).unwrap_err().reason, "client_expired");
}

#[test]
fn credentials_are_invalid_from_their_end_time_on() {
    let directory =
        directory(&key(), json!({ "not_before": "2026-09-21T14:13:20Z", "expires": "2026-09-21T14:13:21Z" }));
    let at =
        |seconds| by_key(&directory, key().as_bytes(), Duration::from_secs(seconds)).map(|_| ()).map_err(|r| r.reason);
    assert_eq!(at(1_789_999_999), Err("client_not_yet_valid"));
    assert_eq!(at(1_790_000_000), Ok(()));
    assert_eq!(at(1_790_000_001), Err("client_expired"));
}

#[test]
fn a_certificate_is_compared_in_full_and_matches_one_client() {
    let [a, b] = [
        json!(
        { "id": "a", "owner": "o", "purpose": "p", "certificates": [
            { "spiffe": "spiffe://td/ns/a" }, { "sha256": "01".repeat(32) }] }),
        json!(
        { "id": "b", "owner": "o", "purpose": "p", "certificates": [{ "dns": "B.example" }, { "sha256": "02".repeat(32) }] }),
    ];
    let directory =
        |clients: &[&serde_json::Value]| parse(&json!({ "version": "1.0", "clients": clients }).to_string()).unwrap();
    let (together, [a, b]) = (directory(&[&a, &b]), [directory(&[&a]), directory(&[&b])]);
    let shown = |digest: u8, uri: Option<&str>, dns: Option<&str>| {
        let (uri, dns) = (uri.map(str::to_string), dns.map(str::to_string));
        let shown = Certificate { sha256: [digest; 32], uri, dns, subject: None };
        let found = [&[&together][..], &[&a, &b]].map(|directories| {
            let found = ClientDirectory::by_certificate(directories, &shown, NOW);
            found.map(|caller| caller.client_id.as_deref().unwrap_or_default().to_string()).map_err(|r| r.reason)
        });
        assert_eq!(found[0], found[1], "the same result from one document or two");
        found[0].clone()
    };
    assert_eq!(shown(9, Some("spiffe://td/ns/a"), None), Ok("a".to_string()));
    assert_eq!(shown(1, Some("spiffe://td/ns/a"), None), Ok("a".to_string()));
    assert_eq!(shown(2, None, None), Ok("b".to_string()));
    assert_eq!(shown(9, None, Some("b.EXAMPLE")), Ok("b".to_string()));
    for (digest, uri, dns, reason) in [
        (9, None, None, "certificate_unknown"),
        (9, Some("spiffe://td/ns/a/b"), None, "certificate_unknown"),
        (9, Some("spiffe://td/ns/A"), None, "certificate_unknown"),
        (9, Some("spiffe://td/ns"), None, "certificate_unknown"),
        (9, Some("spiffe://td/ns/a\0.evil"), None, "certificate_malformed"),
        (9, Some("spiffe://td/ns/a"), Some("x\0"), "certificate_malformed"),
        (9, None, Some("x.b.example"), "certificate_unknown"),
        (2, Some("spiffe://td/ns/a"), None, "certificate_of_several_clients"),
        (9, Some("spiffe://td/ns/a"), Some("b.example"), "certificate_of_several_clients"),
    ] {
        assert_eq!(shown(digest, uri, dns), Err(reason), "{digest} {uri:?} {dns:?}");
    }
}

/// Returns a policy with a client, this key, permissions, plans and an issuer.
fn known() -> Policy {
    let key = json!({ "id": "k-1", "prefix": "pck_test_bill0000ing1", "hash": format!("sha256:{}", "01".repeat(32)) });
    let document = json!({
        "version": "1.0",
        "environment": "test",
        "issuers": [{ "name": "accounts", "issuer": "https://a.example", "audiences": ["x"], "secret": { "env": "S" } }],
        "permissions": { "LIC": { "READ": { "bit": 0, "description": "d" } } },
        "plans": { "gold": { "rate": "1/s" } },
        "clients": [{ "id": "own", "owner": "o", "purpose": "p", "keys": [key], "certificates": [{ "dns": "own.example" }] }],
        "clients_from": { "uri": "https://clients.example/", "cluster": "clients", "max_entries": 4 },
        "routes": [{ "path": "/x", "response": {} }],
    });
    Policy::from_node(&Node::from(document), &|_| Some("0123456789abcdef0123456789abcdef".to_string())).unwrap()
}

#[test]
fn a_document_with_a_problem_is_rejected_and_the_error_shows_no_secret() {
    let policy = known();
    let parse = |clients: serde_json::Value| {
        let text = json!({ "version": "1.0", "clients": clients }).to_string();
        policy.client_reader().unwrap().parse(text.as_bytes()).map(|directory| directory.len())
    };
    let client = |more: serde_json::Value| {
        let mut client = json!({ "id": "a", "owner": "o", "purpose": "p" });
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client
    };
    let whole = key();
    let key = |id: &str, prefix: &str, digits: &str| {
        let hash = format!("sha256:{}", digits.repeat(32));
        json!({ "id": id, "prefix": format!("pck_test_{prefix}"), "hash": hash })
    };
    let keys = |keys: &[serde_json::Value]| json!([client(json!({ "keys": keys }))]);
    assert_eq!(parse(json!([])), Ok(0));
    let full =
        json!({ "plan": "gold", "permissions": ["LIC.READ"], "token_issuers": ["accounts"], "environments": ["test"] });
    assert_eq!(parse(json!([client(full)])), Ok(1));
    for (clients, expected) in [
        (json!([client(json!({ "plan": "glod" }))]), "clients[0].plan: no plan `glod` (did you mean `gold`?)"),
        (
            json!([client(json!({ "permissions": ["LIC.WRITE"] }))]),
            "clients[0].permissions[0]: no permission `LIC.WRITE`",
        ),
        (json!([client(json!({ "token_issuers": ["b"] }))]), "clients[0].token_issuers[0]: no issuer `b`"),
        (json!([client(json!({ "environments": ["Test"] }))]), "`Test` is not an environment name"),
        (json!([client(json!({ "id": "own" }))]), "client `own` of the configuration document is listed twice"),
        (json!([client(json!({})), client(json!({}))]), "clients[1].id: client `a` is listed twice"),
        (
            keys(&[key("k", "bill0000ing1", "02")]),
            "has the prefix of key `k-1` of client `own` of the configuration document",
        ),
        (
            keys(&[key("k", "other0000001", "01")]),
            "has the hash of key `k-1` of client `own` of the configuration document",
        ),
        (
            json!([client(json!({ "certificates": [{ "dns": "OWN.example" }] }))]),
            "already belongs to client `own` of the",
        ),
        (
            keys(&[key("1", "other0000001", "02"), key("2", "other0000002", "03"), key("3", "other0000003", "04")]),
            "are valid at the",
        ),
        (
            json!([
                client(json!({})),
                client(json!({ "id": "b", "keys": [key("1", "other0000001", "02"),
            key("2", "other0000002", "03")], "certificates": [{ "dns": "a" }] }))
            ]),
            "5 clients, keys and certificates, at most 4",
        ),
        (json!([client(json!({ "secret": "x" }))]), "clients[0].secret: unknown key `secret`"),
        (json!([client(json!({ "keys": [{ "id": "k", "prefix": whole, "hash": whole }] }))]), "keys[0].hash: expected"),
        (json!({}), "clients: expected a list, found a mapping"),
    ] {
        let fault = parse(clients.clone()).unwrap_err();
        assert!(fault.contains(expected) && !fault.contains("HsT3cLqXo9"), "{clients}: {fault}");
    }
    for text in
        ["", "[]", "{", "<html>", r#"{"clients":[]}"#, r#"{"version":"1.0"}"#, r#"{"version":"2.0","clients":[]}"#]
    {
        assert!(policy.client_reader().unwrap().parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn the_cost_of_a_faulty_document_is_bounded() {
    let many = |item: &str| format!(r#"{{"version":"1.0","clients":[{}]}}"#, vec![item; 5_000].join(","));
    let fault = parse(&many("1")).unwrap_err();
    assert!(fault.ends_with("(1000 in total)"), "{fault}");
    assert_eq!(parse(&many(&vec!["[]"; 100].join(","))).unwrap_err(), "more values than are accepted");
    let keys: Vec<_> = (0..4_000)
        .map(|n| json!({ "id": n.to_string(), "prefix": format!("pck_test_{n:012}"), "hash": format!("sha256:{n:064x}"),
            "not_before": "2026-01-01T00:00:00Z", "expires": "2026-01-01T00:00:01Z", "revoked": "2026-01-01T00:00:00Z" }))
        .collect();
    let one = json!({ "id": "a", "owner": "o", "purpose": "p", "keys": keys });
    assert!(parse(&json!({ "version": "1.0", "clients": [one] }).to_string()).is_ok());
}
