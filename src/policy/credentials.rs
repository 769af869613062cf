//! Verifies the credentials of a request, except credentials of a kind that the route does not accept.
//!
//! If a credential of an accepted kind is invalid, the request is refused, even if another credential is valid.

pub mod algorithm;
pub mod api_key;
pub mod caller;
pub mod client;
pub mod client_lookup;
pub mod clients;
pub(super) mod cross_origin;
pub(super) mod footprint;
pub mod issuer;
pub mod jwks;
pub(super) mod query_secrets;
pub mod revocation;
pub mod revocation_list;
pub mod signature;
pub mod token;
pub mod token_cache;
pub mod token_places;
pub mod verify_token;

use std::sync::Arc;

use super::authority::authorize::Requirements;
use super::authority::identity::IdentityHeaders;
use super::authority::permission::PermissionRegistry;
use super::authority::scopes::ScopeRegistry;
use super::limits::{after_authentication, before_authentication};
use super::pipeline::progress::Progress;
use super::pipeline::rule::Rule;
use super::request::guard::{RequestHost, SafePath};
use super::request::{Request, RequestParts};
use super::verdict::rejection::{Rejection, RejectionKind};
use super::verdict::stop::Stop;
use super::world::World;
use crate::config::auth::{Auth, CredentialKind};
use crate::config::document::TokenSource;
use api_key::KeyPlaces;
use caller::{Caller, Callers, Proof};
use client_lookup::Clients;
use issuer::Issuer;
use revocation::Revocation;
use verify_token::Authenticator;

/// The credentials that a policy accepts, and the data to verify them.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) issuers: Arc<[Issuer]>,
    /// The places in a request that may contain tokens.
    pub(super) token_sources: Vec<TokenSource>,
    pub(super) key_places: KeyPlaces,
    pub(super) clients: Clients,
    pub(super) revocation: Option<Revocation>,
    pub(super) scopes: Arc<ScopeRegistry>,
    pub(super) permissions: Arc<PermissionRegistry>,
    pub(super) identity: Arc<IdentityHeaders>,
}

/// The parts of a request and of its route that authentication needs.
#[derive(Clone, Copy)]
pub(super) struct AuthenticationInput<'p, 'r> {
    pub(super) rule: &'p Rule,
    pub(super) parts: &'p RequestParts<'r>,
    pub(super) request: &'p Request<'r>,
    pub(super) target: &'p SafePath<'r>,
    pub(super) host: &'p RequestHost<'p>,
}

