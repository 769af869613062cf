//! Bodies: held back until they were judged, counted while they pass, and missed where Envoy keeps them to itself.

use std::rc::{Rc, Weak};

use proxy_wasm::types::LogLevel;

use super::exchange::{Exchange, Stage, send};
use super::host::{self, Map};
use super::root::Gateway;
use super::waiting::MOST_WOKEN;
use crate::policy::bounds::HeldBytes;
use crate::policy::checks::body::Body;
use crate::policy::rejection::Rejection;

/// How much of a body this filter was shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    /// The size of what is held back so far; none before the first part.
    size: Option<usize>,
    /// Nothing more follows.
    ended: bool,
}

/// The bytes that a request uses of the worker's bounds, until it is forwarded, answered or ended.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Its body, which Envoy has.
    body: Option<HeldBytes>,
    /// What is remembered of its headers while its body arrives.
    pub(super) request: Option<HeldBytes>,
}

impl Arrived {
    /// Whether any part came.
    pub(super) fn has_begun(self) -> bool {
        self.size.is_some()
    }
}

impl Exchange {
    /// Takes note of a part of the body. Envoy tells the size of all that is held back, or that of the part that passes
    /// (envoy-facts §2.7).
    pub(super) fn handle_body(&self, gateway: &Gateway, size: usize, ended: bool) {
        match self.stage.get() {
            Stage::Forwarded => {
                // Where the part takes along what was held, its size is that of both.
                self.arrived.take();
                self.held.borrow_mut().body.take();
                self.count(gateway, size, ended);
            }
            Stage::Waiting | Stage::Inspecting => {
                self.arrived.set(Arrived { size: Some(size), ended });
                if !self.hold_body(gateway, size) {
                    self.refuse_crowded(gateway);
                }
                self.inspect(gateway);
            }
            Stage::New | Stage::Replied => {}
        }
    }

    /// Counts what is held of the body. Returns `false` when the worker may not hold so much. A body that is too large for its
    /// route is refused for that.
    fn hold_body(&self, gateway: &Gateway, size: usize) -> bool {
        if self.inspection.borrow().as_ref().is_some_and(|inspection| inspection.is_too_large(size)) {
            return true;
        }
        match &mut self.held.borrow_mut().body {
            Some(held) => held.resize(size),
            none => {
                *none = gateway.held.hold(size);
                none.is_some()
            }
        }
    }

    /// Counts what Envoy may hold of the body of a request that has to wait. Where Envoy keeps the bodies of waiting requests to
    /// itself (envoy-facts §2.7), the filter never learns their size. Returns `false` when the worker may not hold so much.
    pub(super) fn reserve_body(&self, gateway: &Gateway) -> bool {
        let held = &mut self.held.borrow_mut().body;
        if held.is_none() && !self.bare.get() {
            let header = |name| host::header(Map::Request, name);
            let announced = header("content-length").and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
            let most = match host::property("request\0protocol") {
                Some(protocol) if protocol.starts_with(b"HTTP/1") && header("upgrade").is_none() => CONNECTION_BUFFER,
                _ => STREAM_WINDOW,
            };
            *held = gateway.held.hold(announced.unwrap_or(most).min(CONNECTION_BUFFER));
            return held.is_some();
        }
        true
    }

    /// Refuses a request whose body is more than the worker may hold.
    pub(super) fn refuse_crowded(&self, gateway: &Gateway) {
        let verdict = match self.inspection.take() {
            Some(inspection) => gateway.policy.inspect(*inspection, Body::Crowded, host::now()),
            None => {
                let audit = self.pending.take().unwrap_or_default();
                gateway.policy.refuse_crowded(audit, self.plan.take(), host::now())
            }
        };
        // A refusal waits for nothing.
        let _refused = self.conclude(gateway, verdict);
    }

    /// With trailers the body ends without saying so (envoy-facts §0.2).
    pub(super) fn handle_end_of_body(&self, gateway: &Gateway) {
        match self.stage.get() {
            Stage::Forwarded => {
                self.held.borrow_mut().body.take();
                self.count(gateway, self.arrived.take().size.unwrap_or(0), true);
            }
            _ => self.handle_body(gateway, self.arrived.get().size.unwrap_or(0), true),
        }
    }

