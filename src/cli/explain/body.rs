//! Handles the body of the explained request: reads it, adds its length to the headers, and reports the verdict on it.

use crate::cli::{Failure, files};
use crate::gateway::simulation::Sent;
use crate::policy::verdict::audit::AuditRecord;
use crate::policy::world::TraceStep;

/// Returns the bytes of the body. The argument is the body itself, or `@` and the name of a file.
pub fn read(given: Option<&str>) -> Result<Vec<u8>, Failure> {
    match given.map(|text| (text, text.strip_prefix('@'))) {
        None => Ok(Vec::new()),
        Some((_, Some(file))) => Ok(files::read(file)?),
        Some((text, None)) => Ok(text.as_bytes().to_vec()),
    }
}

/// Adds the `content-length` header that a client would send, unless the request already has `content-length` or
/// `transfer-encoding`.
pub fn announce(request: &mut Vec<(String, String)>, body: &[u8]) {
    let named = |(name, _): &(String, String)| name == "content-length" || name == "transfer-encoding";
    if !body.is_empty() && !request.iter().any(named) {
        request.push(("content-length".to_string(), body.len().to_string()));
    }
}

/// Adds the verdict on the body to the trace, before the step `forward`. Removes that step if the request was refused. Does
/// nothing if the filter did not inspect the body.
pub fn note_judgement(sent: &Sent, audit: &AuditRecord, trace: &mut Vec<TraceStep>) {
    if !sent.was_inspected {
        return;
    }
    let finding = match sent.reply {
        Some(_) => format!("refused: {}", audit.reason),
        None => "the body meets the route's requirements".to_string(),
    };
    let onward = trace.pop_if(|step| step.stage == "forward");
    trace.push(TraceStep { stage: "check", finding });
    trace.extend(onward.filter(|_| sent.reply.is_none()));
}
