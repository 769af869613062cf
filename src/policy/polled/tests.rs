//! Tests of the document life cycle: first fetch, refresh, outage, rotation, and clocks that jump.

use super::*;
use crate::config::url::Url;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ID: PolledId = PolledId(0);
const SET: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(1_000_000 + seconds)
}

/// Returns documents that are fresh for `fresh` seconds and stale for another `fresh` seconds. The cool-down is 30 s, and
/// requests wait for at most 5 s.
fn polled(fresh: u64) -> Polled {
    let span = Duration::from_secs;
    Polled::new([PollPlan {
        what: DocumentKind::KeySet,
        uri: Url::parse("http://keys.example/").unwrap(),
        cluster: "keys".into(),
        refresh_after: span(fresh) * 4 / 5,
        usable_for: span(fresh) * 2,
        cool_down: span(30),
        timeout: span(5),
        wait: span(5),
    }])
}

fn is_usable(polled: &Polled, now: Duration) -> bool {
    matches!(polled.key_set(ID, now, now), Availability::Usable(..))
}

#[test]
fn requests_before_the_first_key_set_wait_for_one_fetch_within_their_bound() {
    let mut polled = polled(100);
    assert!(polled.is_due(ID, at(0)));
    assert!(matches!(polled.key_set(ID, at(0), at(0)), Availability::Wait(until) if until == at(5)));
    assert!(matches!(polled.key_set(ID, at(0), at(5)), Availability::Unavailable));
    polled.note_failure(ID, at(1));
    assert!(matches!(polled.key_set(ID, at(0), at(2)), Availability::Unavailable), "the fetch for this request failed");
    assert!(matches!(polled.key_set(ID, at(2), at(2)), Availability::Wait(_)), "the next fetch may succeed");
    assert!(matches!(polled.key_set(ID, Duration::ZERO, at(2)), Availability::Unavailable), "too many requests wait");
}

#[test]
fn a_failing_key_endpoint_never_removes_keys_and_never_extends_their_use() {
    let mut polled = polled(100);
    polled.install(ID, SET, at(0)).unwrap();
    let mut now = 0;
    while now < 199 {
        now += 1;
        if polled.is_due(ID, at(now)) {
            for document in [&b"<html>"[..], br#"{"keys":[]}"#, &SET[..40], &vec![b' '; 300_000]] {
                assert!(polled.install(ID, document, at(now)).is_err());
            }
            polled.note_failure(ID, at(now));
        }
        assert!(is_usable(&polled, at(now)), "after {now} seconds");
        assert_eq!(polled.generation(ID, at(now)), Some(1));
    }
    assert!(!is_usable(&polled, at(200)));
    assert_eq!(polled.generation(ID, at(200)), None, "tokens verified with these keys are invalid too");
    polled.install(ID, SET, at(201)).unwrap();
    assert!(is_usable(&polled, at(201)), "the endpoint may recover");
}

#[test]
fn keys_are_refreshed_before_they_are_stale_and_failures_back_off() {
    let mut polled = polled(100);
    polled.install(ID, SET, at(0)).unwrap();
    assert!(!polled.is_due(ID, at(79)) && polled.is_due(ID, at(80)));
    polled.note_failure(ID, at(80));
    assert!(!polled.is_due(ID, at(84)) && polled.is_due(ID, at(85)));
    polled.install(ID, SET, at(85)).unwrap();
    assert!(!polled.is_due(ID, at(164)) && polled.is_due(ID, at(165)));
}

#[test]
fn a_healthy_endpoint_is_fetched_as_often_as_configured() {
    let mut polled = polled(1);
    for now in 0..10 {
        assert!(polled.is_due(ID, at(now)), "second {now}");
        polled.install(ID, SET, at(now)).unwrap();
        polled.note_failure(ID, at(now));
        assert!(!polled.is_due(ID, at(now)) && is_usable(&polled, at(now + 1)), "second {now}");
    }
    assert_eq!(polled.generation(ID, at(10)), Some(1), "the same keys are the same generation");
}

#[test]
fn a_clock_set_back_neither_extends_keys_nor_delays_their_refresh() {
    let mut polled = polled(100);
    polled.install(ID, SET, at(10_000)).unwrap();
    assert!(!polled.is_due(ID, at(0)), "the keys are current");
    assert!(!polled.is_due(ID, at(79)) && polled.is_due(ID, at(80)));
    assert!(is_usable(&polled, at(199)) && !is_usable(&polled, at(200)));
    assert_eq!(polled.want_newer(ID, at(30), at(30)), Some(at(35)), "the cool-down is not longer either");
}

#[test]
fn unknown_key_ids_cause_one_fetch_per_cool_down() {
    let mut polled = polled(1_000);
    polled.install(ID, SET, at(0)).unwrap();
    assert_eq!(polled.want_newer(ID, at(29), at(29)), None);
    assert!(!polled.is_due(ID, at(29)));
    assert_eq!(polled.want_newer(ID, at(30), at(30)), Some(at(35)));
    assert_eq!(polled.want_newer(ID, at(30), at(30)), Some(at(35)), "a second request waits for the same fetch");
    assert!(polled.is_due(ID, at(30)));
    polled.install(ID, SET, at(31)).unwrap();
    assert_eq!(polled.want_newer(ID, at(30), at(31)), None, "the fetch for this request has ended");
    assert_eq!(polled.want_newer(ID, at(32), at(32)), None, "only one fetch per cool-down");
    assert!(!polled.is_due(ID, at(32)));
    polled.note_failure(ID, at(61));
    assert_eq!(polled.want_newer(ID, at(62), at(62)), None, "a failed fetch counts too");
}
