//! `permission constants`: prints the permissions as constants, so that developers do not write masks by hand.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::{PermissionFile, all, full_name};
use crate::cli::{Exit, Failure, Output, ToolOutcome};
use crate::printable;

/// The options of `permission constants`.
#[derive(Args)]
pub struct PermissionConstantsOptions {
    #[command(flatten)]
    file: PermissionFile,
    /// The programming language
    #[arg(long, value_enum)]
    language: Language,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// TypeScript, also valid as JavaScript
    Typescript,
    Go,
    Rust,
    Java,
    Python,
}

/// A constant in the generated code, which represents one permission.
struct Constant {
    name: String,
    bit: u16,
    about: String,
}

/// Prints the constants.
pub fn run(options: &PermissionConstantsOptions) -> Result<ToolOutcome, Failure> {
    let gateway = options.file.open()?;
    let mut constants = Vec::new();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for (domain, permission) in all(&gateway) {
        let full = full_name(domain, permission);
        let name = full.replace('.', "_");
        if let Some(other) = taken.insert(name.clone(), full.clone()) {
            return Err(Failure::Message(format!(
                "`{full}` and `{other}` would both get the constant name {name}: rename one of them"
            )));
        }
        let deprecated = if permission.deprecated.is_some() { " (deprecated)" } else { "" };
        let about = format!("{full}: {}{deprecated}", permission.description);
        constants.push(Constant { name, bit: permission.bit.value, about: one_line(&about) });
    }
    let source = options.file.file.as_str();
    Ok(ToolOutcome {
        result: Output::Whole(options.language.file(source, &constants)),
        notes: Vec::new(),
        exit: Exit::Success,
    })
}

impl Language {
    fn file(self, source: &str, constants: &[Constant]) -> String {
        let comment = if self == Language::Python { "#" } else { "//" };
        let by = format!(
            "{comment} Written by `portcullis permission constants {}`; change that file, not this one.\n",
            one_line(source)
        );
        let (open, close) = match self {
            Language::Go => ("package permissions\n\n", ""),
            Language::Java => ("public final class Permissions {\n    private Permissions() {}\n", "}\n"),
            Language::Typescript | Language::Rust | Language::Python => ("", ""),
        };
        let lines: String = constants.iter().map(|constant| self.constant(constant)).collect();
        format!("{by}{open}{lines}{close}")
    }

    fn constant(self, Constant { name, bit, about }: &Constant) -> String {
        match self {
            // The constant is a BigInt, because JavaScript numbers are exact only up to 53 bits, and shifts of numbers use only
            // 32 bits.
            Language::Typescript => format!("/** {about} */\nexport const {name} = 1n << {bit}n;\n"),
            Language::Go => format!("// {about}\nconst {name} = 1 << {bit}\n"),
            Language::Python => format!("# {about}\n{name} = 1 << {bit}\n"),
            Language::Rust if *bit < 64 => format!("/// {about}\npub const {name}: u64 = 1 << {bit};\n"),
            Language::Rust => format!("/// The bit of {about}\npub const {name}_BIT: u32 = {bit};\n"),
            Language::Java if *bit < 64 => {
                format!("    /** {about} */\n    public static final long {name} = 1L << {bit};\n")
            }
            Language::Java => {
                format!("    /** The bit of {about} */\n    public static final int {name}_BIT = {bit};\n")
            }
        }
    }
}

/// Returns a string that cannot end a code comment early: one line, without `*/` and without backslashes.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if printable::is_hidden(c) || c == '\\' { ' ' } else { c })
        .collect::<String>()
        .replace("*/", "* /")
}
