//! Tests of counting: several limits together, shadow limits, two workers on one cell, workers that always lose the race.

use super::*;
use crate::config::limit::QuotaPeriod;
use crate::policy::request::peer::KnownPeer;
use store::LocalStore;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(super) fn limit(name: &str, table: u32, windows: &[Window]) -> Limit {
    let titles = windows.iter().enumerate().map(|(at, window)| {
        let most = match window {
            Window::Rate { interval, capacity } => capacity / interval,
            Window::Quota { most, .. } => u64::from(*most),
        };
        (format!("{name}:{at}").into(), most)
    });
    let meter = Meter {
        plan: "".into(),
        table,
        cells: 64,
        titles: titles.collect(),
        windows: windows.to_vec(),
        policy: name.into(),
    };
    let by = vec![KeyPart::Address];
    Limit { name: name.into(), by, meters: vec![meter], choice: MeterChoice::Only, shadow: false, sharing: None }
}

pub(super) fn charge<'l>(limit: &'l Limit, address: [u8; 4]) -> Charge<'l> {
    let peer = KnownPeer { address: Some(address.into()), certificate: None };
    let subject = Subject { peer: &peer, headers: &[], route: "", caller: None };
    limit.charge(&subject, *b"0123456789abcdef").unwrap()
}

fn rate(burst: u64) -> Window {
    Window::Rate { interval: SECOND, capacity: burst * SECOND }
}

#[test]
fn a_request_counts_under_all_limits_or_none() {
    let mut store = LocalStore::default();
    let (wide, narrow) = (limit("wide", 1, &[rate(10)]), limit("narrow", 2, &[rate(2)]));
    let charges = [charge(&wide, [1; 4]), charge(&narrow, [1; 4])];
    for _ in 0..2 {
        assert!(count(&charges, CountingMode::Take, NOW, &mut store).refused.is_none());
    }
    for _ in 0..20 {
        let refused = count(&charges, CountingMode::Take, NOW, &mut store).refused.unwrap();
        assert_eq!((refused.charge, &*refused.remaining.window, refused.remaining.seconds), (1, "narrow:0", 1));
    }
    let remaining = count(&charges[..1], CountingMode::Take, NOW, &mut store).remaining;
    assert_eq!(remaining[0].as_ref().unwrap().left, 7, "refused requests are not counted");
    assert!(
        count(&[charge(&narrow, [2; 4])], CountingMode::Take, NOW, &mut store).refused.is_none(),
        "another address"
    );
}

#[test]
fn all_windows_of_a_limit_apply_and_the_longest_wait_is_reported() {
    let mut store = LocalStore::default();
    let both = limit("both", 1, &[rate(2), Window::Quota { most: 3, period: QuotaPeriod::Day }]);
    let one = [charge(&both, [1; 4])];
    let wait = |store: &mut LocalStore, now| count(&one, CountingMode::Take, now, store).refused.map(|r| r.remaining);
    assert_eq!((wait(&mut store, NOW), wait(&mut store, NOW)), (None, None));
    assert_eq!(wait(&mut store, NOW).unwrap().seconds, 1);
    assert_eq!(wait(&mut store, NOW + Duration::from_secs(1)), None);
    let refused = wait(&mut store, NOW + Duration::from_secs(1)).unwrap();
    assert_eq!(&*refused.window, "both:1");
    assert_eq!(refused.seconds, 86_400 - (NOW.as_secs() + 1) % 86_400);
}

#[test]
fn a_shadow_limit_reports_refusals_without_enforcing_them() {
    let mut store = LocalStore::default();
    let shadow = Limit { shadow: true, ..limit("shadow", 1, &[rate(1)]) };
    let open = limit("open", 2, &[rate(10)]);
    let charges = [charge(&shadow, [1; 4]), charge(&open, [1; 4])];
    assert!(count(&charges, CountingMode::Take, NOW, &mut store).would.is_empty());
    let counted = count(&charges, CountingMode::Take, NOW, &mut store);
    assert!(counted.refused.is_none());
    assert_eq!(counted.would, ["shadow".into()]);
    assert_eq!(counted.remaining[0], None);
    assert_eq!(
        counted.remaining[1].as_ref().unwrap().left,
        8,
        "requests over the shadow limit still count under other limits"
    );
}

