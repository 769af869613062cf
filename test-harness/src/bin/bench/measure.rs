//! Timed runs: every variant of every row gets its load in turn, round by round, and Envoy's CPU time is read before and after.

use std::rc::Rc;

use anyhow::{Context, Result};

use crate::load::Load;
use crate::process::Process;
use crate::row::Row;

/// One variant under one kind of load.
#[derive(Debug)]
pub struct Lane {
    /// The name of the variant in the tables.
    pub name: &'static str,
    /// Its Envoy. Lanes of different rows may share one.
    pub process: Rc<Process>,
    /// The requests, sent in order.
    pub requests: Rc<Requests>,
    /// The number of requests in each round.
    pub count: usize,
    /// The status that each request must get.
    pub status: u16,
}

/// Prebuilt requests.
#[derive(Debug)]
pub struct Requests {
    /// The bytes of each request.
    pub list: Vec<Vec<u8>>,
    /// A request that is sent before each round. It is neither timed nor counted.
    pub warm_up: Vec<u8>,
    /// The status of the warm-up's responses; 0 means the status of the lane.
    pub warm_up_status: u16,
    /// Whether the list repeats. It must not repeat if tokens must be new.
    pub again: bool,
}

/// A row of a table before the run.
#[derive(Debug)]
pub struct Contest {
    /// The row, without figures.
    pub row: Row,
    /// The variants, in the order of their turns.
    pub lanes: Vec<Lane>,
}

impl Requests {
    /// Repeats one request.
    pub fn same(request: Vec<u8>) -> Rc<Self> {
        Self::cycle(vec![request])
    }

    /// Repeats these requests in order.
    pub fn cycle(list: Vec<Vec<u8>>) -> Rc<Self> {
        let warm_up = list.first().cloned().unwrap_or_default();
        Rc::new(Self { list, warm_up, warm_up_status: 0, again: true })
    }

    /// Sends each of these requests once. The warm-up, answered with 200, keeps the rest of the proxy warm.
    pub fn once(list: Vec<Vec<u8>>, warm_up: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { list, warm_up, warm_up_status: 200, again: false })
    }
}

/// Runs all contests for `rounds` rounds, interleaved.
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
    /// Returns the CPU microseconds of the Envoy for each request of this round.
    fn measure(&self, round: usize) -> Result<f64> {
        let mut load = Load::connect(self.process.address(), CONNECTIONS)?;
        let requests = &self.requests;
        let status = if requests.warm_up_status == 0 { self.status } else { requests.warm_up_status };
        load.drive(&mut std::iter::repeat(requests.warm_up.as_slice()), WARM_UP.min(self.count), status)?;
        if requests.again && round == 0 {
            // Caches are filled before the first round, because the benchmark measures the steady state and not the first pass.
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
