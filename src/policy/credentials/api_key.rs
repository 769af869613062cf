//! Parses and creates API keys, finds them in a request, and removes them before the request is forwarded.
//!
//! Example: `pck_production_8fK2mQ7xW1bT_…`. A key consists of `pck_` for secret scanners, the environment, a lookup id, and
//! the secret with a checksum. With the checksum, the audit record can distinguish a typing error from a guess. The part before
//! the last `_` is the prefix, which is not confidential. Only the SHA-256 of the whole key is stored.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::config::auth::KeyPlace;
use crate::config::header_name::is_same_cgi_variable;
use crate::policy::request::guard::{SafePath, query_pairs, without_query_pair};
use crate::policy::request::{Request, SingleValue};
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

/// A key with a valid format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKey<'k> {
    /// The part before the last `_`, which does not contain the secret.
    pub prefix: &'k str,
    /// The name of the environment in the key.
    pub environment: &'k str,
    /// The SHA-256 of the whole key.
    pub digest: [u8; 32],
}

impl<'k> ApiKey<'k> {
    /// Parses a key from a request. The error is the reason for the audit record. The result does not depend on the stored keys,
    /// so it reveals nothing about them.
    pub fn read(text: &'k [u8]) -> Result<ApiKey<'k>, &'static str> {
        let malformed = "api_key_malformed";
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_BYTES).ok_or(malformed)?;
        let (prefix, secret) = text.rsplit_once('_').ok_or(malformed)?;
        let environment = environment_of(prefix).ok_or(malformed)?;
        let (body, sum) = text.split_at_checked(text.len().saturating_sub(CHECKSUM)).ok_or(malformed)?;
        if secret.len() < LEAST_SECRET + CHECKSUM || !secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(malformed);
        }
        if checksum(body).as_slice() != sum.as_bytes() {
            return Err("api_key_mistyped");
        }
        Ok(ApiKey { prefix, environment, digest: Sha256::digest(text.as_bytes()).into() })
    }

    /// Builds a key. `secret` must be random, with at least 22 letters and digits.
    pub fn compose(environment: &str, lookup: &str, secret: &str) -> String {
        let mut text = format!("{MARK}{environment}_{lookup}_{secret}");
        let sum = checksum(&text);
        text.extend(sum.map(char::from));
        text
    }
}

/// Returns the environment in a prefix; `None` if the prefix is malformed.
pub fn environment_of(prefix: &str) -> Option<&str> {
    let (environment, lookup) = prefix.strip_prefix(MARK)?.split_once('_')?;
    let is_lookup = (8..=32).contains(&lookup.len()) && lookup.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_environment(environment) && is_lookup).then_some(environment)
}

/// Returns `true` if `name` is a valid name of an environment: 1 to 32 lower-case letters, digits and hyphens, without a hyphen
/// at the start.
pub fn is_environment(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
}

/// Encodes the first four bytes of the SHA-256 as six base-62 digits.
fn checksum(text: &str) -> [u8; CHECKSUM] {
    let digest = Sha256::digest(text.as_bytes());
    let mut word = digest.iter().take(4).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((word % 62) as usize).copied().unwrap_or(b'0');
        word /= 62;
    }
    digits
}

/// The places in a request that may contain keys.
#[derive(Clone, Debug, Default)]
pub struct KeyPlaces(pub Vec<KeyPlace>);

