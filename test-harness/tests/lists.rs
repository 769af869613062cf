//! Polled documents as they are published: what the published schema accepts the reader accepts, and the other way round.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use portcullis::policy::revocation::Revocations;
use serde_json::{Value, json};
use test_harness::manual::Page;
use test_harness::{envoy, node};

#[test]
fn revocation_lists_in_the_documentation_are_good_by_schema_and_reader() -> Result<()> {
    let mut lists = Vec::new();
    for page in Page::all()? {
        for block in page.blocks().into_iter().filter(|block| block.info == "json revocation") {
            lists.push(serde_json::from_str(&block.text).with_context(|| block.place.clone())?);
        }
    }
    ensure!(!lists.is_empty(), "the documentation shows no list");
    agree("revocation", &lists, reads_as_revocations)?;
    ensure!(lists.iter().all(reads_as_revocations), "a list of the documentation cannot be read");
    Ok(())
}

#[test]
fn schema_and_reader_of_revocation_lists_agree() -> Result<()> {
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
    let list = |entry: &Value| json!({ "version": "1.0", "revoked": [entry] });
    let mut lists: Vec<Value> = good.iter().chain(&bad).map(list).collect();
    lists.extend([json!({ "revoked": [] }), json!({ "version": "1.0" }), json!({ "version": "2.0", "revoked": [] })]);
    lists.extend([json!({ "version": "1.0", "revoked": {} }), json!([]), json!(null)]);
    lists.push(json!({ "version": "1.0", "revoked": [], "more": 1 }));
    agree("revocation", &lists, reads_as_revocations)?;
    let read = lists.iter().filter(|list| reads_as_revocations(list)).count();
    ensure!(read == good.len(), "{read} lists were read, {} are good", good.len());
    Ok(())
}

fn reads_as_revocations(list: &Value) -> bool {
    Revocations::parse(list.to_string().as_bytes(), 100, Duration::ZERO).is_ok()
}

/// Holds what a published schema says of documents against what the product's reader says.
fn agree(schema: &str, documents: &[Value], reads: fn(&Value) -> bool) -> Result<()> {
    let file = envoy::root().join(format!("docs/{schema}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let verdicts: Vec<bool> =
        node::run("../manifests/schema.mjs", &json!({ "schema": schema, "documents": documents }))?;
    ensure!(verdicts.len() == documents.len(), "{} verdicts for {} documents", verdicts.len(), documents.len());
    for (document, accepted) in documents.iter().zip(verdicts) {
        ensure!(accepted == reads(document), "the schema says {accepted} and the reader the contrary: {document}");
    }
    Ok(())
}
