//! The body of one request: how much of it has arrived, what it uses of the worker's bounds, and what judges or counts it.

use std::rc::Rc;

use super::host::Stream;
use crate::policy::checks::body::Body;
use crate::policy::checks::meter::Meter;
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::pipeline::inspection::Inspection;

/// The body of one request.
#[derive(Debug, Default)]
pub(super) struct BodyState {
    /// Nothing follows the headers.
    pub headers_only: bool,
    /// The size of the part that is held back so far; `None` before the first part.
    arrived: Option<usize>,
    /// Nothing more follows.
    ended: bool,
    /// The bytes that the proxy holds, as counted under the worker's bound.
    held: Option<HeldBytes>,
    /// The bytes kept of the request's headers while its body arrives.
    kept: Option<HeldBytes>,
    /// The request is held until this has judged the whole body.
    inspection: Option<Box<Inspection>>,
    /// Counts a body that passes.
    pub meter: Option<Meter>,
    /// The size of the request before any of its body was shown.
    received_before: Option<u64>,
}

impl BodyState {
    /// Whether any part was shown.
    pub fn has_begun(&self) -> bool {
        self.arrived.is_some()
    }

    /// The size of the part that is held back so far.
    pub fn size(&self) -> usize {
        self.arrived.unwrap_or(0)
    }

    /// Whether the end of the body was shown.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Notes a part of a held body. Envoy reports the size of everything that is held back (envoy-facts §2.7).
    pub fn arrive(&mut self, size: usize, ended: bool) {
        (self.arrived, self.ended) = (Some(size), ended);
    }

    /// The proxy has let the body go: it counts under no bound any more. Returns the size that was held.
    pub fn let_go(&mut self) -> usize {
        (self.held, self.kept, self.inspection) = (None, None, None);
        self.ended = false;
        self.arrived.take().unwrap_or(0)
    }

    /// Gives back the bytes kept of the headers.
    pub fn drop_kept(&mut self) {
        self.kept = None;
    }

    /// Keeps a request until its body can be judged. Returns the inspection if the worker may not keep so much.
    pub fn inspect_later(&mut self, inspection: Box<Inspection>, kept: &Rc<ByteBound>) -> Result<(), Box<Inspection>> {
        let Some(bytes) = kept.hold(inspection.kept_bytes()) else { return Err(inspection) };
        (self.kept, self.inspection) = (Some(bytes), Some(inspection));
        Ok(())
    }

    /// Counts the bytes that are held. Returns `false` if the worker may not hold so many. A body that is too large for its route is
    /// refused for that instead.
    pub fn hold(&mut self, held: &Rc<ByteBound>) -> bool {
        let size = self.size();
        if self.inspection.as_ref().is_some_and(|inspection| inspection.is_too_large(size)) {
            return true;
        }
        match &mut self.held {
            Some(held) => held.resize(size),
            none => {
                *none = held.hold(size);
                none.is_some()
            }
        }
    }

    /// Counts the bytes that Envoy may hold of the body of a request that has to wait. If Envoy keeps the bodies of waiting requests
    /// to itself (envoy-facts §2.7), the gateway never learns their size. Returns `false` if the worker may not hold so many.
    pub fn reserve(&mut self, headers: &[(&[u8], &[u8])], stream: &dyn Stream, held: &Rc<ByteBound>) -> bool {
        if self.held.is_some() || self.headers_only {
            return true;
        }
        let header = |name: &[u8]| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let announced = header(b"content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let is_http1 = header(b"upgrade").is_none() && stream.is_http1();
        let buffered = if is_http1 { CONNECTION_BUFFER } else { STREAM_WINDOW };
        self.held = held.hold(announced.unwrap_or(buffered).min(CONNECTION_BUFFER));
        self.held.is_some()
    }

    /// Takes the inspection if it can judge now: the body has ended, or is too large already.
    pub fn take_ready(&mut self) -> Option<Box<Inspection>> {
        let size = self.size();
        self.inspection.take_if(|inspection| self.ended || inspection.is_too_large(size))
    }

    /// Takes the inspection although the body is not complete.
    pub fn take_inspection(&mut self) -> Option<Box<Inspection>> {
        self.inspection.take()
    }

    /// Hands the held body to its inspection.
    pub fn with_body<T>(&self, too_large: bool, stream: &dyn Stream, judge: impl FnOnce(Body<'_>) -> T) -> T {
        let size = self.size();
        let bytes = if too_large || size == 0 { Vec::new() } else { stream.body(size) };
        judge(match bytes.len() == size {
            _ if too_large => Body::TooLarge,
            true => Body::Whole(&bytes),
            false => Body::Lost,
        })
    }

    /// Remembers how large the request is before any of its body came, so that a body that Envoy keeps to itself is noticed.
    pub fn note_received(&mut self, stream: &dyn Stream) {
        self.received_before = stream.received_bytes();
    }

    /// Whether the request has grown although no part of its body was shown: with `allow_on_headers_stop_iteration: false`, Envoy
    /// keeps the body of a request to itself while its headers are held (envoy-facts §2.7), and nothing would ever judge it.
    pub fn is_withheld(&self, stream: &dyn Stream) -> bool {
        !self.has_begun() && stream.received_bytes() > self.received_before
    }
}

/// How much of a request's body the generated listener buffers while the request waits: over HTTP/1
/// `per_connection_buffer_limit_bytes`, over HTTP/2 `initial_stream_window_size`.
const CONNECTION_BUFFER: usize = 1 << 20;
const STREAM_WINDOW: usize = 1 << 16;
