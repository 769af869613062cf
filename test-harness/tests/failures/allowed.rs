//! Defines the outcomes that a failure test allows: the responses to each kind of request, and their audit records.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_harness::load::{Answer, Sent};

/// A correct response: its status, the `error.code` in its body, and the expected summary of the audit record.
///
/// The summary contains these fields of the record, separated by spaces: `decision`, `reason`, `failure` without the part in
/// braces, `uncounted`, and Envoy's response flags. The flags are included only for a status below 400.
pub type ExpectedResponse<'a> = (u16, &'a str, &'a str);

/// The correct responses to each kind of request. If a kind has two entries, the first entry applies.
pub type Allowed<'a> = &'a [(&'a str, &'a [ExpectedResponse<'a>])];

/// A response of a static route.
pub const ANSWERED: ExpectedResponse<'static> = (200, "", "answer static_route");
/// The gateway forwarded the request, and the upstream answered with success.
pub const SERVED: ExpectedResponse<'static> = (200, "", "allow allowed");
pub const NO_TOKEN: ExpectedResponse<'static> = (401, "UNAUTHORIZED", "deny token_missing");
pub const FORGED: ExpectedResponse<'static> = (401, "UNAUTHORIZED", "deny token_signature_wrong");
pub const UNKNOWN_KEY: ExpectedResponse<'static> = (401, "UNAUTHORIZED", "deny token_key_unknown");
pub const UNKNOWN_API_KEY: ExpectedResponse<'static> = (401, "UNAUTHORIZED", "deny api_key_unknown");
pub const REVOKED: ExpectedResponse<'static> = (401, "UNAUTHORIZED", "deny token_revoked");
pub const NO_KEYS: ExpectedResponse<'static> = (503, "AUTH_UNAVAILABLE", "deny keys_unavailable");
pub const NO_CLIENTS: ExpectedResponse<'static> = (503, "AUTH_UNAVAILABLE", "deny clients_unavailable");
pub const NO_LIST: ExpectedResponse<'static> = (503, "AUTH_UNAVAILABLE", "deny revocation_list_unavailable");
/// The worker has no working filter, so Envoy refuses the request.
pub const FAILED: ExpectedResponse<'static> = (503, "SERVICE_UNAVAILABLE", "deny wasm_fail_stream");
/// The worker's filter failed after it had forwarded the request.
pub const UNDER_WAY: ExpectedResponse<'static> = (503, "SERVICE_UNAVAILABLE", "allow allowed");
/// The head of the response arrived, but the upstream cut off the body.
pub const CUT_OFF: ExpectedResponse<'static> = (200, "cut off", "allow allowed UPE");
/// Envoy refused the request to shed load.
pub const SHED: ExpectedResponse<'static> = (503, "SERVICE_UNAVAILABLE", "deny overload");

/// The correct responses while everything works.
pub const WELL: Allowed<'static> =
    &[("static", &[ANSWERED]), ("good", &[SERVED]), ("no token", &[NO_TOKEN]), ("forged", &[FORGED])];

/// The correct responses while the gateway has no keys. It cannot verify tokens, but still serves requests without a token.
pub const KEYLESS: Allowed<'static> =
    &[("static", &[ANSWERED]), ("good", &[NO_KEYS]), ("no token", &[NO_TOKEN]), ("forged", &[NO_KEYS])];

/// Returns the outcomes in [`WELL`], except that `these` replaces the outcomes of the kinds that it contains.
pub fn but<'a>(these: &[(&'a str, &'a [ExpectedResponse<'a>])]) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    over(these, WELL)
}

/// Returns the outcomes in `those`, except that `these` replaces the outcomes of the kinds that it contains.
pub fn over<'a>(
    these: &[(&'a str, &'a [ExpectedResponse<'a>])],
    those: &[(&'a str, &'a [ExpectedResponse<'a>])],
) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    [these, those].concat()
}

/// Returns the outcomes in `right` for every kind of request in [`WELL`].
pub fn all<'a>(right: &'a [ExpectedResponse<'a>]) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    WELL.iter().map(|(sort, _)| (*sort, right)).collect()
}

/// Returns the outcomes of both states, for a gateway that changes from one state to the other.
pub fn either<'a>(these: Allowed<'a>, those: Allowed<'a>) -> Vec<(&'a str, Vec<ExpectedResponse<'a>>)> {
    let found = |sort: &str| those.iter().find(|(name, _)| *name == sort).map(|(_, answers)| *answers);
    these.iter().map(|(sort, answers)| (*sort, [*answers, found(sort).unwrap_or_default()].concat())).collect()
}

/// Converts the result of [`either`] to slices, as [`Allowed`] requires.
pub fn slices<'a>(these: &'a [(&'a str, Vec<ExpectedResponse<'a>>)]) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    these.iter().map(|(sort, answers)| (*sort, answers.as_slice())).collect()
}

/// Returns the outcomes that are allowed for requests of the kind `sort`.
pub fn of<'a>(allowed: Allowed<'a>, sort: &str) -> Result<&'a [ExpectedResponse<'a>]> {
    let row = allowed.iter().find(|(name, _)| *name == sort);
    row.map(|(_, may_be)| *may_be).with_context(|| format!("no outcome is defined for the kind `{sort}`"))
}

