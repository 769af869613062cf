//! A request that is held until its body is checked, after its headers were accepted.

use std::sync::Arc;

use super::forward::Forward;
use crate::policy::checks::body::{Body, BodyCheck};
use crate::policy::verdict::rejection::Rejection;

/// A held request. It returns its [`Forward`] only after the body was accepted.
#[derive(Debug)]
pub struct Inspection {
    check: Arc<BodyCheck>,
    is_json: bool,
    forward: Forward,
}

impl Inspection {
    pub(in crate::policy) fn new(check: Arc<BodyCheck>, is_json: bool, forward: Forward) -> Inspection {
        Inspection { check, is_json, forward }
    }

    /// Returns the memory in bytes that the request uses while its body arrives.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Inspection>() + self.forward.kept_bytes()
    }

    /// Returns `true` if a body of `size` bytes is larger than the route allows.
    pub fn is_too_large(&self, size: usize) -> bool {
        u64::try_from(size).unwrap_or(u64::MAX) > self.check.most_bytes
    }

    pub(in crate::policy) fn judge(self, body: Body<'_>) -> Result<Forward, Rejection> {
        self.check.judge(body, self.is_json).map(|()| self.forward)
    }
}
