//! Checks the licences, sources, digests and known advisories of dependencies, and the bill of materials.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_harness::envoy::root;
use test_harness::manual::{Page, coded};

/// Every dependency must have a licence and a source that `deny.toml` allows. This test reads `deny.toml` itself, so it does not
/// need the tool cargo-deny.
#[test]
fn every_crate_has_an_allowed_licence_and_comes_from_the_registry() -> Result<()> {
    let policy = fs::read_to_string(root().join("deny.toml"))?;
    let allowed: BTreeSet<&str> = listed(&policy, "allow = [").collect();
    let registry = listed(&policy, "allow-registry = [").next().context("no registry is allowed")?;
    let crates = metadata()?;
    for one in &crates {
        let name = text(one, "/name");
        let source = text(one, "/source");
        let own = source.is_empty() && text(one, "/manifest_path").starts_with(&root().display().to_string());
        ensure!(own || source == format!("registry+{registry}"), "{name} comes from `{source}`");
        let licence = text(one, "/license").replace('/', " OR ");
        ensure!(fits(&licence, &allowed), "{name} has the licence `{licence}`");
    }
    ensure!(crates.len() > 50, "only {} crates were checked", crates.len());
    Ok(())
}

/// The setup scripts download Envoy's wheels and npm packages. Only a digest ensures that their content has not changed.
#[test]
fn downloads_have_a_known_digest() -> Result<()> {
    let read = |path: &str| fs::read_to_string(root().join(path)).with_context(|| path.to_owned());
    let wheels = read("test-harness/setup/envoy-wheels")?;
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let has_digests = |version: &str| {
        let mut lines = wheels.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines.any(|parts| matches!(parts.as_slice(), [have, x86, arm] if *have == version && is_digest(x86) && is_digest(arm)))
    };
    for line in read("test-harness/setup/dynamic-requirements")?.lines().filter(|line| !line.starts_with('#')) {
        let digests: Vec<_> = line.split(" --hash=sha256:").skip(1).collect();
        ensure!(digests.len() == 2 && digests.into_iter().all(is_digest), "no two digests: {line}");
    }
    let (makefile, envoys) = (read("Makefile")?, read("test-harness/setup/envoys")?);
    let newest = makefile.lines().find_map(|line| line.strip_prefix("ENVOY_VERSION ?= ")).context("no version")?;
    let others = envoys.lines().find_map(|line| line.strip_prefix("versions=(")?.strip_suffix(')'));
    for version in others.context("no versions")?.split(' ').chain([newest]) {
        ensure!(has_digests(version), "no digests of Envoy {version}");
    }
    for folder in ["browser", "manifests"] {
        let lock: Value = serde_json::from_str(&read(&format!("test-harness/{folder}/package-lock.json"))?)?;
        let own: Value = serde_json::from_str(&read(&format!("test-harness/{folder}/package.json"))?)?;
        let packages = lock.get("packages").and_then(Value::as_object).context("no packages")?;
        let wanted = packages.get("").and_then(|package| package.get("dependencies"));
        ensure!(wanted == own.get("dependencies"), "{folder}: the lock file is not that of package.json");
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            ensure!(text(package, "/integrity").starts_with("sha512-"), "{folder}: {name} has no digest");
        }
    }
    Ok(())
}

/// Each row of the advisory table in `docs/security.md` must name existing tests, or explain why the mistake is impossible.
#[test]
fn every_advisory_has_a_test_or_a_reason() -> Result<()> {
    let rows = security_column("Why not here")?;
    let mut tests = 0;
    for cell in &rows {
        let (has_file, named) = named_tests(cell)?;
        ensure!(
            has_file || cell.split_whitespace().count() >= 4,
            "`{cell}` names no test and has no reason of at least four words"
        );
        tests += named;
    }
    ensure!(rows.len() >= 30 && tests >= 20, "docs/security.md has only {} advisories and {tests} tests", rows.len());
    Ok(())
}

#[test]
fn every_attack_names_the_test_of_its_protection() -> Result<()> {
    let rows = security_column("Test")?;
    for cell in &rows {
        let (_, named) = named_tests(cell)?;
        ensure!(named > 0, "`{cell}` names no test");
    }
    ensure!(rows.len() >= 56, "docs/security.md has only {} attacks", rows.len());
    Ok(())
}

