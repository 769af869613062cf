//! Asks rate limit services what the core wants to know, and hands their answers in.

use std::collections::HashMap;
use std::time::Duration;

use proxy_wasm::types::LogLevel;

use super::host::{self, GrpcCall};
use crate::policy::quota::{AccountId, Fault, Quotas, Turn, wire};

/// What this worker knows of shared limits, and the calls that are under way.
#[derive(Debug)]
pub struct Ledger {
    /// What was granted and refused.
    pub quotas: Quotas,
    /// The calls under way: whose answer each brings, and when it must have ended.
    running: HashMap<u32, (AccountId, Duration)>,
}

impl Ledger {
    /// Nothing asked yet.
    pub fn new() -> Ledger {
        Ledger { quotas: Quotas::new(MOST_ACCOUNTS), running: HashMap::new() }
    }

    /// Makes the calls that are wanted, as many as may run at the same time; the others follow when these have ended. Returns
    /// `false` if a call failed immediately, so that requests waiting for it can be decided now.
    pub fn make_calls(&mut self, now: Duration) -> bool {
        if self.running.len() >= MOST_CALLS {
            self.running.retain(|_, (_, ends_at)| now < *ends_at);
        }
        let mut all = true;
        while self.running.len() < MOST_CALLS {
            let Some(call) = self.quotas.poll_call(now) else { break };
            let made = host::grpc_call(&GrpcCall {
                upstream: &wire::grpc_service(&call.service.cluster),
                service: wire::SERVICE,
                method: wire::METHOD,
                message: &call.message,
                timeout: call.timeout,
            });
            match made {
                Some(token) => {
                    self.running.insert(token, (call.account, now + call.timeout + LONGEST_DELAY));
                }
                // The cluster may be at its limit of requests, which does not mean that the service failed.
                None if !self.running.is_empty() => {
                    self.quotas.put_off(call.account);
                    break;
                }
                None => {
                    all = false;
                    self.note(call.account, Err(Fault::NotMade), now);
                }
            }
        }
        all
    }

    /// The answer to a call: a message of this size, or the status without one. Whose account it was about.
    pub fn handle_answer(&mut self, call: u32, answer: Result<usize, u32>, now: Duration) -> Option<AccountId> {
        let (account, _) = self.running.remove(&call)?;
        let message = answer.map(|size| host::grpc_message(size, MOST_ANSWER_BYTES).unwrap_or_default());
        self.note(account, message.as_deref().map_err(|status| Fault::Status(*status)), now);
        Some(account)
    }

    fn note(&mut self, account: AccountId, answer: Result<&[u8], Fault>, now: Duration) {
        match self.quotas.handle_answer(account, answer, now) {
            Some(Turn::Paused(fault)) => {
                host::log(LogLevel::Warn, &format!("the rate limit service is not asked for a second: {fault:?}"));
            }
            Some(Turn::Resumed) => host::log(LogLevel::Info, "the rate limit service answers again"),
            None => {}
        }
    }
}

/// Calls of one worker that run at the same time. Envoy's own bound for a cluster, 1024 unless configured, is for all workers
/// together: a call beyond it fails, and must not look as if the service had failed.
const MOST_CALLS: usize = 100;

/// A call that is not heard of for this long after its time is forgotten.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Callers whose accounts one worker keeps.
const MOST_ACCOUNTS: usize = 10_000;

/// Longer answers are none: one holds a code, a status and a few headers.
const MOST_ANSWER_BYTES: usize = 16_384;
