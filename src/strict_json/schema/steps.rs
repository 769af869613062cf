//! Counts the steps of validation.

/// Converts a number of bytes to a number of steps.
pub(super) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
