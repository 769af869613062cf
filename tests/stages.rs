//! Who may name whom: third-party crates stay in their files, and no stage of the pipeline calls another.

#![expect(clippy::unwrap_used, reason = "a test's helpers end it as its assertions do")]

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the package's folder, and its text.
struct Source {
    path: String,
    text: String,
}

#[test]
fn third_party_names_stay_in_their_files() {
    for (name, homes) in HOMES {
        for source in sources(&["src"]) {
            let at_home = homes.iter().any(|home| source.path.starts_with(home));
            assert!(at_home || !names(&source.text, name), "{} names {name}, which belongs to {homes:?}", source.path);
        }
    }
}

/// A stage names the nouns it is handed (types), and of other stages nothing but what [`SHARED`] allows.
#[test]
fn no_stage_calls_another() {
    let mut calls = Vec::new();
    for stage in STAGES {
        for source in sources(&["src/policy"]).iter().filter(|source| is_part_of(&source.path, stage)) {
            let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for other in STAGES.iter().filter(|other| **other != stage) {
                let functions = imports(text, other).into_iter().filter(|name| !name.starts_with(char::is_uppercase));
                calls.extend(functions.map(|name| (stage, format!("{other}::{name}"), source.path.clone())));
            }
        }
    }
    let is_shared = |stage: &str, name: &str| SHARED.iter().any(|(by, what, _)| *by == stage && *what == name);
    let unexpected: Vec<_> = calls.iter().filter(|(stage, name, _)| !is_shared(stage, name)).collect();
    assert!(unexpected.is_empty(), "one stage uses another's functions: {unexpected:#?}");
    for (by, what, why) in SHARED {
        let is_used = calls.iter().any(|(stage, name, _)| stage == by && name == what);
        assert!(is_used, "{by} may use {what} ({why}) and does not");
    }
}

fn is_part_of(path: &str, stage: &str) -> bool {
    path == format!("src/policy/{stage}.rs") || path.starts_with(&format!("src/policy/{stage}/"))
}

/// Comments are not counted by a rule; the figure is printed for reviewers (`cargo test --test stages -- --nocapture`).
#[test]
fn comments_are_reported() {
    let (mut code, mut comments) = (0, 0);
    let mut lengths = Vec::new();
    for source in sources(&["src"]) {
        lengths.push(source.text.lines().count());
        for line in source.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            *if line.starts_with("//") { &mut comments } else { &mut code } += 1;
        }
    }
    lengths.sort_unstable();
    assert!(!lengths.is_empty() && comments > 0);
    println!("src: {} files, {} lines in the middle one", lengths.len(), lengths[lengths.len() / 2]);
    println!("src: a line of comment for {:.1} lines of code", f64::from(code) / f64::from(comments));
}

/// Every Rust file in these folders (or the file itself), in the order of their paths.
fn sources(places: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    places.iter().for_each(|place| collect(Path::new(place), &mut found));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no sources under {places:?}");
    found
}

fn collect(place: &Path, found: &mut Vec<Source>) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if place.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(root.join(place)).unwrap();
        found.push(Source { path: place.display().to_string(), text });
    } else if root.join(place).is_dir() && !place.ends_with("target") && !place.ends_with("node_modules") {
        for entry in fs::read_dir(root.join(place)).unwrap() {
            collect(&place.join(entry.unwrap().file_name()), found);
        }
    }
}

/// Whether the code, not a comment, has this name.
fn names(text: &str, name: &str) -> bool {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).any(|line| line.contains(name))
}

/// What a file imports from `module` of the policy, or calls in it by its path.
fn imports(text: &str, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in [format!("super::{module}::"), format!("policy::{module}::")] {
        for after in text.split(path.as_str()).skip(1) {
            let list = after.strip_prefix('{').and_then(|list| list.split('}').next()).unwrap_or(after);
            let is_list = after.starts_with('{');
            for item in list.split(',').take(if is_list { usize::MAX } else { 1 }) {
                let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.extend((!name.is_empty()).then_some(name));
            }
        }
    }
    let as_a_whole = ["super", "crate::policy"].map(|parent| format!("use {parent}::{module};"));
    if as_a_whole.iter().any(|import| names(text, import)) {
        for after in text.split(&format!("{module}::")).skip(1) {
            found.push(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

/// The stages of the pipeline, in their order. The other files of `src/policy` are nouns that stages hand on.
const STAGES: [&str; 12] = [
    "guard",
    "route",
    "cors",
    "credential",
    "api_key",
    "authenticate",
    "cross_origin",
    "revocation",
    "authorize",
    "limit",
    "forward",
    "reply",
];

/// Functions of one stage that another may use: who, which, and why.
const SHARED: &[(&str, &str, &str)] = &[
    ("route", "guard::percent", "a pattern is compared in the spelling the guard gives to requests"),
    ("route", "guard::read_target", "a pattern that the guard would refuse in a request could never match"),
    ("route", "guard::read_host", "the same for a host"),
    ("cross_origin", "guard::read_host", "an origin's host is compared in the spelling of the request's"),
    ("credential", "guard::query_pairs", "queries are read in one place"),
    ("api_key", "guard::query_pairs", "the same"),
    ("api_key", "guard::without_query_pair", "and written there"),
    ("forward", "guard::without_query_pair", "the same"),
    ("forward", "credential::cookies", "a token is taken out by the reading that found it"),
    ("forward", "credential::strip_bearer", "the same for a header"),
];

/// Crates that only some files may name.
const HOMES: &[(&str, &[&str])] = &[
    ("proxy_wasm", &["src/filter", "src/lib.rs"]),
    ("jwt_compact", &["src/policy/jwks", "src/policy/signature", "src/cli/token"]),
    ("siphasher", &["src/policy/limit/key.rs"]),
    ("clap", &["src/cli"]),
    ("saphyr_parser", &["src/cli/yaml.rs", "src/cli/scalar.rs"]),
    (
        "sha2::",
        &["src/policy/sharing", "src/policy/signature", "src/policy/algorithm.rs", "src/policy/api_key.rs", "src/cli"],
    ),
    ("subtle", &["src/policy/clients.rs"]),
];
