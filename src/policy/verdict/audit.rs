//! The audit record of a request: the caller, the request, the decision, and the precise reason.
//!
//! The record never contains a token or an API key. Of the claims, it contains only the subject and the client id.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// The audit record of one request, completed step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRecord {
    /// The request id that the client and the upstream receive.
    pub request_id: Arc<str>,
    /// The request method; empty if the request could not be parsed.
    pub method: Cow<'static, str>,
    /// The normalized path without its query, which may contain secrets; empty if the path was refused.
    pub path: String,
    /// The name of the matched route; `None` if no route matched.
    pub route: Option<Arc<str>>,
    /// The first valid credential, and the caller that it identifies.
    pub caller: Option<AcceptedCredential>,
    /// The other valid credentials of the request.
    pub also: Vec<AcceptedCredential>,
    /// The outcome of the request: forwarded, refused, or answered by the gateway itself.
    pub outcome: Outcome,
    /// The HTTP status of the gateway's own reply; `None` if the request was forwarded.
    pub status: Option<u16>,
    /// The stable error code that the client received; `None` without an error.
    pub code: Option<&'static str>,
    /// The precise reason for the outcome, as a stable word; empty until the request is decided.
    pub reason: &'static str,
    /// Further information about the reason, for operators.
    pub detail: Option<Cow<'static, str>>,
    /// The limit that refused the request, with the window if the limit has several windows.
    pub limit: Option<Arc<str>>,
    /// The shadow limits that would have refused the request.
    pub would_limit: Vec<Arc<str>>,
    /// The shared limits that the rate limit service did not count for this request, because it gave no usable answer.
    pub uncounted: Vec<Arc<str>>,
    /// The state of the revocation list; `None` if the list is current.
    pub revocation_list: Option<Cow<'static, str>>,
    /// The number of header names that the filter removed because only the gateway may set them, or because they are other
    /// spellings of headers that the policy reads.
    pub spoofed: usize,
    /// The reason why report-only checks would have refused the request.
    pub would_refuse: Option<&'static str>,
    /// The reason why report-only checks did not inspect the body.
    pub not_inspected: Option<&'static str>,
    /// The reason why the gateway replaced the upstream's response, as a stable word. The JSON of the record contains it in
    /// `failure`.
    pub response_fault: Option<&'static str>,
    /// The reason for an error reply to a request that the policy did not refuse: Envoy's response code details, or the reason
    /// why the gateway replaced the response or ended the request.
    pub failure: Option<String>,
    /// The data that is known only at the end of the request; `None` until then.
    pub end: Option<RequestEnd>,
}

/// The data that is known only at the end of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestEnd {
    /// The HTTP status of the response; `None` if no response was sent.
    pub status: Option<u16>,
    /// Envoy's response code details; `None` if Envoy reports none.
    pub details: Option<String>,
    /// The duration of the request in milliseconds.
    pub duration_millis: Option<u64>,
}

/// A valid credential, and the caller that it identifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCredential {
    /// The kind of the credential, as a stable word such as `token`.
    pub credential: &'static str,
    /// The configured name of the token's issuer; `None` for other credentials.
    pub issuer: Option<Arc<str>>,
    /// The claim `sub` of the token; `None` for other credentials.
    pub subject: Option<Arc<str>>,
    /// The client id; `None` for a token without a client id.
    pub client: Option<Arc<str>>,
    /// The id of the API key, which is not secret.
    pub key: Option<Arc<str>>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The request was accepted for forwarding.
    Allow,
    /// The request was refused, or is not decided yet.
    #[default]
    Deny,
    /// The gateway answered the request itself: a request on a static route, or an allowed preflight.
    Answer,
}

/// The result of report-only checks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The checks would have refused the body for this reason.
    WouldRefuse(&'static str),
    /// The body was not inspected, for this reason.
    NotInspected(&'static str),
}

impl Outcome {
    /// Returns the word for the outcome in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
            Outcome::Answer => "answer",
        }
    }
}

impl AuditRecord {
    /// Records the result of report-only checks of the body.
    pub fn remark(&mut self, remark: Remark) {
        match remark {
            Remark::WouldRefuse(reason) => self.would_refuse = Some(reason),
            Remark::NotInspected(reason) => self.not_inspected = Some(reason),
        }
    }

