//! `plans`, `limits` and a route's own limits as written: how many requests whoever may make in which time.

mod reading;
pub mod service;

use std::time::Duration;

use super::claim::ClaimPath;
use super::problem::{At, Place};

/// Windows with a name, for limits to refer to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name.
    pub name: At<String>,
    /// All of them hold.
    pub windows: Vec<At<Window>>,
}

/// So many requests in such a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As written: `100/s`.
    pub text: String,
    /// How many.
    pub count: u64,
    /// In which time, and counted how.
    pub span: Span,
}

/// The time of a window, and how it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A rate: what was used comes back evenly, and so many may come at once.
    Rate {
        /// The time in which the count comes back.
        per: Duration,
        /// How many may come at once.
        burst: u64,
    },
    /// A quota: all of it comes back when the next hour, day or month of UTC begins.
    Quota(Period),
}

/// A period of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Begins at every full hour.
    Hour,
    /// Begins at midnight.
    Day,
    /// Begins at midnight of the first.
    Month,
}

/// A limit: who is counted, what, and how much of it is allowed.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The name in the audit record and in the headers about limits.
    pub name: At<String>,
    /// What tells those apart who are counted each for themselves; all of it together.
    pub by: Vec<At<KeyPart>>,
    /// What is counted.
    pub counts: Counts,
    /// How much is allowed.
    pub allowance: Allowance,
    /// The routes that share it, by name; none stands for all.
    pub routes: Option<Vec<At<String>>>,
    /// It only writes down whom it would have refused.
    pub shadow: bool,
    /// How many of those it tells apart it remembers at a time.
    pub max_entries: u32,
    /// Where the counts are kept.
    pub store: Store,
    /// Where it is written.
    pub place: Place,
}

/// One thing that tells callers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address; of IPv6 the first 64 bits, which is what one subscriber has.
    Address,
    /// The token's issuer and subject.
    User,
    /// The very token.
    Token,
    /// The application that calls.
    Client,
    /// The route.
    Route,
    /// A header of the request, in lower case.
    Header(String),
    /// A claim of the token.
    Claim(ClaimPath),
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Counts {
    /// Every request.
    #[default]
    Requests,
    /// Credentials that did not hold; when there were too many, no further one is looked at.
    FailedAuthentications,
}

/// How much a limit allows.
#[derive(Clone, Debug)]
pub enum Allowance {
    /// These windows, all of them.
    Windows(Vec<At<Window>>),
    /// Those of a plan.
    Plan(At<String>),
    /// Those of the plan that the caller has.
    PlanFrom(PlanFrom),
}

/// How a caller's plan is found.
#[derive(Clone, Debug)]
pub struct PlanFrom {
    /// Where it is looked up.
    pub chooser: Chooser,
    /// The plan of everyone for whom nothing, or none of the accepted plans, is found.
    pub default: At<String>,
}

/// Where a caller's plan is looked up.
#[derive(Clone, Debug)]
pub enum Chooser {
    /// A claim names it; only these plans are accepted, or all when none is listed.
    Claim(ClaimPath, Vec<At<String>>),
    /// What is known of the client names it; the same holds of the plans.
    Client(Vec<At<String>>),
    /// A list of clients and their plans.
    Clients(Vec<(At<String>, At<String>)>),
}

/// Where counts are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Store {
    /// In the proxy's own memory, shared by its workers.
    #[default]
    Local,
    /// In a rate limit service, shared by all proxies that ask it.
    Global(service::Shared),
}

/// The headers that tell clients about limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LimitHeaders {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    XRateLimit,
    /// None but `Retry-After`.
    None,
}

/// Which of the document's limits a route does without.
#[derive(Clone, Debug)]
pub enum Without {
    /// All of them.
    All,
    /// Those with these names.
    Named(Vec<At<String>>),
}

/// More windows in one limit would make what workers share of it larger without telling anybody more.
pub const MOST_WINDOWS: usize = 4;
