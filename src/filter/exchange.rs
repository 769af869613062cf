//! One request as the core's verdicts change it: decided, decided again after waiting, finished, written down.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::body::{Arrived, Held};
use super::host::{self, LocalReply, Map};
use super::peer::HostPeer;
use super::record::DETAILS;
use super::request_id::fresh_id;
use super::root::Gateway;
use super::target::with_target;
use super::verifier::HostVerifier;
use crate::policy::audit::AuditRecord;
use crate::policy::checks::body::Body;
use crate::policy::checks::meter::Meter;
use crate::policy::decision::{Await, Decision, HeaderEdit, Reply, ResponsePlan, Verdict};
use crate::policy::inspection::Inspection;
use crate::policy::local_reply;
use crate::policy::reply::REPLIED_HEADER;
use crate::policy::request::RequestParts;
use crate::policy::world::World;

/// One request as the core's verdict changes it; the gateway holds it too while it waits.
pub struct Exchange {
    context_id: u32,
    pub(super) stage: Cell<Stage>,
    pub(super) received_at: Cell<Duration>,
    pub(super) plan: RefCell<ResponsePlan>,
    /// What takes the place of a reply that Envoy made before.
    late: RefCell<Option<Reply>>,
    pub(super) record: RefCell<String>,
    /// The headers are the whole request.
    pub(super) bare: Cell<bool>,
    /// What a request that is held back for its body becomes.
    pub(super) inspection: RefCell<Option<Box<Inspection>>>,
    /// What counts the body of a request that was let through.
    pub(super) meter: RefCell<Option<Meter>>,
    pub(super) arrived: Cell<Arrived>,
    /// The bytes that it uses of the worker's bounds.
    pub(super) held: RefCell<Held>,
    /// The record of a request that waits, should it be refused before it is decided.
    pub(super) pending: RefCell<Option<AuditRecord<'static>>>,
    pub(super) weight: Cell<Option<u64>>,
    /// The client's own target while `:path` lacks the credentials of its query.
    pub(super) target: RefCell<Option<Rc<[u8]>>>,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Waiting,
    Inspecting,
    Forwarded,
    Replied,
}

impl Exchange {
    /// A request that nothing is known of yet.
    pub fn new(context_id: u32) -> Exchange {
        Exchange {
            context_id,
            stage: Cell::new(Stage::New),
            received_at: Cell::default(),
            plan: RefCell::default(),
            late: RefCell::default(),
            record: RefCell::default(),
            bare: Cell::default(),
            inspection: RefCell::default(),
            meter: RefCell::default(),
            arrived: Cell::default(),
            held: RefCell::default(),
            pending: RefCell::default(),
            weight: Cell::default(),
            target: RefCell::default(),
        }
    }

    /// The context that host calls about this request need.
    pub fn context_id(&self) -> u32 {
        self.context_id
    }

    /// Decides once more about a request that waited, and lets it go on or answers it.
    pub fn decide_again(self: &Rc<Self>, gateway: &Gateway) {
        if self.stage.get() != Stage::Waiting {
            return;
        }
        if let Some(wait) = self.decide(gateway, host::now(), true) {
            gateway.waiting.borrow_mut().push(wait, self);
        }
        // The body may have come while the request waited.
        self.inspect(gateway);
        match self.stage.get() {
            Stage::Inspecting => gateway.unseen.borrow_mut().push(Rc::downgrade(self)),
            Stage::Forwarded => self.release(gateway),
            Stage::New | Stage::Waiting | Stage::Replied => {}
        }
    }

    /// Decides, and applies what was decided, unless the request has to wait.
    pub(super) fn decide(&self, gateway: &Gateway, now: Duration, again: bool) -> Option<Await> {
        let block = host::map(Map::Request);
        let own_target = self.own_target();
        let headers = with_target(host::pairs(&block), own_target.as_deref());
        // When too many wait already, a further one is decided like one that waited its whole time.
        let full = gateway.waiting.borrow().is_full();
        let received_at = if full { Duration::ZERO } else { self.received_at.get() };
        let memory = &mut *gateway.memory.borrow_mut();
        let mut world = World {
            now,
            polled: &mut memory.polled,
            tokens: &mut memory.tokens,
            limits: &mut memory.limits,
            quotas: &mut memory.ledger.quotas,
            verifier: &HostVerifier,
            peer: &HostPeer::default(),
            fresh_id: &fresh_id,
            trace: None,
        };
        let parts = RequestParts { headers: &headers, received_at, again, ended: self.bare.get() };
        let verdict = gateway.policy.decide(&parts, &mut world);
        self.hide_query_secrets(gateway, &verdict.decision, &headers);
        self.conclude(gateway, verdict)
    }

