//! Timed runs: every variant of every row gets its load in turn, round after round, and its Envoy's CPU clock is read around it.

use std::rc::Rc;

use anyhow::{Context, Result};

use crate::load::Load;
use crate::process::Process;
use crate::row::Row;

/// One variant under one kind of load.
#[derive(Debug)]
pub struct Lane {
    /// The variant's name, as it stands in the tables.
    pub name: &'static str,
    /// Its Envoy; lanes of different rows may share one.
    pub process: Rc<Process>,
    /// The requests, sent in turn.
    pub requests: Rc<Requests>,
    /// How many are sent in each round.
    pub count: usize,
    /// The status each must get.
    pub status: u16,
}

/// Prebuilt requests.
#[derive(Debug)]
pub struct Requests {
    /// The bytes of each.
    pub list: Vec<Vec<u8>>,
    /// Sent, not timed, before each round, and counted as nothing.
    pub warm_up: Vec<u8>,
    /// The status of the warm-up's answers; 0 when it is that of the lane.
    pub warm_up_status: u16,
    /// Whether the list starts again at its end. Where tokens must be new, it must not.
    pub again: bool,
}

/// One row of a table, before it is run.
#[derive(Debug)]
pub struct Contest {
    /// The row, still without figures.
    pub row: Row,
    /// The variants, in the order of their turns.
    pub lanes: Vec<Lane>,
}

impl Requests {
    /// One request, again and again.
    pub fn same(request: Vec<u8>) -> Rc<Self> {
        Self::cycle(vec![request])
    }

    /// These, and from the start again.
    pub fn cycle(list: Vec<Vec<u8>>) -> Rc<Self> {
        let warm_up = list.first().cloned().unwrap_or_default();
        Rc::new(Self { list, warm_up, warm_up_status: 0, again: true })
    }

    /// These, each once. The warm-up, answered 200, keeps the rest of the proxy warm.
    pub fn once(list: Vec<Vec<u8>>, warm_up: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { list, warm_up, warm_up_status: 200, again: false })
    }
}

/// Runs all contests for `rounds` rounds, interleaved,.
pub fn run(contests: Vec<Contest>, rounds: usize) -> Result<Vec<Row>> {
    let mut contests = contests;
    for round in 0..rounds {
        for Contest { row, lanes } in &mut contests {
            for lane in lanes {
                let microseconds = lane.measure(round);
                row.push(
                    lane.name,
                    microseconds.with_context(|| format!("{}, {}: {}", row.table, row.name, lane.name))?,
                );
            }
        }
    }
    Ok(contests.into_iter().map(|contest| contest.row).collect())
}

impl Lane {
    /// CPU microseconds of the Envoy for each request of this round.
    fn measure(&self, round: usize) -> Result<f64> {
        let mut load = Load::connect(self.process.address(), CONNECTIONS)?;
        let requests = &self.requests;
        let status = if requests.warm_up_status == 0 { self.status } else { requests.warm_up_status };
        load.drive(&mut std::iter::repeat(requests.warm_up.as_slice()), WARM_UP.min(self.count), status)?;
        if requests.again && round == 0 {
            // Caches are filled before the first round: what is asked is the cost of going on, not of the first pass.
            load.drive(&mut requests.list.iter().map(Vec::as_slice), requests.list.len(), self.status)?;
        }
        let from = round * self.count;
        let list = requests.list.iter().map(Vec::as_slice);
        let before = self.process.cpu_ns()?;
        if requests.again {
            let start = from.checked_rem(requests.list.len()).unwrap_or_default();
            load.drive(&mut list.cycle().skip(start), self.count, self.status)?;
        } else {
            load.drive(&mut list.skip(from), self.count, self.status)?;
        }
        let spent = self.process.cpu_ns()? - before;
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds and counts far below 2^52")]
        Ok(spent as f64 / 1e3 / self.count as f64)
    }
}

const WARM_UP: usize = 400;
const CONNECTIONS: usize = 32;
