//! Cases that apply only to some versions of Envoy, because Envoy itself behaves differently in the others.

use serde::Deserialize;

use crate::envoy::{self, version_number};

/// A range of Envoy versions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The first version. By default, the oldest.
    #[serde(default)]
    pub from: Option<String>,
    /// The first version after the range.
    #[serde(default)]
    pub below: Option<String>,
    /// The difference in behaviour.
    pub reason: String,
}

impl Versions {
    /// Returns whether the tested Envoy is in the range.
    pub fn hold(&self) -> bool {
        let running = envoy::version().unwrap_or_default();
        let is_old = self.from.as_ref().is_some_and(|from| running < version_number(from));
        let is_new = self.below.as_ref().is_some_and(|below| running >= version_number(below));
        !is_old && !is_new
    }
}