    /// Applies what was decided; what has to be waited for comes back.
    pub(super) fn conclude(&self, gateway: &Gateway, verdict: Verdict<'_>) -> Option<Await> {
        match verdict.decision {
            Decision::Await(wait) => {
                self.stage.set(Stage::Waiting);
                self.pending.replace(Some(verdict.audit.into_owned()));
                self.plan.replace(verdict.response);
                if !self.reserve_body(gateway) {
                    self.refuse_crowded(gateway);
                    return None;
                }
                return Some(wait);
            }
            Decision::Inspect(inspection) => {
                let Some(kept) = gateway.kept.hold(inspection.kept_bytes()) else {
                    return self.conclude(gateway, gateway.policy.inspect(*inspection, Body::Crowded, host::now()));
                };
                self.held.borrow_mut().request = Some(kept);
                self.stage.set(Stage::Inspecting);
                self.inspection.replace(Some(inspection));
                self.plan.replace(verdict.response);
            }
            Decision::Forward(mut forward) => {
                // The body counts until Envoy lets it go.
                self.held.borrow_mut().request.take();
                self.note(gateway, verdict.audit.to_json());
                self.restore_target(forward.edits());
                apply(Map::Request, forward.edits());
                if forward.is_routed_elsewhere() {
                    host::set_filter_state("portcullis.decision", b"forward");
                }
                if let Some(permissions) = forward.permissions() {
                    host::set_filter_state("portcullis.permissions", permissions.as_bytes());
                }
                self.meter.replace(forward.take_meter());
                self.plan.replace(verdict.response);
                self.stage.set(Stage::Forwarded);
            }
            Decision::Reply(reply) => {
                self.held.take();
                self.note(gateway, verdict.audit.to_json());
                self.stage.set(Stage::Replied);
                // Envoy adds what it read to what it holds before it shows it, and refuses there and then what is too much
                // (envoy-facts §2.7). Of two replies the client would get the first, which nobody finishes.
                if self.arrived.get().has_begun() && host::property(DETAILS).is_some_and(|details| !details.is_empty())
                {
                    self.late.replace(Some(reply));
                } else {
                    send(&reply);
                }
            }
        }
        None
    }

    /// Sends what was decided too late to be the first reply.
    pub(super) fn reply_late(&self) {
        if let Some(reply) = self.late.take() {
            send(&reply);
        }
    }

    /// Puts the gateway's headers on a response, or its envelope in the place of a reply that Envoy made.
    pub(super) fn finish_response(&self, gateway: &Gateway) {
        let plan = self.plan.borrow();
        let header = |name| host::header(Map::Response, name).and_then(|value| String::from_utf8(value).ok());
        let status = header(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        // To a gRPC client Envoy tells a failure with status 200 and the trailers as headers.
        let may_be_trailers = plan.grpc && status == 200 && header("grpc-status").is_some();
        if status >= 400 || may_be_trailers {
            let details = host::property(DETAILS).unwrap_or_default();
            let details = String::from_utf8_lossy(&details);
            let held = self.stage.get() != Stage::Forwarded;
            let status = if may_be_trailers { local_reply::meant(&details, held) } else { status };
            if let Some((reply, code)) = gateway.policy.translate_local_reply(status, &details, &plan, host::now()) {
                self.note_failure(gateway, code, &details);
                send(&reply);
                return;
            }
        }
        if status == 101 {
            // The next proxy on the way to the client deletes what the upstream names here (RFC 9110 §7.6.1).
            host::set_header(Map::Response, "connection", b"upgrade");
        }
        for (name, value) in plan.budget.headers() {
            host::set_header(Map::Response, name, value.as_bytes());
        }
        if let Some(cors) = &plan.cors {
            // Removing what is not there costs a tenth of reading the whole map, which would tell.
            for name in cors.remove.iter().filter(|name| !cors.sets(name)) {
                host::remove_header(Map::Response, name);
            }
            for (name, value) in &cors.set {
                host::set_header(Map::Response, name, value.as_bytes());
            }
            if let Some(vary) = &cors.vary {
                host::add_header(Map::Response, "vary", vary.as_bytes());
            }
        }
        host::set_header(Map::Response, "x-request-id", plan.request_id.as_bytes());
    }
}

pub(super) fn apply(map: Map, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => host::set_header(map, name, value),
            HeaderEdit::Remove(name) => host::remove_header(map, name),
        };
    }
}

/// Sends a reply, after marking the request of a refusal. A gRPC client gets its status and a short message in the place of the body (envoy-facts §2.5).
pub(super) fn send(reply: &Reply) {
    if reply.status >= 400 {
        host::set_header(Map::Request, REPLIED_HEADER, b"1");
    }
    let headers = host::serialize(reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    let (grpc_status, body) = match &reply.grpc {
        Some((status, message)) => (i32::from(*status), message.as_bytes()),
        None => (-1, reply.body.as_ref()),
    };
    host::reply(&LocalReply { status: reply.status, details: reply.details, headers: &headers, body, grpc_status });
}
