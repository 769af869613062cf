//! The limits of a route, grouped by the stage that checks them.

use std::sync::Arc;

use super::rate_limit::Limit;

/// The limits of one route, or of requests that match no route.
#[derive(Clone, Debug, Default)]
pub struct LimitSet {
    /// The limits that are checked when a request arrives, before authentication.
    pub arrival: Vec<Arc<Limit>>,
    /// The limits that are checked before a credential is verified. Only invalid credentials are counted.
    pub failures: Vec<Arc<Limit>>,
    /// The limits that this proxy checks after authorization.
    pub caller: Vec<Arc<Limit>>,
    /// The limits that are checked with the rate limit service, after authorization.
    pub shared: Vec<Arc<Limit>>,
}
