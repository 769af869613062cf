//! Tests that the imports between the files of `src` follow the project's rules.
//!
//! Files and modules must not import each other in a loop. The components in [`SELF_CONTAINED`] must not import other parts of
//! the crate. Only fixed folders may use a third-party crate. A stage may call a function of another stage only if [`SHARED`]
//! lists it.
//!
//! The tests find the files in the directory tree and the dependencies in `Cargo.toml`.
//!
//! `SOURCES=DIR cargo test --test stages` checks another checkout.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a helper that fails must fail the test"
)]

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;

use imports::{Import, Sources, cycles, names_of};

#[test]
fn no_files_import_each_other_in_a_loop() {
    let found = cycles(&sources().imports());
    assert!(found.is_empty(), "{} loops: {found:#?}", found.len());
}

/// The folders of `src` form layers: their imports contain no loop.
#[test]
fn no_modules_import_each_other_in_a_loop() {
    let top = |path: &str| names_of(path).into_iter().next().unwrap_or_default();
    let between = sources().imports().into_iter().map(|import| Import {
        from: top(&import.from),
        to: top(&import.to),
        item: String::new(),
    });
    let found = cycles(&between.filter(|import| !import.from.is_empty() && import.from != import.to).collect());
    assert!(found.is_empty(), "{found:#?}");
}

/// The shared vocabulary, `src/policy/verdict`, must not import other modules of the policy.
#[test]
fn the_vocabulary_imports_nothing_else_of_the_policy() {
    let is_upward = |import: &Import| {
        import.from.starts_with("src/policy/verdict")
            && import.to.starts_with("src/policy")
            && !import.to.starts_with("src/policy/verdict")
    };
    let found: Vec<_> = sources().imports().into_iter().filter(is_upward).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Every file of [`SELF_CONTAINED`] imports only files of its own component, the standard library and third-party crates.
#[test]
fn components_import_nothing_else_of_the_crate() {
    let sources = sources();
    let imports = sources.all_imports();
    for (file, folder) in SELF_CONTAINED {
        assert!(sources.files.contains_key(file), "no file {file}");
        let is_inside = |path: &str| names_of(path).starts_with(&names_of(folder));
        assert!(is_inside(file) && imports.iter().any(|import| is_inside(&import.from)), "{folder} imports nothing");
        let found: Vec<_> = imports.iter().filter(|i| is_inside(&i.from) && !is_inside(&i.to)).collect();
        assert!(found.is_empty(), "{folder} imports other parts of the crate: {found:#?}");
    }
}

/// Each folder of `src/policy` is one concern. A concern may use the types of other concerns, but may call only those of their
/// functions that [`SHARED`] lists. The compiler and the values of the pipeline may use all concerns.
#[test]
fn no_stage_calls_another() {
    let concern = |path: &str| match names_of(path).as_slice() {
        [policy, concern, ..] if policy == "policy" => Some(concern.clone()),
        _ => None,
    };
    let calls = sources().imports().into_iter().filter_map(|import| {
        let (from, to) = (concern(&import.from)?, concern(&import.to)?);
        let is_function = import.item.starts_with(|c: char| c.is_lowercase());
        let is_free = from == to || to == "verdict" || from == "compile" || from == "pipeline";
        (is_function && !is_free).then(|| format!("{from}: {}::{}", names_of(&import.to).join("::"), import.item))
    });
    let calls: BTreeSet<String> = calls.collect();
    let shared: BTreeSet<String> = SHARED.iter().map(|(call, _)| (*call).to_owned()).collect();
    let unexpected: Vec<_> = calls.difference(&shared).collect();
    assert!(unexpected.is_empty(), "one stage uses another's functions: {unexpected:#?}");
    let unused: Vec<_> = shared.difference(&calls).collect();
    assert!(unused.is_empty(), "SHARED lists these calls, but no stage makes them: {unused:#?}");
}

/// The table of `Cargo.toml` that lists a crate decides which folders may use the crate. Only a host may use a crate for wasm
/// targets. Only the command line may use a crate for native targets, and only the host of the dynamic module may use a crate that
/// its feature enables. The command line and at most two other folders may use any other crate.
#[test]
fn third_party_names_stay_in_their_places() {
    let sources = sources();
    for (name, tables) in dependencies() {
        let pattern = format!("{}::", name.replace('-', "_"));
        let named = sources.files.iter().filter(|(_, text)| is_named(text, &pattern)).map(|(path, _)| names_of(path));
        let places: BTreeSet<String> =
            named.map(|names| names.iter().take(2).cloned().collect::<Vec<_>>().join("/")).collect();
        let others: Vec<_> = places.iter().filter(|place| !place.starts_with("cli")).collect();
        let is_for_wasm = tables.iter().all(|table| table.contains("target_os = \"wasi\"") && !table.contains("not("));
        let is_for_native = tables.iter().all(|table| table.contains("not(target_family = \"wasm\")"));
        match () {
            // Every folder may use `serde_json` and `serde`.
            () if name == "serde_json" || name == "serde" => {}
            () if is_for_wasm => assert!(
                places.iter().all(|place| place.starts_with("hosts/") || place.is_empty()),
                "{name} is only for wasm targets, so only hosts may use it, but these folders use it: {places:?}"
            ),
            // The feature of the dynamic module is named after its folder.
            () if is_enabled_by("dynamic-module", &name) => assert_eq!(
                Vec::from_iter(&places),
                ["hosts/dynamic_module"],
                "{name} is only for the dynamic module, so only its host may use it"
            ),
            () if is_for_native => {
                assert!(
                    others.is_empty(),
                    "{name} is only for native targets, so only the command line may use it, but these folders use it: {others:?}"
                )
            }
            () => assert!(
                others.len() <= 2,
                "the command line and at most two other folders may use {name}, but these use it: {others:?}"
            ),
        }
    }
}

/// No two types share a name, so that each name has one meaning. Each file of [`ALTERNATIVES`] is compiled instead of another
/// file and repeats the names of that file.
#[test]
fn no_two_types_share_a_name() {
    // The hosts are alternatives with the same structure, so their types may have the same names.
    let place = |path: &str| if path.starts_with("src/hosts/") { "src/hosts" } else { path }.to_owned();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources().files.iter().filter(|(path, _)| !ALTERNATIVES.contains(&path.as_str())) {
        for line in text.lines() {
            let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let kind = words.iter().position(|word| ["struct", "enum", "trait", "type"].contains(word));
            let Some(at) = kind.filter(|at| {
                words[..*at].iter().all(|word| ["", "pub", "super", "crate", "in", "policy"].contains(word))
            }) else {
                continue;
            };
            let is_associated = words[at] == "type" && line.starts_with(' ');
            if let Some(name) = words.get(at + 1).filter(|_| !is_associated) {
                found.entry((*name).to_owned()).or_default().insert(place(path));
            }
        }
    }
    assert!(found.len() > 300, "only {} types", found.len());
    found.retain(|_, places| places.len() > 1);
    assert!(found.is_empty(), "{found:#?}");
}

/// No rule limits comments. This test prints the ratio of code to comments for reviewers (`cargo test --test stages --
/// --nocapture`).
#[test]
fn comments_are_reported() {
    let (mut code, mut comments) = (0, 0);
    let mut lengths = Vec::new();
    for path in sources().files.keys() {
        let text = fs::read_to_string(root().join(path)).unwrap();
        lengths.push(text.lines().count());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            *if line.starts_with("//") { &mut comments } else { &mut code } += 1;
        }
    }
    lengths.sort_unstable();
    assert!(!lengths.is_empty() && comments > 0);
    println!("src: {} files, the median length is {} lines", lengths.len(), lengths[lengths.len() / 2]);
    println!("src: a line of comment for {:.1} lines of code", f64::from(code) / f64::from(comments));
}

