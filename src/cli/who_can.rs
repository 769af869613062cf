//! `portcullis who-can`: reports what a caller needs for a request, a route or an upstream, and which clients can call it.

mod clients;

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use serde_json::{Value, json};

use super::explain::SimulatedGateway;
use super::gateway::GatewayFile;
use super::stand_in_clients::{StandInClients, StandInSource};
use super::{Exit, Failure, Output, ToolOutcome, clock, hint, text_table};
use crate::config::auth::{Auth, CredentialKind};
use crate::config::claim::RequiredClaim;
use crate::config::document::{IssuerSettings, Route};
use crate::config::problem::near_miss;
use crate::policy::pipeline::rule::{RouteAction, Rule};
use crate::policy::request::route::{Method, RouteMatch};

/// The options of `who-can`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").args(["method", "route", "upstream"]).required(true))]
pub struct WhoCanOptions {
    #[command(flatten)]
    source: StandInSource,
    /// The method of a request
    #[arg(value_name = "METHOD", requires = "path")]
    method: Option<String>,
    /// The path of a request
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// The host of the request
    #[arg(long, default_value = "gateway.test")]
    host: String,
    /// The name of a route; selects this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The name of an upstream; selects all routes to it
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// The output format
    #[arg(long, value_enum, default_value = "text")]
    format: WhoCanFormat,
    /// The time of the simulated requests: 2026-03-01T10:00:00Z or seconds since 1970; by default the current time
    #[arg(long, value_name = "TIME", value_parser = clock::parse_time)]
    at: Option<Duration>,
}

/// The output format of `can` and `who-can`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhoCanFormat {
    /// Text for people
    Text,
    /// One JSON array
    Json,
    /// CSV: a header line, and one line for each route
    Csv,
}

/// A route, its compiled rule, and the verdicts on the requests of each client for this route.
struct AccessEntry<'g> {
    route: &'g Route,
    rule: &'g Rule,
    clients: Vec<clients::ListedCaller<'g>>,
}

/// Reports the requirements of the selected routes and the clients that can call them.
pub fn run(options: &WhoCanOptions) -> Result<ToolOutcome, Failure> {
    let all_clients = options.source.open()?;
    let gateway = &all_clients.gateway;
    let now = options.at.unwrap_or_else(clock::now);
    let mut entries = entries(options, &all_clients)?;
    let mut simulated = SimulatedGateway::new(gateway, None, all_clients.listed.as_deref(), now)?;
    for entry in &mut entries {
        entry.clients = clients::client_verdicts(&all_clients, &mut simulated, entry.route, &entry.rule.name, now)?;
    }
    let result = match options.format {
        WhoCanFormat::Text => {
            let texts: Vec<_> = entries.iter().map(|entry| entry.lines(gateway)).collect();
            Output::Lines(texts.join(&String::new()))
        }
        WhoCanFormat::Json => {
            let all = entries.iter().map(|entry| entry.json(&all_clients));
            Output::json(&Value::Array(all.collect()))
        }
        WhoCanFormat::Csv => Output::Lines(text_table::csv(&csv(&entries, gateway))),
    };
    Ok(ToolOutcome { result, notes: Vec::new(), exit: Exit::Success })
}

