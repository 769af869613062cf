//! A request whose headers are acceptable and whose body has to be judged before any of it is forwarded.

use std::rc::Rc;

use super::forward::Forward;
use crate::policy::checks::body::{Body, BodyCheck};
use crate::policy::verdict::rejection::Rejection;

/// A request that waits for its own body. Its [`Forward`] comes out only if the body is acceptable.
#[derive(Debug)]
pub struct Inspection {
    check: Rc<BodyCheck>,
    is_json: bool,
    forward: Forward,
}

impl Inspection {
    pub(in crate::policy) fn new(check: Rc<BodyCheck>, is_json: bool, forward: Forward) -> Inspection {
        Inspection { check, is_json, forward }
    }

    /// How many bytes the request keeps in memory while its body arrives.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Inspection>() + self.forward.kept_bytes()
    }

    /// Whether a body that has grown to this size is too large already.
    pub fn is_too_large(&self, size: usize) -> bool {
        u64::try_from(size).unwrap_or(u64::MAX) > self.check.most_bytes
    }

    pub(in crate::policy) fn judge(self, body: Body<'_>) -> Result<Forward, Rejection> {
        self.check.judge(body, self.is_json).map(|()| self.forward)
    }
}
