//! A client as compiled: what its credentials may do, and when.

use std::rc::Rc;
use std::time::Duration;

use crate::config::client::Period;
use crate::policy::authority::permission_set::PermissionSet;
use crate::policy::authority::scopes::ScopeSet;

/// A client as compiled.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: Rc<str>,
    /// Who answers for it.
    pub owner: Rc<str>,
    /// The plan that limits go by.
    pub plan: Option<Rc<str>>,
    /// Words that rules and limits may go by.
    pub tags: Vec<Rc<str>>,
    /// What its keys and certificates may do; a token's scopes are cut down to them.
    pub scopes: Option<ScopeSet>,
    /// The same for permissions.
    pub permissions: Option<PermissionSet>,
    /// The issuers whose tokens may name it, as indexes into the policy's list; `None` means all of them, an empty list none.
    pub token_issuers: Option<Vec<usize>>,
    /// Several issuers' tokens may name it. Limits then count each issuer's tokens apart: no issuer uses up what the client may
    /// do by another's tokens.
    pub several_issuers: bool,
    /// Whether it exists in this environment.
    pub here: bool,
    /// This environment: the only one in which it can call here.
    pub environment: Option<Rc<str>>,
    /// When it may call.
    pub period: Period,
}

impl Client {
    /// Whether tokens of this issuer may name it.
    pub fn takes_tokens_of(&self, issuer: usize) -> bool {
        self.token_issuers.as_ref().is_none_or(|issuers| issuers.contains(&issuer))
    }

    /// Whether it may call now; the error is the reason for the record.
    pub fn standing(&self, now: Duration) -> Result<(), &'static str> {
        match () {
            () if !self.here => Err("client_of_another_environment"),
            () if self.period.is_early(now) => Err("client_not_yet_valid"),
            () if self.period.is_over(now) => Err("client_expired"),
            () => Ok(()),
        }
    }
}

impl Period {
    pub(in crate::policy) fn is_early(&self, now: Duration) -> bool {
        self.not_before.is_some_and(|from| now < from)
    }

    pub(in crate::policy) fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|until| now >= until)
    }
}
