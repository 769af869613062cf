//! Tests of leases: workers admit at most the hits that the service grants, and at least the documented share of the limit.

use super::*;
use crate::protobuf::{Message, Wire, put_bytes, put_number};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod failures;

/// A rate limit service with one fixed window for all descriptors. `ServiceBehaviour` selects what it answers.
struct FixedWindowService {
    limit: u32,
    window: Duration,
    used: u32,
    began: Duration,
    calls: u32,
    habits: ServiceBehaviour,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ServiceBehaviour {
    /// Counts granted hits, and reports the remaining hits and the reset time.
    Exact,
    /// Like `Exact`, but also counts refused hits, as Envoy's reference service does.
    CountsRefused,
    /// Reports only whether the hits are granted.
    Terse,
}

impl FixedWindowService {
    fn new(limit: u32, habits: ServiceBehaviour) -> FixedWindowService {
        FixedWindowService { limit, window: WINDOW, used: 0, began: START, calls: 0, habits }
    }

    fn answer(&mut self, message: &[u8], now: Duration) -> Vec<u8> {
        let hits =
            Message(message).flatten().find_map(|f| if let Wire::Varint(3, n) = f { Some(n as u32) } else { None });
        let hits = hits.unwrap();
        self.calls += 1;
        while now >= self.began + self.window {
            self.began += self.window;
            self.used = 0;
        }
        let over = self.used + hits > self.limit;
        if !over || self.habits == ServiceBehaviour::CountsRefused {
            self.used = (self.used + hits).min(self.limit);
        }
        let mut out = Vec::new();
        put_number(&mut out, 1, if over { 2 } else { 1 });
        if self.habits != ServiceBehaviour::Terse {
            let (mut limit, mut reset, mut status) = (Vec::new(), Vec::new(), Vec::new());
            let left = self.began + self.window - now;
            put_number(&mut limit, 1, self.limit.into());
            put_number(&mut reset, 1, left.as_secs());
            put_number(&mut reset, 2, left.subsec_nanos().into());
            put_bytes(&mut status, 2, &limit);
            put_number(&mut status, 3, (self.limit - self.used).into());
            put_bytes(&mut status, 4, &reset);
            put_bytes(&mut out, 2, &status);
        }
        out
    }
}

/// The workers of several proxies, and their waiting requests. A call takes a millisecond.
struct Workers {
    quotas: Vec<Quotas>,
    limit: Arc<SharedLimit>,
    running: Vec<(Duration, usize, LeaseId, Vec<u8>)>,
    waiting: Vec<(usize, Duration)>,
    admitted: u32,
    refused: u32,
    failed: u32,
}

impl Workers {
    fn new(count: usize, most: u32) -> Workers {
        let quotas = (0..count).map(|_| Quotas::new(100)).collect();
        let (running, waiting) = (Vec::new(), Vec::new());
        Workers { quotas, limit: shared(Some(most)), running, waiting, admitted: 0, refused: 0, failed: 0 }
    }

    /// Simulates the arrival of a request, and starts the resulting calls at once.
    fn arrive(&mut self, counter: &mut FixedWindowService, worker: usize, now: Duration) {
        self.run(counter, now);
        self.decide(worker, now, now);
        self.make_calls(counter, now);
    }

    fn decide(&mut self, worker: usize, received_at: Duration, now: Duration) {
        let quotas = &mut self.quotas[worker];
        match quotas.check(&self.limit, b"key", received_at, now) {
            (id, QuotaState::Free) => {
                quotas.spend(id);
                self.admitted += 1;
            }
            (_, QuotaState::Over(until)) => {
                assert!(until > now);
                self.refused += 1;
            }
            (_, QuotaState::Wait(_)) => self.waiting.push((worker, received_at)),
            (_, QuotaState::Failed | QuotaState::Late) => self.failed += 1,
        }
    }

    fn make_calls(&mut self, counter: &mut FixedWindowService, now: Duration) {
        for (worker, quotas) in self.quotas.iter_mut().enumerate() {
            while let Some(call) = quotas.poll_call(now) {
                self.running.push((now + LATENCY, worker, call.lease, counter.answer(&call.message, now)));
            }
        }
    }

