//! The web origins of a CORS policy: exact origins, the subdomains of a domain, any origin, or the opaque `null`.

mod parse;

/// One entry of `allow_origins`, in the form that browsers send (HTML standard, serialization of an origin).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin, including `null`.
    Any,
    /// `null`: sent by sandboxed frames, local files and some redirects. It does not identify a site.
    Null,
    /// One origin.
    Exact {
        /// The origin as browsers send it.
        text: String,
        /// Traffic of this origin can be read and forged on the network: `http`, except to the local machine.
        cleartext: bool,
    },
    /// Every host below a domain, but not the domain itself.
    Subdomains {
        /// Scheme and `://`.
        before: String,
        /// The domain with its leading dot, and the port, if any.
        after: String,
        /// As in `Exact`.
        cleartext: bool,
    },
}

impl OriginPattern {
    /// Parses an entry. The error explains the problem to the author, and suggests the corrected form if there is one.
    pub fn parse(text: &str) -> Result<OriginPattern, String> {
        parse::pattern(text)
    }

    /// Returns `true` if the pattern matches an `Origin` value. It compares bytes: browsers send only one form (RFC 6454 §6.2),
    /// and the value is echoed in the response. Never allocates.
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

    /// Returns `true` if an attacker on the network could impersonate such an origin.
    pub fn is_cleartext(&self) -> bool {
        match self {
            OriginPattern::Any | OriginPattern::Null => false,
            OriginPattern::Exact { cleartext, .. } | OriginPattern::Subdomains { cleartext, .. } => *cleartext,
        }
    }
}

/// Returns `true` for one or more host labels in the form that browsers send: lower case and not empty (so no leading, doubled
/// or trailing dot).
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
