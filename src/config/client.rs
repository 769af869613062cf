//! Reads `clients`: the applications that call the gateway, with their credentials, permissions and owners.

use std::time::Duration;

use super::problem::{At, Place};
use super::reader::{Field, Fields};
use super::url::check_host;

/// The settings of one client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The client id in audit records, headers and limits. A token belongs to the client if its claim `client_id` is this id. If
    /// the token has no `client_id`, its claim `azp` is compared instead.
    pub id: At<String>,
    /// The person or team that is responsible for the client.
    pub owner: String,
    /// The purpose of the client, for readers of the document.
    pub purpose: String,
    /// The scopes of the client's API keys and certificates. The client's tokens cannot have other scopes. With `None`, keys and
    /// certificates have no scopes, and the scopes of tokens are not restricted.
    pub scopes: Option<Vec<At<String>>>,
    /// The permissions of the client, with the same rules as `scopes`.
    pub permissions: Option<Vec<At<String>>>,
    /// The name of the client's plan, which a limit uses if it sets `plan_from` to `{ client: plan }`.
    pub plan: Option<At<String>>,
    /// Tags that conditions can use and identity headers can contain.
    pub tags: Vec<String>,
    /// The environments in which the client exists. `None` means all environments, and an empty list means no environment.
    pub environments: Option<Vec<At<String>>>,
    /// The names of the issuers whose tokens can belong to the client. `None` means all issuers, and an empty list means no
    /// issuer.
    pub token_issuers: Option<Vec<At<String>>>,
    /// The period in which the client may call the gateway.
    pub period: ValidityPeriod,
    /// The client's API keys.
    pub keys: Vec<ClientKey>,
    /// The client's certificates.
    pub certificates: Vec<At<CertificateIdentity>>,
}

/// A period in which a client or an API key is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// The start of the period, as the time since the Unix epoch; `None` means no start.
    pub not_before: Option<Duration>,
    /// The first moment after the period, as the time since the Unix epoch; `None` means no end.
    pub expires: Option<Duration>,
}

/// An API key in the document. The document contains only the hash of the key.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// The id of the key in audit records.
    pub id: String,
    /// The public part of the key, before its last `_`.
    pub prefix: String,
    /// The SHA-256 hash of the whole key.
    pub hash: [u8; 32],
    /// The period in which the key is valid.
    pub period: ValidityPeriod,
    /// The time since the Unix epoch when the key was revoked. A revoked key is never valid, whatever its period is.
    pub revoked: Option<Duration>,
    /// The time since the Unix epoch when the key was created.
    pub created: Option<Duration>,
    /// The person or program that created the key.
    pub created_by: Option<String>,
    /// The reason why the key was created.
    pub reason: Option<String>,
    /// The location of the key's entry in the document.
    pub place: Place,
}

/// A certificate field that identifies a client. The field must have exactly this value; patterns are not supported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateIdentity {
    /// The first URI in the certificate's subject alternative names.
    Spiffe(String),
    /// The first DNS name in the certificate's subject alternative names, in lower case.
    Dns(String),
    /// The SHA-256 hash of the certificate in DER encoding.
    Sha256([u8; 32]),
}

impl ClientSettings {
    /// Returns `true` if the client exists in this environment. `None` means that the document sets no environment.
    pub fn exists_in(&self, environment: Option<&str>) -> bool {
        let named = |names: &Vec<At<String>>| names.iter().any(|named| Some(named.value.as_str()) == environment);
        self.environments.as_ref().is_none_or(named)
    }

    pub(super) fn read(field: &Field<'_>) -> Option<ClientSettings> {
        let fields = field.fields()?;
        let id = fields.require("id").and_then(|f| plain(&f));
        let text = |key| fields.require(key).and_then(|f| f.text());
        let (owner, purpose) = (text("owner"), text("purpose"));
        let texts = |key| fields.get(key).map(|f| f.texts());
        let items = |key| fields.get(key).map(|f| f.items()).unwrap_or_default();
        let client = ClientSettings {
            id: id.clone().unwrap_or_else(|| At { value: String::new(), place: fields.place().clone() }),
            owner: owner.unwrap_or_default(),
            purpose: purpose.unwrap_or_default(),
            scopes: texts("scopes"),
            permissions: texts("permissions"),
            plan: fields.get("plan").and_then(|f| plain(&f)),
            tags: items("tags").iter().filter_map(plain).map(|tag| tag.value).collect(),
            environments: texts("environments"),
            token_issuers: texts("token_issuers"),
            period: ValidityPeriod::read(&fields),
            keys: items("keys").iter().filter_map(ClientKey::read).collect(),
            certificates: items("certificates").iter().filter_map(CertificateIdentity::read).collect(),
        };
        fields.finish();
        id.is_some().then_some(client)
    }
}

