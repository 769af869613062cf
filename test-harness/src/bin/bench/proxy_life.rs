//! Measures start-up time, the memory of each additional worker, and the size of the module.

use std::fs;

use anyhow::{Context, Result};

use crate::gateway::Gateway;
use crate::load::Load;
use crate::row::{BARE, Goal, Row};
use crate::site::{self, Site};
use crate::tables::{CACHED, MODULE, OURS};
use crate::variant::BenchContext;

/// Measures the milliseconds from the start of Envoy to its first response, and the CPU time of the process until then. Envoy can
/// use both cores, because it compiles the wasm module on several threads.
pub fn start_up(context: &BenchContext, site: &Site, rounds: usize) -> Result<Vec<Row>> {
    let row =
        |name: &str, unit, goals| Row { table: "Start-up", name: name.to_owned(), unit, figures: Vec::new(), goals };
    let p7 = Goal { name: "P7", variant: MODULE, against: &[BARE], added: false, limit: 1.2 };
    let mut wall = row("to the first answer", "ms", vec![]);
    let mut cpu = row("CPU to the first answer", "ms CPU", vec![p7]);
    for _ in 0..rounds {
        for (name, variant) in context.known(&[BARE, CACHED, OURS, MODULE]) {
            let (process, milliseconds) = context.launch(variant, site, 1, false)?;
            wall.push(name, milliseconds);
            cpu.push(name, count(process.cpu_ns()?) / 1e6);
        }
    }
    Ok(vec![wall, cpu])
}

/// Measures the resident memory in MiB after requests: of an Envoy with one worker, and of each further worker.
pub fn memory(context: &BenchContext, site: &Site, token: &str, rounds: usize) -> Result<Vec<Row>> {
    let row =
        |name: &str, goals| Row { table: "Memory", name: name.to_owned(), unit: "MiB", figures: Vec::new(), goals };
    let p8 = |variant, limit| Goal { name: "P8", variant, against: &[], added: true, limit };
    let mut first = row("Envoy with one worker", vec![p8(OURS, 52.0), p8(MODULE, 8.0)]);
    let mut further = row("each further worker", vec![p8(OURS, 4.0), p8(MODULE, 1.0)]);
    let call = site::call(&site.last_path(), token);
    for _ in 0..rounds {
        for (name, variant) in context.known(&[BARE, CACHED, OURS, MODULE]) {
            let mut resident = [0.0; 2];
            for (kib, workers) in resident.iter_mut().zip([1, 1 + FURTHER]) {
                let (process, _) = context.launch(variant, site, workers, false)?;
                // Envoy distributes connections over its workers. There are enough connections that every worker gets some of
                // them.
                let mut load = Load::connect(process.address(), CONNECTIONS)?;
                load.drive(&mut std::iter::repeat(call.as_slice()), REQUESTS, 200)?;
                *kib = count(process.resident_kib()?);
            }
            let [one, several] = resident;
            first.push(name, one / 1024.0);
            further.push(name, (several - one) / 1024.0 / count(FURTHER as u64));
        }
    }
    Ok(vec![first, further])
}

/// Returns a row with the size of each module's file in KiB.
pub fn size(gateway: &Gateway) -> Result<Row> {
    let mut row = Row { table: "Size", name: "module".to_owned(), unit: "KiB", figures: Vec::new(), goals: Vec::new() };
    for (name, module) in [(OURS, &gateway.module), (MODULE, &gateway.dynamic_module())] {
        let bytes = fs::metadata(module).with_context(|| format!("{}", module.display()))?.len();
        row.push(name, count(bytes) / 1024.0);
    }
    Ok(row)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

const FURTHER: usize = 3;
const CONNECTIONS: usize = 64;
const REQUESTS: usize = 4_000;
