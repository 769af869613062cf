//! Builds the descriptor for a rate limit service, with only the data that distinguishes callers.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::limit::KeyPart;
use crate::policy::credentials::caller::{Caller, Proof};
use crate::policy::limits::rate_limit::Limit;
use crate::policy::limits::rate_limit::key::Subject;
use crate::policy::limits::rate_limit_client::wire;
use crate::policy::request::SingleValue;

/// Returns the descriptor: the limit, the plan if there are several, and one entry per part of `by`. Personal or secret values
/// are sent as a digest, because the service only needs to distinguish callers.
pub(super) fn of(limit: &Limit, subject: &Subject<'_>) -> Vec<u8> {
    let plan = limit.meter(subject).map_or("", |meter| &meter.plan);
    let mut entries: Vec<(&str, &str)> = vec![("limit", &limit.name)];
    entries.extend((!plan.is_empty()).then_some(("plan", plan)));
    let parts: Vec<(String, String)> = limit.by.iter().map(|part| (name_of(part), value_of(part, subject))).collect();
    entries.extend(parts.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    wire::descriptor(entries)
}

fn name_of(part: &KeyPart) -> String {
    match part {
        KeyPart::Address => "address".to_string(),
        KeyPart::User => "user".to_string(),
        KeyPart::Token => "token".to_string(),
        KeyPart::Client => "client".to_string(),
        KeyPart::Route => "route".to_string(),
        KeyPart::Header(name) => format!("header.{name}"),
        KeyPart::Claim(path) => format!("claim.{}", path.text),
    }
}

/// Returns the value of a part. As in [`crate::policy::limits::rate_limit::key`], all requests without the part have the same
/// value, and if the caller is unknown, the address is used instead.
fn value_of(part: &KeyPart, subject: &Subject<'_>) -> String {
    match (part, subject.caller) {
        (KeyPart::Address, _) => address(subject),
        (KeyPart::Route, _) => subject.route.to_string(),
        (KeyPart::Header(name), _) => match subject.header(name) {
            SingleValue::Value(value) => digest(&[value]),
            SingleValue::Absent => ABSENT.to_string(),
            SingleValue::Repeated => REPEATED.to_string(),
        },
        (_, None) => format!("address/{}", address(subject)),
        (KeyPart::Token, Some(caller)) => match &caller.proof {
            Proof::Token(token) => digest(&[&token.id.to_le_bytes()]),
            Proof::ApiKey(key) => format!("{}/{}", client(caller), segment(key)),
            Proof::Certificate => client(caller),
        },
        (KeyPart::User, Some(caller)) if caller.token().is_none() => client(caller),
        (KeyPart::User, Some(caller)) => of_issuer(caller, caller.subject.as_deref()),
        (KeyPart::Client, Some(caller)) => client(caller),
        (KeyPart::Claim(path), Some(caller)) => match path.find(&caller.claims) {
            Some(Value::String(text)) => of_issuer(caller, Some(text)),
            other => of_issuer(caller, other.map(Value::to_string).as_deref()),
        },
    }
}

/// Returns the client id, together with the issuer if the id is not unique without it.
fn client(caller: &Caller) -> String {
    let issuer =
        caller.issuer_name().filter(|_| caller.is_client_of_its_issuer()).map(AsRef::as_ref).unwrap_or_default();
    match &caller.client_id {
        Some(id) if id.len() <= MAX_PLAIN_BYTES => format!("{}/{}", segment(issuer), segment(id)),
        id => of_issuer(caller, id.as_deref()),
    }
}

/// Percent-encodes the slashes of a name (RFC 3986 §2.1), so that different lists of names never produce the same string.
fn segment(name: &str) -> Cow<'_, str> {
    match name.contains(['%', '/']) {
        true => name.replace('%', "%25").replace('/', "%2F").into(),
        false => name.into(),
    }
}

/// Returns the client's address; for IPv6, the network of its first 64 bits.
fn address(subject: &Subject<'_>) -> String {
    match subject.peer.address().map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        None => ABSENT.to_string(),
    }
}

fn of_issuer(caller: &Caller, value: Option<&str>) -> String {
    let issuer = caller.issuer_name().map(AsRef::as_ref).unwrap_or_default();
    value.map_or_else(|| ABSENT.to_string(), |value| digest(&[str::as_bytes(issuer), value.as_bytes()]))
}

/// Returns the first half of SHA-256 over the length-prefixed pieces, in hexadecimal. Every proxy computes the same digest.
fn digest(pieces: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    let mut text = String::with_capacity(32);
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

const ABSENT: &str = "absent";
/// The value of a part whose header is repeated. No digest equals this string.
const REPEATED: &str = "repeated";

/// The maximum length of a client id in the descriptor. Longer ids are sent as a digest.
const MAX_PLAIN_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::policy::credentials::caller::TokenProof;
    use crate::policy::credentials::client::Client;
    use crate::policy::credentials::issuer::Validity;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn token(issuer_name: &str) -> TokenProof {
        TokenProof {
            issuer: 0,
            issuer_name: issuer_name.into(),
            id: 0,
            validity: Validity { from: Duration::ZERO, until: Duration::MAX },
            generation: 0,
            clients: None,
            source: 0,
            bound: None,
        }
    }

    fn of_token(issuer_name: &str, client_id: &str) -> String {
        let token = token(issuer_name);
        client(&Caller { client_id: Some(client_id.into()), ..Caller::proven(Proof::Token(token)) })
    }

    /// Returns the descriptor values of a listed client that uses a token, and of the same client with a key.
    fn listed(several_issuers: bool) -> [String; 2] {
        let listed = Client {
            id: "web".into(),
            owner: "o".into(),
            plan: None,
            tags: Vec::new(),
            scopes: None,
            permissions: None,
            token_issuers: None,
            several_issuers,
            in_environment: true,
            environment: None,
            period: Default::default(),
        };
        let listed = Some(Arc::new(listed));
        let by =
            |proof| client(&Caller { client_id: Some("web".into()), client: listed.clone(), ..Caller::proven(proof) });
        [by(Proof::Token(token("accounts"))), by(Proof::ApiKey("k".into()))]
    }

    #[test]
    fn a_listed_client_of_one_issuer_shares_a_bucket_by_token_and_key() {
        assert_eq!(listed(false), ["/web", "/web"]);
        assert_eq!(listed(true), ["accounts/web", "/web"]);
    }

    #[test]
    fn clients_with_slashes_in_their_names_are_counted_separately() {
        assert_eq!(of_token("accounts", "web"), "accounts/web");
        assert_eq!(of_token("https://a.example", "b/c%"), "https:%2F%2Fa.example/b%2Fc%25");
        assert_ne!(of_token("a", "b/c"), of_token("a/b", "c"));
        assert_ne!(of_token("a", "b%2Fc"), of_token("a", "b/c"));
    }
}
