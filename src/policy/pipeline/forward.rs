//! Rewrites an authorized request for the upstream: identity headers, path, host, timeout, and removal of credentials.

use std::sync::Arc;

use crate::config::document::TokenSource;
use crate::config::json_api::MAPS_RESPONSES;
use crate::policy::authority::authorize::Grant;
use crate::policy::checks::meter::BodyMeter;
use crate::policy::credentials::api_key::KeyPlaces;
use crate::policy::credentials::token_places::{cookies, strip_bearer};
use crate::policy::request::guard::{SafePath, without_query_pair};
use crate::policy::request::{Request, SingleValue};
use crate::policy::respond::held::{JSON_API, ResponseMapping};
use crate::policy::verdict::edit::{HeaderEdit, HeaderName};

/// The header edits for forwarding an authorized request, and the [`BodyMeter`] for its body. [`Forward::new`] requires a
/// [`Grant`], so only authorized requests can be forwarded.
#[derive(Debug)]
pub struct Forward {
    edits: Vec<HeaderEdit>,
    permissions: Option<Arc<str>>,
    routed_elsewhere: bool,
    meter: Option<BodyMeter>,
}

/// The upstream of a route, and the changes to each request before it is forwarded.
#[derive(Debug, Default)]
pub struct Destination {
    /// The name of the upstream. The filter sends it in [`ROUTING_HEADER`], by which the generated Envoy routes select the
    /// cluster. With `None`, other routes in Envoy's configuration select the cluster.
    pub upstream: Option<Arc<str>>,
    /// The `Host` that the upstream receives; `None` keeps the client's `Host`.
    pub authority: Option<Arc<str>>,
    /// The path in the upstream's address, without a trailing slash. The filter puts it in front of every forwarded path.
    pub base_path: String,
    /// Whether to forward only the part of the path that `{.+}` matches, after the base path.
    pub strip_prefix: bool,
    /// The upstream timeout in milliseconds; `None` keeps the timeout of Envoy's route.
    pub timeout_millis: Option<Arc<str>>,
    /// Whether the upstream also receives the client's token.
    pub forward_token: bool,
    /// How the bodies of responses are mapped; `None` leaves them unchanged.
    pub mapping: Option<Arc<ResponseMapping>>,
}

/// The parts of a request that [`Forward::new`] reads.
#[derive(Clone, Copy, Debug)]
pub struct ForwardContext<'p, 'r> {
    /// The request to forward.
    pub request: &'p Request<'r>,
    /// The validated target of the request.
    pub target: &'p SafePath<'r>,
    /// The part of the path that `{.+}` matches.
    pub tail: Option<&'p str>,
    /// The places that may contain tokens, which are removed from the request.
    pub sources: &'p [TokenSource],
    /// The places that may contain API keys.
    pub key_places: &'p KeyPlaces,
    /// The request id that the upstream receives.
    pub request_id: &'p Arc<str>,
}

impl Forward {
    /// Creates the edits for an authorized request. The given `edits` must already contain the edits that remove forged headers.
    pub fn new(
        grant: &Grant,
        to: &Destination,
        passage: &ForwardContext<'_, '_>,
        mut edits: Vec<HeaderEdit>,
    ) -> Forward {
        if let Some(caller) = grant.caller() {
            edits.extend(caller.identity.edits.iter().cloned());
        }
        let query = if to.forward_token { None } else { remove_tokens(passage, &mut edits) };
        let query = passage.key_places.strip(passage.request, passage.target, query, &mut edits);
        if let Some(path) = to.path(passage, query) {
            edits.push(set(":path", path));
        }
        if let Some(authority) = &to.authority {
            let host = String::from_utf8_lossy(passage.request.authority);
            edits.push(set("x-forwarded-host", host));
            edits.push(HeaderEdit::Set(":authority".into(), authority.clone().into()));
        } else if passage.request.headers.iter().any(|(name, _)| *name == b"x-forwarded-host") {
            // The client may have forged `X-Forwarded-Host`. The upstream does not need this header, because it receives the
            // client's own `Host`.
            edits.push(HeaderEdit::Remove("x-forwarded-host".into()));
        }
        if passage.request.request_id != SingleValue::Value(passage.request_id.as_bytes()) {
            edits.push(HeaderEdit::Set("x-request-id".into(), passage.request_id.clone().into()));
        }
        if to.maps_responses() {
            request_whole_json(passage.request, &mut edits);
        }
        leave_upgrade_only(passage.request, &mut edits);
        if let Some(millis) = &to.timeout_millis {
            edits.push(HeaderEdit::Set("x-envoy-upstream-rq-timeout-ms".into(), millis.clone().into()));
        }
        // After a change of a request header, Envoy selects the route again (envoy-facts §2.9). It then selects the cluster by
        // the value of `ROUTING_HEADER`.
        if let Some(upstream) = &to.upstream {
            edits.push(HeaderEdit::Set(ROUTING_HEADER.into(), upstream.clone().into()));
        }
        let permissions = grant.caller().and_then(|caller| caller.identity.filter_state.clone());
        Forward { edits, permissions, routed_elsewhere: to.upstream.is_none(), meter: None }
    }

