//! Fetches key sets through Envoy and shares them: whoever gets the lease fetches, everyone else reads what it left.
//!
//! Two shared values a key set: a small state that every worker reads at every tick, and the document, read when it changed.

use std::collections::HashMap;
use std::time::Duration;

use proxy_wasm::types::LogLevel;

use super::host::{self, Map};
use crate::policy::jwks::MAX_BYTES;
use crate::policy::keyring::{FetchPlan, KeySetId, Keyring};

/// The fetches of one plugin in one worker.
#[derive(Debug, Default)]
pub struct Fetches {
    running: HashMap<u32, KeySetId>,
}

/// What the workers tell each other about one key set, in milliseconds since the Unix epoch; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// When somebody last began a fetch.
    leased_at: u64,
    /// When a fetch last ended, well or not.
    ended_at: u64,
    /// When the shared document was fetched.
    fetched_at: u64,
}

impl Fetches {
    /// One tick: takes over what other workers fetched, and fetches what is due and nobody is fetching.
    /// True when requests that wait should be decided again.
    pub fn poll(&mut self, keyring: &mut Keyring, seen: &mut HashMap<KeySetId, Seen>, now: Duration) -> bool {
        let plans: Vec<(KeySetId, FetchPlan)> = keyring.plans().map(|(id, plan)| (id, plan.clone())).collect();
        let mut changed = false;
        for (id, plan) in plans {
            let (state, version) = State::read(&plan);
            let seen = seen.entry(id).or_default();
            changed |= take_over(keyring, id, &plan, state, seen);
            // A lease from the future is that of a clock which has been set back since.
            let leased_at = millis(state.leased_at);
            let over = now > leased_at + plan.timeout + LEASE_MARGIN || now + LEASE_MARGIN < leased_at;
            let free = state.leased_at <= state.ended_at || over;
            if free && keyring.is_due(id, now) {
                let leased = State { leased_at: as_millis(now), ..state };
                if host::share(&state_key(&plan), &leased.to_bytes(), version.or(Some(0))) {
                    self.fetch(id, &plan, leased, now);
                }
            }
        }
        changed
    }

    fn fetch(&mut self, id: KeySetId, plan: &FetchPlan, leased: State, now: Duration) {
        let authority = plan.uri.authority();
        let headers = [
            (":method", "GET"),
            (":path", plan.uri.path.as_str()),
            (":authority", authority.as_str()),
            ("accept", "application/json"),
            ("user-agent", "portcullis"),
        ];
        match host::call(&plan.cluster, &headers, plan.timeout) {
            Some(token) => {
                self.running.insert(token, id);
            }
            None => {
                host::log(
                    LogLevel::Error,
                    &format!("key set {}: Envoy has no cluster {}", plan.uri.authority(), plan.cluster),
                );
                State { ended_at: as_millis(now), ..leased }.share(plan);
            }
        }
    }

    /// The answer to a fetch. What could be read is shared; whatever else came leaves the keys at hand as they are.
    pub fn handle_answer(&mut self, call: u32, keyring: &mut Keyring, now: Duration) {
        let Some(id) = self.running.remove(&call) else { return };
        let Some(plan) = keyring.plans().find(|(known, _)| *known == id).map(|(_, plan)| plan.clone()) else { return };
        let status = host::header(Map::CallResponse, ":status").unwrap_or_default();
        let document = host::call_body(MAX_BYTES + 1);
        let mut state = State { ended_at: as_millis(now), ..State::read(&plan).0 };
        let fault = if status != b"200" {
            Some(format!("status {}", String::from_utf8_lossy(&status).escape_default()))
        } else {
            match keyring.install(id, &document, now) {
                Ok(skipped) => {
                    for key in skipped {
                        host::log(LogLevel::Warn, &format!("key set {}: {key}", plan.uri.authority()));
                    }
                    None
                }
                Err(fault) => Some(format!("{fault:?}").escape_default().to_string()),
            }
        };
        match fault {
            None => {
                state.fetched_at = state.ended_at;
                host::share(&document_key(&plan), &document, None);
            }
            Some(fault) => {
                keyring.note_failure(id, now);
                host::log(LogLevel::Warn, &format!("key set {} was not fetched: {fault}", plan.uri.authority()));
            }
        }
        state.share(&plan);
    }
}

/// What this worker has already taken over from the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    ended_at: u64,
    fetched_at: u64,
}

fn take_over(keyring: &mut Keyring, id: KeySetId, plan: &FetchPlan, state: State, seen: &mut Seen) -> bool {
    if state.ended_at == seen.ended_at {
        return false;
    }
    seen.ended_at = state.ended_at;
    if state.fetched_at != seen.fetched_at {
        seen.fetched_at = state.fetched_at;
        let document = host::shared(&document_key(plan)).0.unwrap_or_default();
        // The one who shared it could read it, so a fault here is that of a document still on its way: the next tick has it.
        if keyring.install(id, &document, millis(state.fetched_at)).is_err() {
            *seen = Seen::default();
        }
    }
    keyring.note_failure(id, millis(state.ended_at));
    true
}

impl State {
    fn read(plan: &FetchPlan) -> (State, Option<u32>) {
        let (bytes, version) = host::shared(&state_key(plan));
        let bytes = bytes.unwrap_or_default();
        let word = |i: usize| {
            let word = bytes.get(i * 8..i * 8 + 8).and_then(|w| w.try_into().ok());
            word.map(u64::from_le_bytes).unwrap_or_default()
        };
        (State { leased_at: word(0), ended_at: word(1), fetched_at: word(2) }, version)
    }

    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [self.leased_at, self.ended_at, self.fetched_at];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn share(self, plan: &FetchPlan) {
        host::share(&state_key(plan), &self.to_bytes(), None);
    }
}

/// Creates the shared state, so that the first lease is already a comparison (envoy-facts §2.14: a missing key takes any version).
pub fn prepare(keyring: &Keyring) {
    for (_, plan) in keyring.plans() {
        if host::shared(&state_key(plan)).1.is_none() {
            State::default().share(plan);
        }
    }
}

/// The same address through the same cluster is the same key set, whichever plugin or configuration asks for it.
fn state_key(plan: &FetchPlan) -> String {
    format!("portcullis/keys/{}{}@{}/state", plan.uri.authority(), plan.uri.path, plan.cluster)
}

fn document_key(plan: &FetchPlan) -> String {
    format!("portcullis/keys/{}{}@{}/document", plan.uri.authority(), plan.uri.path, plan.cluster)
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A worker that died with its lease keeps the others waiting for this much longer than the fetch may take.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