    /// Has a request judged whose body is here, or is already more than it may be.
    pub(super) fn inspect(&self, gateway: &Gateway) {
        let Arrived { size, ended } = self.arrived.get();
        let size = size.unwrap_or(0);
        let Some(inspection) = self.inspection.take() else { return };
        let too_large = inspection.is_too_large(size);
        if !too_large && !ended {
            self.inspection.replace(Some(inspection));
            return;
        }
        let bytes = if too_large || size == 0 { Vec::new() } else { host::request_body(size) };
        let body = match bytes.len() == size {
            _ if too_large => Body::TooLarge,
            true => Body::Whole(&bytes),
            false => Body::Lost,
        };
        let verdict = gateway.policy.inspect(*inspection, body, host::now());
        // A body is judged at once: there is nothing to wait for.
        let _decided = self.conclude(gateway, verdict);
        self.held.borrow_mut().body.take();
    }

    /// Lets a request go on that waited while its body came. What came is not shown again.
    pub(super) fn release(&self, gateway: &Gateway) {
        let Arrived { size, ended } = self.arrived.get();
        // Where a length was announced the next part is certain to come, and takes along what is held. Let go before, Envoy would
        // send what was held twice if the route retries or mirrors: it adds the next part to what it kept, and sends both.
        if size.is_some() && !ended && host::header(Map::Request, "content-length").is_some() {
            return;
        }
        self.held.borrow_mut().body.take();
        self.arrived.take();
        self.count(gateway, size.unwrap_or(0), ended);
        if self.stage.get() == Stage::Forwarded {
            host::resume_request();
        }
    }

    /// Shows a body that passes to whatever counts it.
    fn count(&self, gateway: &Gateway, size: usize, ended: bool) {
        let Some(mut meter) = self.meter.take() else { return };
        let bytes = if size > 0 && meter.wants_bytes() { host::request_body(size) } else { Vec::new() };
        match meter.add(size, &bytes, &gateway.copied) {
            Err(rejection) => {
                self.note_failure(gateway, rejection.kind.appearance().code, rejection.reason);
                self.refuse(gateway, &rejection);
            }
            Ok(()) if ended => {
                if let Some(remark) = meter.finish() {
                    self.note_remark(gateway, remark);
                }
            }
            Ok(()) => {
                self.meter.replace(Some(meter));
            }
        }
    }

    /// Answers in the place of a request that goes no further, whatever was decided about it before.
    fn refuse(&self, gateway: &Gateway, rejection: &Rejection) {
        let reply = gateway.policy.refuse(rejection, &self.plan.borrow(), host::now());
        self.stage.set(Stage::Replied);
        send(&reply);
    }

    /// Remembers how large the request is before any of its body came, so that what Envoy keeps to itself is noticed.
    pub(super) fn weigh(&self) {
        self.weight.set(host::number("request\0total_size"));
    }

    /// Refuses a request whose body arrives and is not shown: with `allow_on_headers_stop_iteration: false` Envoy keeps the body of
    /// a request to itself while its headers are held (envoy-facts §2.7), and nobody would ever judge it.
    fn refuse_if_withheld(&self, gateway: &Gateway) {
        if host::number("request\0total_size") <= self.weight.get() {
            return;
        }
        host::log(
            LogLevel::Error,
            "a body cannot be checked: the plugin needs `allow_on_headers_stop_iteration: true`",
        );
        if let Some(inspection) = self.inspection.take() {
            let verdict = gateway.policy.inspect(*inspection, Body::Withheld, host::now());
            // A body is judged at once: there is nothing to wait for.
            let _decided = self.conclude(gateway, verdict);
        }
    }
}

impl Gateway {
    /// Looks for bodies that are kept from the filter.
    pub(super) fn look_for_withheld_bodies(&self) {
        let is_unseen = |e: &Rc<Exchange>| e.stage.get() == Stage::Inspecting && e.arrived.get().size.is_none();
        let mut unseen = self.unseen.take();
        unseen.retain(|exchange| exchange.upgrade().is_some_and(|exchange| is_unseen(&exchange)));
        let mut refused = 0;
        for exchange in unseen.iter().filter_map(Weak::upgrade) {
            if refused < MOST_WOKEN && host::act_for(exchange.context_id()) {
                exchange.refuse_if_withheld(self);
                refused += usize::from(!is_unseen(&exchange));
            }
        }
        self.unseen.borrow_mut().append(&mut unseen);
    }
}

/// How much of a request's body the generated listener buffers while the request waits: over HTTP/1
/// `per_connection_buffer_limit_bytes`, over HTTP/2 `initial_stream_window_size`.
const CONNECTION_BUFFER: usize = 1 << 20;
const STREAM_WINDOW: usize = 1 << 16;
