//! A revocation list, as a hash table that finds the entries for a token, subject, client or API key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use super::caller::Caller;
use crate::config::node::Node;
use crate::config::revocation::{Revoked, RevokedCredential, read_list};
use crate::strict_json;
use serde_json::Value;

/// A set of revoked credentials.
#[derive(Debug, Default)]
pub struct Revocations {
    /// All entries. [`RevokedName::write`] builds the keys of the map.
    terms: HashMap<Box<[u8]>, RevocationCutoff, BuildHasherDefault<DefaultHasher>>,
    /// A bit for each kind of entry that the list contains. Lookups skip kinds without entries.
    kinds: u8,
    entries: usize,
}

/// The claims by which a token can be revoked.
#[derive(Clone, Copy, Debug)]
pub struct RevocableClaims<'c> {
    issuer: &'c str,
    pub(super) jti: Option<&'c str>,
    subject: Option<&'c str>,
    /// The claims `client_id` (RFC 9068 §2.2) and `azp` (OpenID Connect Core §2).
    clients: [Option<&'c str>; 2],
    issued_at: Option<u64>,
}

impl<'c> RevocableClaims<'c> {
    /// Collects the claims of a caller's token.
    pub fn of(caller: &'c Caller, issuer: &'c str) -> RevocableClaims<'c> {
        let text = |name: &str| caller.claims.get(name).and_then(Value::as_str);
        let issued_at = caller.claims.get("iat");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a date that was checked before")]
        let issued_at = issued_at.and_then(|iat| iat.as_u64().or_else(|| iat.as_f64().map(|iat| iat as u64)));
        RevocableClaims {
            issuer,
            jti: text("jti"),
            subject: caller.subject.as_deref(),
            clients: [text("client_id"), text("azp")],
            issued_at,
        }
    }
}

/// The kind of an entry: which credentials it revokes.
#[derive(Clone, Copy, Debug)]
enum RevokedKind {
    Token,
    Subject,
    Client,
    Everyone,
    ApiKey,
    ApiClient,
}

/// The key of an entry: the kind, the issuer and the name. An empty issuer means all issuers. For API keys and certificates, the
/// second field is the client id and not the issuer.
#[derive(Clone, Copy, Debug)]
struct RevokedName<'n>(RevokedKind, &'n str, &'n str);

/// The range of tokens that an entry revokes, and the expiry time of the entry.
#[derive(Clone, Copy, Debug)]
struct RevocationCutoff {
    /// The entry applies to tokens issued before this time, in seconds since the Unix epoch; `u64::MAX` for all tokens.
    issued_before: u64,
    /// The entry expires at this time, in seconds since the Unix epoch; `u64::MAX` for no expiry.
    expires: u64,
}

/// The reason why a document is not a valid revocation list.
#[derive(Debug, PartialEq, Eq)]
pub struct RevocationListError(pub String);

impl Revocations {
    /// Parses a list. A list with a problem is rejected. Entries that have expired at `now` are dropped, and do not count against
    /// `most_entries`.
    pub fn parse(text: &[u8], most_entries: usize, now: Duration) -> Result<Revocations, RevocationListError> {
        let json = strict_json::parse(text).map_err(|fault| RevocationListError(fault.to_string()))?;
        let (entries, problems) = read_list(&Node::from(json));
        if !problems.is_empty() {
            return Err(RevocationListError(problems.summary()));
        }
        let list = Revocations::of(&entries, now);
        if list.entries > most_entries {
            return Err(RevocationListError(format!(
                "the list has {} entries, but at most {most_entries} are accepted",
                list.entries
            )));
        }
        Ok(list)
    }

    /// Builds a list from entries. Two entries with the same key become one entry, with the later cutoff and the later expiry
    /// time.
    pub fn of(entries: &[Revoked], now: Duration) -> Revocations {
        let mut list = Revocations::default();
        for entry in entries {
            let terms = RevocationCutoff {
                issued_before: entry.issued_before.unwrap_or(u64::MAX),
                expires: entry.expires.map_or(u64::MAX, |at| at + LEEWAY),
            };
            if terms.is_needed(now) {
                list.entries += 1;
                list.add(entry, terms);
            }
        }
        list
    }

    fn add(&mut self, entry: &Revoked, terms: RevocationCutoff) {
        let issuer = entry.issuer.as_ref().map_or("", |issuer| issuer.value.as_str());
        let name = match &entry.what {
            RevokedCredential::Token(jti) => RevokedName(RevokedKind::Token, issuer, jti),
            RevokedCredential::Subject(sub) => RevokedName(RevokedKind::Subject, issuer, sub),
            RevokedCredential::Client(id) => RevokedName(RevokedKind::Client, issuer, id),
            RevokedCredential::Everyone => RevokedName(RevokedKind::Everyone, issuer, ""),
            RevokedCredential::ApiKey { client, key: Some(key) } => RevokedName(RevokedKind::ApiKey, client, key),
            RevokedCredential::ApiKey { client, key: None } => RevokedName(RevokedKind::ApiClient, client, ""),
        };
        let mut key = Vec::new();
        name.write(&mut key);
        let known = self.terms.get(key.as_slice()).copied();
        self.terms.insert(key.into_boxed_slice(), terms.or_wider(known));
        self.kinds |= 1 << name.0 as u8;
    }

