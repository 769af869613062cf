//! Tests of requests while the service fails, answers late, or never answers.

use super::{FixedWindowService, LATENCY, START, ServiceBehaviour, shared};
use crate::policy::limits::rate_limit_client::health::PAUSE;
use crate::policy::limits::rate_limit_client::*;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn failures_reach_the_waiting_requests_and_pause_calls() {
    let (limit, mut quotas) = (shared(None), Quotas::new(10));
    let mut now = START;
    let fail = |quotas: &mut Quotas, key: &[u8], now: &mut Duration| {
        assert!(matches!(quotas.check(&limit, key, *now, *now).1, QuotaState::Wait(_)));
        let received_at = *now;
        loop {
            let call = quotas.poll_call(*now).unwrap();
            *now += LATENCY;
            let turn = quotas.handle_answer(call.lease, Err(CallFault::Status(14)), *now);
            let state = quotas.check(&limit, key, received_at, *now).1;
            if state == QuotaState::Failed {
                *now += LATENCY;
                return turn;
            }
            assert!(matches!(state, QuotaState::Wait(_)) && turn.is_none(), "{state:?} {turn:?}");
        }
    };
    let turns = [b"a", b"b", b"c"].map(|key| fail(&mut quotas, key, &mut now));
    assert_eq!(turns, [None, None, Some(HealthChange::Paused(CallFault::Status(14)))]);
    assert_eq!(quotas.check(&limit, b"d", now, now).1, QuotaState::Failed, "after three failures no request waits");
    assert!(quotas.poll_call(now).is_none());
    now += PAUSE;
    assert!(fail(&mut quotas, b"e", &mut now).is_some(), "one more failure pauses calls again");
    assert_eq!(quotas.check(&limit, b"a", now, now).1, QuotaState::Failed);
    now += PAUSE;
    let (id, _) = quotas.check(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    assert_eq!(call.lease, id);
    assert_eq!(quotas.handle_answer(id, Ok(b"\x08\x07"), now), Some(HealthChange::Paused(CallFault::Unreadable)));
    now += PAUSE + LATENCY;
    quotas.check(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    assert_eq!(quotas.handle_answer(call.lease, Ok(b"\x08\x01"), now + LATENCY), Some(HealthChange::Resumed));
    assert_eq!(quotas.check(&limit, b"a", now, now + LATENCY).1, QuotaState::Free);
    quotas.check(&limit, b"b", now, now);
    assert!(quotas.poll_call(now).is_some(), "calls are made again");
}

#[test]
fn late_and_unexpected_answers_change_nothing() {
    let (limit, mut quotas) = (shared(None), Quotas::new(1));
    let (first, _) = quotas.check(&limit, b"a", START, START);
    let call = quotas.poll_call(START).unwrap();
    quotas.handle_answer(first, Err(CallFault::Status(4)), START + LATENCY);
    quotas.handle_answer(call.lease, Ok(b"\x08\x01"), START + LATENCY * 2);
    assert!(matches!(quotas.check(&limit, b"a", START, START + LATENCY * 3).1, QuotaState::Wait(_)));
    // While the call runs, its lease is evicted for another descriptor.
    let now = START + LATENCY * 4;
    quotas.check(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    let (second, _) = quotas.check(&limit, b"b", now, now);
    assert_ne!(first, second);
    assert_eq!(quotas.poll_call(now).map(|call| call.lease), Some(second));
    quotas.handle_answer(call.lease, Ok(b"\x08\x01"), now + LATENCY);
    assert!(matches!(quotas.check(&limit, b"b", now, now + LATENCY).1, QuotaState::Wait(_)));
}

#[test]
fn a_wait_ends_even_without_an_answer() {
    let (limit, mut quotas) = (shared(None), Quotas::new(1));
    let state = |quotas: &mut Quotas, received_at, now| quotas.check(&limit, b"a", received_at, now).1;
    assert_eq!(state(&mut quotas, START, START), QuotaState::Wait(START + SECOND * 2));
    assert!(quotas.poll_call(START).is_some());
    assert_eq!(state(&mut quotas, START, START + SECOND * 9), QuotaState::Wait(START + SECOND * 10));
    assert_eq!(state(&mut quotas, START, START + SECOND * 10), QuotaState::Late);
    let later = START + SECOND * 11;
    assert!(matches!(state(&mut quotas, later, later), QuotaState::Wait(_)));
    assert!(quotas.poll_call(later).is_some(), "a call whose answer is lost is made again");
}

/// A worker reads new requests for half a second before it reads the answers to its calls. By then, the calls have timed out.
#[test]
fn a_flood_that_keeps_its_worker_busy_stays_within_the_limit() {
    let (limit, mut quotas, mut counter) =
        (shared(None), Quotas::new(10), FixedWindowService::new(10, ServiceBehaviour::Exact));
    let crowd: Vec<Duration> = (0..2_000).map(|n| START + Duration::from_micros(n * 250)).collect();
    for at in &crowd {
        let state = quotas.check(&limit, b"a", *at, *at).1;
        assert!(matches!(state, QuotaState::Wait(_)), "{state:?} after {:?}", *at - START);
    }
    let mut now = START + SECOND / 2;
    let first = quotas.poll_call(START).unwrap();
    assert_eq!(quotas.handle_answer(first.lease, Err(CallFault::Status(14)), now), None);
    let (mut waiting, mut free, mut over) = (crowd, 0, 0);
    while !waiting.is_empty() {
        waiting.retain(|at| match quotas.check(&limit, b"a", *at, now) {
            (id, QuotaState::Free) => {
                quotas.spend(id);
                free += 1;
                false
            }
            (_, QuotaState::Over(_)) => {
                over += 1;
                false
            }
            (_, state) => {
                assert!(matches!(state, QuotaState::Wait(_)), "{state:?}");
                true
            }
        });
        now += LATENCY;
        if let Some(call) = quotas.poll_call(now) {
            assert!(call.timeout >= SECOND / 2, "a busy worker has a longer timeout");
            quotas.handle_answer(call.lease, Ok(&counter.answer(&call.message, now)), now);
        }
    }
    assert_eq!((free, over), (10, 1_990));
}

#[test]
fn a_late_worker_does_not_count_as_a_service_failure() {
    let (limit, mut quotas) = (shared(None), Quotas::new(10));
    quotas.check(&limit, b"a", START, START);
    let first = quotas.poll_call(START).unwrap();
    let now = START + SECOND;
    quotas.handle_answer(first.lease, Err(CallFault::Status(14)), now);
    assert!(matches!(quotas.check(&limit, b"a", START, now).1, QuotaState::Wait(_)));
    let second = quotas.poll_call(now).unwrap();
    let now = now + second.timeout + SECOND / 4 + LATENCY;
    assert_eq!(quotas.handle_answer(second.lease, Err(CallFault::Status(14)), now), None);
    assert_eq!(quotas.check(&limit, b"a", START, now).1, QuotaState::Late);
    assert!(matches!(quotas.check(&limit, b"a", now + LATENCY, now + LATENCY).1, QuotaState::Wait(_)), "asked anew");
}

#[test]
fn a_request_that_cannot_wait_does_not_count_as_a_service_failure() {
    let (limit, mut quotas) = (shared(None), Quotas::new(10));
    let crowded = |quotas: &mut Quotas, now| quotas.check(&limit, b"a", Duration::ZERO, now).1;
    assert_eq!(crowded(&mut quotas, START), QuotaState::Late);
    assert!(quotas.poll_call(START).is_none(), "nobody waits");
    for _ in 0..2 {
        quotas.check(&limit, b"b", START, START);
        let call = quotas.poll_call(START).unwrap();
        quotas.handle_answer(call.lease, Err(CallFault::Status(14)), START + LATENCY);
    }
    assert_eq!(
        crowded(&mut quotas, START + LATENCY),
        QuotaState::Failed,
        "while the service fails, it counts as a failure"
    );
}

#[test]
fn a_call_that_cannot_start_is_made_later() {
    let (limit, mut quotas) = (shared(None), Quotas::new(10));
    let [first, second] = [b"a", b"b"].map(|key| quotas.check(&limit, key, START, START).0);
    quotas.poll_call(START).unwrap();
    let call = quotas.poll_call(START).unwrap();
    assert_eq!(call.lease, second);
    quotas.put_off(second);
    quotas.handle_answer(first, Ok(b"\x08\x01"), START + LATENCY);
    assert_eq!(quotas.poll_call(START + LATENCY).map(|call| call.lease), Some(second));
}

#[test]
fn evicted_keys_leave_the_call_queue() {
    let (limit, mut quotas) = (shared(None), Quotas::new(100));
    for key in 0..10_000_u32 {
        quotas.check(&limit, &key.to_le_bytes(), START, START);
        assert!(quotas.wanted.len() <= 101, "{} calls are wanted after {key}", quotas.wanted.len());
    }
}

const SECOND: Duration = Duration::from_secs(1);
