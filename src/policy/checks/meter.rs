//! Counts a body that passes without being held back; for checks that only write down, it keeps a copy to look at in the end.

use std::rc::Rc;

use super::body::{Body, BodyCheck, too_large};
use crate::policy::rejection::Rejection;

/// What has passed of one body.
#[derive(Debug)]
pub struct Meter {
    check: Rc<BodyCheck>,
    passed: u64,
    /// What passed, where it is only looked at and never cut off.
    copy: Option<Vec<u8>>,
    listens: bool,
    is_json: bool,
}

impl Meter {
    /// One that cuts off what grows too large: streams, and bodies that grow beyond the length they were announced with.
    pub(super) fn new(check: Rc<BodyCheck>) -> Meter {
        Meter { check, passed: 0, copy: None, listens: false, is_json: false }
    }

    /// One that cuts nothing off and says in the end what would have been refused.
    pub(super) fn listening(check: Rc<BodyCheck>, is_json: bool) -> Meter {
        Meter { check, passed: 0, copy: is_json.then(Vec::new), listens: true, is_json }
    }

    /// Whether it wants to see the bytes, not only to know how many there are.
    pub fn wants_bytes(&self) -> bool {
        self.copy.is_some()
    }

    /// Takes note of the next part; a refusal when the rest must not follow.
    pub fn add(&mut self, size: usize, bytes: &[u8]) -> Result<(), Rejection> {
        self.passed = self.passed.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        if self.passed <= self.check.most_bytes {
            if let Some(copy) = &mut self.copy {
                copy.extend_from_slice(bytes);
            }
            return Ok(());
        }
        self.copy = None;
        if self.listens { Ok(()) } else { Err(too_large()) }
    }

    /// For checks that only write down: why the body that has now passed would have been refused.
    pub fn finish(self) -> Option<&'static str> {
        let body = match &self.copy {
            _ if !self.listens => return None,
            _ if self.passed > self.check.most_bytes => Body::TooLarge,
            Some(copy) => Body::Whole(copy),
            None => return None,
        };
        self.check.judge(body, self.is_json).err().map(|rejection| rejection.reason)
    }
}