    /// Advances the time to `now`, and delivers the answers that are due.
    fn run(&mut self, counter: &mut FixedWindowService, now: Duration) {
        while let Some(at) = self.running.iter().position(|(due, ..)| *due <= now) {
            let (due, worker, id, bytes) = self.running.remove(at);
            self.quotas[worker].handle_answer(id, Ok(&bytes), due);
            let (mine, others) = std::mem::take(&mut self.waiting).into_iter().partition(|(w, _)| *w == worker);
            self.waiting = others;
            let mine: Vec<(usize, Duration)> = mine;
            mine.into_iter().for_each(|(worker, received_at)| self.decide(worker, received_at, due));
            self.make_calls(counter, due);
        }
    }
}

fn shared(most: Option<u32>) -> Arc<SharedLimit> {
    let service = Arc::new(Service { cluster: "limits".to_string(), domain: "portcullis".to_string() });
    let terms = LeaseTerms { most, span: Duration::from_secs(1), timeout: Duration::from_millis(20) };
    Arc::new(SharedLimit { service, terms })
}

/// Returns a pseudo-random number (xorshift) that does not depend on the arithmetic under test.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_window_admits_the_limit_less_unspent_hits() {
    for habits in [ServiceBehaviour::Exact, ServiceBehaviour::CountsRefused] {
        for (workers, most, limit) in [(1, 1, 10), (4, 1, 100), (4, 10, 400), (8, 50, 1_000), (2, 100, 300), (8, 5, 37)]
        {
            let mut seed = 0x9e37_79b9_7f4a_7c15 ^ u64::from(limit);
            let (mut counter, mut world) = (FixedWindowService::new(limit, habits), Workers::new(workers, most));
            // There are three windows. Each gets twice as many requests as the limit, spread unevenly over the first nine tenths
            // of the window.
            for window in 0..3_u32 {
                world.admitted = 0;
                for i in 0..limit * 2 {
                    let now = START + WINDOW * window + WINDOW * 9 / 10 * i / (limit * 2);
                    // Most requests arrive at the first worker, so that the other workers keep their unspent hits.
                    let pick = noise(&mut seed) as usize;
                    world.arrive(&mut counter, if pick.is_multiple_of(4) { pick / 4 % workers } else { 0 }, now);
                }
                world.run(&mut counter, START + WINDOW * window + WINDOW - LATENCY * 2);
                let lost = u32::try_from(workers).unwrap() * (most - 1)
                    + if habits == ServiceBehaviour::Exact { 0 } else { most };
                let (admitted, least) = (world.admitted, limit.saturating_sub(lost));
                assert!(admitted <= limit, "{admitted} of {limit}, {workers} workers with blocks of {most}");
                assert!(admitted >= least, "{admitted} of at least {least}, {workers} workers with blocks of {most}");
                assert_eq!(world.failed, 0);
                assert!(world.waiting.is_empty());
            }
        }
    }
}

#[test]
fn blocks_save_calls_for_busy_keys_and_prefetch_nothing_for_idle_ones() {
    let calls = |per_second: u32, most: u32, habits: ServiceBehaviour| {
        let (mut counter, mut world) = (FixedWindowService::new(100_000, habits), Workers::new(1, most));
        let requests = per_second * 9;
        for i in 0..requests {
            let now = START + Duration::from_secs(9) * i / requests;
            world.arrive(&mut counter, 0, now);
        }
        world.run(&mut counter, START + WINDOW);
        assert_eq!(world.admitted, requests);
        (counter.calls, counter.used)
    };
    let (without, _) = calls(100, 1, ServiceBehaviour::Exact);
    assert!(without > 850, "{without} calls for 900 requests");
    let (with, used) = calls(100, 1_000, ServiceBehaviour::Exact);
    assert!(with <= 20, "{with} calls for 900 requests");
    assert!(used <= 1_000 + 100, "{used} hits counted for 900 requests: about a second's worth may be too many");
    let (with, used) = calls(1, 1_000, ServiceBehaviour::Exact);
    assert!(with >= 5 && used <= 11, "{with} calls and {used} hits for 9 requests");
    let (terse, used) = calls(100, 1_000, ServiceBehaviour::Terse);
    assert!(terse > 800 && used == 900, "{terse} calls to a service that does not say when its windows end");
}

