//! Tracks documents that are fetched periodically: their age, when they are due, and which requests may wait for a document.
//!
//! The life cycle is the same for every kind of document. This module performs no I/O: the gateway asks which documents are due,
//! fetches them, and passes the results to [`Polled`].

mod content;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use content::{DocumentKind, PolledContent};

use super::credentials::clients::ClientDirectory;
use super::credentials::jwks::KeySet;
use super::credentials::revocation_list::Revocations;
use crate::config::url::Url;
use crate::policy::verdict::wait::PolledId;

/// The address of a polled document, and the times that control when it is fetched and how long it is used.
#[derive(Clone, Debug)]
pub struct PollPlan {
    /// The kind of the document, which determines its parser.
    pub what: DocumentKind,
    /// The address from which the document is fetched.
    pub uri: Url,
    /// The Envoy cluster to which the fetch is sent.
    pub cluster: String,
    /// The age at which the document is refreshed.
    pub refresh_after: Duration,
    /// The age at which the document becomes unusable.
    pub usable_for: Duration,
    /// The minimum time between two fetches that requests cause. It is also the pause after a failed fetch, but that pause is at
    /// least 1 s and at most 5 s.
    pub cool_down: Duration,
    /// The time after which a fetch counts as failed.
    pub timeout: Duration,
    /// The longest time that a request waits for the document.
    pub wait: Duration,
}

impl PollPlan {
    /// Returns the name of the document in log lines, such as `key set` followed by the address.
    pub fn name(&self) -> String {
        format!("{} {}", self.what.name(), self.uri.shown())
    }
}

/// The polled documents of one policy. All times are durations since the Unix epoch.
#[derive(Debug, Default)]
pub struct Polled {
    documents: Vec<PolledDocument>,
}

#[derive(Debug)]
struct PolledDocument {
    plan: PollPlan,
    held: Option<StoredDocument>,
    generation: u64,
    /// The time when the last fetch ended, whether or not it succeeded.
    attempted_at: Option<Duration>,
    /// Whether a request waits for an entry that the stored document does not contain, such as a key with a new id.
    wanted: bool,
}

#[derive(Debug)]
struct StoredDocument {
    content: PolledContent,
    /// The fetched bytes. If the next fetch returns equal bytes, the document keeps its generation, and dependent cache entries
    /// stay valid.
    text: Box<[u8]>,
    /// The time when the endpoint last returned or confirmed this document.
    fetched_at: Duration,
}

/// The result of asking for a document on behalf of one request.
#[derive(Debug)]
pub enum Availability<T> {
    /// The document is usable. The number is its generation, which increases with every change of the document.
    Usable(Arc<T>, u64),
    /// The document is missing or too old. The request may wait until this time, since the Unix epoch.
    Wait(Duration),
    /// The document is missing or too old, and the request must not wait for it.
    Unavailable,
}

/// The result of [`Polled::install`].
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    /// Whether the document differs from the previous one.
    pub changed: bool,
    /// One message for each part of the document that was skipped, with the reason.
    pub skipped: Vec<String>,
}

/// The reason why a fetched document was rejected, as a sentence for the log. Do not send it to clients.
#[derive(Debug, PartialEq, Eq)]
pub struct DocumentError(pub String);

impl Polled {
    /// Creates one entry per plan. No document is fetched yet.
    pub fn new(plans: impl IntoIterator<Item = PollPlan>) -> Polled {
        let document = |plan| PolledDocument { plan, held: None, generation: 0, attempted_at: None, wanted: false };
        Polled { documents: plans.into_iter().map(document).collect() }
    }

    /// Returns an iterator over the plans of all documents.
    pub fn plans(&self) -> impl Iterator<Item = (PolledId, &PollPlan)> {
        self.documents.iter().enumerate().map(|(i, document)| (PolledId(i), &document.plan))
    }

    /// Returns the plan of a document; `None` if the policy has no document with this id.
    pub fn plan(&self, id: PolledId) -> Option<&PollPlan> {
        self.documents.get(id.0).map(|document| &document.plan)
    }