impl ValidityPeriod {
    fn read(fields: &Fields<'_>) -> ValidityPeriod {
        let not_before = fields.get("not_before").and_then(|f| f.moment());
        let end = fields.get("expires");
        let expires = end.as_ref().and_then(|f| f.moment());
        if let (Some(from), Some(until), Some(end)) = (not_before, expires, end)
            && from >= until
        {
            end.problem("`expires` must be later than `not_before`");
        }
        ValidityPeriod { not_before, expires }
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
                f.problem("expected `sha256:` and 64 hexadecimal digits: the SHA-256 of the key, not the key itself");
            }
            hash
        });
        let text = |key| fields.get(key).and_then(|f| f.text());
        let key = ClientKey {
            id: id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
            prefix: prefix.clone().unwrap_or_default(),
            hash: hash.unwrap_or_default(),
            period: ValidityPeriod::read(&fields),
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

impl CertificateIdentity {
    fn read(field: &Field<'_>) -> Option<At<CertificateIdentity>> {
        let fields = field.fields()?;
        let spiffe = fields.get("spiffe").and_then(|f| {
            let text = f.text()?;
            match spiffe_fault(&text) {
                Some(fault) => {
                    f.problem(format!("`{text}` is not a SPIFFE id (spiffe://trust-domain/path): {fault}"));
                    None
                }
                None => Some(CertificateIdentity::Spiffe(text)),
            }
        });
        let dns = fields.get("dns").and_then(|f| {
            let text = f.text()?;
            match dns_fault(&text) {
                Some(fault) => {
                    f.problem(format!("`{text}` is not a host name: {fault}"));
                    None
                }
                None => Some(CertificateIdentity::Dns(text.to_ascii_lowercase())),
            }
        });
        let sha256 = fields.get("sha256").and_then(|f| {
            let text = f.text()?.replace(':', "");
            let hash = hex_bytes(&text);
            if hash.is_none() {
                f.problem("expected 64 hexadecimal digits: the SHA-256 of the certificate in DER form");
            }
            hash.map(CertificateIdentity::Sha256)
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

/// Returns the reason why a string is not a SPIFFE ID (SPIFFE-ID §2); `None` if it is one.
fn spiffe_fault(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return Some("it must start with `spiffe://`, in lower case");
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let is_of_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let is_of_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if domain.is_empty() || domain.len() > MAX_TRUST_DOMAIN || !domain.bytes().all(is_of_domain) {
        return Some("a trust domain must have 1 to 255 of the characters a-z, 0-9, `.`, `-` and `_`");
    }
    for part in parts {
        match part {
            "" => return Some("no part of its path may be empty, and it must not end in `/`"),
            "." | ".." => return Some("no part of its path may be `.` or `..`"),
            part if !part.bytes().all(is_of_path) => {
                return Some("a path may contain only letters, digits, `.`, `-` and `_`; patterns are not accepted");
            }
            _ => {}
        }
    }
    (text.len() > MAX_SPIFFE_ID).then_some("it may have at most 2048 bytes")
}

/// Returns the reason why a string is not a DNS name of a certificate (RFC 5280 §4.2.1.6); `None` if it is one.
fn dns_fault(text: &str) -> Option<&'static str> {
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Some("it may contain only letters, digits, `.`, `-` and `_`; patterns are not accepted");
    }
    if text.split('.').any(str::is_empty) {
        return Some("it must not start or end with a dot, or contain two dots in a row");
    }
    check_host(text)
        .is_err()
        .then_some("it may have at most 253 characters, 63 between two dots, and must not be an IP address")
}

/// Reads a string of visible ASCII, which needs no escaping in a header or a log line.
fn plain(field: &Field<'_>) -> Option<At<String>> {
    let text = field.text_at()?;
    if !is_plain(&text.value) {
        field.problem(format!("expected up to {MAX_BYTES} characters of visible ASCII without spaces"));
        return None;
    }
    Some(text)
}

/// Returns `true` if a string has at most 200 characters, and all of them are visible ASCII. Every client id must be such a
/// string.
pub fn is_plain(text: &str) -> bool {
    is_visible(text) && text.len() <= MAX_BYTES
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Decodes 64 hexadecimal digits to 32 bytes. Returns `None` for any other string.
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

const MAX_BYTES: usize = 200;
/// The maximum length of the trust domain in a SPIFFE ID, in bytes (SPIFFE-ID §2).
const MAX_TRUST_DOMAIN: usize = 255;
/// The maximum length of a SPIFFE ID, in bytes (SPIFFE-ID §2).
const MAX_SPIFFE_ID: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_that_cannot_be_in_a_certificate_are_refused() {
        for (text, accepted) in [
            ("spiffe://td.example/ns/a/sa/B_1.x-y", true),
            ("spiffe://td", true),
            ("spiffe://10.0.0.1/a", true),
            ("spiffe://td/...", true),
            ("spiffe://Td/x", false),
            ("SPIFFE://td/x", false),
            ("spiffe:///x", false),
            ("spiffe://", false),
            ("spiffe://td/", false),
            ("spiffe://td//x", false),
            ("spiffe://td/x/", false),
            ("spiffe://td/..", false),
            ("spiffe://td/./x", false),
            ("spiffe://td/*", false),
            ("spiffe://*.td/x", false),
            ("spiffe://td/a%20b", false),
            ("spiffe://td/x?y", false),
            ("spiffe://td/x#y", false),
            ("spiffe://td:443/x", false),
            ("spiffe://user@td/x", false),
            ("spiffe://td/caf\u{e9}", false),
            ("https://td/x", false),
        ] {
            assert_eq!(spiffe_fault(text).is_none(), accepted, "{text}");
        }
        let long = |n: usize| format!("spiffe://td/{}", "x".repeat(n));
        assert!(spiffe_fault(&long(2_036)).is_none() && spiffe_fault(&long(2_037)).is_some());
        assert!(spiffe_fault(&format!("spiffe://{}/x", "a".repeat(256))).is_some());
        for (text, accepted) in [
            ("billing.partner.example", true),
            ("Billing.example", true),
            ("my_service", true),
            ("10.0.0.1", true),
            ("*.example", false),
            ("a.example.", false),
            (".example", false),
            ("a..b", false),
            ("a b", false),
            ("256.0.0.1", false),
            ("a.0x1f", false),
        ] {
            assert_eq!(dns_fault(text).is_none(), accepted, "{text}");
        }
        assert!(dns_fault(&"a".repeat(64)).is_some());
    }
}
