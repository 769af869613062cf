//! Defines the tables of the benchmark: the requests of each row, the variants to compare, and the goals.

use std::rc::Rc;

use anyhow::{Context, Result};

use crate::equal;
use crate::floor::Floor;
use crate::measure::{self, Benchmark, Requests, VariantRun};
use crate::native::Table;
use crate::process::Process;
use crate::row::{BARE, Goal, Row};
use crate::site::{self, Site};
use crate::tokens::{self, Algorithm};
use crate::variant::{BenchContext, Variant};

/// The number of rounds, requests and other repetitions in a run.
#[derive(Debug, Clone, Copy)]
pub struct RunSize {
    /// The number of measured rounds of each variant.
    pub rounds: usize,
    /// The number of requests in each round.
    pub requests: usize,
    /// The number of new tokens in each round. No variant has seen them before.
    pub cold: usize,
    /// The numbers of tokens that are sent in turn, one number for each row of the table `Valid tokens in rotation`.
    pub live: &'static [usize],
    /// The numbers of routes in the route tables.
    pub routes: &'static [usize],
    /// How often each variant is started to measure start-up and memory.
    pub starts: usize,
}

/// The tokens of a run, which are minted before the measurements.
#[derive(Debug)]
pub struct TokenPool(Vec<(Algorithm, Vec<String>)>);

impl TokenPool {
    /// Mints the tokens for each algorithm: one token that is sent repeatedly, and tokens that are sent only once. For RS256, it
    /// also mints the tokens that are sent in turn.
    pub fn mint(size: &RunSize) -> Result<Self> {
        let enough =
            |algorithm: Algorithm| tokens::mint(algorithm, 1, 2 + living(size, algorithm) + size.rounds * size.cold);
        Ok(Self(Algorithm::ALL.iter().map(|algorithm| Ok((*algorithm, enough(*algorithm)?))).collect::<Result<_>>()?))
    }

    /// Returns a valid RS256 token.
    pub fn any(&self) -> Result<&str> {
        self.hot(Algorithm::Rs256)
    }

    /// Returns the token that is sent repeatedly, so that variants with a cache have cached it.
    pub(crate) fn hot(&self, algorithm: Algorithm) -> Result<&str> {
        let all = self.0.iter().find(|(name, _)| *name == algorithm);
        all.and_then(|(_, tokens)| tokens.first()).map(String::as_str).context("no hot token was minted")
    }

    /// Returns `count` RS256 tokens that are sent in turn, or no tokens if fewer were minted.
    fn live(&self, count: usize) -> &[String] {
        self.beside(Algorithm::Rs256).get(..count).unwrap_or_default()
    }

    /// Returns the tokens that are sent only once. The tokens from [`TokenPool::live`] are not included, because variants with a
    /// cache might have cached them.
    fn fresh(&self, size: &RunSize, algorithm: Algorithm) -> &[String] {
        self.beside(algorithm).get(living(size, algorithm)..).unwrap_or_default()
    }

    fn beside(&self, algorithm: Algorithm) -> &[String] {
        let all = self.0.iter().find(|(name, _)| *name == algorithm);
        all.and_then(|(_, tokens)| tokens.get(1..)).unwrap_or_default()
    }
}

fn living(size: &RunSize, algorithm: Algorithm) -> usize {
    if algorithm == Algorithm::Rs256 { size.live.iter().copied().max().unwrap_or_default() } else { 0 }
}

