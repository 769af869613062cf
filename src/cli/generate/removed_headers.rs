//! Refuses documents that use a header which the generated listener removes, because the header would always be absent.

use super::EnvoyOptions;
use super::listener::FROM_PROXIES;
use crate::cli::gateway::GatewayFile;
use crate::config::problem::{At, Problems};
use crate::policy::authority::condition::ConditionSource;
use crate::policy::compile::{conditions, sent_headers};

/// Adds a problem for each use of a removed header. Without a trusted proxy in front of Envoy, the listener removes the headers
/// in which proxies describe the original request. A document can use `x-forwarded-for`, because Envoy sets this header itself.
pub fn check(gateway: &GatewayFile, options: &EnvoyOptions, problems: &mut Problems) {
    if options.trusted_hops > 0 {
        return;
    }
    let is_removed = |name: &str| {
        let name = name.to_ascii_lowercase();
        name != "x-forwarded-for" && FROM_PROXIES.contains(&name.as_str())
    };
    let why = |name: &str| {
        format!(
            "the listener removes `{name}` when no proxy is trusted: set `--trusted-hops` if a proxy sets this header"
        )
    };
    for (name, place) in sent_headers::read_by(&gateway.document).into_iter().filter(|(name, _)| is_removed(name)) {
        problems.add(place, why(name));
    }
    for written in gateway.document.routes.iter().flat_map(|route| &route.when) {
        for name in headers_of(written).iter().filter(|name| is_removed(name)) {
            problems.add(&written.place, why(name));
        }
    }
}

/// Returns the headers that a condition reads.
fn headers_of(written: &At<String>) -> Vec<Box<str>> {
    let sources = conditions::parse(&written.value).map(|(_, sources)| sources).unwrap_or_default();
    let header = |(source, _)| match source {
        ConditionSource::Header(name) => Some(name),
        _ => None,
    };
    sources.into_iter().filter_map(header).collect()
}
