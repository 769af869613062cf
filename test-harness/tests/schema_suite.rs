//! Runs the official JSON Schema Test Suite, and compares the results of its optional tests with `docs/configuration.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use portcullis::policy::checks::body::{Body, BodyCheck, JsonCheck};
use portcullis::strict_json::schema::Library;
use portcullis::strict_json::{Bounds, MAX_DEPTH};
use serde::Deserialize;
use serde_json::Value;
use test_harness::envoy::root;
use test_harness::manual::{Page, coded};

#[test]
fn all_required_tests_pass() -> Result<()> {
    let remotes = remotes()?;
    let (mut ran, mut broken) = (0, Vec::new());
    for file in files(&root().join("build/suite/tests/draft2020-12"))? {
        for group in groups(&file)? {
            for test in &group.tests {
                ran += 1;
                if let Err(fault) = holds(&group, test, &remotes) {
                    let name = file.file_stem().unwrap_or_default().display();
                    broken.push(format!("{name}: {}: {}: {fault}", group.description, test.description));
                }
            }
        }
    }
    ensure!(broken.is_empty(), "{} of {ran} tests fail:\n{}", broken.len(), broken.join("\n"));
    ensure!(ran > 1200, "only {ran} tests were found");
    Ok(())
}

#[test]
fn the_optional_part_matches_the_reference() -> Result<()> {
    let remotes = remotes()?;
    let mut found = BTreeMap::new();
    for (folder, prefix) in [("optional", ""), ("optional/format", "format/")] {
        for file in files(&root().join("build/suite/tests/draft2020-12").join(folder))? {
            let (mut held, mut ran) = (0, 0);
            for group in groups(&file)? {
                ran += group.tests.len();
                held += group.tests.iter().filter(|test| holds(&group, test, &remotes).is_ok()).count();
            }
            let name = format!("{prefix}{}", file.file_stem().unwrap_or_default().display());
            found.insert(name, if held == ran { "all".to_owned() } else { format!("{held} of {ran}") });
        }
    }
    let tables = Page::read(Path::new("docs/configuration.md"))?.tables();
    let table = tables.iter().find(|table| table.header.first().is_some_and(|first| first == "Optional part"));
    let table = table.context("the reference has no table of optional parts")?;
    let written = table.rows.iter().flat_map(|row| {
        let count = row.get(1).cloned().unwrap_or_default();
        let parts: Vec<&str> = row.first().map(|cell| coded(cell).collect()).unwrap_or_default();
        parts.into_iter().map(|part| (part.to_owned(), count.clone())).collect::<Vec<_>>()
    });
    assert_eq!(found, written.collect::<BTreeMap<_, _>>(), "the table in docs/configuration.md is outdated");
    Ok(())
}

/// The tests for one schema.
#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    description: String,
    data: Value,
    valid: bool,
}

/// Validates the JSON value of a test as the gateway validates the body of a request. Returns an error if the result differs from
/// `test.valid`.
fn holds(group: &Group, test: &Test, remotes: &[(String, Value)]) -> Result<()> {
    let mut library = Library::new(|_, _| None);
    library.add("schemas:///tested", group.schema.clone());
    for (address, remote) in remotes {
        library.add(address, remote.clone());
    }
    let schema = library.compile("schemas:///tested").map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let bounds = Bounds { depth: MAX_DEPTH, values: 10_000 };
    let json = JsonCheck { required: true, bounds, case_variants: true, schema: Some(Arc::new(schema)) };
    let check = BodyCheck { most_bytes: 1 << 20, json: Some(json) };
    match check.judge(Body::Whole(test.data.to_string().as_bytes()), true) {
        Ok(()) => ensure!(test.valid, "the gateway accepts the value"),
        Err(refusal) => {
            ensure!(
                refusal.reason == "body_not_as_schema",
                "the gateway refuses the value with the reason {}",
                refusal.reason
            );
            ensure!(!test.valid, "the gateway refuses the value: {:?}", refusal.detail);
        }
    }
    Ok(())
}

/// Returns the schemas that the suite refers to, each with its address, except for schemas of older drafts.
fn remotes() -> Result<Vec<(String, Value)>> {
    let top = root().join("build/suite/remotes");
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).context("build/suite is missing: run `make suite`")? {
            let path = entry?.path();
            let name = path.strip_prefix(&top)?.display().to_string();
            if path.is_dir() {
                if !name.starts_with("draft") || name.starts_with("draft2020-12") {
                    folders.push(path);
                }
            } else {
                found.push((
                    format!("http://localhost:1234/{name}"),
                    serde_json::from_str(&fs::read_to_string(&path)?)?,
                ));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).context("build/suite is missing: run `make suite`")?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn groups(file: &Path) -> Result<Vec<Group>> {
    serde_json::from_str(&fs::read_to_string(file)?).with_context(|| file.display().to_string())
}
