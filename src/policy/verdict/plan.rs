//! The parts of the response that are known when the request is decided.

use std::rc::Rc;

use super::budget::Budget;
use super::edit::HeaderName;

/// The parts of the response that are known when the request is decided.
#[derive(Clone, Debug, Default)]
pub struct ResponsePlan {
    /// The request id, which is returned to the client.
    pub request_id: Rc<str>,
    /// The CORS headers of the response; `None` on a route without CORS.
    pub cors: Option<Rc<CorsResponse>>,
    /// The rate limit information for the client.
    pub budget: Budget,
    /// The client uses gRPC and expects gRPC errors.
    pub grpc: bool,
}

/// Header fields, shared rather than copied.
pub type HeaderFields = Vec<(Rc<str>, Rc<str>)>;

impl ResponsePlan {
    /// Returns the headers of every response: the request id, the rate limit headers, and the CORS headers.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, Rc<str>)> {
        let limits = self.budget.headers().into_iter().map(|(name, value)| (name.into(), value.into()));
        let cors = self.cors.iter().flat_map(|cors| {
            let set = cors.set.iter().map(|(name, value)| (name.clone().into(), value.clone()));
            set.chain(cors.vary.iter().map(|vary| ("vary".into(), vary.clone())))
        });
        std::iter::once(("x-request-id".into(), self.request_id.clone())).chain(limits).chain(cors)
    }

    /// Adds the headers of every response to those of a gateway reply.
    pub fn add_to_reply(&self, headers: &mut HeaderFields) {
        headers.extend(self.headers().map(|(name, value)| (name.into(), value)));
    }
}

/// The CORS headers of a response, whether it comes from the gateway or the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsResponse {
    /// Headers to set, names in lower case.
    pub set: HeaderFields,
    /// The value to merge into `Vary`; `None` if all origins get the same response.
    pub vary: Option<Rc<str>>,
    /// The upstream's CORS headers to remove before `set`, because only the gateway's policy applies.
    pub remove: &'static [&'static str],
}

impl CorsResponse {
    /// Returns `true` if this header gets a value, which then replaces the upstream's.
    pub fn sets(&self, name: &str) -> bool {
        self.set.iter().any(|(set, _)| **set == *name)
    }
}
