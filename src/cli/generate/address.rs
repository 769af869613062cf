//! Formats addresses for the Envoy configuration.

use serde_json::{Value, json};

/// Returns a socket address in the form of the Envoy configuration.
pub fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}
