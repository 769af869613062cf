//! Limits that a rate limit service counts for many proxies at once: what was granted, what was refused, whom to ask next.
//!
//! It calls nobody. An adapter asks which calls are due, makes them, and hands the answers in.

mod account;
mod health;
pub mod wire;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::policy::verdict::wait::AccountId;
use account::Account;
pub use account::{Standing, Terms};
use health::Health;

/// A rate limit service of a policy.
#[derive(Debug)]
pub struct Service {
    /// Envoy cluster, for the call.
    pub cluster: String,
    /// The domain that the service knows these limits by.
    pub domain: String,
}

/// A limit that a service counts.
#[derive(Debug)]
pub struct SharedLimit {
    /// Who counts.
    pub service: Rc<Service>,
    /// How hits are taken.
    pub terms: Terms,
}

/// A call to make.
#[derive(Debug)]
pub struct Call {
    /// Whose answer it brings.
    pub account: AccountId,
    /// Through which Envoy cluster, in which domain.
    pub service: Rc<Service>,
    /// How long it may take.
    pub timeout: Duration,
    /// The request message.
    pub message: Vec<u8>,
}

/// Why a call brought no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such cluster, nobody in it, or too much under way.
    NotMade,
    /// The call ended with this gRPC status and without a message.
    Status(u32),
    /// The message says neither yes nor no.
    Unreadable,
}

/// A change in how a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It failed too often, the last time like this, and is left alone for a while.
    Paused(Fault),
    /// It answers again.
    Resumed,
}

/// What is left of a limit for one key, as far as the service told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The limit.
    pub limit: Option<u32>,
    /// What remains of it.
    pub remaining: Option<u32>,
    /// How long until it is whole again.
    pub reset: Option<Duration>,
}

/// The accounts of all keys, so many at the most. Times are since the Unix epoch, as the caller's clock says.
#[derive(Debug)]
pub struct Quotas {
    slots: Vec<Slot>,
    index: HashMap<Rc<[u8]>, u32>,
    most: usize,
    /// Where the search for an account to give up goes on.
    hand: usize,
    wanted: VecDeque<AccountId>,
    health: Health,
}

#[derive(Debug)]
struct Slot {
    /// The descriptor, which is the key.
    descriptor: Rc<[u8]>,
    limit: Rc<SharedLimit>,
    turn: u32,
    account: Account,
    used: bool,
}

impl Quotas {
    /// No accounts yet, and never more than `most`.
    pub fn new(most: usize) -> Quotas {
        let (slots, index, wanted) = (Vec::new(), HashMap::new(), VecDeque::new());
        Quotas { slots, index, most: most.max(1), hand: 0, wanted, health: Health::default() }
    }

    /// What a request that was received at `received_at` finds when it asks for one hit of `limit` for this descriptor.
    /// The hit is spent by [`Self::spend`] only, so that a request that another limit refuses costs none.
    pub fn standing(
        &mut self,
        limit: &Rc<SharedLimit>,
        descriptor: &[u8],
        received_at: Duration,
        now: Duration,
    ) -> (AccountId, Standing) {
        let id = self.account(limit, descriptor, now);
        let (is_paused, slot) = (self.health.is_paused(now), self.slots.get_mut(id.slot as usize));
        let Some(slot) = slot else { return (id, Standing::Failed) };
        slot.used = true;
        let wanted = slot.account.wants();
        let standing = slot.account.standing(received_at, now);
        if slot.account.wants() && is_paused {
            slot.account.failed(now);
            return (id, Standing::Failed);
        }
        if slot.account.wants() && !wanted {
            self.wanted.push_back(id);
            self.forget_given_up();
        }
        // While the service fails, a late call counts as its failure, not as a busy worker.
        let fails = self.health.is_failing() && standing == Standing::Late;
        (id, if fails { Standing::Failed } else { standing })
    }

    /// Spends one hit of an account that was found free.
    pub fn spend(&mut self, id: AccountId) {
        if let Some(slot) = self.slot(id) {
            slot.account.spend();
        }
    }

    /// What is left for the holder of an account.
    pub fn rest(&mut self, id: AccountId, now: Duration) -> Rest {
        self.slot(id).map(|slot| slot.account.rest(now)).unwrap_or_default()
    }

    /// The next call to make. What all requests wait for that came since the last one is asked for at once.
    pub fn poll_call(&mut self, now: Duration) -> Option<Call> {
        let is_patient = self.health.is_patient(now);
        while let Some(account) = self.wanted.pop_front() {
            let Some(slot) = self.slot(account).filter(|slot| slot.account.wants()) else { continue };
            let limit = slot.limit.clone();
            let (hits, timeout) = slot.account.ask(&limit.terms, is_patient, now);
            let message = wire::request(&limit.service.domain, &slot.descriptor, hits);
            return Some(Call { account, service: limit.service.clone(), timeout, message });
        }
        None
    }

    /// The call of this account cannot be made before others have ended.
    pub fn put_off(&mut self, id: AccountId) {
        if let Some(slot) = self.slot(id) {
            slot.account.put_off();
            self.wanted.push_front(id);
        }
    }

    /// The answer to a call, or its failure. One that comes for an account given up meanwhile changes none.
    pub fn handle_answer(&mut self, id: AccountId, answer: Result<&[u8], Fault>, now: Duration) -> Option<Turn> {
        let read = answer.and_then(|bytes| wire::answer(bytes).ok_or(Fault::Unreadable));
        let is_healthy = !self.health.is_failing();
        if let Some(slot) = self.slot(id) {
            match &read {
                Ok(answer) => slot.account.answered(answer, now),
                // The requests that wait are decided again, and ask once more.
                Err(Fault::Status(_)) if is_healthy && slot.account.try_again() => {
                    self.health.be_patient(now);
                    return None;
                }
                Err(Fault::Status(_)) if slot.account.is_late(now) => {
                    slot.account.give_up(now);
                    return None;
                }
                Err(_) => slot.account.failed(now),
            }
        }
        self.health.note(read.err(), now)
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Accounts that were given up while they wanted a call must not add up.
    fn forget_given_up(&mut self) {
        if self.wanted.len() > self.most {
            let slots = &self.slots;
            self.wanted.retain(|id| {
                let slot = slots.get(id.slot as usize).filter(|slot| slot.turn == id.turn);
                slot.is_some_and(|slot| slot.account.wants())
            });
        }
    }

    fn slot(&mut self, id: AccountId) -> Option<&mut Slot> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.turn == id.turn)
    }

    /// The account of this descriptor, a new one if need be.
    fn account(&mut self, limit: &Rc<SharedLimit>, descriptor: &[u8], now: Duration) -> AccountId {
        if let Some(slot) = self.index.get(descriptor).copied()
            && let Some(found) = self.slots.get(slot as usize)
        {
            return AccountId { slot, turn: found.turn };
        }
        let key: Rc<[u8]> = descriptor.into();
        let new = |turn| Slot {
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

    /// The slot of an account that can be missed best: the first idle one from here on, else one not used for a round.
    /// Looks at a few, so that no request pays for a search; hits that the account still holds are lost to their window.
    fn give_up_one(&mut self, now: Duration) -> usize {
        let count = self.slots.len().max(1);
        let mut second_best = self.hand % count;
        for _ in 0..MOST_LOOKED_AT {
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

/// How many accounts are looked at to find one that can be given up.
const MOST_LOOKED_AT: usize = 16;

#[cfg(test)]
mod tests;
