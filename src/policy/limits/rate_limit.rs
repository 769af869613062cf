//! How many requests may whoever make? Counts a request under every limit that it comes under, or refuses it and counts nothing.

pub mod cell;
pub mod key;
pub mod store;
pub mod window;

#[cfg(all(test, not(target_family = "wasm")))]
mod properties;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::policy::verdict::budget::Standing;
use cell::States;
use key::{Key, Subject};
use store::{BucketStore, Cell, CellId};
use window::Window;

use crate::policy::credentials::caller::Caller;

use crate::config::claim::ClaimPath;
use crate::config::limit::KeyPart;
use crate::config::limit::service::OnFailure;
use crate::policy::limits::rate_limit_client::SharedLimit;

/// A limit as compiled.
#[derive(Debug)]
pub struct Limit {
    /// Its name.
    pub name: Rc<str>,
    /// What tells callers apart.
    pub by: Vec<KeyPart>,
    /// What may be had, by plan; the first is that of everyone for whom no other is found.
    pub meters: Vec<Meter>,
    /// How one of them is chosen.
    pub choice: Choice,
    /// It only writes down whom it would have refused.
    pub shadow: bool,
    /// Set where a rate limit service counts.
    pub sharing: Option<Sharing>,
}

/// How a limit is shared.
#[derive(Debug)]
pub struct Sharing {
    /// What the service is asked.
    pub limit: Rc<SharedLimit>,
    /// What holds while it does not answer.
    pub on_failure: OnFailure,
}

/// How a caller's meter is chosen; the numbers are places in the list of meters.
#[derive(Debug)]
pub enum Choice {
    /// There is only one.
    Only,
    /// By the text of a claim.
    Claim(ClaimPath, Vec<(String, usize)>),
    /// By the plan that the directory of clients has for the caller.
    Directory(Vec<(String, usize)>),
    /// By the client.
    Client(Vec<(String, usize)>),
}

/// Windows that hold together, and the table in which callers are counted under them.
#[derive(Debug)]
pub struct Meter {
    /// The plan's name; empty where the limit has windows of its own.
    pub plan: Rc<str>,
    /// The number of the table.
    pub table: u32,
    /// How many cells it has.
    pub cells: u32,
    /// The windows.
    pub windows: Vec<Window>,
    /// Their names, and how many requests each allows.
    pub titles: Vec<(Rc<str>, u64)>,
    /// The windows as `RateLimit-Policy` lists them.
    pub policy: Rc<str>,
}

/// Whom one request is counted as under one limit.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'l> {
    /// The limit.
    pub limit: &'l Limit,
    /// The meter that is the caller's.
    pub meter: &'l Meter,
    id: CellId,
    fingerprint: u64,
}

/// How limits are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The request is counted.
    Take,
    /// Whether it could be counted.
    Try,
}

/// What became of counting a request.
#[derive(Debug, Default)]
pub struct Counted {
    /// Who refused it, if anybody did: by its place in the list of charges.
    pub refused: Option<Refused>,
    /// How the tightest window of each charge stands, in the order of the charges; none where it refused.
    pub standings: Vec<Option<Standing>>,
    /// The shadow limits that would have refused it.
    pub would: Vec<Rc<str>>,
}

/// A refusal by a limit.
#[derive(Debug)]
pub struct Refused {
    /// The charge.
    pub charge: usize,
    /// How the window that refused stands.
    pub standing: Standing,
    /// Other workers changed what was counted faster than this one could.
    pub contended: bool,
}

impl Limit {
    /// The meter that is the caller's.
    pub fn meter(&self, subject: &Subject<'_>) -> Option<&Meter> {
        self.meters.get(self.choice.of(subject)).or_else(|| self.meters.first())
    }

