//! Reports Envoy's cache filters in the same filter chain, because they serve one caller's response to another.

use crate::cli::documents;
use crate::cli::documents::Side;
use crate::cli::gateway::GatewayFile;
use crate::config::auth::Auth;
use crate::config::problem::Problem;
use crate::policy::pipeline::rule::RouteAction;

/// The problems in a file that configures Envoy around these documents.
pub fn problems(file: &str, text: &str, gateways: &[GatewayFile]) -> Vec<Problem> {
    let asks_callers = gateways.iter().any(asks_callers);
    let caches = documents::caches(file, text).into_iter().filter(|cache| asks_callers || cache.side != Side::Behind);
    caches.map(|cache| Problem { place: cache.place, message: message(cache.side).to_string() }).collect()
}

/// Whether upstream responses depend on the caller. On a route that is open to everyone, they do not.
fn asks_callers(gateway: &GatewayFile) -> bool {
    let rules = gateway.policy.routes().iter().map(|(_, rule)| rule);
    let mut asking = rules.filter(|rule| rule.requirements.auth != Auth::None);
    asking.any(|rule| matches!(rule.action, RouteAction::Forward(_)))
}

fn message(side: Side) -> &'static str {
    match side {
        Side::Behind | Side::Unknown => {
            "a cache behind the gateway's filter answers one caller with the response to another: the filter removes tokens and keys, \
             by which a cache would tell callers apart; remove the cache"
        }
        Side::InFront => {
            "a cache in front of the gateway's filter sends requests without `Authorization` past the filter: nobody authenticates \
             or limits them; remove the cache"
        }
    }
}