    /// Returns the key set, or whether a request that was received at `received_at` may wait for the key set.
    pub fn key_set(&self, id: PolledId, received_at: Duration, now: Duration) -> Availability<KeySet> {
        self.availability(id, received_at, now, PolledContent::key_set)
    }

    /// Returns the revocation list, or whether a request that was received at `received_at` may wait for the list.
    pub fn revocations(&self, id: PolledId, received_at: Duration, now: Duration) -> Availability<Revocations> {
        self.availability(id, received_at, now, PolledContent::revocations)
    }

    /// Returns the client directory, or whether a request that was received at `received_at` may wait for the directory.
    pub fn clients(&self, id: PolledId, received_at: Duration, now: Duration) -> Availability<ClientDirectory> {
        self.availability(id, received_at, now, PolledContent::clients)
    }

    fn availability<T>(
        &self,
        id: PolledId,
        received_at: Duration,
        now: Duration,
        pick: fn(&PolledContent) -> Option<&Arc<T>>,
    ) -> Availability<T> {
        let Some(document) = self.documents.get(id.0) else { return Availability::Unavailable };
        if let Some(content) = document.usable(now).and_then(|held| pick(&held.content)) {
            return Availability::Usable(content.clone(), document.generation);
        }
        let until = received_at + document.plan.wait;
        if document.has_answered(received_at) || now >= until {
            Availability::Unavailable
        } else {
            Availability::Wait(until)
        }
    }

    /// Returns the generation of a usable document; `None` if the document is not usable.
    pub fn generation(&self, id: PolledId, now: Duration) -> Option<u64> {
        let document = self.documents.get(id.0)?;
        document.usable(now).map(|_| document.generation)
    }

    /// Returns `true` if a fetch of the document has ended, successful or not.
    pub fn was_attempted(&self, id: PolledId) -> bool {
        self.documents.get(id.0).is_some_and(|document| document.attempted_at.is_some())
    }

    /// Returns the age of the document if its last fetch failed; `None` if the last fetch succeeded or no fetch has succeeded
    /// yet.
    pub fn stale_for(&self, id: PolledId, now: Duration) -> Option<Duration> {
        let document = self.documents.get(id.0)?;
        let held = document.held.as_ref().filter(|held| document.attempted_since(held.fetched_at))?;
        Some(now.saturating_sub(held.fetched_at))
    }

    /// Marks the document as due, because a request needs an entry that the document does not contain. Returns the time until
    /// which the request may wait, or `None` if the request must not wait. After a fetch, the document cannot be marked again
    /// during the cool-down, because a client could otherwise cause a fetch with every invented key id.
    pub fn want_newer(&mut self, id: PolledId, received_at: Duration, now: Duration) -> Option<Duration> {
        let document = self.documents.get_mut(id.0)?;
        let until = received_at + document.plan.wait;
        let cooling = document.attempted_at.is_some_and(|at| now < at + document.plan.cool_down);
        if cooling || document.has_answered(received_at) || now >= until {
            return None;
        }
        document.wanted = true;
        Some(until)
    }

    /// Marks a document as due, because a request of another gateway needed a newer version at `wanted_at`. Does nothing if a
    /// fetch has ended since. If the document was fetched a short time ago, the fetch starts after the cool-down.
    pub fn mark_wanted(&mut self, id: PolledId, wanted_at: Duration) {
        if let Some(document) = self.documents.get_mut(id.0).filter(|document| !document.has_answered(wanted_at)) {
            document.wanted = true;
        }
    }

