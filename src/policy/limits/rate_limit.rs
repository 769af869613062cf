//! Counts a request against all local limits that apply, or refuses the request and counts nothing.

pub mod cell;
pub mod key;
pub mod store;
pub mod window;

#[cfg(all(test, not(target_family = "wasm")))]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::policy::verdict::budget::{Remaining, whole_seconds};
use cell::WindowStates;
use key::{LimitKey, Subject};
use store::{BucketStore, Cell, CellId};
use window::Window;

use crate::policy::credentials::caller::Caller;

use crate::config::claim::ClaimPath;
use crate::config::limit::KeyPart;
use crate::config::limit::service::OnFailure;
use crate::policy::limits::rate_limit_client::SharedLimit;

/// A compiled limit.
#[derive(Debug)]
pub struct Limit {
    /// The name of the limit, for rate limit headers and the audit record.
    pub name: Arc<str>,
    /// The request attributes that select the bucket.
    pub by: Vec<KeyPart>,
    /// One [`Meter`] for each plan. The first one is for the default plan.
    pub meters: Vec<Meter>,
    /// How the plan of a request is chosen.
    pub choice: MeterChoice,
    /// Whether the limit is report-only: it records the requests that it would refuse, but does not refuse them.
    pub shadow: bool,
    /// How proxies share the limit; `None` if each proxy counts the limit separately.
    pub sharing: Option<Sharing>,
}

/// How a limit is shared between proxies.
#[derive(Debug)]
pub struct Sharing {
    /// The limit as the service counts it.
    pub limit: Arc<SharedLimit>,
    /// How requests are handled while the service does not answer.
    pub on_failure: OnFailure,
}

/// How the plan of a request is chosen. Each number is an index into [`Limit::meters`].
#[derive(Debug)]
pub enum MeterChoice {
    /// The limit has only one meter.
    Only,
    /// By the value of a claim, which is the name of a plan.
    Claim(ClaimPath, Vec<(String, usize)>),
    /// By the plan in the caller's entry of the client directory.
    Directory(Vec<(String, usize)>),
    /// By the client id of the caller.
    Client(Vec<(String, usize)>),
}

/// The windows of one plan of a limit, and the table that stores the buckets of its callers.
#[derive(Debug)]
pub struct Meter {
    /// The name of the plan; empty if the limit has no plans.
    pub plan: Arc<str>,
    /// The number that identifies the table. All workers use the same number.
    pub table: u32,
    /// The number of cells in the table.
    pub cells: u32,
    /// The windows of the plan. A request must fit into all of them.
    pub windows: Vec<Window>,
    /// The name of each window, and the number of requests that it allows.
    pub titles: Vec<(Arc<str>, u64)>,
    /// The windows in the format of `RateLimit-Policy`.
    pub policy: Arc<str>,
}

/// A limit that applies to a request, with the request's bucket.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'l> {
    /// The limit, which may be a shadow limit.
    pub limit: &'l Limit,
    /// The windows and the table of the caller's plan.
    pub meter: &'l Meter,
    id: CellId,
    fingerprint: u64,
}

/// The mode of [`count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountingMode {
    /// Count the request if all limits allow it.
    Take,
    /// Only check whether all limits allow the request, and count nothing.
    Try,
}

/// The result of counting a request.
#[derive(Debug, Default)]
pub struct CountResult {
    /// The refusal, if a limit refused the request.
    pub refused: Option<LimitRefusal>,
    /// For each charge, in order: the state of its window with the fewest remaining requests, or `None` if its limit did not
    /// allow the request. If an enforced limit refused the request, the list is empty or ends early.
    pub remaining: Vec<Option<Remaining>>,
    /// The names of shadow limits that would have refused the request.
    pub would: Vec<Arc<str>>,
}

/// The refusal of a request by a limit.
#[derive(Debug)]
pub struct LimitRefusal {
    /// The index of the charge whose limit refused the request.
    pub charge: usize,
    /// The state of the window that is exhausted.
    pub remaining: Remaining,
    /// Whether the request was refused because other workers changed the bucket in every attempt to update it.
    pub contended: bool,
}

impl Limit {
    /// Returns the windows and the table for the caller's plan, or for the default plan if the caller has no plan.
    pub fn meter(&self, subject: &Subject<'_>) -> Option<&Meter> {
        self.meters.get(self.choice.of(subject)).or_else(|| self.meters.first())
    }

