//! The settings of `plans` and `limits`: how many requests a caller may send in a time window.

mod reading;
pub mod service;

use std::time::Duration;

use super::claim::ClaimPath;
use super::problem::{At, Place};

/// A named set of windows. Limits refer to it with `plan` or `plan_from`.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of the plan.
    pub name: At<String>,
    /// The windows of the plan. A request is allowed only if every window has a request left.
    pub windows: Vec<At<WindowSettings>>,
}

/// A window: the number of requests that are allowed in a time span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// The window as written in the document, such as `100/s`.
    pub text: String,
    /// The number of requests that are allowed in the time span.
    pub count: u64,
    /// The length of the window, and when used requests become available again.
    pub span: WindowSpan,
}

/// The length of a window, and whether its requests become available again one by one or all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpan {
    /// A rate: used requests become available again one by one, at equal intervals.
    Rate {
        /// The time in which [`WindowSettings::count`] requests become available again.
        per: Duration,
        /// The maximum number of requests that are allowed at once, after a time without requests.
        burst: u64,
    },
    /// A quota: all requests become available again at the start of the next hour, day or month in UTC.
    Quota(QuotaPeriod),
}

/// A calendar period in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// A period that starts at every full hour.
    Hour,
    /// A period that starts at midnight.
    Day,
    /// A period that starts at midnight on the first day of the month.
    Month,
}

/// A limit: the bucket key, the counted events, and the number of events that each bucket allows.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// The name, used in audit records and in the response headers about limits.
    pub name: At<String>,
    /// The parts of the bucket key. Each combination of their values has its own bucket.
    pub by: Vec<At<KeyPart>>,
    /// The events that the limit counts.
    pub counts: CountedEvents,
    /// The number of events that each bucket allows.
    pub allowance: Allowance,
    /// The names of the routes to which a limit of the document applies; `None` means all routes. For a limit in a route, this is
    /// always `None`, and the limit applies to that route.
    pub routes: Option<Vec<At<String>>>,
    /// Whether the limit refuses no request and only adds `would_limit` to the audit record.
    pub shadow: bool,
    /// The maximum number of buckets that the proxy keeps for each plan of the limit.
    pub max_entries: u32,
    /// The place that keeps the counts: this proxy, or a rate limit service.
    pub store: CountStore,
    /// The location of the limit in the document.
    pub place: Place,
}

/// One part of a bucket key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The address of the client. For IPv6, only the first 64 bits are used, because one subscriber usually has all addresses
    /// with these bits.
    Address,
    /// The issuer and the subject of the token.
    User,
    /// The token itself.
    Token,
    /// The id of the client that the credential identifies.
    Client,
    /// The route that the request matches.
    Route,
    /// A request header; the name is in lower case.
    Header(String),
    /// A claim of the token.
    Claim(ClaimPath),
}

/// The events that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CountedEvents {
    /// All requests.
    #[default]
    Requests,
    /// Requests with an invalid credential. While a bucket allows no further event, the gateway refuses the requests of this
    /// bucket without verifying their credentials.
    FailedAuthentications,
}

/// The number of events that each bucket of a limit allows.
#[derive(Clone, Debug)]
pub enum Allowance {
    /// The windows of the limit itself. A request is allowed only if every window has a request left.
    Windows(Vec<At<WindowSettings>>),
    /// The windows of the plan with this name.
    Plan(At<String>),
    /// The windows of the caller's plan.
    PlanFrom(PlanFrom),
}

/// How the filter finds the plan of a caller.
#[derive(Clone, Debug)]
pub struct PlanFrom {
    /// The source of the caller's plan name.
    pub chooser: PlanSource,
    /// The plan of callers without a plan name, and of callers whose plan name is not accepted.
    pub default: At<String>,
}

/// The source of a caller's plan name.
#[derive(Clone, Debug)]
pub enum PlanSource {
    /// The claim that contains the plan name. Only the listed plans are accepted; an empty list accepts all plans.
    Claim(ClaimPath, Vec<At<String>>),
    /// The `plan` of the caller's client. Only the listed plans are accepted; an empty list accepts all plans.
    Client(Vec<At<String>>),
    /// Pairs of a client id and the name of a plan.
    Clients(Vec<(At<String>, At<String>)>),
}

/// The place that keeps the counts of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CountStore {
    /// The memory of the proxy. All workers of the proxy share the counts.
    #[default]
    Local,
    /// A rate limit service. All proxies that call the service share the counts.
    Global(service::SharedSettings),
}

/// The response headers that report limits to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LimitHeaders {
    /// The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Ietf,
    /// The headers `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    XRateLimit,
    /// No header except `Retry-After` on refusals.
    None,
}

/// The limits of the document that do not apply to a route.
#[derive(Clone, Debug)]
pub enum LimitExclusions {
    /// No limit of the document applies.
    All,
    /// The limits with these names do not apply.
    Named(Vec<At<String>>),
}

/// The maximum number of windows in one limit. The counter of each bucket has room for four windows, and no known limit needs
/// more.
pub const MAX_WINDOWS: usize = 4;
