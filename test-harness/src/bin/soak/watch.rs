//! Samples Envoy's memory and open files, and plots the memory.

use std::fs;

use anyhow::{Context, Result};
use test_harness::trial::Gate;

/// The state of the Envoy process at one time.
#[derive(Debug)]
pub struct Sample {
    /// The number of requests sent so far.
    pub requests: usize,
    /// The resident memory in KiB.
    pub memory_kib: u64,
    /// The number of open files, including connections.
    pub files: usize,
}

/// Takes a sample of the Envoy process after `requests` requests.
pub fn look(gate: &Gate, requests: usize) -> Result<Sample> {
    let process = format!("/proc/{}", gate.envoy.pid());
    let status = fs::read_to_string(format!("{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let files = fs::read_dir(format!("{process}/fd"))?.count();
    Ok(Sample { requests, memory_kib: resident.context("/proc/<pid>/status has no VmRSS")?, files })
}

/// Returns the sum of a gauge over all clusters.
pub fn total(gate: &Gate, gauge: &str) -> Result<usize> {
    let lines = gate.envoy.admin(&format!("/stats?filter=^cluster\\..*\\.{gauge}$"))?;
    let counts = lines.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    Ok(counts.sum())
}

/// Returns an SVG plot of memory over requests.
pub fn plot(samples: &[Sample], count: usize) -> String {
    let most = samples.iter().map(|sample| sample.memory_kib).max().unwrap_or(1).max(1);
    let point = |sample: &Sample| {
        let x = 60 + sample.requests * 620 / count.max(1);
        let y = 260 - sample.memory_kib * 230 / most;
        format!("{x},{y}")
    };
    let line: Vec<_> = samples.iter().map(point).collect();
    format!(
        concat!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 300\" font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"700\" height=\"300\" fill=\"white\"/><path d=\"M60 20V260H680\" fill=\"none\" stroke=\"black\"/>",
            "<text x=\"60\" y=\"14\">resident memory of Envoy, MiB</text><text x=\"20\" y=\"34\">{}</text><text x=\"40\" y=\"264\">0</text>",
            "<text x=\"600\" y=\"282\">{} requests</text><polyline fill=\"none\" stroke=\"#0b62a4\" stroke-width=\"1.5\" points=\"{}\"/></svg>\n"
        ),
        most / 1024,
        count,
        line.join(" ")
    )
}
