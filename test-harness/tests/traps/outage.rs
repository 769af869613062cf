//! x

use crate::Trap;

pub const TRAPS: &[Trap] = &[];
