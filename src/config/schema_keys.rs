//! The configuration keys that have a default or bounds. `build.rs` generates the constants from `docs/gateway.schema.json`.

use std::time::Duration;

/// A key whose value has bounds. `D` is the type of the default, or `()` if the key has no default.
#[derive(Clone, Copy, Debug)]
pub struct BoundedKey<T, D = T> {
    /// The key in the document.
    pub name: &'static str,
    /// The smallest accepted value.
    pub least: T,
    /// The largest accepted value.
    pub most: T,
    /// The value that applies if the document does not contain the key.
    pub default: D,
}

/// A key that has a default and no bounds.
#[derive(Clone, Copy, Debug)]
pub struct DefaultKey<T> {
    /// The key in the document.
    pub name: &'static str,
    /// The value that applies if the document does not contain the key.
    pub default: T,
}

include!(concat!(env!("OUT_DIR"), "/schema_keys.rs"));