#[test]
fn waiting_requests_share_one_call_and_get_the_remaining_hits() {
    let (mut counter, mut world) = (FixedWindowService::new(30, ServiceBehaviour::Exact), Workers::new(1, 1));
    (0..100).for_each(|_| world.arrive(&mut counter, 0, START));
    world.run(&mut counter, START + Duration::from_millis(50));
    assert_eq!((world.admitted, world.refused, world.failed), (30, 70, 0));
    assert!(counter.calls <= 4, "{} calls", counter.calls);
    // Workers cache the refusal only until the window ends.
    (0..100).for_each(|_| world.arrive(&mut counter, 0, START + WINDOW / 2));
    assert_eq!((world.refused, counter.calls <= 4), (170, true));
    world.arrive(&mut counter, 0, START + WINDOW + LATENCY);
    world.run(&mut counter, START + WINDOW + LATENCY * 2);
    assert_eq!(world.admitted, 31);
}

#[test]
fn a_terse_service_still_grants_the_remaining_hits() {
    let (mut counter, mut world) = (FixedWindowService::new(30, ServiceBehaviour::Terse), Workers::new(1, 100));
    (0..100).for_each(|_| world.arrive(&mut counter, 0, START));
    world.run(&mut counter, START + Duration::from_millis(50));
    assert_eq!((world.admitted, world.refused, world.failed), (30, 70, 0));
}

#[test]
fn hits_of_one_window_are_not_spent_in_the_next() {
    let (mut counter, mut world) = (FixedWindowService::new(1_000, ServiceBehaviour::Exact), Workers::new(1, 100));
    for i in 0..100 {
        let now = START + Duration::from_millis(i * 5);
        world.arrive(&mut counter, 0, now);
    }
    world.run(&mut counter, START + Duration::from_secs(1));
    assert!(counter.used > world.admitted, "some hits are unspent");
    let calls = counter.calls;
    world.arrive(&mut counter, 0, START + WINDOW);
    world.run(&mut counter, START + WINDOW + LATENCY);
    assert_eq!(counter.calls, calls + 1, "the block expired with its window");
}

#[test]
fn ten_thousand_callers_stay_within_the_memory_bound() {
    let (limit, mut quotas) = (shared(Some(10)), Quotas::new(1_000));
    let mut counter = FixedWindowService::new(1_000_000, ServiceBehaviour::Exact);
    for caller in 0..10_000_u32 {
        let now = START + Duration::from_micros(u64::from(caller));
        let (id, _) = quotas.check(&limit, &caller.to_le_bytes(), now, now);
        let call = quotas.poll_call(now).unwrap();
        quotas.handle_answer(call.lease, Ok(&counter.answer(&call.message, now)), now);
        assert_eq!(quotas.check(&limit, &caller.to_le_bytes(), now, now).1, QuotaState::Free);
        quotas.spend(id);
        assert!(quotas.len() <= 1_000 && quotas.slots.len() <= 1_000);
    }
    assert_eq!(quotas.index.len(), quotas.slots.len());
}

#[test]
fn the_reported_rest_includes_unspent_hits() {
    let (mut counter, mut world) = (FixedWindowService::new(1_000, ServiceBehaviour::Exact), Workers::new(1, 100));
    for i in 0..40 {
        let now = START + Duration::from_millis(i * 10);
        world.arrive(&mut counter, 0, now);
    }
    let now = START + Duration::from_millis(400);
    world.run(&mut counter, now);
    let (id, _) = world.quotas[0].check(&world.limit, b"key", now, now);
    let rest = world.quotas[0].remaining(id, now);
    assert_eq!(rest.limit, Some(1_000));
    assert_eq!(rest.remaining, Some(1_000 - world.admitted));
    assert_eq!(rest.reset.map(|reset| reset.as_secs()), Some(9));
}

const START: Duration = Duration::from_secs(1_700_000_000);
const WINDOW: Duration = Duration::from_secs(10);
const LATENCY: Duration = Duration::from_millis(1);