    /// Adds the meter that counts the body.
    pub(in crate::policy) fn metered(self, meter: BodyMeter) -> Forward {
        Forward { meter: Some(meter), ..self }
    }

    /// Removes the meter from this value and returns it; `None` if the body is not counted. The caller must pass every forwarded
    /// part of the body to the meter.
    pub fn take_meter(&mut self) -> Option<BodyMeter> {
        self.meter.take()
    }

    /// Returns the edits of the request's headers, in the order of their application.
    pub fn edits(&self) -> &[HeaderEdit] {
        &self.edits
    }

    /// Converts this value into its header edits.
    pub fn into_edits(self) -> Vec<HeaderEdit> {
        self.edits
    }

    /// Returns the memory that the edits use, in bytes.
    pub(in crate::policy) fn kept_bytes(&self) -> usize {
        let value = |edit: &HeaderEdit| match edit {
            HeaderEdit::Set(_, value) | HeaderEdit::Add(_, value) => value.len(),
            HeaderEdit::Remove(name) => name.len(),
        };
        self.edits.capacity() * size_of::<HeaderEdit>() + self.edits.iter().map(value).sum::<usize>()
    }

    /// Returns `true` if the route names no upstream, so that other routes in Envoy's configuration select the cluster. The
    /// filter then does not set [`ROUTING_HEADER`], so those routes cannot recognize an authorized request by this header.
    pub fn is_routed_elsewhere(&self) -> bool {
        self.routed_elsewhere
    }

    /// Returns the caller's permissions for later filters and the access log; `None` if the document does not forward
    /// permissions in this way.
    pub fn permissions(&self) -> Option<&str> {
        self.permissions.as_deref()
    }
}

impl Destination {
    /// Describes the destination to an operator.
    pub fn describe(&self) -> String {
        let to = match &self.upstream {
            Some(upstream) => format!("to upstream {upstream}"),
            None => "to the cluster that Envoy's own routes select".to_string(),
        };
        if self.maps_responses() { format!("{to}; responses become JSON:API documents") } else { to }
    }

    /// Returns `true` if the bodies of responses are mapped.
    pub fn maps_responses(&self) -> bool {
        MAPS_RESPONSES && self.mapping.is_some()
    }

    /// Returns the new `:path`; `None` if the client's `:path` needs no change.
    fn path(&self, passage: &ForwardContext<'_, '_>, query: Option<String>) -> Option<String> {
        let target = passage.target;
        if self.base_path.is_empty() && !self.strip_prefix && query.is_none() && !target.changed() {
            return None;
        }
        let mut path = self.base_path.clone();
        match passage.tail.filter(|_| self.strip_prefix) {
            Some(tail) => {
                path.push('/');
                path.push_str(tail);
            }
            None => path.push_str(target.path()),
        }
        let query = query.as_deref().or(target.query());
        if let Some(query) = query.filter(|q| !q.is_empty()) {
            path.push('?');
            path.push_str(query);
        }
        Some(path)
    }
}

