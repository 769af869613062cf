//! A route as compiled: what it asks, and what it does for those who may.

use std::rc::Rc;

use super::forward::Destination;
use crate::policy::authority::authorize::Requirements;
use crate::policy::checks::Checks;
use crate::policy::limits::set::LimitSet;
use crate::policy::respond::cors::CorsPolicy;

/// A route as compiled: what it asks, and what it does for those who may.
#[derive(Debug)]
pub struct Rule {
    /// The name in the audit record.
    pub name: Rc<str>,
    /// What it asks of callers.
    pub requirements: Requirements,
    /// How often it may be called, and by whom.
    pub limits: LimitSet,
    /// What its requests must look like.
    pub checks: Option<Rc<Checks>>,
    /// Its CORS policy.
    pub cors: Option<Rc<CorsPolicy>>,
    /// What happens to requests that may pass.
    pub action: Action,
}

impl Rule {
    /// The largest body that requests of this route are held back for; none where they are answered or not checked.
    pub fn held_body(&self) -> Option<u64> {
        let checks = self.checks.as_ref().filter(|_| matches!(self.action, Action::Forward(_)))?;
        checks.holds()
    }
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Sends the request on.
    Forward(Destination),
    /// Answers it.
    Answer(StaticAnswer),
}

/// The answer of a static route, rendered when the policy was compiled.
#[derive(Debug)]
pub struct StaticAnswer {
    pub(in crate::policy) status: u16,
    pub(in crate::policy) headers: Vec<(Rc<str>, Rc<str>)>,
    pub(in crate::policy) body: Rc<[u8]>,
}