impl Credentials {
    /// Verifies all credentials of the kinds that the route accepts. Returns `None` if the route accepts no credentials or the
    /// request has none. Refuses the request if one credential is invalid, or if the route requires several kinds (`all_of`) and
    /// one is missing.
    pub(super) fn verify(
        &self,
        requirements: &Requirements,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Callers>, Stop> {
        let auth = &requirements.auth;
        let mut callers: Option<Callers> = None;
        for kind in auth.kinds() {
            let found = match kind {
                CredentialKind::Token => self.by_token(auth, presented, world, progress)?,
                CredentialKind::ApiKey => self.by_key(presented, world, progress)?,
                CredentialKind::Certificate => self.by_certificate(presented, world, progress)?,
            };
            let Some(caller) = found else {
                if matches!(auth, Auth::AllOf(_)) {
                    return Err(missing(auth, *kind).into());
                }
                continue;
            };
            progress.note_caller(&caller);
            self.not_revoked(&caller, presented, world, progress)?;
            self.refuse_foreign_page(&caller, presented, world)?;
            match &mut callers {
                None => callers = Some(Callers { first: caller, others: Vec::new() }),
                Some(callers) => callers.others.push(caller),
            }
        }
        Ok(callers)
    }

    /// Refuses a caller whose credential is revoked.
    fn not_revoked(
        &self,
        caller: &Caller,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<(), Stop> {
        if let Some(revocation) = &self.revocation {
            let issuer = caller.token().and_then(|token| self.issuers.get(token.issuer));
            let issuer = issuer.map_or("", |issuer| issuer.issuer.as_str());
            progress.audit.revocation_list = revocation.check(caller, issuer, presented.parts.received_at, world)?;
        }
        Ok(())
    }

    /// If the caller's token is in a cookie, refuses a request that a page of another origin has caused. A browser attaches
    /// cookies to such a request even if the user did not intend it.
    fn refuse_foreign_page(
        &self,
        caller: &Caller,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
    ) -> Result<(), Rejection> {
        let Some(token) = caller.token() else { return Ok(()) };
        let is_cookie = matches!(self.token_sources.get(token.source), Some(TokenSource::Cookie(_)));
        let is_open = || self.issuers.get(token.issuer).is_some_and(|i| i.cross_origin.contains(&token.source));
        if !is_cookie || is_open() {
            return Ok(());
        }
        let cors = presented.rule.cors.as_deref();
        let finding = cross_origin::check(presented.request, presented.host, cors)?;
        world.note("authenticate", || format!("the token is in a cookie: {finding}"));
        Ok(())
    }

    fn by_token(
        &self,
        auth: &Auth,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Arc<Caller>>, Stop> {
        let AuthenticationInput { rule, parts, request, target, .. } = presented;
        let found = token_places::find(request, target.query(), &self.token_sources);
        let found = found.map_err(|rejection| after_authentication(rule, rejection.into(), parts, world))?;
        let Some(credential) = found else { return Ok(None) };
        let is_key = auth.takes(CredentialKind::ApiKey) && self.key_places.claims_bearer(&credential.token);
        if credential.bearer && is_key {
            return Ok(None);
        }
        before_authentication(rule, &credential.token, parts, world, progress)?;
        let authenticator = Authenticator {
            issuers: &self.issuers,
            scopes: &self.scopes,
            permissions: &self.permissions,
            identity: &self.identity,
            clients: &self.clients,
        };
        let caller = authenticator.authenticate(&credential, parts.received_at, world);
        let caller = caller.map_err(|stop| after_authentication(rule, stop, parts, world))?;
        world.note("authenticate", || {
            let issuer = caller.issuer_name().map(|name| name.as_ref()).unwrap_or_default();
            let subject = caller.subject.as_deref().unwrap_or("without `sub`").escape_debug();
            format!("caller {subject} of issuer {issuer}")
        });
        Ok(Some(caller))
    }

    fn by_key(
        &self,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Arc<Caller>>, Stop> {
        let found = self.key_places.find(presented.request, presented.target.query())?;
        let Some(key) = found else { return Ok(None) };
        let caller = self.clients.by_key(&key, presented.parts.received_at, world);
        presented.settle(caller, &key, world, progress).map(Some)
    }

    fn by_certificate(
        &self,
        presented: AuthenticationInput<'_, '_>,
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Arc<Caller>>, Stop> {
        let Some(shown) = world.peer.certificate() else { return Ok(None) };
        let caller = self.clients.by_certificate(&shown, presented.parts.received_at, world);
        presented.settle(caller, &[], world, progress).map(Some)
    }
}

impl AuthenticationInput<'_, '_> {
    /// Counts an invalid key or certificate as a failed authentication. If a limit for failed authentications is already
    /// exhausted, counts nothing, and returns the refusal of this limit instead of the refusal of the credential. A valid
    /// credential is always accepted, even after many failures from the same address.
    fn settle(
        &self,
        caller: Result<Arc<Caller>, Stop>,
        shown: &[u8],
        world: &mut World<'_>,
        progress: &mut Progress,
    ) -> Result<Arc<Caller>, Stop> {
        match caller {
            Ok(caller) => {
                note(&caller, world);
                Ok(caller)
            }
            Err(stop) => {
                before_authentication(self.rule, shown, self.parts, world, progress)?;
                Err(after_authentication(self.rule, stop, self.parts, world))
            }
        }
    }
}

fn note(caller: &Caller, world: &mut World<'_>) {
    world.note("authenticate", || {
        let client = caller.client_id.as_deref().unwrap_or_default();
        match &caller.proof {
            Proof::ApiKey(key) => format!("client {client} by its key {key}"),
            Proof::Token(_) | Proof::Certificate => format!("client {client} by its certificate"),
        }
    });
}

fn missing(auth: &Auth, kind: CredentialKind) -> Rejection {
    let kind_of_refusal =
        if auth.is_required() { RejectionKind::MissingToken } else { RejectionKind::MissingCredential };
    Rejection::new(
        kind_of_refusal,
        match kind {
            CredentialKind::Token => "token_missing",
            CredentialKind::ApiKey => "api_key_missing",
            CredentialKind::Certificate => "certificate_missing",
        },
    )
}