impl KeyPlaces {
    /// Finds the API key of a request. A request with two keys is refused, even if the keys are equal, because it is unclear
    /// which key applies.
    pub fn find<'r>(&self, request: &Request<'r>, query: Option<&'r str>) -> Result<Option<Cow<'r, [u8]>>, Rejection> {
        let mut found: Option<Cow<'r, [u8]>> = None;
        let mut add = |key: Cow<'r, [u8]>| match found.replace(key) {
            None => Ok(()),
            Some(_) => Err(Rejection::new(RejectionKind::InvalidTokenRequest, "several_api_keys")),
        };
        for place in &self.0 {
            match place {
                KeyPlace::Header(name) => {
                    let lines = request.headers.iter().filter(|(n, _)| *n == name.as_bytes());
                    lines.map(|(_, value)| Cow::Borrowed(*value)).try_for_each(&mut add)?;
                }
                KeyPlace::Scheme(scheme) => match request.authorization {
                    SingleValue::Repeated => {
                        return Err(Rejection::new(
                            RejectionKind::InvalidTokenRequest,
                            "several_authorization_headers",
                        ));
                    }
                    SingleValue::Value(value) => {
                        let key = strip_scheme(value, scheme).filter(|key| is_key_behind(scheme, key));
                        key.map(Cow::Borrowed).map_or(Ok(()), &mut add)?;
                    }
                    SingleValue::Absent => {}
                },
                KeyPlace::InsecureQuery(name) => {
                    let pairs = query_pairs(query.unwrap_or_default()).filter(|(n, _)| n == name);
                    let bytes = |value| match value {
                        Cow::Borrowed(text) => Cow::Borrowed(str::as_bytes(text)),
                        Cow::Owned(text) => Cow::Owned(String::into_bytes(text)),
                    };
                    pairs.map(|(_, value)| bytes(value)).try_for_each(&mut add)?;
                }
            }
        }
        Ok(found)
    }

    /// Returns `true` if the bearer credential is a key and not a token. Always returns `false` if the document does not accept
    /// keys with the scheme `Bearer`.
    pub fn claims_bearer(&self, token: &[u8]) -> bool {
        is_marked(token)
            && self.0.iter().any(|place| matches!(place, KeyPlace::Scheme(s) if s.eq_ignore_ascii_case("bearer")))
    }

    /// Removes the keys from all key places. Of a header, it removes every spelling that an upstream may treat as the same
    /// header. Returns the query without keys if the query contained a key, and `query` otherwise. No route forwards a key,
    /// because the upstream could use the key to impersonate the client.
    pub fn strip(
        &self,
        request: &Request<'_>,
        target: &SafePath<'_>,
        query: Option<String>,
        edits: &mut Vec<HeaderEdit>,
    ) -> Option<String> {
        let mut query = query;
        for place in &self.0 {
            match place {
                KeyPlace::Header(name) => remove_spellings(name, request.headers, edits),
                KeyPlace::Scheme(scheme) => {
                    // Envoy joins repeated headers with commas (envoy-facts §0.9), so a key may follow another credential.
                    let holds = |part: &[u8]| {
                        strip_scheme(part.trim_ascii(), scheme).is_some_and(|key| is_key_behind(scheme, key))
                    };
                    let mut lines = request.headers.iter().filter(|(name, _)| *name == b"authorization");
                    if lines.any(|(_, value)| value.split(|b| *b == b',').any(holds)) {
                        edits.push(HeaderEdit::Remove("authorization".into()));
                    }
                }
                KeyPlace::InsecureQuery(name) => {
                    let before = query.as_deref().or(target.query()).unwrap_or_default();
                    let after = without_query_pair(before, name);
                    if after != before {
                        query = Some(after);
                    }
                }
            }
        }
        query
    }

    /// Removes from trailers all headers that may contain keys, because some upstreams merge trailers into headers.
    pub fn strip_trailers(&self, sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) {
        for place in &self.0 {
            if let KeyPlace::Header(name) = place {
                remove_spellings(name, sent, edits);
            }
        }
    }
}

fn remove_spellings(name: &str, sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) {
    HeaderEdit::remove_matching(sent, edits, |sent| is_same_cgi_variable(sent, name));
}

/// Returns the bytes after the scheme; `None` for another scheme. The scheme is case-insensitive (RFC 9110 §11.1).
fn strip_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let ends = matches!(rest.first(), None | Some(b' '));
    (start.eq_ignore_ascii_case(scheme.as_bytes()) && ends).then(|| rest.trim_ascii())
}

/// Returns `true` if the credential after `scheme` is an API key. `Bearer` is also used for tokens, so a bearer credential is an
/// API key only if it starts with [`MARK`]. Other schemes are used only for API keys.
fn is_key_behind(scheme: &str, key: &[u8]) -> bool {
    !scheme.eq_ignore_ascii_case("bearer") || is_marked(key)
}

fn is_marked(text: &[u8]) -> bool {
    text.starts_with(MARK.as_bytes())
}

