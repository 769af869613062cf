//! Reads the `revocation` section, and lists of what is revoked, wherever they stand: in the document or at an address.

use std::cell::RefCell;

use super::node::{Node, Value};
use super::polled::PolledFrom;
use super::problem::{At, Place, Problems};
use super::reader::{Field, Fields};

/// What no longer holds before its time.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Where a list is that is polled.
    pub list: Option<PolledFrom>,
    /// What the document itself revokes.
    pub revoked: Vec<Revoked>,
    /// What becomes of a request when there is no list to look at.
    pub on_unavailable: ListUnavailable,
    /// How many entries a list may have.
    pub max_entries: usize,
    /// Whether a token without a `jti` is refused.
    pub require_jti: bool,
    /// Where the section is written.
    pub place: Place,
}

/// What becomes of a request when there is no revocation list to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListUnavailable {
    /// It is refused.
    Refuse,
    /// It is accepted although what it shows may have been revoked.
    AcceptUnchecked,
}

/// One entry of a revocation list.
#[derive(Clone, Debug, PartialEq)]
pub struct Revoked {
    /// What does not hold any more.
    pub what: RevokedWhat,
    /// Of which issuer, by its `iss`; none means every issuer.
    pub issuer: Option<At<String>>,
    /// Only tokens issued before this time, in seconds since the Unix epoch.
    pub issued_before: Option<u64>,
    /// When the entry is no longer needed, in seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Where it is written.
    pub place: Place,
}

/// What an entry of a revocation list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokedWhat {
    /// The token with this `jti`.
    Token(String),
    /// Tokens of this `sub`.
    Subject(String),
    /// Tokens that this client obtained.
    Client(String),
    /// API keys of a client: one by its id, or all.
    ApiKey {
        /// The client's name.
        client: String,
        /// The key's id.
        key: Option<String>,
    },
    /// Every token.
    Everyone,
}

impl Revocation {
    /// Reads the section.
    pub(super) fn read(field: &Field<'_>) -> Option<Revocation> {
        let fields = field.fields()?;
        let list = PolledFrom::read(&fields);
        let revoked = fields.get("revoked").map(|f| entries(&f));
        let unavailable = fields.get("on_unavailable").and_then(|f| {
            f.word(&[("refuse", ListUnavailable::Refuse), ("accept_unchecked", ListUnavailable::AcceptUnchecked)])
        });
        let max_entries = fields.get("max_entries").and_then(|f| f.number(1, MOST_ENTRIES));
        let require_jti = fields.get("require_jti").and_then(|f| f.flag()).unwrap_or(false);
        if list.is_none() && revoked.is_none() && fields.get("uri").is_none() {
            fields.problem("expected `uri` and `cluster` of a list, or `revoked` with the list itself");
        }
        let place = fields.place().clone();
        fields.finish();
        Some(Revocation {
            list,
            revoked: revoked.unwrap_or_default(),
            on_unavailable: unavailable.unwrap_or(ListUnavailable::Refuse),
            max_entries: max_entries.and_then(|n| usize::try_from(n).ok()).unwrap_or(USUAL_ENTRIES),
            require_jti,
            place,
        })
    }
}

/// Reads a revocation list that stands by itself. It is good for nothing when there are problems.
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
    /// Reads one entry. What it says must all be understood: half an entry would revoke more than was meant, or less.
    fn read(field: &Field<'_>) -> Option<Revoked> {
        let fields = field.fields()?;
        let text = |key| fields.get(key).and_then(|f| f.text());
        let (jti, sub, client_id, client, key) =
            (text("jti"), text("sub"), text("client_id"), text("client"), text("key"));
        let issuer = fields.get("issuer").and_then(|f| f.text_at());
        let time = |key| fields.get(key).and_then(|f| seconds(&f));
        let (issued_before, expires) = (time("issued_before"), time("expires"));
        let what = what(&fields, issuer.as_ref(), issued_before);
        let place = fields.place().clone();
        fields.finish();
        let what = match what? {
            Named::Jti => RevokedWhat::Token(jti?),
            Named::Sub => RevokedWhat::Subject(sub?),
            Named::ClientId => RevokedWhat::Client(client_id?),
            Named::Client => RevokedWhat::ApiKey { client: client?, key },
            Named::Nobody => RevokedWhat::Everyone,
        };
        Some(Revoked { what, issuer, issued_before, expires, place })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Jti,
    Sub,
    ClientId,
    Client,
    Nobody,
}

/// A time as tokens write it (RFC 7519 §2, NumericDate), unlike every other in a document.
fn seconds(field: &Field<'_>) -> Option<u64> {
    if let Value::Text(_) = field.node.value {
        field.problem("expected a number, seconds since 1970 as a token's own `exp`, found text");
        return None;
    }
    field.number(0, MOST_SECONDS)
}

/// What an entry names, if its members go together.
fn what(fields: &Fields<'_>, issuer: Option<&At<String>>, issued_before: Option<u64>) -> Option<Named> {
    let names = [("jti", Named::Jti), ("sub", Named::Sub), ("client_id", Named::ClientId), ("client", Named::Client)];
    let mut named = names.iter().filter(|(key, _)| fields.get(key).is_some()).map(|(_, named)| *named);
    let what = named.next().unwrap_or(Named::Nobody);
    let fault = match what {
        _ if named.next().is_some() => "names several things: expected one of `jti`, `sub`, `client_id` and `client`",
        _ if what != Named::Client && fields.get("key").is_some() => {
            "`key` is the id of an API key, and needs `client`"
        }
        Named::Nobody if issued_before.is_none() => {
            "expected one of `jti`, `sub`, `client_id` and `client`, or `issued_before` alone"
        }
        // A subject is unique within its issuer only (RFC 7519 §4.1.2).
        Named::Sub if issuer.is_none() => "`sub` needs the `issuer` to whom the subject belongs",
        Named::Jti if issued_before.is_some() => "a `jti` names one token, which `issued_before` cannot divide",
        Named::Client if issuer.is_some() || issued_before.is_some() => {
            "an API key has no `issuer` and no time at which it was issued"
        }
        _ => return Some(what),
    };
    fields.problem(fault);
    None
}

/// How many entries a list may have where nothing is written.
pub const USUAL_ENTRIES: usize = 10_000;
const MOST_ENTRIES: u64 = 100_000;
/// The end of the year 9999.
const MOST_SECONDS: u64 = 253_402_300_799;
