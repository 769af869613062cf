//! Measures the time to count one request if the store has ten thousand callers, without Envoy: `cargo bench --bench limit`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::config::limit::{KeyPart, QuotaPeriod};
use portcullis::policy::limits::rate_limit::key::{LimitKey, Subject};
use portcullis::policy::limits::rate_limit::store::LocalStore;
use portcullis::policy::limits::rate_limit::window::Window;
use portcullis::policy::limits::rate_limit::{CountingMode, Limit, Meter, MeterChoice, count};
use portcullis::policy::request::peer::KnownPeer;

criterion_group!(benches, arithmetic, key, counting);
criterion_main!(benches);

fn arithmetic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit/window");
    for (name, window) in [("rate", RATE), ("quota", QUOTA)] {
        let mut state = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                state = black_box(window).take(state, 1, NOW).unwrap_or(0);
                state
            });
        });
    }
    group.finish();
}

fn key(criterion: &mut Criterion) {
    let peer = KnownPeer { address: Some([203, 0, 113, 9].into()), certificate: None };
    let subject = Subject { peer: &peer, headers: &[], route: "orders", caller: None };
    criterion.bench_function("limit/key of an address and a route", |bencher| {
        bencher.iter(|| LimitKey::new(&[KeyPart::Address, KeyPart::Route], black_box(&subject), [7; 16]));
    });
}

/// Measures one limit with one window and with four windows, and three limits with one window each. The store keeps all windows
/// of a caller for one limit in one cell and reads them together, so more windows should cost little.
fn counting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit/10,000 callers");
    for (name, limits, windows) in [("1 limit, 1 window", 1, 1), ("1 limit, 4 windows", 1, 4), ("3 limits", 3, 1)] {
        let limits: Vec<Limit> = (0..limits).map(|table| limit(table, windows)).collect();
        let mut store = LocalStore::default();
        let mut caller = 0_u32;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                caller = (caller + 1) % 10_000;
                let peer = KnownPeer { address: Some((0x0a00_0000 + caller).to_be_bytes().into()), certificate: None };
                let subject = Subject { peer: &peer, headers: &[], route: "", caller: None };
                let charges: Vec<_> = limits.iter().filter_map(|limit| limit.charge(&subject, [7; 16])).collect();
                count(&charges, CountingMode::Take, Duration::from_nanos(NOW), &mut store)
            });
        });
    }
    group.finish();
}

fn limit(table: u32, windows: usize) -> Limit {
    let windows: Vec<Window> = [RATE, QUOTA, RATE, QUOTA].into_iter().take(windows).collect();
    let titles = windows.iter().map(|_| ("limit".into(), 1_000)).collect();
    let meter = Meter { table, cells: 8_192, windows, titles, policy: "limit".into(), plan: "".into() };
    Limit {
        name: "limit".into(),
        by: vec![KeyPart::Address],
        meters: vec![meter],
        choice: MeterChoice::Only,
        shadow: false,
        sharing: None,
    }
}

const NOW: u64 = 1_700_000_000_000_000_000;
const RATE: Window = Window::Rate { interval: 1, capacity: 1_000_000_000_000 };
const QUOTA: Window = Window::Quota { most: u32::MAX, period: QuotaPeriod::Day };
