//! Runs a gateway and servers that can fail, puts load on the gateway, and checks every request that was sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use test_harness::client::Request;
use test_harness::clock::Deadline;
use test_harness::envoy::{Envoy, Launch};
use test_harness::issuer::Issuer;
use test_harness::load::{self, Answer, RequestKind, Sent};
use test_harness::outcome::values;
use test_harness::ports;
use test_harness::trial::{self, WORKERS};
use test_harness::upstream::{Received, Upstream};

use crate::allowed::{Allowed, AllowedLosses, Record, answers, of, one_each, seen};
use crate::given::{policy, sorts, token};

/// The servers, the gateway, and the kinds of requests that the load consists of.
pub struct Site {
    pub issuer: Issuer,
    /// The upstream, or `None` while it is down.
    pub upstream: Option<Upstream>,
    pub upstream_port: u16,
    pub envoy: Option<Envoy>,
    pub port: u16,
    /// The log lines of Envoys that were killed.
    written: Vec<String>,
    admin: u16,
    received: Received,
    config: Value,
    sorts: Vec<RequestKind>,
    env: Vec<(String, String)>,
}

/// The number of requests for each kind, status and code.
pub type Counts = BTreeMap<(&'static str, u16, String), usize>;

impl Site {
    /// Starts the servers and a gateway. Fetched documents have short lifetimes, so that tests can wait until they expire.
    pub fn open() -> Result<Self> {
        Self::with_changes(|_, _| Ok(()), |_| Ok(()))
    }

    /// Starts a site as [`Site::open`] does, after `amend` has changed the document and `change` the generated configuration.
    pub fn with_changes(
        amend: impl FnOnce(&mut Value, &Issuer) -> Result<()>,
        change: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<Self> {
        Self::with_env(Vec::new(), amend, change)
    }

    /// Starts a site as [`Site::with_changes`] does, with environment variables for Envoy.
    pub fn with_env(
        env: Vec<(String, String)>,
        amend: impl FnOnce(&mut Value, &Issuer) -> Result<()>,
        change: impl FnOnce(&mut Value) -> Result<()>,
    ) -> Result<Self> {
        let received = Received::default();
        let issuer = Issuer::start(0, &["rsa-1"])?;
        let upstream = Upstream::start("orders", 0, received.clone())?;
        let upstream_port = upstream.port();
        let mut policy = policy(&issuer, upstream_port);
        amend(&mut policy, &issuer)?;
        let [port, admin] = ports::free()?;
        let mut config = trial::generate(&policy, port, admin)?;
        change(&mut config)?;
        let sorts = sorts(&issuer)?;
        let upstream = Some(upstream);
        let written = Vec::new();
        let mut site =
            Self { issuer, upstream, upstream_port, envoy: None, port, written, admin, received, config, sorts, env };
        site.start()?;
        Ok(site)
    }

    /// Starts Envoy. Kills the previous Envoy first.
    pub fn start(&mut self) -> Result<()> {
        let launch =
            Launch { bootstrap: &self.config.to_string(), admin: self.admin, workers: WORKERS, env: self.env.clone() };
        self.kill();
        self.envoy = Some(Envoy::start(&launch)?);
        Ok(())
    }

    /// Kills Envoy and keeps its log lines.
    pub fn kill(&mut self) {
        self.written.extend(self.envoy.take().into_iter().flat_map(Envoy::kill));
    }

    /// Returns the kinds of requests that the load consists of.
    pub fn sorts(&self) -> Vec<RequestKind> {
        self.sorts.clone()
    }

    /// Adds a kind of request to the load.
    pub fn also(&mut self, name: &'static str, request: Request) {
        self.sorts.push((name, request));
    }

    /// Returns the gateway's document, so that a test can change and reload it.
    pub fn policy(&self) -> Value {
        policy(&self.issuer, self.upstream_port)
    }

    /// Returns a token that the key `key` signed.
    pub fn token(&self, key: &str) -> Result<String> {
        token(&self.issuer, key)
    }

    /// Puts load on the gateway while `act` runs, and checks every request of the load.
    pub fn during(&self, allowed: Allowed<'_>, act: impl FnOnce(&AtomicU64) -> Result<()>) -> Result<Counts> {
        self.received.take();
        let ((), sent) = load::during(ports::loopback(self.port), CLIENTS, &self.sorts, act)?;
        self.judge(&sent, allowed, &AllowedLosses::default())
    }

    /// Puts load on the gateway until [`ENOUGH`] responses have arrived, and checks every request.
    pub fn under_load(&self, allowed: Allowed<'_>) -> Result<Counts> {
        self.during(allowed, |answered| more(answered, ENOUGH))
    }

    /// Waits until requests of the kind `sort` get this status on all workers.
    pub fn until(&self, sort: &str, status: u16) -> Result<()> {
        self.becomes(sort, status, PATIENCE)
    }

    /// Waits as [`Site::until`] does, but at most for the time that `docs/failures.md` states, plus [`SLACK`].
    pub fn within(&self, stated: Duration, sort: &str, status: u16) -> Result<()> {
        self.becomes(sort, status, stated + SLACK).with_context(|| format!("docs/failures.md states {stated:?}"))
    }

    fn becomes(&self, sort: &str, status: u16, wait: Duration) -> Result<()> {
        let (_, request) =
            self.sorts.iter().find(|(name, _)| *name == sort).context("the load has no such kind of request")?;
        let to = ports::loopback(self.port);
        let asked = || test_harness::client::send(to, request, PATIENCE).ok().map(|response| response.status);
        // Several requests must get the same status, because each worker has its own state.
        let settled = || (0..6).all(|_| asked() == Some(status)).then_some(());
        let last = || {
            format!(
                "requests of the kind `{sort}` did not get {status} within {wait:?}; the last status is {:?}",
                asked()
            )
        };
        Deadline::after(wait).poll(settled).with_context(last)
    }

    /// Returns the running Envoy.
    pub fn envoy(&self) -> Result<&Envoy> {
        self.envoy.as_ref().context("Envoy is not running")
    }

    /// Checks that the filter has not failed on any worker.
    pub fn filter_never_failed(&mut self) -> Result<()> {
        self.envoy.as_mut().context("Envoy is not running")?.filter_never_failed(WORKERS)
    }

    /// Checks every request. Each request must have an allowed response. A refused request must not reach the upstream, and no
    /// request may reach the upstream twice. Except for the allowed losses, each answered request must have exactly one record,
    /// with the status of the response and an allowed reason.
    pub fn judge(&self, sent: &[Sent], allowed: Allowed<'_>, loss: &AllowedLosses) -> Result<Counts> {
        let mut counts = Counts::new();
        let mut unanswered = 0;
        let forwarded = self.forwarded();
        for one in sent {
            let times = forwarded.get(&one.id).copied().unwrap_or(0);
            ensure!(times <= 1, "a request of the kind `{}` reached the upstream {times} times", one.sort);
            let needs_none = matches!(one.sort, "no token" | "forged" | "static");
            ensure!(times == 0 || !needs_none, "a request of the kind `{}` reached the upstream: {one:?}", one.sort);
            let may_be = of(allowed, one.sort)?;
            let answer = &match seen(one, may_be) {
                Ok(answer) => answer,
                Err(_) if unanswered < loss.under_way => {
                    unanswered += 1;
                    continue;
                }
                Err(error) => bail!("a request of the kind `{}` got no response: {error}", one.sort),
            };
            let fits = may_be.iter().any(|right| answers(right, answer));
            ensure!(
                fits,
                "a request of the kind `{}` got the response {answer:?}, but only {may_be:?} is allowed",
                one.sort
            );
            ensure!(
                times == 0 || !refused(answer),
                "a refused request of the kind `{}` reached the upstream: {answer:?}",
                one.sort
            );
            let from_upstream = !needs_none && answer.status == 200;
            ensure!(times == 1 || !from_upstream, "a client got a 200 for a request that the upstream did not receive");
            *counts.entry((one.sort, answer.status, answer.code.clone())).or_default() += 1;
        }
        self.recorded(sent, allowed, loss)?;
        Ok(counts)
    }

    /// Returns how many requests reached the upstream since the last call.
    pub fn reached(&self) -> usize {
        self.received.take().len()
    }

    fn forwarded(&self) -> HashMap<String, usize> {
        let mut forwarded = HashMap::new();
        for request in self.received.take() {
            for id in values(&request.headers, "x-request-id") {
                *forwarded.entry(id).or_default() += 1;
            }
        }
        forwarded
    }

    /// Waits until the access log has a correct record for every answered request.
    fn recorded(&self, sent: &[Sent], allowed: Allowed<'_>, loss: &AllowedLosses) -> Result<()> {
        let mut complaint = String::new();
        let complete = Deadline::after(Duration::from_secs(5)).poll(|| {
            match self.records().and_then(|records| one_each(sent, allowed, loss, &records)) {
                Ok(()) => Some(()),
                Err(error) => {
                    complaint = format!("{error:#}");
                    None
                }
            }
        });
        complete.with_context(|| complaint)
    }

    /// Returns the records in the access log, including those of killed Envoys.
    pub fn records(&self) -> Result<Vec<Record>> {
        let now = self.envoy()?.lines();
        Ok(self.written.iter().chain(&now).filter_map(|line| Record::read(line)).collect())
    }
}

/// Returns whether the response proves that the gateway did not forward the request.
fn refused(answer: &Answer) -> bool {
    matches!(answer.status, 400 | 401 | 403 | 404 | 405 | 429)
        || ["AUTH_UNAVAILABLE", "LIMIT_UNAVAILABLE"].contains(&answer.code.as_str())
}

/// Waits until `count` more responses have arrived.
pub fn more(answered: &AtomicU64, count: u64) -> Result<()> {
    let enough = answered.load(Ordering::Relaxed) + count;
    let reached = || (answered.load(Ordering::Relaxed) >= enough).then_some(());
    Deadline::after(PATIENCE).poll(reached).context("no more responses arrived in time")
}

/// Waits until a condition is true. `what` describes the condition in the error message.
pub fn until(what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    wait(PATIENCE, what, holds)
}

/// Waits as [`until`] does, but at most for the time that `docs/failures.md` states, plus [`SLACK`].
pub fn within(stated: Duration, what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    wait(stated + SLACK, what, holds)
}

fn wait(longest: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let reached = Deadline::after(longest).poll(|| match holds() {
        Ok(false) => None,
        Ok(true) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    reached.unwrap_or_else(|| bail!("timed out after {longest:?} while waiting for {what}"))
}

pub const CLIENTS: usize = 4;
/// The number of responses in one sample. It is large enough for each client to send each kind of request.
const ENOUGH: u64 = 120;
/// The margin for slow machines. It is wide, because several tests may share two cores.
const SLACK: Duration = Duration::from_secs(10);
pub const PATIENCE: Duration = Duration::from_secs(20);
