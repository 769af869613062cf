//! One request: hands its headers to the core, applies the verdict, and holds the request back while there is none.

use std::rc::Rc;

use super::exchange::{Exchange, Stage, apply};
use super::host::{self, LocalReply, Map};
use super::root::Gateway;
use crate::config::document::Audit;

/// One request as Envoy's callbacks see it.
#[derive(Clone)]
pub struct Stream {
    exchange: Rc<Exchange>,
    gateway: Option<Rc<Gateway>>,
}

impl Stream {
    /// A request that nothing is known of yet; `None` as a gateway refuses it.
    pub fn new(context_id: u32, gateway: Option<Rc<Gateway>>) -> Stream {
        Stream { exchange: Rc::new(Exchange::new(context_id)), gateway }
    }

    /// While a request waits its body waits too: with headers held back alone, a body that goes on would take the headers along
    /// (envoy-facts §0.3).
    pub fn hold(&self) -> Action {
        match self.exchange.stage.get() {
            Stage::Forwarded => Action::Continue,
            Stage::New | Stage::Waiting | Stage::Replied => Action::Pause,
        }
    }

    /// Decides about the request.
    pub fn handle_request_headers(&self) -> Action {
        let now = host::now();
        self.exchange.received_at.set(now);
        let Some(gateway) = &self.gateway else {
            self.exchange.stage.set(Stage::Replied);
            host::reply(&LocalReply { status: 500, details: "no_policy", headers: &[], body: &[], grpc_status: -1 });
            return Action::Pause;
        };
        let mut wait = self.exchange.decide(gateway, now, false);
        // Calls that ended at once have failed by now.
        if wait.is_some() && !gateway.make_calls(now) {
            wait = self.exchange.decide(gateway, now, true);
        }
        if let Some(wait) = wait {
            gateway.waiting.borrow_mut().push(wait, &self.exchange);
        }
        self.hold()
    }

    /// Trailers can forge a header too, for upstreams that merge the two.
    pub fn handle_request_trailers(&self) -> Action {
        if let (Some(gateway), Stage::Forwarded) = (&self.gateway, self.exchange.stage.get()) {
            let block = host::map(Map::RequestTrailers);
            apply(Map::RequestTrailers, &gateway.policy.forged(&host::pairs(&block)));
        }
        self.hold()
    }

    /// Finishes the response of a forwarded request; replies of the gateway's own are finished.
    pub fn handle_response_headers(&self) -> Action {
        let stage = self.exchange.stage.get();
        if let (Some(gateway), Stage::Forwarded | Stage::Waiting) = (&self.gateway, stage) {
            self.exchange.finish_response(gateway);
            // Envoy gave the request up while it waited: too large to hold, or too slow to arrive.
            if stage == Stage::Waiting {
                self.exchange.stage.set(Stage::Replied);
            }
        }
        Action::Continue
    }

    /// Writes the record at the end of the request, where Envoy's access log does not.
    pub fn write_record(&self) {
        if self.gateway.as_ref().is_some_and(|gateway| gateway.policy.audit() == Audit::Log) {
            self.exchange.write_record();
        }
    }
}

/// What a callback tells Envoy to do with the request (proxy-wasm ABI, `proxy_action_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Let it go on.
    Continue = 0,
    /// Hold it.
    Pause = 1,
}
