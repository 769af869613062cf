//! The reasons for which a request target is refused: a stable word for the audit record, a phrase for people.

use std::fmt;

/// Why a request target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// Anything but a path that starts with `/`: `*`, an absolute form, an authority.
    NotOriginForm,
    /// More than [`super::MAX_TARGET_LEN`] bytes.
    TooLong,
    /// A raw control byte or space.
    ControlOrSpace,
    /// A raw byte of 0x80 or above.
    NotAscii,
    /// A `#`, which no client sends and many parsers cut at.
    Fragment,
    /// A `\`, which some upstreams read as `/`.
    Backslash,
    /// A `;`, behind which some upstreams drop the rest of a segment.
    Semicolon,
    /// Two slashes in a row.
    EmptySegment,
    /// A `.` or `..` segment, plain or escaped.
    DotSegment,
    /// A `%` that two hex digits do not follow.
    InvalidEscape,
    /// `%2f`.
    EncodedSlash,
    /// `%5c`.
    EncodedBackslash,
    /// `%3b`.
    EncodedSemicolon,
    /// `%00`.
    EncodedNul,
    /// Any other escaped control character, those of U+0080 to U+009F included.
    EncodedControl,
    /// `%25` before two hex digits: an escape for whoever decodes twice. A `%25` before anything else is a percent sign.
    EncodedPercent,
    /// Escapes that are not UTF-8; overlong forms are not.
    NotUtf8,
}

impl PathFault {
    /// The stable word for the audit record.
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
