//! Reads `clients`: who calls without being a person, what proves it, what it may do, and who answers for it.

use std::time::Duration;

use super::problem::{At, Place};
use super::reader::{Field, Fields};

/// A client as written.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name everywhere: audit record, headers, limits; for a token the `client_id` or `azp` claim.
    pub id: At<String>,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub purpose: String,
    /// What its keys and certificates may do; a token's own scopes are cut down to them. None: nothing, and no cut.
    pub scopes: Option<Vec<At<String>>>,
    /// The same for permissions.
    pub permissions: Option<Vec<At<String>>>,
    /// The plan that limits go by.
    pub plan: Option<At<String>>,
    /// Words that rules and limits may go by.
    pub tags: Vec<String>,
    /// The environments it exists in; none for every one.
    pub environments: Vec<At<String>>,
    /// The issuers whose tokens may speak for it; none for every one.
    pub token_issuers: Vec<At<String>>,
    /// When it may call.
    pub period: Period,
    /// Its API keys.
    pub keys: Vec<ClientKey>,
    /// The certificates that are its own.
    pub certificates: Vec<At<Evidence>>,
}

/// From when until when something holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Not before this moment.
    pub not_before: Option<Duration>,
    /// Not from this moment on.
    pub expires: Option<Duration>,
}

/// An API key as written: never the key itself.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// Its name in the audit record.
    pub id: String,
    /// The part of the key that is no secret.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// When it holds.
    pub period: Period,
    /// Since when it is no longer to be used, whatever its period says.
    pub revoked: Option<Duration>,
    /// When it was made.
    pub created: Option<Duration>,
    /// Who made it.
    pub created_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// What of a certificate shows whose it is. Compared in full, never by a part or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The first URI among its subject alternative names.
    Spiffe(String),
    /// The first DNS name among them.
    Dns(String),
    /// The SHA-256 of its DER form.
    Sha256([u8; 32]),
}

impl Client {
    /// Whether it names this environment.
    pub fn exists_in(&self, environment: &str) -> bool {
        self.environments.iter().any(|named| named.value == environment)
    }

    /// Reads one client.
    pub(super) fn read(field: &Field<'_>) -> Option<Client> {
        let fields = field.fields()?;
        let id = fields.require("id").and_then(|f| plain(&f));
        let text = |key| fields.require(key).and_then(|f| f.text());
        let (owner, purpose) = (text("owner"), text("purpose"));
        let texts = |key| fields.get(key).map(|f| f.texts());
        let items = |key| fields.get(key).map(|f| f.items()).unwrap_or_default();
        let client = Client {
            id: id.clone().unwrap_or_else(|| At { value: String::new(), place: fields.place().clone() }),
            owner: owner.unwrap_or_default(),
            purpose: purpose.unwrap_or_default(),
            scopes: texts("scopes"),
            permissions: texts("permissions"),
            plan: fields.get("plan").and_then(|f| plain(&f)),
            tags: items("tags").iter().filter_map(plain).map(|tag| tag.value).collect(),
            environments: texts("environments").unwrap_or_default(),
            token_issuers: texts("token_issuers").unwrap_or_default(),
            period: Period::read(&fields),
            keys: items("keys").iter().filter_map(ClientKey::read).collect(),
            certificates: items("certificates").iter().filter_map(Evidence::read).collect(),
        };
        fields.finish();
        id.is_some().then_some(client)
    }
}

impl Period {
    fn read(fields: &Fields<'_>) -> Period {
        let not_before = fields.get("not_before").and_then(|f| f.moment());
        let end = fields.get("expires");
        let expires = end.as_ref().and_then(|f| f.moment());
        if let (Some(from), Some(until), Some(end)) = (not_before, expires, end)
            && from >= until
        {
            end.problem("ends before it begins");
        }
        Period { not_before, expires }
    }
}

impl ClientKey {
    fn read(field: &Field<'_>) -> Option<ClientKey> {
        let fields = field.fields()?;
        let id = fields.require("id").and_then(|f| plain(&f));
        let prefix = fields.require("prefix").and_then(|f| f.text());
        let hash = fields.require("hash").and_then(|f| {
            let text = f.text()?;
            let hash = text.strip_prefix("sha256:").and_then(hex_bytes);
            if hash.is_none() {
                f.problem("expected `sha256:` and 64 hexadecimal digits: the hash of the key, never the key");
            }
            hash
        });
        let text = |key| fields.get(key).and_then(|f| f.text());
        let key = ClientKey {
            id: id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
            prefix: prefix.clone().unwrap_or_default(),
            hash: hash.unwrap_or_default(),
            period: Period::read(&fields),
            revoked: fields.get("revoked").and_then(|f| f.moment()),
            created: fields.get("created").and_then(|f| f.moment()),
            created_by: text("created_by"),
            reason: text("reason"),
            place: fields.place().clone(),
        };
        fields.finish();
        (id.is_some() && prefix.is_some() && hash.is_some()).then_some(key)
    }
}

impl Evidence {
    fn read(field: &Field<'_>) -> Option<At<Evidence>> {
        let fields = field.fields()?;
        let spiffe = fields.get("spiffe").and_then(|f| {
            let text = f.text()?;
            let is_id = text.strip_prefix("spiffe://").is_some_and(|rest| !rest.is_empty() && is_visible(rest));
            if !is_id {
                f.problem(format!("`{text}` is not a SPIFFE id (spiffe://trust-domain/path)"));
            }
            is_id.then_some(Evidence::Spiffe(text))
        });
        let dns = fields.get("dns").and_then(|f| {
            let text = f.text()?;
            let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
            if !is_name {
                f.problem(format!("`{text}` is not a host name; patterns are not accepted"));
            }
            is_name.then(|| Evidence::Dns(text.to_ascii_lowercase()))
        });
        let sha256 = fields.get("sha256").and_then(|f| {
            let text = f.text()?.replace(':', "");
            let hash = hex_bytes(&text);
            if hash.is_none() {
                f.problem("expected 64 hexadecimal digits: SHA-256 of the certificate in DER form");
            }
            hash.map(Evidence::Sha256)
        });
        let written = ["spiffe", "dns", "sha256"].iter().filter(|key| fields.get(key).is_some()).count();
        if written != 1 {
            fields.problem("expected exactly one of `spiffe`, `dns` and `sha256`");
        }
        let place = fields.place().clone();
        fields.finish();
        [spiffe, dns, sha256].into_iter().flatten().next().map(|value| At { value, place })
    }
}

/// Text that may stand in a header and in a line of a log as it is.
fn plain(field: &Field<'_>) -> Option<At<String>> {
    let text = field.text_at()?;
    if !is_visible(&text.value) || text.value.len() > MOST_BYTES {
        field.problem(format!("expected up to {MOST_BYTES} characters of visible ASCII without spaces"));
        return None;
    }
    Some(text)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Thirty-two bytes written in hexadecimal.
pub fn hex_bytes(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

const MOST_BYTES: usize = 200;
