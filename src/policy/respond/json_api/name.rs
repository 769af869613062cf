//! Names that JSON:API allows for members, resource types, attributes and relationships.

use std::fmt;

/// A name that the document sets for a resource type or a member (JSON:API 1.1, section Member Names).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberName(String);

/// The name of a relationship. It shares a namespace with `id`, `type` and the attributes (section Fields).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldName(MemberName);

impl MemberName {
    /// Parses a name.
    ///
    /// # Errors
    /// Returns the reason why JSON:API does not allow the name.
    pub fn parse(text: &str) -> Result<MemberName, String> {
        // JSON:API allows `@` at the start, but requires that every reader ignores such members.
        if is_member_name(text) && !text.starts_with('@') {
            return Ok(MemberName(text.to_string()));
        }
        Err(format!("`{}` is not a member name of JSON:API: {NAMES}", text.escape_debug()))
    }

    /// Returns the name. It needs no escapes in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FieldName {
    /// Parses a name.
    ///
    /// # Errors
    /// Returns the reason why JSON:API does not allow the name for a relationship.
    pub fn parse(text: &str) -> Result<FieldName, String> {
        if RESERVED.contains(&text) {
            return Err(format!("a relationship cannot have the name `{text}`, which JSON:API reserves"));
        }
        MemberName::parse(text).map(FieldName)
    }

    /// Returns the name. It needs no escapes in JSON.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns `true` if a document may contain a member of this name (sections Allowed Characters and @-Members). Names with a colon
/// belong to extensions, which a document must declare.
pub(super) fn is_member_name(name: &str) -> bool {
    let name = name.strip_prefix('@').unwrap_or(name).as_bytes();
    // In UTF-8, every byte of a character above U+007F is at least 0x80.
    let is_global = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    name.first().is_some_and(is_global)
        && name.last().is_some_and(is_global)
        && name.iter().all(|byte| is_global(byte) || matches!(byte, b'-' | b'_' | b' '))
}

/// Names that neither an attribute nor a relationship may have, because JSON:API reserves them in version 1.0 or 1.1.
pub(super) const RESERVED: [&str; 4] = ["id", "type", "links", "relationships"];

/// The accepted names, for messages.
pub(super) const NAMES: &str =
    "a name has only letters, digits and characters beyond ASCII, and between them also `-`, `_` and spaces";

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_follow_the_specification() {
        for name in ["a", "Z9", "0", "first-name", "first_name", "first name", "größe", "ü", "名前", "a--b", "😀"]
        {
            assert!(is_member_name(name) && is_member_name(&format!("@{name}")), "{name}");
            assert_eq!(MemberName::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "", "_a", "a_", "-a", "a-", " a", "a ", "a.b", "a:b", "a/b", "a\"b", "a\\b", "a\tb", "a\u{7f}b", "@", "@@a",
        ] {
            assert!(!is_member_name(name), "{name}");
            assert!(MemberName::parse(name).is_err(), "{name}");
        }
        // Every ASCII character, inside a name.
        let inside: String =
            (0..128).filter_map(char::from_u32).filter(|c| is_member_name(&format!("a{c}a"))).collect();
        assert_eq!(inside, " -0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
        assert!(MemberName::parse("@a").is_err());
        assert!(FieldName::parse("@a").is_err());
        for name in RESERVED {
            assert!(MemberName::parse(name).is_ok() && FieldName::parse(name).is_err(), "{name}");
        }
        assert_eq!(FieldName::parse("order").unwrap().to_string(), "order");
    }
}
