//! What a rate limit service is told of a request: enough to tell callers apart, and no more.

use std::fmt::Write;
use std::net::IpAddr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::caller::{Caller, Proof};
use super::super::limit::Limit;
use super::super::limit::key::Subject;
use super::super::quota::wire;
use crate::config::limit::KeyPart;

/// What the service is told of a request: the limit, the plan if there are several, and one entry for each part of `by`.
/// Parts that are a person's or a secret are told as a digest: the service needs to tell callers apart, not to know them.
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

/// As in [`super::super::limit::key`], whoever has not got a part shares its absence, and where nobody is known to call, the address stands for him.
fn value_of(part: &KeyPart, subject: &Subject<'_>) -> String {
    match (part, subject.caller) {
        (KeyPart::Address, _) => address(subject),
        (KeyPart::Route, _) => subject.route.to_string(),
        (KeyPart::Header(name), _) => {
            let found = subject.headers.iter().filter(|(have, _)| *have == name.as_bytes());
            let values: Vec<&[u8]> = found.map(|(_, value)| *value).collect();
            if values.is_empty() { ABSENT.to_string() } else { digest(&values) }
        }
        (_, None) => format!("address/{}", address(subject)),
        (KeyPart::Token, Some(caller)) => match &caller.proof {
            Proof::Token(token) => digest(&[&token.id.to_le_bytes()]),
            Proof::ApiKey(key) => format!("{}/{key}", client(caller)),
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

/// The application that calls. One that is listed is the same by whatever it is proven; of others each issuer has its own.
fn client(caller: &Caller) -> String {
    let issuer = caller.issuer_name().filter(|_| caller.client.is_none());
    match &caller.client_id {
        Some(id) if id.len() <= MOST_PLAIN_BYTES => format!("{}/{id}", issuer.map(AsRef::as_ref).unwrap_or_default()),
        id => of_issuer(caller, id.as_deref()),
    }
}

/// The address; of IPv6 the first 64 bits.
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

/// The first half of SHA-256 over the pieces, each after its length, in hexadecimal: the same in every proxy.
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

/// Longer names of clients are told as a digest.
const MOST_PLAIN_BYTES: usize = 128;