    /// Returns `true` if the request was decided. A request can end before that, for example while it waits for keys.
    pub fn is_decided(&self) -> bool {
        !self.reason.is_empty()
    }

    /// Returns the reason for the outcome, or `ended_before_decision` if the request ended before it was decided.
    pub fn settled_reason(&self) -> &'static str {
        if self.is_decided() { self.reason } else { "ended_before_decision" }
    }

    /// Returns the record as one JSON object without line breaks.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        out.push('{');
        member(&mut out, "request_id", &self.request_id);
        if self.is_decided() || !self.method.is_empty() {
            member(&mut out, "method", &self.method);
            member(&mut out, "path", &self.path);
        }
        if let Some(route) = &self.route {
            member(&mut out, "route", route);
        }
        if let Some(caller) = &self.caller {
            caller.write(&mut out);
        }
        if !self.also.is_empty() {
            out.push_str(",\"also\":[");
            for (i, other) in self.also.iter().enumerate() {
                out.push_str(if i == 0 { "{" } else { ",{" });
                other.write(&mut out);
                out.push('}');
            }
            out.push(']');
        }
        member(&mut out, "decision", self.outcome.name());
        if let Some(code) = self.code {
            member(&mut out, "code", code);
        }
        member(&mut out, "reason", self.settled_reason());
        if let Some(detail) = &self.detail {
            member(&mut out, "detail", detail);
        }
        if let Some(limit) = &self.limit {
            member(&mut out, "limit", limit);
        }
        if !self.would_limit.is_empty() {
            member(&mut out, "would_limit", &self.would_limit.join(", "));
        }
        if !self.uncounted.is_empty() {
            member(&mut out, "uncounted", &self.uncounted.join(", "));
        }
        if let Some(reason) = self.would_refuse {
            member(&mut out, "would_refuse", reason);
        }
        if let Some(reason) = self.not_inspected {
            member(&mut out, "not_inspected", reason);
        }
        if let Some(state) = &self.revocation_list {
            member(&mut out, "revocation_list", state);
        }
        if self.spoofed > 0 {
            let _ = write!(out, ",\"spoofed_headers\":{}", self.spoofed);
        }
        if let Some(failure) = &self.failure {
            member(&mut out, "failure", failure);
        }
        if let Some(RequestEnd { status, details, duration_millis }) = &self.end {
            if let Some(status) = status {
                let _ = write!(out, ",\"status\":{status}");
            }
            if let Some(details) = details {
                member(&mut out, "details", details);
            }
            if let Some(millis) = duration_millis {
                let _ = write!(out, ",\"duration_ms\":{millis}");
            }
        }
        out.push('}');
        out
    }
}

impl AcceptedCredential {
    fn write(&self, out: &mut String) {
        member(out, "credential", self.credential);
        let AcceptedCredential { issuer, subject, client, key, .. } = self;
        for (name, value) in [("issuer", issuer), ("subject", subject), ("client", client), ("key", key)] {
            if let Some(value) = value {
                member(out, name, value);
            }
        }
    }
}

fn member(out: &mut String, name: &str, value: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":\"");
    escape(out, value);
    out.push('"');
}

/// Appends `value` as the contents of a JSON string (RFC 8259 §7). Escapes everything except printable ASCII, so that a path or
/// subject cannot forge a line in a log or control a terminal (CVE-2024-45808).
pub fn escape(out: &mut String, value: &str) {
    if value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
        out.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_record_is_one_line_of_json_for_any_values() {
        let record = AuditRecord {
            request_id: "r-1".into(),
            method: "GET".into(),
            path: "/a\"b\n\u{1f600}".into(),
            route: Some("GET /a".into()),
            caller: Some(AcceptedCredential { subject: Some("x\\\u{7f}".into()), ..AcceptedCredential::default() }),
            reason: "token_expired",
            spoofed: 2,
            ..AuditRecord::default()
        };
        let text = record.to_json();
        assert!(text.is_ascii() && !text.contains('\n'), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["path"], "/a\"b\n\u{1f600}");
        assert_eq!(read["subject"], "x\\\u{7f}");
        assert_eq!(read["decision"], "deny");
        assert_eq!(read["spoofed_headers"], 2);
    }
}
