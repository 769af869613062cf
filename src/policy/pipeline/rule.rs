//! A compiled route: its requirements and its action.

use std::sync::Arc;

use super::forward::Destination;
use crate::config::json_api::MAPS_RESPONSES;
use crate::policy::authority::authorize::Requirements;
use crate::policy::checks::Checks;
use crate::policy::limits::set::LimitSet;
use crate::policy::respond::cors::CorsPolicy;
use crate::policy::respond::held::ResponseMapping;

/// A compiled route: its requirements and its action.
#[derive(Debug)]
pub struct Rule {
    /// The name of the route, as written in the audit record; `public` and the path for a public path.
    pub name: Arc<str>,
    /// The requirements for callers: credentials, scopes, permissions, claims and conditions.
    pub requirements: Requirements,
    /// The rate limits of the route, including those of the document that apply to it.
    pub limits: LimitSet,
    /// The checks of the route's requests; `None` if nothing is checked.
    pub checks: Option<Arc<Checks>>,
    /// The CORS policy of the route; `None` if the route has none.
    pub cors: Option<Arc<CorsPolicy>>,
    /// The action for requests that are authorized.
    pub action: RouteAction,
}

impl Rule {
    /// Returns the maximum size in bytes of a request body that is held for this route. Returns `None` if the route holds no
    /// bodies, as on a static route, where the gateway answers the request itself.
    pub fn held_body(&self) -> Option<u64> {
        let checks = self.checks.as_ref().filter(|_| matches!(self.action, RouteAction::Forward(_)))?;
        checks.holds()
    }

    /// Returns the maximum size in bytes of a response body that is held to map it; `None` if the route maps no responses.
    pub fn mapped_body(&self) -> Option<u64> {
        u64::try_from(self.mapping()?.max_bytes).ok()
    }

    /// Returns the response mapping of the route; `None` if the route maps no responses.
    pub fn mapping(&self) -> Option<&Arc<ResponseMapping>> {
        match &self.action {
            RouteAction::Forward(to) => to.mapping.as_ref().filter(|_| MAPS_RESPONSES),
            RouteAction::Answer(_) => None,
        }
    }
}

/// The action of a route for an authorized request.
#[derive(Debug)]
pub enum RouteAction {
    /// Forwards the request to this destination.
    Forward(Destination),
    /// Replies to the request with this response.
    Answer(StaticAnswer),
}

/// The response of a static route, built when the policy is compiled.
#[derive(Debug)]
pub struct StaticAnswer {
    pub(in crate::policy) status: u16,
    pub(in crate::policy) headers: Vec<(Arc<str>, Arc<str>)>,
    pub(in crate::policy) body: Arc<[u8]>,
}
