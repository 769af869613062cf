//! The settings of `plans`, `limits` and the limits of a route: the number of requests allowed per time window.

mod reading;
pub mod service;

use std::time::Duration;

use super::claim::ClaimPath;
use super::problem::{At, Place};

/// A named set of windows. Limits refer to a plan by its name.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of the plan.
    pub name: At<String>,
    /// The windows; a request must be within the limit of each window.
    pub windows: Vec<At<WindowSettings>>,
}

/// A window: the number of requests allowed in a time span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// The window in the form of the document, such as `100/s`.
    pub text: String,
    /// The number of requests.
    pub count: u64,
    /// The length of the window, and how it refills.
    pub span: WindowSpan,
}

/// The length of a window, and how it refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpan {
    /// A rate: used requests are given back evenly, and a burst is allowed.
    Rate {
        /// The time after which all used requests are given back.
        per: Duration,
        /// The maximum number of requests that can arrive at the same time.
        burst: u64,
    },
    /// A quota: the full number of requests is available again at the start of the next hour, day or month in UTC.
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

/// A limit: the bucket key, the counted events, and the number of events allowed.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// The name, used in audit records and in the response headers about limits.
    pub name: At<String>,
    /// The parts of the bucket key. Each combination of values has its own bucket.
    pub by: Vec<At<KeyPart>>,
    /// Which events the limit counts.
    pub counts: CountedEvents,
    /// The number of events allowed.
    pub allowance: Allowance,
    /// The names of the routes that share the limit; `None` means all routes.
    pub routes: Option<Vec<At<String>>>,
    /// Whether the limit only logs the requests that it would refuse.
    pub shadow: bool,
    /// The maximum number of buckets kept at the same time.
    pub max_entries: u32,
    /// Where the counts are kept.
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
    /// The client that calls.
    Client,
    /// The route that matched.
    Route,
    /// A request header; the name is in lower case.
    Header(String),
    /// A claim of the token.
    Claim(ClaimPath),
}

/// Which events a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CountedEvents {
    /// All requests.
    #[default]
    Requests,
    /// Invalid credentials. After the limit is exceeded, the gateway does not verify further credentials.
    FailedAuthentications,
}

/// The number of events that a limit allows.
#[derive(Clone, Debug)]
pub enum Allowance {
    /// These windows; a request must be within the limit of each window.
    Windows(Vec<At<WindowSettings>>),
    /// The windows of the plan with this name.
    Plan(At<String>),
    /// The windows of the plan that the caller has.
    PlanFrom(PlanFrom),
}

/// How the filter finds the plan of a caller.
#[derive(Clone, Debug)]
pub struct PlanFrom {
    /// The source of the caller's plan name.
    pub chooser: PlanSource,
    /// The plan of callers that have no plan, or whose plan is not accepted.
    pub default: At<String>,
}

/// The source of a caller's plan name.
#[derive(Clone, Debug)]
pub enum PlanSource {
    /// A claim that contains the plan name. Only the listed plans are accepted; an empty list accepts all plans.
    Claim(ClaimPath, Vec<At<String>>),
    /// The `plan` of the client. The list has the same meaning as in `Claim`.
    Client(Vec<At<String>>),
    /// A list of clients, each with its plan.
    Clients(Vec<(At<String>, At<String>)>),
}

/// Where counts are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CountStore {
    /// The counts are kept in the memory of the proxy. All workers of the proxy share them.
    #[default]
    Local,
    /// The counts are kept in a rate limit service. All proxies that call the service share them.
    Global(service::SharedSettings),
}

/// Which response headers report limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LimitHeaders {
    /// The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Ietf,
    /// The headers `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    XRateLimit,
    /// Only the header `Retry-After`.
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

/// The maximum number of windows in one limit. More windows would enlarge the shared counters without a practical use.
pub const MAX_WINDOWS: usize = 4;
