//! Escapes control characters and invisible characters, so that a text is safe to print in a terminal or a log.
//!
//! The escapes are those of JSON (RFC 8259 §7), so a JSON text stays valid and keeps its meaning.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes the text for output on one line. Line breaks and tabs are escaped too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Escapes the text but keeps its line breaks and tabs. Use it for text of several lines, such as pretty-printed JSON.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Returns `true` for characters that a terminal executes or does not show: control characters (C0, DEL, C1), line and paragraph
/// separators, bidirectional controls (CVE-2021-42574), and all other invisible characters.
pub fn is_hidden(c: char) -> bool {
    // Most characters are ASCII, which needs no search in the table.
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Most audit records are printable ASCII, so the common case returns the text without a copy.
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    let must_escape = |c: char| is_hidden(c) && !is_kept(c);
    if !text.chars().any(must_escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !must_escape(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
        }
    }
    Cow::Owned(out)
}

/// The non-ASCII characters of the general categories Cc, Cf, Zl and Zp, and those with the property
/// `Default_Ignorable_Code_Point` (Unicode 16).
const HIDDEN: [(u32, u32); 31] = [
    (0x0080, 0x009f),
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x0001_10bd, 0x0001_10bd),
    (0x0001_10cd, 0x0001_10cd),
    (0x0001_3430, 0x0001_343f),
    (0x0001_bca0, 0x0001_bca3),
    (0x0001_d173, 0x0001_d17a),
    // Tags and supplementary variation selectors, which can encode hidden text.
    (0x000e_0000, 0x000e_0fff),
    // Noncharacters.
    (0xfdd0, 0xfdef),
    (0xfffe, 0xffff),
    (0x000f_fffe, 0x000f_ffff),
    (0x0010_fffe, 0x0010_ffff),
    (0x0001_fffe, 0x0001_ffff),
];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_hidden_characters_are_escaped() {
        for (text, line, several) in [
            ("plain `text` \\ \"é\" 日本 😀", "plain `text` \\ \"é\" 日本 😀", "plain `text` \\ \"é\" 日本 😀"),
            ("a\nb\tc\r\n", "a\\nb\\tc\\r\\n", "a\nb\tc\\r\n"),
            ("\u{1b}[31m\u{7f}\u{0}", "\\u001b[31m\\u007f\\u0000", "\\u001b[31m\\u007f\\u0000"),
            ("\u{85}\u{9b}31m", "\\u0085\\u009b31m", "\\u0085\\u009b31m"),
            (
                "\u{2028}\u{202e}\u{2066}\u{200f}\u{61c}",
                "\\u2028\\u202e\\u2066\\u200f\\u061c",
                "\\u2028\\u202e\\u2066\\u200f\\u061c",
            ),
            ("a\u{200b}\u{ad}\u{feff}\u{fe0f}", "a\\u200b\\u00ad\\ufeff\\ufe0f", "a\\u200b\\u00ad\\ufeff\\ufe0f"),
            ("\u{e0041}", "\\udb40\\udc41", "\\udb40\\udc41"),
        ] {
            assert_eq!(one_line(text), line);
            assert_eq!(lines(text), several);
        }
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let value = serde_json::json!({ "a\u{202e}": "\u{7f}\u{9b}\u{e0041}\n", "b": ["\u{1b}", "é"] });
        for text in [value.to_string(), format!("{value:#}")] {
            let printed = lines(&text);
            assert!(!printed.chars().any(|c| is_hidden(c) && c != '\n'), "{printed:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
        }
    }
}
