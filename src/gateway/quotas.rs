//! Schedules the calls to rate limit services: at most 100 at a time in one worker, and at most one for each bucket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Answer, Call, CallId, CallRequest};
use super::command::{Command, Level};
use super::log;
use super::metrics::{CallOutcome, Count};
use crate::policy::limits::rate_limit_client::{CallFault, HealthChange, Quotas, Service, wire};
use crate::policy::verdict::wait::LeaseId;

/// The running calls of one worker to rate limit services.
#[derive(Debug, Default)]
pub struct QuotaCalls {
    /// The running calls by bucket. Each call has its service, and the time after which the worker no longer expects the result.
    running: HashMap<LeaseId, (Duration, Arc<Service>)>,
    /// Whether Envoy could not start a call while others were running, probably because the cluster reached its limit of
    /// concurrent requests. While this is set, no call starts until another call ends.
    is_full: bool,
}

impl QuotaCalls {
    /// Returns the next call to start. Returns `None` if no call is due, or if too many calls are running.
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

    /// Handles the result of a call. Returns `true` if the requests that wait for the call can be decided now.
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
            // While other calls are running, the service is probably healthy, and the cluster has reached its limit of concurrent
            // requests.
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

/// The maximum number of concurrent calls of one worker. It is low, because all workers together share Envoy's limit for a
/// cluster, by default 1024 requests, and a call beyond this limit fails.
const MAX_CALLS: usize = 100;

/// After the timeout of a call, the worker expects the result for this additional time. After that, the call no longer counts as
/// running.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The maximum size of a response message in bytes. A message contains a code, a status for each descriptor and a few headers.
const MAX_ANSWER_BYTES: usize = 16_384;
