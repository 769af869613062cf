//! Checks that the published schema and the filter's parser accept and refuse the same client documents and revocation lists.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portcullis::config::node::Node;
use portcullis::policy::Policy;
use portcullis::policy::credentials::clients::ReadClients;
use portcullis::policy::credentials::revocation_list::Revocations;
use serde_json::{Value, json};
use test_harness::manual::Page;
use test_harness::{envoy, node};

#[test]
fn documented_lists_are_valid_for_the_schema_and_the_reader() -> Result<()> {
    for (kind, reads) in KINDS {
        let mut lists = Vec::new();
        for page in Page::all()? {
            for block in page.blocks().into_iter().filter(|block| block.info == format!("json {kind}")) {
                lists.push(serde_json::from_str(&block.text).with_context(|| block.place.clone())?);
            }
        }
        ensure!(!lists.is_empty(), "the documentation has no block `json {kind}`");
        agree(kind, &lists, *reads)?;
        ensure!(lists.iter().all(reads), "the parser refuses a block `json {kind}` of the documentation");
    }
    Ok(())
}

#[test]
fn the_schema_and_the_reader_agree_on_revocation_lists() -> Result<()> {
    let good = [
        json!({ "jti": "a" }),
        json!({ "jti": "a", "issuer": "i", "expires": 5 }),
        json!({ "sub": "a", "issuer": "i" }),
        json!({ "sub": "a", "issuer": "i", "issued_before": 5 }),
        json!({ "client_id": "a", "issued_before": 5 }),
        json!({ "client": "a" }),
        json!({ "client": "a", "key": "k", "expires": 5 }),
        json!({ "issued_before": 5 }),
        json!({ "issued_before": 5, "issuer": "i" }),
    ];
    let bad = [
        json!({}),
        json!({ "jti": "" }),
        json!({ "jti": 5 }),
        json!({ "jti": "a", "sub": "b" }),
        json!({ "jti": "a", "sub": "b", "issuer": "i" }),
        json!({ "jti": "a", "client_id": "b" }),
        json!({ "jti": "a", "key": "k" }),
        json!({ "jti": "a", "issued_before": 5 }),
        json!({ "sub": "a" }),
        json!({ "issuer": "i" }),
        json!({ "key": "k" }),
        json!({ "client": "a", "issuer": "i" }),
        json!({ "client": "a", "issued_before": 5 }),
        json!({ "client": "a", "client_id": "b" }),
        json!({ "issued_before": -1 }),
        json!({ "issued_before": 1.5 }),
        json!({ "issued_before": 1_000_000_000_000_i64 }),
        json!({ "jti": "a", "note": "stolen" }),
        json!("a"),
    ];
    entries_agree("revocation", "revoked", &good, &bad)
}

#[test]
fn the_schema_and_the_reader_agree_on_client_documents() -> Result<()> {
    let client = |more: Value| {
        let mut client = json!({ "id": "a", "owner": "o", "purpose": "p" });
        client.as_object_mut().into_iter().for_each(|have| have.extend(more.as_object().cloned().unwrap_or_default()));
        client
    };
    let hash = format!("sha256:{}", "0A".repeat(32));
    let key = |more: Value| {
        let mut key = json!({ "id": "k", "prefix": "pck_test_bill0000ing1", "hash": hash });
        key.as_object_mut().into_iter().for_each(|have| have.extend(more.as_object().cloned().unwrap_or_default()));
        client(json!({ "keys": [key] }))
    };
    let certificate = |evidence: Value| client(json!({ "certificates": [evidence] }));
    let moment = "2026-03-01T10:00:00Z";
    let good = [
        client(json!({})),
        client(
            json!({ "scopes": ["a"], "plan": "gold", "tags": ["x"], "environments": ["test"], "keys": [], "certificates": [] }),
        ),
        client(json!({ "scopes": "a", "environments": "test", "permissions": [], "token_issuers": [] })),
        client(json!({ "not_before": moment, "expires": "2027-03-01T10:00:00Z" })),
        key(json!({})),
        key(json!({ "not_before": moment, "revoked": moment, "created": moment, "created_by": "a", "reason": "b" })),
        certificate(json!({ "spiffe": "spiffe://td/a" })),
        certificate(json!({ "dns": "a.example" })),
        certificate(json!({ "sha256": "01".repeat(32) })),
        certificate(json!({ "sha256": vec!["01"; 32].join(":") })),
    ];
    let bad = [
        json!({}),
        json!("a"),
        json!({ "id": "a", "owner": "o" }),
        client(json!({ "id": "" })),
        client(json!({ "id": "a b" })),
        client(json!({ "id": "ä" })),
        client(json!({ "id": "a".repeat(201) })),
        client(json!({ "owner": "" })),
        client(json!({ "plan": "a b" })),
        client(json!({ "tags": "x" })),
        client(json!({ "tags": [""] })),
        client(json!({ "environments": ["Test"] })),
        client(json!({ "environments": ["-test"] })),
        client(json!({ "expires": 1_772_359_200 })),
        client(json!({ "expires": "tomorrow" })),
        client(json!({ "expires": "2026-03-01T10:00:00+01:00" })),
        client(json!({ "secret": "x" })),
        client(json!({ "keys": {} })),
        key(json!({ "id": null })),
        key(json!({ "prefix": "bill0000ing1" })),
        key(json!({ "prefix": "pck_test_short" })),
        key(json!({ "prefix": "pck_Test_bill0000ing1" })),
        key(json!({ "hash": "0A".repeat(32) })),
        key(json!({ "hash": format!("sha256:{}", "0".repeat(63)) })),
        key(json!({ "key": "pck_test_bill0000ing1_x" })),
        certificate(json!({})),
        certificate(json!({ "dns": "*.example" })),
        certificate(json!({ "dns": "a", "spiffe": "spiffe://td/a" })),
        certificate(json!({ "spiffe": "https://td/a" })),
        certificate(json!({ "spiffe": "spiffe://" })),
        certificate(json!({ "sha256": "01" })),
    ];
    entries_agree("clients", "clients", &good, &bad)
}

