//! The reasons for refusing a request target: a stable word for the audit record, and a phrase for people.

use std::fmt;

/// The reason why a request target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// Not a path that starts with `/`: `*`, an absolute form, or an authority.
    NotOriginForm,
    /// More than [`super::MAX_TARGET_LEN`] bytes.
    TooLong,
    /// A raw control byte or space.
    ControlOrSpace,
    /// A raw byte of 0x80 or above.
    NotAscii,
    /// A `#`. Clients do not send it, and many parsers cut the target there.
    Fragment,
    /// A `\`, which some upstreams treat as `/`.
    Backslash,
    /// A `;`. Some upstreams ignore the rest of the segment.
    Semicolon,
    /// Two slashes in a row.
    EmptySegment,
    /// A `.` or `..` segment, plain or escaped.
    DotSegment,
    /// A `%` that is not followed by two hex digits.
    InvalidEscape,
    /// `%2f`.
    EncodedSlash,
    /// `%5c`.
    EncodedBackslash,
    /// `%3b`.
    EncodedSemicolon,
    /// `%00`.
    EncodedNul,
    /// Another escaped control character, including U+0080 to U+009F.
    EncodedControl,
    /// `%25` followed by two hex digits: an escape after a second decoding. Before anything else, `%25` is a percent sign.
    EncodedPercent,
    /// Escapes that are not UTF-8, including overlong forms.
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
            Self::Semicolon => ("semicolon", "`;`, behind which some servers ignore the rest"),
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
