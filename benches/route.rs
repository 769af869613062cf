//! Measures the time to find a route, for different numbers of routes: `cargo bench --bench route`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis::policy::request::guard::{read_host, read_target};
use portcullis::policy::request::route::{Method, RoutePattern, RouteTable};

criterion_group!(benches, by_number_of_routes, backtracking, guard);
criterion_main!(benches);

/// Measures tables of different sizes. A table of 10,000 routes should not need much more time than a table of 10 routes.
fn by_number_of_routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [10, 100, 1_000, 10_000] {
        let patterns = (0..count).map(|at| format!("/api/v1/service{}/items{at}/{{id}}", at % 50));
        let table = table(patterns);
        let last = count - 1;
        let hit = format!("/api/v1/service{}/items{last}/42", last % 50);
        let miss = format!("/api/v1/service{}/items{count}/42", last % 50);
        for (what, path, method) in
            [("hit", &hit, Method::Get), ("miss", &miss, Method::Get), ("405", &hit, Method::Put)]
        {
            group.bench_with_input(BenchmarkId::new(what, count), path, |bencher, path| {
                bencher.iter(|| black_box(table.find("api.example.com", black_box(path), &method)));
            });
        }
    }
    group.finish();
}

/// Measures backtracking in the worst case: at every level of the path, a literal and a parameter match, but no pattern matches
/// the whole path.
fn backtracking(criterion: &mut Criterion) {
    let depth = 10;
    let shapes = (0..1 << depth).map(|bits: u32| {
        let segments = (0..depth).map(|at| if bits >> at & 1 == 0 { "/a".to_owned() } else { format!("/{{p{at}}}") });
        segments.collect::<String>() + "/end"
    });
    let table = table(shapes);
    let path = "/a".repeat(depth) + "/none";
    criterion.bench_function("route/backtracking/1024", |bencher| {
        bencher.iter(|| black_box(table.find("", black_box(&path), &Method::Get)));
    });
}

fn guard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guard");
    let targets = [
        ("plain", "/api/v1/service49/items9999/42?page=2&sort=name"),
        ("escaped", "/api/v1/caf%C3%A9/a%20b?page=2"),
        ("respelled", "/api/v1/caf%c3%a9/%61bc?page=2"),
    ];
    for (what, target) in targets {
        group.bench_function(what, |bencher| bencher.iter(|| read_target(black_box(target.as_bytes())).is_ok()));
    }
    group.bench_function("host", |bencher| bencher.iter(|| read_host(black_box(b"api.example.com:443")).is_ok()));
    group.finish();
}

fn table(patterns: impl Iterator<Item = String>) -> RouteTable<usize> {
    let mut builder = RouteTable::builder();
    for (at, pattern) in patterns.enumerate() {
        let inserted =
            RoutePattern::parse(&pattern).is_ok_and(|pattern| builder.insert(&[], pattern, &[Method::Get], at).is_ok());
        assert!(inserted, "{pattern}");
    }
    builder.build()
}
