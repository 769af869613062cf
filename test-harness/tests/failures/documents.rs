//! Endpoints of what the gateway fetches, in every state that an endpoint can be in: key sets, documents of clients, revocation lists.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_harness::issuer::{ELSEWHERE, Fault, Issuer, KEY_SET_PATH};
use test_harness::trial::{bearer, get, put};

use crate::allowed::{
    Allowed, FORGED, KEYLESS, NO_CLIENTS, NO_LIST, REVOKED, Right, SERVED, UNKNOWN_API_KEY, UNKNOWN_KEY, but, either,
    over, slices,
};
use crate::given::{
    CLIENTS_PATH, COOL_DOWN, POLL, RETRY, REVOCATIONS_PATH, add_clients, add_revocations, clients, key, lasting,
    revoked,
};
use crate::site::{Site, until};
use crate::{Cell, Plain};

/// A kind of document, and what becomes of requests with it and without it.
#[derive(Clone, Copy)]
pub struct Kind {
    /// How the rows about its endpoint begin.
    name: &'static str,
    /// What the log calls it.
    logged: &'static str,
    path: &'static str,
    /// What its endpoint does that answers, and not with a document that says anything.
    empty: &'static str,
    /// Publishes it, and has the gateway of this document fetch it.
    pub add: fn(&mut Value, &Issuer) -> Result<()>,
    /// Sends what depends on it, besides the usual.
    pub also: fn(&mut Site) -> Result<()>,
    /// What is forwarded when there is a document, and is not when there is none.
    shows: &'static str,
    /// What is right, where it is not the same as on any day: with a document, and without one.
    well: Allowed<'static>,
    without: Allowed<'static>,
    /// How long after its endpoint it heals at the latest.
    heals: Duration,
    /// Where the gateway's document says how long it serves on.
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
    /// Everything is right with a document.
    fn well(self) -> Vec<(&'static str, &'static [Right<'static>])> {
        but(self.well)
    }

    fn without(self) -> Vec<(&'static str, &'static [Right<'static>])> {
        over(self.without, &self.well())
    }

    fn open(self) -> Result<Site> {
        self.amended(|_| Ok(()))
    }

    fn amended(self, amend: impl FnOnce(&mut Value) -> Result<()>) -> Result<Site> {
        let both = |policy: &mut Value, issuer: &Issuer| (self.add)(policy, issuer).and_then(|()| amend(policy));
        let mut site = Site::bent(both, |_| Ok(()))?;
        (self.also)(&mut site)?;
        site.until(self.shows, 200)?;
        Ok(site)
    }

    /// With a document at hand, then before the first one.
    fn fails(self, fault: Fault) -> Result<()> {
        let mut site = self.open()?;
        site.issuer.documents.fail(self.path, fault);
        let before = site.issuer.requests(self.path);
        // Two more attempts: at least one was made, and failed, while the load was on.
        let failed = || Ok(site.issuer.requests(self.path) >= before + 2);
        site.during(&self.well(), |_| until("fetches that fail", failed))?;
        site.under_load(&self.well())?;
        // Whoever can redirect a fetch must not be able to choose what is fetched.
        ensure!(site.issuer.requests(ELSEWHERE) == 0, "a redirection was followed");
        self.is_told(&site, fault)?;
        // A new Envoy has nothing.
        site.start()?;
        site.under_load(&self.without())?;
        site.issuer.documents.fail(self.path, Fault::None);
        site.within(self.heals, self.shows, 200)?;
        site.under_load(&self.well())?;
        site.filter_never_failed()
    }

    /// The log says which document it is, whether it came at all, what is wrong with what came, and that the one at hand serves on.
    fn is_told(self, site: &Site, fault: Fault) -> Result<()> {
        let what_failed = match fault {
            Fault::Garbage if self.path == KEY_SET_PATH => "was refused: key set cannot be read: not JSON",
            Fault::Garbage => "was refused: not JSON",
            Fault::Huge => "was refused: longer than ",
            Fault::Empty if self.path == KEY_SET_PATH => "was refused: no key can be used",
            Fault::Empty => "was refused: document: ",
            _ => "was not fetched: ",
        };
        let address = site.issuer.url().replace("http://", "");
        let expected = format!("{} {address}{} {what_failed}", self.logged, self.path);
        let lines = site.envoy()?.lines();
        let told = lines.iter().any(|line| line.contains(&expected) && line.contains("; the one at hand is "));
        ensure!(told, "no line of the log has `{expected}`:\n{}", site.envoy()?.log_tail(20));
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

/// The new key is taken up when a token of it comes, the old one is let go with the next fetch.
fn rotated() -> Result<()> {
    let mut site = KEYS.open()?;
    let fresh = bearer(get("/orders/1"), &site.token("rsa-2")?);
    site.also("new", fresh);
    site.issuer.publish(&["rsa-1", "rsa-2"]);
    // A fetch less than `cool_down` ago did not bring it, and no other is made so soon.
    let coming = but(&[("new", COMING_OR_GOING)]);
    site.during(&coming, |_| site.within(COOL_DOWN, "new", 200))?;
    site.under_load(&but(&[("new", &[SERVED])]))?;
    site.issuer.publish(&["rsa-2"]);
    let going = but(&[("good", COMING_OR_GOING), ("forged", &[FORGED, UNKNOWN_KEY]), ("new", &[SERVED])]);
    site.during(&going, |_| site.within(POLL, "good", 401))?;
    site.filter_never_failed()
}

/// What is fetched does not come, and meanwhile the issuer changes keys.
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

/// A client moves from one key to the next.
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

/// Nobody is listed any more: a document like any other.
fn clients_emptied() -> Result<()> {
    let mut site = CLIENTS.open()?;
    site.issuer.documents.publish(CLIENTS_PATH, clients(&[]));
    let going = over(&[("key", &[SERVED, UNKNOWN_API_KEY])], &CLIENTS.well());
    site.during(&going, |_| site.within(POLL, "key", 401))?;
    site.under_load(&over(&[("key", &[UNKNOWN_API_KEY])], &CLIENTS.well()))?;
    site.filter_never_failed()
}

/// A token is put on the list, and the list is emptied again.
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

/// How old a document of these rows may become beyond its time.
const STALE: Duration = Duration::from_secs(2);
const COMING_OR_GOING: &[Right<'_>] = &[SERVED, UNKNOWN_KEY];
const FAULTS: &[(&str, Fault)] = &[
    ("down", Fault::Down),
    ("slow", Fault::Slow),
    ("answers 500", Fault::Error),
    ("answers garbage", Fault::Garbage),
    ("answers too much", Fault::Huge),
    ("breaks off", Fault::Truncated),
    ("redirects", Fault::Redirecting),
];