/// Measures a repeated token and new tokens for each algorithm, and many tokens that are sent in turn for RS256.
pub fn of_tokens(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let mut benchmarks = Vec::new();
    let mut shared: Vec<Vec<RunningVariant>> = Vec::new();
    for site in [context.site(1), context.site(1).verifying(Algorithm::Hs256)] {
        let variants = context.variants(&site, &[BARE, CACHED, CACHED_ALL, UNCACHED, OURS, MODULE])?;
        for algorithm in site.algorithms() {
            let hot = site::call(&site.last_path(), tokens.hot(*algorithm)?);
            let row = Row::of_requests("Warm token", algorithm.name(), vec![P1, P1.of(MODULE, 0.6)]);
            benchmarks.push(benchmark(
                row,
                &variants,
                &[BARE, CACHED, UNCACHED, OURS, MODULE],
                &Requests::same(hot.clone()),
                size.requests,
            ));
            let calls = |tokens: &[String]| tokens.iter().map(|token| site::call(&site.last_path(), token)).collect();
            let cold = Requests::once(calls(tokens.fresh(size, *algorithm)), hot);
            let (goal, of_module_at_most) = match algorithm {
                Algorithm::EdDsa => (P3, 0.7),
                Algorithm::Ps256 => (P3, 0.85),
                Algorithm::Es256 => (P2, 0.9),
                Algorithm::Rs256 | Algorithm::Hs256 => (P2, 0.85),
            };
            let goals = vec![goal, goal.of(MODULE, of_module_at_most)];
            let row = Row::of_requests("Token never seen before", algorithm.name(), goals);
            benchmarks.push(benchmark(row, &variants, &[BARE, UNCACHED, CACHED, OURS, MODULE], &cold, size.cold));
            let live = if *algorithm == Algorithm::Rs256 { size.live } else { &[] };
            for count in live {
                let goals = if *count == 4_000 { vec![P2B, P2B.of(MODULE, 0.25)] } else { vec![] };
                let row = Row::of_requests("Valid tokens in rotation", format!("{count}, {}", algorithm.name()), goals);
                let calls = Requests::cycle(calls(tokens.live(*count)));
                let names = [BARE, CACHED, CACHED_ALL, UNCACHED, OURS, MODULE];
                benchmarks.push(benchmark(row, &variants, &names, &calls, size.requests));
            }
        }
        shared.push(variants);
    }
    // In this row, no variant writes an access log, so the row shows the cost of a decision without logging.
    let quiet = Site { audit: false, ..context.site(1) };
    let names = [BARE, CACHED, OURS, MODULE, FORWARDS, IDLE];
    let variants = context.variants(&quiet, &names)?;
    let hot = Requests::same(site::call(&quiet.last_path(), tokens.hot(Algorithm::Rs256)?));
    let row = Row::of_requests("Warm token", "RS256, no access log", vec![P1_NO_LOG, P1_NO_LOG.of(MODULE, 0.55)]);
    benchmarks.push(benchmark(row, &variants, &names, &hot, size.requests));
    measure::run(benchmarks, size.rounds)
}

/// Measures route tables of different sizes. All requests match the last route.
pub fn of_routes(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let bare = context.variants(&context.site(1), &[BARE])?;
    let mut benchmarks = Vec::new();
    let mut ends = bare.clone();
    for routes in size.routes {
        let site = context.site(*routes);
        let mut variants = context.variants(&site, &[LIST, TREE, OURS, MODULE])?;
        variants.extend(bare.iter().cloned());
        for (known, alias) in [(10, OURS_SMALL), (5_000, OURS_LARGE)] {
            let own = variants.iter().filter(|variant| variant.name == OURS && known == *routes);
            ends.extend(own.map(|variant| RunningVariant { name: alias, ..variant.clone() }).collect::<Vec<_>>());
        }
        let hot = Requests::same(site::call(&site.last_path(), tokens.hot(Algorithm::Rs256)?));
        let goals = if *routes == 5_000 { vec![P4, P4_LIST, P4.of(MODULE, 0.5)] } else { vec![] };
        let row = Row::of_requests("Last of n routes", format!("{routes}"), goals);
        // A list of thousands of routes costs milliseconds per request, so this variant gets fewer requests in each round.
        let count = (size.requests * 100 / (*routes).max(100)).max(200).min(size.requests);
        let mut benchmark = benchmark(row, &variants, &[BARE, LIST, TREE, OURS, MODULE], &hot, size.requests);
        benchmark.runs.iter_mut().filter(|run| run.name == LIST).for_each(|run| run.count = count);
        benchmarks.push(benchmark);
    }
    let hit = |routes: usize| {
        Ok::<_, anyhow::Error>(site::call(&context.site(routes).last_path(), tokens.hot(Algorithm::Rs256)?))
    };
    let mut growth = benchmark(
        Row::of_requests("Last of n routes", "5,000 against 10", vec![P4_GROWTH]),
        &ends,
        &[BARE, OURS_SMALL],
        &Requests::same(hit(10)?),
        size.requests,
    );
    growth.runs.extend(
        benchmark(Row::of_requests("", "", vec![]), &ends, &[OURS_LARGE], &Requests::same(hit(5_000)?), size.requests)
            .runs,
    );
    benchmarks.push(growth);
    measure::run(benchmarks, size.rounds)
}

