//! Tests limits that several proxies share, with a real rate limit service and a real Redis.

mod burst;
mod containers;
mod site;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use site::{Site, envoy_rate_limit_filter, limits, three_in_ten_seconds};
use test_harness::client::Request;
use test_harness::clock::Deadline;
use test_harness::manual::Page;
use test_harness::rate_limits::RateLimits;
use test_harness::trial::{self, HOST, Servers, code, header};

#[test]
fn the_test_service_implements_the_protocol_of_envoys_filter() {
    let limits = three_in_ten_seconds().unwrap();
    let servers = Servers::start().unwrap();
    let gate = envoy_rate_limit_filter(&servers, &limits).unwrap();
    let ask =
        |client: &str| gate.send(&Request::new("GET", "/orders/1", HOST).header("x-client", client)).unwrap().status;
    assert_eq!([(); 5].map(|()| ask("c1")), [200, 200, 200, 429, 429]);
    assert_eq!(ask("c2"), 200, "each client must have its own limit");
    let calls = limits.calls().unwrap();
    assert_eq!(calls.len(), 6);
    let first = calls.first().unwrap();
    assert_eq!((first.about.as_str(), first.hits), ("portcullis/limit=per-client,client=c1", 1));
}

#[test]
fn the_fourth_request_of_a_client_is_refused_and_another_client_is_not() {
    let mut site = Site::open(three_in_ten_seconds().unwrap(), &json!({})).unwrap();
    let first = site.ask("c1").unwrap();
    assert_eq!(first.status, 200);
    assert_eq!(header(&first, "ratelimit-policy").unwrap(), "\"per-client\";q=3;w=10");
    assert!(header(&first, "ratelimit").unwrap().starts_with("\"per-client\";r=2;t="), "{:?}", first.headers);
    assert_eq!(site.statuses("c1", 2).unwrap(), [200, 200]);
    let fourth = site.ask("c1").unwrap();
    assert_eq!((fourth.status, code(&fourth).as_str()), (429, "RATE_LIMITED"));
    let wait: u64 = header(&fourth, "retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "Retry-After: {wait}");
    assert_eq!(header(&fourth, "ratelimit").unwrap(), format!("\"per-client\";r=0;t={wait}"));
    assert_eq!(site.ask("c2").unwrap().status, 200);
    let calls = site.limits.calls().unwrap();
    assert!(
        calls.iter().all(|call| call.about.starts_with("portcullis/limit=per-client,client=accounts/c")),
        "{calls:?}"
    );
    // After a refusal, a worker does not call the service again for this client before the window ends. Therefore, two
    // workers make at most two calls.
    let before = calls.len();
    assert_eq!(site.statuses("c1", 20).unwrap(), [429; 20]);
    assert!(site.limits.calls().unwrap().len() <= before + 2);
    let over = Deadline::after(Duration::from_secs(15)).poll(|| (site.ask("c1").ok()?.status == 200).then_some(()));
    assert!(over.is_some(), "the window did not end in time");
    site.gate.never_failed().unwrap();
}

#[test]
fn the_documented_limit_matches_the_request_of_the_gateway() {
    let blocks = Page::read(Path::new("docs/configuration.md")).unwrap().blocks();
    let limits = blocks.iter().find(|block| block.info == "json limitador").unwrap();
    let section = blocks.iter().find(|block| block.text.contains("store: global")).unwrap();
    let section: Value = serde_saphyr::from_str(&section.text).unwrap();
    let limits = RateLimits::start(&serde_json::from_str(&limits.text).unwrap()).unwrap();
    let site = Site::open(limits, &section["limits"][0]).unwrap();
    let response = site.ask("c1").unwrap();
    assert_eq!(header(&response, "ratelimit-policy").unwrap(), "\"per-client\";q=1000;w=60");
    assert!(header(&response, "ratelimit").unwrap().starts_with("\"per-client\";r=999;t="), "{:?}", response.headers);
}

#[test]
fn two_gateways_and_envoys_own_filter_share_one_limit() {
    let mut site = Site::open(limits(30, 60).unwrap(), &json!({})).unwrap();
    let mut second = site.another_gate().unwrap();
    let third = envoy_rate_limit_filter(&site.servers, &site.limits).unwrap();
    let request = site.request("c1").unwrap();
    let own = Request::new("GET", "/orders/1", HOST).header("x-client", "accounts/c1");
    let mut admitted = 0;
    for _ in 0..20 {
        let statuses = [site.gate.send(&request), second.send(&request), third.send(&own)]
            .map(|response| response.unwrap().status);
        admitted += statuses.iter().filter(|status| **status == 200).count();
    }
    // With a limit of 30, a worker reserves at most 30 / 20 hits in one call, rounded down to one. Therefore no worker
    // reserves hits for later requests, and the gateways together admit exactly as many requests as the limit allows.
    assert_eq!(admitted, 30);
    site.gate.never_failed().unwrap();
    second.never_failed().unwrap();
}

#[test]
fn blocks_save_calls_and_two_gateways_admit_the_limit_without_lost_reservations() {
    const LIMIT: usize = 400;
    const BLOCK: usize = 10;
    let settings = json!({ "lease": { "most": BLOCK, "lasting": "10s" }, "rate": "400/m" });
    let mut site = Site::open(limits(LIMIT as u64, 60).unwrap(), &settings).unwrap();
    let mut second = site.another_gate().unwrap();
    let request = site.request("c1").unwrap();
    let mut admitted = 0;
    for i in 0..LIMIT * 3 / 2 {
        // Each request opens a new connection, so that every worker of both gateways gets requests.
        let gate = if i % 3 == 0 { &second } else { &site.gate };
        let status = gate.send(&request).unwrap().status;
        assert!(status == 200 || status == 429, "{status}");
        admitted += usize::from(status == 200);
    }
    let holders = 2 * trial::WORKERS as usize;
    assert!(admitted <= LIMIT, "{admitted} were admitted");
    assert!(admitted >= LIMIT - holders * (BLOCK - 1), "{admitted} were admitted");
    let calls = site.limits.calls().unwrap();
    let granted: u32 = calls.iter().filter(|call| call.answer == "OK").map(|call| call.hits).sum();
    assert!(granted as usize <= LIMIT);
    assert!(calls.len() < admitted / 3, "{} calls for {admitted} requests", calls.len());
    site.gate.never_failed().unwrap();
    second.never_failed().unwrap();
}

#[test]
fn on_failure_decides_while_the_service_is_down() {
    let mut site = Site::open(three_in_ten_seconds().unwrap(), &json!({ "on_failure": "open" })).unwrap();
    site.limits.stop_service();
    assert_eq!(site.statuses("c1", 8).unwrap(), [200; 8]);
    site.reopen(&json!({ "on_failure": "closed" })).unwrap();
    let refused = site.ask("c1").unwrap();
    assert_eq!((refused.status, code(&refused).as_str()), (503, "LIMIT_UNAVAILABLE"));
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("5"));
    assert_eq!(site.statuses("c1", 7).unwrap(), [503; 7]);
    site.reopen(&json!({ "on_failure": "local", "rate": "5/m" })).unwrap();
    assert_eq!(site.statuses("c1", 8).unwrap(), [200, 200, 200, 200, 200, 429, 429, 429]);
    assert_eq!(site.statuses("c2", 1).unwrap(), [200]);
    site.gate.never_failed().unwrap();
}

