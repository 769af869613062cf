//! Identity headers: who the caller is, told to the upstream by the gateway alone.
//!
//! Whatever a client sends under such a name, in any spelling an upstream might take for it, is removed on every route.

use std::fmt::Write;
use std::rc::Rc;

use serde_json::Value;

use super::clients::Client;
use super::decision::HeaderEdit;
use crate::config::document::IdentityHeader;
use crate::config::identity::{Attribute, ClientAttribute};

/// The identity headers of a policy.
#[derive(Debug, Default)]
pub struct IdentityHeaders {
    headers: Vec<Compiled>,
    /// Other headers that only the gateway may set.
    reserved: Vec<Rc<str>>,
}

#[derive(Debug)]
struct Compiled {
    name: Rc<str>,
    from: Attribute,
    required: bool,
}

/// What is known of one caller becomes this, worked out once when a token is verified or a directory read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The headers to set.
    pub edits: Vec<HeaderEdit>,
    /// What later filters and the access log are told of the caller's permissions.
    pub filter_state: Option<Rc<str>>,
    /// The first required claim or attribute that is missing or cannot travel in a header.
    pub missing: Option<String>,
}

impl IdentityHeaders {
    /// The headers as written in the document, and others that only the gateway may set.
    pub fn compile<'h>(headers: &[IdentityHeader], reserved: impl Iterator<Item = &'h Rc<str>>) -> IdentityHeaders {
        let compile = |h: &IdentityHeader| Compiled {
            name: h.header.value.as_str().into(),
            from: h.from.clone(),
            required: h.required,
        };
        IdentityHeaders { headers: headers.iter().map(compile).collect(), reserved: reserved.cloned().collect() }
    }

    /// Removes what a client brought along under one of these names, or under a name that belongs to the gateway.
    pub fn strip(&self, sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) -> usize {
        let before = edits.len();
        for (name, _) in sent {
            let mut ours = self.headers.iter().map(|header| &header.name).chain(&self.reserved);
            if ours.any(|ours| same_to_an_upstream(name, ours.as_bytes())) || is_gateways_own(name) {
                let remove = HeaderEdit::Remove(String::from_utf8_lossy(name).as_ref().into());
                if !edits.contains(&remove) {
                    edits.push(remove);
                }
            }
        }
        edits.len() - before
    }

    /// Whether this header is one of them, in any spelling.
    pub fn has(&self, name: &str) -> bool {
        let mut ours = self.headers.iter().map(|header| &header.name).chain(&self.reserved);
        ours.any(|ours| same_to_an_upstream(name.as_bytes(), ours.as_bytes()))
    }

    /// The headers for these claims, of this client as far as it is known.
    pub fn of(&self, claims: &Value, client_id: Option<&str>, client: Option<&Client>) -> Identity {
        let mut identity = Identity::default();
        for header in &self.headers {
            let value = match &header.from {
                Attribute::Claim(path) => path.find(claims).and_then(header_value),
                Attribute::Client(what) => attribute(*what, client_id, client).as_ref().and_then(header_value),
            };
            match value {
                Some(value) => identity.edits.push(HeaderEdit::Set(header.name.clone(), value.into_bytes().into())),
                None if header.required && identity.missing.is_none() => {
                    identity.missing = Some(match &header.from {
                        Attribute::Claim(path) => format!("claim {}", path.text),
                        Attribute::Client(what) => format!("client {}", what.word()),
                    });
                }
                None => {}
            }
        }
        identity
    }
}

fn attribute(what: ClientAttribute, client_id: Option<&str>, client: Option<&Client>) -> Option<Value> {
    match what {
        ClientAttribute::Id => client_id.map(Value::from),
        ClientAttribute::Plan => client?.plan.as_deref().map(Value::from),
        ClientAttribute::Owner => client.map(|client| Value::from(client.owner.as_ref())),
        ClientAttribute::Tags => client.map(|client| client.tags.iter().map(|tag| Value::from(tag.as_ref())).collect()),
    }
}

