//! Which web origins a CORS policy names: exact ones, the subdomains of a domain, any, or the opaque `null`.

mod parse;

/// One entry of `allow_origins`, in the one form browsers send (HTML standard, serialisation of an origin).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin, `null` among them.
    Any,
    /// `null`: what sandboxed frames, local files and some redirects send. It names nobody in particular.
    Null,
    /// One origin.
    Exact {
        /// As browsers send it.
        text: String,
        /// Readable and forgeable on the way: `http` to anything but the machine itself.
        cleartext: bool,
    },
    /// Every host below a domain, never the domain itself.
    Subdomains {
        /// Scheme and `://`.
        before: String,
        /// The domain with its leading dot, and the port if any.
        after: String,
        /// As in `Exact`.
        cleartext: bool,
    },
}

impl OriginPattern {
    /// Reads an entry; the error tells its author what is wrong, and the corrected form where there is one.
    pub fn parse(text: &str) -> Result<OriginPattern, String> {
        parse::pattern(text)
    }

    /// Whether an `Origin` field value is meant: bytes are compared as they are, since browsers send one form only
    /// (RFC 6454 §6.2) and a second spelling would be echoed unchecked. Never allocates.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            OriginPattern::Any => true,
            OriginPattern::Null => origin == b"null",
            OriginPattern::Exact { text, .. } => origin == text.as_bytes(),
            OriginPattern::Subdomains { before, after, .. } => origin
                .strip_prefix(before.as_bytes())
                .and_then(|rest| rest.strip_suffix(after.as_bytes()))
                .is_some_and(|labels| labels.len() + after.len() <= LONGEST_HOST + PORT && is_labels(labels)),
        }
    }

    /// Whether someone on the network could speak in the name of such an origin.
    pub fn is_cleartext(&self) -> bool {
        match self {
            OriginPattern::Any | OriginPattern::Null => false,
            OriginPattern::Exact { cleartext, .. } | OriginPattern::Subdomains { cleartext, .. } => *cleartext,
        }
    }
}

/// One or more host labels in the form browsers send: lower case, none empty (so no leading, doubled or trailing dot).
fn is_labels(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'.').all(|label| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    })
}

/// RFC 1035 §2.3.4, in octets of text.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;
/// `:65535`.
const PORT: usize = 6;

#[cfg(test)]
mod tests;
