//! Tracks the body of one request: its size, the memory that it uses, and the checks that apply to it.

use std::rc::Rc;

use super::host::RequestFacts;
use crate::policy::checks::meter::BodyMeter;
use crate::policy::limits::memory::{ByteBound, HeldBytes};
use crate::policy::pipeline::inspection::Inspection;

/// The body of one request.
#[derive(Debug, Default)]
pub(super) struct BodyState {
    /// Whether the request consists of headers only, without a body and trailers.
    pub headers_only: bool,
    /// The size of the held body so far; `None` before the first part arrives.
    arrived: Option<usize>,
    /// Whether the body is complete.
    ended: bool,
    /// The bytes that the proxy holds, as counted by [`Gateway::held`](super::Gateway).
    held: Option<HeldBytes>,
    /// The header bytes that the gateway stores while the body arrives, as counted by [`Gateway::kept`](super::Gateway).
    kept: Option<HeldBytes>,
    /// The inspection of the complete body. The proxy holds the request until the inspection has ended.
    inspection: Option<Box<Inspection>>,
    /// The checks of a body that the proxy forwards while it arrives.
    pub meter: Option<BodyMeter>,
    /// The number of bytes of the request that Envoy had received when the gateway decided the headers.
    received_before: Option<u64>,
}

impl BodyState {
    /// Returns `true` if at least one part of the body has arrived.
    pub fn has_begun(&self) -> bool {
        self.arrived.is_some()
    }

    /// Returns the size of the held body so far, in bytes.
    pub fn size(&self) -> usize {
        self.arrived.unwrap_or(0)
    }

    /// Returns `true` if the body is complete.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Records that a part of a held body arrived. `size` is the total size of the held body (envoy-facts §2.7).
    pub fn arrive(&mut self, size: usize, ended: bool) {
        (self.arrived, self.ended) = (Some(size), ended);
    }

    /// Resets the state of the held body, after the proxy released or dropped it. Its bytes no longer count against the bounds of
    /// the worker. Returns the size of the body that was held.
    pub fn end_hold(&mut self) -> usize {
        (self.held, self.kept, self.inspection) = (None, None, None);
        self.ended = false;
        self.arrived.take().unwrap_or(0)
    }

    /// Frees the stored headers: their bytes no longer count against [`Gateway::kept`](super::Gateway).
    pub fn drop_kept(&mut self) {
        self.kept = None;
    }

    /// Stores the inspection until the body is complete. `target_bytes` is the size of the request targets that the gateway
    /// stores with it. If too few bytes of `kept` are free, returns the inspection as an error.
    pub fn inspect_later(
        &mut self,
        inspection: Box<Inspection>,
        target_bytes: usize,
        kept: &Rc<ByteBound>,
    ) -> Result<(), Box<Inspection>> {
        let Some(bytes) = kept.hold(inspection.kept_bytes() + target_bytes) else { return Err(inspection) };
        (self.kept, self.inspection) = (Some(bytes), Some(inspection));
        Ok(())
    }

    /// Counts the bytes of the held body against the bound `held` of the worker. Returns `false` if too few bytes are free. Does
    /// not count a body that exceeds the `max_body_bytes` of its route, because the request is refused anyway.
    pub fn hold(&mut self, held: &Rc<ByteBound>) -> bool {
        let size = self.size();
        if self.inspection.as_ref().is_some_and(|inspection| inspection.is_too_large(size)) {
            return true;
        }
        held.resize(&mut self.held, size)
    }

