//! Tests failures of the endpoints for key sets, client documents and revocation lists.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_harness::issuer::{ELSEWHERE, Fault, Issuer, KEY_SET_PATH};
use test_harness::trial::{bearer, get, put};

use crate::allowed::{
    Allowed, ExpectedResponse, FORGED, KEYLESS, NO_CLIENTS, NO_LIST, REVOKED, SERVED, UNKNOWN_API_KEY, UNKNOWN_KEY,
    but, either, over, slices,
};
use crate::given::{
    CLIENTS_PATH, COOL_DOWN, POLL, RETRY, REVOCATIONS_PATH, add_clients, add_revocations, clients, key, lasting,
    revoked,
};
use crate::site::{Site, until};
use crate::{Cell, Plain};

/// A kind of document, and the outcomes of requests with and without it.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The name of the endpoint. The names of the tests about this endpoint start with it.
    name: &'static str,
    /// The name of the document in the log.
    logged: &'static str,
    path: &'static str,
    /// The description of the fault in which the endpoint publishes an empty document.
    empty: &'static str,
    /// Publishes the document, and changes the gateway's document so that the gateway fetches it.
    pub add: fn(&mut Value, &Issuer) -> Result<()>,
    /// Adds the kinds of requests that depend on the document.
    pub also: fn(&mut Site) -> Result<()>,
    /// The kind of request that the gateway forwards only if it has the document.
    shows: &'static str,
    /// The outcomes that are added to [`crate::allowed::WELL`] while the gateway has the document.
    well: Allowed<'static>,
    /// The outcomes that replace those in `well` while the gateway does not have the document.
    without: Allowed<'static>,
    /// The longest time from the recovery of the endpoint until requests succeed again.
    heals: Duration,
    /// The JSON pointer to the setting `stale_for` in the gateway's document. It limits how long the gateway uses a stale
    /// document.
    stale_for: &'static str,
}

const KEYS: Kind = Kind {
    name: "key endpoint",
    logged: "key set",
    path: KEY_SET_PATH,
    empty: "has no keys any more",
    add: |_, _| Ok(()),
    also: |_| Ok(()),
    shows: "good",
    well: &[],
    without: KEYLESS,
    heals: COOL_DOWN,
    stale_for: "/issuers/0/jwks/stale_for",
};

pub const CLIENTS: Kind = Kind {
    name: "client endpoint",
    logged: "client document",
    path: CLIENTS_PATH,
    empty: "answers something else",
    add: add_clients,
    also: |site| {
        site.also("key", key("polled"));
        site.also("own key", key("own"));
        Ok(())
    },
    shows: "key",
    well: &[("key", &[SERVED]), ("own key", &[SERVED])],
    without: &[("key", &[NO_CLIENTS])],
    heals: RETRY,
    stale_for: "/clients_from/stale_for",
};

pub const REVOCATIONS: Kind = Kind {
    name: "revocation endpoint",
    logged: "revocation list",
    path: REVOCATIONS_PATH,
    empty: "answers something else",
    add: add_revocations,
    also: |site| {
        let token = lasting(&site.issuer, "one")?;
        site.also("revoked", bearer(get("/orders/1"), &token));
        Ok(())
    },
    shows: "good",
    well: &[("revoked", &[REVOKED])],
    without: &[("good", &[NO_LIST]), ("revoked", &[NO_LIST])],
    heals: RETRY,
    stale_for: "/revocation/stale_for",
};

pub fn cells() -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for kind in [KEYS, CLIENTS, REVOCATIONS] {
        for (what, fault) in FAULTS.iter().copied().chain([(kind.empty, Fault::Empty)]) {
            cells.push((format!("{} {what}", kind.name), Box::new(move || kind.fails(fault))));
        }
    }
    let own: [Plain; 8] = [
        ("key set rotated", rotated),
        ("key set rotated while a fetch hangs", rotated_behind_a_fetch),
        ("keys older than their bound", || KEYS.beyond_the_bound()),
        ("clients changed", clients_changed),
        ("clients emptied", clients_emptied),
        ("clients older than their bound", || CLIENTS.beyond_the_bound()),
        ("revocation list changed", list_changed),
        ("revocation list older than its bound", || REVOCATIONS.beyond_the_bound()),
    ];
    cells.extend(own.into_iter().map(|(name, cell)| (name.to_owned(), Box::new(cell) as _)));
    cells
}

