//! Measures limits for ten thousand callers and compares them with Envoy's `local_ratelimit` with dynamic descriptors.

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::measure;
use crate::measure::Requests;
use crate::process::Process;
use crate::row::{BARE, Goal, Row};
use crate::site::{self, CALLS, Site};
use crate::tables::{CACHED, Extent, OURS, Party, Wallet, contest};
use crate::tokens::Algorithm;
use crate::variant::Workshop;

/// Measures the same requests with and without the limit. The rows show the total cost and the cost of the limit alone.
pub fn table(shop: &Workshop, extent: &Extent, wallet: &Wallet) -> Result<Vec<Row>> {
    let token = wallet.hot(Algorithm::Rs256)?;
    let free = shop.site(1);
    let limited = Site { limited: true, ..free };
    let path = limited.last_path();
    let mut parties = shop.parties(&free, &[BARE, CACHED, OURS])?;
    for party in &mut parties {
        party.name = match party.name {
            CACHED => CACHED_FREE,
            OURS => OURS_FREE,
            other => other,
        };
    }
    parties.extend(shop.parties(&limited, &[CACHED, OURS])?);
    for party in parties.iter().filter(|party| [CACHED, OURS].contains(&party.name)) {
        keeps_to_the_limit(party, &path, token)?;
    }
    shop.count(1);
    let calls = (0..CALLERS).map(|caller| site::call_of(&path, token, &format!("caller-{caller}"))).collect();
    let row = Row::of_requests(LIMITS, "10,000 live callers", vec![P5]);
    let names = [BARE, CACHED_FREE, CACHED, OURS_FREE, OURS];
    let contest = contest(row, &parties, &names, &Requests::cycle(calls), extent.requests);
    let mut rows = measure::run(vec![contest], extent.rounds)?;
    rows.extend(rows.iter().map(alone).collect::<Vec<_>>());
    Ok(rows)
}

/// Returns a row with the cost of the limit alone: for each round, the cost with the limit minus the cost without it.
fn alone(whole: &Row) -> Row {
    let mut row = Row::of_requests(LIMITS, format!("{}, the limit alone", whole.name), vec![P5_ALONE]);
    for (with, without) in [(CACHED, CACHED_FREE), (OURS, OURS_FREE)] {
        if let (Some(with_it), Some(without)) = (whole.cost(with, false), whole.cost(without, false)) {
            with_it.iter().zip(without).for_each(|(with_it, without)| row.push(with, with_it - without));
        }
    }
    row
}

/// Checks that a variant refuses a caller that has used up the limit, and still accepts another caller. The limit refills
/// slowly meanwhile, so a few more requests may pass.
fn keeps_to_the_limit(party: &Party, path: &str, token: &str) -> Result<()> {
    let greedy = site::call_of(path, token, "greedy");
    let process: &Process = &party.process;
    let mut load = Load::connect(process.address(), 32)?;
    load.drive(&mut std::iter::repeat(greedy.as_slice()), CALLS, 200)?;
    let mut refused = false;
    for _ in 0..10 {
        refused |= load.ask(&greedy)?.status == 429;
    }
    ensure!(refused, "{} lets {CALLS} requests and ten more pass", party.name);
    let modest = site::call_of(path, token, "modest");
    ensure!(load.ask(&modest)?.status == 200, "{} refuses another caller", party.name);
    Ok(())
}

const LIMITS: &str = "A limit for each caller";
const CALLERS: usize = 10_000;
const CACHED_FREE: &str = "native, without the limit";
const OURS_FREE: &str = "Portcullis, without the limit";
const P5_ALONE: Goal = Goal { name: "P5 (alone)", variant: OURS, against: &[CACHED], added: false, limit: 1.0 };
const P5: Goal = Goal { name: "P5", variant: OURS, against: &[CACHED], added: true, limit: 1.0 };
