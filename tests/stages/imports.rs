//! Reads the imports between the files of `src`, and finds groups of files that import each other in a loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The source files under `src`, without tests.
pub struct Sources {
    /// The text by path, such as `src/policy/world.rs`.
    pub files: BTreeMap<String, String>,
    /// Maps each module to the path of its file. The key is the list of names from the crate root to the module.
    modules: BTreeMap<Vec<String>, String>,
}

/// An import: the importing file, the imported file, and the item.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub to: String,
    pub item: String,
}

impl Sources {
    /// Reads all source files under this folder.
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(root, &root.join("src"), &mut files);
        assert!(!files.is_empty(), "no sources under {}", root.display());
        let modules = files.keys().map(|path| (names_of(path), path.clone())).collect();
        Self { files, modules }
    }

    /// Returns every import. Omits imports of an ancestor module, because a child module belongs to its parent.
    pub fn imports(&self) -> BTreeSet<Import> {
        let is_ancestor = |import: &Import| names_of(&import.from).starts_with(&names_of(&import.to));
        self.all_imports().into_iter().filter(|import| !is_ancestor(import)).collect()
    }

    /// Returns every import, including imports from ancestor modules.
    pub fn all_imports(&self) -> BTreeSet<Import> {
        let mut found = BTreeSet::new();
        for (from, text) in &self.files {
            let own = names_of(from);
            for path in paths(text) {
                let Some(path) = absolute(&path, &own, text) else { continue };
                let lengths = (0..=path.len()).rev();
                let target = lengths.filter_map(|n| Some((n, self.modules.get(path.get(..n)?)?))).next();
                let Some((length, to)) = target else { continue };
                let Some(item) = path.get(length) else { continue };
                found.insert(Import { from: from.clone(), to: to.clone(), item: item.clone() });
            }
        }
        found
    }
}

/// Returns the groups of files that import each other in a loop, each sorted by path.
pub fn cycles(imports: &BTreeSet<Import>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached = |from: &str| -> BTreeSet<String> {
        let (mut seen, mut pending) = (BTreeSet::new(), vec![from]);
        while let Some(at) = pending.pop() {
            for to in next.get(at).into_iter().flatten() {
                if seen.insert((*to).to_owned()) {
                    pending.push(to);
                }
            }
        }
        seen
    };
    let reachable: BTreeMap<&str, BTreeSet<String>> = next.keys().map(|from| (*from, reached(from))).collect();
    let mut groups = BTreeSet::new();
    for (from, to) in &reachable {
        if to.contains(*from) {
            let is_back = |other: &&String| reachable.get(other.as_str()).is_some_and(|to| to.contains(*from));
            groups.insert(to.iter().filter(is_back).cloned().collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
}

/// Returns the segments of a file's module path: `policy` and `world` for `src/policy/world.rs`, and none for `src/lib.rs`.
pub fn names_of(path: &str) -> Vec<String> {
    let names = path.trim_start_matches("src/").trim_end_matches(".rs");
    if names == "lib" { Vec::new() } else { names.split('/').map(str::to_owned).collect() }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_test = ["tests", "properties"].contains(&name.trim_end_matches(".rs")) || name == "main.rs";
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
            files.insert(path.strip_prefix(root).unwrap().display().to_string(), code.join("\n"));
        }
    }
}

/// Returns every path in a file that may refer to another file: the paths in `use` and the paths in the code.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("use ") {
        code.push_str(before);
        let is_statement = before.trim_end_matches(' ').ends_with(['\n', ')']) || before.trim_end().ends_with("pub");
        if !is_statement && !before.is_empty() {
            code.push_str("use ");
            rest = after;
            continue;
        }
        let (tree, behind) = after.split_once(';').unwrap_or((after, ""));
        expand(tree, &[], &mut found);
        rest = behind;
    }
    code.push_str(rest);
    let imported: BTreeMap<String, Vec<String>> =
        found.iter().filter_map(|path| Some((path.last()?.clone(), path.clone()))).collect();
    let is_part = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    for word in code.split(is_part).filter(|word| word.contains("::") && !word.starts_with(':')) {
        let path: Vec<String> = word.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match path.split_first() {
            Some((first, rest)) if imported.contains_key(first) => found.push([&imported[first], rest].concat()),
            _ => found.push(path),
        }
    }
    found
}

/// Expands a `use` tree: `a::{b, c::d}` has two paths.
fn expand(tree: &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut depth = 0;
    let parts = tree.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let names = |text: &str| -> Vec<String> {
            text.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        match part.split_once('{') {
            Some((head, inner)) => {
                let inner = inner.strip_suffix('}').unwrap_or(inner);
                expand(inner, &[prefix, &names(head)].concat(), found);
            }
            None => {
                let path = part.split(" as ").next().unwrap_or(part);
                let path = names(path);
                let path = if path.last().is_some_and(|last| last == "self") { &path[..path.len() - 1] } else { &path };
                found.push([prefix, path].concat());
            }
        }
    }
}

/// Returns a path from the crate root, or `None` if it leads out of the crate.
fn absolute(path: &[String], own: &[String], text: &str) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([own, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            Some([own.get(..own.len().checked_sub(ups)?)?, path.get(ups..)?].concat())
        }
        child if text.contains(&format!("mod {child};")) => Some([own, path].concat()),
        _ => None,
    }
}
