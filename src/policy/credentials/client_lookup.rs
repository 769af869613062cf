//! Looks up clients in the configuration document and in a polled client document.
//!
//! A polled document cannot redefine a client of the configuration document. So a lookup of an API key or a client id searches
//! the polled document only if the configuration document does not contain the key or the id. A lookup of a certificate searches
//! both. A lookup in the polled document waits for the first fetch, and refuses the request if the document is unavailable.

use std::sync::Arc;
use std::time::Duration;

use super::api_key::ApiKey;
use super::caller::Caller;
use super::client::Client;
use super::clients::{ClientDirectory, refused};
use crate::policy::polled::Availability;
use crate::policy::request::peer::Certificate;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};
use crate::policy::verdict::stop::Stop;
use crate::policy::verdict::wait::{Await, Awaited, PolledId};
use crate::policy::world::World;

/// The clients of a policy.
#[derive(Debug)]
pub struct Clients {
    /// The clients in the configuration document.
    pub(in crate::policy) own: Arc<ClientDirectory>,
    /// The polled document with more clients, if the policy polls one.
    pub(in crate::policy) polled: Option<PolledId>,
}

/// The client with an id, and the generation of the polled document. The generation is `None` if the polled document was not
/// used.
pub type FoundClient = (Option<Arc<Client>>, Option<u64>);

impl Clients {
    /// Returns the caller for a presented key.
    pub fn by_key(&self, presented: &[u8], received_at: Duration, world: &World<'_>) -> Result<Arc<Caller>, Stop> {
        let key = ApiKey::read(presented).map_err(refused)?;
        let directory = if self.own.has_key(&key) { None } else { self.polled(received_at, world)? };
        let directory = directory.as_ref().map_or(&self.own, |(directory, _)| directory);
        Ok(directory.by_key(&key, world.now)?)
    }

    /// Returns the caller for a verified certificate. Both documents are searched, because a certificate that matches two clients
    /// is refused.
    pub fn by_certificate(
        &self,
        shown: &Certificate,
        received_at: Duration,
        world: &World<'_>,
    ) -> Result<Arc<Caller>, Stop> {
        let polled = self.polled(received_at, world)?;
        let mut directories = vec![self.own.as_ref()];
        directories.extend(polled.as_ref().map(|(directory, _)| directory.as_ref()));
        Ok(ClientDirectory::by_certificate(&directories, shown, world.now)?)
    }

    /// Returns the client with this id, if a document lists the client.
    pub fn by_id(&self, id: &str, received_at: Duration, world: &World<'_>) -> Result<FoundClient, Stop> {
        if let Some(own) = self.own.client(id) {
            return Ok((Some(own.clone()), None));
        }
        let directory = self.polled(received_at, world)?;
        Ok(directory.map_or((None, None), |(directory, generation)| (directory.client(id).cloned(), Some(generation))))
    }

    /// Returns `true` if a lookup would still find the same client. `generation` is the generation of the polled document that
    /// the first lookup used; `None` if it did not use the document.
    pub fn finds_the_same(&self, generation: Option<u64>, world: &World<'_>) -> bool {
        generation.is_none() || self.polled.and_then(|id| world.polled.generation(id, world.now)) == generation
    }

    /// Returns the current polled document; `None` if the policy polls none.
    fn polled(&self, received_at: Duration, world: &World<'_>) -> Result<Option<(Arc<ClientDirectory>, u64)>, Stop> {
        let Some(id) = self.polled else { return Ok(None) };
        match world.polled.clients(id, received_at, world.now) {
            Availability::Usable(directory, generation) => Ok(Some((directory, generation))),
            Availability::Wait(until) => Err(Stop::Wait(Await { on: Awaited::Document(id), until })),
            Availability::Unavailable => {
                Err(Rejection::new(RejectionKind::AuthUnavailable, "clients_unavailable").into())
            }
        }
    }
}