/// Returns the cells of one column in docs/security.md.
fn security_column(title: &str) -> Result<Vec<String>> {
    let page = Page::read(Path::new("docs/security.md"))?;
    let tables = page.tables();
    let cells = tables.iter().find_map(|table| table.column(title)).with_context(|| format!("no column `{title}`"))?;
    Ok(cells.into_iter().map(|cell| cell.to_string()).collect())
}

/// Returns whether a cell names a file, and how many tests it names. A missing test is an error.
fn named_tests(cell: &str) -> Result<(bool, usize)> {
    let mut file = None;
    let mut tests = 0;
    for name in coded(cell) {
        if root().join(name).is_file() {
            file = Some((name, fs::read_to_string(root().join(name))?));
            continue;
        }
        let (file, text) = file.as_ref().with_context(|| format!("no file name precedes the test `{name}`"))?;
        let forms = ["fn {}(", "name: {}\n", "name: {},", "\"{}\""].map(|form| form.replace("{}", name));
        ensure!(forms.iter().any(|form| text.contains(form)), "{file} has no test `{name}`");
        tests += 1;
    }
    Ok((file.is_some(), tests))
}

/// The bill of materials must contain the crates of the module. It must not contain crates that are used only by tests or only by
/// the command line. The test checks some crates of each kind.
#[test]
fn the_bill_of_materials_lists_only_the_components_of_the_module() -> Result<()> {
    let of = |arguments: &[&str]| -> Result<BTreeSet<String>> {
        let output = Command::new(env!("CARGO_BIN_EXE_sbom")).args(arguments).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let list: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(text(&list, "/bomFormat") == "CycloneDX" && text(&list, "/metadata/component/name") == "portcullis");
        let components = list.get("components").and_then(Value::as_array).context("no components")?;
        let good = |one: &Value| text(one, "/purl").starts_with("pkg:cargo/") && !text(one, "/version").is_empty();
        ensure!(components.iter().all(good), "a component has no version or no package URL");
        Ok(components.iter().map(|one| text(one, "/name")).collect())
    };
    let (core, full) = (of(&["wasm32-wasip1"])?, of(&["wasm32-wasip1", "--features", "full"])?);
    let features = ["--no-default-features", "--features", "dynamic-module,full"];
    let dynamic = of(&[&["x86_64-unknown-linux-gnu"], features.as_slice()].concat())?;
    for name in ["proxy-wasm", "serde", "serde_json", "jwt-compact", "base64"] {
        ensure!(core.contains(name), "`{name}` is missing");
    }
    for name in ["clap", "proptest", "wasm-bindgen-test", "test-harness", "regex-automata"] {
        ensure!(!core.contains(name), "`{name}` is not part of the module");
    }
    for name in ["serde", "jwt-compact", "regex-automata", "p521", "rsa"] {
        ensure!(dynamic.contains(name), "`{name}` is missing in the list of the dynamic module");
    }
    for name in ["clap", "ureq", "proxy-wasm", "proptest", "test-harness", "object"] {
        ensure!(!dynamic.contains(name), "`{name}` is not part of the dynamic module");
    }
    let more: Vec<_> = full.difference(&core).collect();
    ensure!(
        full.is_superset(&core) && more == ["regex-automata", "regex-syntax"],
        "the full module must have two additional crates, but has {more:?}"
    );
    Ok(())
}

/// Returns whether an SPDX licence expression is allowed. `A OR B` allows a choice, and `A AND B` requires both.
fn fits(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    let one = |name: &str| allowed.contains(name.trim_matches(|c: char| c == '(' || c == ')' || c.is_whitespace()));
    let all = |names: &str| names.split(" AND ").all(|name| name.split(" OR ").any(one));
    licence.split(" OR ").any(all) || all(licence)
}

fn listed<'t>(policy: &'t str, list: &str) -> impl Iterator<Item = &'t str> {
    let inner = policy.split(list).nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    inner.split('"').skip(1).step_by(2)
}

/// Returns cargo's metadata about the crates of the module and of the command line.
fn metadata() -> Result<Vec<Value>> {
    let mut crates = Vec::new();
    for platform in ["wasm32-wasip1", "x86_64-unknown-linux-gnu"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform]);
        let output = cargo.current_dir(root()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout)?;
        crates.extend(said.get("packages").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    Ok(crates)
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}
