//! Fetches polled documents through Envoy and shares them: whoever gets the lease fetches, everyone else reads what it left.
//!
//! Two shared values a document: a small state that every worker reads at every tick, and the text, read when it changed.

use std::collections::HashMap;
use std::time::Duration;

use proxy_wasm::types::LogLevel;

use super::host::{self, Map};
use crate::policy::polled::{PollPlan, Polled, PolledId};

/// The polling of one plugin in one worker.
#[derive(Debug, Default)]
pub struct Polling {
    watched: Vec<Watched>,
    running: HashMap<u32, Fetch>,
}

/// One document: its names in the shared data, and what this worker has taken over of it.
#[derive(Debug)]
struct Watched {
    id: PolledId,
    state_key: String,
    text_key: String,
    /// The end of the last fetch this worker knows of.
    ended_at: u64,
    /// The version this worker has looked at, and the one it holds; 0 is none.
    met: u64,
    held: u64,
    /// The validator of the version it holds.
    etag: Option<String>,
}

/// A fetch on its way: of which document, and whether its answer may be that nothing changed.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    index: usize,
    conditional: bool,
}

/// What failed, in words for the log, and how.
type Failure = (&'static str, String);

/// What the workers tell each other about one document, in milliseconds since the Unix epoch; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// When somebody last began a fetch.
    leased_at: u64,
    /// When a fetch last ended, well or not.
    ended_at: u64,
    /// When the endpoint last said that the shared text is its document.
    fetched_at: u64,
    /// The version of the shared text: when it came.
    version: u64,
}

impl Polling {
    /// Watches every document of `polled`. Creates the shared states, so that the first lease is already a comparison
    /// (envoy-facts §2.14: a missing key takes any version).
    pub fn of(polled: &Polled) -> Polling {
        let watched: Vec<Watched> = polled.plans().map(|(id, plan)| Watched::new(id, plan)).collect();
        for one in &watched {
            if host::shared(&one.state_key).1.is_none() {
                State::default().share(&one.state_key);
            }
        }
        Polling { watched, running: HashMap::new() }
    }

    /// One tick: takes over what other workers fetched, and fetches what is due and nobody is fetching.
    /// True when requests that wait should be decided again.
    pub fn poll(&mut self, polled: &mut Polled, now: Duration) -> bool {
        let mut changed = false;
        for (index, watched) in self.watched.iter_mut().enumerate() {
            let (state, version) = State::read(&watched.state_key);
            changed |= watched.take_over(polled, state);
            let Some(timeout) = polled.plan(watched.id).map(|plan| plan.timeout) else { continue };
            // A lease from the future is that of a clock which has been set back since.
            let leased_at = Duration::from_millis(state.leased_at);
            let over = now > leased_at + timeout + LEASE_MARGIN || now + LEASE_MARGIN < leased_at;
            let is_free = state.leased_at <= state.ended_at || over;
            if polled.is_due(watched.id, now) && is_free {
                let leased = State { leased_at: as_millis(now), ..state };
                if host::share(&watched.state_key, &leased.to_bytes(), version.or(Some(0)))
                    && let Some(plan) = polled.plan(watched.id)
                {
                    let conditional = watched.etag.is_some() && watched.held == state.version;
                    match watched.fetch(plan, conditional) {
                        Some(call) => {
                            self.running.insert(call, Fetch { index, conditional });
                        }
                        None => State { ended_at: as_millis(now), ..leased }.share(&watched.state_key),
                    }
                }
            }
        }
        changed
    }

    /// The answer to a fetch. What could be read is shared; whatever else came leaves the document at hand as it is.
    pub fn handle_answer(&mut self, call: u32, polled: &mut Polled, now: Duration) {
        let Some(fetch) = self.running.remove(&call) else { return };
        let Some(watched) = self.watched.get_mut(fetch.index) else { return };
        let status = host::header(Map::CallResponse, ":status").unwrap_or_default();
        let mut state = State { ended_at: as_millis(now), ..State::read(&watched.state_key).0 };
        let taken = match status.as_slice() {
            b"200" => watched.take(polled, &mut state, now),
            // Said of the version that was asked about; a later one that came meanwhile from elsewhere is not meant.
            b"304" if fetch.conditional && watched.held == state.version => {
                polled.confirm(watched.id, now);
                state.fetched_at = state.ended_at;
                Ok(())
            }
            b"" => Err((UNFETCHED, "the answer broke off or was too large".to_string())),
            other => Err((UNFETCHED, format!("status {}", String::from_utf8_lossy(other).escape_default()))),
        };
        watched.ended_at = state.ended_at;
        if let Err((what_failed, fault)) = taken {
            polled.note_failure(watched.id, now);
            watched.log_failure(polled, what_failed, &fault, now);
        }
        state.share(&watched.state_key);
    }
}

impl Watched {
    /// The same address through the same cluster, read in the same way, is the same document, whichever plugin or
    /// configuration asks for it.
    fn new(id: PolledId, plan: &PollPlan) -> Watched {
        let name = format!("portcullis/{}/{}{}@{}", plan.what.tag(), plan.uri.authority(), plan.uri.path, plan.cluster);
        let (state_key, text_key) = (format!("{name}/state"), format!("{name}/document"));
        Watched { id, state_key, text_key, ended_at: 0, met: 0, held: 0, etag: None }
    }

