//! Reads the `issuers` section: the token issuers and the sources of their keys.

use super::document::{IssuerKeySettings, IssuerSettings, RemoteKeys, TokenSource};
use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{issuer as key, jwks, token_source};
use super::sent_header;
use super::token_rules::TokenRules;

impl IssuerSettings {
    pub(super) fn read(field: &Field<'_>) -> Option<IssuerSettings> {
        let fields = field.fields()?;
        let name = fields.require("name").and_then(|f| f.text_at());
        let issuer = fields.require("issuer").and_then(|f| f.text_at());
        let algorithms = fields.get("algorithms").map(|f| f.non_empty_texts()).unwrap_or_default();
        let keys = read_keys(&fields);
        let token_types = fields.get(key::TOKEN_TYPES.name).map(|f| f.texts());
        let token_from = fields.get("token_from").map(|f| f.items()).unwrap_or_default();
        let token_from: Vec<(TokenSource, bool)> = token_from.iter().filter_map(read_source).collect();
        let cross_origin = token_from.iter().filter(|(_, cross_origin)| *cross_origin);
        let insecure_cross_origin = cross_origin.map(|(source, _)| source.clone()).collect();
        let token_from: Vec<TokenSource> = token_from.into_iter().map(|(source, _)| source).collect();
        let require_client = fields.get(key::REQUIRE_CLIENT.name).and_then(|f| f.flag());
        let allow_unlisted_clients = fields.flag(&key::ALLOW_UNLISTED_CLIENTS);
        let unlisted = fields.get(key::ALLOW_UNLISTED_CLIENTS.name);
        if let (Some(field), true, Some(true)) = (unlisted, allow_unlisted_clients, require_client) {
            field.problem("`allow_unlisted_clients` contradicts `require_client: true`: remove one of them");
        }
        let is_self_issued = fields.flag(&key::SELF_ISSUED);
        let self_issued = fields.get(key::SELF_ISSUED.name).filter(|_| is_self_issued);
        let self_issued = self_issued.map(|f| At { value: true, place: f.place });
        let rules = TokenRules::read(&fields, is_self_issued);
        let environments = fields.get("environments").map(|f| f.non_empty_texts()).unwrap_or_default();
        fields.finish();
        Some(IssuerSettings {
            name: name?,
            issuer: issuer?,
            algorithms,
            keys: keys?,
            rules,
            token_types: token_types.map_or_else(
                || key::TOKEN_TYPES.default.iter().map(ToString::to_string).collect(),
                |types| types.into_iter().map(|t| t.value).collect(),
            ),
            token_from: if token_from.is_empty() { vec![TokenSource::Bearer] } else { token_from },
            insecure_cross_origin,
            require_client,
            allow_unlisted_clients,
            self_issued,
            environments,
        })
    }
}

fn read_keys(fields: &Fields<'_>) -> Option<At<IssuerKeySettings>> {
    let jwks = fields.get("jwks");
    let inline = fields.get("keys");
    let secret = fields.get("secret");
    let mut found: Vec<At<IssuerKeySettings>> = Vec::new();
    let mut written = 0;
    for (field, read) in [
        (jwks, read_remote as fn(&Field<'_>) -> Option<IssuerKeySettings>),
        (inline, |f| Some(IssuerKeySettings::Inline(f.node.to_json()))),
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

fn read_remote(field: &Field<'_>) -> Option<IssuerKeySettings> {
    let fields = field.fields()?;
    let uri = fields.require("uri").and_then(|f| f.url());
    let cluster = fields.require("cluster").and_then(|f| f.text());
    let (fresh_for, stale_for) = (fields.duration(&jwks::FRESH_FOR), fields.duration(&jwks::STALE_FOR));
    let timeout = fields.duration(&jwks::TIMEOUT);
    let (cool_down, wait) = (fields.duration(&jwks::COOL_DOWN), fields.duration(&jwks::WAIT));
    fields.finish();
    Some(IssuerKeySettings::Jwks(RemoteKeys {
        uri: uri?,
        cluster: cluster?,
        fresh_for,
        stale_for,
        timeout,
        cool_down,
        wait,
    }))
}

fn read_secret(field: &Field<'_>) -> Option<IssuerKeySettings> {
    let fields = field.fields()?;
    let env = fields.require("env").and_then(|f| f.text());
    fields.finish();
    Some(IssuerKeySettings::Secret { env: env? })
}

/// Reads one item of `token_from`. Returns the place of the token, and the value of `insecure_cross_origin`, which can be set
/// only for a cookie.
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
    let cross_origin = fields.get(token_source::INSECURE_CROSS_ORIGIN.name);
    if let (Some(flag), false) =
        (&cross_origin, sources.iter().flatten().any(|source| matches!(source, TokenSource::Cookie(_))))
    {
        flag.problem("can be set only with `cookie`, because browsers send no other token automatically");
    }
    let cross_origin = fields.flag(&token_source::INSECURE_CROSS_ORIGIN);
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
