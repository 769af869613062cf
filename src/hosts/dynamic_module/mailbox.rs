//! What other threads pass to a worker: the results of calls, and the request to wake up.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::envoy::StreamScheduler;
use super::shared::lock;
use crate::gateway::call::{Answer, CallId, GrpcMessage};
use crate::gateway::metrics::Count;
use crate::gateway::waiting::StreamId;

/// What other threads pass to one plugin in one worker.
#[derive(Debug, Default)]
pub struct Mailbox {
    inbox: Mutex<Inbox>,
    /// The schedulers of the streams that must be woken later. Any of them wakes the worker. A stream removes its scheduler before
    /// Envoy destroys the stream, because Envoy before 1.39.1 must not schedule work while it destroys a stream.
    schedulers: Mutex<BTreeMap<StreamId, StreamScheduler>>,
}

/// The results and events that a worker has not handled yet.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The results of calls.
    pub answers: Vec<(CallId, OwnedAnswer)>,
    /// Events that the main thread could not count.
    pub counts: Vec<Count>,
}

impl Mailbox {
    /// Wakes the worker if a stream of it waits. Otherwise the worker reads the mailbox when its next request arrives.
    pub fn wake(&self) {
        if let Some(scheduler) = lock(&self.schedulers).values().next() {
            scheduler.commit();
        }
    }

    /// Passes the result of a call to the worker.
    pub fn answer(&self, call: CallId, answer: OwnedAnswer) {
        lock(&self.inbox).answers.push((call, answer));
        self.wake();
    }

    /// Passes an event to the worker, which counts it.
    pub fn count(&self, count: Count) {
        lock(&self.inbox).counts.push(count);
    }

    /// Takes the results and events.
    pub fn take(&self) -> Inbox {
        std::mem::take(&mut *lock(&self.inbox))
    }

    /// Returns `true` if there are no results and no events.
    pub fn is_empty(&self) -> bool {
        let inbox = lock(&self.inbox);
        inbox.answers.is_empty() && inbox.counts.is_empty()
    }

    /// Adds a stream that must be woken later.
    pub fn add_sleeper(&self, stream: StreamId, scheduler: StreamScheduler) {
        lock(&self.schedulers).insert(stream, scheduler);
    }

    /// Removes a stream that has ended or need not be woken.
    pub fn remove_sleeper(&self, stream: StreamId) {
        lock(&self.schedulers).remove(&stream);
    }
}

/// The result of a call for another thread.
#[derive(Debug)]
pub enum OwnedAnswer {
    /// Envoy could not start the call.
    NotStarted,
    /// A gRPC response message.
    Message(Vec<u8>),
    /// The gRPC call ended with this gRPC status and without a message.
    Status(u32),
}

impl OwnedAnswer {
    /// Calls `read` with the answer.
    pub fn with<T>(&self, read: impl FnOnce(Answer<'_>) -> T) -> T {
        match self {
            OwnedAnswer::NotStarted => read(Answer::NotStarted),
            OwnedAnswer::Message(message) => read(Answer::Message(message)),
            OwnedAnswer::Status(status) => read(Answer::Status(*status)),
        }
    }
}

impl GrpcMessage for Vec<u8> {
    fn bytes(&self, max: usize) -> Option<Vec<u8>> {
        (self.len() <= max).then(|| self.clone())
    }
}
