//! `make soak`: a long mix of requests, every answer counted, while Envoy's memory and open files are watched.

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};
use test_harness::client::{Connection, Request};
use test_harness::fuzz::dice::Dice;
use test_harness::token::Tamper;
use test_harness::trial::{self, Gate, HOST, ORIGIN, Servers, bearer, get};
use test_harness::{clock, envoy, ports};

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

/// One look at Envoy.
struct Sample {
    requests: usize,
    memory_kib: u64,
    files: usize,
}

fn soak(count: usize, folder: Option<&str>) -> Result<String> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let (next, wrong) = (AtomicUsize::new(0), AtomicU64::new(0));
    let began = clock::unix_seconds();
    let mut samples = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let client = |seed: u64| {
            let (servers, gate, next, wrong) = (&servers, &gate, &next, &wrong);
            scope.spawn(move || requests(servers, gate.port, count, next, wrong, seed))
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        while clients.iter().any(|client| !client.is_finished()) {
            samples.push(look(&gate, next.load(Ordering::Relaxed).min(count))?);
            // What the upstream writes down is not part of what is watched.
            servers.upstream.received().take();
            thread::sleep(Duration::from_millis(250));
        }
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let seconds = clock::unix_seconds() - began;
    // Clients are gone; Envoy needs a moment to see it.
    thread::sleep(Duration::from_secs(2));
    let open = gate.envoy.stat("http.portcullis.downstream_rq_active")?;
    let connections = gate.envoy.stat("http.portcullis.downstream_cx_active")?;
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
        "curve": samples.iter().map(|s| json!([s.requests, s.memory_kib, s.files])).collect::<Vec<_>>(),
    });
    if let Some(folder) = folder {
        let folder = envoy::root().join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("latest.json"), format!("{result:#}\n"))?;
        fs::write(folder.join("latest.svg"), plot(&samples, count))?;
    }
    let said = format!(
        "{count} requests in {seconds} s, {wrong} answered otherwise than they should be; memory {least} to {most} KiB after the first quarter"
    );
    ensure!(
        wrong == 0 && open == 0 && connections == 0,
        "{said}; {open} requests and {connections} connections left open"
    );
    ensure!(most <= least + least / 5, "{said}: it grows");
    Ok(said)
}

/// One client: a kept connection, every answer compared with the one that is right.
fn requests(
    servers: &Servers,
    port: u16,
    count: usize,
    next: &AtomicUsize,
    wrong: &AtomicU64,
    seed: u64,
) -> Result<()> {
    let mut dice = Dice::new(seed * 7919 + 1);
    let mut known = token(servers, seed, 0)?;
    let mut connection = Connection::open(ports::loopback(port), PATIENCE)?;
    let spoiled = test_harness::token::TokenSpec { tamper: Some(Tamper::Signature), ..servers.spec(&json!({})) };
    let forged = spoiled.mint(clock::unix_seconds(), &Map::new())?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(());
        }
        // Tokens and callers change all the time: more of them than any cache holds.
        if dice.below(20) == 0 {
            known = token(servers, seed, number)?;
        }
        let (request, status) = sort(dice.below(12), &known, &forged, number);
        match connection.exchange(&request) {
            Ok(answer) if answer.status == status => {
                let closes = answer.headers.iter().any(|(name, value)| name == "connection" && value == b"close");
                if closes {
                    connection = Connection::open(ports::loopback(port), PATIENCE)?;
                }
            }
            other => {
                let got = other.map(|answer| answer.status);
                eprintln!("{} was answered {got:?}, not {status}", String::from_utf8_lossy(&request.target));
                wrong.fetch_add(1, Ordering::Relaxed);
                connection = Connection::open(ports::loopback(port), PATIENCE)?;
            }
        }
    }
}

fn sort(which: usize, known: &str, forged: &str, number: usize) -> (Request, u16) {
    match which {
        0 => (get("/health"), 200),
        1 => (get("/orders/1"), 401),
        2 => (bearer(get("/orders/1"), forged), 401),
        3 => (bearer(get("/reports/1"), known), 403),
        4 => (get(&format!("/open/{number}")).header("x-user-id", "root"), 200),
        5 => (get(&format!("/nowhere/{number}")), 404),
        6 => {
            let preflight = Request::new("OPTIONS", "/orders/1", HOST).header("origin", ORIGIN);
            (preflight.header("access-control-request-method", "POST"), 204)
        }
        7 => (bearer(Request::new("POST", "/orders/1", HOST), known).body("x".repeat(number % 4_000 + 1)), 200),
        8 => (get("/orders/1").header("cookie", &format!("a=b; sid={known}")), 200),
        9 => (get("/open/a;b"), 400),
        _ => (bearer(get(&format!("/orders/{number}")), known), 200),
    }
}

fn token(servers: &Servers, seed: u64, number: usize) -> Result<String> {
    let claims = json!({ "sub": format!("user-{seed}-{number}"), "org_id": format!("org-{}", number % 97) });
    let spec =
        test_harness::token::TokenSpec { key: "p256-1".to_owned(), exp_in: Some(3_600), ..servers.spec(&claims) };
    spec.mint(clock::unix_seconds(), &Map::new())
}

fn look(gate: &Gate, requests: usize) -> Result<Sample> {
    let process = format!("/proc/{}", gate.envoy.pid());
    let status = fs::read_to_string(format!("{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let files = fs::read_dir(format!("{process}/fd"))?.count();
    Ok(Sample { requests, memory_kib: resident.context("no VmRSS")?, files })
}

/// Memory over requests.
fn plot(samples: &[Sample], count: usize) -> String {
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

const CLIENTS: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(30);
