//! Before the measurements, checks that all variants have the same effect on the client and the upstream.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::load::Load;
use crate::process::Process;
use crate::site::{self, IDENTITY, Site};
use crate::tokens::{self, Algorithm};
use crate::upstream::Upstream;

/// The effect of one request on the client and the upstream.
#[derive(Debug, PartialEq, Eq)]
struct Effect {
    status: u16,
    /// The identity headers that the upstream received, or `None` if the upstream received no request.
    identity: Option<BTreeMap<String, String>>,
    /// The CORS headers that the client received. The elements of lists are sorted, trimmed and in lower case, because browsers
    /// ignore these differences.
    cors: BTreeMap<String, String>,
}

struct Probe {
    what: &'static str,
    request: Vec<u8>,
    status: u16,
    forwarded: bool,
    /// Whether CORS headers are compared. They are not compared for static routes and paths without a route: Portcullis always
    /// adds CORS headers, but Envoy's `cors` filter does not add them if no route matches or if the route has a
    /// `direct_response`.
    cors: bool,
}

/// Sends the same requests to all variants. Returns an error if a request does not have the expected effect, or if its effect
/// differs between variants. Otherwise returns the number of comparisons between variants.
pub fn verify(variants: &[(&str, &Process)], site: &Site, upstream: &Upstream) -> Result<usize> {
    let mut compared = 0;
    for algorithm in site.algorithms() {
        for probe in probes(site, *algorithm)? {
            let mut first: Option<(&str, Effect)> = None;
            for (name, process) in variants {
                let context = || format!("{} {}, {name}", algorithm.name(), probe.what);
                let mut effect = observe(process, upstream, &probe.request).with_context(context)?;
                // Browsers accept any successful status for a preflight (Fetch §4.8, CORS-preflight fetch, step 7), so 204 and
                // 200 have the same effect.
                if probe.what == PREFLIGHT && effect.status == 204 {
                    effect.status = 200;
                }
                if probe.what == PREFLIGHT {
                    // Envoy's `cors` filter also sends this header on preflights, where browsers ignore it.
                    effect.cors.remove("access-control-expose-headers");
                }
                if !probe.cors {
                    effect.cors.clear();
                }
                ensure!(
                    effect.status == probe.status,
                    "{}: status {} instead of {}",
                    context(),
                    effect.status,
                    probe.status
                );
                ensure!(
                    effect.identity.is_some() == probe.forwarded,
                    "{}: the request reached the upstream although it must not, or did not reach it: {effect:?}",
                    context()
                );
                if probe.forwarded {
                    ensure!(effect.identity == Some(due()), "{}: wrong identity: {effect:?}", context());
                }
                match &first {
                    None => first = Some((name, effect)),
                    Some((other, due)) => {
                        ensure!(*due == effect, "{}: differs from {other}:\n{effect:#?}\n{due:#?}", context());
                        compared += 1;
                    }
                }
            }
        }
    }
    Ok(compared)
}

fn probes(site: &Site, algorithm: Algorithm) -> Result<Vec<Probe>> {
    let path = site.last_path();
    let good = tokens::mint(algorithm, 0, 1)?.concat();
    let bearer = format!("Bearer {good}");
    let mut headers = vec![("origin", site::ORIGIN), ("authorization", bearer.as_str())];
    headers.extend(IDENTITY.map(|(header, _)| (header, "forged")));
    let probe = |what, request, status, forwarded| Probe { what, request, status, forwarded, cors: true };
    let silent = |what, request, status| Probe { what, request, status, forwarded: false, cors: false };
    Ok(vec![
        probe("good token", site::call(&path, &good), 200, true),
        probe("good token again", site::call(&path, &good), 200, true),
        probe("good token with forged identity headers", site::request("GET", &path, &headers), 200, true),
        probe("no token", site::anonymous(&path), 401, false),
        probe("flipped signature", site::call(&path, &tokens::forged(&good)?), 401, false),
        probe("missing scope", site::call(&path, &tokens::without_scope(algorithm)?), 403, false),
        silent("unknown route", site::call(site::NOWHERE, &good), 404),
        silent("static route", site::anonymous(site::HEALTH), 200),
        probe(PREFLIGHT, site::preflight(&path, site::ORIGIN), 200, false),
    ])
}

fn due() -> BTreeMap<String, String> {
    let values = ["org-5521", "user-7d9f31", "ada@example.com", "editor"];
    IDENTITY.iter().zip(values).map(|((header, _), value)| (header.to_lowercase(), value.to_owned())).collect()
}

fn observe(process: &Process, upstream: &Upstream, request: &[u8]) -> Result<Effect> {
    let (answer, arrived) = upstream.watch(|| Load::connect(process.address(), 0)?.ask(request));
    let answer = answer?;
    let identity = arrived.map(|headers| {
        let names = IDENTITY.map(|(header, _)| header.to_lowercase());
        // If the upstream receives a header twice, the entry contains both values and differs from the expected entry.
        headers.into_iter().filter(|(name, _)| names.contains(name)).fold(BTreeMap::new(), joined)
    });
    let cors = answer.headers.into_iter().filter(|(name, _)| name.starts_with("access-control-"));
    let cors = cors.map(|(name, value)| (name, sorted(&value))).fold(BTreeMap::new(), joined);
    Ok(Effect { status: answer.status, identity, cors })
}

fn joined(mut all: BTreeMap<String, String>, (name, value): (String, String)) -> BTreeMap<String, String> {
    let values = all.entry(name).or_default();
    if !values.is_empty() {
        values.push('|');
    }
    values.push_str(&value);
    all
}

fn sorted(list: &str) -> String {
    let mut parts: Vec<_> = list.split(',').map(|part| part.trim().to_lowercase()).collect();
    parts.sort();
    parts.join(",")
}

const PREFLIGHT: &str = "preflight";