/// Measures the responses that the proxy itself sends: refusals, preflights and static routes.
pub fn of_replies(context: &BenchContext, size: &RunSize, tokens: &TokenPool) -> Result<Vec<Row>> {
    let site = context.site(1);
    let variants = context.variants(&site, &[CACHED, OURS, MODULE, REFUSES])?;
    let path = site.last_path();
    let forged: Result<Vec<_>> = tokens.live(1_000).iter().map(|token| tokens::forged(token)).collect();
    let forged = forged?.iter().map(|token| site::call(&path, token)).collect();
    let wrong = tokens::without_scope(Algorithm::Rs256)?;
    let kinds = [
        ("Refused", "no token", Requests::same(site::anonymous(&path)), 401),
        ("Refused", "flipped signature, RS256", Requests::cycle(forged), 401),
        ("Refused", "unknown route", Requests::same(site::anonymous(site::NOWHERE)), 404),
        ("Refused", "missing scope", Requests::same(site::call(&path, &wrong)), 403),
        ("Answered", "preflight", Requests::same(site::preflight(&path, site::ORIGIN)), 200),
        ("Answered", "static route", Requests::same(site::anonymous(site::HEALTH)), 200),
    ];
    let benchmarks = kinds.map(|(table, name, requests, status)| {
        let goals = match (table, name) {
            ("Refused", "no token" | "unknown route") => vec![P6, P6.of(MODULE, 0.9)],
            ("Refused", _) => vec![Goal { limit: 1.0, ..P6 }, P6.of(MODULE, 0.7)],
            _ => vec![],
        };
        let names: &[_] = if name == "no token" { &[CACHED, OURS, MODULE, REFUSES] } else { &[CACHED, OURS, MODULE] };
        let mut benchmark = benchmark(Row::of_requests(table, name, goals), &variants, names, &requests, size.requests);
        benchmark.runs.iter_mut().for_each(|run| run.status = status);
        // Envoy's `cors` filter answers preflights with status 200, and Portcullis answers them with status 204.
        benchmark
            .runs
            .iter_mut()
            .filter(|run| run.name != CACHED && name == "preflight")
            .for_each(|run| run.status = 204);
        benchmark
    });
    measure::run(benchmarks.into(), size.rounds)
}

/// A running variant.
#[derive(Debug, Clone)]
pub(crate) struct RunningVariant {
    /// The name of the variant in the tables.
    pub name: &'static str,
    /// The Envoy of the variant.
    pub process: Rc<Process>,
}

