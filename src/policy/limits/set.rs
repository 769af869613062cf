//! The limits that hold somewhere, by the moment when they are asked.

use std::rc::Rc;

use super::rate_limit::Limit;

/// The limits of one route, or of requests that no route takes.
#[derive(Clone, Debug, Default)]
pub struct LimitSet {
    /// Asked when a request has arrived, before anybody looks at who calls.
    pub arrival: Vec<Rc<Limit>>,
    /// Asked before a credential is looked at, and counted when it did not hold.
    pub failures: Vec<Rc<Limit>>,
    /// Asked when it is known who calls and that he may.
    pub caller: Vec<Rc<Limit>>,
    /// Asked of the rate limit service, then.
    pub shared: Vec<Rc<Limit>>,
}
