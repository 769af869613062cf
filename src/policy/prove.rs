//! Which credentials a route asks for, and whom those in the request prove. What is sent and does not hold ends the request.

use std::rc::Rc;

use super::Policy;
use super::authenticate::{Authenticator, Stop};
use super::authorize::Requirements;
use super::caller::{Caller, Callers, Proof};
use super::credential;
use super::cross_origin;
use super::exchange::Exchange;
use super::guard::{Host, SafePath};
use super::rejection::{Kind, Rejection};
use super::request::{Request, RequestParts};
use super::rule::Rule;
use super::world::World;
use crate::config::auth::{Auth, CredentialKind};
use crate::config::document::TokenSource;

/// One request, and the route that takes it.
#[derive(Clone, Copy)]
pub(super) struct Presented<'p, 'r> {
    pub(super) rule: &'p Rule,
    pub(super) parts: &'p RequestParts<'r>,
    pub(super) request: &'p Request<'r>,
    pub(super) target: &'p SafePath<'r>,
    pub(super) host: &'p Host<'p>,
}

impl Policy {
    /// Those whom the request proves: nobody where nobody is asked, or nothing was sent. A credential that the route takes and
    /// that is present and bad always refuses: another one beside it does not make it good.
    pub(super) fn prove(
        &self,
        requirements: &Requirements,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Option<Callers>, Stop> {
        let auth = &requirements.auth;
        let mut callers: Option<Callers> = None;
        for kind in auth.kinds() {
            let found = match kind {
                CredentialKind::Token => self.by_token(auth, presented, world, exchange)?,
                CredentialKind::ApiKey => self.by_key(presented, world, exchange)?,
                CredentialKind::Certificate => self.by_certificate(presented, world, exchange)?,
            };
            match (found, &mut callers) {
                (Some(caller), None) => {
                    exchange.note_caller(&caller);
                    self.not_revoked(&caller, presented, world, exchange)?;
                    self.refuse_foreign_page(&caller, presented, world)?;
                    callers = Some(Callers { first: caller, others: Vec::new() });
                }
                (Some(caller), Some(callers)) => {
                    exchange.note_witness(&caller);
                    self.not_revoked(&caller, presented, world, exchange)?;
                    self.refuse_foreign_page(&caller, presented, world)?;
                    callers.others.push(caller);
                }
                (None, _) if matches!(auth, Auth::AllOf(_)) => return Err(missing(auth, *kind).into()),
                (None, _) => {}
            }
        }
        Ok(callers)
    }

    /// Refuses a caller whose credential was revoked since it was issued.
    fn not_revoked(
        &self,
        caller: &Caller,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<(), Stop> {
        if let Some(revocation) = &self.revocation {
            let issuer = caller.token().and_then(|token| self.issuers.get(token.issuer));
            let issuer = issuer.map_or("", |issuer| issuer.issuer.as_str());
            exchange.audit.revocation_list = revocation.check(caller, issuer, presented.parts.received_at, world)?;
        }
        Ok(())
    }

    /// Refuses a caller whose cookie a browser attached to a request that a foreign page makes.
    fn refuse_foreign_page(
        &self,
        caller: &Caller,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
    ) -> Result<(), Rejection> {
        let Some(token) = caller.token() else { return Ok(()) };
        let is_cookie = matches!(self.sources.get(token.source), Some(TokenSource::Cookie(_)));
        let is_open = || self.issuers.get(token.issuer).is_some_and(|i| i.cross_origin.contains(&token.source));
        if !is_cookie || is_open() {
            return Ok(());
        }
        let cors = presented.rule.cors.as_deref();
        let finding = cross_origin::check(presented.request, presented.host, cors)?;
        world.note("authenticate", || format!("by a cookie: {finding}"));
        Ok(())
    }

    fn by_token(
        &self,
        auth: &Auth,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Option<Rc<Caller>>, Stop> {
        let Presented { rule, parts, request, target, .. } = presented;
        let found = credential::find(request, target.query(), &self.sources);
        let found = found.map_err(|rejection| rule.after_authentication(rejection.into(), parts, world))?;
        let Some(credential) = found else { return Ok(None) };
        let is_key = auth.takes(CredentialKind::ApiKey) && self.key_places.claims_bearer(&credential.token);
        if credential.bearer && is_key {
            return Ok(None);
        }
        rule.before_authentication(&credential.token, parts, world, exchange)?;
        let authenticator = Authenticator {
            issuers: &self.issuers,
            scopes: &self.scopes,
            permissions: &self.permissions,
            identity: &self.identity,
            clients: &self.clients,
        };
        let caller = authenticator.authenticate(&credential, parts.received_at, world);
        let caller = caller.map_err(|stop| rule.after_authentication(stop, parts, world))?;
        world.note("authenticate", || {
            let issuer = caller.issuer_name().map(|name| name.as_ref()).unwrap_or_default();
            let subject = caller.subject.as_deref().unwrap_or("without `sub`").escape_debug();
            format!("caller {subject} of issuer {issuer}")
        });
        Ok(Some(caller))
    }

    fn by_key(
        &self,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Option<Rc<Caller>>, Stop> {
        let found = self.key_places.find(presented.request, presented.target.query())?;
        let Some(key) = found else { return Ok(None) };
        let caller = self.clients.by_key(&key, presented.parts.received_at, world);
        presented.settle(caller, &key, world, exchange).map(Some)
    }

    fn by_certificate(
        &self,
        presented: Presented<'_, '_>,
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Option<Rc<Caller>>, Stop> {
        let Some(shown) = world.peer.certificate() else { return Ok(None) };
        let caller = self.clients.by_certificate(&shown, presented.parts.received_at, world);
        presented.settle(caller, &[], world, exchange).map(Some)
    }
}

impl Presented<'_, '_> {
    /// Counts a key or certificate that does not hold. One that does is no attempt at anything, whoever shares its address.
    fn settle(
        &self,
        caller: Result<Rc<Caller>, Stop>,
        shown: &[u8],
        world: &mut World<'_>,
        exchange: &mut Exchange<'_, '_>,
    ) -> Result<Rc<Caller>, Stop> {
        match caller {
            Ok(caller) => {
                note(&caller, world);
                Ok(caller)
            }
            Err(stop) => {
                self.rule.before_authentication(shown, self.parts, world, exchange)?;
                Err(self.rule.after_authentication(stop, self.parts, world))
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
    let kind_of_refusal = if auth.is_required() { Kind::MissingToken } else { Kind::MissingCredential };
    Rejection::new(
        kind_of_refusal,
        match kind {
            CredentialKind::Token => "token_missing",
            CredentialKind::ApiKey => "api_key_missing",
            CredentialKind::Certificate => "certificate_missing",
        },
    )
}
