//! What becomes of requests when the service fails, answers late, or never.

use super::super::*;
use super::{LATENCY, START, shared};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn failures_are_told_to_those_who_waited_and_pause_the_calls() {
    let (limit, mut quotas) = (shared(None), Quotas::new(10));
    let mut now = START;
    let fail = |quotas: &mut Quotas, key: &[u8], now: &mut Duration| {
        let (_, standing) = quotas.standing(&limit, key, *now, *now);
        assert_eq!(standing, Standing::Wait(*now + Duration::from_millis(20)));
        let call = quotas.poll_call(*now).unwrap();
        let received_at = *now;
        *now += LATENCY;
        let turn = quotas.handle_answer(call.account, Err(Fault::Status(14)), *now);
        assert_eq!(quotas.standing(&limit, key, received_at, *now).1, Standing::Failed);
        *now += LATENCY;
        turn
    };
    let turns = [b"a", b"b", b"c"].map(|key| fail(&mut quotas, key, &mut now));
    assert_eq!(turns, [None, None, Some(Turn::Paused(Fault::Status(14)))]);
    assert_eq!(quotas.standing(&limit, b"d", now, now).1, Standing::Failed, "after three failures nobody waits");
    assert!(quotas.poll_call(now).is_none());
    now += PAUSE;
    assert!(fail(&mut quotas, b"e", &mut now).is_some(), "one more, and it is left alone again");
    assert_eq!(quotas.standing(&limit, b"a", now, now).1, Standing::Failed);
    now += PAUSE;
    let (id, _) = quotas.standing(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    assert_eq!(call.account, id);
    assert_eq!(quotas.handle_answer(id, Ok(b"\x08\x07"), now), Some(Turn::Paused(Fault::Unreadable)));
    now += PAUSE + LATENCY;
    quotas.standing(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    assert_eq!(quotas.handle_answer(call.account, Ok(b"\x08\x01"), now + LATENCY), Some(Turn::Resumed));
    assert_eq!(quotas.standing(&limit, b"a", now, now + LATENCY).1, Standing::Free);
    quotas.standing(&limit, b"b", now, now);
    assert!(quotas.poll_call(now).is_some(), "it is trusted again");
}

#[test]
fn a_late_answer_and_one_nobody_asked_for_change_nothing() {
    let (limit, mut quotas) = (shared(None), Quotas::new(1));
    let (first, _) = quotas.standing(&limit, b"a", START, START);
    let call = quotas.poll_call(START).unwrap();
    quotas.handle_answer(first, Err(Fault::Status(4)), START + LATENCY);
    quotas.handle_answer(call.account, Ok(b"\x08\x01"), START + LATENCY * 2);
    assert_eq!(quotas.standing(&limit, b"a", START, START + LATENCY * 3).1, Standing::Failed);
    // The account is given up for another key while its call runs.
    let now = START + LATENCY * 4;
    quotas.standing(&limit, b"a", now, now);
    let call = quotas.poll_call(now).unwrap();
    let (second, _) = quotas.standing(&limit, b"b", now, now);
    assert_ne!(first, second);
    assert_eq!(quotas.poll_call(now).map(|call| call.account), Some(second));
    quotas.handle_answer(call.account, Ok(b"\x08\x01"), now + LATENCY);
    assert!(matches!(quotas.standing(&limit, b"b", now, now + LATENCY).1, Standing::Wait(_)));
}

#[test]
fn a_long_stay_ends_even_if_nobody_answers() {
    let (limit, mut quotas) = (shared(None), Quotas::new(1));
    let (_, standing) = quotas.standing(&limit, b"a", START, START);
    assert_eq!(standing, Standing::Wait(START + limit.terms.timeout));
    assert!(quotas.poll_call(START).is_some());
    let late = START + limit.terms.timeout + LATENCY;
    assert_eq!(quotas.standing(&limit, b"a", START, late).1, Standing::Failed, "the call is lost");
    assert_eq!(quotas.standing(&limit, b"b", Duration::ZERO, START).1, Standing::Failed, "there is no room to wait");
}