#[test]
fn a_burst_on_busy_workers_stays_within_the_limit_with_on_failure_open() {
    const LIMIT: usize = 10;
    let settings = json!({ "on_failure": "open", "rate": "10/m" });
    let mut site = Site::patient(limits(LIMIT as u64, 600).unwrap(), &settings, "20ms").unwrap();
    site.until("c2", 200).unwrap();
    let request = site.request("c1").unwrap();
    let statuses = burst::burst(site.gate.port, &request).unwrap();
    let passed = statuses.get(&200).copied().unwrap_or_default();
    assert!(passed <= LIMIT, "{statuses:?}");
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert_eq!(site.ask("c1").unwrap().status, 429, "the service still answers");
    assert_eq!(site.ask("c3").unwrap().status, 200);
    site.gate.never_failed().unwrap();
}

#[test]
fn a_service_that_comes_back_counts_again() {
    let mut site = Site::open(limits(1_000, 60).unwrap(), &json!({ "on_failure": "closed" })).unwrap();
    site.limits.stop_service();
    assert_eq!(site.statuses("c1", 8).unwrap(), [503; 8]);
    site.limits.start_service().unwrap();
    site.until("c2", 200).unwrap();
    site.gate.never_failed().unwrap();
}

#[test]
fn a_late_invalid_or_error_response_of_the_service_is_a_failure() {
    let mut site = Site::open(limits(1_000, 60).unwrap(), &json!({ "on_failure": "closed" })).unwrap();
    for fault in ["slow 1000", "error", "garbage"] {
        site.limits.fail(fault).unwrap();
        assert_eq!(site.statuses("c1", 6).unwrap(), [503; 6], "{fault}");
        site.limits.fail("none").unwrap();
        site.until(fault, 200).unwrap();
    }
    site.limits.stop_redis();
    assert_eq!(site.statuses("c3", 6).unwrap(), [503; 6]);
    site.limits.start_redis().unwrap();
    site.until("c4", 200).unwrap();
    site.gate.never_failed().unwrap();
}

#[test]
fn a_service_that_restarts_under_load_admits_no_more_than_its_limit() {
    let mut site =
        Site::open(limits(100_000, 60).unwrap(), &json!({ "on_failure": "open", "lease": { "most": 1 } })).unwrap();
    let request = site.request("c1").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let Site { gate, limits, .. } = &mut site;
    let (shared, flag) = (&*gate, &stop);
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let load = || {
            let mut count = 0;
            while !flag.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(shared.send(&request).unwrap().status, 200);
                count += 1;
            }
            count
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            limits.stop_service();
            std::thread::sleep(Duration::from_millis(300));
            limits.start_service().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    gate.never_failed().unwrap();
}

#[test]
fn clients_that_disconnect_while_they_wait_leave_no_state() {
    let mut site = Site::patient(limits(1_000, 60).unwrap(), &json!({ "on_failure": "closed" }), "2s").unwrap();
    site.limits.fail("slow 500").unwrap();
    let bytes = site.request("c1").unwrap().on_the_wire();
    for _ in 0..20 {
        let mut stream = std::net::TcpStream::connect(test_harness::ports::loopback(site.gate.port)).unwrap();
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
    }
    assert_eq!(site.statuses("c1", 1).unwrap(), [200]);
    site.limits.fail("none").unwrap();
    assert_eq!(site.statuses("c1", 5).unwrap(), [200; 5]);
    site.gate.never_failed().unwrap();
}
