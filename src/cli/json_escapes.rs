//! Rewrites the string escapes in JSON text that a YAML parser would read differently.

use std::borrow::Cow;

/// Converts JSON text to YAML text. A character above U+FFFF has two escapes in JSON (`\uD83D\uDE00`) and one in YAML
/// (`\U0001F600`). All other text stays unchanged.
pub fn as_yaml(text: &str) -> Cow<'_, str> {
    let may_hold_pairs = text.trim_start().starts_with(['{', '[', '"']) && text.contains("\\u");
    if !may_hold_pairs || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        match pair(escape) {
            Some((character, behind)) => {
                out.push_str(&format!("\\U{:08x}", u32::from(character)));
                rest = behind;
            }
            None => {
                // The character after a backslash belongs to the escape, even if that character is another backslash.
                let mut characters = escape.chars();
                out.push('\\');
                out.extend(characters.next());
                rest = characters.as_str();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Parses a surrogate pair such as `uD83D\uDE00`, which is the text after the first backslash (RFC 8259 §7). Returns the
/// character and the remaining text.
fn pair(escape: &str) -> Option<(char, &str)> {
    let (high, rest) = unit(escape)?;
    let (low, rest) = unit(rest.strip_prefix('\\')?)?;
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    (u32::from(character) > 0xffff).then_some((character, rest))
}

fn unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, rest) = escape.strip_prefix('u')?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use crate::cli::yaml;

    #[test]
    fn json_with_any_string_content_parses_as_json() {
        for text in [
            r#"{"a":"\ud83d\ude00","b":"x"}"#,
            r#"["\\ud83d\\ude00 \\", "\uD83D\uDE00\ud83d\ude01", "\u00e9\/\"\b\f"]"#,
            r#"{"a":"é\u0041 😀"}"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(yaml::read(text).unwrap().to_json(), expected, "{text}");
        }
        assert_eq!(yaml::read("a: '\\ud83d\\ude00'").unwrap().to_json()["a"], "\\ud83d\\ude00");
        assert!(yaml::read(r#"{"a":"\ud83d"}"#).is_err());
    }
}
