//! Calls to rate limit services: as many at a time as a service can take, and one for each account.

use std::collections::HashMap;
use std::time::Duration;

use super::call::{Answer, Call, CallId, CallRequest};
use super::command::{Command, Level};
use super::log;
use crate::policy::limits::rate_limit_client::{Fault, Quotas, Turn, wire};
use crate::policy::verdict::wait::AccountId;

/// The calls of one worker that are under way.
#[derive(Debug, Default)]
pub struct QuotaCalls {
    /// Each with the time when it must have ended.
    running: HashMap<AccountId, Duration>,
    /// The cluster is at its limit: no call starts before one has ended.
    is_full: bool,
}

impl QuotaCalls {
    /// The next call that is wanted, if one more may run.
    pub fn next_call(&mut self, quotas: &mut Quotas, now: Duration) -> Option<Call> {
        if self.running.len() >= MAX_CALLS {
            self.running.retain(|_, ends_at| now < *ends_at);
        }
        self.is_full &= !self.running.is_empty();
        if self.is_full || self.running.len() >= MAX_CALLS {
            return None;
        }
        let call = quotas.poll_call(now)?;
        self.running.insert(call.account, now + call.timeout + LONGEST_DELAY);
        Some(Call {
            id: CallId::Quota(call.account),
            cluster: call.service.cluster.clone(),
            timeout: call.timeout,
            request: CallRequest::Grpc { service: wire::SERVICE, method: wire::METHOD, message: call.message },
        })
    }

    /// Takes the answer to a call. Returns `false` if nobody waits for it any more.
    pub fn on_answer(
        &mut self,
        account: AccountId,
        answer: Answer<'_>,
        quotas: &mut Quotas,
        now: Duration,
        commands: &mut Vec<Command>,
    ) -> bool {
        if self.running.remove(&account).is_none() {
            return false;
        }
        self.is_full = false;
        let message = match answer {
            // The cluster may be at its limit of requests, which does not mean that the service failed.
            Answer::NotStarted if !self.running.is_empty() => {
                quotas.put_off(account);
                self.is_full = true;
                return false;
            }
            Answer::NotStarted => Err(Fault::NotMade),
            Answer::Message(message) => Ok(message.bytes(MAX_ANSWER_BYTES).unwrap_or_default()),
            Answer::Status(status) => Err(Fault::Status(status)),
            Answer::Http(_) => Err(Fault::Unreadable),
        };
        match quotas.handle_answer(account, message.as_deref().map_err(|fault| *fault), now) {
            Some(Turn::Paused(fault)) => {
                let text = format!("the rate limit service is not asked for a second: {fault:?}");
                commands.push(log(Level::Warn, text));
            }
            Some(Turn::Resumed) => commands.push(log(Level::Info, "the rate limit service answers again".to_string())),
            None => {}
        }
        true
    }
}

/// Calls of one worker that run at the same time. Envoy's own bound for a cluster, 1024 unless configured, is for all workers
/// together: a call beyond it fails, and must not look as if the service had failed.
const MAX_CALLS: usize = 100;

/// A call without an answer is forgotten this long after its timeout.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Bound on an answer, which holds a code, a status and a few headers.
const MAX_ANSWER_BYTES: usize = 16_384;
