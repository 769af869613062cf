//! Selects the bucket of a request from the attributes in `by` of a limit, with a hash whose key is unknown to clients.

use std::hash::Hasher;
use std::net::IpAddr;

use serde_json::Value;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::config::header_name::is_same_cgi_variable;
use crate::config::limit::KeyPart;
use crate::policy::credentials::caller::{Caller, Proof};
use crate::policy::request::SingleValue;
use crate::policy::request::peer::Peer;

/// The data of a request that limits can count by.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    /// The peer of the connection. Limits can count by its address.
    pub peer: &'s dyn Peer,
    /// The request's headers, with lower-case names.
    pub headers: &'s [(&'s [u8], &'s [u8])],
    /// The name of the route; empty if no route matches.
    pub route: &'s str,
    /// The caller; `None` before authentication, or if the request has no credential.
    pub caller: Option<&'s Caller>,
}

/// The bucket of a request, as a hash: a fingerprint, and a number that selects the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitKey {
    /// Distinguishes the bucket from other buckets in the same cell.
    pub fingerprint: u64,
    spread: u64,
}

impl<'s> Subject<'s> {
    /// Returns the value of a header. Returns [`SingleValue::Repeated`] if the header is repeated or is also sent in another
    /// spelling. All such requests share one bucket, because a caller could otherwise add a random second value to each request
    /// and get a new bucket each time.
    pub fn header(&self, name: &str) -> SingleValue<'s> {
        let mut found = SingleValue::Absent;
        for (sent, value) in self.headers {
            if *sent == name.as_bytes() {
                found.add(value);
            } else if is_same_cgi_variable(sent, name.as_bytes()) {
                found = SingleValue::Repeated;
            }
        }
        found
    }
}

impl LimitKey {
    /// Computes the key from the values of `parts` in this request. All requests that lack a part, such as a header, share one
    /// bucket. If a part describes the caller and the caller is unknown, the address is used instead, so that anonymous callers
    /// do not share one bucket.
    pub fn new(parts: &[KeyPart], subject: &Subject<'_>, hash_key: [u8; 16]) -> LimitKey {
        let mut hasher = SipHasher13::new_with_key(&hash_key);
        for part in parts {
            part_of(part, subject, &mut hasher);
        }
        let hash = hasher.finish128();
        LimitKey { fingerprint: hash.h1, spread: hash.h2 }
    }

    /// Returns the index of the bucket's cell in a table of `cells` cells.
    pub fn cell(&self, cells: u32) -> u32 {
        let scaled = (u128::from(self.spread) * u128::from(cells)) >> 64;
        u32::try_from(scaled).unwrap_or(0)
    }
}

fn part_of(part: &KeyPart, subject: &Subject<'_>, hasher: &mut SipHasher13) {
    match (part, subject.caller) {
        (KeyPart::Address, _) => address(subject, hasher),
        (KeyPart::Route, _) => piece(hasher, 1, subject.route.as_bytes()),
        (KeyPart::Header(name), _) => match subject.header(name) {
            SingleValue::Value(value) => piece(hasher, 2, value),
            SingleValue::Absent => piece(hasher, 3, &[]),
            SingleValue::Repeated => piece(hasher, 13, &[]),
        },
        (_, None) => address(subject, hasher),
        (KeyPart::Token, Some(caller)) => match &caller.proof {
            Proof::Token(token) => piece(hasher, 4, &token.id.to_le_bytes()),
            Proof::ApiKey(key) => {
                client(hasher, caller);
                piece(hasher, 12, key.as_bytes());
            }
            Proof::Certificate => client(hasher, caller),
        },
        (KeyPart::User, Some(caller)) if caller.token().is_none() => client(hasher, caller),
        (KeyPart::User, Some(caller)) => of_issuer(hasher, caller, caller.subject.as_deref().map(str::as_bytes)),
        (KeyPart::Client, Some(caller)) => client(hasher, caller),
        (KeyPart::Claim(path), Some(caller)) => match path.find(&caller.claims) {
            Some(Value::String(text)) => of_issuer(hasher, caller, Some(text.as_bytes())),
            Some(other) => of_issuer(hasher, caller, Some(other.to_string().as_bytes())),
            None => of_issuer(hasher, caller, None),
        },
    }
}

/// Adds the client's address to the hash. For IPv6, adds only the first 64 bits, because a subscriber can usually use all
/// addresses that have these bits in common (RFC 6177 §2).
fn address(subject: &Subject<'_>, hasher: &mut SipHasher13) {
    match subject.peer.address().map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => piece(hasher, 5, &address.octets()),
        Some(IpAddr::V6(address)) => piece(hasher, 6, &address.octets().into_iter().take(8).collect::<Vec<_>>()),
        None => piece(hasher, 7, &[]),
    }
}

/// Adds the client id to the hash, together with the issuer if the id is not unique without it.
fn client(hasher: &mut SipHasher13, caller: &Caller) {
    let id = caller.client_id.as_deref().map(str::as_bytes);
    match id.filter(|_| !caller.is_client_of_its_issuer()) {
        Some(id) => piece(hasher, 11, id),
        None => of_issuer(hasher, caller, id),
    }
}

/// Adds a value together with its issuer, because equal subjects of two issuers are different callers (RFC 7519 §4.1.2).
fn of_issuer(hasher: &mut SipHasher13, caller: &Caller, value: Option<&[u8]>) {
    piece(hasher, 8, caller.issuer_name().map(|name| name.as_bytes()).unwrap_or_default());
    match value {
        Some(value) => piece(hasher, 9, value),
        None => piece(hasher, 10, &[]),
    }
}

/// Adds a piece to the hash. Its length precedes its bytes, so that different lists of pieces never produce the same input.
fn piece(hasher: &mut SipHasher13, kind: u8, bytes: &[u8]) {
    hasher.write_u64(u64::from(kind) << 56 | bytes.len() as u64);
    hasher.write(bytes);
}
