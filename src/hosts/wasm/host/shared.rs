//! Values that all workers share (envoy-facts §2.14): one map per `vm_id`, each value with a version.

use super::{OK, ffi, take};

/// Returns a value and its version for a later [`share`]; `None` if no value is shared.
pub fn shared(key: &(impl AsRef<[u8]> + ?Sized)) -> (Option<Vec<u8>>, Option<u32>) {
    let key = key.as_ref();
    let mut version = 0_u32;
    // SAFETY: the key is a live slice, and the host writes four bytes to `version`, which is a live u32; `take` explains the
    // rest.
    let value =
        take(|data, size| unsafe { ffi::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version) });
    (value, Some(version).filter(|version| *version != 0))
}

/// Shares a value with all workers. With a version, shares it only if the stored value still has that version.
pub fn share(key: &(impl AsRef<[u8]> + ?Sized), value: &[u8], version: Option<u32>) -> bool {
    set(key.as_ref(), value, version.unwrap_or(ANY))
}

/// Shares a value if none exists. The host checks the version only if a value exists. So with a version that no value has, the
/// host stores only new values.
pub fn share_if_absent(key: &(impl AsRef<[u8]> + ?Sized), value: &[u8]) -> bool {
    set(key.as_ref(), value, NEVER)
}

fn set(key: &[u8], value: &[u8], version: u32) -> bool {
    // SAFETY: both pointers and lengths belong to live slices; the host copies the bytes.
    unsafe { ffi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) == OK }
}

/// Disables the version check.
const ANY: u32 = 0;
/// The host numbers the versions of all values upwards from one, so no value ever has this version in practice.
const NEVER: u32 = u32::MAX;
