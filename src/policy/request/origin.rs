//! The web origins of a CORS policy: an exact origin, the subdomains of a domain, every origin, or the opaque origin `null`.

mod parse;

/// One entry of `allow_origins`, in the form that browsers send (HTML standard, "serialization of an origin").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*` matches every origin, including `null`.
    Any,
    /// `null` is the origin of sandboxed frames, local files and some redirects. It does not identify a site.
    Null,
    /// Matches exactly one origin.
    Exact {
        /// The origin as browsers send it.
        text: String,
        /// Whether an attacker on the network can read and forge the traffic of this origin, because its scheme is `http` and its
        /// host is not the local machine.
        cleartext: bool,
    },
    /// Matches every host below a domain, but not the domain itself.
    Subdomains {
        /// The start of a matching origin: the scheme and `://`.
        before: String,
        /// The end of a matching origin: the domain with a leading dot, and the port if there is one.
        after: String,
        /// Whether an attacker can read and forge the traffic, as in `Exact`.
        cleartext: bool,
    },
}

impl OriginPattern {
    /// Parses an entry. The error explains the fault to the author of the document, and suggests a correction if there is one.
    pub fn parse(text: &str) -> Result<OriginPattern, String> {
        parse::pattern(text)
    }

    /// Returns `true` if the pattern matches the value of an `Origin` header. Compares bytes: browsers send each origin in only
    /// one form (RFC 6454 §6.2), and the response repeats the value unchanged. Never allocates.
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

    /// Returns `true` if an attacker on the network can impersonate an origin that matches.
    pub fn is_cleartext(&self) -> bool {
        match self {
            OriginPattern::Any | OriginPattern::Null => false,
            OriginPattern::Exact { cleartext, .. } | OriginPattern::Subdomains { cleartext, .. } => *cleartext,
        }
    }
}

/// Returns `true` for one or more host labels in the form that browsers send. The labels are in lower case and not empty, so
/// leading, trailing and repeated dots are refused.
fn is_labels(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'.').all(|label| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    })
}

/// The maximum lengths of a host and of a label in bytes (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;
/// The length of the longest port, `:65535`.
const PORT: usize = 6;

#[cfg(test)]
mod tests;
