//! The body of one response that the gateway holds until it can be mapped.

use std::rc::Rc;

use crate::policy::checks::body::Body;
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::respond::held::HeldResponse;

/// A held response: its size so far, and its bytes counted against the worker's bound.
#[derive(Debug)]
pub(super) struct ResponseBody {
    response: HeldResponse,
    /// The size of the held body; `None` before the first part.
    size: Option<usize>,
    held: Option<HeldBytes>,
    /// Whether the parts of the body are dropped as they arrive.
    is_dropped: bool,
}

impl ResponseBody {
    /// Creates the state of a response whose body has not begun to arrive.
    pub fn new(response: HeldResponse) -> ResponseBody {
        ResponseBody { is_dropped: !response.needs_body(), response, size: None, held: None }
    }

    /// Returns the response.
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

    /// Records a part of the body. `size` is the total size of the held body, which Envoy reports (envoy-facts §2.7).
    pub fn arrive(&mut self, size: usize, ended: bool, bound: &Rc<ByteBound>) -> Step {
        self.size = Some(size);
        let fault = if self.is_dropped { None } else { self.hold(size, bound) };
        match fault {
            Some(fault) if !self.response.is_error() => return Step::Finish(fault),
            Some(_) => (self.is_dropped, self.held) = (true, None),
            None => {}
        }
        match (ended, self.is_dropped) {
            (true, true) => Step::Finish(Arrived::Dropped),
            (true, false) => Step::Finish(Arrived::Whole),
            (false, true) => Step::Drop,
            (false, false) => Step::Wait,
        }
    }

    /// Counts the held bytes. Returns the reason if the body cannot be held.
    fn hold(&mut self, size: usize, bound: &Rc<ByteBound>) -> Option<Arrived> {
        if self.response.is_too_large(size) {
            return Some(Arrived::TooLarge);
        }
        let fits = match &mut self.held {
            Some(held) => held.resize(size),
            none => {
                *none = bound.hold(size);
                none.is_some()
            }
        };
        (!fits).then_some(Arrived::Crowded)
    }
}

/// What follows a part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Hold the part, and wait for more.
    Wait,
    /// Drop the part, and wait for more.
    Drop,
    /// Finish the response.
    Finish(Arrived),
}

/// The state of a body when its response is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// The body is complete and held.
    Whole,
    /// The body of an error is complete, but it was dropped.
    Dropped,
    /// The body exceeds the maximum size of its route.
    TooLarge,
    /// The held bytes of this worker exceed their bound.
    Crowded,
}

impl Arrived {
    /// Returns the body for the response stage. `bytes` are the bytes that the proxy returned for a complete body of this size.
    pub fn body(self, bytes: &[u8], size: usize) -> Body<'_> {
        match self {
            Arrived::Whole if bytes.len() == size => Body::Whole(bytes),
            Arrived::Whole | Arrived::Dropped => Body::Lost,
            Arrived::TooLarge => Body::TooLarge,
            Arrived::Crowded => Body::Crowded,
        }
    }
}
