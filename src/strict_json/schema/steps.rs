//! Converts lengths to numbers of validation steps.

/// Converts a length or a count to `u64`, which is the type of step counters.
pub(super) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
