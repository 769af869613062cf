//! Reads `bounds`: how many bytes one worker may use for bodies and for verified tokens.

use super::problem::At;
use super::reader::Field;

/// Bounds on the memory of one worker. `None` means the default of the bound.
#[derive(Clone, Debug, Default)]
pub struct WorkerBounds {
    /// The maximum total size of the request bodies that are held back at one time.
    pub held_body_bytes: Option<At<u64>>,
    /// The maximum total size of the request bodies that are copied at one time for checks in `log` mode.
    pub copied_body_bytes: Option<u64>,
    /// The maximum memory for verified tokens and their claims.
    pub token_cache_bytes: Option<u64>,
}

impl WorkerBounds {
    pub(super) fn read(field: &Field<'_>) -> Option<WorkerBounds> {
        let fields = field.fields()?;
        let number = |key, most| fields.get(key).and_then(|f| f.number(0, most));
        let held = fields.get("held_body_bytes");
        let bounds = WorkerBounds {
            held_body_bytes: held
                .and_then(|f| f.number(0, MAX_HELD_BYTES).map(|value| At { value, place: f.place.clone() })),
            copied_body_bytes: number("copied_body_bytes", MAX_BYTES_IN_FILTER),
            token_cache_bytes: number("token_cache_bytes", MAX_BYTES_IN_FILTER),
        };
        fields.finish();
        Some(bounds)
    }
}

/// Envoy buffers held bodies, so the memory limit of the filter does not apply to them.
const MAX_HELD_BYTES: u64 = 64 << 30;
/// The memory of the filter is limited to 1 GiB (envoy-facts §2.1). Parsing the largest JSON body takes up to half of this
/// memory.
const MAX_BYTES_IN_FILTER: u64 = 128 << 20;