/// Returns the selected routes. The policy lists its rules in the order of the document's routes, so a rule and its route have
/// the same index.
fn entries<'g>(options: &WhoCanOptions, all_clients: &'g StandInClients) -> Result<Vec<AccessEntry<'g>>, Failure> {
    let gateway = &all_clients.gateway;
    let compiled = gateway.policy.routes().iter().map(|(_, rule)| rule.as_ref());
    let mut all = gateway.document.routes.iter().zip(compiled).map(|(route, rule)| AccessEntry {
        route,
        rule,
        clients: Vec::new(),
    });
    let leads_to = |rule: &Rule, name: &str| match &rule.action {
        RouteAction::Forward(to) => to.upstream.as_deref() == Some(name),
        RouteAction::Answer(_) => false,
    };
    let found: Vec<AccessEntry<'g>> = match (&options.route, &options.upstream, &options.method) {
        (Some(name), ..) => all.filter(|entry| *entry.rule.name == **name).collect(),
        (_, Some(name), _) => all.filter(|entry| leads_to(entry.rule, name)).collect(),
        (_, _, method) => {
            let method = Method::parse(method.as_deref().unwrap_or_default()).map_err(|fault| fault.to_string())?;
            let target =
                crate::policy::request::guard::read_target(options.path.as_deref().unwrap_or_default().as_bytes());
            let target = target.map_err(|fault| format!("the path is refused: {}", fault.reason()))?;
            if gateway.policy.is_public(target.path()) {
                return Err(Failure::Message(
                    "every caller can use this path, because it is public (`public_paths`)".to_string(),
                ));
            }
            match gateway.policy.routes().find(&options.host, target.path(), &method) {
                RouteMatch::Route { value, .. } => {
                    all.find(|entry| std::ptr::eq(entry.rule, value.as_ref())).into_iter().collect()
                }
                RouteMatch::MethodNotAllowed { allow } => {
                    let methods = allow.methods().join(", ");
                    return Err(Failure::Message(format!(
                        "no route for this path accepts this method (accepted: {methods})"
                    )));
                }
                RouteMatch::NotFound => Vec::new(),
            }
        }
    };
    if found.is_empty() { Err(no_match(options, gateway)) } else { Ok(found) }
}

/// Returns the error that no route matches, with a suggestion.
fn no_match(options: &WhoCanOptions, gateway: &GatewayFile) -> Failure {
    let near = match (&options.route, &options.upstream) {
        (Some(name), _) => near_miss(name, gateway.policy.routes().iter().map(|(_, rule)| &*rule.name)),
        (_, Some(name)) => near_miss(name, gateway.document.upstreams.iter().map(|upstream| &*upstream.name.value)),
        _ => None,
    };
    Failure::Message(format!("there is no such route{}", hint(near)))
}

