//! The clock of a real Envoy, set forward and back while requests run.

use anyhow::Result;
use serde_json::json;
use test_harness::moved_clock::MovedClock;
use test_harness::trial::{bearer, get, put};

use crate::Cell;
use crate::documents::{CLIENTS, REVOCATIONS};
use crate::given::{CLIENTS_PATH, REVOCATIONS_PATH, clients, lasting, revoked};
use crate::site::{Allowed, Site, but};

pub fn cells() -> Vec<Cell> {
    vec![
        ("clock jumps forward".to_owned(), Box::new(|| jumps(TWO_HOURS, "EXPIRED_TOKEN"))),
        ("clock jumps back".to_owned(), Box::new(|| jumps(-TWO_HOURS, "UNAUTHORIZED"))),
    ]
}

/// To another time and back to the right one. Everything that is fetched is older than its bound for a moment, or from the future;
/// limits that were used up lately would lock everybody out if they were believed.
fn jumps(by: i64, of_the_token: &str) -> Result<()> {
    let clock = MovedClock::new()?;
    let mut site = Site::with_env(
        clock.env(),
        |policy, issuer| {
            (CLIENTS.add)(policy, issuer)?;
            (REVOCATIONS.add)(policy, issuer)?;
            let limit = json!({ "name": "everybody", "by": "route", "rate": "1000/s", "burst": 1000 });
            put(policy, "/limits", json!([limit]))
        },
        |_| Ok(()),
    )?;
    (CLIENTS.also)(&mut site)?;
    (REVOCATIONS.also)(&mut site)?;
    let token = lasting(&site.issuer, "lasting")?;
    site.also("lasting", bearer(get("/orders/1"), &token));
    let at_first = well(&[(200, "")]);
    for sort in ["good", "lasting", "key"] {
        site.until(sort, 200)?;
    }
    site.under_load(&at_first)?;

    let stops = [(200, ""), (401, of_the_token), (503, "AUTH_UNAVAILABLE")];
    site.during(&fetching(&stops), |_| {
        clock.set(by)?;
        site.until("good", 401)?;
        site.until("lasting", 200).and_then(|()| site.until("key", 200))
    })?;
    let elsewhen = [(401, of_the_token)];
    site.under_load(&well(&elsewhen))?;

    // What is fetched is still fetched.
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["next"]));
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&[]));
    let either: &[_] = &[(200, ""), (401, "UNAUTHORIZED"), (401, of_the_token)];
    let changing = [&[("key", either), ("revoked", either)], well(&elsewhen).as_slice()].concat();
    site.during(&changing, |_| site.until("key", 401))?;
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["polled"]));
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&["one"]));
    site.during(&changing, |_| site.until("key", 200))?;

    site.during(&[&[("revoked", either)], fetching(&stops).as_slice()].concat(), |_| {
        clock.set(0)?;
        for sort in ["good", "lasting", "key"] {
            site.until(sort, 200)?;
        }
        site.until("revoked", 401)
    })?;
    site.under_load(&at_first)?;
    site.filter_never_failed()
}

/// Everything works, and a token of today is worth this.
fn well<'a>(good: &'a [(u16, &'a str)]) -> Vec<(&'a str, &'a [(u16, &'a str)])> {
    let ours: Allowed<'a> = &[
        ("lasting", &[(200, "")]),
        ("key", &[(200, "")]),
        ("own key", &[(200, "")]),
        ("revoked", &[(401, "UNAUTHORIZED")]),
    ];
    [&[("good", good)], ours, but(&[]).as_slice()].concat()
}

/// Until everything was fetched anew.
fn fetching<'a>(good: &'a [(u16, &'a str)]) -> Vec<(&'a str, &'a [(u16, &'a str)])> {
    let ours: Allowed<'a> = &[
        ("lasting", &[(200, ""), (503, "AUTH_UNAVAILABLE")]),
        ("key", &[(200, ""), (503, "AUTH_UNAVAILABLE")]),
        ("own key", &[(200, ""), (503, "AUTH_UNAVAILABLE")]),
        ("revoked", &[(401, "UNAUTHORIZED"), (503, "AUTH_UNAVAILABLE")]),
        ("forged", &[(401, "UNAUTHORIZED"), (503, "AUTH_UNAVAILABLE")]),
    ];
    [&[("good", good)], ours, but(&[]).as_slice()].concat()
}

const TWO_HOURS: i64 = 7_200;
