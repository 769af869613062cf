//! Cases that are about some versions of Envoy only, because Envoy itself does otherwise in the others.

use serde::Deserialize;

use crate::envoy::{self, version_number};

/// Some versions of Envoy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The first of them; from the oldest on when absent.
    #[serde(default)]
    pub from: Option<String>,
    /// The first that is none of them any more.
    #[serde(default)]
    pub below: Option<String>,
    /// What is different.
    pub reason: String,
}

impl Versions {
    /// Whether the Envoy that the tests run is one of them.
    pub fn hold(&self) -> bool {
        let running = envoy::version().unwrap_or_default();
        let is_old = self.from.as_ref().is_some_and(|from| running < version_number(from));
        let is_new = self.below.as_ref().is_some_and(|below| running >= version_number(below));
        !is_old && !is_new
    }
}
