//! The reasons for refusing a request target, each with a stable word for the audit record and a message.

use std::fmt;

/// The reason why a request target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// The target is not a path that starts with `/`, but `*`, an absolute form, or an authority.
    NotOriginForm,
    /// The target has more than [`super::MAX_TARGET_LEN`] bytes.
    TooLong,
    /// The target has a raw control byte or space.
    ControlOrSpace,
    /// The target has a raw byte of 0x80 or above.
    NotAscii,
    /// The target has a `#`. HTTP clients do not send fragments, and many parsers end the target at this character.
    Fragment,
    /// The path has a `\`, which some upstreams treat as `/`.
    Backslash,
    /// The path has a `;`. Some upstreams ignore the rest of the segment.
    Semicolon,
    /// The path has two slashes in a row.
    EmptySegment,
    /// The path has a `.` or `..` segment, plain or escaped.
    DotSegment,
    /// The path has a `%` that is not followed by two hex digits.
    InvalidEscape,
    /// The path has `%2f`, an escaped slash.
    EncodedSlash,
    /// The path has `%5c`, an escaped backslash.
    EncodedBackslash,
    /// The path has `%3b`, an escaped semicolon.
    EncodedSemicolon,
    /// The path has `%00`, an escaped NUL.
    EncodedNul,
    /// The path has another escaped control character. U+0080 to U+009F count as control characters.
    EncodedControl,
    /// The path has `%25` followed by two hex digits, which become an escape after one decoding. Other uses of `%25` are
    /// accepted.
    EncodedPercent,
    /// The escapes of the path are not valid UTF-8. Overlong forms are invalid.
    NotUtf8,
}

impl PathFault {
    /// Returns the stable word for the audit record.
    pub fn reason(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotOriginForm => ("not_origin_form", "a path starts with `/`"),
            Self::TooLong => ("too_long", "a path with its query has at most 8192 bytes"),
            Self::ControlOrSpace => ("control_or_space", "a control character or space (a space is written `%20`)"),
            Self::NotAscii => ("not_ascii", "a character outside ASCII (it is written as escaped UTF-8)"),
            Self::Fragment => ("fragment", "`#` (a literal one is written `%23`)"),
            Self::Backslash => ("backslash", "`\\`, which some servers read as `/`"),
            Self::Semicolon => ("semicolon", "`;`, because some servers ignore the rest of the segment"),
            Self::EmptySegment => ("empty_segment", "an empty segment (`//`)"),
            Self::DotSegment => ("dot_segment", "a `.` or `..` segment"),
            Self::InvalidEscape => ("invalid_escape", "a `%` without two hex digits (a literal one is written `%25`)"),
            Self::EncodedSlash => ("encoded_slash", "an escaped slash (`%2F`)"),
            Self::EncodedBackslash => ("encoded_backslash", "an escaped backslash (`%5C`)"),
            Self::EncodedSemicolon => ("encoded_semicolon", "an escaped semicolon (`%3B`)"),
            Self::EncodedNul => ("encoded_nul", "an escaped NUL (`%00`)"),
            Self::EncodedControl => ("encoded_control", "an escaped control character"),
            Self::EncodedPercent => {
                ("encoded_percent", "an escape that was escaped again (`%25` before two hex digits)")
            }
            Self::NotUtf8 => ("not_utf8", "escapes that are not UTF-8"),
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

impl std::error::Error for PathFault {}
