//! The body of one response that the gateway holds until it can be mapped.

use std::rc::Rc;

use crate::policy::checks::body::Body;
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::respond::held::HeldResponse;

/// A held response: its size so far, and its bytes counted against the worker's bound.
#[derive(Debug)]
pub(super) struct ResponseBody {
    response: HeldResponse,
    size: usize,
    held: Option<HeldBytes>,
}

impl ResponseBody {
    /// Creates the state of a response whose body has not begun to arrive.
    pub fn new(response: HeldResponse) -> ResponseBody {
        ResponseBody { response, size: 0, held: None }
    }

    /// Returns the response.
    pub fn response(&self) -> &HeldResponse {
        &self.response
    }

    /// Returns the size of the held body so far.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Records a part of the body. `size` is the total size of the held body, which Envoy reports (envoy-facts §2.7). Returns `None`
    /// while more parts must arrive.
    pub fn arrive(&mut self, size: usize, ended: bool, bound: &Rc<ByteBound>) -> Option<Arrived> {
        self.size = size;
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
        match (fits, ended) {
            (false, _) => Some(Arrived::Crowded),
            (true, true) => Some(Arrived::Whole),
            (true, false) => None,
        }
    }
}

/// Why a held body can be finished now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// The body is complete.
    Whole,
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
            Arrived::Whole => Body::Lost,
            Arrived::TooLarge => Body::TooLarge,
            Arrived::Crowded => Body::Crowded,
        }
    }
}
