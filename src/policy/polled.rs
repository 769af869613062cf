//! Documents that are fetched again and again, and their age: which may be used now, when each is due, and who may wait for one.
//!
//! Whatever a document is about, its life is the same. Nothing is fetched here: an adapter asks what is due, fetches it, and
//! hands in what came.

mod content;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

pub use content::{Content, What};

use super::credentials::clients::ClientDirectory;
use super::credentials::jwks::KeySet;
use super::credentials::revocation_list::Revocations;
use crate::config::url::Url;
use crate::policy::verdict::wait::PolledId;

/// Where one polled document is, and the bounds that an operator gave to it.
#[derive(Clone, Debug)]
pub struct PollPlan {
    /// What the document is about.
    pub what: What,
    /// Address, for the fetch.
    pub uri: Url,
    /// Envoy cluster, for the fetch.
    pub cluster: String,
    /// Age from which it is fetched again.
    pub refresh_after: Duration,
    /// Age from which it is not used any more.
    pub usable_for: Duration,
    /// Least time between fetches that requests cause; bounds as well how long a failing endpoint is spared.
    pub cool_down: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// How long a request may wait.
    pub wait: Duration,
}

impl PollPlan {
    /// What it is called in the log: what it is about, and where it comes from.
    pub fn name(&self) -> String {
        format!("{} {}", self.what.name(), self.uri.shown())
    }
}

/// The polled documents of one policy. Times are since the Unix epoch, as the caller's clock says.
#[derive(Debug, Default)]
pub struct Polled {
    documents: Vec<Document>,
}

#[derive(Debug)]
struct Document {
    plan: PollPlan,
    held: Option<Held>,
    generation: u64,
    /// When the last fetch ended, well or not.
    attempted_at: Option<Duration>,
    /// A request needs something that this version does not have.
    wanted: bool,
}

#[derive(Debug)]
struct Held {
    content: Content,
    /// Compared with a new text, so that what has not changed keeps its generation and what was verified under it.
    text: Box<[u8]>,
    /// When the endpoint last said that this is its document.
    fetched_at: Duration,
}

/// What a request finds when it asks for a document.
#[derive(Debug)]
pub enum Standing<T> {
    /// What may be used, and the generation that changes with every change of it.
    Usable(Rc<T>, u64),
    /// Nothing yet, or nothing any more: waiting may help until this time.
    Wait(Duration),
    /// Nothing, and waiting would not help.
    Unavailable,
}

/// What taking a document over brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// It differs from the one before.
    pub changed: bool,
    /// Parts of it that are not used, each with its reason.
    pub skipped: Vec<String>,
}

