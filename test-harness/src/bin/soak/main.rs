//! `make soak` sends a long mix of requests, checks every response, and records Envoy's memory and open files.

mod mix;
mod watch;

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use mix::Tokens;
use serde_json::json;
use test_harness::client::{Connection, Response};
use test_harness::fuzz::rng::Rng;
use test_harness::trial::{self, Gate, Servers};
use test_harness::{clock, envoy, h2c, ports};
use watch::{look, total};

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    match soak(count, std::env::args().nth(2).as_deref()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(count: usize, folder: Option<&str>) -> Result<String> {
    let servers = Servers::start()?;
    let mut gate = Gate::with_changes(&mix::document(&servers)?, |_| Ok(()))?;
    let (next, wrong) = (AtomicUsize::new(0), AtomicU64::new(0));
    let first = look(&gate, 0)?;
    let began = clock::unix_seconds();
    let mut samples = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let client = |seed: u64| {
            let (servers, gate, next, wrong) = (&servers, &gate, &next, &wrong);
            scope.spawn(move || send(servers, gate.port, count, next, wrong, seed))
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        while clients.iter().any(|client| !client.is_finished()) {
            samples.push(look(&gate, next.load(Ordering::Relaxed).min(count))?);
            // The requests that the upstream has recorded are deleted, so that the memory of this process does not grow.
            servers.upstream.received().take();
            mix::publish(&servers, samples.len());
            thread::sleep(Duration::from_millis(250));
        }
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let seconds = clock::unix_seconds() - began;
    // The clients have disconnected, but Envoy closes their connections only after a moment.
    thread::sleep(Duration::from_secs(2));
    let open = gate.envoy.stat("http.portcullis.downstream_rq_active")?;
    let connections = gate.envoy.stat("http.portcullis.downstream_cx_active")?;
    let (waiting, kept) = (total(&gate, "upstream_rq_active")?, total(&gate, "upstream_cx_active")?);
    let last = look(&gate, count)?;
    gate.never_failed()?;
    let wrong = wrong.load(Ordering::Relaxed);
    let warm = samples.iter().filter(|sample| sample.requests >= count / 4);
    let (least, most) =
        warm.fold((u64::MAX, 0), |(least, most), sample| (least.min(sample.memory_kib), most.max(sample.memory_kib)));
    let result = json!({
        "requests": count, "seconds": seconds, "wrong_answers": wrong, "workers": trial::WORKERS, "clients": CLIENTS,
        "memory_kib": { "warm_least": least, "warm_most": most, "end": last.memory_kib },
        "files_at_end": last.files, "requests_open_at_end": open, "connections_open_at_end": connections,
        "files_at_start": first.files, "upstream_requests_open_at_end": waiting, "upstream_connections_kept": kept,
        "curve": samples.iter().map(|s| json!([s.requests, s.memory_kib, s.files])).collect::<Vec<_>>(),
    });
    if let Some(folder) = folder {
        let folder = envoy::root().join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("latest.json"), format!("{result:#}\n"))?;
        fs::write(folder.join("latest.svg"), watch::plot(&samples, count))?;
    }
    let said = format!(
        "{count} requests in {seconds} s, {wrong} with an unexpected response; memory {least} to {most} KiB after the first quarter"
    );
    ensure!(
        wrong == 0 && open == 0 && connections == 0 && waiting == 0,
        "{said}; still open at the end: {open} requests, {connections} connections, and {waiting} requests to upstreams"
    );
    // Envoy keeps connections to upstreams for later requests. The number of other open files must not grow, except for a few
    // connections to the admin interface that are still closing.
    ensure!(
        last.files <= first.files + kept + CLOSING,
        "{said}; {} files are open ({kept} of them connections to upstreams), but only {} were open at the start",
        last.files,
        first.files
    );
    ensure!(most <= least + least / 5, "{said}: the memory grew by more than a fifth");
    Ok(said)
}

/// Runs one client. The client sends most requests over one HTTP/1.1 connection, and some over new HTTP/2 connections. It checks
/// the status of every response.
fn send(servers: &Servers, port: u16, count: usize, next: &AtomicUsize, wrong: &AtomicU64, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed * 7919 + 1);
    let mut tokens = Tokens::mint(servers, seed)?;
    let to = ports::loopback(port);
    let mut connection = Connection::open(to, PATIENCE)?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(());
        }
        if rng.below(4) == 0 {
            tokens.renew(servers, seed, number)?;
        }
        let (request, right) = mix::request(&mut rng, &tokens, number);
        let over_http2 = rng.below(50) == 0;
        let answer = if over_http2 { h2c::send(to, &request, PATIENCE) } else { connection.exchange(&request) };
        let got = answer.as_ref().map(|answer| answer.status);
        let is_right = got.as_ref().is_ok_and(|status| right.contains(status));
        if !is_right {
            eprintln!(
                "the response to {} was {got:?} instead of one of {right:?}",
                String::from_utf8_lossy(&request.target)
            );
            wrong.fetch_add(1, Ordering::Relaxed);
        }
        let closes =
            |answer: &Response| answer.headers.iter().any(|(name, value)| name == "connection" && value == b"close");
        if !is_right || !over_http2 && answer.is_ok_and(|answer| closes(&answer)) {
            connection = Connection::open(to, PATIENCE)?;
        }
    }
}

const CLIENTS: u64 = 16;
const CLOSING: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);
