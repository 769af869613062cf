//! Checks that links, files, targets, flags, keys, codes, reasons and tests in the documentation exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use test_harness::envoy::root;
use test_harness::manual::{Page, Table, coded, tests_shown};
use test_harness::reference;

#[test]
fn links_lead_somewhere() -> Result<()> {
    for page in Page::all()? {
        for link in page.links().iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.path.clone() } else { clean(&beside(&page.path).join(file)) };
            ensure!(
                root().join(&target).exists(),
                "{}: the target of the link {link} does not exist",
                page.path.display()
            );
            if !anchor.is_empty() {
                let anchors = Page::read(&target)?.anchors();
                ensure!(
                    anchors.iter().any(|known| known == anchor),
                    "{}: the heading of the link {link} does not exist",
                    page.path.display()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn named_files_exist() -> Result<()> {
    let mut named = 0;
    for page in Page::all()? {
        for span in page.spans().iter().filter(|span| looks_like_a_path(span)) {
            ensure!(root().join(span).exists(), "{} names `{span}`, which does not exist", page.path.display());
            named += 1;
        }
    }
    ensure!(named > 10, "only {named} files are named");
    Ok(())
}

#[test]
fn named_targets_of_make_exist() -> Result<()> {
    let makefile = fs::read_to_string(root().join("Makefile"))?;
    let targets: Vec<&str> = makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    for page in Page::all()? {
        let blocks = page.blocks().into_iter().map(|block| block.text);
        for text in page.spans().into_iter().chain(blocks) {
            let after = text.lines().filter_map(|line| line.split_once("make ")).filter(|(before, _)| {
                before.is_empty()
                    || before.ends_with(' ') && before.trim_end().split(' ').all(|word| word.contains('='))
            });
            for target in after.filter_map(|(_, rest)| rest.split_whitespace().next()) {
                ensure!(
                    targets.contains(&target),
                    "{} names `make {target}`, which does not exist",
                    page.path.display()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn named_flags_exist() -> Result<()> {
    let sources = text_of("src/cli")? + &fs::read_to_string(root().join("src/cli.rs"))?;
    for page in Page::all()? {
        for span in page.spans().iter().filter(|span| span.starts_with("--")) {
            let flag = span.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
            let as_a_field = format!("{}:", flag.replace('-', "_"));
            let known = sources.contains(&as_a_field) || sources.contains(&format!("\"{flag}\""));
            ensure!(
                known || OTHERS_FLAGS.contains(&flag),
                "{} names `--{flag}`, which does not exist",
                page.path.display()
            );
        }
    }
    Ok(())
}

/// The files that `make reference` writes must be up to date.
#[test]
fn the_tables_of_keys_are_those_of_the_schema() -> Result<()> {
    for (path, expected) in reference::files()? {
        let found = fs::read_to_string(root().join(path))?;
        let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        ensure!(found == expected, "run `make reference`, because {path} differs from the schema: {differs:#?}");
    }
    Ok(())
}

#[test]
fn the_reference_has_every_code() -> Result<()> {
    let source = fs::read_to_string(root().join("src/policy/verdict/rejection.rs"))?;
    let table = reference_table("Code")?;
    let documented: BTreeSet<String> = table
        .rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [status, code, grpc, challenge, _] => {
                let error = if challenge == "without `error`" { Some("") } else { coded(challenge).next() };
                let challenge = error.map_or("None".to_owned(), |error| format!("Some(\"{error}\")"));
                Some(format!("{status} {} {grpc} {challenge}", coded(code).next()?))
            }
            _ => None,
        })
        .collect();
    let rows = source.split("row(").skip(1).filter_map(|call| {
        let parts: Vec<&str> = call.split(", ").map(str::trim).collect();
        let [status, code, .., grpc, challenge] = parts.get(..5)? else { return None };
        let challenge = challenge.split([')', '\n']).next()?;
        let challenge = if challenge == "None" { challenge.to_owned() } else { format!("{challenge})") };
        Some(format!("{status} {} {grpc} {challenge}", code.trim_matches('"')))
    });
    let coded: BTreeSet<String> = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit())).collect();
    ensure!(coded.len() > 10, "only {} rows were read from the source", coded.len());
    ensure!(
        documented == coded,
        "the table in docs/configuration.md and the code differ: {:#?}",
        documented.symmetric_difference(&coded)
    );
    Ok(())
}

/// In the code, a reason is a string in snake case. [`NO_REASONS`] and [`ENVOY_DETAILS`] list the strings in snake case that
/// are not reasons.
#[test]
fn the_reference_has_every_reason() -> Result<()> {
    let documented = documented("Reason")?;
    let mut written = BTreeSet::new();
    let mut text = text_of("src/policy")?;
    for file in ["src/policy.rs", "src/hosts/wasm/stream.rs"] {
        text += &fs::read_to_string(root().join(file))?;
    }
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        written.extend(line.split(['"', '\\']).map(str::to_owned));
    }
    let unknown: Vec<_> = documented.iter().filter(|reason| !written.contains(*reason)).collect();
    ensure!(unknown.is_empty(), "the code does not contain these documented reasons: {unknown:?}");
    let is_snake = |text: &&String| {
        text.contains('_') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let missing: Vec<_> = written.iter().filter(is_snake).filter(|text| !documented.contains(*text)).collect();
    let is_other = |text: &str| NO_REASONS.contains(&text) || ENVOY_DETAILS.contains(&text);
    let missing: Vec<_> = missing.into_iter().filter(|text| !is_other(text)).collect();
    ensure!(missing.is_empty(), "the reference lacks these reasons: {missing:?}");
    Ok(())
}

#[test]
fn the_reference_has_every_field_of_the_audit_record() -> Result<()> {
    let audit = fs::read_to_string(root().join("src/policy/verdict/audit.rs"))?;
    let own = audit.split("mod tests").next().unwrap_or_default();
    let mut fields = BTreeSet::new();
    let arguments = own.split("member(").skip(1).filter_map(|rest| rest.split(')').next());
    fields.extend(arguments.filter_map(|arguments| arguments.split('"').nth(1)).map(str::to_owned));
    fields.extend(own.split("(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    fields.retain(|field| field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    fields.extend(own.split(",\\\"").skip(1).filter_map(|rest| rest.split('\\').next()).map(str::to_owned));
    let documented = documented("Field")?;
    ensure!(
        documented == fields,
        "docs/configuration.md and the code have different fields: {:?}",
        documented.symmetric_difference(&fields)
    );
    Ok(())
}

/// Each guarantee in the README must name an existing test.
#[test]
fn every_guarantee_is_shown_by_a_test() -> Result<()> {
    let readme = Page::read(Path::new("README.md"))?;
    let tables = readme.tables();
    let shown = tables.iter().find_map(|table| table.column("Shown by")).context("no guarantees in the README")?;
    ensure!(shown.len() == 11, "expected 11 guarantees in the README, found {}", shown.len());
    for cell in shown {
        ensure!(tests_shown(cell)? > 0, "`{cell}` names no test");
    }
    Ok(())
}

fn looks_like_a_path(span: &str) -> bool {
    let is_plain = span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let tops = ["src/", "envoy/", "docs/", "test-harness/", "tests/", "benches/", ".ci/"];
    is_plain && tops.iter().any(|top| span.starts_with(top))
}

/// Returns the code spans in the first column of every table in `docs/configuration.md` whose first column has this title.
fn documented(title: &str) -> Result<BTreeSet<String>> {
    let reference = Page::read(Path::new("docs/configuration.md"))?;
    let tables = reference.tables();
    let cells = tables.iter().filter(|table| table.header.first().is_some_and(|first| first == title));
    let cells = cells.filter_map(|table| table.column(title)).flatten();
    let found: BTreeSet<String> = cells.flat_map(coded).map(str::to_owned).collect();
    ensure!(!found.is_empty(), "docs/configuration.md has no table whose first column is `{title}`");
    Ok(found)
}

fn reference_table(title: &str) -> Result<Table> {
    let tables = Page::read(Path::new("docs/configuration.md"))?.tables();
    tables.into_iter().find(|table| table.header.iter().any(|cell| cell == title)).context(title.to_owned())
}

/// Returns the code of all files below a folder, without their tests.
fn text_of(folder: &str) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(root().join(folder))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inner = format!("{folder}/{name}");
        if path.is_dir() {
            text += &text_of(&inner)?;
        } else if name.ends_with(".rs") && !["tests.rs", "properties.rs", "browser.rs"].contains(&name.as_str()) {
            let source = fs::read_to_string(path)?;
            text += source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        }
    }
    Ok(text)
}

fn beside(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Returns a path without `..`.
fn clean(path: &Path) -> std::path::PathBuf {
    let mut clean = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    clean
}

/// Command-line flags in the documentation that belong to other programs.
const OTHERS_FLAGS: [&str; 3] = ["file-flush-interval-msec", "mode", "test"];

/// Envoy's response code details that classify a failed gRPC request.
const ENVOY_DETAILS: &[&str] = &[
    "cluster_not_found",
    "maintenance_mode",
    "max_duration_timeout",
    "no_healthy_upstream",
    "protocol_error",
    "request_overall_timeout",
    "request_payload_too_large",
    "response_payload_too_large",
    "response_timeout",
    "route_not_found",
    "stream_idle_timeout",
    "upstream_max_stream_duration_reached",
    "upstream_per_try_idle_timeout",
    "upstream_per_try_timeout",
    "upstream_reset_before_response_started",
    "via_upstream",
];

/// Strings in snake case that are not reasons, such as field names, challenge errors and condition operators.
const NO_REASONS: &[&str] = &[
    "0code_details",
    "client_id",
    "duration_ms",
    "ends_with",
    "error_description",
    "insufficient_scope",
    "invalid_request",
    "invalid_token",
    "key_ops",
    "not_inspected",
    "pck_",
    "request_id",
    "revocation_list",
    "spoofed_headers",
    "starts_with",
    "would_limit",
    "would_refuse",
];