/// Compares the schema and the parser for documents that have one entry each, and for documents with errors outside the entries.
fn entries_agree(kind: &str, list: &str, good: &[Value], bad: &[Value]) -> Result<()> {
    let document = |entry: &Value| json!({ "version": "1.0", list: [entry] });
    let mut lists: Vec<Value> = good.iter().chain(bad).map(document).collect();
    lists.extend([json!({ list: [] }), json!({ "version": "1.0" }), json!({ "version": "2.0", list: [] })]);
    lists.extend([json!({ "version": "1.0", list: {} }), json!([]), json!(null)]);
    lists.push(json!({ "version": "1.0", list: [], "more": 1 }));
    let (_, reads) = KINDS.iter().find(|(name, _)| *name == kind).context("no such kind")?;
    agree(kind, &lists, *reads)?;
    let read = lists.iter().filter(|list| reads(list)).count();
    ensure!(read == good.len(), "the parser accepted {read} documents instead of {}", good.len());
    Ok(())
}

fn reads_as_revocations(list: &Value) -> bool {
    Revocations::parse(list.to_string().as_bytes(), 100, Duration::ZERO).is_ok()
}

/// Returns whether a gateway in the environment `test` accepts a client document.
fn reads_as_clients(list: &Value) -> bool {
    let from = json!({ "uri": "https://clients.example/", "cluster": "clients" });
    let open = json!({ "path": "/", "auth": "none", "response": {} });
    let gateway = json!({ "version": "1.0", "environment": "test", "clients_from": from, "routes": [open] });
    let policy = Policy::from_node(&Node::from(gateway), &|_| None).ok();
    let parsed = policy.and_then(|policy| Some(policy.client_reader()?.parse(list.to_string().as_bytes()).is_ok()));
    parsed.unwrap_or(false)
}

/// Checks that a published schema and the filter's parser give the same verdict on each document.
fn agree(schema: &str, documents: &[Value], reads: Reader) -> Result<()> {
    let file = envoy::root().join(format!("docs/{schema}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let verdicts: Vec<bool> =
        node::run("../manifests/schema.mjs", &json!({ "schema": schema, "documents": documents }))?;
    ensure!(verdicts.len() == documents.len(), "{} verdicts for {} documents", verdicts.len(), documents.len());
    for (document, accepted) in documents.iter().zip(verdicts) {
        ensure!(
            accepted == reads(document),
            "accepted by the schema: {accepted}; accepted by the parser: {}; document: {document}",
            !accepted
        );
    }
    Ok(())
}

/// A function that returns whether the filter's parser accepts a document.
type Reader = fn(&Value) -> bool;

/// The kinds of polled documents, each with the filter's parser.
const KINDS: &[(&str, Reader)] = &[("revocation", reads_as_revocations), ("clients", reads_as_clients)];
