//! Reads the `issuers` section: the token issuers and the sources of their keys.

use std::time::Duration;

use super::claim::{ClaimPath, RequiredClaim};
use super::document::{Issuer, Keys, RemoteKeys, TokenSource};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};
use super::sent_header;

impl Issuer {
    /// Reads one issuer.
    pub(super) fn read(field: &Field<'_>) -> Option<Issuer> {
        let fields = field.fields()?;
        let name = fields.require("name").and_then(|f| f.text_at());
        let issuer = fields.require("issuer").and_then(|f| f.text_at());
        let audiences = fields.require("audiences").map(|f| audiences(&f)).unwrap_or_default();
        let algorithms = fields.get("algorithms").map(|f| f.some_texts()).unwrap_or_default();
        let keys = read_keys(&fields);
        let leeway = fields.get("leeway").and_then(|f| short_duration(&f, MOST_LEEWAY)).unwrap_or(LEEWAY);
        let max_lifetime = fields.get("max_lifetime").and_then(|f| f.duration());
        let token_types = fields.get("token_types").map(|f| f.texts());
        let require_claims = fields.get("require_claims").map(|f| required_claims(&f)).unwrap_or_default();
        let scope_claims =
            fields.get("scope_claims").map(|f| f.one_or_more().iter().filter_map(ClaimPath::read).collect());
        let permission_claims =
            fields.get("permission_claims").map(|f| f.one_or_more().iter().filter_map(permission_place).collect());
        let token_from = fields.get("token_from").map(|f| f.items()).unwrap_or_default();
        let token_from: Vec<(TokenSource, bool)> = token_from.iter().filter_map(read_source).collect();
        let cross_origin = token_from.iter().filter(|(_, cross_origin)| *cross_origin);
        let insecure_cross_origin = cross_origin.map(|(source, _)| source.clone()).collect();
        let token_from: Vec<TokenSource> = token_from.into_iter().map(|(source, _)| source).collect();
        let max_token_bytes = fields.get("max_token_bytes").and_then(|f| f.number(64, 65_536));
        let flag = |key| fields.get(key).and_then(|f| f.flag()).unwrap_or(false);
        let require_bound = flag("require_bound");
        let require_client = fields.get("require_client").and_then(|f| f.flag());
        let unlisted = fields.get("allow_unlisted_clients");
        let allow_unlisted_clients = unlisted.as_ref().and_then(Field::flag).unwrap_or(false);
        if let (Some(field), true, Some(true)) = (unlisted, allow_unlisted_clients, require_client) {
            field.problem("contradicts `require_client: true`: keep one of them");
        }
        let self_issued = fields.get("self_issued");
        let self_issued = self_issued.and_then(|f| f.flag().map(|value| At { value, place: f.place.clone() }));
        let self_issued = self_issued.filter(|flag| flag.value);
        let max_lifetime = max_lifetime.or(self_issued.as_ref().map(|_| LONGEST_SELF_ISSUED));
        let environments = fields.get("environments").map(|f| f.some_texts()).unwrap_or_default();
        fields.finish();
        Some(Issuer {
            name: name?,
            issuer: issuer?,
            audiences: audiences.into_iter().map(|a| a.value).collect(),
            algorithms,
            keys: keys?,
            leeway,
            max_lifetime,
            token_types: token_types.map_or_else(
                || TOKEN_TYPES.iter().map(ToString::to_string).collect(),
                |types| types.into_iter().map(|t| t.value).collect(),
            ),
            require_claims,
            scope_claims: scope_claims
                .unwrap_or_else(|| SCOPE_CLAIMS.iter().map(|name| ClaimPath::top(name)).collect()),
            permission_claims: permission_claims.unwrap_or_else(|| vec![ClaimPath::members(&[])]),
            token_from: if token_from.is_empty() { vec![TokenSource::Bearer] } else { token_from },
            insecure_cross_origin,
            max_token_bytes: max_token_bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(MOST_TOKEN_BYTES),
            require_bound,
            require_client,
            allow_unlisted_clients,
            self_issued,
            environments,
        })
    }
}

/// Reads the accepted audiences. An issuer must have one, because a token without an audience could be used at any service.
fn audiences(field: &Field<'_>) -> Vec<At<String>> {
    if field.one_or_more().is_empty() {
        field.problem("`audiences` is empty: a token for anyone is a token for nobody");
    }
    field.texts()
}

