//! What clients are told about their limits: `RateLimit` and `RateLimit-Policy`, or `X-RateLimit-*`.

use std::fmt::Write;
use std::rc::Rc;

use crate::config::limit::LimitHeaders;

/// The limits that a request came under, and what is left of the tightest of them.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    form: LimitHeaders,
    policies: Vec<Rc<str>>,
    tightest: Option<Standing>,
}

/// How one window of a limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The window's name.
    pub window: Rc<str>,
    /// How many requests it allows.
    pub most: u64,
    /// How many are left.
    pub left: u64,
    /// In how many seconds all of them are there again; of a refused request, in how many there is one.
    pub seconds: u64,
}

impl Budget {
    /// One that is told in this form.
    pub fn new(form: LimitHeaders) -> Budget {
        Budget { form, ..Budget::default() }
    }

    /// Adds a limit: its policy as the draft writes it, and how the tightest of its windows stands.
    pub fn add(&mut self, policy: &Rc<str>, standing: Standing) {
        self.policies.push(policy.clone());
        if self.tightest.as_ref().is_none_or(|tightest| standing.left < tightest.left) {
            self.tightest = Some(standing);
        }
    }

    /// Adds the policy of a limit of which nothing was counted, since another limit refuses the request.
    pub fn list(&mut self, policy: &Rc<str>) {
        if !self.policies.contains(policy) {
            self.policies.push(policy.clone());
        }
    }

    /// The limit that refused is the one that counts: `t` is then the time that `Retry-After` says
    /// (draft-ietf-httpapi-ratelimit-headers-10 §4).
    pub fn refused(&mut self, policy: &Rc<str>, standing: Standing) {
        self.list(policy);
        self.tightest = Some(standing);
    }

    /// The header lines.
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
