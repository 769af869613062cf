//! A compiled client: the permissions and validity of its credentials.

use std::rc::Rc;
use std::time::Duration;

use crate::config::client::ValidityPeriod;
use crate::policy::authority::permission_set::PermissionSet;
use crate::policy::authority::scopes::ScopeSet;

/// A compiled client.
#[derive(Debug)]
pub struct Client {
    /// The client id.
    pub id: Rc<str>,
    /// The person or team responsible for the client.
    pub owner: Rc<str>,
    /// The plan for rate limits.
    pub plan: Option<Rc<str>>,
    /// Labels that conditions and limits can use.
    pub tags: Vec<Rc<str>>,
    /// The scopes of its keys and certificates. A token's scopes are restricted to them.
    pub scopes: Option<ScopeSet>,
    /// The permissions, used in the same way.
    pub permissions: Option<PermissionSet>,
    /// The issuers whose tokens may name the client, as indexes into the policy's list. `None` means all issuers, an empty list
    /// none.
    pub token_issuers: Option<Vec<usize>>,
    /// Tokens of several issuers may name the client. Limits then count each issuer separately, so that one issuer cannot
    /// exhaust the client's limits for another.
    pub several_issuers: bool,
    /// The client exists in this environment.
    pub here: bool,
    /// The name of this environment: the only one in which the client can call this gateway.
    pub environment: Option<Rc<str>>,
    /// The period in which the client may call.
    pub period: ValidityPeriod,
}

impl Client {
    /// Returns `true` if tokens of this issuer may name the client.
    pub fn takes_tokens_of(&self, issuer: usize) -> bool {
        self.token_issuers.as_ref().is_none_or(|issuers| issuers.contains(&issuer))
    }

    /// Checks whether the client may call now. The error is the reason for the audit record.
    pub fn standing(&self, now: Duration) -> Result<(), &'static str> {
        match () {
            () if !self.here => Err("client_of_another_environment"),
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
