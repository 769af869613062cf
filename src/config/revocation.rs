//! Reads the `revocation` section, and the revocation entries in it or in a polled revocation list.

use std::cell::RefCell;

use super::node::{Node, Value};
use super::polled::PolledSource;
use super::problem::{At, Place, Problems};
use super::reader::{Field, Fields};
use super::schema_keys::{BoundedKey, revocation as key, revoked};

/// The `revocation` section: the credentials that the gateway refuses although they have not expired.
#[derive(Clone, Debug)]
pub struct RevocationSettings {
    /// The address and the polling settings of the polled revocation list; `None` if no list is polled.
    pub list: Option<PolledSource>,
    /// The revocation entries in the document itself.
    pub revoked: Vec<Revoked>,
    /// What happens to requests while the polled list is missing or too old.
    pub on_unavailable: ListUnavailable,
    /// The maximum number of entries in the polled list. Expired entries do not count.
    pub max_entries: usize,
    /// Whether tokens without a `jti` are refused, because they cannot be revoked one by one.
    pub require_jti: bool,
    /// The location of the `revocation` section in the document.
    pub place: Place,
}

/// What happens to requests with a credential while the polled revocation list is missing or too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListUnavailable {
    /// The requests are refused.
    #[default]
    Refuse,
    /// The requests are accepted, although their credentials may be revoked.
    AcceptUnchecked,
}

/// One entry of a revocation list.
#[derive(Clone, Debug, PartialEq)]
pub struct Revoked {
    /// The revoked credentials.
    pub what: RevokedCredential,
    /// The `iss` of the issuer whose tokens are revoked. `None` means all issuers.
    pub issuer: Option<At<String>>,
    /// If set, the entry revokes only tokens issued before this time, in seconds since the Unix epoch.
    pub issued_before: Option<u64>,
    /// The time after which the entry is not needed, in seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// The location of the entry in the document.
    pub place: Place,
}

/// The credentials that a [`Revoked`] entry revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokedCredential {
    /// The token with this `jti`.
    Token(String),
    /// All tokens with this `sub`.
    Subject(String),
    /// All tokens whose `client_id` or `azp` is this client id.
    Client(String),
    /// One API key of a client, or all API keys and certificates of the client.
    ApiKey {
        /// The id of the client.
        client: String,
        /// The id of the key; `None` means all keys and certificates of the client.
        key: Option<String>,
    },
    /// All tokens of [`Revoked::issuer`] that were issued before [`Revoked::issued_before`].
    Everyone,
}

impl RevocationSettings {
    /// Reads the `revocation` section.
    pub(super) fn read(field: &Field<'_>) -> Option<RevocationSettings> {
        let fields = field.fields()?;
        let list = PolledSource::read(&fields);
        let revoked = fields.get("revoked").map(|f| entries(&f));
        let unavailable = [("refuse", ListUnavailable::Refuse), ("accept_unchecked", ListUnavailable::AcceptUnchecked)];
        let on_unavailable = fields.word(&key::ON_UNAVAILABLE, &unavailable);
        let max_entries = fields.size(&key::MAX_ENTRIES);
        let require_jti = fields.flag(&key::REQUIRE_JTI);
        if list.is_none() && revoked.is_none() && fields.get("uri").is_none() {
            fields.problem("expected `uri` and `cluster` of a list, or `revoked` with the list itself");
        }
        let place = fields.place().clone();
        fields.finish();
        Some(RevocationSettings {
            list,
            revoked: revoked.unwrap_or_default(),
            on_unavailable,
            max_entries,
            require_jti,
            place,
        })
    }
}

/// Reads a polled revocation list. If there are problems, callers must not use the entries.
pub fn read_list(node: &Node) -> (Vec<Revoked>, Problems) {
    let problems = RefCell::new(Problems::default());
    let list = || {
        let fields = Field::root(node, &problems).fields()?;
        super::check_version(&fields);
        let revoked = fields.require("revoked").map(|f| entries(&f));
        fields.finish();
        revoked
    };
    let revoked = list().unwrap_or_default();
    (revoked, problems.into_inner())
}

