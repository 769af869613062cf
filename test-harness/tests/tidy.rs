//! Checks the project's own rules for dependencies, files, comments and documents.

use std::fs;
use std::path::{Path, PathBuf};

use test_harness::envoy::root;

#[test]
fn the_core_uses_no_clock_files_network_or_environment() {
    let forbidden = [
        "proxy_wasm",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "std::io",
        "Instant::now",
        "SystemTime",
        "crate::filter",
        "crate::cli",
    ];
    let files = ["src/policy", "src/config", "src/gateway", "src/strict_json"].into_iter().flat_map(sources);
    let alone = ["policy", "config", "gateway", "date", "printable", "strict_json", "protobuf"];
    let core = files.chain(alone.map(|name| root().join(format!("src/{name}.rs"))));
    let found: Vec<_> = core.flat_map(|file| mentions(&file, &forbidden)).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn imports_go_one_way() {
    let rules: [(&str, &[&str]); 5] = [
        ("src/config", &["crate::policy", "crate::gateway", "crate::hosts", "crate::cli"]),
        ("src/policy", &["crate::gateway", "crate::hosts", "crate::cli"]),
        ("src/gateway", &["crate::hosts", "crate::cli"]),
        ("src/hosts", &["crate::cli", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs", "std::fs"]),
        ("src/cli", &["crate::hosts", "proxy_wasm"]),
    ];
    let check = |(folder, forbidden): (&str, &[&str])| {
        let files: Vec<_> = sources(folder).into_iter().chain([root().join(format!("{folder}.rs"))]).collect();
        files.iter().flat_map(|file| mentions(file, forbidden)).collect::<Vec<_>>()
    };
    let found: Vec<_> = rules.into_iter().flat_map(check).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_files_that_call_envoy_contain_unsafe_code() {
    let audited = ["src/hosts/wasm/host", "src/hosts/dynamic_module/envoy"].map(|place| root().join(place));
    let is_audited =
        |file: &PathBuf| audited.iter().any(|folder| file.starts_with(folder) || *file == folder.with_extension("rs"));
    let files = sources("src").into_iter().filter(|file| !is_audited(file));
    let found: Vec<_> = files.flat_map(|file| mentions(&file, &["unsafe {", "unsafe fn", "extern \"C\""])).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_file_starts_with_a_sentence_and_is_short() {
    let mut found = Vec::new();
    for file in sources("src").into_iter().chain(sources("test-harness")) {
        let text = read(&file);
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || !(first.ends_with('.') || first.len() > 60) {
            found.push(format!("{}: the first line must be a `//! ` sentence: {first}", shown(&file)));
        }
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let excused = LONGER.iter().any(|(name, _)| shown(&file) == *name);
        if (lines > MAX_LINES) != excused {
            found.push(format!(
                "{}: {lines} lines before its tests; at most {MAX_LINES} are allowed, or an entry in LONGER",
                shown(&file)
            ));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn nothing_is_left_open_or_names_this_machine() {
    let home = std::env::var("HOME").unwrap_or_default();
    let here = root().canonicalize().unwrap();
    let open = ["todo!(", "unimplemented!(", "TODO", "FIXME", "#[ignore", "#[allow("];
    let this = Path::new(file!()).file_name().unwrap();
    let mut found = Vec::new();
    for file in tracked_texts().into_iter().filter(|file| file.file_name() != Some(this)) {
        found.extend(mentions(&file, &open));
        for place in [home.as_str(), here.to_str().unwrap()].into_iter().filter(|place| place.len() > 1) {
            found.extend(mentions(&file, &[place]));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn documents_name_only_targets_and_files_that_exist() {
    let makefile = read(&root().join("Makefile"));
    let mut found = Vec::new();
    for file in tracked_texts().into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "md")) {
        for word in read(&file).split('`').skip(1).step_by(2) {
            if let Some(target) = word.strip_prefix("make ").and_then(|rest| rest.split_whitespace().next())
                && !makefile.lines().any(|line| line.starts_with(&format!("{target}:")))
            {
                found.push(format!("{}: `{word}` is not a target of the Makefile", shown(&file)));
            }
            let is_path = ["src/", "envoy/", "test-harness/", "docs/"].iter().any(|start| word.starts_with(start));
            if is_path && !word.contains([' ', '*', '{', '…']) && !root().join(word).exists() {
                found.push(format!("{}: `{word}` does not exist", shown(&file)));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The phrases in [`STIFF`] are hard to read for engineers who are not native speakers. CONTRIBUTING.md requires plain English.
#[test]
fn comments_and_pages_are_plain_english() {
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| root().join(page));
    let decisions = fs::read_dir(root().join("docs/decisions")).unwrap().map(|entry| entry.unwrap().path());
    let code = ["src", "test-harness", "tests", "benches"].into_iter().flat_map(sources);
    let mut found = Vec::new();
    for file in code.chain(pages).chain(decisions) {
        let is_code = file.extension().is_some_and(|ending| ending == "rs");
        for (at, line) in read(&file).lines().enumerate() {
            let text = if is_code { line.split_once("// ").map_or("", |(_, comment)| comment) } else { line };
            let is_doc = is_code && ["/// ", "//! "].iter().any(|start| line.trim_start().starts_with(start));
            let text = if is_doc { line.trim_start().get(4..).unwrap_or_default() } else { text };
            // Text in backticks is skipped, because it contains code and names of tests.
            let words: Vec<&str> = text.split('`').step_by(2).collect();
            let words = format!(" {} ", words.join(" ").to_lowercase().replace(|c: char| !c.is_alphanumeric(), " "));
            let phrases = STIFF.iter().filter(|phrase| words.contains(&format!(" {phrase} ")));
            found.extend(phrases.map(|phrase| format!("{}:{}: `{phrase}`", shown(&file), at + 1)));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

fn mentions(file: &Path, forbidden: &[&str]) -> Vec<String> {
    let text = read(file);
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for (at, line) in code {
        let named = forbidden.iter().filter(|word| line.contains(*word));
        found.extend(named.map(|word| format!("{}:{}: `{word}`", shown(file), at + 1)));
    }
    found
}

/// Returns all Rust files below a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns the text files in the folders of the project.
fn tracked_texts() -> Vec<PathBuf> {
    let mut found = sources("src");
    found.extend(sources("test-harness"));
    for folder in
        ["", "docs", "envoy", "test-harness", "test-harness/cases", "test-harness/setup", "test-harness/browser", ".ci"]
    {
        let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten().map(|entry| entry.path());
        let text = |path: &PathBuf| {
            path.is_file()
                && !path.extension().is_some_and(|ending| ending == "lock" || ending == "rs" || ending == "svg")
        };
        found.extend(entries.filter(text));
    }
    found
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

const MAX_LINES: usize = 300;
/// Files that may be longer than [`MAX_LINES`], each with the reason.
const LONGER: &[(&str, &str)] = &[];

const STIFF: &[&str] = &[
    "whoever",
    "told",
    "tells",
    "stands",
    "none for every one",
    "what of",
    "so many",
    "at the most",
    "gives up",
    "comes under",
    "begins anew",
    "in the place of",
    "has not got",
];
