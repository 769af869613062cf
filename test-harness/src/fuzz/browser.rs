//! Fuzzes CORS: checks which origin may read a response, based only on the document and the Fetch standard.

use anyhow::Result;
use portcullis::policy::request::peer::KnownPeer;
use serde_json::Value;

use super::gateways::{Message, Subject};
use super::{PropertyError, Target, gateways};
use crate::octets;
use crate::outcome::{Outcome, values};

/// The target for cross-origin requests to the gateways whose document has `cors`.
pub struct Cors(Vec<Subject>);

impl Cors {
    /// Creates the target with the gateways whose document has `cors`.
    pub fn open() -> Result<Box<dyn Target>> {
        let mut subjects = gateways::all()?;
        subjects.retain(|subject| subject.scene.policy.get("cors").is_some());
        Ok(Box::new(Self(subjects)))
    }
}

impl Target for Cors {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let seeds = self.0.iter().flat_map(|subject| subject.seeds.iter());
        seeds.filter(|seed| seed.windows(7).any(|window| window == b"origin:")).cloned().collect()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let message = Message::read(input);
        let Some(subject) = gateways::named(&mut self.0, &message.stem) else { return Ok(()) };
        let mut request = subject.filled(&message.request, b"");
        // The query `h.NAME=VALUE` makes the upstream send response headers. The target does not use it, because the gateway
        // may forward CORS headers of the upstream unchanged. The cases test such headers.
        if request.target.windows(2).any(|window| window == b"h.") {
            request.target.retain(|byte| *byte != b'.');
        }
        let outcome = subject.decide(&request, KnownPeer::default()).map_err(|error| format!("{error:#}"))?;
        let origins: Vec<_> = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"origin")).collect();
        let origin = match origins.as_slice() {
            [(_, value)] => String::from_utf8(value.trim_ascii().to_vec()).ok(),
            _ => None,
        };
        judge(&subject.scene.policy, origin.as_deref(), &outcome)
            .map_err(|broken| format!("{broken}\n{}\n{outcome:?}", octets::escape(&request.on_the_wire())))
    }
}

/// Returns whether the gateway could parse the request. If it could not, the status is 400, or 429 if the client's address
/// exceeded a limit, and the record has no route.
fn was_read(outcome: &Outcome) -> bool {
    let has_route = outcome.audit.as_ref().is_some_and(|audit| audit.get("route").is_some());
    !matches!(outcome.status, 400 | 429) || has_route
}

/// Applies the CORS check (Fetch §4.10) to a response. An origin that the document does not list must not be able to read the
/// response. An origin that the document lists literally must be able to read it. These two checks apply only if no route has
/// its own `allow_origins`.
fn judge(policy: &Value, origin: Option<&str>, outcome: &Outcome) -> Result<(), PropertyError> {
    let one = |name: &str| match values(&outcome.headers, name).as_slice() {
        [] => Ok(None),
        [value] => Ok(Some(value.clone())),
        _ => Err(format!("the response has `{name}` twice, which browsers reject")),
    };
    let allowed = one("access-control-allow-origin")?;
    let credentials = one("access-control-allow-credentials")?;
    let listed = policy.pointer("/cors/allow_origins").and_then(Value::as_array);
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let has_routes_of_its_own = policy.to_string().matches("\"allow_origins\"").count() > 1;
    if credentials.is_some() && (credentials.as_deref() != Some("true") || allowed.as_deref() == Some("*")) {
        return Err("browsers reject this `access-control-allow-credentials`".to_owned());
    }
    match (allowed.as_deref(), origin) {
        (Some("*"), _) if listed.contains(&"*") || has_routes_of_its_own => Ok(()),
        (Some(allowed), Some(origin)) if allowed == origin => {
            let vary = values(&outcome.headers, "vary").join(",").to_ascii_lowercase();
            if !vary.split(',').any(|name| matches!(name.trim(), "origin" | "*")) {
                return Err("the response allows one origin, but `vary` does not contain `Origin`".to_owned());
            }
            let fits = listed.iter().any(|entry| covers(entry, origin)) || has_routes_of_its_own;
            if fits { Ok(()) } else { Err(format!("`{origin}` is not listed, but may read the response")) }
        }
        (Some(other), _) => Err(format!("the response allows `{other}`, which is not the origin of the request")),
        (None, Some(origin)) if listed.contains(&origin) && !has_routes_of_its_own && was_read(outcome) => {
            Err(format!("`{origin}` is listed, but cannot read the response"))
        }
        (None, _) => Ok(()),
    }
}

/// Returns whether an entry of `allow_origins` matches an origin. An entry is an origin, `*`, or `scheme://*.domain` for
/// subdomains.
fn covers(entry: &str, origin: &str) -> bool {
    let below = |(scheme, domain): (&str, &str)| {
        let name = origin.strip_prefix(scheme)?.strip_prefix("://")?.strip_suffix(domain)?;
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        Some(name.split('.').all(is_label))
    };
    entry == "*" || entry == origin || entry.split_once("://*").and_then(below).unwrap_or(false)
}