fn root() -> PathBuf {
    env::var_os("SOURCES").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn sources() -> Sources {
    Sources::read(&root())
}

/// Returns every direct dependency, with the tables that list it.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = "";
    for line in text.lines() {
        match line.strip_prefix('[') {
            Some(header) => table = header,
            None if table.ends_with("dependencies]") && !table.contains("dev-") => {
                if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                    found.entry(name.trim().to_owned()).or_default().push(table.to_owned());
                }
            }
            None => {}
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Returns whether a feature in `Cargo.toml` enables an optional crate.
fn is_enabled_by(feature: &str, name: &str) -> bool {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    text.lines().any(|line| line.starts_with(&format!("{feature} = [")) && line.contains(&format!("\"dep:{name}\"")))
}

/// Returns whether the code names a crate at the start of a path. A module of this crate may have the same name.
fn is_named(text: &str, pattern: &str) -> bool {
    let name = pattern.trim_end_matches(':');
    let is_word = |line: &str| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name);
    let is_own = |line: &str| line.starts_with("use crate::") || line.starts_with("use super::");
    let starts = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    !text.lines().any(|line| is_own(line) && is_word(line)) && text.match_indices(pattern).any(|(at, _)| starts(at))
}

/// Functions of one concern that other concerns may call, each with the reason.
const SHARED: &[(&str, &str)] = &[
    ("authority: policy::credentials::footprint::block", "sizes in memory are rounded in one place"),
    ("authority: policy::credentials::issuer::holds", "claims are compared in one way"),
    ("authority: policy::request::guard::parameters", "queries are read in one place"),
    ("checks: policy::request::guard::parameters", "queries are read in one place"),
    ("credentials: policy::limits::after_authentication", "a credential is counted when it is found invalid"),
    ("credentials: policy::limits::before_authentication", "credentials are not verified after too many invalid ones"),
    ("credentials: policy::request::guard::query_pairs", "queries are read in one place"),
    (
        "credentials: policy::request::guard::read_host",
        "the host of an origin is normalized in the same way as the host of a request",
    ),
    ("credentials: policy::request::guard::without_query_pair", "queries are written in one place"),
];

/// Components that could be separate crates. Each entry has the main file of a component, and the folder with all other files
/// that it needs. These are the JSON Schema validator, the RSA verification and the condition language.
const SELF_CONTAINED: [(&str, &str); 3] = [
    ("src/strict_json/schema.rs", "src/strict_json"),
    ("src/policy/credentials/signature/rsa.rs", "src/policy/credentials/signature/rsa"),
    ("src/policy/authority/condition.rs", "src/policy/authority/condition"),
];

/// Files that are compiled instead of another file: one in a build without JSON Schema, one for a host that verifies ECDSA
/// signatures itself.
const ALTERNATIVES: [&str; 2] = ["src/strict_json/no_schema.rs", "src/policy/credentials/signature/ec_host.rs"];
