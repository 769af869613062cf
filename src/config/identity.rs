//! Reads `identity_headers`: the claims and client attributes that the upstream receives, each in its own header.

use super::claim::ClaimPath;
use super::header_name::{OWN_PREFIX, is_same_cgi_variable, is_token, starts_with_as_cgi_variable};
use super::node::Value;
use super::problem::At;
use super::reader::Field;
use super::schema_keys::identity_header::REQUIRED;

/// A header that identifies the caller to the upstream.
#[derive(Clone, Debug)]
pub struct IdentityHeader {
    /// The header name in lower case.
    pub header: At<String>,
    /// The attribute that the header contains.
    pub from: Attribute,
    /// Whether a caller without the attribute is refused.
    pub required: bool,
}

/// An attribute of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A claim of the caller's token.
    Claim(ClaimPath),
    /// An attribute of the caller's client.
    Client(ClientAttribute),
}

/// An attribute of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAttribute {
    /// The id of the client.
    Id,
    /// The plan of the client.
    Plan,
    /// The tags of the client.
    Tags,
    /// The person or team that is responsible for the client.
    Owner,
}

impl IdentityHeader {
    /// Reads the `identity_headers` section. An entry is `Header: claim`, `Header: { claim: …, required: true }` or
    /// `Header: { client: id }`.
    pub(super) fn read_all(field: &Field<'_>) -> Vec<IdentityHeader> {
        field.entries().into_iter().filter_map(|(name, value)| IdentityHeader::read(name, &value)).collect()
    }

    fn read(name: At<String>, field: &Field<'_>) -> Option<IdentityHeader> {
        let header = At { value: header_name(&name, field)?, place: name.place };
        if let Value::Text(_) = field.node.value {
            let from = Attribute::Claim(ClaimPath::read(field)?);
            return Some(IdentityHeader { header, from, required: REQUIRED.default });
        }
        let fields = field.fields()?;
        let claim = fields.get("claim").and_then(|f| ClaimPath::read(&f)).map(Attribute::Claim);
        let client = fields.get("client").and_then(|f| f.word(&CLIENT)).map(Attribute::Client);
        let required = fields.flag(&REQUIRED);
        let written = ["claim", "client"].iter().filter(|key| fields.get(key).is_some()).count();
        if written != 1 {
            fields.problem("expected exactly one of `claim` and `client`");
        }
        fields.finish();
        Some(IdentityHeader { header, from: claim.or(client)?, required })
    }
}

/// Checks a header name (RFC 9110 §5.1: a token) and returns it in lower case. If Envoy or the gateway itself reads or sets the
/// header, adds a problem to `field`.
pub(super) fn header_name(name: &At<String>, field: &Field<'_>) -> Option<String> {
    let lower = name.value.to_ascii_lowercase();
    if !is_token(&lower) {
        field.problem(format!("`{}` is not a header name", name.value));
        return None;
    }
    let is_owned = OWNED.iter().any(|owned| is_same_cgi_variable(&lower, owned));
    let mut families = ["x-envoy-", OWN_PREFIX].into_iter();
    if is_owned || families.any(|family| starts_with_as_cgi_variable(&lower, family)) {
        field.problem(format!("`{}` belongs to the proxy and cannot be used here", name.value));
        return None;
    }
    Some(lower)
}

impl ClientAttribute {
    /// Returns the word that documents use for this attribute, such as `plan`.
    pub fn word(self) -> &'static str {
        CLIENT.iter().find(|(_, attribute)| *attribute == self).map(|(word, _)| *word).unwrap_or_default()
    }
}

const CLIENT: [(&str, ClientAttribute); 4] = [
    ("id", ClientAttribute::Id),
    ("plan", ClientAttribute::Plan),
    ("tags", ClientAttribute::Tags),
    ("owner", ClientAttribute::Owner),
];

/// Headers that a document cannot set. Some of them frame the message or control the connection, and a claim in such a header
/// would allow request smuggling. Envoy and the gateway read, set or remove the others, so a claim in them would be lost or
/// would have an effect that the operator does not expect.
const OWNED: [&str; 15] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use crate::config::{document::Document, source};

    #[test]
    fn headers_that_the_gateway_or_the_proxy_controls_are_refused() {
        for (name, refused) in [
            ("X-Org-ID", false),
            ("Content-Length", true),
            ("content_length", true),
            ("Authorization", true),
            ("Cookie", true),
            ("X-Forwarded-Host", true),
            ("X_Envoy_Retry_On", true),
            ("X.Envoy.Retry.On", true),
            ("X.Forwarded.For", true),
            ("x-portcullis-upstream", true),
            ("two words", true),
            ("", true),
        ] {
            let text = format!(r#"{{"version":"1.0","routes":[],"identity_headers":{{"{name}":"sub"}}}}"#);
            let (_, problems) = Document::read(&source::read(text.as_bytes()).unwrap(), &|_| None);
            let found: Vec<_> = problems.sorted().into_iter().map(|problem| problem.message).collect();
            assert_eq!(!found.is_empty(), refused, "{name}: {found:?}");
        }
    }
}
