//! The names of the attributes that conditions can read.

use super::{ClientFact, Source};
use crate::config::claim::ClaimPath;
use crate::config::problem::near_miss;

/// Returns the attribute written as `root.step`. The error lists the known ones.
pub(super) fn named(root: &str, steps: &[&str]) -> Result<Source, String> {
    Ok(match (root, steps) {
        ("claims", [_, ..]) => Source::Claim(ClaimPath::members(steps)),
        ("client", ["id"]) => Source::Client(ClientFact::Id),
        ("client", ["owner"]) => Source::Client(ClientFact::Owner),
        ("client", ["plan"]) => Source::Client(ClientFact::Plan),
        ("client", ["environment"]) => Source::Client(ClientFact::Environment),
        ("client", ["tags"]) => Source::Client(ClientFact::Tags),
        ("path", [name]) => Source::Parameter((*name).into()),
        ("header", [name]) => Source::Header(name.to_ascii_lowercase().into()),
        ("query", [name]) => Source::Query((*name).into()),
        ("request", ["method"]) => Source::Method,
        ("request", ["host"]) => Source::Host,
        ("request", ["path"]) => Source::Path,
        ("peer", ["address"]) => Source::Address,
        ("time", ["now"]) => Source::Now,
        ("time", ["hour"]) => Source::Hour,
        ("time", ["weekday"]) => Source::Weekday,
        _ => return Err(unknown(root, steps)),
    })
}

fn unknown(root: &str, steps: &[&str]) -> String {
    let written = [&[root], steps].concat().join(".");
    match near_miss(&written, ROOTS) {
        Some(near) => format!("`{written}` is nothing that can be asked about (did you mean `{near}`?)"),
        None => format!("`{written}` is nothing that can be asked about (known: {})", ROOTS.join(", ")),
    }
}

/// All known names.
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
