//! Checks a verified caller against the revocations in the document and in the polled list.
//!
//! The check runs for every request, including requests of cached callers, because a credential may be revoked after it was
//! verified.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use super::revocation_list::{MAX_BYTES_AN_ENTRY, RevocableClaims, RevocationListError, Revocations};

use super::caller::{Caller, Proof};
use crate::policy::polled::Availability;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::stop::Stop;
use crate::policy::verdict::wait::{Await, Awaited, PolledId};
use crate::policy::world::World;

/// The revocations of a policy, and the rules for checking them.
#[derive(Debug)]
pub struct Revocation {
    /// The revocations in the configuration document.
    pub inline: Revocations,
    /// The polled revocation list, if the policy polls one.
    pub list: Option<PolledId>,
    /// Whether callers are accepted while the polled list is unavailable.
    pub accept_unchecked: bool,
    /// Whether tokens without a `jti` are refused.
    pub require_jti: bool,
}

/// The state of the polled list for the audit record; `None` if the list is current or if the policy polls no list.
pub type ListState = Option<Cow<'static, str>>;

impl Revocation {
    /// Refuses a revoked caller. `issuer` is the `iss` of the caller's token; empty without a token.
    pub fn check(
        &self,
        caller: &Caller,
        issuer: &str,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<ListState, Stop> {
        let shown = RevocableClaims::of(caller, issuer);
        // A revocation list cannot contain an empty `jti`, so a token with an empty `jti` could not be revoked.
        if self.require_jti && caller.token().is_some() && shown.jti.is_none_or(str::is_empty) {
            return Err(Rejection::new(RejectionKind::InvalidToken, "token_without_jti").into());
        }
        let (list, state) = self.list(received_at, world)?;
        let now = world.now;
        let client = caller.client_id.as_deref().unwrap_or_default();
        let covers = |list: &Revocations| match &caller.proof {
            Proof::Token(_) => list.covers(&shown, now),
            Proof::ApiKey(key) => list.covers_client(client, Some(key), now),
            Proof::Certificate => list.covers_client(client, None, now),
        };
        if covers(&self.inline) || list.is_some_and(|list| covers(&list)) {
            return Err(revoked(caller).into());
        }
        world.note("revocation", || "not revoked".to_string());
        Ok(state)
    }

    /// Returns the polled list, and the state of the list for the audit record.
    fn list(&self, received_at: Duration, world: &World<'_>) -> Result<(Option<Arc<Revocations>>, ListState), Stop> {
        let Some(id) = self.list else { return Ok((None, None)) };
        match world.polled.revocations(id, received_at, world.now) {
            Availability::Usable(list, _) => {
                let age = world.polled.stale_for(id, world.now);
                Ok((Some(list), age.map(|age| format!("{} s old", age.as_secs()).into())))
            }
            // If unchecked callers are accepted, requests wait only until the first fetch has ended.
            Availability::Wait(until) if !self.accept_unchecked || !world.polled.was_attempted(id) => {
                Err(Stop::Wait(Await { on: Awaited::Document(id), until }))
            }
            Availability::Wait(_) | Availability::Unavailable if self.accept_unchecked => {
                Ok((None, Some("none at hand".into())))
            }
            Availability::Wait(_) | Availability::Unavailable => {
                Err(Rejection::new(RejectionKind::AuthUnavailable, "revocation_list_unavailable").into())
            }
        }
    }
}

/// Returns the rejection of a revoked caller. The client gets the same response as for an invalid credential of the same kind.
fn revoked(caller: &Caller) -> Rejection {
    match &caller.proof {
        Proof::Token(_) => Rejection::new(RejectionKind::InvalidToken, "token_revoked"),
        Proof::ApiKey(_) => Rejection::new(RejectionKind::InvalidCredential, "api_key_revoked"),
        Proof::Certificate => Rejection::new(RejectionKind::InvalidCredential, "certificate_revoked"),
    }
}
