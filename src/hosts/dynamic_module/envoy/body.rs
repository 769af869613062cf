//! Envoy's functions for the bodies of one stream.

#![expect(unsafe_code, reason = "Envoy uses raw pointers; each block explains why it is sound")]

use super::abi::{BodyPart, Functions};
use super::stream::EnvoyStream;
use super::{FUNCTIONS, NOTHING, buffer, bytes};

/// The body of a request or of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The body of the request.
    Request,
    /// The body of the response.
    Response,
}

impl BodyKind {
    /// Returns the part that Envoy holds, and the part that the current hook reports.
    const fn parts(self) -> (BodyPart, BodyPart) {
        match self {
            BodyKind::Request => (BodyPart::BufferedRequest, BodyPart::ReceivedRequest),
            BodyKind::Response => (BodyPart::BufferedResponse, BodyPart::ReceivedResponse),
        }
    }
}

impl EnvoyStream {
    /// Returns the size of the part that the current hook reports. If Envoy holds the body for this filter, includes the held body.
    pub fn body_size(self, body: BodyKind, is_held: bool) -> usize {
        let parts = self.parts(body, is_held);
        parts.map(|part| FUNCTIONS.get().map_or(0, |envoy| self.size(envoy, part))).sum()
    }

    fn size(self, envoy: &Functions, part: BodyPart) -> usize {
        // SAFETY: the stream is valid.
        unsafe { (envoy.http_get_body_size)(self.0, part) }
    }

    /// Returns at most `most` bytes of the part that the current hook reports. If Envoy holds the body for this filter, begins with
    /// the held body.
    pub fn body(self, body: BodyKind, is_held: bool, most: usize) -> Vec<u8> {
        let Some(envoy) = FUNCTIONS.get() else { return Vec::new() };
        let mut found = Vec::new();
        for part in self.parts(body, is_held) {
            // SAFETY: the stream is valid.
            let count = unsafe { (envoy.http_get_body_chunks_size)(self.0, part) };
            let mut chunks = vec![NOTHING; count];
            // SAFETY: the stream is valid, and the array has a place for each chunk.
            if !unsafe { (envoy.http_get_body_chunks)(self.0, part, chunks.as_mut_ptr()) } {
                continue;
            }
            for chunk in &chunks {
                // SAFETY: Envoy has set the buffer, and its bytes are copied at once.
                let bytes = unsafe { bytes(chunk) };
                found.extend(bytes.iter().take(most.saturating_sub(found.len())));
            }
        }
        found
    }

    /// Returns the parts of a body, without counting any byte twice. If the body was held as a whole and released, the part that
    /// the hook reports is the held body (envoy-facts §5.9). If this filter does not hold the body, Envoy's buffer contains parts
    /// that a later filter or the router holds, for example for retries. This filter has seen them already.
    fn parts(self, body: BodyKind, is_held: bool) -> impl Iterator<Item = BodyPart> {
        let (buffered, received) = body.parts();
        let is_same = FUNCTIONS.get().is_some_and(|envoy| {
            // SAFETY: the stream is valid.
            match body {
                BodyKind::Request => unsafe { (envoy.http_received_buffered_request_body)(self.0) },
                BodyKind::Response => unsafe { (envoy.http_received_buffered_response_body)(self.0) },
            }
        });
        let held = is_held.then_some(buffered);
        held.into_iter().chain((!is_held || !is_same).then_some(received))
    }

    /// Replaces the whole body of the response by `new`.
    pub fn replace_response_body(self, new: &[u8]) {
        let Some(envoy) = FUNCTIONS.get() else { return };
        let (buffered, received) = BodyKind::Response.parts();
        let parts = [received, buffered].map(|part| (part, self.size(envoy, part)));
        for (part, size) in parts.into_iter().filter(|(_, size)| *size > 0) {
            // SAFETY: the stream is valid.
            unsafe { (envoy.http_drain_body)(self.0, part, size) };
        }
        // The part that the hook reports exists only in the hook for bodies.
        // SAFETY: the stream is valid, and the buffer is a live slice; Envoy copies the bytes.
        let is_added = unsafe { (envoy.http_append_body)(self.0, received, buffer(new)) };
        if !is_added {
            // SAFETY: as above.
            unsafe { (envoy.http_append_body)(self.0, buffered, buffer(new)) };
        }
    }
}