    /// Returns `true` if the token with these claims is revoked at this time.
    pub fn covers(&self, shown: &RevocableClaims<'_>, now: Duration) -> bool {
        let [client, party] = shown.clients;
        let names = [
            (RevokedKind::Token, shown.jti),
            (RevokedKind::Subject, shown.subject),
            (RevokedKind::Client, client),
            (RevokedKind::Client, party),
            (RevokedKind::Everyone, Some("")),
        ];
        let mut key = Vec::new();
        names.into_iter().filter_map(|(kind, name)| Some((kind, name?))).any(|(kind, name)| {
            let covers = |terms: RevocationCutoff| terms.cover(shown.issued_at, now);
            ["", shown.issuer]
                .iter()
                .any(|issuer| self.find(RevokedName(kind, issuer, name), &mut key).is_some_and(covers))
        })
    }

    /// Returns `true` if the client, or the presented API key, is revoked at this time.
    pub fn covers_client(&self, client: &str, key: Option<&str>, now: Duration) -> bool {
        let names = [
            Some(RevokedName(RevokedKind::ApiClient, client, "")),
            key.map(|key| RevokedName(RevokedKind::ApiKey, client, key)),
        ];
        let mut key = Vec::new();
        names.into_iter().flatten().any(|name| self.find(name, &mut key).is_some_and(|terms| terms.is_needed(now)))
    }

    fn find(&self, name: RevokedName<'_>, key: &mut Vec<u8>) -> Option<RevocationCutoff> {
        if self.kinds & 1 << name.0 as u8 == 0 {
            return None;
        }
        name.write(key);
        self.terms.get(key.as_slice()).copied()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Returns `true` if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

impl RevokedName<'_> {
    /// Writes a unique key. The length of the issuer shows where the issuer ends and the name starts.
    fn write(&self, key: &mut Vec<u8>) {
        key.clear();
        key.push(self.0 as u8);
        key.extend(self.1.len().to_le_bytes());
        key.extend(self.1.as_bytes());
        key.extend(self.2.as_bytes());
    }
}

impl RevocationCutoff {
    fn is_needed(self, now: Duration) -> bool {
        now.as_secs() < self.expires
    }

    /// Returns `true` if the entry revokes a token now. A token without an issue time counts as issued before the cutoff.
    fn cover(self, issued_at: Option<u64>, now: Duration) -> bool {
        self.is_needed(now) && issued_at.is_none_or(|issued_at| issued_at < self.issued_before)
    }

    fn or_wider(self, other: Option<RevocationCutoff>) -> RevocationCutoff {
        other.map_or(self, |other| RevocationCutoff {
            issued_before: self.issued_before.max(other.issued_before),
            expires: self.expires.max(other.expires),
        })
    }
}

/// The maximum leeway of an issuer, in seconds. A token is accepted until `exp` plus the leeway, so each entry is kept for this
/// time after its expiry time.
const LEEWAY: u64 = 300;

/// The bytes that a list may have for each allowed entry. `DocumentKind::most_bytes` adds a constant for the rest of the
/// document.
pub const MAX_BYTES_AN_ENTRY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: u64 = 1_000_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn parse(entries: &str) -> Result<Revocations, RevocationListError> {
        let text = format!(r#"{{"version":"1.0","revoked":[{entries}]}}"#);
        Revocations::parse(text.as_bytes(), 4, at(NOW))
    }

    /// Returns a token of issuer `a`, subject `s`, id `j`, client `c`, issued 100 seconds ago.
    fn shown() -> RevocableClaims<'static> {
        let clients = [Some("c"), None];
        RevocableClaims { issuer: "a", jti: Some("j"), subject: Some("s"), clients, issued_at: Some(NOW - 100) }
    }

