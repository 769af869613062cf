//! The metrics of the gateway: a list of all metrics, and the events that they count.
//!
//! The value of a label is a name in the policy or a word from a fixed list. It never contains data of a client, so clients
//! cannot create counters.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use crate::policy::verdict::audit::{AuditRecord, Outcome};

/// A counter with labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, which follows the Prometheus conventions and so ends with `_total`.
    pub name: &'static str,
    /// The labels, in alphabetical order, which is also the order in which Envoy prints them.
    pub labels: &'static [&'static str],
    /// The description of the counted events, as in the reference documentation.
    pub help: &'static str,
}

/// All metrics, in the order of the reference documentation.
pub const METRICS: [&Metric; 7] =
    [&REQUESTS, &REFUSALS, &RESPONSE_FAULTS, &AUTHENTICATIONS, &LIMIT_HITS, &CALLS, &PANICS];

static REQUESTS: Metric = Metric {
    name: "portcullis_requests_total",
    labels: &["decision", "route"],
    help: "requests that ended, by the route and by the `decision` of the audit record",
};
static REFUSALS: Metric = Metric {
    name: "portcullis_refusals_total",
    labels: &["reason", "status"],
    help: "refused requests, by the `reason` of the audit record and by the HTTP status of the refusal",
};
static RESPONSE_FAULTS: Metric = Metric {
    name: "portcullis_response_faults_total",
    labels: &["fault", "route"],
    help: "responses of upstreams that the gateway replaced, because they could not be mapped",
};
static AUTHENTICATIONS: Metric = Metric {
    name: "portcullis_authentications_total",
    labels: &["credential", "issuer"],
    help: "valid credentials, including those of requests refused later, by their kind and by the issuer of the token",
};
static LIMIT_HITS: Metric = Metric {
    name: "portcullis_limit_hits_total",
    labels: &["limit", "mode"],
    help: "requests that exceed a limit: refused (`enforced`), or only recorded (`shadow`)",
};
static CALLS: Metric = Metric {
    name: "portcullis_calls_total",
    labels: &["call", "cluster", "outcome"],
    help: "outgoing calls for key sets, polled documents and rate limits, by the Envoy cluster",
};

static PANICS: Metric = Metric {
    name: "portcullis_panics_total",
    labels: &[],
    help: "requests that were refused because the code of the dynamic module panicked; each is a defect",
};

/// An event that a metric counts, with the values of its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// A request to this route ended with this decision. The route is `None` if no route matched.
    Request(Option<Arc<str>>, Outcome),
    /// A request was refused for this reason, with this HTTP status.
    Refusal(&'static str, Option<u16>),
    /// The response of this route's upstream was replaced, for this reason.
    ResponseFault(Option<Arc<str>>, &'static str),
    /// A request contained a valid credential of this kind. For a token, the second field is its issuer.
    Authentication(&'static str, Option<Arc<str>>),
    /// A request exceeded this limit. The second field shows whether the limit refused the request.
    LimitHit(Arc<str>, LimitMode),
    /// An outgoing call of this kind to this cluster ended.
    Call(&'static str, Arc<str>, CallOutcome),
    /// A hook of the dynamic module panicked.
    Panic,
}

/// The action of a limit when a request exceeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitMode {
    /// The limit refused the request.
    Enforced,
    /// The limit has `shadow: true` and only recorded the request.
    Shadow,
}

/// The result of an outgoing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// The response was usable.
    Ok,
    /// The call failed or timed out, or its response had an unexpected status.
    Failed,
    /// The response was not a valid document.
    Refused,
    /// Envoy could not start the call.
    NotStarted,
}

impl Count {
    /// Returns the events to count for a request that has ended.
    pub fn of_request(record: &AuditRecord) -> impl Iterator<Item = Count> {
        let request = Count::Request(record.route.clone(), record.outcome);
        let accepted = record.caller.iter().chain(&record.also);
        let accepted = accepted.map(|caller| Count::Authentication(caller.credential, caller.issuer.clone()));
        let is_refused = record.outcome == Outcome::Deny;
        let refusal = is_refused.then(|| Count::Refusal(record.settled_reason(), record.status));
        // Only the status 429 means that the request exceeded the limit. With another status, the rate limit service could not
        // count the request.
        let enforced = record.limit.iter().filter(|_| record.status == Some(429));
        let enforced = enforced.map(|limit| Count::LimitHit(limit.clone(), LimitMode::Enforced));
        let shadow = record.would_limit.iter().map(|limit| Count::LimitHit(limit.clone(), LimitMode::Shadow));
        let fault = record.response_fault.map(|fault| Count::ResponseFault(record.route.clone(), fault));
        iter::once(request).chain(accepted).chain(refusal).chain(fault).chain(enforced).chain(shadow)
    }

    /// Returns the metric that counts this event, and the values of its labels in their order. A missing value is `none`.
    pub fn labelled(&self) -> (&'static Metric, Vec<Cow<'_, str>>) {
        let name = |value: &'static str| Cow::Borrowed(value);
        match self {
            Count::Request(route, outcome) => (&REQUESTS, vec![name(outcome.name()), or_none(route.as_deref())]),
            Count::Refusal(reason, code) => {
                let status = code.map_or(or_none(None), |code| Cow::Owned(code.to_string()));
                (&REFUSALS, vec![name(reason), status])
            }
            Count::ResponseFault(route, fault) => (&RESPONSE_FAULTS, vec![name(fault), or_none(route.as_deref())]),
            Count::Authentication(credential, issuer) => {
                (&AUTHENTICATIONS, vec![name(credential), or_none(issuer.as_deref())])
            }
            Count::LimitHit(limit, mode) => (&LIMIT_HITS, vec![Cow::Borrowed(&**limit), name(mode.name())]),
            Count::Call(call, cluster, outcome) => {
                (&CALLS, vec![name(call), Cow::Borrowed(&**cluster), name(outcome.name())])
            }
            Count::Panic => (&PANICS, Vec::new()),
        }
    }

    /// Returns the name of the counter for this event, for hosts whose counters have no labels. It is the name of the metric,
    /// followed by `;label=value` for each label. A missing value is written as `none`.
    pub fn statistic(&self) -> String {
        let (metric, values) = self.labelled();
        let mut name = metric.name.to_string();
        for (label, value) in metric.labels.iter().zip(&values) {
            name.extend([";", label, "="]);
            escape(&mut name, value);
        }
        name
    }
}

impl LimitMode {
    const fn name(self) -> &'static str {
        match self {
            LimitMode::Enforced => "enforced",
            LimitMode::Shadow => "shadow",
        }
    }
}

