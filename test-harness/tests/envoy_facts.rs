//! Checks that `docs/envoy-facts.md` describes every Envoy fact that the code cites, with a test or a source for each fact.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use test_harness::envoy::root;
use test_harness::manual::tests_shown;

#[test]
fn every_fact_has_a_number_and_a_test_or_a_source() -> Result<()> {
    let page = page()?;
    let facts = facts(&page)?;
    for (number, fact) in &facts {
        let tested = fact.split("\n- Tested: ").nth(1).map(|text| text.split("\n- ").next().unwrap_or_default());
        ensure!(tested.is_some() || fact.contains("\n- Source: "), "{number} has neither a test nor a source");
        tests_shown(tested.unwrap_or_default()).with_context(|| format!("fact {number}"))?;
    }
    ensure!(facts.len() > 30, "only {} facts are described", facts.len());
    Ok(())
}

#[test]
fn every_fact_that_is_cited_is_described() -> Result<()> {
    let page = page()?;
    let sections = page.split("\n## ").skip(1).map(|section| section.split(' ').next().unwrap_or_default());
    let described: BTreeSet<&str> = sections.chain(facts(&page)?.into_iter().map(|(number, _)| number)).collect();
    // The string is split, so that this test does not find this line as a citation.
    let mark = ["envoy-facts ", "§"].concat();
    let mut cited = 0;
    for folder in ["src", "test-harness/src", "test-harness/tests", "tests", "benches"] {
        for (file, text) in rust_files(&root().join(folder))? {
            for citation in text.split(&mark).skip(1) {
                // More numbers may follow, as in `§2.11, §2.12`.
                for piece in citation.split(", §") {
                    let end = piece.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(piece.len());
                    let (number, rest) = piece.split_at(end);
                    let number = number.trim_end_matches('.');
                    ensure!(described.contains(number), "{file} cites {number}, which is not described");
                    cited += 1;
                    if !rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    ensure!(cited > 30, "only {cited} facts are cited");
    Ok(())
}

fn page() -> Result<String> {
    Ok(fs::read_to_string(root().join("docs/envoy-facts.md"))?)
}

/// Returns the number and the description of each fact.
fn facts(page: &str) -> Result<Vec<(&str, &str)>> {
    let mut facts: Vec<(&str, &str)> = Vec::new();
    for fact in page.split("\n## ").flat_map(|section| section.split("\n### ").skip(1)) {
        let (number, _) = fact.split_once(' ').context("docs/envoy-facts.md has a heading without a number")?;
        ensure!(facts.iter().all(|(known, _)| *known != number), "{number} is described twice");
        facts.push((number, fact));
    }
    Ok(facts)
}

/// Returns the name and the content of each Rust file below a folder.
fn rust_files(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(files)
}