/// Servers that hand headers to programs as variables fold case and turn `-` into `_` (RFC 3875 §4.1.18): to them these are one.
pub(super) fn same_to_an_upstream(sent: &[u8], name: &[u8]) -> bool {
    let fold = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    sent.len() == name.len() && sent.iter().zip(name).all(|(a, b)| fold(*a) == fold(*b))
}

/// `x-portcullis-…` steers the proxy behind the filter: only the filter may set it.
pub(super) fn is_gateways_own(sent: &[u8]) -> bool {
    sent.split_at_checked(OWN_PREFIX.len()).is_some_and(|(start, _)| same_to_an_upstream(start, OWN_PREFIX))
}

/// A claim as a header's value: text as it is, numbers and flags as in JSON, lists of those joined by commas, objects as JSON.
/// Whatever is not visible ASCII, and `%` itself, is percent-encoded as UTF-8 (RFC 3986 §2.1), inside a list the comma too, so
/// that the value can be read back and no claim can end the header (CVE-2023-27493). Null and empty text count as absent.
fn header_value(claim: &Value) -> Option<String> {
    let mut out = String::new();
    match claim {
        Value::Null => return None,
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                encode(&mut out, &scalar(item), b",");
            }
        }
        other => encode(&mut out, &scalar(other), b""),
    }
    (!out.is_empty() && out.len() <= MOST_VALUE_BYTES).then_some(out)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn encode(out: &mut String, text: &str, also: &[u8]) {
    let last = text.len().saturating_sub(1);
    for (i, byte) in text.bytes().enumerate() {
        // Spaces at the ends would be trimmed on the way (RFC 9110 §5.5).
        let is_outer_space = byte == b' ' && (i == 0 || i == last);
        if (0x20..0x7f).contains(&byte) && byte != b'%' && !is_outer_space && !also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

const OWN_PREFIX: &[u8] = b"x-portcullis-";
const MOST_VALUE_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_claims_value_cannot_end_the_header_and_can_be_read_back() {
        for (claim, expected) in [
            (json!("acme"), Some("acme")),
            (json!("a@b.example"), Some("a@b.example")),
            (json!("two words"), Some("two words")),
            (json!(" edge "), Some("%20edge%20")),
            (json!("100%"), Some("100%25")),
            (json!("Jörg"), Some("J%C3%B6rg")),
            (json!("a\r\nx-admin: 1"), Some("a%0D%0Ax-admin: 1")),
            (json!("a\u{0}b"), Some("a%00b")),
            (json!(42), Some("42")),
            (json!(true), Some("true")),
            (json!(["a", "b,c", 3]), Some("a,b%2Cc,3")),
            (json!({"a": 1}), Some("{\"a\":1}")),
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
            (json!("x".repeat(5_000)), None),
        ] {
            assert_eq!(header_value(&claim).as_deref(), expected, "{claim}");
        }
    }

    #[test]
    fn forged_identity_headers_are_removed_in_every_spelling() {
        let header = IdentityHeader {
            header: crate::config::problem::At { value: "x-org-id".into(), place: Default::default() },
            from: Attribute::Claim(crate::config::document::ClaimPath::top("org_id")),
            required: false,
        };
        let headers = IdentityHeaders::compile(&[header], [].iter());
        for (name, removed) in [
            ("x-org-id", true),
            ("X-Org-ID", true),
            ("x_org_id", true),
            ("x-org_id", true),
            ("x-portcullis-upstream", true),
            ("x_portcullis_upstream", true),
            ("x-org-idx", false),
            ("x-org", false),
            ("accept", false),
        ] {
            let mut edits = Vec::new();
            headers.strip(&[(name.as_bytes(), b"forged"), (name.as_bytes(), b"again")], &mut edits);
            assert_eq!(edits.len(), usize::from(removed), "{name}");
        }
    }
}
