//! The parts of the response that are known when the request is decided.

use std::rc::Rc;

use super::budget::Budget;

/// The parts of the response that are known when the request is decided.
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

/// Header fields, shared rather than copied.
pub type Fields = Vec<(Rc<str>, Rc<str>)>;

impl ResponsePlan {
    /// Adds what belongs on every reply of the gateway itself: the request's id, what is left of limits, and the CORS headers.
    pub fn add_to_reply(&self, headers: &mut Vec<(Rc<str>, Rc<str>)>) {
        headers.push(("x-request-id".into(), self.request_id.clone()));
        headers.extend(self.budget.headers().into_iter().map(|(name, value)| (name.into(), value.into())));
        if let Some(cors) = &self.cors {
            headers.extend(cors.set.iter().cloned());
            headers.extend(cors.vary.iter().map(|vary| ("vary".into(), vary.clone())));
        }
    }
}

/// What the CORS protocol puts on a response, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsResponse {
    /// Headers to set, names in lower case.
    pub set: Fields,
    /// What to merge into `Vary`; none where every origin gets the same response.
    pub vary: Option<Rc<str>>,
    /// The upstream's own CORS headers, to be removed before `set`: the gateway's policy is the only one.
    pub remove: &'static [&'static str],
}

impl CorsResponse {
    /// Whether this header gets a value, which then replaces the upstream's.
    pub fn sets(&self, name: &str) -> bool {
        self.set.iter().any(|(set, _)| **set == *name)
    }
}
