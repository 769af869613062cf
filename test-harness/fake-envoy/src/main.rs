//! `make sanitize` runs this program: it loads the dynamic module and calls its hooks as Envoy does, from five threads.
//!
//! Arguments: the file of the module, the number of streams, and `old` for the behaviour of Envoy before 1.40, which destroys a
//! stream inside of the function that sends its reply.

mod checks;
mod drive;
mod exports;
mod main_thread;
mod module;
mod queue;
mod random;
mod site;
mod stream;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use checks::{Counts, problem};
use drive::Driven;
use queue::{Event, Sender};
use random::Random;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().map_or("", String::as_str);
    let count = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(2_000);
    main_thread::begin(arguments.get(2).is_some_and(|text| text == "old"));
    if let Err(error) = module::load(path) {
        eprintln!("fake-envoy: {error}");
        return ExitCode::FAILURE;
    }
    let Some(first) = main_thread::load("scope", &site::document(100)) else { return ExitCode::FAILURE };
    main_thread::replace(Some(first));
    let workers: Vec<_> = (1..=WORKERS).map(|number| thread::spawn(move || work(number, count / WORKERS))).collect();
    let (mut turns, mut loads) = (0_usize, 1);
    while workers.iter().any(|worker| !worker.is_finished()) {
        main_thread::turn();
        turns += 1;
        if turns.is_multiple_of(60) {
            loads += 1;
            // Every second configuration has a scope of its own, and so fetches its documents again.
            let scope = if loads % 2 == 0 { format!("scope-{loads}") } else { "scope".to_string() };
            if main_thread::load("refused", "{}").is_some() {
                problem("a wrong document is accepted");
            }
            match main_thread::load(&scope, &site::document(100 + loads)) {
                Some(config) => main_thread::replace(Some(config)),
                None => problem("a document is refused"),
            }
        }
    }
    let mut counts = checks::take_counts();
    let mut ended = 0;
    for worker in workers {
        let Ok((more, streams)) = worker.join() else { return ExitCode::FAILURE };
        more.into_iter().for_each(|(key, value)| *counts.entry(key).or_default() += value);
        ended += streams;
    }
    main_thread::replace(None);
    (0..20).for_each(|_| main_thread::turn());
    let total = |id| counts.iter().filter(|((known, _), _)| *known == id).map(|(_, value)| *value).sum::<u64>();
    if total(0) != ended {
        problem(&format!("{ended} streams ended, and the module counted {}", total(0)));
    }
    if total(site::PANICS) != 0 {
        problem("the module counted panics");
    }
    for ((id, labels), value) in counts.iter().filter(|((id, _), _)| [0, 1, 5].contains(id)) {
        let name = site::COUNTERS.get(*id).map_or("", |(name, _)| *name);
        println!("{name} {} {value}", labels.join(" "));
    }
    println!("{ended} streams, {loads} configurations, {} problems", checks::problems());
    if checks::problems() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one worker thread until its streams have ended. Returns its counts and the number of streams.
fn work(number: usize, count: usize) -> (Counts, u64) {
    let queue = Sender::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number as u64);
    let mut streams: Vec<Driven> = Vec::new();
    let mut started = 0;
    let mut idle = 0;
    while started < count || !streams.is_empty() {
        if started < count
            && streams.len() < OPEN
            && let Some(config) = main_thread::current()
        {
            streams.push(Driven::start(site::request(&mut random), &config, &queue));
            started += 1;
        }
        let wait = if streams.iter().all(Driven::is_waiting) && !streams.is_empty() { 5 } else { 0 };
        while let Some(event) = queue.take(Duration::from_millis(wait)) {
            let Event::Scheduled(handle, event) = event;
            // Envoy does not report work of a stream that has ended.
            if let Some(stream) = stream::find(handle).filter(|stream| !stream.is_complete.get()) {
                module::scheduled(handle, stream.module.get(), event);
            }
            for one in streams.iter().filter(|one| !one.is_gone()) {
                one.end_replied();
            }
        }
        let before = streams.len();
        if before > 0
            && let Some(one) = streams.get(random.below(before)).filter(|one| !one.is_gone())
        {
            one.advance(&mut random);
        }
        streams.retain(|one| !one.is_gone());
        idle = if streams.len() == before && started == count { idle + wait } else { 0 };
        if idle > HANG_MILLIS {
            streams.iter().for_each(Driven::report_hang);
            break;
        }
    }
    (checks::take_counts(), started as u64)
}

const WORKERS: usize = 4;
/// The number of open streams of a worker.
const OPEN: usize = 24;
const HANG_MILLIS: u64 = 15_000;
