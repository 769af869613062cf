//! Creates random tokens: most are properly signed, many have odd headers or claims, and some are damaged after signing.
//!
//! The same seed always creates the same tokens, except for the random salts in PSS signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use test_harness::fuzz::rng::Rng;
use test_harness::keys::Key;
use test_harness::token::sign;

use crate::rules::{ISSUER, Rules};

/// A random token.
#[derive(Debug)]
pub struct RandomToken {
    /// The signing algorithm.
    pub alg: &'static str,
    /// The token as it is sent. It has no surrounding whitespace, which would not be part of the header value (RFC 9110 §5.5).
    pub text: Vec<u8>,
    /// The anomalies of the token. Each can be a reason for jose or the gateway to refuse it.
    pub odd: Vec<&'static str>,
}

impl RandomToken {
    /// Returns the token as a string with one character for each byte.
    pub fn shown(&self) -> String {
        self.text.iter().copied().map(char::from).collect()
    }
}

/// Returns `count` tokens for a gateway with these rules. A token may contain parts of another token.
pub fn tokens(rng: &mut Rng, rules: &Rules, now: i64, count: usize) -> Vec<RandomToken> {
    let mut all: Vec<RandomToken> = Vec::new();
    for _ in 0..count {
        let mut made = signed(rng, rules, now);
        if rng.below(6) == 0 {
            made.text = corrupted(rng, &made.text, all.last().map_or(b"a.b.c", |other| &other.text));
        }
        made.text = made.text.trim_ascii().to_vec();
        all.push(made);
    }
    all
}

/// Returns the keys that can sign with an algorithm.
pub fn signers(alg: &str) -> &'static [&'static str] {
    match alg {
        "ES256" => &["p256-1", "p256-2"],
        "ES384" => &["p384-1"],
        "ES512" => &["p521-1"],
        "EdDSA" => &["ed-1"],
        _ if alg.starts_with("HS") => &["hs-text"],
        _ => &["rsa-1", "rsa-2"],
    }
}

fn signed(rng: &mut Rng, rules: &Rules, now: i64) -> RandomToken {
    let from = if rng.below(12) == 0 { &EVERY } else { rules.algorithms };
    let alg = pick(rng, from);
    let key = pick(rng, signers(alg));
    let mut odd = Vec::new();
    let typ = rules.typ.unwrap_or("JWT");
    let mut header = Members::of([("alg", quoted(alg)), ("kid", quoted(key)), ("typ", quoted(typ))]);
    for _ in 0..pick(rng, FEW) {
        header.change(rng, HEADERS, &mut odd);
    }
    let mut claims = Members::of([("iss", quoted(ISSUER)), ("aud", quoted("orders-api")), ("sub", quoted("user-1"))]);
    claims.set("iat", &now.to_string());
    claims.set("exp", &(now + 300).to_string());
    for _ in 0..pick(rng, FEW) {
        match rng.below(2) {
            0 => claims.change(rng, CLAIMS, &mut odd),
            _ => claims.change_time(rng, now, &mut odd),
        }
    }
    // Some tokens are forged: signed with another key, signed with the public key as an HMAC secret, or not signed.
    let (by, with) = match rng.below(24) {
        0 if signers(alg).contains(&"rsa-1") => (alg, "rsa-stranger"),
        1 if alg == "ES256" => (alg, "p256-stranger"),
        2 if alg == "EdDSA" => (alg, "ed-stranger"),
        3 => {
            header.set("alg", &quoted("HS256"));
            ("HS256", key)
        }
        4 => {
            header.set("alg", &quoted("none"));
            ("none", key)
        }
        _ => (alg, key),
    };
    let parts = [header, claims].map(|members| {
        let text = members.text(rng, &mut odd);
        let text = damaged(rng, text, &mut odd);
        reencoded(rng, URL_SAFE_NO_PAD.encode(text), &mut odd)
    });
    let input = parts.join(".");
    let signature = sign(by, Key::named(with).unwrap(), input.as_bytes()).unwrap();
    let signature = reencoded(rng, URL_SAFE_NO_PAD.encode(signature), &mut odd);
    RandomToken { alg, text: format!("{input}.{signature}").into_bytes(), odd }
}

/// The members of a JSON object with their names and values as written, so that a name can be repeated.
struct Members(Vec<(String, String)>);

