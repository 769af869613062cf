//! Checks requests against limits that a rate limit service counts for several proxies, and schedules the calls to the service.
//!
//! This module performs no I/O. The gateway asks for due calls, makes them, and passes in the answers.

mod health;
mod lease;
pub mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::policy::verdict::wait::LeaseId;
use health::Health;
use lease::Lease;
pub use lease::{LeaseTerms, QuotaState};

/// The rate limit service of a policy.
#[derive(Debug)]
pub struct Service {
    /// The Envoy cluster to which calls are sent.
    pub cluster: String,
    /// The `domain` field of all requests to the service, which separates the limits of this gateway from other limits.
    pub domain: String,
}

/// A limit that a rate limit service counts.
#[derive(Debug)]
pub struct SharedLimit {
    /// The rate limit service that counts the limit.
    pub service: Arc<Service>,
    /// How many hits the filter requests in one call, and how long a call may take.
    pub terms: LeaseTerms,
}

/// A call to a rate limit service that the gateway must make now.
#[derive(Debug)]
pub struct QuotaCall {
    /// The lease in [`Quotas`] that receives the answer.
    pub lease: LeaseId,
    /// The service, with its Envoy cluster and rate limit domain.
    pub service: Arc<Service>,
    /// The time after which Envoy ends the call.
    pub timeout: Duration,
    /// The encoded `RateLimitRequest`.
    pub message: Vec<u8>,
}

/// The reason why a call gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// The call could not start: unknown cluster, no healthy endpoint, or too many calls.
    NotMade,
    /// The call ended with this gRPC status and no message.
    Status(u32),
    /// The message contains no valid decision.
    Unreadable,
}

/// A change in the health of a rate limit service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// The filter makes no calls for a while, because too many calls in a row failed. Contains the fault of the last call.
    Paused(CallFault),
    /// The service answers calls again after a pause.
    Resumed,
}

/// The state of a limit for one descriptor, as reported by the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemainingQuota {
    /// The number of hits that the limit allows per window; `None` if the service did not report it.
    pub limit: Option<u32>,
    /// The number of hits that remain in the window; `None` if the service did not report it.
    pub remaining: Option<u32>,
    /// The time until the service resets the limit; `None` if the service did not report it, or if the time has passed.
    pub reset: Option<Duration>,
}

/// The leases of this worker, one for each descriptor, up to a maximum number. A descriptor identifies one bucket of one limit at
/// the service. Times are durations since the Unix epoch.
#[derive(Debug)]
pub struct Quotas {
    slots: Vec<LeaseSlot>,
    index: HashMap<Arc<[u8]>, u32>,
    most: usize,
    /// The index of the slot at which the next search for a lease to evict starts (the hand of the clock algorithm).
    hand: usize,
    wanted: VecDeque<LeaseId>,
    health: Health,
}

#[derive(Debug)]
struct LeaseSlot {
    /// The descriptor, which is the key of the lease.
    descriptor: Arc<[u8]>,
    limit: Arc<SharedLimit>,
    turn: u32,
    lease: Lease,
    used: bool,
}

impl Quotas {
    /// Creates an empty set that can contain up to `most` leases.
    pub fn new(most: usize) -> Quotas {
        let (slots, index, wanted) = (Vec::new(), HashMap::new(), VecDeque::new());
        Quotas { slots, index, most: most.max(1), hand: 0, wanted, health: Health::default() }
    }

    /// Returns whether a request may spend one hit of `limit` for this descriptor. `received_at` is the time when the request
    /// was received. Only [`Self::spend`] spends the hit, so a request that another limit refuses costs no hit.
    pub fn check(
        &mut self,
        limit: &Arc<SharedLimit>,
        descriptor: &[u8],
        received_at: Duration,
        now: Duration,
    ) -> (LeaseId, QuotaState) {
        let id = self.lease(limit, descriptor, now);
        let (is_paused, slot) = (self.health.is_paused(now), self.slots.get_mut(id.slot as usize));
        let Some(slot) = slot else { return (id, QuotaState::Failed) };
        slot.used = true;
        let wanted = slot.lease.wants();
        let state = slot.lease.check(received_at, now);
        if slot.lease.wants() && is_paused {
            slot.lease.failed(now);
            return (id, QuotaState::Failed);
        }
        if slot.lease.wants() && !wanted {
            self.wanted.push_back(id);
            self.drop_evicted_calls();
        }
        // A late call usually means that the worker is busy. If the last call failed, however, the service is the more likely
        // cause.
        let fails = self.health.is_failing() && state == QuotaState::Late;
        (id, if fails { QuotaState::Failed } else { state })
    }

    /// Spends one hit of a lease, if the lease has a hit.
    pub fn spend(&mut self, id: LeaseId) {
        if let Some(slot) = self.slot(id) {
            slot.lease.spend();
        }
    }

