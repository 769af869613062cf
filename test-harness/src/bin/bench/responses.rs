//! Measures response bodies: the cost of calling the full module for each chunk, and of mapping a list to a JSON:API document.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::answers::{self, ITEMS, LARGE, LIST, SMALL};
use crate::floor::{CHUNK, Floor};
use crate::load::Load;
use crate::measure::{self, Requests};
use crate::row::{BARE, Row};
use crate::site::{self, MAPPED, Site};
use crate::tables::{FULL, OURS, RunSize, RunningVariant, TokenPool, benchmark};
use crate::tokens::Algorithm;
use crate::variant::{BenchContext, Variant};

/// Measures responses of two sizes through a route without `jsonapi`. Also measures a list through two routes: one without and
/// one with `jsonapi`.
pub fn table(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let token = tokens.hot(Algorithm::Rs256)?;
    let requests = size.requests / SHORTER;
    let free = context.site(1);
    let mapping = Site { json_api: true, ..free };
    let mut variants = context.variants(&free, &[BARE, OURS, FULL])?;
    let mapped = context.variants(&mapping, &[OURS])?;
    variants.extend(mapped.into_iter().map(|variant| RunningVariant { name: ELSEWHERE, ..variant }));
    let mapped_list = site::call(&format!("{MAPPED}/{LIST}"), token);
    context.count(check_bodies(&variants, &free, token, &mapped_list)?);

    let unmapped = |id| Requests::same(site::call(&free.last_path_to(id), token));
    let names = [BARE, OURS, FULL, ELSEWHERE];
    let mut benchmarks: Vec<_> = SIZES
        .map(|(id, name)| benchmark(Row::of_requests(BODIES, name, vec![]), &variants, &names, &unmapped(id), requests))
        .into();
    let row = Row::of_requests(BODIES, LIST_NAME, vec![]);
    let mut list = benchmark(row, &variants, &[BARE, OURS, ELSEWHERE], &unmapped(LIST), requests);
    let row = Row::of_requests("", "", vec![]);
    let mapped = benchmark(row, &variants, &[ELSEWHERE], &Requests::same(mapped_list), requests).runs;
    list.runs.extend(mapped.into_iter().map(|run| measure::VariantRun { name: HERE, ..run }));
    benchmarks.push(list);

    let mut rows = measure::run(benchmarks, size.rounds * TIMES)?;
    let mut derived = Vec::new();
    for (row, (id, name)) in rows.iter().zip(SIZES) {
        let chunks = chunks(context, &free, &site::call(&free.last_path_to(id), token))?;
        let name = format!("{name}, {chunks:.1} chunks a response");
        let mut crossing = Row { unit: "µs CPU a chunk", ..Row::of_requests(CROSSINGS, name, vec![]) };
        for full in [FULL, ELSEWHERE] {
            push_difference(&mut crossing, full, row, (full, OURS), chunks);
        }
        derived.push(crossing);
    }
    if let Some(row) = rows.last() {
        let mut mapping = Row::of_requests(BODIES, format!("{LIST_NAME}, the mapping alone"), vec![]);
        push_difference(&mut mapping, HERE, row, (HERE, ELSEWHERE), 1.0);
        rows.push(mapping);
    }
    rows.extend(derived);
    Ok(rows)
}

/// Subtracts the cost of the variant `without` from the cost of the variant `with` in each round, and adds the differences to
/// `row` as the figures of `name`. Each difference is divided by `parts`.
fn push_difference(row: &mut Row, name: &'static str, whole: &Row, (with, without): (&str, &str), parts: f64) {
    if let (Some(with), Some(without)) = (whole.cost(with, false), whole.cost(without, false)) {
        with.iter().zip(without).for_each(|(with, without)| row.push(name, (with - without) / parts));
    }
}

/// Checks that a route without `jsonapi` does not change a body, and that the route with `jsonapi` maps the list. Returns the
/// number of comparisons.
fn check_bodies(variants: &[RunningVariant], site: &Site, token: &str, mapped: &[u8]) -> Result<usize> {
    let mut compared = 0;
    for variant in variants {
        let mut load = Load::connect(variant.process.address(), 0)?;
        for id in [SMALL, LARGE, LIST] {
            let answer = load.ask(&site::call(&site.last_path_to(id), token))?;
            ensure!(answer.body == answers::body(id).as_bytes(), "{}: the body `{id}` is changed", variant.name);
            compared += 1;
        }
        if variant.name == ELSEWHERE {
            let document: Value = serde_json::from_slice(&load.ask(mapped)?.body).context("the mapped list")?;
            let resources = document.pointer("/data").and_then(Value::as_array).context("no list of resources")?;
            let customers = resources.iter().filter_map(|resource| resource.pointer("/relationships/customer/data/id"));
            ensure!(customers.count() == ITEMS, "not {ITEMS} mapped resources: {document}");
            compared += 1;
        }
    }
    Ok(compared)
}

/// Returns how often Envoy calls the module for the body of a response to `request`, on average under the load of the benchmark.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn chunks(context: &BenchContext, site: &Site, request: &[u8]) -> Result<f64> {
    let counting = context.start(Variant::Floor(Floor::Counts), site)?;
    let before = counting.logged(CHUNK)?;
    let mut load = Load::connect(counting.address(), measure::CONNECTIONS)?;
    load.drive(&mut std::iter::repeat(request), COUNTED, 200)?;
    Ok((counting.logged(CHUNK)? - before) as f64 / COUNTED as f64)
}

const BODIES: &str = "Response body";
const CROSSINGS: &str = "Crossing for a response chunk";
const SIZES: [(&str, &str); 2] = [(SMALL, "1 KiB"), (LARGE, "64 KiB in four parts")];
const LIST_NAME: &str = "list of 50 items, 12 kB";
const ELSEWHERE: &str = "Portcullis, `jsonapi` on another route";
const HERE: &str = "Portcullis, `jsonapi` on this route";
/// Calling the module for a chunk costs less than the noise of one round, so these tables have more rounds than the other
/// tables, with fewer requests each.
const TIMES: usize = 6;
const SHORTER: usize = 4;
const COUNTED: usize = 2_000;
