//! Measures limits for ten thousand callers and compares them with Envoy's `local_ratelimit` with dynamic descriptors.

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::measure;
use crate::measure::Requests;
use crate::process::Process;
use crate::row::{BARE, Goal, Row};
use crate::site::{self, CALLS, Site};
use crate::tables::{CACHED, MODULE, OURS, RunSize, RunningVariant, TokenPool, benchmark};
use crate::tokens::Algorithm;
use crate::variant::BenchContext;

/// Measures the same requests with and without the limit. Returns one row with the total cost, and one row with the cost of only
/// the limit.
pub fn table(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let token = tokens.hot(Algorithm::Rs256)?;
    let free = context.site(1);
    let limited = Site { limited: true, ..free };
    let path = limited.last_path();
    let mut variants = context.variants(&free, &[BARE, CACHED, OURS, MODULE])?;
    for variant in &mut variants {
        variant.name = match variant.name {
            CACHED => CACHED_FREE,
            OURS => OURS_FREE,
            MODULE => MODULE_FREE,
            other => other,
        };
    }
    variants.extend(context.variants(&limited, &[CACHED, OURS, MODULE])?);
    for variant in variants.iter().filter(|variant| [CACHED, OURS, MODULE].contains(&variant.name)) {
        check_limit(variant, &path, token)?;
    }
    context.count(1);
    let calls = (0..CALLERS).map(|caller| site::call_of(&path, token, &format!("caller-{caller}"))).collect();
    let row = Row::of_requests(LIMITS, "10,000 live callers", vec![P5, P5.of(MODULE, 0.7)]);
    let names = [BARE, CACHED_FREE, CACHED, OURS_FREE, OURS, MODULE_FREE, MODULE];
    let benchmark = benchmark(row, &variants, &names, &Requests::cycle(calls), size.requests);
    let mut rows = measure::run(vec![benchmark], size.rounds)?;
    rows.extend(rows.iter().map(alone).collect::<Vec<_>>());
    Ok(rows)
}

/// Returns a row with the cost of only the limit: for each round, the cost with the limit minus the cost without it.
fn alone(whole: &Row) -> Row {
    let mut row = Row::of_requests(LIMITS, format!("{}, the limit alone", whole.name), vec![P5_ALONE]);
    for (with, without) in [(CACHED, CACHED_FREE), (OURS, OURS_FREE), (MODULE, MODULE_FREE)] {
        if let (Some(with_it), Some(without)) = (whole.cost(with, false), whole.cost(without, false)) {
            with_it.iter().zip(without).for_each(|(with_it, without)| row.push(with, with_it - without));
        }
    }
    row
}

/// Checks that a variant refuses a caller that has used up the limit, and still accepts another caller. The limit refills slowly,
/// so this check sends ten additional requests and expects that at least one of them is refused.
fn check_limit(variant: &RunningVariant, path: &str, token: &str) -> Result<()> {
    let greedy = site::call_of(path, token, "greedy");
    let process: &Process = &variant.process;
    let mut load = Load::connect(process.address(), 32)?;
    load.drive(&mut std::iter::repeat(greedy.as_slice()), CALLS, 200)?;
    let mut refused = false;
    for _ in 0..10 {
        refused |= load.ask(&greedy)?.status == 429;
    }
    ensure!(refused, "{} refused none of ten requests after the {CALLS} allowed requests", variant.name);
    let modest = site::call_of(path, token, "modest");
    ensure!(load.ask(&modest)?.status == 200, "{} refuses another caller", variant.name);
    Ok(())
}

const LIMITS: &str = "A limit for each caller";
const CALLERS: usize = 10_000;
const CACHED_FREE: &str = "native, without the limit";
const OURS_FREE: &str = "Portcullis, without the limit";
const MODULE_FREE: &str = "Portcullis, dynamic module, without the limit";
const P5_ALONE: Goal = Goal { name: "P5 (alone)", variant: OURS, against: &[CACHED], added: false, limit: 1.0 };
const P5: Goal = Goal { name: "P5", variant: OURS, against: &[CACHED], added: true, limit: 1.1 };
