//! Measures start-up time, the memory of each additional worker, and the size of the module.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::load::Load;
use crate::row::{BARE, Goal, Row};
use crate::site::{self, Site};
use crate::tables::{CACHED, OURS};
use crate::variant::BenchContext;

/// Measures the milliseconds from the start of Envoy to its first response. Envoy can use both cores, because it compiles the
/// module on several threads.
pub fn start_up(context: &BenchContext, site: &Site, rounds: usize) -> Result<Row> {
    let mut row = Row {
        table: "Start-up",
        name: "to the first answer".to_owned(),
        unit: "ms",
        figures: Vec::new(),
        goals: vec![Goal { name: "P7", variant: OURS, against: &[BARE], added: false, limit: 2.5 }],
    };
    for _ in 0..rounds {
        for (name, variant) in context.known(&[BARE, CACHED, OURS]) {
            row.push(name, context.launch(variant, site, 1, false)?.1);
        }
    }
    Ok(row)
}

/// Measures the resident memory in MiB that each additional worker needs after it has served requests.
pub fn memory(context: &BenchContext, site: &Site, token: &str, rounds: usize) -> Result<Row> {
    let mut row = Row {
        table: "Memory",
        name: "each further worker".to_owned(),
        unit: "MiB",
        figures: Vec::new(),
        goals: vec![Goal { name: "P8", variant: OURS, against: &[], added: true, limit: 4.0 }],
    };
    let call = site::call(&site.last_path(), token);
    for _ in 0..rounds {
        for (name, variant) in context.known(&[BARE, CACHED, OURS]) {
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
            row.push(name, (several - one) / 1024.0 / count(FURTHER as u64));
        }
    }
    Ok(row)
}

/// Returns a row with the size of the module's file in KiB.
pub fn size(module: &Path) -> Result<Row> {
    let bytes = fs::metadata(module).with_context(|| format!("{}", module.display()))?.len();
    let mut row = Row { table: "Size", name: "module".to_owned(), unit: "KiB", figures: Vec::new(), goals: Vec::new() };
    row.push(OURS, count(bytes) / 1024.0);
    Ok(row)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

const FURTHER: usize = 3;
const CONNECTIONS: usize = 64;
const REQUESTS: usize = 4_000;
