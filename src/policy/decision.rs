//! What the core answers: forward with these edits, reply with this, or wait for that. Plain data; the adapter applies it.

use std::rc::Rc;
use std::time::Duration;

use super::audit::AuditRecord;
use super::cors::CorsResponse;
use super::forward::Forward;
use super::inspection::Inspection;
use super::limit::budget::Budget;
use super::polled::PolledId;
use super::quota::AccountId;

/// The answer for one request: what to do, and what to write down about it.
#[derive(Debug)]
pub struct Verdict<'r> {
    /// What the adapter has to do.
    pub decision: Decision,
    /// The record of the decision; says nothing yet when the decision is to wait.
    pub audit: AuditRecord<'r>,
    /// What is known now about the response.
    pub response: ResponsePlan,
}

/// One of four things an adapter can be told to do.
#[derive(Debug)]
pub enum Decision {
    /// Let the request through, changed like this.
    Forward(Forward),
    /// Hold it back until its body is here, and hand that to [`super::Policy::inspect`], which says what comes next.
    Inspect(Box<Inspection>),
    /// Answer it here: refusals, preflights and static routes alike.
    Reply(Reply),
    /// Ask again when this is known (or cannot be had), at the latest at this time.
    Await(Await),
}

/// One change to a header map. Names are lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replace every header of this name by one with this value: bytes, because a header's need not be text.
    Set(Rc<str>, Rc<[u8]>),
    /// Remove every header of this name.
    Remove(Rc<str>),
}

/// What is known at request time about the response.
#[derive(Clone, Debug, Default)]
pub struct ResponsePlan {
    /// The request's id, returned to the client.
    pub request_id: Rc<str>,
    /// CORS headers that belong on the response, and those of the upstream that do not; none on a route without CORS.
    pub cors: Option<Rc<CorsResponse>>,
    /// What the client is told of its limits.
    pub budget: Budget,
    /// True when the client speaks gRPC and wants its errors that way.
    pub grpc: bool,
}

/// An answer made by the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Headers, names in lower case; values hold no control characters.
    pub headers: Vec<(Rc<str>, Rc<str>)>,
    /// The body; the proxy leaves it out for a HEAD request.
    pub body: Rc<[u8]>,
    /// gRPC status code and message for a client that speaks gRPC (envoy-facts §2.5).
    pub grpc: Option<(u8, &'static str)>,
    /// What Envoy shows as the response code details: one word.
    pub details: &'static str,
}

/// A request that cannot be decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// What is missing.
    pub on: Awaited,
    /// When waiting ends, since the Unix epoch: decide again then at the latest.
    pub until: Duration,
}

/// Something outside that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A polled document that is missing or may have a newer version.
    Document(PolledId),
    /// A hit that a rate limit service may grant.
    Quota(AccountId),
}
