//! Envoy's shared data, a map that all workers with the same `vm_id` share (envoy-facts §2.14). Each value has a version.

use super::{OK, ffi, take};

/// Returns the value of a key, and its version for a later call of [`share`]. Both are `None` if the key does not exist.
pub fn shared(key: &(impl AsRef<[u8]> + ?Sized)) -> (Option<Vec<u8>>, Option<u32>) {
    let key = key.as_ref();
    let mut version = 0_u32;
    // SAFETY: the key is a live slice, and Envoy writes four bytes to `version`, which is a live u32; `take` explains the
    // other pointers.
    let value =
        take(|data, size| unsafe { ffi::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version) });
    (value, Some(version).filter(|version| *version != 0))
}

/// Stores a value for all workers. If `version` is set, stores the value only if the current value still has this version.
/// Returns `true` if the value was stored.
pub fn share(key: &(impl AsRef<[u8]> + ?Sized), value: &[u8], version: Option<u32>) -> bool {
    set(key.as_ref(), value, version.unwrap_or(ANY))
}

/// Stores a value if the key does not exist. Returns `true` if the value was stored. Envoy compares versions only if the key
/// exists. This function passes a version that no value has, so the comparison fails for every existing key.
pub fn share_if_absent(key: &(impl AsRef<[u8]> + ?Sized), value: &[u8]) -> bool {
    set(key.as_ref(), value, NEVER)
}

fn set(key: &[u8], value: &[u8], version: u32) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; Envoy copies the bytes.
    unsafe { ffi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) == OK }
}

/// With this version, Envoy stores the value without a comparison of versions.
const ANY: u32 = 0;
/// A version that no value has in practice, because Envoy counts versions upwards from 1.
const NEVER: u32 = u32::MAX;