    #[test]
    fn an_entry_revokes_only_the_named_credentials() {
        let none = RevocableClaims { jti: None, subject: None, clients: [None, None], issued_at: None, ..shown() };
        let other =
            RevocableClaims { issuer: "b", jti: Some("k"), subject: Some("t"), clients: [Some("d"), None], ..shown() };
        let azp = RevocableClaims { clients: [None, Some("c")], ..shown() };
        for (entry, shown, expected) in [
            (r#"{"jti":"j"}"#, shown(), true),
            (r#"{"jti":"j"}"#, other, false),
            (r#"{"jti":"j"}"#, none, false),
            (r#"{"jti":"j","issuer":"a"}"#, shown(), true),
            (r#"{"jti":"j","issuer":"b"}"#, shown(), false),
            (r#"{"sub":"s","issuer":"a"}"#, shown(), true),
            (r#"{"sub":"s","issuer":"b"}"#, shown(), false),
            (r#"{"sub":"j","issuer":"a"}"#, shown(), false),
            (r#"{"client_id":"c"}"#, shown(), true),
            (r#"{"client_id":"c"}"#, azp, true),
            (r#"{"client_id":"c"}"#, none, false),
            (r#"{"issued_before":999901}"#, shown(), true),
            (r#"{"issued_before":999900}"#, shown(), false),
            (r#"{"issued_before":1}"#, none, true),
            (r#"{"issued_before":999901,"issuer":"a"}"#, shown(), true),
            (r#"{"issued_before":999901,"issuer":"b"}"#, shown(), false),
            (r#"{"issued_before":999901,"issuer":"a","sub":"s"}"#, shown(), true),
            (r#"{"issued_before":999900,"issuer":"a","sub":"s"}"#, shown(), false),
            (r#"{"issued_before":999901,"client_id":"c"}"#, shown(), true),
            (r#"{"issued_before":999901,"client_id":"d"}"#, shown(), false),
            (r#"{"client":"c"}"#, shown(), false),
        ] {
            assert_eq!(parse(entry).unwrap().covers(&shown, at(NOW)), expected, "{entry} {shown:?}");
        }
    }

    #[test]
    fn names_of_different_entries_do_not_collide() {
        let twisted = parse(r#"{"jti":"s"},{"sub":"j","issuer":"a"}"#).unwrap();
        assert!(!twisted.covers(&shown(), at(NOW)), "a token entry does not revoke a subject of the same name");
        let issuer_first = parse(r#"{"jti":"j","issuer":"a"}"#).unwrap();
        let glued = RevocableClaims { issuer: "", jti: Some("aj"), ..shown() };
        assert!(!issuer_first.covers(&glued, at(NOW)), "the issuer's length separates it from the name");
    }

    #[test]
    fn api_keys_are_revoked_individually_or_with_their_client() {
        let list = parse(r#"{"client":"one","key":"k1"},{"client":"all"},{"client":"old","expires":999000}"#).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.covers_client("all", None, at(NOW)) && !list.covers_client("one", None, at(NOW)));
        for (client, key, expected) in
            [("one", "k1", true), ("one", "k2", false), ("all", "k1", true), ("none", "k1", false), ("old", "k", false)]
        {
            assert_eq!(list.covers_client(client, Some(key), at(NOW)), expected, "{client} {key}");
        }
    }

    #[test]
    fn expired_entries_are_dropped_and_not_counted() {
        let list = parse(r#"{"jti":"j","expires":1000000}"#).unwrap();
        assert!(list.covers(&shown(), at(NOW + 299)), "entries are kept for the clock leeway");
        assert!(!list.covers(&shown(), at(NOW + 300)));
        let old = r#"{"jti":"x","expires":999700},"#.repeat(50);
        assert_eq!(parse(&format!(r#"{old}{{"jti":"j"}}"#)).unwrap().len(), 1);
    }

    #[test]
    fn entries_with_the_same_key_are_merged() {
        let entry = |before: u64| format!(r#"{{"sub":"s","issuer":"a","issued_before":{before}}}"#);
        let (later, earlier) = (entry(NOW - 99), entry(5));
        for list in [format!("{later},{earlier}"), format!("{earlier},{later}")] {
            assert!(parse(&list).unwrap().covers(&shown(), at(NOW)), "{list}");
        }
        assert!(!parse(&earlier).unwrap().covers(&shown(), at(NOW)));
    }

    #[test]
    fn a_list_with_any_fault_is_rejected() {
        for (entries, expected) in [
            (r#"{"jti":"j","until":5}"#, "unknown key `until`"),
            (r#"{"jti":"j"},{"jit":"j"}"#, "unknown key `jit` (did you mean `jti`?)"),
            (r#"{"jti":"j","sub":"s"}"#, "expected only one of"),
            (r#"{"sub":"s"}"#, "`sub` needs the `issuer`"),
            (r#"{"jti":7}"#, "expected text, found a number"),
            (r#"{"jti":""}"#, "expected text, found empty text"),
            (r#"{"key":"k"}"#, "needs `client`"),
            (r#"{"client":"c","issuer":"a"}"#, "is for API keys and certificates"),
            (r#"{"jti":"j","issued_before":1}"#, "identifies one token"),
            (r#"{}"#, "expected one of"),
            (r#"{"issuer":"a"}"#, "expected one of"),
            (r#"{"issued_before":-1}"#, "is not a whole number"),
            (r#"{"issued_before":1.5}"#, "is not a whole number"),
            (r#""j""#, "expected a mapping"),
            (r#"{"jti":"a"},{"jti":"b"},{"jti":"c"},{"jti":"d"},{"jti":"e"}"#, "5 entries, but at most 4"),
            (r#"{"jti":"a","jti":"b"}"#, "is repeated"),
        ] {
            let fault = parse(entries).unwrap_err().0;
            assert!(fault.contains(expected), "{entries}: {fault}");
        }
        for text in
            [r#"{"revoked":[]}"#, r#"{"version":"1.0"}"#, r#"{"version":"2.0","revoked":[]}"#, "[]", "", "<html>"]
        {
            assert!(Revocations::parse(text.as_bytes(), 4, at(NOW)).is_err(), "{text}");
        }
    }
}
