//! Calls to rate limit services: a bounded number at a time, and at most one for each key of a limit.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::call::{Answer, Call, CallId, CallRequest};
use super::command::{Command, Level};
use super::log;
use super::metrics::{CallOutcome, Count};
use crate::policy::limits::rate_limit_client::{CallFault, HealthChange, Quotas, Service, wire};
use crate::policy::verdict::wait::LeaseId;

/// The running calls of one worker.
#[derive(Debug, Default)]
pub struct QuotaCalls {
    /// The running calls, each with its deadline and its service.
    running: HashMap<LeaseId, (Duration, Rc<Service>)>,
    /// Whether the cluster is at its request limit. If so, no call starts before another call ends.
    is_full: bool,
}

impl QuotaCalls {
    /// Returns the next pending call, unless too many are running.
    pub fn next_call(&mut self, quotas: &mut Quotas, now: Duration) -> Option<Call> {
        if self.is_full || self.running.len() >= MAX_CALLS {
            self.running.retain(|_, (ends_at, _)| now < *ends_at);
        }
        self.is_full &= !self.running.is_empty();
        if self.is_full || self.running.len() >= MAX_CALLS {
            return None;
        }
        let call = quotas.poll_call(now)?;
        let ends_at = now + call.timeout + LONGEST_DELAY;
        self.running.insert(call.lease, (ends_at, call.service.clone()));
        Some(Call {
            id: CallId::Quota(call.lease),
            cluster: call.service.cluster.clone(),
            timeout: call.timeout,
            request: CallRequest::Grpc { service: wire::SERVICE, method: wire::METHOD, message: call.message },
        })
    }

    /// Handles the result of a call. Returns `false` if no waiting request can be decided with the result.
    pub fn on_answer(
        &mut self,
        lease: LeaseId,
        answer: Answer<'_>,
        quotas: &mut Quotas,
        now: Duration,
        commands: &mut Vec<Command>,
    ) -> bool {
        let Some((_, service)) = self.running.remove(&lease) else { return false };
        self.is_full = false;
        let message = match answer {
            // Other calls are running, so the cluster may be at its request limit. This is not a failure of the service.
            Answer::NotStarted if !self.running.is_empty() => {
                quotas.put_off(lease);
                self.is_full = true;
                return false;
            }
            Answer::NotStarted => Err(CallFault::NotMade),
            Answer::Message(message) => Ok(message.bytes(MAX_ANSWER_BYTES).unwrap_or_default()),
            Answer::Status(status) => Err(CallFault::Status(status)),
            Answer::Http(_) => Err(CallFault::Unreadable),
        };
        let outcome = match &message {
            Ok(_) => CallOutcome::Ok,
            Err(CallFault::NotMade) => CallOutcome::NotStarted,
            Err(_) => CallOutcome::Failed,
        };
        commands.push(Command::Count(Count::Call("rate limit", service.cluster.as_str().into(), outcome)));
        match quotas.handle_answer(lease, message.as_deref().map_err(|fault| *fault), now) {
            Some(HealthChange::Paused(fault)) => {
                let text = format!("the rate limit service is not called for one second: {fault:?}");
                commands.push(log(Level::Warn, text));
            }
            Some(HealthChange::Resumed) => {
                commands.push(log(Level::Info, "the rate limit service answers again".to_string()))
            }
            None => {}
        }
        true
    }
}

/// The maximum number of concurrent calls of one worker. Envoy's limit for a cluster (1024 by default) applies to all workers
/// together. A call beyond Envoy's limit fails, although the service works.
const MAX_CALLS: usize = 100;

/// A call without a result is removed from the running calls this long after its timeout.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The maximum size of a response, which contains a code, a status and a few headers.
const MAX_ANSWER_BYTES: usize = 16_384;
