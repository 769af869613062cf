//! Computes the code size of each crate in a module from the function names that the compiler writes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// Returns the crates of a module and their code sizes, largest first. The module must still have its function names. Functions
/// outside `reached` do not count, because packing empties them.
pub fn largest(module: &[u8], bodies: &[(u32, usize)], reached: &BTreeSet<u32>) -> Result<Vec<(String, usize)>> {
    let names = names(module)?;
    let mut crates = BTreeMap::<String, usize>::new();
    for (index, bytes) in bodies.iter().filter(|(index, _)| reached.contains(index)) {
        let name =
            names.get(index).with_context(|| format!("function {index} has no name; use a module before packing"))?;
        *crates.entry(owner(name)).or_default() += bytes;
    }
    let mut crates: Vec<_> = crates.into_iter().collect();
    crates.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(crates)
}

fn names(module: &[u8]) -> Result<BTreeMap<u32, &str>> {
    let mut found = BTreeMap::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(section) = payload? else { continue };
        let KnownCustom::Name(subsections) = section.as_known() else { continue };
        for subsection in subsections {
            if let Name::Function(functions) = subsection? {
                for function in functions {
                    let function = function?;
                    found.insert(function.index, function.name);
                }
            }
        }
    }
    Ok(found)
}

/// Returns the crate of a function: the first segment of its path, or of the path of its type if it is a method. A method of a
/// primitive type or a type parameter belongs to `core`. A function without a path belongs to the C library.
fn owner(name: &str) -> String {
    let path = format!("{:#}", rustc_demangle::demangle(name));
    let path = path.trim_start_matches(['<', '&', '*', '[', '(']);
    let path =
        ["dyn ", "mut ", "const ", "impl "].iter().fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    let first: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let is_own = first.starts_with("portcullis");
    match (is_own, path.contains("::")) {
        (true, _) => "portcullis".to_owned(),
        (false, true) if !matches!(first.as_str(), "str" | "u8" | "T" | "I" | "F" | "A") => first,
        (false, true) => "core".to_owned(),
        (false, false) => "C library".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn functions_belong_to_crates() {
        for (name, expected) in [
            ("<serde_json::value::Value as core::clone::Clone>::clone", "serde_json"),
            ("<&portcullis::policy::Policy as core::fmt::Debug>::fmt", "portcullis"),
            ("portcullis_on_log", "portcullis"),
            ("<[T]>::concat::x", "core"),
            ("sha2::sha256::compress256", "sha2"),
            ("memcpy", "C library"),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }
}
