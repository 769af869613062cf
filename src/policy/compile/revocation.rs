//! Compiles `revocation`: what the document revokes itself, and the plan by which a list is polled.

use std::time::Duration;

use super::super::polled::{PollPlan, What};
use super::issuers::unknown;
use crate::config::document::Issuer;
use crate::config::polled::PolledFrom;
use crate::config::problem::Problems;
use crate::config::revocation;
use crate::config::revocation::ListUnavailable;
use crate::policy::credentials::revocation::Revocation;
use crate::policy::credentials::revocation_list::Revocations;
use crate::policy::verdict::wait::PolledId;

/// The stage, if the document has the section. A list that is polled gets the next number among the plans.
pub(super) fn compile(
    written: Option<&revocation::Revocation>,
    issuers: &[Issuer],
    plans: &mut Vec<PollPlan>,
    problems: &mut Problems,
) -> Option<Revocation> {
    let written = written?;
    for issuer in written.revoked.iter().filter_map(|entry| entry.issuer.as_ref()) {
        let mut declared = issuers.iter().map(|issuer| issuer.issuer.value.as_str());
        if declared.clone().all(|declared| declared != issuer.value) {
            problems.add(&issuer.place, unknown("issuer with the `iss`", &issuer.value, &mut declared));
        }
    }
    let list = written.list.as_ref().map(|from| {
        plans.push(plan(from, What::Revocations { most_entries: written.max_entries }));
        PolledId(plans.len() - 1)
    });
    Some(Revocation {
        // What is written into the document stays there until somebody takes it out, so nothing of it is left out.
        inline: Revocations::of(&written.revoked, Duration::ZERO),
        list,
        accept_unchecked: written.on_unavailable == ListUnavailable::AcceptUnchecked,
        require_jti: written.require_jti,
    })
}

/// How a document is polled: asked for again after `poll`, used for `stale_for` beyond that.
pub(super) fn plan(from: &PolledFrom, what: What) -> PollPlan {
    PollPlan {
        what,
        uri: from.uri.value.clone(),
        cluster: from.cluster.clone(),
        refresh_after: from.poll,
        usable_for: from.poll + from.stale_for,
        cool_down: from.poll,
        timeout: from.timeout,
        wait: from.wait,
    }
}
