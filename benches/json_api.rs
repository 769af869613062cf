//! Measures the time to convert a list of 12 kB to a JSON:API document: `cargo bench --bench json_api`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::policy::respond::json_api::{
    FieldName, Links, Mapping, MemberName, Relationship, map_document, map_error,
};
use portcullis::strict_json;
use portcullis::strict_json::pointer::Pointer;
use portcullis::strict_json::{Bounds, MAX_DEPTH};

criterion_group!(benches, json_api);
criterion_main!(benches);

fn json_api(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json_api");
    let Ok(mapping) = mapping() else { return };
    let body = body();
    assert!((11_500..12_500).contains(&body.len()), "{} bytes", body.len());
    assert!(map_document(&mapping, body.as_bytes(), "/orders", usize::MAX).is_ok());
    group.bench_function("an error", |bencher| {
        bencher.iter(|| map_error(black_box(503), "0190a5b0-7c3e-7000-8000-000000000001", None));
    });
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("list of 12 kB", |bencher| {
        bencher.iter(|| {
            map_document(black_box(&mapping), black_box(body.as_bytes()), "/orders?page=2", usize::MAX).is_ok()
        });
    });
    let bounds = Bounds { depth: MAX_DEPTH, values: body.len() };
    group.bench_function("its outline", |bencher| {
        bencher.iter(|| strict_json::outline(black_box(body.as_bytes()), bounds).is_ok());
    });
    group.bench_function("its tree, for comparison", |bencher| {
        bencher.iter(|| strict_json::read(black_box(body.as_bytes()), bounds).is_ok());
    });
    group.finish();
}

fn mapping() -> Result<Mapping, String> {
    let relationship =
        Relationship { resource_type: MemberName::parse("customers")?, id: Pointer::parse("/customer_id")? };
    Ok(Mapping {
        data: Some(Pointer::parse("/items")?),
        omit: vec!["_etag".to_string()],
        relationships: [(FieldName::parse("customer")?, relationship)].into(),
        meta: [(MemberName::parse("total")?, Pointer::parse("/total")?)].into(),
        links: Links { self_link: true, next: Some(Pointer::parse("/next")?), ..Links::default() },
        ..Mapping::new(MemberName::parse("orders")?, Pointer::parse("/order_id")?)
    })
}

/// Returns an upstream's body of about 12 kB: a list of orders, each with nested lines.
fn body() -> String {
    let items: Vec<String> = (0..50)
        .map(|number| {
            format!(
                r#"{{"order_id":{number},"customer_id":"c-{number:04}","_etag":"W/\"{number}\"","status":"shipped","total":{number}.10,"currency":"EUR","created_at":"2026-12-01T10:00:00Z","lines":[{{"sku":"A-100","quantity":2,"price":9.95}},{{"sku":"B-200","quantity":1,"price":0.50}}]}}"#
            )
        })
        .collect();
    format!(r#"{{"items":[{}],"total":1250,"next":"/orders?page=3"}}"#, items.join(","))
}
