//! Safe wrappers for the functions of Envoy.
//!
//! The wrappers return a fallback value if Envoy has no such object any more. They never write a header with a line break or a
//! NUL character: Envoy would write it as it is, and the rest of the value would be another header (envoy-facts §5.13).

#![expect(unsafe_code, reason = "Envoy uses raw pointers; each block explains why it is sound")]

pub mod abi;
mod body;
mod config;
mod config_hooks;
mod hooks;
mod stream;

pub use body::BodyKind;
pub use config::{ConfigScheduler, EnvoyConfig};
pub use stream::{EnvoyStream, LocalReply, StreamScheduler};

use std::ptr::null;
use std::sync::OnceLock;

use abi::{Buffer, Functions};

use crate::gateway::command::Level;
use crate::printable;

/// Envoy's functions. They are set before Envoy calls any other hook than the first.
static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// Sets the functions of Envoy. Only the first call has an effect.
pub fn set_functions(functions: Functions) {
    let _ = FUNCTIONS.set(functions);
}

/// Writes one line to Envoy's application log. Escapes line breaks and other control characters, because Envoy does not
/// (envoy-facts §3.4).
pub fn log(level: Level, text: &str) {
    let level = match level {
        Level::Info => abi::log_level::INFO,
        Level::Warn => abi::log_level::WARN,
        Level::Error => abi::log_level::ERROR,
    };
    let line = printable::one_line(text);
    if let Some(envoy) = FUNCTIONS.get() {
        // SAFETY: the buffer is a live slice; Envoy copies the bytes.
        unsafe { (envoy.log)(level, buffer(line.as_bytes())) };
    }
}

/// Returns `true` if Envoy only validates its configuration (`--mode validate`). Only the main thread may ask.
pub fn is_validating() -> bool {
    // SAFETY: the function has no arguments.
    FUNCTIONS.get().is_some_and(|envoy| unsafe { (envoy.is_validation_mode)() })
}

/// Returns the bytes of a buffer that Envoy has filled.
///
/// # Safety
/// The buffer must describe valid bytes, and the result must not be used after Envoy has changed or freed them.
unsafe fn bytes<'a>(buffer: &Buffer) -> &'a [u8] {
    if buffer.data.is_null() || buffer.length == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees that the bytes are valid.
    unsafe { std::slice::from_raw_parts(buffer.data, buffer.length) }
}

/// Returns a buffer with these bytes. It is valid as long as the slice.
const fn buffer(bytes: &[u8]) -> Buffer {
    Buffer { data: bytes.as_ptr(), length: bytes.len() }
}

/// Returns `true` if a header can have this value (RFC 9110 §5.5): without line breaks and NUL.
fn is_valid_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// A buffer without an address.
const NOTHING: Buffer = Buffer { data: null(), length: 0 };
