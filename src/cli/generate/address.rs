//! Addresses as the Envoy configuration writes them.

use serde_json::{Value, json};

/// An address as Envoy writes it.
pub fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}