/// Why a fetched text did not become the document; a sentence for the log, not for clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl Polled {
    /// Documents of which none is at hand yet, for these plans.
    pub fn new(plans: impl IntoIterator<Item = PollPlan>) -> Polled {
        let document = |plan| Document { plan, held: None, generation: 0, attempted_at: None, wanted: false };
        Polled { documents: plans.into_iter().map(document).collect() }
    }

    /// Every document with its plan.
    pub fn plans(&self) -> impl Iterator<Item = (PolledId, &PollPlan)> {
        self.documents.iter().enumerate().map(|(i, document)| (PolledId(i), &document.plan))
    }

    /// The plan of one document.
    pub fn plan(&self, id: PolledId) -> Option<&PollPlan> {
        self.documents.get(id.0).map(|document| &document.plan)
    }

    /// The key set that a request received at `received_at` gets now.
    pub fn key_set(&self, id: PolledId, received_at: Duration, now: Duration) -> Standing<KeySet> {
        self.standing(id, received_at, now, Content::key_set)
    }

    /// The revocation list that a request received at `received_at` is looked up in now.
    pub fn revocations(&self, id: PolledId, received_at: Duration, now: Duration) -> Standing<Revocations> {
        self.standing(id, received_at, now, Content::revocations)
    }

    /// The directory of clients that a request received at `received_at` is looked up in now.
    pub fn clients(&self, id: PolledId, received_at: Duration, now: Duration) -> Standing<ClientDirectory> {
        self.standing(id, received_at, now, Content::clients)
    }

    fn standing<T>(
        &self,
        id: PolledId,
        received_at: Duration,
        now: Duration,
        pick: fn(&Content) -> Option<&Rc<T>>,
    ) -> Standing<T> {
        let Some(document) = self.documents.get(id.0) else { return Standing::Unavailable };
        if let Some(content) = document.usable(now).and_then(|held| pick(&held.content)) {
            return Standing::Usable(content.clone(), document.generation);
        }
        let until = received_at + document.plan.wait;
        if document.attempted_since(received_at) || now >= until {
            Standing::Unavailable
        } else {
            Standing::Wait(until)
        }
    }

    /// The generation of a document that may be used now; none when there is no such document.
    pub fn generation(&self, id: PolledId, now: Duration) -> Option<u64> {
        let document = self.documents.get(id.0)?;
        document.usable(now).map(|_| document.generation)
    }

    /// Whether a fetch of the document has ended, well or not.
    pub fn was_attempted(&self, id: PolledId) -> bool {
        self.documents.get(id.0).is_some_and(|document| document.attempted_at.is_some())
    }

    /// How old the document at hand is when the last fetch of it failed; none when it is as good as new, or there is none.
    pub fn stale_for(&self, id: PolledId, now: Duration) -> Option<Duration> {
        let document = self.documents.get(id.0)?;
        let held = document.held.as_ref().filter(|held| document.attempted_since(held.fetched_at))?;
        Some(now.saturating_sub(held.fetched_at))
    }

    /// A request needs something that the document does not have: until when it may wait for one more fetch, if at all.
    /// Requests made up for it cause no more than one fetch in each cool-down.
    pub fn want_newer(&mut self, id: PolledId, received_at: Duration, now: Duration) -> Option<Duration> {
        let document = self.documents.get_mut(id.0)?;
        let until = received_at + document.plan.wait;
        let cooling = document.attempted_at.is_some_and(|at| now < at + document.plan.cool_down);
        if cooling || document.attempted_since(received_at) || now >= until {
            return None;
        }
        document.wanted = true;
        Some(until)
    }

    /// True when a fetch is due: no document yet, one that is about to be old, or a request that needs a newer one.
    pub fn is_due(&mut self, id: PolledId, now: Duration) -> bool {
        let Some(document) = self.documents.get_mut(id.0) else { return false };
        document.meet_clock(now);
        let Some(attempted_at) = document.attempted_at else { return true };
        let plan = &document.plan;
        let since = now.saturating_sub(attempted_at);
        let refresh_at =
            document.held.as_ref().map(|held| held.fetched_at + spread(plan.refresh_after, held.fetched_at));
        // Only a failing endpoint is spared; one that answers is asked as often as the plan says, be it every second.
        let failed = document.held.as_ref().is_none_or(|held| held.fetched_at < attempted_at);
        let pause = if failed { plan.cool_down.clamp(LEAST_RETRY, MOST_RETRY) } else { Duration::ZERO };
        document.wanted && since >= plan.cool_down
            || refresh_at.is_none_or(|at| now >= at) && since >= spread(pause, attempted_at)
    }

    /// Takes a fetched text. One that cannot be read, or that is good for nothing, counts as a failed fetch.
    pub fn install(&mut self, id: PolledId, text: &[u8], at: Duration) -> Result<Taken, Unusable> {
        let unchanged = Taken { changed: false, skipped: Vec::new() };
        let Some(document) = self.documents.get_mut(id.0) else { return Ok(unchanged) };
        document.ended(at);
        if let Some(held) = document.held.as_mut().filter(|held| *held.text == *text) {
            held.fetched_at = held.fetched_at.max(at);
            return Ok(unchanged);
        }
        let (content, skipped) = Content::read(&document.plan.what, text, at).map_err(Unusable)?;
        document.held = Some(Held { content, text: text.into(), fetched_at: at });
        document.generation += 1;
        Ok(Taken { changed: true, skipped })
    }

    /// Notes that the endpoint said at `at` that the document at hand is still its own (RFC 9110 §15.4.5).
    pub fn confirm(&mut self, id: PolledId, at: Duration) {
        if let Some(document) = self.documents.get_mut(id.0) {
            document.ended(at);
            document.held.iter_mut().for_each(|held| held.fetched_at = held.fetched_at.max(at));
        }
    }

    /// Notes that a fetch ended at `at` without a usable document: the one at hand stays as it is.
    pub fn note_failure(&mut self, id: PolledId, at: Duration) {
        if let Some(document) = self.documents.get_mut(id.0) {
            document.ended(at);
        }
    }
}

impl Document {
    fn usable(&self, now: Duration) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.fetched_at + self.plan.usable_for)
    }

    /// A clock that was set back must not make a document last longer, nor put off the next fetch: what lies in the future
    /// happened just now.
    fn meet_clock(&mut self, now: Duration) {
        if self.attempted_at.is_some_and(|at| at > now + MOST_SKEW) {
            self.attempted_at = Some(now);
            self.held.iter_mut().for_each(|held| held.fetched_at = held.fetched_at.min(now));
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

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Up to a tenth longer, so that gateways that were started together do not ask together for ever. The fraction of the second
/// at which a fetch ended is as good as random, and the same for whoever asks.
fn spread(span: Duration, ended_at: Duration) -> Duration {
    span + span * ended_at.subsec_millis() / 10_000
}

/// A failing endpoint is asked again after this long at the least and at the most.
const LEAST_RETRY: Duration = Duration::from_secs(1);
const MOST_RETRY: Duration = Duration::from_secs(5);

/// Two workers read the same clock at slightly different times.
const MOST_SKEW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
