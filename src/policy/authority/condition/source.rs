//! The names of the attributes that conditions can read.

use super::{ClientFact, ConditionSource, SharedSyntax};

/// Returns the attribute with the name `root.step`. The error suggests a similar name or lists all names.
pub(super) fn named(root: &str, steps: &[&str], syntax: SharedSyntax) -> Result<ConditionSource, String> {
    Ok(match (root, steps) {
        ("claims", [_, ..]) => ConditionSource::Claim(steps.iter().copied().map(Box::from).collect()),
        ("client", ["id"]) => ConditionSource::Client(ClientFact::Id),
        ("client", ["owner"]) => ConditionSource::Client(ClientFact::Owner),
        ("client", ["plan"]) => ConditionSource::Client(ClientFact::Plan),
        ("client", ["environment"]) => ConditionSource::Client(ClientFact::Environment),
        ("client", ["tags"]) => ConditionSource::Client(ClientFact::Tags),
        ("path", [name]) => ConditionSource::Parameter((*name).into()),
        ("header", [name]) => ConditionSource::Header(name.to_ascii_lowercase().into()),
        ("query", [name]) => ConditionSource::Query((*name).into()),
        ("request", ["method"]) => ConditionSource::Method,
        ("request", ["host"]) => ConditionSource::Host,
        ("request", ["path"]) => ConditionSource::Path,
        ("peer", ["address"]) => ConditionSource::Address,
        ("time", ["now"]) => ConditionSource::Now,
        ("time", ["hour"]) => ConditionSource::Hour,
        ("time", ["weekday"]) => ConditionSource::Weekday,
        _ => return Err(unknown(root, steps, syntax)),
    })
}

fn unknown(root: &str, steps: &[&str], syntax: SharedSyntax) -> String {
    let written = [&[root], steps].concat().join(".");
    match (syntax.near_miss)(&written, &ROOTS) {
        Some(near) => format!("`{written}` cannot be used in a condition (did you mean `{near}`?)"),
        None => format!("`{written}` cannot be used in a condition (known: {})", ROOTS.join(", ")),
    }
}

/// The names of all attributes. The step `name` is a placeholder.
pub(super) const ROOTS: [&str; 16] = [
    "claims.name",
    "client.id",
    "client.owner",
    "client.plan",
    "client.environment",
    "client.tags",
    "path.name",
    "header.name",
    "query.name",
    "request.method",
    "request.host",
    "request.path",
    "peer.address",
    "time.now",
    "time.hour",
    "time.weekday",
];
