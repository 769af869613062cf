//! Reads how a file passes a gateway document to the filter: Envoy's plugin settings, or the kind of the manifest.

use crate::config::node::{Node, Position, Value};
use crate::config::problem::{At, Place};

/// The part of a file that passes a gateway document to the filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Carrier {
    /// The file itself is the document.
    File,
    /// A configuration of Envoy for the wasm module.
    Plugin(PluginSettings),
    /// A configuration of Envoy for the dynamic module.
    DynamicModule(DynamicModuleSettings),
    /// A manifest, from which a control plane generates the plugin configuration. The place is that of the document in the
    /// manifest.
    Manifest(ManifestKind, Place),
}

/// The settings of a plugin configuration that decide whether the filter can run a document.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSettings {
    /// Whether Envoy passes bodies to the filter while Envoy still holds the headers (`allow_on_headers_stop_iteration`).
    pub passes_held_bodies: At<bool>,
    /// The local file of the module; `None` if the configuration loads the module from another source.
    pub module: Option<At<String>>,
}

/// The settings of a dynamic module that decide whether it is safe to run.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicModuleSettings {
    /// The place of a module that Envoy fetches over the network; `None` if the module is a local file.
    pub remote: Option<Place>,
    /// Whether the module stays loaded until Envoy exits (`do_not_close`).
    pub stays_loaded: At<bool>,
}

/// The manifests that contain the document as plain YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// Istio's `WasmPlugin`.
    WasmPlugin,
    /// Envoy Gateway's `EnvoyExtensionPolicy`.
    EnvoyExtensionPolicy,
}

impl ManifestKind {
    /// The key under which each kind of manifest contains the document.
    pub const KEYS: [(ManifestKind, &'static str); 2] =
        [(ManifestKind::WasmPlugin, "pluginConfig"), (ManifestKind::EnvoyExtensionPolicy, "config")];
}

impl Carrier {
    /// Reads the settings of a mapping with `vm_config` and `configuration`, or with `dynamic_module_config` and `filter_config`.
    pub fn of_plugin(plugin: &Node) -> Carrier {
        if let Some(module) = plugin.get("dynamic_module_config") {
            return Carrier::of_dynamic_module(module);
        }
        let setting = plugin.get(STOP_ITERATION);
        let passes_held_bodies = At {
            value: setting.is_some_and(|setting| setting.value == Value::Bool(true)),
            place: place(setting.map_or(plugin.at, |setting| setting.at), STOP_ITERATION),
        };
        let module = MODULE.split('.').try_fold(plugin, |node, key| node.get(key));
        let module = module.and_then(|node| match &node.value {
            Value::Text(file) => Some(At { value: file.clone(), place: place(node.at, MODULE) }),
            _ => None,
        });
        Carrier::Plugin(PluginSettings { passes_held_bodies, module })
    }

    fn of_dynamic_module(module: &Node) -> Carrier {
        let setting = module.get("do_not_close");
        let stays_loaded = At {
            value: setting.is_some_and(|setting| setting.value == Value::Bool(true)),
            place: place(setting.map_or(module.at, |setting| setting.at), DO_NOT_CLOSE),
        };
        let remote = module.get("module").and_then(|source| source.get("remote"));
        let remote = remote.map(|source| place(source.at, "dynamic_module_config.module.remote"));
        Carrier::DynamicModule(DynamicModuleSettings { remote, stays_loaded })
    }

    /// Creates the carrier for a document at this position of a manifest. `extension` is the mapping that contains the document.
    /// In an `EnvoyExtensionPolicy`, the extension of a dynamic module has a `filterName`. Envoy passes all bodies to such a module,
    /// so the manifest has no limitations.
    pub fn of_manifest(kind: ManifestKind, key: &str, extension: &Node, at: Position) -> Carrier {
        match kind {
            ManifestKind::EnvoyExtensionPolicy if extension.get("filterName").is_some() => Carrier::File,
            _ => Carrier::Manifest(kind, place(at, key)),
        }
    }
}

fn place(at: Position, path: &str) -> Place {
    Place { line: at.line, column: at.column, path: path.to_string() }
}

const STOP_ITERATION: &str = "allow_on_headers_stop_iteration";
const DO_NOT_CLOSE: &str = "dynamic_module_config.do_not_close";
const MODULE: &str = "vm_config.code.local.filename";
