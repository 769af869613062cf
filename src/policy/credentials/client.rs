//! A compiled client, with the permissions and the validity period of the client.

use std::sync::Arc;
use std::time::Duration;

use crate::config::client::ValidityPeriod;
use crate::policy::authority::permission_set::PermissionSet;
use crate::policy::authority::scopes::ScopeSet;

/// A compiled client of the configuration document or of a client document.
#[derive(Debug)]
pub struct Client {
    /// The client id, as in tokens and audit records.
    pub id: Arc<str>,
    /// The person or team responsible for the client.
    pub owner: Arc<str>,
    /// The client's plan for rate limits; `None` if the client has none.
    pub plan: Option<Arc<str>>,
    /// Labels that conditions and identity headers can use.
    pub tags: Vec<Arc<str>>,
    /// The scopes of the client's keys and certificates. The scopes of a token are restricted to these scopes. With `None`, keys
    /// and certificates have no scopes, and tokens are not restricted.
    pub scopes: Option<ScopeSet>,
    /// The permissions of the client's keys and certificates. The permissions of a token are restricted to these permissions.
    /// With `None`, keys and certificates have no permissions, and tokens are not restricted.
    pub permissions: Option<PermissionSet>,
    /// The issuers whose tokens may contain the client's id, as indexes into the policy's list. `None` means all issuers; an
    /// empty list means no issuer.
    pub token_issuers: Option<Vec<usize>>,
    /// Whether tokens of several issuers may contain the client's id. If so, limits count each issuer separately, so that one
    /// issuer cannot exhaust the client's limits for another issuer.
    pub several_issuers: bool,
    /// Whether the client exists in the gateway's environment.
    pub in_environment: bool,
    /// The name of the gateway's environment; `None` if the document sets no environment.
    pub environment: Option<Arc<str>>,
    /// The period in which the client may call the gateway.
    pub period: ValidityPeriod,
}

impl Client {
    /// Returns `true` if tokens of this issuer may contain the client's id.
    pub fn takes_tokens_of(&self, issuer: usize) -> bool {
        self.token_issuers.as_ref().is_none_or(|issuers| issuers.contains(&issuer))
    }

    /// Checks that the client may call the gateway now. The error is the reason for the audit record.
    pub fn check_active(&self, now: Duration) -> Result<(), &'static str> {
        match () {
            () if !self.in_environment => Err("client_of_another_environment"),
            () if self.period.is_early(now) => Err("client_not_yet_valid"),
            () if self.period.is_over(now) => Err("client_expired"),
            () => Ok(()),
        }
    }
}

impl ValidityPeriod {
    pub(in crate::policy) fn is_early(&self, now: Duration) -> bool {
        self.not_before.is_some_and(|from| now < from)
    }

    pub(in crate::policy) fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|until| now >= until)
    }
}
