//! Checks the examples in the documentation: documents, filter entries, commands and requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use portcullis::cli::yaml;
use portcullis::config::node::{Node, Value};
use portcullis::policy::Policy;
use serde_json::json;
use test_harness::envoy::{self, Envoy, Launch};
use test_harness::generated::Wanted;
use test_harness::issuer::Issuer;
use test_harness::manual::{Block, Page};
use test_harness::upstream::{Received, Upstream};
use test_harness::{ports, program};

/// A `yaml gateway` block is a complete document. A `yaml section` block is a part of a document, and [`BASE`] adds the rest.
#[test]
fn every_document_compiles() -> Result<()> {
    let base = node(BASE)?;
    let mut compiled = 0;
    for block in blocks()? {
        let mut document = match block.info.as_str() {
            "yaml gateway" | "yaml section" => node(&block.text).context(block.place.clone())?,
            _ => continue,
        };
        if block.info == "yaml section"
            && let (Value::Map(entries), Value::Map(base)) = (&mut document.value, &base.value)
        {
            let missing: Vec<_> =
                base.iter().filter(|(key, _)| entries.iter().all(|(have, _)| have.text != key.text)).cloned().collect();
            entries.extend(missing);
        }
        match Policy::from_node(&document, &variable) {
            Ok(_) => compiled += 1,
            Err(problems) => bail!("{}: {problems:?}", block.place),
        }
    }
    ensure!(compiled >= 8, "only {compiled} documents were found");
    Ok(())
}

/// A `yaml filter` block is an entry of `http_filters`. Envoy loads it, and the filter checks the configuration in it.
#[test]
fn envoy_loads_every_filter_entry() -> Result<()> {
    let [wasm, library] = [envoy::Host::Wasm, envoy::Host::DynamicModule].map(envoy::module_of);
    let (wasm, library) = (wasm?.display().to_string(), library?.display().to_string());
    let mut loaded = 0;
    for block in blocks()?.iter().filter(|block| block.info == "yaml filter") {
        let text = block.text.replace("dist/portcullis.wasm", &wasm).replace("dist/libportcullis.so", &library);
        envoy::validate(&around(&text)?, &[]).map_err(|said| anyhow::anyhow!("{}: {said}", block.place))?;
        let refused = envoy::validate(&around(&text.replace("\"1.0\"", "\"9.9\""))?, &[]);
        ensure!(refused.is_err(), "{}: a document of another version is accepted", block.place);
        loaded += 1;
    }
    ensure!(
        loaded == 3,
        "expected three filter entries in the README: wasm with Struct, wasm with StringValue, dynamic module; found {loaded}"
    );
    Ok(())
}

/// Runs each `$ ` line of a `console` block. The output must match the lines below, in which `…` matches any characters.
#[test]
fn commands_print_the_documented_output() -> Result<()> {
    let mut ran = 0;
    for page in Page::all()? {
        let folder = page_folder(&page)?;
        for block in page.blocks() {
            if let Some(name) = block.info.strip_prefix("yaml file=") {
                fs::write(folder.join(name), &block.text)?;
            }
            for (command, expected) in commands(&block) {
                let output = shell(command, &folder)?;
                let printed = [output.stdout, output.stderr].concat();
                let printed = String::from_utf8_lossy(&printed);
                ensure!(
                    looks_like(&printed, &expected),
                    "{}: `{command}` printed\n{printed}\ninstead of\n{expected}",
                    block.place
                );
                ran += 1;
            }
        }
    }
    ensure!(ran >= 12, "only {ran} commands were found");
    Ok(())
}

