//! What a row allows: which sort of request may be answered how, and what its record must say of it.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_harness::load::{Answer, Sent};

/// An answer that is right: its status, the envelope's code, and what the record says: its decision and reason, then Envoy's word
/// for a failure (without what stands in braces), the limits that were not counted, and Envoy's flags for one below 400, where there
/// are such.
pub type Right<'a> = (u16, &'a str, &'a str);

/// What each sort of request may be answered with. Of two entries about one sort the first counts.
pub type Allowed<'a> = &'a [(&'a str, &'a [Right<'a>])];

/// An answer of a static route.
pub const ANSWERED: Right<'static> = (200, "", "answer static_route");
/// Forwarded, and answered well.
pub const SERVED: Right<'static> = (200, "", "allow allowed");
pub const NO_TOKEN: Right<'static> = (401, "UNAUTHORIZED", "deny token_missing");
pub const FORGED: Right<'static> = (401, "UNAUTHORIZED", "deny token_signature_wrong");
pub const UNKNOWN_KEY: Right<'static> = (401, "UNAUTHORIZED", "deny token_key_unknown");
pub const UNKNOWN_API_KEY: Right<'static> = (401, "UNAUTHORIZED", "deny api_key_unknown");
pub const REVOKED: Right<'static> = (401, "UNAUTHORIZED", "deny token_revoked");
pub const NO_KEYS: Right<'static> = (503, "AUTH_UNAVAILABLE", "deny keys_unavailable");
pub const NO_CLIENTS: Right<'static> = (503, "AUTH_UNAVAILABLE", "deny clients_unavailable");
pub const NO_LIST: Right<'static> = (503, "AUTH_UNAVAILABLE", "deny revocation_list_unavailable");
/// The worker has no filter that works.
pub const FAILED: Right<'static> = (503, "SERVICE_UNAVAILABLE", "deny wasm_fail_stream");
/// The filter of its worker failed when it had been forwarded.
pub const UNDER_WAY: Right<'static> = (503, "SERVICE_UNAVAILABLE", "allow allowed");
/// The head of an answer came, and its body broke off.
pub const CUT_OFF: Right<'static> = (200, "cut off", "allow allowed UPE");
/// Envoy sheds load.
pub const SHED: Right<'static> = (503, "SERVICE_UNAVAILABLE", "deny overload");

/// Everything works.
pub const WELL: Allowed<'static> =
    &[("static", &[ANSWERED]), ("good", &[SERVED]), ("no token", &[NO_TOKEN]), ("forged", &[FORGED])];

/// Nobody can say whether a token is good; what needs none goes on.
pub const KEYLESS: Allowed<'static> =
    &[("static", &[ANSWERED]), ("good", &[NO_KEYS]), ("no token", &[NO_TOKEN]), ("forged", &[NO_KEYS])];

/// Everything works but this.
pub fn but<'a>(these: &[(&'a str, &'a [Right<'a>])]) -> Vec<(&'a str, &'a [Right<'a>])> {
    over(these, WELL)
}

/// The same but this.
pub fn over<'a>(
    these: &[(&'a str, &'a [Right<'a>])],
    those: &[(&'a str, &'a [Right<'a>])],
) -> Vec<(&'a str, &'a [Right<'a>])> {
    [these, those].concat()
}

/// Every sort is answered with this.
pub fn all<'a>(right: &'a [Right<'a>]) -> Vec<(&'a str, &'a [Right<'a>])> {
    WELL.iter().map(|(sort, _)| (*sort, right)).collect()
}

/// Both what is right in one state and in another, while the gateway goes from one to the other.
pub fn either<'a>(these: Allowed<'a>, those: Allowed<'a>) -> Vec<(&'a str, Vec<Right<'a>>)> {
    let found = |sort: &str| those.iter().find(|(name, _)| *name == sort).map(|(_, answers)| *answers);
    these.iter().map(|(sort, answers)| (*sort, [*answers, found(sort).unwrap_or_default()].concat())).collect()
}

/// The same as a look at it.
pub fn slices<'a>(these: &'a [(&'a str, Vec<Right<'a>>)]) -> Vec<(&'a str, &'a [Right<'a>])> {
    these.iter().map(|(sort, answers)| (*sort, answers.as_slice())).collect()
}

/// What is right for one sort.
pub fn of<'a>(allowed: Allowed<'a>, sort: &str) -> Result<&'a [Right<'a>]> {
    let row = allowed.iter().find(|(name, _)| *name == sort);
    row.map(|(_, may_be)| *may_be).with_context(|| format!("nothing is said about `{sort}`"))
}

/// One line of the access log.
#[derive(Debug)]
pub struct Record {
    pub id: String,
    pub status: u64,
    /// In the words of a [`Right`].
    pub says: String,
}

impl Record {
    /// None for a line of the log that is no record.
    pub fn read(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        let text = |at| record.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let status = record.get("status")?;
        let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
        let failure = text("/audit/failure").split('{').next().unwrap_or_default();
        let uncounted = text("/audit/uncounted");
        let uncounted = if uncounted.is_empty() { String::new() } else { format!("uncounted {uncounted}") };
        // What went well for the gateway and not in the end: Envoy's flags say it.
        let flags = if status < 400 { text("/flags").trim_start_matches('-') } else { "" };
        let said = [text("/audit/decision"), text("/audit/reason"), failure, &uncounted, flags];
        let says = said.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        Some(Self { id: text("/audit/request_id").to_owned(), status, says })
    }
}

/// What a row may lose; by default nothing.
#[derive(Debug, Default)]
pub struct Loss {
    /// So many requests may have got no answer.
    pub under_way: usize,
    /// Who was answered in this span may be without a record: it was still in memory.
    pub unwritten: Option<Range<Instant>>,
}

/// Each answered request has exactly one record, with the answer's status and what its row says of such an answer.
pub fn one_each(sent: &[Sent], allowed: Allowed<'_>, loss: &Loss, records: &[Record]) -> Result<()> {
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
            anyhow::bail!("{} records of a `{}` that was answered {answer:?}: {found:?}", found.len(), one.sort)
        };
        let same = record.status == u64::from(answer.status);
        ensure!(same, "`{}` is recorded as {record:?}, answered {answer:?}", one.sort);
        let fits = may_be.iter().any(|right| answers(right, answer) && right.2 == record.says);
        ensure!(fits, "`{}` was answered {answer:?} and recorded as `{}`: only {may_be:?}", one.sort, record.says);
        // Who cannot be served now is told when to come again; a filter that failed can tell nobody anything.
        let by_nobody = [FAILED, UNDER_WAY].iter().any(|right| record.says == right.2);
        let told = answer.status != 503 || by_nobody || answer.retry_after.is_some();
        ensure!(told, "`{}` got a 503 without Retry-After, recorded as `{}`", one.sort, record.says);
    }
    Ok(())
}

/// What a client got. None that is whole is where a row speaks of one that is cut off.
pub fn seen(one: &Sent, may_be: &[Right<'_>]) -> Result<Answer, String> {
    match &one.answer {
        Err(_) if may_be.contains(&CUT_OFF) => {
            Ok(Answer { status: CUT_OFF.0, code: CUT_OFF.1.to_owned(), retry_after: None })
        }
        answer => answer.clone(),
    }
}

/// Whether an answer is this one, as far as its client can tell.
pub fn answers(right: &Right<'_>, answer: &Answer) -> bool {
    right.0 == answer.status && right.1 == answer.code
}