/// The prefix of every key. Secret scanners search for it.
pub const MARK: &str = "pck_";
/// The minimum length of a secret: 22 base-62 digits have 131 bits.
const LEAST_SECRET: usize = 22;
const CHECKSUM: usize = 6;
const MAX_BYTES: usize = 256;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const SECRET: &str = "0123456789abcdefghijKLMNOPQRSTUV";

    #[test]
    fn a_composed_key_can_be_parsed() {
        let text = ApiKey::compose("eu-production", "8fK2mQ7xW1bT", SECRET);
        let key = ApiKey::read(text.as_bytes()).unwrap();
        assert_eq!((key.prefix, key.environment), ("pck_eu-production_8fK2mQ7xW1bT", "eu-production"));
        assert_eq!(key.digest, <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
    }

    #[test]
    fn malformed_keys_and_typing_errors_are_distinguished() {
        let good = ApiKey::compose("dev", "8fK2mQ7xW1bT", SECRET);
        let slip = good.replacen("0123", "0124", 1);
        let short = ApiKey::compose("dev", "8fK2mQ7xW1bT", "short");
        for (text, expected) in [
            (good.as_str(), None),
            (&slip, Some("api_key_mistyped")),
            (&short, Some("api_key_malformed")),
            (&ApiKey::compose("Dev", "8fK2mQ7xW1bT", SECRET), Some("api_key_malformed")),
            (&ApiKey::compose("", "8fK2mQ7xW1bT", SECRET), Some("api_key_malformed")),
            (&ApiKey::compose("dev", "8fK", SECRET), Some("api_key_malformed")),
            (&ApiKey::compose("dev", "8fK2_Q7xW1bT", SECRET), Some("api_key_malformed")),
            (&good.replacen("pck_", "pk_", 1), Some("api_key_malformed")),
            (&format!("{good} "), Some("api_key_malformed")),
            ("", Some("api_key_malformed")),
            ("é", Some("api_key_malformed")),
        ] {
            assert_eq!(ApiKey::read(text.as_bytes()).err(), expected, "{text}");
        }
    }

    #[test]
    fn a_bearer_credential_is_a_key_only_with_the_mark() {
        for (scheme, value, expected) in [
            ("ApiKey", "ApiKey pck_x", Some("pck_x")),
            ("ApiKey", "apikey  pck_x", Some("pck_x")),
            ("ApiKey", "ApiKey anything", Some("anything")),
            ("ApiKey", "ApiKey", Some("")),
            ("ApiKey", "ApiKeys pck_x", None),
            ("Bearer", "Bearer pck_x", Some("pck_x")),
            ("Bearer", "Bearer eyJ.a.b", None),
            ("Bearer", "Basic pck_x", None),
        ] {
            let request = Request { authorization: SingleValue::Value(value.as_bytes()), ..Request::default() };
            let places = KeyPlaces(vec![KeyPlace::Scheme(scheme.into())]);
            let found = places.find(&request, None).unwrap();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{scheme}: {value}");
        }
    }

    #[test]
    fn an_environment_is_a_short_lowercase_word() {
        for (name, expected) in [
            ("test", true),
            ("eu-2", true),
            ("eu-", true),
            ("-eu", false),
            ("", false),
            ("Test", false),
            ("a_b", false),
            (&"a".repeat(32), true),
            (&"a".repeat(33), false),
        ] {
            assert_eq!(is_environment(name), expected, "{name}");
        }
    }

    #[test]
    fn two_keys_are_refused_in_any_places() {
        let places = KeyPlaces(vec![
            KeyPlace::Header("x-api-key".into()),
            KeyPlace::Scheme("ApiKey".into()),
            KeyPlace::InsecureQuery("key".into()),
        ]);
        let read = |headers: &[(&'static [u8], &'static [u8])], query| {
            let authorization =
                headers.iter().find(|(n, _)| *n == b"authorization").map(|(_, v)| SingleValue::Value(v));
            let request = Request { headers, authorization: authorization.unwrap_or_default(), ..Request::default() };
            places.find(&request, query).map(|found| found.is_some()).map_err(|r| r.reason)
        };
        assert_eq!(read(&[], None), Ok(false));
        assert_eq!(read(&[(b"x-api-key", b"a")], None), Ok(true));
        assert_eq!(read(&[(b"x-api-key", b"a"), (b"x-api-key", b"a")], None), Err("several_api_keys"));
        assert_eq!(read(&[(b"x-api-key", b"a")], Some("key=a")), Err("several_api_keys"));
        assert_eq!(read(&[(b"x-api-key", b"a"), (b"authorization", b"ApiKey a")], None), Err("several_api_keys"));
    }
}
