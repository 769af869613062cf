//! `make sbom` lists the components of a module in CycloneDX format, based on the metadata of cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::envoy::root;

fn main() -> ExitCode {
    match list() {
        Ok(list) => {
            println!("{list:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sbom: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the components of the module and their dependencies as CycloneDX 1.5. The arguments of the program are the target that
/// the module is built for, and cargo's options for its features. The same lock file and arguments always give the same result.
fn list() -> Result<Value> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().context("the target is missing")?;
    let features: Vec<String> = arguments.collect();
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &target]);
    // The package graph has all optional crates. `built` selects those of the module.
    cargo.args(["--features", "portcullis/full"]);
    let output = cargo.current_dir(root()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let array = |value: &Value, at: &str| value.get(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, at: &str| value.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        array(&said, "packages").into_iter().map(|package| (text(&package, "id"), package)).collect();
    let nodes = said.pointer("/resolve/nodes").and_then(Value::as_array).cloned().unwrap_or_default();
    let needs: BTreeMap<String, Vec<String>> = nodes
        .iter()
        .map(|node| {
            let normal = |dependency: &&Value| {
                array(dependency, "dep_kinds").iter().any(|kind| kind.get("kind").is_some_and(Value::is_null))
            };
            (text(node, "id"), array(node, "deps").iter().filter(normal).map(|dep| text(dep, "pkg")).collect())
        })
        .collect();
    let own = packages.iter().find(|(_, package)| text(package, "name") == "portcullis");
    let (start, own) = own.context("`cargo metadata` does not list the package `portcullis`")?;
    let built = built(&target, &features)?;
    let is_built =
        |package: &Value| built.contains(&format!("{} v{}", text(package, "name"), text(package, "version")));
    let reached: BTreeSet<_> = packages.iter().filter(|(_, package)| is_built(package)).map(|(id, _)| id).collect();
    let url = |id: &String| {
        packages.get(id).map(|package| format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version")))
    };
    let component = |id: &String| {
        let package = packages.get(id)?;
        Some(json!({ "type": "library", "bom-ref": url(id), "purl": url(id), "name": text(package, "name"),
            "version": text(package, "version"), "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }] }))
    };
    let edges = |id: &String| {
        let needed: BTreeSet<_> =
            needs.get(id).into_iter().flatten().filter(|id| reached.contains(*id)).filter_map(url).collect();
        json!({ "ref": url(id), "dependsOn": needed })
    };
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": { "type": "application", "bom-ref": url(start), "name": "portcullis", "version": text(own, "version") } },
        "components": reached.iter().copied().filter(|id| *id != start).filter_map(component).collect::<Vec<_>>(),
        "dependencies": reached.iter().copied().map(edges).collect::<Vec<_>>(),
    }))
}

/// Returns every package that is part of the module, in the form `name v1.2.3`. This function runs `cargo tree`, because
/// `cargo metadata` also lists packages that are not part of the module, such as packages that only tests need.
fn built(target: &str, features: &[String]) -> Result<BTreeSet<String>> {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["tree", "--locked", "--package", "portcullis", "--edges", "normal", "--target", target]);
    cargo.args(["--prefix", "none", "--format", "{p}"]).args(features);
    let output = cargo.current_dir(root()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect())
}
