//! Sets the clock of a real Envoy forward and back while requests run.

use anyhow::Result;
use serde_json::json;
use test_harness::moved_clock::MovedClock;
use test_harness::trial::{bearer, get, put};

use crate::Cell;
use crate::allowed::{
    Allowed, ExpectedResponse, FORGED, NO_CLIENTS, NO_KEYS, NO_LIST, REVOKED, SERVED, UNKNOWN_API_KEY, but, over,
};
use crate::documents::{CLIENTS, REVOCATIONS};
use crate::given::{CLIENTS_PATH, REVOCATIONS_PATH, clients, lasting, revoked};
use crate::site::Site;

pub fn cells() -> Vec<Cell> {
    vec![
        ("clock jumps forward".to_owned(), Box::new(|| jumps(TWO_HOURS, (401, "EXPIRED_TOKEN", "deny token_expired")))),
        (
            "clock jumps back".to_owned(),
            Box::new(|| jumps(-TWO_HOURS, (401, "UNAUTHORIZED", "deny token_not_yet_valid"))),
        ),
    ]
}

/// Changes the clock by `by` seconds and back. After a step forward, fetched documents seem too old. After a step back, they seem
/// to come from the future. The last use of a limit then also lies in the future, which must not block requests.
fn jumps(by: i64, of_the_token: ExpectedResponse<'_>) -> Result<()> {
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
    let at_first = well(&[SERVED]);
    for sort in ["good", "lasting", "key"] {
        site.until(sort, 200)?;
    }
    site.under_load(&at_first)?;

    let stops = [SERVED, of_the_token, NO_KEYS, NO_LIST];
    site.during(&fetching(&stops), |_| {
        clock.set(by)?;
        site.until("good", 401)?;
        site.until("lasting", 200).and_then(|()| site.until("key", 200))
    })?;
    let elsewhen = [of_the_token];
    let elsewhen = well(&elsewhen);
    site.under_load(&elsewhen)?;

    // The gateway must still fetch documents.
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["next"]));
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&[]));
    let listed: &[_] = &[SERVED, REVOKED];
    let changing = over(&[("key", &[SERVED, UNKNOWN_API_KEY]), ("revoked", listed)], &elsewhen);
    site.during(&changing, |_| site.until("key", 401))?;
    site.issuer.documents.publish(CLIENTS_PATH, clients(&["polled"]));
    site.issuer.documents.publish(REVOCATIONS_PATH, revoked(&["one"]));
    site.during(&changing, |_| site.until("key", 200))?;

    site.during(&over(&[("revoked", &[SERVED, REVOKED, NO_KEYS, NO_LIST])], &fetching(&stops)), |_| {
        clock.set(0)?;
        for sort in ["good", "lasting", "key"] {
            site.until(sort, 200)?;
        }
        site.until("revoked", 401)
    })?;
    site.under_load(&at_first)?;
    site.filter_never_failed()
}

/// Returns the outcomes that are allowed while everything works. `good` contains the outcomes of a token that is valid only at
/// the real time.
fn well<'a>(good: &'a [ExpectedResponse<'a>]) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    let ours: Allowed<'a> =
        &[("lasting", &[SERVED]), ("key", &[SERVED]), ("own key", &[SERVED]), ("revoked", &[REVOKED])];
    [&[("good", good)], ours, but(&[]).as_slice()].concat()
}

/// Returns the outcomes that are allowed right after a change of the clock, while the gateway fetches its documents again. `good`
/// contains the outcomes of a token that is valid only at the real time.
fn fetching<'a>(good: &'a [ExpectedResponse<'a>]) -> Vec<(&'a str, &'a [ExpectedResponse<'a>])> {
    let ours: Allowed<'a> = &[
        ("lasting", &[SERVED, NO_KEYS, NO_LIST]),
        ("key", &[SERVED, NO_CLIENTS]),
        ("own key", &[SERVED, NO_CLIENTS]),
        ("revoked", &[REVOKED, NO_KEYS, NO_LIST]),
        ("forged", &[FORGED, NO_KEYS]),
    ];
    [&[("good", good)], ours, but(&[]).as_slice()].concat()
}

const TWO_HOURS: i64 = 7_200;