impl BenchContext {
    /// Starts these variants for `site` and checks that they have the same effect, except for variants without filters and
    /// variants that decide nothing.
    pub(crate) fn variants(&self, site: &Site, names: &[&'static str]) -> Result<Vec<RunningVariant>> {
        let start = |(name, variant)| Ok(RunningVariant { name, process: self.start(variant, site)? });
        let started: Result<Vec<_>> = self.known(names).into_iter().map(start).collect();
        let started = started?;
        let with_filters = started.iter().filter(|variant| ![BARE, IDLE, FORWARDS, REFUSES].contains(&variant.name));
        let compared: Vec<_> = with_filters.map(|variant| (variant.name, variant.process.as_ref())).collect();
        self.count(equal::verify(&compared, site, &self.upstream)?);
        Ok(started)
    }

    /// Returns the variants with these names. Variants that need the files of Portcullis are omitted if only the baselines are
    /// measured.
    pub fn known(&self, names: &[&'static str]) -> Vec<(&'static str, Variant)> {
        names.iter().filter_map(|name| Some((*name, self.variant(name)?))).collect()
    }

    fn variant(&self, name: &str) -> Option<Variant> {
        let variant = match name {
            BARE => Variant::Bare,
            CACHED | LIST => Variant::Native(1_000, Table::List),
            CACHED_ALL => Variant::Native(10_000, Table::List),
            UNCACHED => Variant::Native(0, Table::List),
            TREE => Variant::Native(1_000, Table::Tree),
            OURS => Variant::Gateway,
            FULL => Variant::Full,
            MODULE => Variant::Module,
            IDLE => Variant::Floor(Floor::Idle),
            FORWARDS => Variant::Floor(Floor::Forwards),
            REFUSES => Variant::Floor(Floor::Refuses),
            _ => return None,
        };
        let needs_the_gateway = !matches!(variant, Variant::Bare | Variant::Native(..));
        (self.gateway.is_some() || !needs_the_gateway).then_some(variant)
    }
}

/// Returns a benchmark that sends the same requests to each variant in `names`. Every response must have status 200.
pub(crate) fn benchmark(
    row: Row,
    variants: &[RunningVariant],
    names: &[&str],
    requests: &Rc<Requests>,
    count: usize,
) -> Benchmark {
    let selected = names.iter().filter_map(|name| variants.iter().find(|variant| variant.name == *name));
    let run = |variant: &RunningVariant| VariantRun {
        name: variant.name,
        process: variant.process.clone(),
        requests: requests.clone(),
        count,
        status: 200,
    };
    Benchmark { row, runs: selected.map(run).collect() }
}

/// The name of the variant under test.
pub const OURS: &str = "Portcullis";
/// The name of the variant that runs the dynamic module.
pub const MODULE: &str = "Portcullis, dynamic module";
/// The name of the variant that runs the full module although its document does not need it.
pub const FULL: &str = "Portcullis, full module";
/// The name of the baseline that most goals compare with.
pub const CACHED: &str = "native, cache of 1,000 tokens";
const CACHED_ALL: &str = "native, cache of 10,000 tokens";
const UNCACHED: &str = "native, no cache";
const LIST: &str = "native, list of routes";
const TREE: &str = "native, prefix map of routes";
const IDLE: &str = "a module that only lets pass";
const FORWARDS: &str = "a module that only makes Portcullis' host calls";
const REFUSES: &str = "a module that only refuses, by Portcullis' host calls";
const OURS_SMALL: &str = "Portcullis, 10 routes";
const OURS_LARGE: &str = "Portcullis, 5,000 routes";

const P1: Goal = Goal { name: "P1", variant: OURS, against: &[CACHED], added: true, limit: 1.15 };
const P1_NO_LOG: Goal = Goal { name: "P1 (no log)", limit: 1.5, ..P1 };
const P2: Goal = Goal { name: "P2", variant: OURS, against: &[UNCACHED], added: true, limit: 1.15 };
const P2B: Goal = Goal { name: "P2b", variant: OURS, against: &[CACHED], added: true, limit: 0.4 };
const P3: Goal = Goal { name: "P3", variant: OURS, against: &[UNCACHED], added: true, limit: 1.5 };
const P4: Goal = Goal { name: "P4", variant: OURS, against: &[LIST, TREE], added: true, limit: 1.0 };
const P4_LIST: Goal = Goal { name: "P4 (list)", variant: OURS, against: &[LIST], added: true, limit: 0.1 };
const P4_GROWTH: Goal =
    Goal { name: "P4 (own)", variant: OURS_LARGE, against: &[OURS_SMALL], added: true, limit: 1.05 };
const P6: Goal = Goal { name: "P6", variant: OURS, against: &[CACHED], added: false, limit: 1.4 };
