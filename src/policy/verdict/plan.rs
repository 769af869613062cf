//! The parts of the response that are known when the request is decided.

use std::sync::Arc;

use super::budget::Budget;
use super::edit::HeaderName;

/// The headers that every response to a request gets. They are known when the request is decided, before the response exists.
#[derive(Clone, Debug, Default)]
pub struct ResponsePlan {
    /// The request id, which is returned to the client.
    pub request_id: Arc<str>,
    /// The CORS headers of the response; `None` on a route without CORS.
    pub cors: Option<Arc<CorsResponse>>,
    /// The rate limit information for the client.
    pub budget: Budget,
    /// Whether the client uses gRPC and so expects gRPC errors.
    pub grpc: bool,
}

/// Header fields whose names and values are shared instead of copied.
pub type HeaderFields = Vec<(Arc<str>, Arc<str>)>;

impl ResponsePlan {
    /// Returns the headers that every response gets: the request id, the rate limit headers, and the CORS headers.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, Arc<str>)> {
        let limits = self.budget.headers().into_iter().map(|(name, value)| (name.into(), value.into()));
        let cors = self.cors.iter().flat_map(|cors| {
            let set = cors.set.iter().map(|(name, value)| (name.clone().into(), value.clone()));
            set.chain(cors.vary.iter().map(|vary| ("vary".into(), vary.clone())))
        });
        std::iter::once(("x-request-id".into(), self.request_id.clone())).chain(limits).chain(cors)
    }

    /// Extends the headers of a gateway reply with the headers that every response has.
    pub fn add_to_reply(&self, headers: &mut HeaderFields) {
        headers.extend(self.headers().map(|(name, value)| (name.into(), value)));
    }
}

/// The CORS headers of a response. Gateway replies and upstream responses both get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsResponse {
    /// The headers to set. Names are in lower case.
    pub set: HeaderFields,
    /// The value to add to `Vary`; `None` if all origins get the same response.
    pub vary: Option<Arc<str>>,
    /// The headers to remove from the upstream's response before `set` is applied, because only the gateway's policy applies.
    pub remove: &'static [&'static str],
}

impl CorsResponse {
    /// Returns `true` if `set` contains this header, so that its value replaces the upstream's value.
    pub fn sets(&self, name: &str) -> bool {
        self.set.iter().any(|(set, _)| **set == *name)
    }
}