#[test]
fn past_events_are_recorded_even_if_too_little_is_left() {
    let mut store = LocalStore::default();
    let failures = limit("failures", 1, &[rate(3)]);
    let charges = [charge(&failures, [1; 4])];
    for left in [true, true, true, false, false] {
        assert_eq!(count(&charges, CountingMode::Try, NOW, &mut store).refused.is_none(), left);
        record(&charges, NOW, &mut store);
    }
    let refused = count(&charges, CountingMode::Try, NOW + Duration::from_secs(1), &mut store).refused;
    assert!(refused.is_none(), "more than enough failures do not make the wait longer");
}

/// A store that simulates contention: another worker changes the cell after each load, for a given number of times.
struct Contended {
    cells: LocalStore,
    others: usize,
    burst: u64,
    counted: usize,
}

impl BucketStore for Contended {
    fn hash_key(&self) -> [u8; 16] {
        self.cells.hash_key()
    }

    fn load(&mut self, id: CellId) -> Cell {
        self.cells.load(id)
    }

    fn store(&mut self, id: CellId, bytes: &[u8], version: Option<u32>) -> bool {
        if self.others > 0 {
            self.others -= 1;
            let limit = limit("shared", 1, &[rate(self.burst)]);
            let other = count(&[charge(&limit, [1; 4])], CountingMode::Take, NOW, &mut self.cells);
            self.counted += usize::from(other.refused.is_none());
        }
        self.cells.store(id, bytes, version)
    }
}

#[test]
fn concurrent_workers_never_exceed_the_limit_together() {
    let shared = limit("shared", 1, &[rate(5)]);
    for others in 0..8 {
        let mut store = Contended { cells: LocalStore::default(), others, burst: 5, counted: 0 };
        let mut mine = 0;
        for _ in 0..10 {
            mine +=
                usize::from(count(&[charge(&shared, [1; 4])], CountingMode::Take, NOW, &mut store).refused.is_none());
        }
        assert_eq!(mine + store.counted, 5, "{others} others");
    }
}

#[test]
fn a_worker_that_loses_every_update_refuses_the_request() {
    let shared = limit("shared", 1, &[rate(100)]);
    let mut store = Contended { cells: LocalStore::default(), others: usize::MAX, burst: 100, counted: 0 };
    let refused = count(&[charge(&shared, [1; 4])], CountingMode::Take, NOW, &mut store).refused.unwrap();
    assert!(refused.contended);
    assert_eq!(refused.remaining.seconds, 1);
}

#[test]
fn addresses_of_one_subscriber_and_spellings_of_one_address_share_a_bucket() {
    let limit = limit("addresses", 1, &[rate(1)]);
    let key = |text: &str| {
        let peer = KnownPeer { address: Some(text.parse().unwrap()), certificate: None };
        let subject = Subject { peer: &peer, headers: &[], route: "", caller: None };
        limit.charge(&subject, [7; 16]).unwrap().fingerprint
    };
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn combinations_of_parts_do_not_collide() {
    let peer = KnownPeer::default();
    let by = ["x-a", "x-b"].map(|name| KeyPart::Header(name.to_string()));
    let key = |a: &str, b: &str| {
        let headers: [(&[u8], &[u8]); 2] = [(b"x-a", a.as_bytes()), (b"x-b", b.as_bytes())];
        let subject = Subject { peer: &peer, headers: &headers, route: "", caller: None };
        LimitKey::new(&by, &subject, [7; 16])
    };
    assert_eq!(key("a", "b"), key("a", "b"));
    assert_ne!(key("ab", ""), key("a", "b"));
    assert_ne!(key("", "ab"), key("a", "b"));
    let zeros = "\0".repeat(16);
    assert_ne!(
        key("a", &format!("b{zeros}c")),
        key(&format!("a{zeros}b"), "c"),
        "lengths are hashed, so values cannot shift between parts"
    );
    let absent = Subject { peer: &peer, headers: &[(b"x-b", b"b")], route: "", caller: None };
    assert_ne!(LimitKey::new(&by, &absent, [7; 16]), key("", "b"), "an empty header is not an absent one");
    assert_ne!(
        key("a", "b"),
        LimitKey::new(&by, &Subject { headers: &[(b"x-a", b"a"), (b"x-b", b"b")], ..absent }, [8; 16])
    );
}