    /// Whom a request is counted as.
    pub fn charge(&self, subject: &Subject<'_>, hash_key: [u8; 16]) -> Option<Charge<'_>> {
        let meter = self.meter(subject)?;
        let key = Key::new(&self.by, subject, hash_key);
        let id = CellId { table: meter.table, cell: key.cell(meter.cells) };
        Some(Charge { limit: self, meter, id, fingerprint: key.fingerprint })
    }
}

impl Choice {
    fn of(&self, subject: &Subject<'_>) -> usize {
        let claims = subject.caller.map(|caller| &caller.claims);
        let (text, plans) = match self {
            Choice::Only => return 0,
            Choice::Claim(path, plans) => (claims.and_then(|claims| path.find(claims)).and_then(Value::as_str), plans),
            Choice::Directory(plans) => (subject.caller.and_then(Caller::plan).map(|plan| &**plan), plans),
            Choice::Client(plans) => (subject.caller.and_then(|caller| caller.client_id.as_deref()), plans),
        };
        plans.iter().find(|(name, _)| Some(name.as_str()) == text).map_or(0, |(_, at)| *at)
    }
}

/// Counts a request under all charges, or under none when one refuses: first all are asked, then all are counted.
pub fn count(charges: &[Charge<'_>], how: How, now: Duration, store: &mut dyn BucketStore) -> Counted {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let mut counted = Counted::default();
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
        let settled = if how == How::Take { charge.settle(change, now, store) } else { Some(change) };
        match settled {
            // What was counted under the other limits by then stands: giving it back could only be late.
            Some(change) => {
                counted.standings.push(charge.standing(&change, now));
                counted.refuse(at, charge, &change);
            }
            None if charge.limit.shadow => counted.standings.push(None),
            None => counted.refused = Some(Refused { charge: at, standing: charge.refusing(0, 0), contended: true }),
        }
        if counted.refused.is_some() {
            break;
        }
    }
    counted
}

/// What a charge would change in its cell.
struct Change {
    cell: Cell,
    place: cell::Place,
    /// The states after it; or the window that refuses, and the nanoseconds for which it does.
    outcome: Result<States, (usize, u64)>,
}

impl Charge<'_> {
    fn ask(&self, cell: Cell, now: u64) -> Change {
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
        Change { cell, place, outcome: wait.map_or(Ok(states), Err) }
    }

    /// Makes a change, again on what others have left when they were faster. None when they were faster too often: somebody
    /// always gets on, so that is no standstill, and whoever does not is refused rather than let through uncounted.
    fn settle(&self, mut change: Change, now: u64, store: &mut dyn BucketStore) -> Option<Change> {
        for _ in 0..MOST_TRIES {
            let Ok(states) = &change.outcome else { return Some(change) };
            cell::put(&mut change.cell.bytes, &change.place, self.fingerprint, states, &self.meter.windows);
            if store.store(self.id, &change.cell.bytes, change.cell.version) {
                return Some(change);
            }
            change = self.ask(store.load(self.id), now);
        }
        None
    }

    /// How the tightest window stands after a change; none where it was refused.
    fn standing(&self, change: &Change, now: u64) -> Option<Standing> {
        let states = change.outcome.as_ref().ok()?;
        let windows = self.meter.windows.iter().zip(states).zip(&self.meter.titles);
        let standings = windows.map(|((window, state), title)| (window.left(*state, now), title));
        let (left, (window, most)) = standings.min_by_key(|(left, _)| left.requests)?;
        Some(Standing { window: window.clone(), most: *most, left: left.requests, seconds: seconds(left.until_full) })
    }

    fn refusing(&self, window: usize, wait: u64) -> Standing {
        let (window, most) = self.meter.titles.get(window).cloned().unwrap_or_else(|| (self.limit.name.clone(), 0));
        Standing { window, most, left: 0, seconds: seconds(wait).max(1) }
    }
}

impl Counted {
    /// Notes a refusal; of several the one that lasts longest.
    fn refuse(&mut self, at: usize, charge: &Charge<'_>, change: &Change) {
        let Err((window, wait)) = change.outcome else { return };
        if charge.limit.shadow {
            if !self.would.contains(&charge.limit.name) {
                self.would.push(charge.limit.name.clone());
            }
            return;
        }
        let standing = charge.refusing(window, wait);
        if self.refused.as_ref().is_none_or(|refused| refused.standing.seconds < standing.seconds) {
            self.refused = Some(Refused { charge: at, standing, contended: false });
        }
    }
}

/// Counts something that has happened already: what there is not enough for uses up what there is.
pub fn record(charges: &[Charge<'_>], now: Duration, store: &mut dyn BucketStore) {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    for charge in charges {
        for _ in 0..MOST_TRIES {
            let Change { mut cell, place, .. } = charge.ask(store.load(charge.id), now);
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

/// Whole seconds, rounded up.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

/// How often a count is tried again that another worker changed meanwhile.
const MOST_TRIES: usize = 16;
