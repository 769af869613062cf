//! Sets identity headers, which describe the caller to the upstream, and removes forged identity headers.
//!
//! On every route, the gateway removes identity headers that the client sent, in every spelling that an upstream may accept.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;

use crate::config::header_name::{
    OWN_PREFIX, SINGLE_SPELLING, SINGLE_SPELLING_PREFIXES, is_same_cgi_variable, is_usual, starts_with_as_cgi_variable,
};
use crate::config::identity::{Attribute, ClientAttribute, IdentityHeader};
use crate::policy::credentials::client::Client;
use crate::policy::credentials::footprint::block;
use crate::policy::verdict::edit::HeaderEdit;

/// The identity headers of a policy.
#[derive(Debug, Default)]
pub struct IdentityHeaders {
    headers: Vec<CompiledHeader>,
    /// Headers that only the gateway may set.
    reserved: Vec<Arc<str>>,
    /// Headers that the policy reads. If a client sends such a header in another spelling, the filter removes it.
    read: Vec<Arc<str>>,
    /// The names in `read` that are not [usual](is_usual). A usual name from a client is compared only with these names, because
    /// two different usual names are never two spellings of one header.
    unusual: Vec<Arc<str>>,
}

#[derive(Debug)]
struct CompiledHeader {
    name: Arc<str>,
    from: Attribute,
    required: bool,
}

/// The identity headers of one caller, computed once when a token is verified or a client document is parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The edits that set the identity headers in the request to the upstream.
    pub edits: Vec<HeaderEdit>,
    /// The caller's permissions as text, for Envoy's filter state. Later filters and the access log can read them there.
    pub filter_state: Option<Arc<str>>,
    /// The first required claim or attribute that is missing or cannot be sent in a header.
    pub missing: Option<String>,
}

impl Identity {
    /// Returns the bytes allocated for this identity, without the header names, which identities share, and without the filter
    /// state, which `Caller::allocated` counts.
    pub fn allocated(&self) -> usize {
        let value = |edit: &HeaderEdit| match edit {
            HeaderEdit::Set(_, value) | HeaderEdit::Add(_, value) => block(value.len() + 2 * size_of::<usize>()),
            HeaderEdit::Remove(_) => 0,
        };
        block(self.edits.capacity() * size_of::<HeaderEdit>())
            + self.edits.iter().map(value).sum::<usize>()
            + self.missing.as_ref().map_or(0, |missing| block(missing.capacity()))
    }
}

