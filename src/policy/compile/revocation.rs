//! Compiles `revocation`: the revocations in the document, and the poll plan of the revocation list.

use std::time::Duration;

use super::super::polled::{DocumentKind, PollPlan};
use super::issuers::unknown;
use crate::config::document::IssuerSettings;
use crate::config::polled::PolledSource;
use crate::config::problem::Problems;
use crate::config::revocation;
use crate::config::revocation::ListUnavailable;
use crate::policy::credentials::revocation::Revocation;
use crate::policy::credentials::revocation_list::Revocations;
use crate::policy::verdict::wait::PolledId;

/// Compiles the section, if the document has one. Adds the poll plan of a polled list to `plans`.
pub(super) fn compile(
    written: Option<&revocation::RevocationSettings>,
    issuers: &[IssuerSettings],
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
        plans.push(plan(from, DocumentKind::Revocations { most_entries: written.max_entries }));
        PolledId(plans.len() - 1)
    });
    Some(Revocation {
        // The compiler reads no clock, so it passes time zero and keeps all entries. `Revocations::covers` checks the expiry
        // time of each entry when a request arrives.
        inline: Revocations::of(&written.revoked, Duration::ZERO),
        list,
        accept_unchecked: written.on_unavailable == ListUnavailable::AcceptUnchecked,
        require_jti: written.require_jti,
    })
}

/// Returns the poll plan of a document. The document is fetched again when its age reaches `poll`. If no fetch succeeds, the
/// document stays in use for the additional time `stale_for`.
pub(super) fn plan(from: &PolledSource, what: DocumentKind) -> PollPlan {
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
