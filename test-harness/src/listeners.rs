//! A file with Envoy's listener, which Envoy reads again when a test replaces the file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::envoy;
use crate::trial::{below, put};

/// A file with the listener. The file is removed on drop.
#[derive(Debug)]
pub struct Listeners(PathBuf);

impl Listeners {
    /// Creates the folder of the file.
    pub fn new() -> Result<Self> {
        Ok(Self(envoy::fresh_folder()?.join("listeners.json")))
    }

    /// Moves the listener of a generated configuration to the file, and makes the configuration read its listeners from the file.
    pub fn take(&self, config: &mut Value) -> Result<()> {
        self.push(&mut config.clone())?;
        put(config, "/static_resources/listeners", json!([]))?;
        put(config, "/node", json!({ "id": "gateway", "cluster": "gateway" }))?;
        let source = json!({ "path_config_source": { "path": self.0 }, "resource_api_version": "V3" });
        put(config, "/dynamic_resources", json!({ "lds_config": source }))
    }

    /// Publishes the listener of a generated configuration by renaming a file, because Envoy reads the file again only after a
    /// rename.
    pub fn push(&self, config: &mut Value) -> Result<()> {
        let listener = below(config, "/static_resources/listeners/0")?;
        put(listener, "/@type", json!("type.googleapis.com/envoy.config.listener.v3.Listener"))?;
        let draft = self.0.with_extension("new");
        fs::write(&draft, json!({ "resources": [listener] }).to_string())?;
        Ok(fs::rename(draft, &self.0)?)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(self.0.parent().unwrap_or(Path::new(".")));
    }
}