impl Kind {
    /// Returns all outcomes that are allowed while the gateway has the document.
    fn well(self) -> Vec<(&'static str, &'static [ExpectedResponse<'static>])> {
        but(self.well)
    }

    fn without(self) -> Vec<(&'static str, &'static [ExpectedResponse<'static>])> {
        over(self.without, &self.well())
    }

    fn open(self) -> Result<Site> {
        self.amended(|_| Ok(()))
    }

    fn amended(self, amend: impl FnOnce(&mut Value) -> Result<()>) -> Result<Site> {
        let both = |policy: &mut Value, issuer: &Issuer| (self.add)(policy, issuer).and_then(|()| amend(policy));
        let mut site = Site::with_changes(both, |_| Ok(()))?;
        (self.also)(&mut site)?;
        site.until(self.shows, 200)?;
        Ok(site)
    }

    /// Makes the endpoint fail while the gateway has a cached document, then before it has fetched any document.
    fn fails(self, fault: Fault) -> Result<()> {
        let mut site = self.open()?;
        site.issuer.documents.fail(self.path, fault);
        let before = site.issuer.requests(self.path);
        // The endpoint must get two more requests, so that at least one fetch fails during the load.
        let failed = || Ok(site.issuer.requests(self.path) >= before + 2);
        site.during(&self.well(), |_| until("fetches that fail", failed))?;
        site.under_load(&self.well())?;
        // An attacker who can redirect a fetch must not be able to choose the fetched document.
        ensure!(site.issuer.requests(ELSEWHERE) == 0, "the gateway followed a redirect");
        self.check_log(&site, fault)?;
        // A new Envoy has no cached document.
        site.start()?;
        site.under_load(&self.without())?;
        site.issuer.documents.fail(self.path, Fault::None);
        site.within(self.heals, self.shows, 200)?;
        site.under_load(&self.well())?;
        site.filter_never_failed()
    }

    /// Checks that the log names the document and its error, and mentions the cached document.
    fn check_log(self, site: &Site, fault: Fault) -> Result<()> {
        let what_failed = match fault {
            Fault::Garbage if self.path == KEY_SET_PATH => "was refused: the key set cannot be parsed: not JSON",
            Fault::Garbage => "was refused: not JSON",
            Fault::Huge => "was refused: the document is longer than ",
            Fault::Empty if self.path == KEY_SET_PATH => "was refused: no key can be used",
            Fault::Empty => "was refused: document: ",
            _ => "was not fetched: ",
        };
        let address = site.issuer.url().replace("http://", "");
        let expected = format!("{} {address}{} {what_failed}", self.logged, self.path);
        let lines = site.envoy()?.lines();
        let told = lines.iter().any(|line| line.contains(&expected) && line.contains("; the cached one is "));
        ensure!(told, "no log line contains `{expected}`:\n{}", site.envoy()?.log_tail(20));
        Ok(())
    }

    fn beyond_the_bound(self) -> Result<()> {
        let mut site = self.amended(|policy| put(policy, self.stale_for, json!(format!("{}s", STALE.as_secs()))))?;
        let (well, without) = (self.well(), self.without());
        let both = either(&well, &without);
        site.issuer.documents.fail(self.path, Fault::Down);
        site.during(&slices(&both), |_| site.within(POLL + STALE, self.shows, 503))?;
        site.under_load(&self.without())?;
        site.issuer.documents.fail(self.path, Fault::None);
        site.during(&slices(&both), |_| site.within(self.heals, self.shows, 200))?;
        site.under_load(&self.well())?;
        site.filter_never_failed()
    }
}

/// Rotates the keys of the issuer. The gateway fetches a new key when a token needs it, and removes the old key at the next
/// fetch.
fn rotated() -> Result<()> {
    let mut site = KEYS.open()?;
    let fresh = bearer(get("/orders/1"), &site.token("rsa-2")?);
    site.also("new", fresh);
    site.issuer.publish(&["rsa-1", "rsa-2"]);
    // The gateway may have fetched the key set just before the rotation. Then it fetches the next one only after `cool_down`.
    let coming = but(&[("new", COMING_OR_GOING)]);
    site.during(&coming, |_| site.within(COOL_DOWN, "new", 200))?;
    site.under_load(&but(&[("new", &[SERVED])]))?;
    site.issuer.publish(&["rsa-2"]);
    let going = but(&[("good", COMING_OR_GOING), ("forged", &[FORGED, UNKNOWN_KEY]), ("new", &[SERVED])]);
    site.during(&going, |_| site.within(POLL, "good", 401))?;
    site.filter_never_failed()
}

/// Rotates the keys while the issuer does not respond. The gateway must accept the new key once fetches succeed again.
fn rotated_behind_a_fetch() -> Result<()> {
    let mut site = KEYS.open()?;
    let fresh = bearer(get("/orders/1"), &site.token("rsa-2")?);
    site.also("new", fresh);
    let before = site.issuer.requests(KEY_SET_PATH);
    site.issuer.fail(Fault::Held);
    site.issuer.publish(&["rsa-2"]);
    let hang = || Ok(site.issuer.requests(KEY_SET_PATH) >= before + 2);
    site.during(&but(&[("new", &[UNKNOWN_KEY])]), |_| until("fetches that hang", hang))?;
    site.issuer.fail(Fault::None);
    let changing = but(&[("good", COMING_OR_GOING), ("forged", &[FORGED, UNKNOWN_KEY]), ("new", COMING_OR_GOING)]);
    site.during(&changing, |_| {
        site.within(COOL_DOWN, "new", 200)?;
        site.within(POLL, "good", 401)
    })?;
    site.under_load(&but(&[("good", &[UNKNOWN_KEY]), ("forged", &[UNKNOWN_KEY]), ("new", &[SERVED])]))?;
    site.filter_never_failed()
}

/// Publishes a second key for a client, and then removes the first key.
fn clients_changed() -> Result<()> {
    let mut site = CLIENTS.open()?;
    site.also("new", key("next"));
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["polled", "next"]));
    let coming = over(&[("new", &[SERVED, UNKNOWN_API_KEY])], &CLIENTS.well());
    site.during(&coming, |_| site.within(POLL, "new", 200))?;
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["next"]));
    let going = over(&[("key", &[SERVED, UNKNOWN_API_KEY]), ("new", &[SERVED])], &CLIENTS.well());
    site.during(&going, |_| site.within(POLL, "key", 401))?;
    let gone = over(&[("key", &[UNKNOWN_API_KEY]), ("new", &[SERVED])], &CLIENTS.well());
    site.under_load(&gone)?;
    site.filter_never_failed()
}