/// Runs the `sh demo` block of the README against an Envoy with `envoy/gateway.yaml`. Each comment in the block starts with the
/// expected status.
#[test]
fn the_quick_start_gets_the_documented_responses() -> Result<()> {
    let readme = Page::read(Path::new("README.md"))?;
    let block = readme.blocks().into_iter().find(|block| block.info == "sh demo").context("the README has no demo")?;
    let issuer = Issuer::start(0, &["rsa-1", "p256-1"])?;
    let claims = json!({ "aud": "demo-api", "product": "eloquent", "org_id": "org-1", "user_id": "user-1",
        "email": "user@example.com", "role": "user" });
    issuer.default_claims(claims.as_object().cloned().unwrap_or_default());
    let document = fs::read_to_string(envoy::root().join("envoy/gateway.yaml"))?;
    let mut upstreams = Vec::new();
    let mut env = Vec::new();
    for name in document.split("url: $").skip(1).filter_map(|rest| rest.split([' ', '\n', '}']).next()) {
        let upstream = Upstream::start(name, 0, Received::default())?;
        env.push((name.to_owned(), upstream.url()));
        upstreams.push(upstream);
    }
    let folder = page_folder(&readme)?;
    fs::write(folder.join("demo.yaml"), document.replace(DEMO_ISSUER, &issuer.url()))?;
    let [port, admin] = ports::free()?;
    let (document, module) = (folder.join("demo.yaml"), envoy::module()?);
    let wanted =
        Wanted { document: &document, port, admin, module: &module, embed: "struct", trusted_hops: 0, tls: None };
    let bootstrap = wanted.generate(&env)?;
    let gateway = Envoy::start(&Launch { bootstrap: &bootstrap, admin, workers: 1, env })?;
    let demo = fs::read_to_string(envoy::root().join("test-harness/src/bin/demo.rs"))?;
    let mut asked = 0;
    for pair in block.text.split("\n\n") {
        let (comment, curl) = pair.trim().split_once('\n').with_context(|| format!("no comment above {pair}"))?;
        ensure!(demo.contains(comment), "`make run` does not print `{comment}`");
        let curl = curl
            .replace("http://127.0.0.1:8080", &format!("http://127.0.0.1:{port}"))
            .replace(DEMO_ISSUER, &issuer.url());
        let output = shell(&curl, &folder)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = comment.trim_start_matches("# ").split(':').next().unwrap_or_default();
        let is_expected = printed.starts_with(&format!("HTTP/1.1 {status} "));
        ensure!(is_expected, "{comment}\n{curl}\n{printed}\n{}", gateway.log_tail(15));
        asked += 1;
    }
    ensure!(asked == 6, "expected 6 requests in the `sh demo` block of the README, found {asked}");
    Ok(())
}

fn blocks() -> Result<Vec<Block>> {
    Ok(Page::all()?.iter().flat_map(Page::blocks).collect())
}

fn node(text: &str) -> Result<Node> {
    yaml::read(text).map_err(|problem| anyhow::anyhow!("{problem}"))
}

/// Returns the address or secret that an example reads from this environment variable.
fn variable(name: &str) -> Option<String> {
    let secret = "a secret that is long enough for HS512 and protects nothing at all";
    Some(if name.ends_with("_URL") { "http://127.0.0.1:9" } else { secret }.to_owned())
}

/// Returns the `$ ` lines of a console block, each with its expected output.
fn commands(block: &Block) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in block.text.lines().filter(|_| block.info == "console") {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command, String::new())),
            (None, Some((_, expected))) => expected.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    found
}

/// Creates a folder in which the commands of a page can run. It contains a copy of the files in `envoy`.
fn page_folder(page: &Page) -> Result<PathBuf> {
    let name = page.path.display().to_string().replace(['/', '.'], "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{}-{name}", std::process::id()));
    fs::create_dir_all(folder.join("envoy"))?;
    for entry in fs::read_dir(envoy::root().join("envoy"))? {
        let file = entry?.path();
        if file.is_file() {
            fs::copy(&file, folder.join("envoy").join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(folder)
}

fn shell(command: &str, folder: &Path) -> Result<Output> {
    let program = program::program()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().unwrap_or(Path::new(".")).display());
    let mut shell = Command::new("timeout");
    shell.args(["60", "bash", "-c", command]).current_dir(folder).env("PATH", path);
    // docs/commands.md states that these variables are set.
    shell.env("AGENTS_SERVICE_URL", "http://127.0.0.1:9003").env("ADMIN_SERVICE_URL", "http://127.0.0.1:9004");
    shell.output().with_context(|| format!("cannot run {command}"))
}

/// Returns whether `printed` matches `expected`, in which `…` matches any characters.
fn looks_like(printed: &str, expected: &str) -> bool {
    let (first, rest) = expected.split_once('…').unwrap_or((expected, ""));
    let Some(mut printed) = printed.strip_prefix(first) else { return false };
    if first.len() == expected.len() {
        return printed.is_empty();
    }
    let mut pieces: Vec<&str> = rest.split('…').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = printed.split_once(piece) else { return false };
        printed = after;
    }
    printed.ends_with(last)
}

/// Returns the smallest Envoy configuration that contains this entry of `http_filters`.
fn around(filter: &str) -> Result<String> {
    let filter: serde_json::Value = serde_saphyr::from_str(filter)?;
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let router =
        json!({ "name": "envoy.filters.http.router", "typed_config": { "@type": kind("http.router.v3.Router") } });
    let manager = json!({
        "@type": kind("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "docs",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 404 } }] }] },
        "http_filters": [filter, router],
    });
    let listener = json!({
        "name": "docs",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }] }],
    });
    Ok(json!({ "static_resources": { "listeners": [listener] } }).to_string())
}

/// The URL of the test issuer in `envoy/gateway.yaml` and the README.
const DEMO_ISSUER: &str = "http://127.0.0.1:9902";

const BASE: &str = r#"
version: "1.0"
issuers:
  - name: accounts
    issuer: https://accounts.example.com/
    audiences: [orders-api]
    secret: { env: JWT_SECRET }
routes:
  - { path: /health, auth: none, response: { body: { status: ok } } }
"#;