    /// Returns the state of a lease's limit, as reported by the service.
    pub fn remaining(&mut self, id: LeaseId, now: Duration) -> RemainingQuota {
        self.slot(id).map(|slot| slot.lease.remaining(now)).unwrap_or_default()
    }

    /// Returns the next call to make. The call requests hits for all requests that wait for this lease.
    pub fn poll_call(&mut self, now: Duration) -> Option<QuotaCall> {
        let is_patient = self.health.is_patient(now);
        while let Some(lease) = self.wanted.pop_front() {
            let Some(slot) = self.slot(lease).filter(|slot| slot.lease.wants()) else { continue };
            let limit = slot.limit.clone();
            let (hits, timeout) = slot.lease.ask(&limit.terms, is_patient, now);
            let message = wire::request(&limit.service.domain, &slot.descriptor, hits);
            return Some(QuotaCall { lease, service: limit.service.clone(), timeout, message });
        }
        None
    }

    /// Puts a call that could not start back into the queue. The gateway makes the call when other calls have ended.
    pub fn put_off(&mut self, id: LeaseId) {
        if let Some(slot) = self.slot(id) {
            slot.lease.put_off();
            self.wanted.push_front(id);
        }
    }

    /// Handles the answer or failure of a call. Ignores an answer for an evicted lease.
    pub fn handle_answer(
        &mut self,
        id: LeaseId,
        answer: Result<&[u8], CallFault>,
        now: Duration,
    ) -> Option<HealthChange> {
        let read = answer.and_then(|bytes| wire::answer(bytes).ok_or(CallFault::Unreadable));
        let is_healthy = !self.health.is_failing();
        if let Some(slot) = self.slot(id) {
            match &read {
                Ok(answer) => slot.lease.answered(answer, now),
                // The filter decides the waiting requests again, and they start one more call.
                Err(CallFault::Status(_)) if is_healthy && slot.lease.try_again() => {
                    self.health.be_patient(now);
                    return None;
                }
                Err(CallFault::Status(_)) if slot.lease.is_late(now) => {
                    slot.lease.abandon(now);
                    return None;
                }
                Err(_) => slot.lease.failed(now),
            }
        }
        self.health.note(read.err(), now)
    }

    /// Returns the number of leases.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns `true` if there are no leases.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Removes evicted leases from the queue of wanted calls, so that the queue stays bounded.
    fn drop_evicted_calls(&mut self) {
        if self.wanted.len() > self.most {
            let slots = &self.slots;
            self.wanted.retain(|id| {
                let slot = slots.get(id.slot as usize).filter(|slot| slot.turn == id.turn);
                slot.is_some_and(|slot| slot.lease.wants())
            });
        }
    }

    fn slot(&mut self, id: LeaseId) -> Option<&mut LeaseSlot> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.turn == id.turn)
    }

    /// Returns the lease of this descriptor. Creates the lease if it does not exist.
    fn lease(&mut self, limit: &Arc<SharedLimit>, descriptor: &[u8], now: Duration) -> LeaseId {
        if let Some(slot) = self.index.get(descriptor).copied()
            && let Some(found) = self.slots.get(slot as usize)
        {
            return LeaseId { slot, turn: found.turn };
        }
        let key: Arc<[u8]> = descriptor.into();
        let new = |turn| LeaseSlot {
            descriptor: key.clone(),
            limit: limit.clone(),
            turn,
            lease: Lease::default(),
            used: true,
        };
        let slot = if self.slots.len() < self.most {
            self.slots.push(new(0));
            self.slots.len() - 1
        } else {
            let slot = self.slot_to_evict(now);
            if let Some(old) = self.slots.get_mut(slot) {
                self.index.remove(&old.descriptor);
                *old = new(old.turn.wrapping_add(1));
            }
            slot
        };
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.index.insert(key, slot);
        LeaseId { slot, turn: self.slots.get(slot as usize).map_or(0, |slot| slot.turn) }
    }

    /// Chooses the slot of a lease to evict, with the clock algorithm: the search starts where the previous search stopped. It
    /// returns the first lease whose eviction loses nothing. If there is none, it prefers a lease that was not used since an
    /// earlier search passed it. The search examines only a few slots, so that it costs a request little time. The unspent hits
    /// of an evicted lease are lost, but the service counts them until their window ends.
    fn slot_to_evict(&mut self, now: Duration) -> usize {
        let count = self.slots.len().max(1);
        let mut second_best = self.hand % count;
        for _ in 0..MAX_EVICTION_STEPS {
            let at = self.hand % count;
            self.hand = at + 1;
            let Some(slot) = self.slots.get_mut(at) else { continue };
            if slot.lease.is_idle(now) {
                return at;
            }
            if !std::mem::take(&mut slot.used) && !slot.lease.is_asking() && !slot.lease.wants() {
                second_best = at;
            }
        }
        second_best
    }
}

/// The maximum number of slots that one search for a lease to evict examines.
const MAX_EVICTION_STEPS: usize = 16;

#[cfg(test)]
mod tests;