fn read_keys(fields: &Fields<'_>) -> Option<At<Keys>> {
    let jwks = fields.get("jwks");
    let inline = fields.get("keys");
    let secret = fields.get("secret");
    let mut found: Vec<At<Keys>> = Vec::new();
    let mut written = 0;
    for (field, read) in [
        (jwks, read_remote as fn(&Field<'_>) -> Option<Keys>),
        (inline, |f| Some(Keys::Inline(f.node.to_json()))),
        (secret, read_secret),
    ] {
        if let Some(field) = field {
            written += 1;
            found.extend(read(&field).map(|value| At { value, place: field.place.clone() }));
        }
    }
    if written != 1 {
        fields.problem("expected exactly one of `jwks`, `keys` and `secret`");
    }
    found.into_iter().next()
}

fn read_remote(field: &Field<'_>) -> Option<Keys> {
    let fields = field.fields()?;
    let uri = fields.require("uri").and_then(|f| f.url());
    let cluster = fields.require("cluster").and_then(|f| f.text());
    let span = |key, default| fields.get(key).and_then(|f| short_duration(&f, MOST_KEY_AGE)).unwrap_or(default);
    let fresh_for = span("fresh_for", Duration::from_secs(300)).max(Duration::from_secs(1));
    let stale_for = span("stale_for", Duration::from_secs(3600));
    let timeout = span("timeout", Duration::from_secs(5)).max(Duration::from_millis(10));
    let cool_down = span("cool_down", Duration::from_secs(30));
    let wait = span("wait", Duration::from_secs(5));
    fields.finish();
    Some(Keys::Jwks(RemoteKeys { uri: uri?, cluster: cluster?, fresh_for, stale_for, timeout, cool_down, wait }))
}

fn read_secret(field: &Field<'_>) -> Option<Keys> {
    let fields = field.fields()?;
    let env = fields.require("env").and_then(|f| f.text());
    fields.finish();
    Some(Keys::Secret { env: env? })
}

/// A token source, and whether a cookie there is accepted regardless of the page that makes the request.
fn read_source(field: &Field<'_>) -> Option<(TokenSource, bool)> {
    let fields = field.fields()?;
    let sources = [
        fields.get("header").and_then(|f| read_header(&f)),
        fields.get("cookie").and_then(|f| f.text()).map(TokenSource::Cookie),
        fields.get("query").and_then(|f| f.text()).map(TokenSource::Query),
    ];
    if ["header", "cookie", "query"].iter().filter(|key| fields.get(key).is_some()).count() != 1 {
        fields.problem("expected exactly one of `header`, `cookie` and `query`");
    }
    let cross_origin = fields.get("insecure_cross_origin");
    if let (Some(flag), false) =
        (&cross_origin, sources.iter().flatten().any(|source| matches!(source, TokenSource::Cookie(_))))
    {
        flag.problem("is for a `cookie`: browsers attach no other token by themselves");
    }
    let cross_origin = cross_origin.and_then(|f| f.flag()).unwrap_or(false);
    fields.finish();
    Some((sources.into_iter().flatten().next()?, cross_origin))
}

fn read_header(field: &Field<'_>) -> Option<TokenSource> {
    match sent_header::read(&field.text()?) {
        Ok(name) if name == "authorization" => Some(TokenSource::Bearer),
        Ok(name) => Some(TokenSource::Header(name)),
        Err(fault) => {
            field.problem(fault);
            None
        }
    }
}

/// Reads a mapping from claims to accepted values.
pub(super) fn required_claims(field: &Field<'_>) -> Vec<RequiredClaim> {
    let scalar = |f: &Field<'_>| {
        let value = f.node.to_json();
        let is_scalar = value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64();
        if !is_scalar {
            f.problem(format!("expected text, a whole number, true or false, found {}", f.node.kind()));
        }
        is_scalar.then_some(value)
    };
    let entries = field.entries();
    let claim = |(name, values): &(At<String>, Field<'_>)| {
        let any_of = values.one_or_more().iter().filter_map(scalar).collect();
        let claim = ClaimPath::parse(&name.value).map_err(|fault| values.problem_at(&name.place, fault)).ok()?;
        Some(RequiredClaim { claim, any_of })
    };
    entries.iter().filter_map(claim).collect()
}

fn short_duration(field: &Field<'_>, most: Duration) -> Option<Duration> {
    let found = field.duration()?;
    if found > most {
        field.problem(format!("is longer than the {} seconds accepted here", most.as_secs()));
        return None;
    }
    Some(found)
}

/// Reads where permissions are: a claim, or `.` for top-level claims named after the domains.
fn permission_place(field: &Field<'_>) -> Option<ClaimPath> {
    match &field.node.value {
        Value::Text(text) if text == ALL_CLAIMS => Some(ClaimPath::members(&[])),
        _ => ClaimPath::read(field),
    }
}

/// The maximum lifetime of a token that a developer mints.
pub const LONGEST_SELF_ISSUED: Duration = Duration::from_secs(900);
/// Clocks of issuers and gateways differ by seconds (RFC 7519 §4.1.4: "usually no more than a few minutes").
const LEEWAY: Duration = Duration::from_secs(30);
const MOST_LEEWAY: Duration = Duration::from_secs(300);
const MOST_KEY_AGE: Duration = Duration::from_secs(7 * 86_400);
const MOST_TOKEN_BYTES: usize = 8_192;
const ALL_CLAIMS: &str = ".";
/// RFC 7519 §5.1 and RFC 9068 §2.1.
const TOKEN_TYPES: [&str; 2] = ["JWT", "at+jwt"];
/// RFC 9068 §2.2.3 `scope`; some well-known issuers use `scp` or `scopes` instead.
const SCOPE_CLAIMS: [&str; 3] = ["scope", "scp", "scopes"];
