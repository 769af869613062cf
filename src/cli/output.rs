//! The output of commands: all output passes through this module, which escapes every hidden character.
//!
//! A command returns lines, one JSON value or a whole document. Line breaks inside a line are escaped, so a string from a
//! document, a token or an argument cannot imitate a message of the program.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use crate::printable;

/// The result of a command, for standard output.
pub enum Output {
    /// Lines of text.
    Lines(Vec<String>),
    /// The content of a whole file, such as JSON, YAML or source code. Its line breaks and tabs are kept.
    Whole(String),
}

impl Output {
    /// Returns an empty result.
    pub fn nothing() -> Output {
        Output::Lines(Vec::new())
    }

    /// Returns a result with one line.
    pub fn line(line: impl Into<String>) -> Output {
        Output::Lines(vec![line.into()])
    }

    /// Returns a result with one JSON value on several lines.
    pub fn json(value: &Value) -> Output {
        Output::Whole(format!("{value:#}\n"))
    }

    /// Returns the text for standard output.
    pub fn text(&self) -> String {
        match self {
            Output::Lines(lines) => lines.iter().map(|line| printable::one_line(line) + "\n").collect(),
            Output::Whole(text) => printable::lines(text).into_owned(),
        }
    }
}

/// Formats a JSON value as lines that can be part of a longer text.
pub fn json_lines(value: &Value) -> Vec<String> {
    format!("{value:#}").lines().map(str::to_string).collect()
}

/// Escapes the characters of an argument that a terminal executes or does not show, so that messages can repeat the argument.
pub fn argument(argument: &OsStr) -> OsString {
    match printable::one_line(&argument.to_string_lossy()) {
        Cow::Borrowed(_) => argument.to_os_string(),
        Cow::Owned(escaped) => escaped.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_json_stays_json() {
        let forged = "a: 1 route, no problems\nb: 1 route\u{1b}[2K";
        assert_eq!(Output::line(forged).text(), "a: 1 route, no problems\\nb: 1 route\\u001b[2K\n");
        let value = serde_json::json!({ "name": forged });
        let text = Output::json(&value).text();
        assert!(!text.contains('\u{1b}'));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(Output::Whole("a: 1\n\tb\u{202e}\n".to_string()).text(), "a: 1\n\tb\\u202e\n");
        assert_eq!(Output::nothing().text(), "");
    }
}