/// Asks the upstream for a whole JSON body without a content coding, because the response stage maps the body. If the client
/// accepts JSON:API, the upstream is asked for plain JSON, from which the gateway creates the JSON:API document.
fn request_whole_json(request: &Request<'_>, edits: &mut Vec<HeaderEdit>) {
    let has = |wanted: &str| request.headers.iter().any(|(name, _)| *name == wanted.as_bytes());
    edits.push(set("accept-encoding", "identity"));
    edits
        .extend(["range", "if-range"].into_iter().filter(|name| has(name)).map(|name| HeaderEdit::Remove(name.into())));
    // The gateway makes strong entity tags weak. `If-Match` compares strong tags only, so the upstream gets its own tag back.
    let conditions = request.headers.iter().filter(|(name, _)| *name == b"if-match");
    let conditions: Vec<_> = conditions.map(|(_, value)| String::from_utf8_lossy(value)).collect();
    if !conditions.is_empty() {
        edits.push(set("if-match", conditions.join(", ").replace("W/\"", "\"")));
    }
    let mut accepted = request.headers.iter().filter(|(name, _)| *name == b"accept");
    if accepted.any(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase().contains(JSON_API)) {
        edits.push(set("accept", "application/json"));
    }
}

/// Removes all hop-by-hop headers of an upgrade request, except for the upgrade itself. If `Connection` named an identity
/// header, the next proxy would delete that header (RFC 9110 §7.6.1). Envoy itself removes these headers from all other
/// requests.
fn leave_upgrade_only(request: &Request<'_>, edits: &mut Vec<HeaderEdit>) {
    match request.connection {
        SingleValue::Absent => return,
        SingleValue::Value(value) if request.upgrade && value.eq_ignore_ascii_case(b"upgrade") => {}
        SingleValue::Value(_) | SingleValue::Repeated if request.upgrade => edits.push(set("connection", "upgrade")),
        SingleValue::Value(_) | SingleValue::Repeated => edits.push(HeaderEdit::Remove("connection".into())),
    }
    for name in OF_ONE_CONNECTION {
        if request.headers.iter().any(|(have, _)| *have == name.as_bytes()) {
            edits.push(HeaderEdit::Remove(name.into()));
        }
    }
}

/// Removes tokens from all token places. Returns the remaining query if the query contained a token.
fn remove_tokens(passage: &ForwardContext<'_, '_>, edits: &mut Vec<HeaderEdit>) -> Option<String> {
    let mut query: Option<String> = None;
    for source in passage.sources {
        match source {
            TokenSource::Bearer => {
                // Envoy joins repeated headers with commas (envoy-facts §0.9), so a token may follow another credential.
                let bearer = |part: &[u8]| strip_bearer(part.trim_ascii()).is_some();
                let mut lines = passage.request.headers.iter().filter(|(name, _)| *name == b"authorization");
                if lines.any(|(_, value)| value.split(|b| *b == b',').any(bearer)) {
                    edits.push(HeaderEdit::Remove("authorization".into()));
                }
            }
            TokenSource::Header(name) => {
                if passage.request.headers.iter().any(|(n, _)| *n == name.as_bytes()) {
                    edits.push(HeaderEdit::Remove(HeaderName::Shared(name.as_str().into())));
                }
            }
            TokenSource::Cookie(_) => {}
            TokenSource::Query(name) => {
                let before = query.as_deref().or(passage.target.query()).unwrap_or_default();
                let after = without_query_pair(before, name);
                if after != before {
                    query = Some(after);
                }
            }
        }
    }
    edits.extend(without_token_cookies(passage));
    query
}

/// Returns an edit that removes all cookies that may contain tokens, and keeps the other cookies unchanged; `None` if the
/// request has no such cookie.
fn without_token_cookies(passage: &ForwardContext<'_, '_>) -> Option<HeaderEdit> {
    let holds_token = |name: &[u8]| {
        passage.sources.iter().any(|source| matches!(source, TokenSource::Cookie(token) if token.as_bytes() == name))
    };
    cookies(passage.request).find(|(name, _)| holds_token(name))?;
    let lines = passage.request.headers.iter().filter(|(name, _)| *name == b"cookie").map(|(_, value)| *value);
    let pairs = lines.flat_map(|line| line.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
    let name = |pair: &[u8]| pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii().to_vec();
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !holds_token(&name(pair))).collect();
    Some(match kept.is_empty() {
        true => HeaderEdit::Remove("cookie".into()),
        false => HeaderEdit::Set("cookie".into(), kept.join(b"; ".as_slice()).into()),
    })
}

fn set(name: &'static str, value: impl AsRef<str>) -> HeaderEdit {
    HeaderEdit::Set(name.into(), value.as_ref().as_bytes().into())
}

const OF_ONE_CONNECTION: [&str; 4] = ["http2-settings", "keep-alive", "proxy-connection", "te"];

/// The header by which the generated Envoy routes select the cluster.
pub const ROUTING_HEADER: &str = "x-portcullis-upstream";
