//! Remote key sets and their age: which keys may be used now, when to fetch again, and who may wait for a fetch.
//!
//! It fetches nothing itself. An adapter asks what is due, fetches, and hands the document or the failure in.

use std::rc::Rc;
use std::time::Duration;

use super::jwks::{JwksError, KeySet, KeySource, SkippedKey};

/// One remote key set of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeySetId(pub usize);

/// The bounds an operator gave to one remote key set.
#[derive(Clone, Debug)]
pub struct FetchPlan {
    /// Address, for the fetch.
    pub uri: crate::config::document::Url,
    /// Envoy cluster, for the fetch.
    pub cluster: String,
    /// Age from which a set is refreshed.
    pub fresh_for: Duration,
    /// Further age during which it still serves while refreshing fails.
    pub stale_for: Duration,
    /// Least time between fetches that unknown key ids cause.
    pub cool_down: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// How long a request may wait.
    pub wait: Duration,
}

/// The remote key sets of one policy. Times are since the Unix epoch, as the caller's clock says.
#[derive(Debug, Default)]
pub struct Keyring {
    sets: Vec<RemoteSet>,
}

#[derive(Debug)]
struct RemoteSet {
    plan: FetchPlan,
    document: Option<Fetched>,
    generation: u64,
    /// When the last fetch ended, well or not.
    attempted_at: Option<Duration>,
    /// A request met a key id that is not in the set.
    wanted: bool,
}

#[derive(Debug)]
struct Fetched {
    keys: Rc<KeySet>,
    /// Compared with a new document, so that an unchanged set keeps its generation and the tokens verified under it.
    text: Box<[u8]>,
    fetched_at: Duration,
}

/// What a request finds when it asks for a key set.
#[derive(Debug)]
pub enum Standing {
    /// Keys that may be used, and the generation that changes with every change of the set.
    Usable(Rc<KeySet>, u64),
    /// None yet, or none any more: waiting may help until this time.
    Wait(Duration),
    /// None, and waiting would not help.
    Unavailable,
}

/// Why a fetched document did not become the key set.
#[derive(Debug, PartialEq, Eq)]
pub enum UnusableSet {
    /// It is no key set.
    Malformed(JwksError),
    /// None of its keys can be used, each for its reason.
    NoUsableKey(Vec<SkippedKey>),
}

impl Keyring {
    /// A keyring without keys for these plans.
    pub fn new(plans: impl IntoIterator<Item = FetchPlan>) -> Keyring {
        let set = |plan| RemoteSet { plan, document: None, generation: 0, attempted_at: None, wanted: false };
        Keyring { sets: plans.into_iter().map(set).collect() }
    }

    /// Every set with its plan.
    pub fn plans(&self) -> impl Iterator<Item = (KeySetId, &FetchPlan)> {
        self.sets.iter().enumerate().map(|(i, set)| (KeySetId(i), &set.plan))
    }

    /// What a request that was received at `received_at` gets now.
    pub fn standing(&self, id: KeySetId, received_at: Duration, now: Duration) -> Standing {
        let Some(set) = self.sets.get(id.0) else { return Standing::Unavailable };
        if let Some(document) = set.usable(now) {
            return Standing::Usable(document.keys.clone(), set.generation);
        }
        let until = received_at + set.plan.wait;
        if set.attempted_since(received_at) || now >= until { Standing::Unavailable } else { Standing::Wait(until) }
    }

    /// The generation of a set that may be used now; none when there is no such set.
    pub fn generation(&self, id: KeySetId, now: Duration) -> Option<u64> {
        let set = self.sets.get(id.0)?;
        set.usable(now).map(|_| set.generation)
    }

    /// A request met a key id that the set does not have: until when it may wait for one more fetch, if at all.
    /// Forged key ids cause no more than one fetch in each cool-down.
    pub fn want_unknown_key(&mut self, id: KeySetId, received_at: Duration, now: Duration) -> Option<Duration> {
        let set = self.sets.get_mut(id.0)?;
        let until = received_at + set.plan.wait;
        let cooling = set.attempted_at.is_some_and(|at| now < at + set.plan.cool_down);
        if cooling || set.attempted_since(received_at) || now >= until {
            return None;
        }
        set.wanted = true;
        Some(until)
    }

    /// True when a fetch is due: no keys yet, keys about to be no longer fresh, or an unknown key id that may be new.
    pub fn is_due(&mut self, id: KeySetId, now: Duration) -> bool {
        let Some(set) = self.sets.get_mut(id.0) else { return false };
        set.meet_clock(now);
        let Some(attempted_at) = set.attempted_at else { return true };
        let since = now.saturating_sub(attempted_at);
        let refresh_at = set.document.as_ref().map(|d| d.fetched_at + set.plan.fresh_for * 4 / 5);
        // Only a failing endpoint is spared; one that answers is asked as often as `fresh_for` says, be it every second.
        let failed = set.document.as_ref().is_none_or(|d| d.fetched_at < attempted_at);
        let pause = if failed { set.plan.cool_down.clamp(LEAST_RETRY, MOST_RETRY) } else { Duration::ZERO };
        set.wanted && since >= set.plan.cool_down || refresh_at.is_none_or(|at| now >= at) && since >= pause
    }

    /// Takes a fetched document. A set that cannot be read, or that holds no usable key, counts as a failed fetch.
    pub fn install(&mut self, id: KeySetId, text: &[u8], at: Duration) -> Result<Vec<SkippedKey>, UnusableSet> {
        let Some(set) = self.sets.get_mut(id.0) else { return Ok(Vec::new()) };
        set.ended(at);
        if let Some(document) = set.document.as_mut().filter(|d| *d.text == *text) {
            document.fetched_at = document.fetched_at.max(at);
            return Ok(Vec::new());
        }
        let (keys, skipped) = KeySet::parse(text, KeySource::Remote).map_err(UnusableSet::Malformed)?;
        if keys.is_empty() {
            return Err(UnusableSet::NoUsableKey(skipped));
        }
        set.document = Some(Fetched { keys: Rc::new(keys), text: text.into(), fetched_at: at });
        set.generation += 1;
        Ok(skipped)
    }

    /// Notes that a fetch ended at `at` without a usable document: keys at hand stay as they are.
    pub fn note_failure(&mut self, id: KeySetId, at: Duration) {
        if let Some(set) = self.sets.get_mut(id.0) {
            set.ended(at);
        }
    }
}

impl RemoteSet {
    fn usable(&self, now: Duration) -> Option<&Fetched> {
        let bound = self.plan.fresh_for + self.plan.stale_for;
        self.document.as_ref().filter(|d| now < d.fetched_at + bound)
    }

    /// A clock that was set back must not make keys last longer, nor put off the next fetch: what lies in the future
    /// happened just now.
    fn meet_clock(&mut self, now: Duration) {
        if self.attempted_at.is_some_and(|at| at > now + MOST_SKEW) {
            self.attempted_at = Some(now);
            self.document.iter_mut().for_each(|document| document.fetched_at = document.fetched_at.min(now));
        }
    }

    fn attempted_since(&self, time: Duration) -> bool {
        self.attempted_at.is_some_and(|at| at > time)
    }

    fn ended(&mut self, at: Duration) {
        self.attempted_at = Some(self.attempted_at.map_or(at, |before| before.max(at)));
        self.wanted = false;
    }
}

/// A failing endpoint is asked again after this long at the least and at the most.
const LEAST_RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(5);

/// Two workers read the same clock at slightly different times.
const MOST_SKEW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