    /// Returns `true` if a fetch is due, because the document is missing or old, or because a request needs a newer document.
    pub fn is_due(&mut self, id: PolledId, now: Duration) -> bool {
        let Some(document) = self.documents.get_mut(id.0) else { return false };
        document.handle_clock_set_back(now);
        let Some(attempted_at) = document.attempted_at else { return true };
        let plan = &document.plan;
        let since = now.saturating_sub(attempted_at);
        let refresh_at =
            document.held.as_ref().map(|held| held.fetched_at + spread(plan.refresh_after, held.fetched_at));
        // While the endpoint fails, fetches are also separated by a pause.
        let failed = document.held.as_ref().is_none_or(|held| held.fetched_at < attempted_at);
        let pause = if failed { plan.cool_down.clamp(LEAST_RETRY, MAX_RETRY) } else { Duration::ZERO };
        document.wanted && since >= plan.cool_down
            || refresh_at.is_none_or(|at| now >= at) && since >= spread(pause, attempted_at)
    }

    /// Installs a fetched document. A document that is invalid or unusable counts as a failed fetch.
    pub fn install(&mut self, id: PolledId, text: &[u8], at: Duration) -> Result<Installed, DocumentError> {
        let unchanged = Installed { changed: false, skipped: Vec::new() };
        let Some(document) = self.documents.get_mut(id.0) else { return Ok(unchanged) };
        document.ended(at);
        if let Some(held) = document.held.as_mut().filter(|held| *held.text == *text) {
            held.fetched_at = held.fetched_at.max(at);
            return Ok(unchanged);
        }
        let (content, skipped) = PolledContent::read(&document.plan.what, text, at).map_err(DocumentError)?;
        document.held = Some(StoredDocument { content, text: text.into(), fetched_at: at });
        document.generation += 1;
        Ok(Installed { changed: true, skipped })
    }

    /// Records that the endpoint confirmed the current document at `at`, with status 304 (RFC 9110 §15.4.5).
    pub fn confirm(&mut self, id: PolledId, at: Duration) {
        if let Some(document) = self.documents.get_mut(id.0) {
            document.ended(at);
            document.held.iter_mut().for_each(|held| held.fetched_at = held.fetched_at.max(at));
        }
    }

    /// Records that a fetch failed at `at`. The current document stays in use until it is too old.
    pub fn note_failure(&mut self, id: PolledId, at: Duration) {
        if let Some(document) = self.documents.get_mut(id.0) {
            document.ended(at);
        }
    }
}

impl PolledDocument {
    fn usable(&self, now: Duration) -> Option<&StoredDocument> {
        self.held.as_ref().filter(|held| now < held.fetched_at + self.plan.usable_for)
    }

    /// Replaces times in the future with the current time, in case the clock was set back. With a time in the future, the
    /// document would be used for too long, or its next fetch would be late.
    fn handle_clock_set_back(&mut self, now: Duration) {
        if self.attempted_at.is_some_and(|at| at > now + MAX_SKEW) {
            self.attempted_at = Some(now);
            self.held.iter_mut().for_each(|held| held.fetched_at = held.fetched_at.min(now));
        }
    }

    /// Returns `true` if a fetch has ended since a request was received. Workers share the end time of a fetch as a whole number
    /// of milliseconds. A fetch that ended in the millisecond in which the request was received therefore counts.
    fn has_answered(&self, received_at: Duration) -> bool {
        self.attempted_at.is_some_and(|at| at.as_millis() >= received_at.as_millis())
    }

    fn attempted_since(&self, time: Duration) -> bool {
        self.attempted_at.is_some_and(|at| at > time)
    }

    fn ended(&mut self, at: Duration) {
        self.attempted_at = Some(self.attempted_at.map_or(at, |before| before.max(at)));
        self.wanted = false;
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Extends a period by up to a tenth, so that gateways that started together do not always fetch together. The extension depends
/// on the milliseconds of the fetch time, which vary between gateways but are equal in all workers of a gateway.
fn spread(span: Duration, ended_at: Duration) -> Duration {
    span + span * ended_at.subsec_millis() / 10_000
}

/// The minimum and maximum pause after a failed fetch.
const LEAST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(5);

/// The tolerated clock difference. Workers read the same clock at slightly different times.
const MAX_SKEW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