/// Removes all clients. A document without clients is valid.
fn clients_emptied() -> Result<()> {
    let mut site = CLIENTS.open()?;
    site.issuer.documents.publish(CLIENTS_PATH, clients(&[]));
    let going = over(&[("key", &[SERVED, UNKNOWN_API_KEY])], &CLIENTS.well());
    site.during(&going, |_| site.within(POLL, "key", 401))?;
    site.under_load(&over(&[("key", &[UNKNOWN_API_KEY])], &CLIENTS.well()))?;
    site.filter_never_failed()
}

/// Adds a token to the revocation list, then publishes an empty list.
fn list_changed() -> Result<()> {
    let mut site = REVOCATIONS.open()?;
    let token = lasting(&site.issuer, "two")?;
    site.also("next", bearer(get("/orders/1"), &token));
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&["one", "two"]));
    let going = over(&[("next", &[SERVED, REVOKED])], &REVOCATIONS.well());
    site.during(&going, |_| site.within(POLL, "next", 401))?;
    let gone = over(&[("next", &[REVOKED])], &REVOCATIONS.well());
    site.under_load(&gone)?;
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&[]));
    let coming = over(&[("next", &[SERVED, REVOKED]), ("revoked", &[SERVED, REVOKED])], &REVOCATIONS.well());
    site.during(&coming, |_| site.within(POLL, "next", 200).and_then(|()| site.within(POLL, "revoked", 200)))?;
    site.filter_never_failed()
}

/// The value of `stale_for` in the tests of documents that are older than this bound.
const STALE: Duration = Duration::from_secs(2);
const COMING_OR_GOING: &[ExpectedResponse<'_>] = &[SERVED, UNKNOWN_KEY];
const FAULTS: &[(&str, Fault)] = &[
    ("down", Fault::Down),
    ("slow", Fault::Slow),
    ("answers 500", Fault::Error),
    ("answers garbage", Fault::Garbage),
    ("answers too much", Fault::Huge),
    ("breaks off", Fault::Truncated),
    ("redirects", Fault::Redirecting),
];
