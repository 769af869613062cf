//! Builds the rate limit headers for clients: `RateLimit` and `RateLimit-Policy`, or `X-RateLimit-*`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::config::limit::LimitHeaders;

/// The limits that apply to a request, and the state of one window, for the rate limit headers. This is the window that refused
/// the request. If no window refused it, it is the window with the fewest remaining requests.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    form: LimitHeaders,
    policies: Vec<Arc<str>>,
    tightest: Option<Remaining>,
}

/// The state of one window of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The name of the limit. If the limit has several windows, the text of the window follows, as in `orders:10/s`.
    pub window: Arc<str>,
    /// The number of requests that the window allows.
    pub most: u64,
    /// The number of requests that the window still allows.
    pub left: u64,
    /// The number of seconds until the window allows `most` requests again. For a refused request, the number of seconds until
    /// the next request is allowed.
    pub seconds: u64,
}

impl Budget {
    /// Creates an empty budget. `form` is the format of the headers.
    pub fn new(form: LimitHeaders) -> Budget {
        Budget { form, ..Budget::default() }
    }

    /// Adds a limit. `policy` is in the format of `RateLimit-Policy`, and `remaining` is the state of the limit's window with
    /// the fewest remaining requests.
    pub fn add(&mut self, policy: &Arc<str>, remaining: Remaining) {
        self.policies.push(policy.clone());
        if self.tightest.as_ref().is_none_or(|tightest| remaining.left < tightest.left) {
            self.tightest = Some(remaining);
        }
    }

    /// Adds the policy of a limit that did not count the request, because another limit refused it.
    pub fn list(&mut self, policy: &Arc<str>) {
        if !self.policies.contains(policy) {
            self.policies.push(policy.clone());
        }
    }

    /// Records the limit that refused the request. The headers then describe this limit and not the window with the fewest
    /// remaining requests, so that the parameter `t` of `RateLimit` equals `Retry-After`
    /// (draft-ietf-httpapi-ratelimit-headers-10 §4).
    pub fn refused(&mut self, policy: &Arc<str>, remaining: Remaining) {
        self.list(policy);
        self.tightest = Some(remaining);
    }

    /// Returns the rate limit headers of the response.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(tightest) = &self.tightest else { return Vec::new() };
        match self.form {
            LimitHeaders::None => Vec::new(),
            LimitHeaders::Ietf => {
                let mut limit = String::with_capacity(tightest.window.len() + 32);
                let _ = write!(limit, "\"{}\";r={};t={}", tightest.window, tightest.left, tightest.seconds);
                vec![("ratelimit-policy", self.policies.join(", ")), ("ratelimit", limit)]
            }
            LimitHeaders::XRateLimit => vec![
                ("x-ratelimit-limit", tightest.most.to_string()),
                ("x-ratelimit-remaining", tightest.left.to_string()),
                ("x-ratelimit-reset", tightest.seconds.to_string()),
            ],
        }
    }
}

/// Converts a duration to whole seconds, rounded up.
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
