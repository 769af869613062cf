//! Sets the memory pressure that Envoy sees with a file, and keeps the overload actions of the generated configuration.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};
use test_harness::envoy;
use test_harness::trial::below;

/// A folder with the file that sets the pressure. Envoy reads the file four times a second.
pub struct Pressure(PathBuf);

impl Pressure {
    /// Creates the file with almost no pressure.
    pub fn new() -> Result<Self> {
        let pressure = Self(envoy::fresh_folder()?);
        pressure.set("0.1")?;
        Ok(pressure)
    }

    /// Changes the configuration so that Envoy reads its memory pressure from the file.
    pub fn take(&self, config: &mut Value) -> Result<()> {
        let manager = below(config, "/overload_manager")?;
        let kind = "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig";
        let injected = json!({ "name": INJECTED, "typed_config": {
            "@type": format!("type.googleapis.com/{kind}"), "filename": self.0.join("pressure") } });
        *below(manager, "/resource_monitors/0")? = injected;
        for action in below(manager, "/actions")?.as_array_mut().into_iter().flatten() {
            *below(action, "/triggers/0/name")? = json!(INJECTED);
        }
        Ok(())
    }

    /// Sets the used share of the heap, a number from 0 to 1. A rename replaces the file, so Envoy never reads an incomplete
    /// file.
    pub fn set(&self, share: &str) -> Result<()> {
        fs::write(self.0.join("draft"), share)?;
        Ok(fs::rename(self.0.join("draft"), self.0.join("pressure"))?)
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

const INJECTED: &str = "envoy.resource_monitors.injected_resource";
