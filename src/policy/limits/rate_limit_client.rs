//! Limits that a rate limit service counts for several proxies: grants, refusals, and the next calls to make.
//!
//! This module performs no I/O. An adapter polls for due calls, makes them, and passes the answers in.

mod account;
mod health;
pub mod wire;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::policy::verdict::wait::AccountId;
use account::Account;
pub use account::{LeaseTerms, QuotaState};
use health::Health;

/// A rate limit service of a policy.
#[derive(Debug)]
pub struct Service {
    /// The Envoy cluster for calls.
    pub cluster: String,
    /// The rate limit domain of these limits.
    pub domain: String,
}

/// A limit that a service counts.
#[derive(Debug)]
pub struct SharedLimit {
    /// The service that counts.
    pub service: Rc<Service>,
    /// How hits are requested.
    pub terms: LeaseTerms,
}

/// A call to make.
#[derive(Debug)]
pub struct QuotaCall {
    /// The account that the answer is for.
    pub account: AccountId,
    /// The Envoy cluster and the domain.
    pub service: Rc<Service>,
    /// The timeout of the call.
    pub timeout: Duration,
    /// The request message.
    pub message: Vec<u8>,
}

/// The reason why a call had no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// The call could not start: unknown cluster, no healthy endpoint, or too many calls.
    NotMade,
    /// The call ended with this gRPC status and no message.
    Status(u32),
    /// The message contains no valid decision.
    Unreadable,
}

/// A change in the health of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// The service failed too often, most recently with this fault; calls pause for a while.
    Paused(CallFault),
    /// The service answers again.
    Resumed,
}

/// What is left of a limit for one key, as reported by the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemainingQuota {
    /// The limit.
    pub limit: Option<u32>,
    /// The remaining hits.
    pub remaining: Option<u32>,
    /// The time until the limit is full again.
    pub reset: Option<Duration>,
}

/// The accounts of all keys, up to a maximum number. Times are durations since the Unix epoch by the caller's clock.
#[derive(Debug)]
pub struct Quotas {
    slots: Vec<AccountSlot>,
    index: HashMap<Rc<[u8]>, u32>,
    most: usize,
    /// The clock hand: where the search for an account to evict continues.
    hand: usize,
    wanted: VecDeque<AccountId>,
    health: Health,
}

#[derive(Debug)]
struct AccountSlot {
    /// The descriptor, used as the key.
    descriptor: Rc<[u8]>,
    limit: Rc<SharedLimit>,
    turn: u32,
    account: Account,
    used: bool,
}

impl Quotas {
    /// Creates an empty set of at most `most` accounts.
    pub fn new(most: usize) -> Quotas {
        let (slots, index, wanted) = (Vec::new(), HashMap::new(), VecDeque::new());
        Quotas { slots, index, most: most.max(1), hand: 0, wanted, health: Health::default() }
    }

    /// Checks for one hit of `limit` for this descriptor, on behalf of a request received at `received_at`. Only
    /// [`Self::spend`] spends the hit, so a request that another limit refuses costs none.
    pub fn standing(
        &mut self,
        limit: &Rc<SharedLimit>,
        descriptor: &[u8],
        received_at: Duration,
        now: Duration,
    ) -> (AccountId, QuotaState) {
        let id = self.account(limit, descriptor, now);
        let (is_paused, slot) = (self.health.is_paused(now), self.slots.get_mut(id.slot as usize));
        let Some(slot) = slot else { return (id, QuotaState::Failed) };
        slot.used = true;
        let wanted = slot.account.wants();
        let standing = slot.account.standing(received_at, now);
        if slot.account.wants() && is_paused {
            slot.account.failed(now);
            return (id, QuotaState::Failed);
        }
        if slot.account.wants() && !wanted {
            self.wanted.push_back(id);
            self.forget_given_up();
        }
        // While the service fails, a late call counts as a failure of the service, not as a busy worker.
        let fails = self.health.is_failing() && standing == QuotaState::Late;
        (id, if fails { QuotaState::Failed } else { standing })
    }

    /// Spends one hit of an account with hits left.
    pub fn spend(&mut self, id: AccountId) {
        if let Some(slot) = self.slot(id) {
            slot.account.spend();
        }
    }

    /// Returns what is left of an account's limit.
    pub fn rest(&mut self, id: AccountId, now: Duration) -> RemainingQuota {
        self.slot(id).map(|slot| slot.account.rest(now)).unwrap_or_default()
    }

