//! Reports Envoy cache filters in the chain of the gateway's filter, because a cache can serve one caller's response to another.

use crate::cli::documents;
use crate::cli::documents::CacheSide;
use crate::cli::gateway::GatewayFile;
use crate::config::auth::Auth;
use crate::config::problem::Problem;
use crate::policy::pipeline::rule::RouteAction;

/// Returns one problem for each unsafe cache filter in `file`. `gateways` are the gateway documents in the same file. A cache
/// behind the gateway's filter is unsafe only if one of these documents has an authenticated route.
pub fn problems(file: &str, text: &str, gateways: &[GatewayFile]) -> Vec<Problem> {
    let has_authenticated_route = gateways.iter().any(has_authenticated_route);
    let caches = documents::caches(file, text)
        .into_iter()
        .filter(|cache| has_authenticated_route || cache.side != CacheSide::Behind);
    caches.map(|cache| Problem { place: cache.place, message: message(cache.side).to_string() }).collect()
}

/// Returns whether upstream responses can depend on the caller: whether a route without `auth: none` forwards requests.
fn has_authenticated_route(gateway: &GatewayFile) -> bool {
    let rules = gateway.policy.routes().iter().map(|(_, rule)| rule);
    let mut authenticated = rules.filter(|rule| rule.requirements.auth != Auth::None);
    authenticated.any(|rule| matches!(rule.action, RouteAction::Forward(_)))
}

fn message(side: CacheSide) -> &'static str {
    match side {
        CacheSide::Behind | CacheSide::Unknown => {
            "a cache filter behind the gateway's filter can serve one caller's response to another caller, because the gateway's filter \
             removes the tokens and keys that distinguish callers; remove the cache filter"
        }
        CacheSide::InFront => {
            "a cache filter in front of the gateway's filter can answer requests without `Authorization` before the gateway's filter \
             authenticates or limits them; remove the cache filter"
        }
    }
}
