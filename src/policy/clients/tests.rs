//! Keys and certificates against a directory: every change to a key refused, the standing of both, directories that are replaced.

use std::time::Duration;

use serde_json::json;

use super::super::Policy;
use super::*;
use crate::config::node::Node;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: Duration = Duration::from_secs(1_790_000_000);

fn policy() -> Policy {
    let document = json!({
        "version": "1.0",
        "environment": "test",
        "routes": [{ "path": "/x", "auth": "none", "response": {} }],
    });
    Policy::from_node(&Node::from(document), &|_| None).unwrap()
}

/// A directory with one client that has this key.
fn directory(key: &str, more: serde_json::Value) -> ClientDirectory {
    let read = ApiKey::read(key.as_bytes()).unwrap();
    let hash: String = read.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = json!({ "id": "k-1", "prefix": read.prefix, "hash": format!("sha256:{hash}") });
    let mut client = json!({ "id": "billing", "owner": "o", "purpose": "p", "keys": [key] });
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let document = json!({ "version": "1.0", "clients": [client] });
    ClientDirectory::parse(document.to_string().as_bytes(), &policy()).unwrap()
}

fn key() -> String {
    ApiKey::compose("test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG")
}

#[test]
fn every_character_of_a_key_counts_even_when_the_checksum_is_made_to_fit() {
    let (key, directory) = (key(), directory(&key(), json!({})));
    let caller = directory.by_key(key.as_bytes(), NOW).unwrap();
    assert_eq!((caller.client_id.as_deref(), caller.key().map(AsRef::as_ref)), (Some("billing"), Some("k-1")));
    for at in 0..key.len() {
        for bit in 0..8 {
            let mut changed = key.clone().into_bytes();
            changed[at] ^= 1 << bit;
            assert!(directory.by_key(&changed, NOW).is_err(), "byte {at}, bit {bit}");
        }
    }
    let parts = ["test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiG"];
    for (part, changed) in [(0, "prod"), (1, "bill0000ing2"), (2, "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiH")] {
        let mut parts = parts;
        parts[part] = changed;
        let changed = ApiKey::compose(parts[0], parts[1], parts[2]);
        let refused = directory.by_key(changed.as_bytes(), NOW).unwrap_err();
        assert!(["api_key_wrong", "api_key_unknown"].contains(&refused.reason), "{changed}: {}", refused.reason);
    }
    for cut in 0..key.len() {
        assert!(directory.by_key(&key.as_bytes()[..cut], NOW).is_err(), "the first {cut} bytes");
    }
}

#[test]
fn a_wrong_secret_is_refused_before_anything_else_is_told() {
    let directory = directory(&key(), json!({ "expires": "2026-01-01T00:00:00Z" }));
    let guess = ApiKey::compose("test", "bill0000ing1", "HsT3cLqXo9vWm2BzYk7RfPd4NaEj8UiX");
    assert_eq!(directory.by_key(guess.as_bytes(), NOW).unwrap_err().reason, "api_key_wrong");
    assert_eq!(directory.by_key(key().as_bytes(), NOW).unwrap_err().reason, "client_expired");
}

#[test]
fn an_end_is_the_first_moment_at_which_nothing_counts_any_more() {
    let directory =
        directory(&key(), json!({ "not_before": "2026-09-21T14:13:20Z", "expires": "2026-09-21T14:13:21Z" }));
    let at =
        |seconds| directory.by_key(key().as_bytes(), Duration::from_secs(seconds)).map(|_| ()).map_err(|r| r.reason);
    assert_eq!(at(1_789_999_999), Err("client_not_yet_valid"));
    assert_eq!(at(1_790_000_000), Ok(()));
    assert_eq!(at(1_790_000_001), Err("client_expired"));
}

#[test]
fn a_certificate_is_compared_in_full_and_leads_to_one_client() {
    let clients = json!({ "version": "1.0", "clients": [
        { "id": "a", "owner": "o", "purpose": "p", "certificates": [
            { "spiffe": "spiffe://td/ns/a" }, { "sha256": "01".repeat(32) }] },
        { "id": "b", "owner": "o", "purpose": "p", "certificates": [{ "dns": "B.example" }, { "sha256": "02".repeat(32) }] },
    ]});
    let directory = ClientDirectory::parse(clients.to_string().as_bytes(), &policy()).unwrap();
    let shown = |digest: u8, uri: Option<&str>, dns: Option<&str>| {
        let (uri, dns) = (uri.map(str::to_string), dns.map(str::to_string));
        let shown = Certificate { sha256: [digest; 32], uri, dns, subject: None };
        let found = directory.by_certificate(&shown, NOW);
        found.map(|caller| caller.client_id.as_deref().unwrap_or_default().to_string()).map_err(|r| r.reason)
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

#[test]
fn a_directory_that_has_a_problem_is_none() {
    let parse = |text: &str| ClientDirectory::parse(text.as_bytes(), &policy()).map(|d| (d.len(), d.generation()));
    let empty = parse(r#"{"version":"1.0","clients":[]}"#).unwrap();
    assert_eq!((empty.0, empty.1 & 1), (0, 1));
    assert_ne!(empty.1, parse(r#"{"version":"1.0","clients":[ ]}"#).unwrap().1, "another text is another directory");
    let problems =
        parse(r#"{"clients":[{"id":"a b","owner":"","keys":[{"id":"k","prefix":"x","hash":"y"}]}],"routes":[]}"#);
    let problems: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 6, "{problems:#?}");
    assert!(parse("").is_err() && parse("[]").is_err() && parse("{").is_err());
}