impl CallOutcome {
    const fn name(self) -> &'static str {
        match self {
            CallOutcome::Ok => "ok",
            CallOutcome::Failed => "failed",
            CallOutcome::Refused => "refused",
            CallOutcome::NotStarted => "not_started",
        }
    }
}

/// Returns all labels in alphabetical order, each with the regular expression for the `stats_tags` of Envoy's configuration.
/// Envoy removes the match of the outer group from the name of the counter, and uses the match of the inner group as the value of
/// the label.
pub fn tag_rules() -> impl Iterator<Item = (&'static str, String)> {
    let labels: BTreeSet<&str> = METRICS.iter().flat_map(|metric| metric.labels).copied().collect();
    labels.into_iter().map(|label| (label, format!(r"^wasmcustom\.portcullis_.*?(;{label}=([^;]*))")))
}

fn or_none(value: Option<&str>) -> Cow<'_, str> {
    Cow::Borrowed(value.filter(|value| !value.is_empty()).unwrap_or("none"))
}

/// Appends the value of a label. Replaces each byte of a `;`, a `%` or a control character by `%` and two hexadecimal digits,
/// because `;` ends a value in the name of a counter.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        if c == ';' || c == '%' || c.is_control() {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::audit::AcceptedCredential;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_statistic_names_each_label_once() {
        let refused = AuditRecord {
            route: Some("GET /v1.0/orders;x".into()),
            caller: Some(AcceptedCredential {
                credential: "token",
                issuer: Some("accounts".into()),
                ..AcceptedCredential::default()
            }),
            also: vec![AcceptedCredential { credential: "certificate", ..AcceptedCredential::default() }],
            outcome: Outcome::Deny,
            status: Some(429),
            reason: "rate_limited",
            limit: Some("burst".into()),
            would_limit: vec!["daily".into()],
            ..AuditRecord::default()
        };
        let names: Vec<_> = Count::of_request(&refused).map(|count| count.statistic()).collect();
        assert_eq!(
            names,
            [
                "portcullis_requests_total;decision=deny;route=GET /v1.0/orders%3Bx",
                "portcullis_authentications_total;credential=token;issuer=accounts",
                "portcullis_authentications_total;credential=certificate;issuer=none",
                "portcullis_refusals_total;reason=rate_limited;status=429",
                "portcullis_limit_hits_total;limit=burst;mode=enforced",
                "portcullis_limit_hits_total;limit=daily;mode=shadow",
            ]
        );
    }

    #[test]
    fn a_request_that_ended_early_has_no_route_and_no_status() {
        let names: Vec<_> = Count::of_request(&AuditRecord::default()).map(|count| count.statistic()).collect();
        let expected =
            ["requests_total;decision=deny;route=none", "refusals_total;reason=ended_before_decision;status=none"];
        assert_eq!(names, expected.map(|name| format!("portcullis_{name}")));
    }
}
