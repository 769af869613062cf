//! Reads `bounds`: how much memory one worker may use for bodies and for verified tokens.

use super::problem::At;
use super::reader::Field;
use super::schema_keys::bounds as key;

/// The `bounds` section, which limits the memory of one worker.
///
/// The wasm memory of the filter is at most 1 GiB (envoy-facts §2.1), and parsing the largest JSON body takes up to half of it.
/// Envoy buffers the bodies of held requests outside of this memory, so they need their own bound.
#[derive(Clone, Debug)]
pub struct WorkerBounds {
    /// The maximum total size, in bytes, of the request bodies that Envoy holds at the same time. `None` means 64 MiB, or
    /// more if a route that holds bodies has a larger `max_body_bytes`.
    pub held_body_bytes: Option<At<u64>>,
    /// The maximum total size, in bytes, of the response bodies that Envoy holds at the same time. `None` means 64 MiB, or more
    /// if the `jsonapi` section of a route has a larger `max_bytes`.
    pub held_response_bytes: Option<At<u64>>,
    /// The maximum total size, in bytes, of the copies of request bodies that exist at the same time for checks in `log` mode.
    pub copied_body_bytes: u64,
    /// The maximum memory for verified tokens and their claims, in bytes.
    pub token_cache_bytes: usize,
}

impl WorkerBounds {
    pub(super) fn read(field: &Field<'_>) -> Option<WorkerBounds> {
        let fields = field.fields()?;
        let bounds = WorkerBounds {
            held_body_bytes: fields.number_if_set(&key::HELD_BODY_BYTES),
            held_response_bytes: fields.number_if_set(&key::HELD_RESPONSE_BYTES),
            copied_body_bytes: fields.number(&key::COPIED_BODY_BYTES),
            token_cache_bytes: fields.size(&key::TOKEN_CACHE_BYTES),
        };
        fields.finish();
        Some(bounds)
    }
}

/// The bounds of a document without a `bounds` section.
impl Default for WorkerBounds {
    fn default() -> Self {
        WorkerBounds {
            held_body_bytes: None,
            held_response_bytes: None,
            copied_body_bytes: key::COPIED_BODY_BYTES.default,
            token_cache_bytes: usize::try_from(key::TOKEN_CACHE_BYTES.default).unwrap_or(usize::MAX),
        }
    }
}