    /// Returns the bucket of a request at this limit, in the table of its caller's plan.
    pub fn charge(&self, subject: &Subject<'_>, hash_key: [u8; 16]) -> Option<Charge<'_>> {
        let meter = self.meter(subject)?;
        let key = LimitKey::new(&self.by, subject, hash_key);
        let id = CellId { table: meter.table, cell: key.cell(meter.cells) };
        Some(Charge { limit: self, meter, id, fingerprint: key.fingerprint })
    }
}

impl MeterChoice {
    fn of(&self, subject: &Subject<'_>) -> usize {
        let claims = subject.caller.map(|caller| &caller.claims);
        let (text, plans) = match self {
            MeterChoice::Only => return 0,
            MeterChoice::Claim(path, plans) => {
                (claims.and_then(|claims| path.find(claims)).and_then(Value::as_str), plans)
            }
            MeterChoice::Directory(plans) => (subject.caller.and_then(Caller::plan).map(|plan| &**plan), plans),
            MeterChoice::Client(plans) => (subject.caller.and_then(|caller| caller.client_id.as_deref()), plans),
        };
        plans.iter().find(|(name, _)| Some(name.as_str()) == text).map_or(0, |(_, at)| *at)
    }
}

/// Checks a request against the limits of all charges. If an enforced limit refuses the request, counts nothing. Otherwise,
/// counts the request for each charge that allows it, unless `how` is [`CountingMode::Try`]. Another worker can exhaust a limit
/// between the check and the count: the request is then refused, although earlier charges have already counted it.
pub fn count(charges: &[Charge<'_>], how: CountingMode, now: Duration, store: &mut dyn BucketStore) -> CountResult {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let mut counted = CountResult::default();
    let mut asked = Vec::with_capacity(charges.len());
    for (at, charge) in charges.iter().enumerate() {
        let change = charge.ask(store.load(charge.id), now);
        counted.refuse(at, charge, &change);
        asked.push(change);
    }
    if counted.refused.is_some() {
        return counted;
    }
    for (at, (charge, change)) in charges.iter().zip(asked).enumerate() {
        let settled = if how == CountingMode::Take { charge.settle(change, now, store) } else { Some(change) };
        match settled {
            // If this charge refuses now, the earlier charges stay counted. Undoing their counts would not help requests that
            // other workers have refused in the meantime.
            Some(change) => {
                counted.remaining.push(charge.remaining(&change, now));
                counted.refuse(at, charge, &change);
            }
            None if charge.limit.shadow => counted.remaining.push(None),
            None => {
                counted.refused = Some(LimitRefusal { charge: at, remaining: charge.refusing(0, 0), contended: true })
            }
        }
        if counted.refused.is_some() {
            break;
        }
    }
    counted
}

/// The change of a cell that a charge makes.
struct BucketChange {
    cell: Cell,
    place: cell::CellPlace,
    /// The new states, or the index of the window that refuses and the wait in nanoseconds.
    outcome: Result<WindowStates, (usize, u64)>,
}

impl Charge<'_> {
    fn ask(&self, cell: Cell, now: u64) -> BucketChange {
        let windows = &self.meter.windows;
        let place = cell::find(&cell.bytes, self.fingerprint, windows, now);
        let mut states = place.states;
        let mut wait: Option<(usize, u64)> = None;
        for (at, (window, state)) in windows.iter().zip(&mut states).enumerate() {
            match window.take(*state, 1, now) {
                Ok(after) => *state = after,
                Err(longer) if wait.is_none_or(|(_, wait)| longer > wait) => wait = Some((at, longer)),
                Err(_) => {}
            }
        }
        BucketChange { cell, place, outcome: wait.map_or(Ok(states), Err) }
    }

    /// Stores a change. If another worker changed the cell first, computes the change again. Returns `None` after too many
    /// conflicts. In each conflict, the change of one worker is stored, so the workers never block each other. If all attempts
    /// fail, the request is refused, because it must not pass uncounted.
    fn settle(&self, mut change: BucketChange, now: u64, store: &mut dyn BucketStore) -> Option<BucketChange> {
        for _ in 0..MAX_TRIES {
            let Ok(states) = &change.outcome else { return Some(change) };
            cell::put(&mut change.cell.bytes, &change.place, self.fingerprint, states, &self.meter.windows);
            if store.store(self.id, &change.cell.bytes, change.cell.version) {
                return Some(change);
            }
            change = self.ask(store.load(self.id), now);
        }
        None
    }

    /// Returns the state of the window with the fewest remaining requests after a change; `None` if the change is a refusal.
    fn remaining(&self, change: &BucketChange, now: u64) -> Option<Remaining> {
        let states = change.outcome.as_ref().ok()?;
        let windows = self.meter.windows.iter().zip(states).zip(&self.meter.titles);
        let remaining = windows.map(|((window, state), title)| (window.left(*state, now), title));
        let (left, (window, most)) = remaining.min_by_key(|(left, _)| left.requests)?;
        Some(Remaining { window: window.clone(), most: *most, left: left.requests, seconds: seconds(left.until_full) })
    }

    fn refusing(&self, window: usize, wait: u64) -> Remaining {
        let (window, most) = self.meter.titles.get(window).cloned().unwrap_or_else(|| (self.limit.name.clone(), 0));
        Remaining { window, most, left: 0, seconds: seconds(wait).max(1) }
    }
}

impl CountResult {
    /// Records the refusal of a charge, if `change` is one. For a shadow limit, only adds its name to `would`. If several
    /// enforced limits refuse, keeps the refusal with the longest wait.
    fn refuse(&mut self, at: usize, charge: &Charge<'_>, change: &BucketChange) {
        let Err((window, wait)) = change.outcome else { return };
        if charge.limit.shadow {
            if !self.would.contains(&charge.limit.name) {
                self.would.push(charge.limit.name.clone());
            }
            return;
        }
        let remaining = charge.refusing(window, wait);
        if self.refused.as_ref().is_none_or(|refused| refused.remaining.seconds < remaining.seconds) {
            self.refused = Some(LimitRefusal { charge: at, remaining, contended: false });
        }
    }
}

/// Counts an event that has already happened, such as a failed authentication. If a window has too little left for the event, the
/// window becomes exhausted.
pub fn record(charges: &[Charge<'_>], now: Duration, store: &mut dyn BucketStore) {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    for charge in charges {
        for _ in 0..MAX_TRIES {
            let BucketChange { mut cell, place, .. } = charge.ask(store.load(charge.id), now);
            let mut states = place.states;
            for (window, state) in charge.meter.windows.iter().zip(&mut states) {
                *state = window.take(*state, 1, now).unwrap_or_else(|_| window.exhausted(now));
            }
            cell::put(&mut cell.bytes, &place, charge.fingerprint, &states, &charge.meter.windows);
            if store.store(charge.id, &cell.bytes, cell.version) {
                break;
            }
        }
    }
}

fn seconds(nanos: u64) -> u64 {
    whole_seconds(Duration::from_nanos(nanos))
}

/// The maximum number of attempts to update a cell that other workers change.
const MAX_TRIES: usize = 16;