    /// Returns the next call to make. One call requests the hits for all requests that wait on the account.
    pub fn poll_call(&mut self, now: Duration) -> Option<QuotaCall> {
        let is_patient = self.health.is_patient(now);
        while let Some(account) = self.wanted.pop_front() {
            let Some(slot) = self.slot(account).filter(|slot| slot.account.wants()) else { continue };
            let limit = slot.limit.clone();
            let (hits, timeout) = slot.account.ask(&limit.terms, is_patient, now);
            let message = wire::request(&limit.service.domain, &slot.descriptor, hits);
            return Some(QuotaCall { account, service: limit.service.clone(), timeout, message });
        }
        None
    }

    /// Postpones the call of this account until others have ended.
    pub fn put_off(&mut self, id: AccountId) {
        if let Some(slot) = self.slot(id) {
            slot.account.put_off();
            self.wanted.push_front(id);
        }
    }

    /// Handles the answer or failure of a call. An answer for an evicted account is ignored.
    pub fn handle_answer(
        &mut self,
        id: AccountId,
        answer: Result<&[u8], CallFault>,
        now: Duration,
    ) -> Option<HealthChange> {
        let read = answer.and_then(|bytes| wire::answer(bytes).ok_or(CallFault::Unreadable));
        let is_healthy = !self.health.is_failing();
        if let Some(slot) = self.slot(id) {
            match &read {
                Ok(answer) => slot.account.answered(answer, now),
                // The waiting requests are decided again, and start one more call.
                Err(CallFault::Status(_)) if is_healthy && slot.account.try_again() => {
                    self.health.be_patient(now);
                    return None;
                }
                Err(CallFault::Status(_)) if slot.account.is_late(now) => {
                    slot.account.give_up(now);
                    return None;
                }
                Err(_) => slot.account.failed(now),
            }
        }
        self.health.note(read.err(), now)
    }

    /// Returns the number of accounts.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns `true` if there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Removes evicted accounts from the queue of wanted calls, so that it stays bounded.
    fn forget_given_up(&mut self) {
        if self.wanted.len() > self.most {
            let slots = &self.slots;
            self.wanted.retain(|id| {
                let slot = slots.get(id.slot as usize).filter(|slot| slot.turn == id.turn);
                slot.is_some_and(|slot| slot.account.wants())
            });
        }
    }

    fn slot(&mut self, id: AccountId) -> Option<&mut AccountSlot> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.turn == id.turn)
    }

    /// Returns the account of this descriptor, creating it if needed.
    fn account(&mut self, limit: &Rc<SharedLimit>, descriptor: &[u8], now: Duration) -> AccountId {
        if let Some(slot) = self.index.get(descriptor).copied()
            && let Some(found) = self.slots.get(slot as usize)
        {
            return AccountId { slot, turn: found.turn };
        }
        let key: Rc<[u8]> = descriptor.into();
        let new = |turn| AccountSlot {
            descriptor: key.clone(),
            limit: limit.clone(),
            turn,
            account: Account::default(),
            used: true,
        };
        let slot = if self.slots.len() < self.most {
            self.slots.push(new(0));
            self.slots.len() - 1
        } else {
            let slot = self.give_up_one(now);
            if let Some(old) = self.slots.get_mut(slot) {
                self.index.remove(&old.descriptor);
                *old = new(old.turn.wrapping_add(1));
            }
            slot
        };
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.index.insert(key, slot);
        AccountId { slot, turn: self.slots.get(slot as usize).map_or(0, |slot| slot.turn) }
    }

    /// Chooses a slot to evict: the first idle account from the clock hand on, or else one that was not used for a round. It
    /// looks at only a few slots, so that no request pays for a long search. Unspent hits of the evicted account are lost until
    /// their window ends.
    fn give_up_one(&mut self, now: Duration) -> usize {
        let count = self.slots.len().max(1);
        let mut second_best = self.hand % count;
        for _ in 0..MAX_LOOKED_AT {
            let at = self.hand % count;
            self.hand = at + 1;
            let Some(slot) = self.slots.get_mut(at) else { continue };
            if slot.account.is_idle(now) {
                return at;
            }
            if !std::mem::take(&mut slot.used) && !slot.account.is_asking() && !slot.account.wants() {
                second_best = at;
            }
        }
        second_best
    }
}

/// How many accounts the search for an eviction candidate looks at.
const MAX_LOOKED_AT: usize = 16;

#[cfg(test)]
mod tests;