    /// Counts the bytes of a waiting request whose body Envoy buffers but does not report (envoy-facts §2.7). Because the real
    /// size is unknown, counts the largest number of bytes that Envoy might buffer. `raised` is
    /// [`Gateway::raised_buffer`](super::Gateway). Returns `false` if too few bytes of `held` are free.
    pub fn reserve(
        &mut self,
        headers: &[(&[u8], &[u8])],
        stream: &dyn RequestFacts,
        raised: Option<u64>,
        held: &Rc<ByteBound>,
    ) -> bool {
        if self.held.is_some() || self.headers_only {
            return true;
        }
        let header = |name: &[u8]| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let announced = header(b"content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let is_http1 = header(b"upgrade").is_none() && stream.is_http1();
        let usual = if is_http1 { CONNECTION_BUFFER } else { STREAM_WINDOW };
        let buffered = usual.max(raised.unwrap_or(0)).saturating_add(ONE_READ);
        let bytes: u64 = announced.unwrap_or(buffered).min(buffered);
        self.held = held.hold(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.held.is_some()
    }

    /// Removes and returns the inspection if it can run now, because the body is complete or already too large.
    pub fn take_ready(&mut self) -> Option<Box<Inspection>> {
        let size = self.size();
        self.inspection.take_if(|inspection| self.ended || inspection.is_too_large(size))
    }

    /// Removes and returns the inspection, even if the body is incomplete.
    pub fn take_inspection(&mut self) -> Option<Box<Inspection>> {
        self.inspection.take()
    }

    /// Records the number of bytes that Envoy has received for the request so far, for the comparison in
    /// [`BodyState::is_withheld`].
    pub fn note_received(&mut self, stream: &dyn RequestFacts) {
        self.received_before = stream.received_bytes();
    }

    /// Returns `true` if Envoy has received bytes since [`BodyState::note_received`], but has reported no part of the body. With
    /// `allow_on_headers_stop_iteration: false`, Envoy does not report the body while it holds the headers (envoy-facts §2.7), so
    /// the body could never be checked.
    pub fn is_withheld(&self, stream: &dyn RequestFacts) -> bool {
        !self.has_begun() && stream.received_bytes() > self.received_before
    }
}

/// Returns the buffer limit in bytes that Envoy needs if the filter holds bodies of up to this size. The limit is 256 KiB larger
/// than the body: with a smaller limit, Envoy could answer 413 for a body that the filter accepts (envoy-facts §2.7).
pub const fn buffer_limit(largest_held_body: u64) -> u64 {
    largest_held_body + (1 << 18)
}

/// The `per_connection_buffer_limit_bytes` of the generated listener. Envoy reads up to this many bytes from one connection
/// before it serves the next connection. With Envoy's default of 1 MiB, a few clients that send large bodies can delay all other
/// clients by 100 ms.
pub const CONNECTION_BUFFER: u64 = 32 << 10;
/// The `initial_stream_window_size` of the generated listener, which is the window of one HTTP/2 stream in bytes.
pub const STREAM_WINDOW: u64 = 64 << 10;
/// The maximum number of header bytes that one worker stores for requests whose bodies are still arriving. Ten thousand typical
/// requests use a tenth of it.
pub const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The number of bytes that Envoy may read beyond a buffer limit before it stops reading from the client.
const ONE_READ: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::node::Node;
    use crate::gateway::Gateway;
    use crate::gateway::shared::LocalData;
    use crate::gateway::simulation::SimulatedHost;
    use crate::gateway::transaction::Transaction;
    use crate::gateway::waiting::StreamId;
    use crate::policy::Policy;
    use std::sync::Arc;
    use std::time::Duration;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The gateway removes the credential in the query from `:path` while the body arrives, and stores the original target.
    #[test]
    fn the_bytes_of_a_held_request_include_its_original_target() {
        let document = json!({
            "version": "1.0",
            "environment": "test",
            "upstreams": { "orders": { "url": "http://127.0.0.1:1" } },
            "api_keys": { "from": [{ "insecure_query": "key" }] },
            "clients": [{ "id": "a", "owner": "team", "purpose": "test" }],
            "routes": [{ "path": "/a", "auth": "none", "upstream": "orders", "checks": { "json": {} } }],
        });
        let policy = Policy::from_node(&Node::from(document), &|_| None).unwrap();
        let gateway = Gateway::new(Arc::new(policy), &LocalData::default());
        let mut host = SimulatedHost::new(Duration::from_secs(1_700_000_000));
        let mut kept = |target: &str| {
            let headers: Vec<(&[u8], &[u8])> = vec![
                (b":method", b"POST"),
                (b":authority", b"api.example"),
                (b":path", target.as_bytes()),
                (b"content-type", b"application/json"),
            ];
            let mut transaction = Transaction::new(StreamId::default());
            host.with(None, |host| transaction.on_request_headers(&gateway, &headers, false, host));
            gateway.kept.held()
        };
        let plain = kept("/a");
        let with_key = kept(&format!("/a?key={}", "k".repeat(1_000)));
        assert!(plain > 0 && with_key >= plain + 1_000, "{plain} bytes, and {with_key} with a key");
    }
}