    fn fetch(&self, plan: &PollPlan, conditional: bool) -> Option<u32> {
        let authority = plan.uri.authority();
        let mut headers = vec![
            (":method", "GET"),
            (":path", plan.uri.path.as_str()),
            (":authority", authority.as_str()),
            ("accept", "application/json"),
            ("user-agent", "portcullis"),
        ];
        if let Some(etag) = self.etag.as_deref().filter(|_| conditional) {
            headers.push(("if-none-match", etag));
        }
        let call = host::call(&plan.cluster, &headers, plan.timeout);
        if call.is_none() {
            let (name, cluster) = (plan.name(), &plan.cluster);
            host::log(LogLevel::Error, &format!("{name} {UNFETCHED}: Envoy has no cluster {cluster}"));
        }
        call
    }

    /// Takes the body of the answer at hand, and shares it where it is not the shared text already.
    fn take(&mut self, polled: &mut Polled, state: &mut State, now: Duration) -> Result<(), Failure> {
        let most = polled.plan(self.id).map_or(0, |plan| plan.what.most_bytes());
        let text = host::call_body(most + 1);
        let taken = polled.install(self.id, &text, now).map_err(|fault| (REFUSED, one_line(&fault.0)))?;
        self.log_skipped(polled, &taken.skipped);
        let etag = host::header(Map::CallResponse, "etag").as_deref().and_then(usable_etag);
        state.fetched_at = state.ended_at;
        if taken.changed || self.held == 0 || self.held != state.version || self.etag != etag {
            state.version = state.ended_at.max(state.version + 1);
            host::share(&self.text_key, &packed(etag.as_deref(), &text), None);
        }
        (self.met, self.held, self.etag) = (state.version, state.version, etag);
        Ok(())
    }

    /// Takes over what another worker fetched. True when a fetch has ended since the last look.
    fn take_over(&mut self, polled: &mut Polled, state: State) -> bool {
        if state.ended_at == self.ended_at {
            return false;
        }
        self.ended_at = state.ended_at;
        let fetched_at = Duration::from_millis(state.fetched_at);
        if state.version != self.met {
            self.met = state.version;
            let packed = host::shared(&self.text_key).0.unwrap_or_default();
            let (etag, text) = unpacked(&packed);
            match polled.install(self.id, text, fetched_at) {
                Ok(_) => (self.held, self.etag) = (state.version, etag.and_then(usable_etag)),
                // Whoever shared it could read it: this configuration reads differently, and says so once.
                Err(fault) => self.log_failure(polled, REFUSED, &one_line(&fault.0), fetched_at),
            }
        } else if self.held == state.version {
            polled.confirm(self.id, fetched_at);
        }
        polled.note_failure(self.id, Duration::from_millis(state.ended_at));
        true
    }

    fn log_skipped(&self, polled: &Polled, skipped: &[String]) {
        let Some(plan) = polled.plan(self.id) else { return };
        for part in skipped {
            let part = one_line(part);
            host::log(LogLevel::Warn, &format!("{}: {part}", plan.name()));
        }
    }

    /// Says what failed, and how old the document is that serves on.
    fn log_failure(&self, polled: &Polled, what_failed: &str, fault: &str, now: Duration) {
        let Some(plan) = polled.plan(self.id) else { return };
        let name = plan.name();
        let age = match polled.stale_for(self.id, now) {
            Some(age) => format!("the one at hand is {} s old", age.as_secs()),
            None => "none is at hand".to_string(),
        };
        host::log(LogLevel::Warn, &format!("{name} {what_failed}: {fault}; {age}"));
    }
}

impl State {
    fn read(key: &str) -> (State, Option<u32>) {
        let (bytes, version) = host::shared(key);
        let bytes = bytes.unwrap_or_default();
        let word = |i: usize| {
            let word = bytes.get(i * 8..i * 8 + 8).and_then(|w| w.try_into().ok());
            word.map(u64::from_le_bytes).unwrap_or_default()
        };
        (State { leased_at: word(0), ended_at: word(1), fetched_at: word(2), version: word(3) }, version)
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.leased_at, self.ended_at, self.fetched_at, self.version];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn share(self, key: &str) {
        host::share(key, &self.to_bytes(), None);
    }
}

/// The validator as one line, then the text.
fn packed(etag: Option<&str>, text: &[u8]) -> Vec<u8> {
    [etag.unwrap_or_default().as_bytes(), b"\n", text].concat()
}

fn unpacked(packed: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match packed.iter().position(|byte| *byte == b'\n').and_then(|end| packed.split_at_checked(end)) {
        Some((etag, rest)) => (Some(etag).filter(|etag| !etag.is_empty()), rest.get(1..).unwrap_or_default()),
        None => (None, &[]),
    }
}

/// An entity tag that can be sent back as it came (RFC 9110 §8.8.3); whatever else an endpoint writes there is not used.
fn usable_etag(etag: &[u8]) -> Option<String> {
    let opaque = etag.strip_prefix(b"W/").unwrap_or(etag);
    let quoted = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""))?;
    let is_plain = quoted.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'"');
    (is_plain && etag.len() <= MOST_ETAG_BYTES).then(|| String::from_utf8_lossy(etag).into_owned())
}

/// Texts of an endpoint's making in a log that does not escape any, and not the whole of them.
fn one_line(text: &str) -> String {
    text.chars().take(MOST_LOGGED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const UNFETCHED: &str = "was not fetched";
/// What came is no such document.
const REFUSED: &str = "was refused";

/// A worker that died with its lease keeps the others waiting for this much longer than the fetch may take.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
const MOST_ETAG_BYTES: usize = 1_024;
const MOST_LOGGED: usize = 500;
