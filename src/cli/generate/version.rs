//! The Envoy versions that the generated configuration supports; the project tests run all of them.

use std::fmt;

/// An Envoy version. Only its first two numbers are kept, because they determine the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvoyVersion(u32, u32);

/// Parses `1.38` or `1.38.2`. Versions without the features that the filter needs are refused.
pub fn parse(text: &str) -> Result<EnvoyVersion, String> {
    let mut numbers = text.split('.').map(|part| part.parse::<u32>().ok());
    let version = match (numbers.next().flatten(), numbers.next().flatten(), numbers.next(), numbers.next()) {
        (Some(major), Some(minor), None | Some(Some(_)), None) => EnvoyVersion(major, minor),
        _ => return Err("expected an Envoy version such as 1.38 or 1.38.2".to_string()),
    };
    if version < OLDEST {
        let lacks = match version < CAN_HOLD_HEADERS {
            true => format!(
                ": Envoy before {CAN_HOLD_HEADERS} cannot hold the request headers until the filter has checked the body"
            ),
            false => String::new(),
        };
        return Err(format!(
            "the filter and its listener need Envoy {OLDEST} or later, and are tested with {OLDEST} to {}{lacks}",
            EnvoyVersion::NEWEST
        ));
    }
    Ok(version)
}

impl EnvoyVersion {
    /// The newest version that the project tests.
    pub const NEWEST: Self = Self(1, 40);

    /// Returns the notes for users of this version: that it is untested, or how it differs from later versions.
    pub fn notes(self) -> Vec<String> {
        let mut notes = Vec::new();
        if self > Self::NEWEST {
            notes.push(format!("tested with Envoy {OLDEST} to {}, not yet with {self}", Self::NEWEST));
        }
        if self < PARAMETERS_IN_DOTS {
            let refused = "so the filter answers a path with `..;` with status 400";
            notes.push(format!(
                "Envoy {self} does not resolve `..;` in paths, {refused}; Envoy {PARAMETERS_IN_DOTS} and later resolve it"
            ));
        }
        notes
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

const OLDEST: EnvoyVersion = EnvoyVersion(1, 36);
/// From this version on, a filter can receive the body while Envoy holds the headers (`allow_on_headers_stop_iteration`).
const CAN_HOLD_HEADERS: EnvoyVersion = EnvoyVersion(1, 35);
/// From this version on, `request_body_buffer_limit` of a virtual host lets filters buffer more than the connection limit.
pub const RAISES_BUFFER_LIMIT: EnvoyVersion = EnvoyVersion(1, 37);
/// From this version on, Envoy accepts dynamic modules that were built for another version.
pub const LOADS_DYNAMIC_MODULES: EnvoyVersion = EnvoyVersion(1, 38);
/// From this version on, Envoy reports to a wasm module whether it verified the client certificate
/// (`connection.peer_certificate_valid`).
pub const REPORTS_VERIFICATION: EnvoyVersion = EnvoyVersion(1, 39);
/// From this version on, Envoy treats dot segments with parameters, such as `..;a`, as dot segments.
const PARAMETERS_IN_DOTS: EnvoyVersion = EnvoyVersion(1, 39);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untested_versions_are_refused_or_noted() {
        for text in ["", "1", "1.x", "v1.38", "1.38.2.1", "1.35.9", "0.99"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("1.35").unwrap_err().ends_with("tested with 1.36 to 1.40"));
        assert!(parse("1.34.4").unwrap_err().ends_with("until the filter has checked the body"));
        assert_eq!(parse("1.40").unwrap().notes(), Vec::<String>::new());
        assert_eq!(parse("1.40.0"), parse("1.40"));
        assert!(parse("1.41").unwrap().notes().iter().any(|note| note.contains("not yet with 1.41")));
        assert!(parse("1.38.2").unwrap().notes().iter().any(|note| note.contains("`..;`")));
    }
}