/// One line of the access log.
#[derive(Debug)]
pub struct Record {
    pub id: String,
    pub status: u64,
    /// The summary of the record, in the form that [`ExpectedResponse`] describes.
    pub says: String,
}

impl Record {
    /// Returns `None` for a log line that is not a record.
    pub fn read(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        let text = |at| record.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let status = record.get("status")?;
        let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
        let failure = text("/audit/failure").split('{').next().unwrap_or_default();
        let uncounted = text("/audit/uncounted");
        let uncounted = if uncounted.is_empty() { String::new() } else { format!("uncounted {uncounted}") };
        // Envoy's flags show a response that failed after the gateway allowed it.
        let flags = if status < 400 { text("/flags").trim_start_matches('-') } else { "" };
        let said = [text("/audit/decision"), text("/audit/reason"), failure, &uncounted, flags];
        let says = said.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        Some(Self { id: text("/audit/request_id").to_owned(), status, says })
    }
}

/// The missing responses and audit records that a test allows. By default, none must be missing.
#[derive(Debug, Default)]
pub struct AllowedLosses {
    /// The number of requests that can lack a response.
    pub under_way: usize,
    /// The records of requests that were answered in this time span may be missing, because Envoy had not written them yet.
    pub unwritten: Option<Range<Instant>>,
}

/// Checks that each answered request has exactly one record with the same status and a correct reason.
pub fn one_each(sent: &[Sent], allowed: Allowed<'_>, loss: &AllowedLosses, records: &[Record]) -> Result<()> {
    let mut by_id: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in records {
        by_id.entry(record.id.as_str()).or_default().push(record);
    }
    for one in sent {
        let may_be = of(allowed, one.sort)?;
        let Ok(answer) = &seen(one, may_be) else { continue };
        let found = by_id.get(one.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        if found.is_empty() && loss.unwritten.as_ref().is_some_and(|span| span.contains(&one.at)) {
            continue;
        }
        let [record] = found else {
            anyhow::bail!(
                "expected one audit record but found {} for a request of the kind `{}` with the response {answer:?}: {found:?}",
                found.len(),
                one.sort
            )
        };
        let same = record.status == u64::from(answer.status);
        ensure!(
            same,
            "a request of the kind `{}` has the audit record {record:?}, but the response {answer:?}",
            one.sort
        );
        let fits = may_be.iter().any(|right| answers(right, answer) && right.2 == record.says);
        ensure!(
            fits,
            "a request of the kind `{}` has the response {answer:?} and the audit record `{}`, but only {may_be:?} is allowed",
            one.sort,
            record.says
        );
        // Every 503 of the filter is temporary and has a `retry-after` header. A filter that has failed cannot add one.
        let by_nobody = [FAILED, UNDER_WAY].iter().any(|right| record.says == right.2);
        let has_retry_after = answer.status != 503 || by_nobody || answer.retry_after.is_some();
        ensure!(
            has_retry_after,
            "a request of the kind `{}` got a 503 without Retry-After; its audit record is `{}`",
            one.sort,
            record.says
        );
    }
    Ok(())
}

/// Returns the response to a request. If `may_be` contains [`CUT_OFF`], an error counts as a response that was cut off.
pub fn seen(one: &Sent, may_be: &[ExpectedResponse<'_>]) -> Result<Answer, String> {
    match &one.answer {
        Err(_) if may_be.contains(&CUT_OFF) => {
            Ok(Answer { status: CUT_OFF.0, code: CUT_OFF.1.to_owned(), retry_after: None })
        }
        answer => answer.clone(),
    }
}

/// Returns whether a response has the correct status and code. The audit record is checked separately.
pub fn answers(right: &ExpectedResponse<'_>, answer: &Answer) -> bool {
    right.0 == answer.status && right.1 == answer.code
}
