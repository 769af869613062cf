//! Measures the time that permissions and conditions need per request: `cargo bench --bench authorize`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::config::claim::ClaimPath;
use portcullis::policy::authority::circumstances::{Circumstances, Facts};
use portcullis::policy::authority::permission::PermissionRegistry;
use portcullis::policy::compile::conditions;
use portcullis::policy::request::guard::read_target;
use portcullis::policy::request::peer::KnownPeer;
use portcullis::policy::request::route::{Method, RouteMatch, RoutePattern, RouteTable};
use portcullis::policy::request::{Request, RequestParts};
use serde_json::json;

criterion_group!(benches, permissions, conditions);
criterion_main!(benches);

/// Measures permissions. The filter reads them once for each token, and checks them for each request.
fn permissions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permissions");
    let names: Vec<String> = (0..1024).map(|bit| format!("P{bit}")).collect();
    let bits = |count: usize| names.iter().take(count).map(String::as_str).zip(0_u16..);
    let mut registry = PermissionRegistry::default();
    registry.add("LIC", bits(20));
    registry.add("ORD", bits(64));
    registry.add("WIDE", bits(1024));
    let wide = format!("0x{}", "f".repeat(256));
    let claims = json!({ "LIC": 0xf_ffff, "ORD": "0xffffffffffffffff", "WIDE": wide, "sub": "user-1" });
    let everywhere = [ClaimPath::members(&[])];
    let Ok(have) = registry.granted(&claims, &everywhere) else { return };
    for (what, needed) in [
        ("one domain", vec!["LIC.P0", "LIC.P1"]),
        ("two domains", vec!["LIC.P0", "LIC.P1", "ORD.P63"]),
        ("bit 1023", vec!["WIDE.P1023"]),
    ] {
        let need = registry.need(needed.into_iter(), [].into_iter());
        assert!(need.is_met(&have), "{what}");
        group.bench_function(format!("check/{what}"), |bencher| {
            bencher.iter(|| black_box(&need).is_met(black_box(&have)))
        });
    }
    let small = json!({ "LIC": 3, "sub": "user-1" });
    group.bench_function("read/one number", |bencher| {
        bencher.iter(|| registry.granted(black_box(&small), &everywhere).is_ok());
    });
    group.bench_function("read/1024 bits of text", |bencher| {
        bencher.iter(|| registry.granted(black_box(&claims), &everywhere).is_ok());
    });
    group.finish();
}

fn conditions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("when");
    let sent: [(&[u8], &[u8]); 6] = [
        (b":method", b"GET"),
        (b":path", b"/tenants/acme/orders/42?page=2"),
        (b":authority", b"api.example.com"),
        (b"accept", b"*/*"),
        (b"user-agent", b"bench"),
        (b"x-tenant", b"acme"),
    ];
    let parts = RequestParts { headers: &sent, received_at: Duration::ZERO, ended: true };
    let Ok(request) = Request::read(&parts) else { return };
    let Ok(target) = read_target(request.target) else { return };
    let mut builder = RouteTable::builder();
    let Ok(pattern) = RoutePattern::parse("/tenants/{tenant}/orders/{id}") else { return };
    let inserted = builder.insert(&[], pattern, &[], ()).is_ok();
    let table = builder.build();
    let RouteMatch::Route { params, .. } = table.find("", target.path(), &Method::Get) else { return };
    assert!(inserted, "the table takes its only route");
    let peer = KnownPeer { address: "192.0.2.7".parse().ok(), certificate: None };
    let circumstances = Circumstances {
        request: &request,
        host: "api.example.com",
        target: &target,
        params: Some(params),
        peer: &peer,
        now: Duration::from_secs(1_772_461_800),
    };
    let claims = json!({ "tenant": "acme", "tier": "gold", "level": 3, "roles": ["staff", "admin"], "sub": "user-1" });
    for (what, text) in [
        ("a claim is a parameter", "claims.tenant == path.tenant"),
        ("one of two", r#"claims.tier in ["silver", "gold"]"#),
        ("a header", r#"header["x-tenant"] == "acme""#),
        ("a network", r#"peer.address in ["10.0.0.0/8", "192.0.2.0/24"]"#),
        (
            "eight tests",
            r#"claims.tenant == path.tenant and claims.tier in ["silver", "gold"] and claims.level >= 3 and "admin" in claims.roles
               and request.method == "GET" and not (time.weekday == "sunday") and time.hour >= 8 and starts_with(request.path, "/tenants/")"#,
        ),
    ] {
        let Ok((condition, _)) = conditions::parse(text) else { continue };
        let verdict = |claims| condition.verdict(&Facts { claims, client: None, circumstances: &circumstances });
        assert_eq!(verdict(&claims), Some(true), "{text}");
        group.bench_function(what, |bencher| bencher.iter(|| verdict(black_box(&claims))));
    }
    group.bench_function("compile three tests", |bencher| {
        bencher.iter(|| {
            conditions::parse(black_box("claims.a == 1 and claims.b in ['x', 'y'] and time.hour > 3")).is_ok()
        });
    });
    group.finish();
}
