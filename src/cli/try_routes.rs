//! Simulates a request for a route, with example values for path parameters and for the `*` in a host.

use super::Failure;
use super::explain::{PresentedCredentials, SimulatedGateway};
use crate::config::document::Route;

/// A route, and the verdict on a request for the route.
pub struct RouteVerdict<'g> {
    /// The route in the document.
    pub route: &'g Route,
    /// The route name.
    pub name: String,
    /// The method and path of the request.
    pub request: String,
    /// Whether the filter allows the request, apart from checks of its query and body.
    pub allowed: bool,
    /// The reason and the detail in the audit record.
    pub reason: String,
}

/// Simulates one request for every route, in document order.
pub fn try_all<'g>(
    simulated: &mut SimulatedGateway<'g>,
    presented: &PresentedCredentials<'_>,
) -> Result<Vec<RouteVerdict<'g>>, Failure> {
    let gateway = simulated.gateway;
    let routes = gateway.document.routes.iter().zip(gateway.policy.routes().iter());
    routes.map(|(route, (_, rule))| try_route(simulated, route, &rule.name, presented)).collect()
}

/// Returns the verdicts as table rows, including the header row.
pub fn rows(answers: &[RouteVerdict<'_>]) -> Vec<[String; 4]> {
    let mut rows = vec![["ROUTE", "REQUEST", "ALLOWED", "REASON"].map(str::to_string)];
    rows.extend(answers.iter().map(|answer| {
        let may = if answer.allowed { "yes" } else { "no" };
        [answer.name.clone(), answer.request.clone(), may.to_string(), answer.reason.clone()]
    }));
    rows
}

/// Simulates a request for a route and returns the verdict.
pub fn try_route<'g>(
    simulated: &mut SimulatedGateway<'_>,
    route: &'g Route,
    name: &str,
    presented: &PresentedCredentials<'_>,
) -> Result<RouteVerdict<'g>, Failure> {
    let method = route.methods.first().map_or("GET", |method| method.value.as_str());
    let method = if method == "ANY" { "GET" } else { method };
    let host = route.hosts.first().map_or("gateway.test", |host| host.value.as_str()).replacen('*', "any", 1);
    let mut last = None;
    // A request with an example value can match a more specific route, so several values are tried. A document is unlikely to
    // have such a route for every value.
    for value in ["any", "any-other", "7b1c", "x-0f3e"] {
        let path: String = route
            .path
            .value
            .split('/')
            .skip(1)
            .map(|s| format!("/{}", if s.starts_with('{') { value } else { s }))
            .collect();
        let request = [(":method", method), (":path", &path), (":scheme", "http"), (":authority", &host)];
        let request = request.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        let verdict = simulated.verdict_on(request, presented)?;
        let is_ours = verdict.route.as_deref() == Some(name);
        let detail = verdict.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
        let reason = format!("{}{detail}", verdict.reason);
        let request = format!("{method} {path}");
        last = Some(RouteVerdict { route, name: name.to_string(), request, allowed: verdict.allowed, reason });
        if is_ours {
            break;
        }
    }
    // This error cannot happen, because the loop tries at least one value.
    last.ok_or_else(|| Failure::Message(format!("internal error: no request was simulated for route `{name}`")))
}
