//! Measures the CPU time of Envoy for every variant of every row, in several rounds.

use std::rc::Rc;

use anyhow::{Context, Result};

use crate::load::Load;
use crate::process::Process;
use crate::row::Row;

/// A variant and the requests that are sent to it.
#[derive(Debug)]
pub struct VariantRun {
    /// The name of the variant in the tables.
    pub name: &'static str,
    /// The Envoy of the variant. Runs of different rows may share an Envoy.
    pub process: Rc<Process>,
    /// The requests, which are sent in order.
    pub requests: Rc<Requests>,
    /// The number of requests in each round.
    pub count: usize,
    /// The expected status of each response.
    pub status: u16,
}

/// A list of prebuilt requests.
#[derive(Debug)]
pub struct Requests {
    /// The bytes of each request.
    pub list: Vec<Vec<u8>>,
    /// A request that is sent several times before each round to warm up the proxy. These requests are not measured.
    pub warm_up: Vec<u8>,
    /// The expected status of the response to `warm_up`. 0 means the status of the run.
    pub warm_up_status: u16,
    /// Whether the list is repeated. It is not repeated if each token may be sent only once.
    pub again: bool,
}

/// A row of a table and the variants to measure for it.
#[derive(Debug)]
pub struct Benchmark {
    /// The row, which has no figures before the run.
    pub row: Row,
    /// The variants, in the order in which they are measured.
    pub runs: Vec<VariantRun>,
}

impl Requests {
    /// Creates a list that repeats one request.
    pub fn same(request: Vec<u8>) -> Rc<Self> {
        Self::cycle(vec![request])
    }

    /// Creates a list that repeats these requests in order.
    pub fn cycle(list: Vec<Vec<u8>>) -> Rc<Self> {
        let warm_up = list.first().cloned().unwrap_or_default();
        Rc::new(Self { list, warm_up, warm_up_status: 0, again: true })
    }

    /// Creates a list in which each request is sent only once. `warm_up` is a different request with the expected status 200. It
    /// warms up the proxy, so that no request of the list is needed for this.
    pub fn once(list: Vec<Vec<u8>>, warm_up: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { list, warm_up, warm_up_status: 200, again: false })
    }
}

/// Measures all benchmarks for `rounds` rounds. Each round measures every variant of every benchmark once, so that slow changes
/// of the machine affect all variants equally. Every second round has the reverse order, so that no variant always runs after
/// the same one.
pub fn run(benchmarks: Vec<Benchmark>, rounds: usize) -> Result<Vec<Row>> {
    let mut benchmarks = benchmarks;
    for round in 0..rounds {
        for Benchmark { row, runs } in &mut benchmarks {
            if round > 0 {
                runs.reverse();
            }
            for run in runs {
                let microseconds = run.measure(round);
                row.push(run.name, microseconds.with_context(|| format!("{}, {}: {}", row.table, row.name, run.name))?);
            }
        }
    }
    Ok(benchmarks.into_iter().map(|benchmark| benchmark.row).collect())
}

impl VariantRun {
    /// Sends the requests of one round. Returns Envoy's CPU time per request in microseconds.
    fn measure(&self, round: usize) -> Result<f64> {
        let mut load = Load::connect(self.process.address(), CONNECTIONS)?;
        let requests = &self.requests;
        let status = if requests.warm_up_status == 0 { self.status } else { requests.warm_up_status };
        load.drive(&mut std::iter::repeat(requests.warm_up.as_slice()), WARM_UP.min(self.count), status)?;
        if requests.again && round == 0 {
            // All requests are sent once before the first round to fill the caches, because the benchmark measures the steady
            // state.
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
/// The number of connections that the load client uses at the same time.
pub const CONNECTIONS: usize = 32;
