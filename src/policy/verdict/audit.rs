//! The audit record of a request: the caller, the request, the decision, and the precise reason.
//!
//! The record never contains a token, a key or the value of a claim.

use std::borrow::Cow;
use std::fmt::Write;
use std::rc::Rc;

/// The record of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRecord {
    /// The request id that the client and the upstream receive.
    pub request_id: Rc<str>,
    /// The request method, if it is valid.
    pub method: Cow<'static, str>,
    /// The normalized path without its query, which may contain secrets; empty if the path was refused.
    pub path: String,
    /// The name of the matched route.
    pub route: Option<Rc<str>>,
    /// The credential that identifies the caller, and the caller's ids.
    pub caller: Option<AcceptedCredential>,
    /// The other valid credentials of the request.
    pub also: Vec<AcceptedCredential>,
    /// Whether the request was allowed, refused or answered.
    pub outcome: Outcome,
    /// The HTTP status of the gateway's own reply; `None` for a forwarded request.
    pub status: Option<u16>,
    /// The stable code sent to the client.
    pub code: Option<&'static str>,
    /// The precise reason for the outcome, as a stable word.
    pub reason: &'static str,
    /// Further information about the reason, for operators.
    pub detail: Option<Cow<'static, str>>,
    /// The limit that refused the request, with the window if the limit has several windows.
    pub limit: Option<Rc<str>>,
    /// The shadow limits that would have refused the request.
    pub would_limit: Vec<Rc<str>>,
    /// The shared limits that did not count the request, because the rate limit service did not answer.
    pub uncounted: Vec<Rc<str>>,
    /// The state of the revocation list; `None` if the list is current.
    pub revocation_list: Option<Cow<'static, str>>,
    /// The number of identity headers that the client tried to send.
    pub spoofed: usize,
    /// The reason why report-only checks would have refused the request.
    pub would_refuse: Option<&'static str>,
    /// The reason why report-only checks did not inspect the body.
    pub not_inspected: Option<&'static str>,
    /// Envoy's reason for a failure to forward the request.
    pub failure: Option<String>,
    /// The end of the request; `None` until the request ends.
    pub end: Option<RequestEnd>,
}

/// The data that is known only at the end of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestEnd {
    /// The HTTP status of the response.
    pub status: Option<u16>,
    /// Envoy's response code details.
    pub details: Option<String>,
    /// The duration of the request in milliseconds.
    pub duration_millis: Option<u64>,
}

/// A valid credential, and the caller that it identifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCredential {
    /// The kind of the credential, as a stable word.
    pub credential: &'static str,
    /// The name of the issuer that accepts the token.
    pub issuer: Option<Rc<str>>,
    /// The claim `sub` of the token.
    pub subject: Option<Rc<str>>,
    /// The client id.
    pub client: Option<Rc<str>>,
    /// The id of the API key, which is not secret.
    pub key: Option<Rc<str>>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The request was forwarded.
    Allow,
    /// The request was refused.
    #[default]
    Deny,
    /// The gateway answered the request itself: a static route or a preflight.
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

    /// Returns `true` if the filter decided the request before the request ended.
    pub fn is_decided(&self) -> bool {
        !self.reason.is_empty()
    }

    /// Returns the reason for the outcome. A request that ended before it was decided also has a reason.
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

/// Appends `value` as the contents of a JSON string (RFC 8259 §7). Escapes everything except printable ASCII, so that no path
/// or subject can imitate a line of a terminal or a log (CVE-2024-45808).
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
