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
    fn hold(&self) -> Action {
        match self.exchange.stage.get() {
            Stage::Forwarded => Action::Continue,
            Stage::New | Stage::Waiting | Stage::Inspecting | Stage::Replied => Action::Pause,
        }
    }

    /// Decides about the request, of which nothing follows when `ended`.
    pub fn handle_request_headers(&self, ended: bool) -> Action {
        let now = host::now();
        self.exchange.bare.set(ended);
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
        let unseen = self.exchange.stage.get() == Stage::Inspecting;
        if wait.is_some() || unseen {
            self.exchange.weigh();
        }
        if unseen {
            gateway.unseen.borrow_mut().push(Rc::downgrade(&self.exchange));
        }
        if let Some(wait) = wait {
            gateway.waiting.borrow_mut().push(wait, &self.exchange);
        }
        self.hold()
    }

    /// Takes note of a part of the body.
    pub fn handle_request_body(&self, size: usize, ended: bool) -> Action {
        if let Some(gateway) = &self.gateway {
            self.exchange.handle_body(gateway, size, ended);
        }
        self.hold()
    }

    /// Trailers can forge a header too, for upstreams that merge the two. They come once, whether or not anything is decided.
    pub fn handle_request_trailers(&self) -> Action {
        if let Some(gateway) = &self.gateway {
            self.exchange.handle_end_of_body(gateway);
            let block = host::map(Map::RequestTrailers);
            apply(Map::RequestTrailers, &gateway.policy.forged(&host::pairs(&block)));
        }
        self.hold()
    }

    /// Finishes the response of a forwarded request; replies of the gateway's own are finished.
    pub fn handle_response_headers(&self) -> Action {
        let stage = self.exchange.stage.get();
        if stage == Stage::Replied {
            self.exchange.reply_late();
        }
        if let (Some(gateway), Stage::Forwarded | Stage::Waiting | Stage::Inspecting) = (&self.gateway, stage) {
            self.exchange.finish_response(gateway);
            // Envoy gave the request up while it was held: too large, or too slow to arrive.
            if stage != Stage::Forwarded {
                self.exchange.stage.set(Stage::Replied);
                self.exchange.held.take();
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
