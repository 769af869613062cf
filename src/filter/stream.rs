//! One request: hands its headers to the core, applies the verdict, and holds the request back while there is none.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::exchange::{Exchange, Stage, apply};
use super::host::{self, LocalReply, Map};
use super::root::Gateway;
use crate::config::document::Audit;

/// One request as Envoy's callbacks see it.
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
    fn hold(&self) -> Action {
        match self.exchange.stage.get() {
            Stage::Forwarded => Action::Continue,
            Stage::New | Stage::Waiting | Stage::Replied => Action::Pause,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let now = host::now();
        self.exchange.received_at.set(now);
        let Some(gateway) = &self.gateway else {
            self.exchange.stage.set(Stage::Replied);
            host::reply(&LocalReply { status: 500, details: "no_policy", headers: &[], body: &[], grpc_status: -1 });
            return Action::Pause;
        };
        self.exchange.decide(gateway, now);
        if self.exchange.stage.get() == Stage::Waiting {
            gateway.waiting.borrow_mut().push(Rc::downgrade(&self.exchange));
        }
        self.hold()
    }

    fn on_http_request_body(&mut self, _size: usize, _end: bool) -> Action {
        self.hold()
    }

    /// Trailers can forge a header too, for upstreams that merge the two.
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        if let (Some(gateway), Stage::Forwarded) = (&self.gateway, self.exchange.stage.get()) {
            let block = host::map(Map::RequestTrailers);
            apply(Map::RequestTrailers, &gateway.policy.forged(&host::pairs(&block)));
        }
        self.hold()
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
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

    fn on_log(&mut self) {
        if self.gateway.as_ref().is_some_and(|gateway| gateway.policy.audit() == Audit::Log) {
            self.exchange.write_record();
        }
    }
}
