//! The words and the JSON in which a verdict is told: stages, the rule that decided, what the client or the upstream gets.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::policy::audit::Outcome;
use crate::policy::decision::{Decision, HeaderEdit, Reply, Verdict};
use crate::policy::world::Step;

/// One verdict and what led to it.
pub struct Report<'v> {
    /// The request's headers, pseudo-headers first.
    pub request: &'v [(String, String)],
    /// What each stage found.
    pub trace: &'v [Step],
    /// The filter's verdict.
    pub verdict: &'v Verdict<'v>,
}

impl Report<'_> {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let width = self.trace.iter().map(|step| step.stage.len()).max().unwrap_or(0);
        for step in self.trace {
            let _ = writeln!(out, "{:width$}  {}", step.stage, step.finding);
        }
        let audit = &self.verdict.audit;
        let rule = audit.route.as_deref().unwrap_or("none");
        match &self.verdict.decision {
            Decision::Forward(_) => {
                let _ = writeln!(out, "\nallow, by rule {rule}");
                let (for_envoy, for_upstream): (Vec<_>, Vec<_>) =
                    self.forwarded().into_iter().partition(|(name, _)| FOR_ENVOY.contains(&name.as_str()));
                for (title, headers) in [("Envoy is told", for_envoy), ("the upstream receives", for_upstream)] {
                    let lines = headers.iter().map(|(name, value)| format!("  {name}: {value}\n"));
                    let _ = write!(out, "\n{title}\n{}", lines.collect::<String>());
                }
            }
            Decision::Reply(reply) => {
                let verdict = if audit.outcome == Outcome::Deny { "deny" } else { "answer" };
                let code = audit.code.map(|code| format!(" {code}")).unwrap_or_default();
                let _ = write!(out, "\n{verdict} {}{code}, by rule {rule}, reason {}", reply.status, audit.reason);
                if let Some(detail) = &audit.detail {
                    let _ = write!(out, " ({detail})");
                }
                let _ = write!(out, "\n\nthe client receives\n  {}\n", reply.status);
                for (name, value) in &reply.headers {
                    let _ = writeln!(out, "  {name}: {value}");
                }
                if !reply.body.is_empty() {
                    let _ = writeln!(out, "\n  {}", String::from_utf8_lossy(&reply.body));
                }
            }
            Decision::Await(_) => out.push_str("\nwaits for keys\n"),
            Decision::Inspect(_) => out.push_str("\nwaits for the body\n"),
        }
        let _ = write!(out, "\naudit record\n  {}\n", audit.to_json());
        out
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let stages: Vec<Value> =
            self.trace.iter().map(|step| json!({ "stage": step.stage, "finding": step.finding })).collect();
        let audit: Value = serde_json::from_str(&self.verdict.audit.to_json()).unwrap_or_default();
        let mut report = json!({ "stages": stages, "audit": audit });
        let (key, value) = match &self.verdict.decision {
            Decision::Forward(_) => ("forward", json!({ "headers": pairs(self.forwarded()) })),
            Decision::Reply(reply) => ("reply", reply_json(reply)),
            Decision::Await(_) => ("await", Value::Null),
            Decision::Inspect(_) => ("inspect", Value::Null),
        };
        if let Some(members) = report.as_object_mut() {
            members.insert(key.to_string(), value);
        }
        report
    }

    /// The request's headers with the filter's edits applied.
    fn forwarded(&self) -> Vec<(String, String)> {
        let mut headers = self.request.to_vec();
        let Decision::Forward(forward) = &self.verdict.decision else { return headers };
        for edit in forward.edits() {
            let (name, value) = match edit {
                HeaderEdit::Remove(name) => (name, None),
                HeaderEdit::Set(name, value) => (name, Some(value)),
            };
            let is_other = |(other, _): &(String, String)| other.as_str() != &**name;
            let at = headers.iter().position(|header| !is_other(header)).unwrap_or(headers.len());
            headers.retain(is_other);
            if let Some(value) = value {
                let value = String::from_utf8_lossy(value).into_owned();
                headers.insert(at.min(headers.len()), (name.to_string(), value));
            }
        }
        headers
    }
}

fn reply_json(reply: &Reply) -> Value {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let body = serde_json::from_slice(&reply.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&reply.body).into_owned()));
    json!({ "status": reply.status, "headers": pairs(headers), "body": body })
}

/// Headers by which the filter chooses the cluster and its time; the proxy takes them out again.
const FOR_ENVOY: [&str; 2] = ["x-portcullis-upstream", "x-envoy-upstream-rq-timeout-ms"];

/// Headers may repeat, so they are a list of pairs and not an object.
fn pairs(headers: impl IntoIterator<Item = (String, String)>) -> Value {
    headers.into_iter().map(|(name, value)| json!([name, value])).collect()
}