impl IdentityHeaders {
    /// Compiles the document's identity headers. `reserved` lists other headers that only the gateway may set. `read` lists
    /// headers that a client may send, but only in the spelling in this list.
    pub fn compile<'h>(
        headers: &[IdentityHeader],
        reserved: impl Iterator<Item = &'h Arc<str>>,
        read: impl Iterator<Item = &'h str>,
    ) -> IdentityHeaders {
        let compile = |h: &IdentityHeader| CompiledHeader {
            name: h.header.value.as_str().into(),
            from: h.from.clone(),
            required: h.required,
        };
        let headers: Vec<CompiledHeader> = headers.iter().map(compile).collect();
        let reserved = headers.iter().map(|header| header.name.clone()).chain(reserved.cloned()).collect();
        let read: Vec<Arc<str>> = read.chain(SINGLE_SPELLING).map(Arc::from).collect();
        let unusual = read.iter().filter(|name| !is_usual(&***name)).cloned().collect();
        IdentityHeaders { headers, reserved, read, unusual }
    }

    /// Removes client headers that only the gateway may set, and other spellings of headers that the policy reads. Returns the
    /// number of removed header names.
    pub fn strip(&self, sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) -> usize {
        HeaderEdit::remove_matching(sent, edits, |name| {
            // This runs for every header of every request, and nearly all names are usual. Usual names are compared with fewer
            // names, which is faster.
            let is_usual = is_usual(name);
            let read = if is_usual { &self.unusual } else { &self.read };
            is_one_of(&self.reserved, name)
                || is_of(&[OWN_PREFIX], name)
                || (is_one_of(read, name) && !self.read.iter().any(|read| read.as_bytes() == name))
                || (!is_usual && is_of(&SINGLE_SPELLING_PREFIXES, name))
        })
    }

    /// Removes forged headers from trailers. Unlike `strip`, also removes the one spelling of a header that `strip` keeps. Some
    /// upstreams merge trailers into headers, and none of these headers is allowed in trailers (RFC 9110 §6.5.1).
    pub fn strip_trailers(&self, sent: &[(&[u8], &[u8])], edits: &mut Vec<HeaderEdit>) {
        HeaderEdit::remove_matching(sent, edits, |name| {
            is_one_of(&self.reserved, name)
                || is_one_of(&self.read, name)
                || is_of(&[OWN_PREFIX], name)
                || is_of(&SINGLE_SPELLING_PREFIXES, name)
        });
    }

    /// Returns `true` if `name` is a spelling of a header that only the gateway may set.
    pub fn has(&self, name: &str) -> bool {
        is_one_of(&self.reserved, name.as_bytes())
    }

    /// Returns the identity headers of a caller. `client` is the caller's entry in the client directory.
    pub fn of(&self, claims: &Value, client_id: Option<&str>, client: Option<&Client>) -> Identity {
        let mut identity = Identity::default();
        for header in &self.headers {
            let value = match &header.from {
                Attribute::Claim(path) => path.find(claims).and_then(header_value),
                Attribute::Client(what) => attribute(*what, client_id, client).as_ref().and_then(header_value),
            };
            match value {
                Some(value) => {
                    identity.edits.push(HeaderEdit::Set(header.name.clone().into(), value.into_bytes().into()))
                }
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

fn is_one_of(names: &[Arc<str>], sent: &[u8]) -> bool {
    names.iter().any(|name| is_same_cgi_variable(sent, &**name))
}

fn is_of(families: &[&str], name: &[u8]) -> bool {
    families.iter().any(|family| starts_with_as_cgi_variable(name, family))
}

/// Formats a claim as a header value: strings unchanged, numbers and booleans as in JSON, lists joined by commas, objects as
/// JSON. Percent-encodes `%`, leading and trailing spaces, commas in list items, and all bytes except printable ASCII (RFC 3986
/// §2.1). So an upstream can decode the value, and a claim cannot start another header (CVE-2023-27493). Returns `None` for
/// null, for an empty value, and for a value that is longer than `MAX_VALUE_BYTES`.
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
    (!out.is_empty() && out.len() <= MAX_VALUE_BYTES).then_some(out)
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
        // Proxies and servers trim leading and trailing spaces (RFC 9110 §5.5).
        let is_outer_space = byte == b' ' && (i == 0 || i == last);
        if (0x20..0x7f).contains(&byte) && byte != b'%' && !is_outer_space && !also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

const MAX_VALUE_BYTES: usize = 4_096;

#[cfg(all(test, not(target_family = "wasm")))]
mod properties;
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_claim_value_cannot_end_the_header_and_can_be_decoded() {
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
            from: Attribute::Claim(crate::config::claim::ClaimPath::top("org_id")),
            required: false,
        };
        let headers = IdentityHeaders::compile(&[header], [].iter(), ["x-action", "x_tenant"].into_iter());
        for (name, removed, removed_from_trailers) in [
            ("x-org-id", true, true),
            ("X-Org-ID", true, true),
            ("x_org_id", true, true),
            ("x-org_id", true, true),
            ("x.org~id", true, true),
            ("x-portcullis-upstream", true, true),
            ("x_portcullis_upstream", true, true),
            ("x!portcullis!upstream", true, true),
            // The policy reads the following headers only in their exact spelling. The gateway keeps this spelling in requests
            // and removes all others. In trailers, it removes every spelling.
            ("x-action", false, true),
            ("x.action", true, true),
            ("x_tenant", false, true),
            ("x-tenant", true, true),
            ("content-type", false, true),
            ("content.type", true, true),
            ("x-forwarded-for", false, true),
            ("x_forwarded_for", true, true),
            ("x-envoy-retry-on", false, true),
            ("x.envoy.retry.on", true, true),
            ("authorization", false, true),
            (":path", false, false),
            ("x-org-idx", false, false),
            ("x-org", false, false),
            ("accept", false, false),
        ] {
            let sent: [(&[u8], &[u8]); 2] = [(name.as_bytes(), b"forged"), (name.as_bytes(), b"again")];
            let (mut edits, mut of_trailers) = (Vec::new(), Vec::new());
            assert_eq!(headers.strip(&sent, &mut edits), usize::from(removed), "{name}");
            headers.strip_trailers(&sent, &mut of_trailers);
            assert_eq!(edits.len(), usize::from(removed), "{name}");
            assert_eq!(of_trailers.len(), usize::from(removed_from_trailers), "{name} in trailers");
        }
    }
}