impl AccessEntry<'_> {
    /// Returns the requirements of the route and the clients that meet them, as groups of lines with a title.
    fn needs(&self, gateway: &GatewayFile) -> Vec<(&'static str, Vec<String>)> {
        let all = |names: &[String]| if names.is_empty() { Vec::new() } else { vec![names.join(" and ")] };
        let any = |names: &[String]| if names.is_empty() { Vec::new() } else { vec![names.join(" or ")] };
        let route = self.route;
        let scopes = [all(&route.scopes), any(&route.any_scope)].concat();
        let (every, one) = self.rule.requirements.permissions.names();
        let every = every.map(|name| described(gateway, name));
        let mut one: Vec<String> = one.map(|name| format!("or {}", described(gateway, name))).collect();
        if let Some(first) = one.first_mut() {
            *first = first.replacen("or ", "one of ", 1);
        }
        let issuers = self.issuers(gateway);
        let of_issuers = issuers.iter().flat_map(|issuer| {
            issuer
                .rules
                .require_claims
                .iter()
                .map(move |claim| format!("{} (for issuer {})", claim_text(claim), issuer.name.value))
        });
        let claims = route.require_claims.iter().map(claim_text).chain(of_issuers);
        let names = issuers.iter().map(|issuer| issuer.name.value.clone()).collect::<Vec<_>>().join(" or ");
        let credential = |kind: &CredentialKind| match kind {
            CredentialKind::Token => format!("a token from issuer {names}"),
            CredentialKind::ApiKey => "an API key".to_string(),
            CredentialKind::Certificate => "a client certificate".to_string(),
        };
        let credentials = |kinds: &[CredentialKind]| kinds.iter().map(credential).collect::<Vec<_>>();
        let who = match &route.auth.value {
            Auth::None => "no credential: everybody".to_string(),
            Auth::Optional => format!("no credential, or a token from issuer {names}"),
            Auth::AnyOf(kinds) => credentials(kinds).join(", or "),
            Auth::AllOf(kinds) => credentials(kinds).join(", and "),
        };
        let claims = if route.auth.value.takes(CredentialKind::Token) { claims.collect() } else { Vec::new() };
        let conditions = route.when.iter().map(|condition| condition.value.clone()).collect();
        vec![
            ("needs", vec![who]),
            ("scopes", scopes),
            ("permissions", every.chain(one).collect()),
            ("claims", claims),
            ("when", conditions),
            ("clients", clients::lines(&self.clients)),
        ]
    }

    fn issuers<'g>(&self, gateway: &'g GatewayFile) -> Vec<&'g IssuerSettings> {
        let accepted = |name: &str| self.route.issuers.is_empty() || self.route.issuers.iter().any(|i| i.value == name);
        gateway.document.issuers.iter().filter(|issuer| accepted(&issuer.name.value)).collect()
    }

    fn request(&self) -> String {
        let methods: Vec<&str> = self.route.methods.iter().map(|method| method.value.as_str()).collect();
        let methods = if methods.is_empty() { "ANY".to_string() } else { methods.join("|") };
        format!("{methods} {}", self.route.path.value)
    }

    fn lines(&self, gateway: &GatewayFile) -> Vec<String> {
        let mut out = vec![self.rule.name.to_string()];
        if *self.rule.name != *self.request() {
            out.push(format!("  {:11}  {}", "request", self.request()));
        }
        for (title, lines) in self.needs(gateway) {
            for (i, line) in lines.iter().enumerate() {
                out.push(format!("  {:11}  {line}", if i == 0 { title } else { "" }));
            }
        }
        out
    }

    fn json(&self, all_clients: &StandInClients) -> Value {
        let route = self.route;
        let (every, one) = self.rule.requirements.permissions.names();
        let words = |kinds: &[CredentialKind]| kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>();
        let auth = match &route.auth.value {
            auth if auth.is_required() => json!("required"),
            Auth::Optional => json!("optional"),
            Auth::None => json!("none"),
            Auth::AnyOf(kinds) => json!({ "any_of": words(kinds) }),
            Auth::AllOf(kinds) => json!({ "all_of": words(kinds) }),
        };
        let claims = |claims: &[RequiredClaim]| -> Value {
            claims.iter().map(|claim| (claim.claim.text.clone(), Value::Array(claim.any_of.clone()))).collect()
        };
        let issuers = all_clients
            .issuers(route)
            .map(|issuer| json!({ "name": issuer.name.value, "require_claims": claims(&issuer.rules.require_claims) }));
        json!({
            "route": *self.rule.name, "methods": route.methods.iter().map(|m| &m.value).collect::<Vec<_>>(),
            "hosts": route.hosts.iter().map(|h| &h.value).collect::<Vec<_>>(), "path": route.path.value,
            "upstream": route.upstream.as_ref().map(|u| &u.value), "auth": auth,
            "issuers": issuers.collect::<Vec<_>>(), "scopes": route.scopes, "any_scope": route.any_scope,
            "permissions": every.collect::<Vec<_>>(), "any_permission": one.collect::<Vec<_>>(),
            "require_claims": claims(&route.require_claims), "when": route.when.iter().map(|c| &c.value).collect::<Vec<_>>(),
            "clients": clients::json(&self.clients),
        })
    }
}

fn csv(entries: &[AccessEntry<'_>], gateway: &GatewayFile) -> Vec<[String; 8]> {
    let mut rows =
        vec![["route", "request", "needs", "scopes", "permissions", "claims", "when", "clients"].map(str::to_string)];
    for entry in entries {
        let needs = entry.needs(gateway);
        let cell =
            |title| needs.iter().find(|(t, _)| *t == title).map(|(_, lines)| lines.join("; ")).unwrap_or_default();
        rows.push([
            entry.rule.name.to_string(),
            entry.request(),
            cell("needs"),
            cell("scopes"),
            cell("permissions"),
            cell("claims"),
            cell("when"),
            cell("clients"),
        ]);
    }
    rows
}

/// Describes a permission, such as `LIC.READ_ORDERS (Read licence orders)`.
fn described(gateway: &GatewayFile, name: &str) -> String {
    let declared = gateway.document.permissions.iter().flat_map(|d| d.permissions.iter().map(move |p| (d, p)));
    let found = declared.into_iter().find(|(d, p)| format!("{}.{}", d.name.value, p.name.value) == name);
    found.map_or_else(|| name.to_string(), |(_, permission)| format!("{name} ({})", permission.description))
}

fn claim_text(claim: &RequiredClaim) -> String {
    let values: Vec<String> = claim.any_of.iter().map(ToString::to_string).collect();
    format!("{} = {}", claim.claim.text, values.join(" or "))
}