impl Members {
    fn of(members: [(&str, String); 3]) -> Self {
        Self(members.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(have, _)| have != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn change(&mut self, rng: &mut Rng, changes: &[Change], odd: &mut Vec<&'static str>) {
        let (name, value, what) = pick(rng, changes);
        self.set(name, value);
        self.0.retain(|(_, value)| value != ABSENT);
        odd.extend(Some(what).filter(|what| !what.is_empty()));
    }

    fn change_time(&mut self, rng: &mut Rng, now: i64, odd: &mut Vec<&'static str>) {
        let name = pick(rng, &["exp", "nbf", "iat"]);
        let near = now + pick(rng, &[-301, -31, -30, -29, -1, 0, 1, 29, 30, 31, 299, 300]);
        let value = match rng.below(8) {
            0 => format!("{near}.{}", pick(rng, &["25", "5", "75", "0"])),
            1 => format!("{near}0e-1"),
            2 => quoted(near),
            3 | 4 => pick(rng, TIMES).to_owned(),
            _ => near.to_string(),
        };
        let seconds = value.parse::<f64>().ok();
        let is = |test: fn(f64, f64) -> bool| seconds.is_some_and(|seconds| test(seconds, now as f64));
        odd.extend(is(|seconds, _| seconds > LAST_SECOND).then_some("a time beyond 9999"));
        odd.extend(is(|seconds, _| seconds.is_infinite()).then_some("a time beyond a double"));
        odd.extend(is(|seconds, _| seconds < 0.0).then_some("a time before 1970"));
        odd.extend((name == "iat" && is(|seconds, now| seconds > now)).then_some("issued in the future"));
        odd.extend((name == "exp" && value == ABSENT).then_some("no exp"));
        self.set(name, &value);
        self.0.retain(|(_, value)| value != ABSENT);
    }

    /// Returns the object as JSON, sometimes with a repeated member, spaces, or escapes in a name.
    fn text(mut self, rng: &mut Rng, odd: &mut Vec<&'static str>) -> String {
        if rng.below(12) == 0 {
            let at = rng.below(self.0.len());
            let (name, value) = self.0[at].clone();
            let value = if rng.below(2) == 0 { value } else { quoted("other") };
            let place = rng.below(self.0.len() + 1);
            self.0.insert(place, (name, value));
            odd.push("a member twice");
        }
        let blanks: &[&str] = if rng.below(6) == 0 { &["", " ", "\n", "\t\r\n"] } else { &[""] };
        let members = self.0.into_iter().map(|(name, value)| {
            let name = match name.chars().next().filter(|first| first.is_ascii_alphabetic() && rng.below(24) == 0) {
                Some(first) => format!("\\u{:04x}{}", u32::from(first), &name[1..]),
                None => name,
            };
            let [a, b, c, d] = [(); 4].map(|()| pick(rng, blanks));
            format!("{a}\"{name}\"{b}:{c}{value}{d}")
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// Sometimes replaces the JSON object with other bytes, or damages the start or the end of the object.
fn damaged(rng: &mut Rng, text: String, odd: &mut Vec<&'static str>) -> Vec<u8> {
    let within = |bytes: &[u8]| [text.trim_end_matches('}').as_bytes(), bytes, b"}"].concat();
    match rng.below(80) {
        0 | 1 => {
            odd.push("a byte order mark");
            [b"\xef\xbb\xbf", text.as_bytes()].concat()
        }
        2 => within(b",\"x\":\"\xff\""),
        3 => within(b",\"x\":\"\xed\xa0\x80\""),
        4 => within(b","),
        5 => [text.as_bytes(), pick(rng, &[b"{}".as_slice(), b"\0", b" ", b"//"])].concat(),
        6 => pick(rng, &[b"[]".as_slice(), b"\"x\"", b"", b"null", b"7"]).to_vec(),
        _ => text.into_bytes(),
    }
}

/// Sometimes changes the base64url encoding, mostly to another encoding of the same bytes.
fn reencoded(rng: &mut Rng, text: String, odd: &mut Vec<&'static str>) -> String {
    match rng.below(60) {
        0 | 1 if text.len() % 4 > 1 => {
            odd.push("padding");
            format!("{text}{}", &"=="[text.len() % 4 - 2..])
        }
        // The next character of the base64url alphabet sets the lowest unused bit. The text then decodes to the same bytes.
        2 | 3 if text.len() % 4 > 1 => {
            odd.push("stray bits");
            let (kept, last) = text.split_at(text.len() - 1);
            format!("{kept}{}", char::from(last.as_bytes()[0] + 1))
        }
        4 => text.replace('-', "+").replace('_', "/"),
        5 | 6 if text.len() > 2 => {
            odd.push("a blank");
            let (before, after) = text.split_at(1 + rng.below(text.len() - 2));
            format!("{before}{}{after}", pick(rng, &[" ", "\n", "\t"]))
        }
        7 => {
            odd.push("padding");
            format!("{text}=")
        }
        _ => text,
    }
}

/// Damages a token, or mixes it with parts of another token as an attacker could.
fn corrupted(rng: &mut Rng, token: &[u8], other: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let others: Vec<&[u8]> = other.split(|byte| *byte == b'.').collect();
    let (a, b) = (rng.below(parts.len()), rng.below(parts.len()));
    match rng.below(6) {
        0 => parts.swap(a, b),
        1 => parts[a] = others.get(a).copied().unwrap_or_default(),
        2 => parts.insert(a, pick(rng, &[b"".as_slice(), b"e30"])),
        3 => drop(parts.remove(a)),
        4 => return token[..rng.below(token.len())].to_vec(),
        _ => return with_one_byte_changed(rng, token),
    }
    parts.join(&b'.')
}

fn with_one_byte_changed(rng: &mut Rng, token: &[u8]) -> Vec<u8> {
    let mut bytes = token.to_vec();
    let (at, any) = (rng.below(bytes.len()), u8::try_from(rng.below(256)).unwrap_or_default());
    bytes[at] = if rng.below(2) == 0 { any } else { pick(rng, ALPHABET) };
    bytes
}

fn pick<T: Copy>(rng: &mut Rng, these: &[T]) -> T {
    *rng.one_of(these).unwrap()
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

mod changes;
use changes::{ABSENT, CLAIMS, Change, HEADERS, TIMES};

const EVERY: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
];
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// The possible numbers of changes to the header or the claims. Most are zero, so that many tokens are accepted.
const FEW: &[usize] = &[0, 0, 0, 0, 1, 2];
/// The last second of the year 9999. A later time is an anomaly.
const LAST_SECOND: f64 = 253_402_300_799.0;
