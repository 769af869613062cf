//! The body of the explained request: where it comes from, what it adds to the headers, and the verdict about it.

use std::time::Duration;

use crate::cli::{Failure, files};
use crate::policy::Policy;
use crate::policy::audit::Outcome;
use crate::policy::bounds::ByteBound;
use crate::policy::checks::body::Body;
use crate::policy::decision::{Decision, Verdict};
use crate::policy::world::Step;

/// The bytes: the text itself, or what the file after `@` holds.
pub fn read(given: Option<&str>) -> Result<Vec<u8>, Failure> {
    match given.map(|text| (text, text.strip_prefix('@'))) {
        None => Ok(Vec::new()),
        Some((_, Some(file))) => Ok(files::read(file)?),
        Some((text, None)) => Ok(text.as_bytes().to_vec()),
    }
}

/// Adds the length that a client would send along.
pub fn announce(request: &mut Vec<(String, String)>, body: &[u8]) {
    let named = |(name, _): &(String, String)| name == "content-length" || name == "transfer-encoding";
    if !body.is_empty() && !request.iter().any(named) {
        request.push(("content-length".to_string(), body.len().to_string()));
    }
}

/// The verdict once the body is there too. Where the body decides, nothing was on its way before.
pub fn judge<'r>(
    policy: &Policy,
    verdict: Verdict<'r>,
    body: &[u8],
    now: Duration,
    trace: &mut Vec<Step>,
) -> Verdict<'r> {
    let Verdict { decision, mut audit, response } = verdict;
    match decision {
        Decision::Inspect(inspection) => {
            let verdict = policy.inspect(*inspection, Body::Whole(body), now);
            let refused = verdict.audit.outcome == Outcome::Deny;
            let finding = match refused {
                true => format!("refused: {}", verdict.audit.reason),
                false => "the body is what the route asks for".to_string(),
            };
            let onward = trace.pop_if(|step| step.stage == "forward");
            trace.push(Step { stage: "check", finding });
            trace.extend(onward.filter(|_| !refused));
            verdict
        }
        Decision::Forward(mut forward) => {
            if let Some(mut meter) = forward.take_meter() {
                // What cuts a body off has measured this one's announced length before.
                let room = ByteBound::new(policy.bounds().copied_bodies);
                let _too_large = meter.add(body.len(), body, &room);
                if let Some(remark) = meter.finish() {
                    audit.remark(remark);
                }
            }
            Verdict { decision: Decision::Forward(forward), audit, response }
        }
        decision => Verdict { decision, audit, response },
    }
}
