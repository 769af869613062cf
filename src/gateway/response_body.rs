//! The body of one response that the proxy holds until the gateway can map it.

use std::rc::Rc;

use crate::policy::checks::body::Body;
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::respond::held::HeldResponse;

/// A held response, with the size of its body so far.
#[derive(Debug)]
pub(super) struct ResponseBody {
    response: HeldResponse,
    /// The size of the held body; `None` before the first part.
    size: Option<usize>,
    held: Option<HeldBytes>,
    /// Whether the gateway drops the parts of the body as they arrive, because it does not need the body or cannot hold it.
    is_dropped: bool,
}

impl ResponseBody {
    /// Creates the state of a response whose body has not begun to arrive.
    pub fn new(response: HeldResponse) -> ResponseBody {
        ResponseBody { is_dropped: !response.needs_body(), response, size: None, held: None }
    }

    /// Returns the held response, with the mapping of its route.
    pub fn response(&self) -> &HeldResponse {
        &self.response
    }

    /// Returns the size of the held body so far.
    pub fn size(&self) -> usize {
        self.size.unwrap_or(0)
    }

    /// Returns `true` if at least one part of the body has arrived.
    pub fn has_begun(&self) -> bool {
        self.size.is_some()
    }

    /// Records a part of the body, and returns the next step. `size` is the total size of the held body (envoy-facts §2.7). The
    /// bytes count against `bound`.
    pub fn arrive(&mut self, size: usize, ended: bool, bound: &Rc<ByteBound>) -> Step {
        self.size = Some(size);
        match if self.is_dropped { None } else { self.hold(size, bound) } {
            Some(fault) if !self.response.is_error() => return Step::Finish(fault),
            Some(_) => (self.is_dropped, self.held) = (true, None),
            None => {}
        }
        match (ended, self.is_dropped) {
            (true, true) => Step::Finish(Body::Lost),
            (true, false) => Step::Read,
            (false, true) => Step::Drop,
            (false, false) => Step::Wait,
        }
    }

    /// Counts the held bytes against `bound`. If the body cannot be held, returns the reason.
    fn hold(&mut self, size: usize, bound: &Rc<ByteBound>) -> Option<Body<'static>> {
        if self.response.is_too_large(size) {
            return Some(Body::TooLarge);
        }
        (!bound.resize(&mut self.held, size)).then_some(Body::Crowded)
    }
}

/// The next step after a part of the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Hold the part, and wait for the next part.
    Wait,
    /// Drop the part, and wait for the next part.
    Drop,
    /// Read the complete body, and finish the response.
    Read,
    /// Finish the response without its body, for this reason.
    Finish(Body<'static>),
}
