//! `plans`, `limits` and a route's own limits as written: the number of requests allowed per time window.

mod reading;
pub mod service;

use std::time::Duration;

use super::claim::ClaimPath;
use super::problem::{At, Place};

/// A named set of windows that limits refer to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name.
    pub name: At<String>,
    /// The windows; all of them apply.
    pub windows: Vec<At<WindowSettings>>,
}

/// A rate: a number of requests per time window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// As written: `100/s`.
    pub text: String,
    /// The number of requests.
    pub count: u64,
    /// The length of the window, and how it is counted.
    pub span: WindowSpan,
}

/// The length of a window, and how it refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpan {
    /// A rate: used requests come back evenly, and a burst is allowed.
    Rate {
        /// The time in which the whole count comes back.
        per: Duration,
        /// How many requests may arrive at once.
        burst: u64,
    },
    /// A quota: the whole count comes back at the start of the next hour, day or month in UTC.
    Quota(QuotaPeriod),
}

/// A calendar period in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// Starts at every full hour.
    Hour,
    /// Starts at midnight.
    Day,
    /// Starts at midnight on the first day of the month.
    Month,
}

/// A limit: the bucket key, the events it counts, and the allowance.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// The name in audit records and in headers about limits.
    pub name: At<String>,
    /// The parts of the bucket key. Each combination of values has its own bucket.
    pub by: Vec<At<KeyPart>>,
    /// The events that are counted.
    pub counts: CountedEvents,
    /// The allowance.
    pub allowance: Allowance,
    /// The routes that share the limit, by name; `None` means all routes.
    pub routes: Option<Vec<At<String>>>,
    /// Whether the limit only logs the requests that it would refuse.
    pub shadow: bool,
    /// The maximum number of buckets kept at the same time.
    pub max_entries: u32,
    /// Where the counts are kept.
    pub store: CountStore,
    /// Where it is written.
    pub place: Place,
}

/// One part of a bucket key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address; for IPv6 the first 64 bits, the usual size of a subscriber's network.
    Address,
    /// The token's issuer and subject.
    User,
    /// The token itself.
    Token,
    /// The calling application.
    Client,
    /// The route.
    Route,
    /// A request header; the name is in lower case.
    Header(String),
    /// A claim of the token.
    Claim(ClaimPath),
}

/// The events that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CountedEvents {
    /// Every request.
    #[default]
    Requests,
    /// Invalid credentials. When the limit is exceeded, further credentials are not verified.
    FailedAuthentications,
}

/// The allowance of a limit.
#[derive(Clone, Debug)]
pub enum Allowance {
    /// All of these windows.
    Windows(Vec<At<WindowSettings>>),
    /// The windows of a plan.
    Plan(At<String>),
    /// The windows of the caller's plan.
    PlanFrom(PlanFrom),
}

/// How a caller's plan is found.
#[derive(Clone, Debug)]
pub struct PlanFrom {
    /// The source of the plan name.
    pub chooser: PlanSource,
    /// The plan of callers without a plan, or with a plan that is not accepted.
    pub default: At<String>,
}

/// The source of a caller's plan name.
#[derive(Clone, Debug)]
pub enum PlanSource {
    /// A claim contains the name; only the listed plans are accepted, or all if the list is empty.
    Claim(ClaimPath, Vec<At<String>>),
    /// The client's own plan; the list works as for `Claim`.
    Client(Vec<At<String>>),
    /// A list of clients and their plans.
    Clients(Vec<(At<String>, At<String>)>),
}

/// Where counts are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CountStore {
    /// In the proxy's memory, shared by its workers.
    #[default]
    Local,
    /// In a rate limit service, shared by all proxies that call it.
    Global(service::SharedSettings),
}

/// The response headers about limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LimitHeaders {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    XRateLimit,
    /// Only `Retry-After`.
    None,
}

/// The document limits that do not apply to a route.
#[derive(Clone, Debug)]
pub enum LimitExclusions {
    /// All of them.
    All,
    /// The limits with these names.
    Named(Vec<At<String>>),
}

/// More windows in one limit would enlarge the shared counters without a practical use.
pub const MAX_WINDOWS: usize = 4;
