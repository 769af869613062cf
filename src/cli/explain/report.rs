//! Writes a verdict as text and as JSON: the stages, the deciding rule, and what the client or the upstream receives.

use serde_json::{Value, json};

use crate::gateway::simulation::Sent;
use crate::policy::verdict::audit::{AuditRecord, Outcome};
use crate::policy::verdict::edit::HeaderEdit;
use crate::policy::verdict::reply::Reply;
use crate::policy::world::TraceStep;

/// One verdict and the steps that led to it.
pub struct ExplainReport<'v> {
    /// The request's headers, pseudo-headers first.
    pub request: &'v [(String, String)],
    /// The result of each stage.
    pub trace: &'v [TraceStep],
    /// The audit record, with the route and the reason of the verdict.
    pub audit: &'v AuditRecord,
    /// The edited request or the reply that results from the decision.
    pub sent: &'v Sent,
}

impl ExplainReport<'_> {
    /// Formats the report as text.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        let width = self.trace.iter().map(|step| step.stage.len()).max().unwrap_or(0);
        for step in self.trace {
            out.push(format!("{:width$}  {}", step.stage, step.finding));
        }
        let audit = self.audit;
        let rule = audit.route.as_deref().unwrap_or("none");
        match &self.sent.reply {
            None => {
                out.extend([String::new(), format!("allow, by rule {rule}")]);
                let (for_envoy, for_upstream): (Vec<_>, Vec<_>) =
                    self.forwarded().into_iter().partition(|(name, _)| FOR_ENVOY.contains(&name.as_str()));
                for (title, headers) in [("Envoy receives", for_envoy), ("the upstream receives", for_upstream)] {
                    out.extend([String::new(), title.to_string()]);
                    out.extend(headers.iter().map(|(name, value)| format!("  {name}: {value}")));
                }
            }
            Some(reply) => {
                let verdict = if audit.outcome == Outcome::Deny { "deny" } else { "answer" };
                let code = audit.code.map(|code| format!(" {code}")).unwrap_or_default();
                let detail = audit.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                let reason = audit.reason;
                let verdict = format!("{verdict} {}{code}, by rule {rule}, reason {reason}{detail}", reply.status);
                out.extend([String::new(), verdict, String::new()]);
                out.extend(["the client receives".to_string(), format!("  {}", reply.status)]);
                out.extend(reply.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
                if !reply.body.is_empty() {
                    out.extend([String::new(), format!("  {}", String::from_utf8_lossy(&reply.body))]);
                }
            }
        }
        out.extend([String::new(), "audit record".to_string(), format!("  {}", audit.to_json())]);
        out
    }

    /// Formats the report as JSON.
    pub fn json(&self) -> Value {
        let stages: Vec<Value> =
            self.trace.iter().map(|step| json!({ "stage": step.stage, "finding": step.finding })).collect();
        let audit: Value = serde_json::from_str(&self.audit.to_json()).unwrap_or_default();
        let mut report = json!({ "stages": stages, "audit": audit });
        let (key, value) = match &self.sent.reply {
            None => ("forward", json!({ "headers": pairs(self.forwarded()) })),
            Some(reply) => ("reply", reply_json(reply)),
        };
        if let Some(members) = report.as_object_mut() {
            members.insert(key.to_string(), value);
        }
        report
    }

    /// Returns the request's headers after the edits of the filter, without the signatures of tokens.
    fn forwarded(&self) -> Vec<(String, String)> {
        let mut headers = self.request.to_vec();
        for edit in &self.sent.request {
            let (name, value) = match edit {
                HeaderEdit::Remove(name) => (name, None),
                HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) => (name, Some(value)),
            };
            let is_other = |(other, _): &(String, String)| other.as_str() != &**name;
            let at = headers.iter().position(|header| !is_other(header)).unwrap_or(headers.len());
            headers.retain(is_other);
            if let Some(value) = value {
                let value = String::from_utf8_lossy(value).into_owned();
                headers.insert(at.min(headers.len()), (name.to_string(), value));
            }
        }
        headers.iter_mut().for_each(|(_, value)| *value = without_signatures(value));
        headers
    }
}

/// Removes the signatures of tokens from a header value. Users share reports, and a token with its signature is a credential.
fn without_signatures(value: &str) -> String {
    let pieces = value.split_inclusive([' ', ';', ',', '=', '&']).map(|piece| {
        let is_token = piece.starts_with("eyJ") && piece.matches('.').count() == 2;
        match piece.rsplit_once('.').filter(|_| is_token) {
            Some((signed, signature)) => {
                let end = signature.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
                format!("{signed}.…{end}")
            }
            None => piece.to_string(),
        }
    });
    pieces.collect()
}

fn reply_json(reply: &Reply) -> Value {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let body = serde_json::from_slice(&reply.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&reply.body).into_owned()));
    json!({ "status": reply.status, "headers": pairs(headers), "body": body })
}

/// The filter passes the cluster and the timeout to Envoy in these headers. Upstreams never receive them.
const FOR_ENVOY: [&str; 2] = ["x-portcullis-upstream", "x-envoy-upstream-rq-timeout-ms"];

/// Returns headers as a list of pairs, because a JSON object cannot repeat a name.
fn pairs(headers: impl IntoIterator<Item = (String, String)>) -> Value {
    headers.into_iter().map(|(name, value)| json!([name, value])).collect()
}
