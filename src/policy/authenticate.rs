//! Who is calling? Turns a token into a [`Caller`], or says why it cannot be believed.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::credential::Credential;
use super::decision::{Await, Awaited};
use super::identity::{Identity, IdentityHeaders};
use super::issuer::{Issuer, IssuerKeys, Validity};
use super::permission::{PermissionRegistry, PermissionSet};
use super::polled::Standing;
use super::rejection::{Kind, Rejection};
use super::scopes::{ScopeRegistry, ScopeSet};
use super::token::UnverifiedToken;
use super::token_cache;
use super::world::World;

/// Somebody whose token was verified.
#[derive(Debug)]
pub struct Caller {
    /// Which issuer vouches, as an index into the policy's list.
    pub issuer: usize,
    /// That issuer's name.
    pub issuer_name: Rc<str>,
    /// What tells the very token from others.
    pub token: u128,
    /// The `sub` claim.
    pub subject: Option<Rc<str>>,
    /// Every claim.
    pub claims: Value,
    /// The scopes that some route asks for.
    pub scopes: ScopeSet,
    /// What was granted of the permissions there are.
    pub permissions: PermissionSet,
    /// The identity headers, and what else is told of the caller.
    pub identity: Identity,
    validity: Validity,
    /// The generation of the remote key set the signature was checked with; 0 for keys in the configuration.
    generation: u64,
    /// The place the token stood in.
    source: usize,
}

/// What stops an authentication: a refusal, or keys that have to be fetched first.
#[derive(Debug)]
pub enum Stop {
    /// The token does not hold.
    Refuse(Rejection),
    /// Keys are being fetched.
    Wait(Await),
}

/// What authentication needs of the policy.
#[derive(Clone, Copy, Debug)]
pub struct Authenticator<'p> {
    /// Every issuer.
    pub issuers: &'p [Issuer],
    /// The scopes that matter.
    pub scopes: &'p ScopeRegistry,
    /// The permissions there are.
    pub permissions: &'p PermissionRegistry,
    /// The identity headers.
    pub identity: &'p IdentityHeaders,
}

impl Authenticator<'_> {
    /// The caller that a credential proves. A token verified before is taken from the cache; what can change between two
    /// requests (the time, the keys, the place of the token) is checked every time.
    pub fn authenticate(
        &self,
        credential: &Credential<'_>,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<Rc<Caller>, Stop> {
        let token = credential.token.as_ref();
        if let Some(caller) = world.tokens.get(token) {
            if self.still_holds(&caller, credential.source, world) {
                caller.validity.check(world.now)?;
                world.note("authenticate", || "a token that was verified before".to_string());
                return Ok(caller);
            }
            world.tokens.remove(token);
        }
        credential.check_form()?;
        let caller = Rc::new(self.verify(token, credential.source, received_at, world)?);
        world.tokens.insert(token, caller.clone());
        Ok(caller)
    }

    /// A cached caller counts only while the very keys that proved it are in use.
    fn still_holds(&self, caller: &Caller, source: usize, world: &World<'_>) -> bool {
        let generation = match self.issuers.get(caller.issuer).map(|issuer| &issuer.keys) {
            Some(IssuerKeys::Remote(id)) => world.polled.generation(*id, world.now),
            Some(IssuerKeys::Local(_)) => Some(0),
            None => None,
        };
        caller.source == source && generation == Some(caller.generation)
    }

    fn verify(
        &self,
        token: &[u8],
        source: usize,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<Caller, Stop> {
        if token.len() > self.issuers.iter().map(|i| i.max_token_bytes).max().unwrap_or(0) {
            return Err(invalid("token_too_long"));
        }
        let read = UnverifiedToken::read(token)?;
        let (index, issuer) = self.issuer_of(&read.claims)?;
        issuer.check_form(&read, token.len(), source)?;
        world.note("authenticate", || {
            format!("{} token of issuer {}, key {:?}", read.algorithm.name(), issuer.name, read.kid)
        });
        let generation = self.check_signature(issuer, &read, received_at, world)?;
        let validity = issuer.check_claims(&read.claims)?;
        validity.check(world.now)?;
        let permissions = self
            .permissions
            .granted(&read.claims, &issuer.permission_claims)
            .map_err(|fault| Rejection::new(Kind::InvalidToken, "token_permissions_malformed").with(fault.0))?;
        let mut identity = self.identity.of(&read.claims);
        self.permissions.tell(&permissions, &mut identity);
        Ok(Caller {
            issuer: index,
            issuer_name: issuer.name.clone(),
            token: token_cache::tail(token),
            subject: read.claims.get("sub").and_then(Value::as_str).map(Rc::from),
            scopes: self.scopes.granted(&read.claims, &issuer.scope_claims),
            permissions,
            identity,
            validity,
            generation,
            source,
            claims: read.claims,
        })
    }

    fn issuer_of(&self, claims: &Value) -> Result<(usize, &Issuer), Rejection> {
        let Some(iss) = claims.get("iss").and_then(Value::as_str) else {
            return Err(Rejection::new(Kind::InvalidToken, "token_without_issuer"));
        };
        let known = self.issuers.iter().enumerate().find(|(_, issuer)| issuer.issuer == iss);
        known.ok_or_else(|| Rejection::new(Kind::InvalidToken, "token_issuer_unknown"))
    }

    /// Checks the signature with the keys that fit; the generation of the key set comes back.
    fn check_signature(
        &self,
        issuer: &Issuer,
        token: &UnverifiedToken<'_>,
        received_at: Duration,
        world: &mut World<'_>,
    ) -> Result<u64, Stop> {
        let (keys, generation) = match &issuer.keys {
            IssuerKeys::Local(keys) => (keys.clone(), 0),
            IssuerKeys::Remote(id) => match world.polled.key_set(*id, received_at, world.now) {
                Standing::Usable(keys, generation) => (keys, generation),
                Standing::Wait(until) => return Err(Stop::Wait(Await { on: Awaited::Document(*id), until })),
                Standing::Unavailable => {
                    return Err(Stop::Refuse(Rejection::new(Kind::AuthUnavailable, "keys_unavailable")));
                }
            },
        };
        let fitting = keys.candidates(token.kid.as_deref(), token.algorithm).take(MOST_KEYS_TRIED);
        let mut tried = 0;
        for key in fitting {
            tried += 1;
            if world.verifier.verify(key, token.algorithm, token.signing_input, &token.signature) {
                return Ok(generation);
            }
        }
        // A name that no key of the set bears may be that of a newer key.
        let is_unknown = token.kid.as_deref().is_some_and(|kid| !keys.has_kid(kid));
        if is_unknown
            && let IssuerKeys::Remote(id) = &issuer.keys
            && let Some(until) = world.polled.want_newer(*id, received_at, world.now)
        {
            return Err(Stop::Wait(Await { on: Awaited::Document(*id), until }));
        }
        Err(invalid(match tried {
            0 if is_unknown => "token_key_unknown",
            0 => "token_key_does_not_fit",
            _ => "token_signature_wrong",
        }))
    }
}

fn invalid(reason: &'static str) -> Stop {
    Stop::Refuse(Rejection::new(Kind::InvalidToken, reason))
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Stop {
        Stop::Refuse(rejection)
    }
}

/// A token is checked with so many keys at the most, when it or they have no `kid`: each try costs as much as a real check.
const MOST_KEYS_TRIED: usize = 4;