fn entries(field: &Field<'_>) -> Vec<Revoked> {
    field.items().iter().filter_map(Revoked::read).collect()
}

impl Revoked {
    /// Reads one entry. Unknown keys are reported as problems: without such a key, the entry could revoke more or fewer
    /// credentials than its author intended.
    fn read(field: &Field<'_>) -> Option<Revoked> {
        let fields = field.fields()?;
        let text = |key| fields.get(key).and_then(|f| f.text());
        let (jti, sub, client_id, client, key) =
            (text("jti"), text("sub"), text("client_id"), text("client"), text("key"));
        let issuer = fields.get("issuer").and_then(|f| f.text_at());
        let time = |key: &BoundedKey<u64, ()>| fields.get(key.name).and_then(|f| seconds(&f, key));
        let (issued_before, expires) = (time(&revoked::ISSUED_BEFORE), time(&revoked::EXPIRES));
        let what = what(&fields, issuer.as_ref(), issued_before);
        let place = fields.place().clone();
        fields.finish();
        let what = match what? {
            RevocationKey::Jti => RevokedCredential::Token(jti?),
            RevocationKey::Sub => RevokedCredential::Subject(sub?),
            RevocationKey::ClientId => RevokedCredential::Client(client_id?),
            RevocationKey::Client => RevokedCredential::ApiKey { client: client?, key },
            RevocationKey::Nobody => RevokedCredential::Everyone,
        };
        Some(Revoked { what, issuer, issued_before, expires, place })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RevocationKey {
    Jti,
    Sub,
    ClientId,
    Client,
    Nobody,
}

/// Reads a time as a number of seconds, as in the claims of a token (RFC 7519 §2, NumericDate). All other times in a document
/// are strings.
fn seconds(field: &Field<'_>, key: &BoundedKey<u64, ()>) -> Option<u64> {
    if let Value::Text(_) = field.node.value {
        field.problem("expected a number of seconds since 1970, as in the `exp` of a token, found text");
        return None;
    }
    field.number(key.least, key.most)
}

/// Returns the key that identifies the revoked credentials of an entry. Reports an invalid combination of keys as a problem.
fn what(fields: &Fields<'_>, issuer: Option<&At<String>>, issued_before: Option<u64>) -> Option<RevocationKey> {
    let names = [
        ("jti", RevocationKey::Jti),
        ("sub", RevocationKey::Sub),
        ("client_id", RevocationKey::ClientId),
        ("client", RevocationKey::Client),
    ];
    let mut named = names.iter().filter(|(key, _)| fields.get(key).is_some()).map(|(_, named)| *named);
    let what = named.next().unwrap_or(RevocationKey::Nobody);
    let fault = match what {
        _ if named.next().is_some() => "expected only one of `jti`, `sub`, `client_id` and `client`",
        _ if what != RevocationKey::Client && fields.get("key").is_some() => {
            "`key` needs `client`: the id of the client to which the API key belongs"
        }
        RevocationKey::Nobody if issued_before.is_none() => {
            "expected one of `jti`, `sub`, `client_id`, `client` and `issued_before`"
        }
        // A subject is unique only within an issuer (RFC 7519 §4.1.2).
        RevocationKey::Sub if issuer.is_none() => "`sub` needs the `issuer` of the subject",
        RevocationKey::Jti if issued_before.is_some() => "`jti` identifies one token: remove `issued_before`",
        RevocationKey::Client if issuer.is_some() || issued_before.is_some() => {
            "`client` is for API keys and certificates: remove `issuer` and `issued_before`"
        }
        _ => return Some(what),
    };
    fields.problem(fault);
    None
}

/// The default of `revocation.max_entries`.
pub const USUAL_ENTRIES: usize = key::MAX_ENTRIES.default as usize;
