//! Limits a case to some versions of Envoy, because Envoy itself behaves differently in other versions.

use serde::Deserialize;

use crate::envoy::{self, version_number};

/// A range of Envoy versions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The first version of the range. By default, the range starts with the oldest version.
    #[serde(default)]
    pub from: Option<String>,
    /// The range ends before this version. By default, the range has no end.
    #[serde(default)]
    pub below: Option<String>,
    /// The reason for the range: how Envoy's behaviour differs in other versions.
    pub reason: String,
}

impl Versions {
    /// Returns `true` if the version of the tested Envoy is in the range.
    pub fn hold(&self) -> bool {
        let running = envoy::version().unwrap_or_default();
        let is_old = self.from.as_ref().is_some_and(|from| running < version_number(from));
        let is_new = self.below.as_ref().is_some_and(|below| running >= version_number(below));
        !is_old && !is_new
    }
}
