//! Reads the attributes of a request and its caller for conditions.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::condition::{Attributes, ClientAttributes, Occurrences};
use crate::config::header_name::is_same_cgi_variable;
use crate::policy::credentials::caller::Caller;
use crate::policy::credentials::client::Client;
use crate::policy::request::Request;
use crate::policy::request::guard::{ParameterNameMatch, SafePath, parameters};
use crate::policy::request::peer::Peer;
use crate::policy::request::route::Params;

/// The data of a request that conditions can read, except its caller.
#[derive(Clone, Copy)]
pub struct Circumstances<'c> {
    /// The request.
    pub request: &'c Request<'c>,
    /// Its host without the port.
    pub host: &'c str,
    /// Its path and query.
    pub target: &'c SafePath<'c>,
    /// The values of the path's parameters; `None` on a public path without a route.
    pub params: Option<Params<'c, 'c>>,
    /// The peer of the connection.
    pub peer: &'c dyn Peer,
    /// The time since the Unix epoch.
    pub now: Duration,
}

/// A caller and the circumstances of its request.
#[derive(Clone, Copy)]
pub struct Facts<'c> {
    /// The caller's claims; null without a token.
    pub claims: &'c Value,
    /// The caller's entry in the client directory.
    pub client: Option<&'c Client>,
    /// The circumstances.
    pub circumstances: &'c Circumstances<'c>,
}

impl<'c> Facts<'c> {
    /// Returns the facts about this caller.
    pub fn of(caller: Option<&'c Caller>, circumstances: &'c Circumstances<'c>) -> Facts<'c> {
        let claims = caller.map_or(&Value::Null, |known| &known.claims);
        Facts { claims, client: caller.and_then(|known| known.client.as_deref()), circumstances }
    }
}

impl Attributes for Facts<'_> {
    fn claims(&self) -> &Value {
        self.claims
    }

    fn client(&self) -> Option<ClientAttributes<'_>> {
        self.client.map(|client| ClientAttributes {
            id: &client.id,
            owner: &client.owner,
            plan: client.plan.as_deref(),
            environment: client.environment.as_deref(),
            tags: &client.tags,
        })
    }

    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.circumstances.params?.get(name)
    }

    fn header(&self, name: &str) -> Occurrences<'_> {
        let mut found = Occurrences::default();
        for (sent, value) in self.circumstances.request.headers {
            if *sent == name.as_bytes() {
                found.add(std::str::from_utf8(value).ok().map(Cow::Borrowed));
            } else if is_same_cgi_variable(sent, name) {
                found.add_respelled();
            }
        }
        found
    }

    fn query(&self, name: &str) -> Occurrences<'_> {
        let mut found = Occurrences::default();
        for parameter in parameters(self.circumstances.target.query().unwrap_or_default()) {
            match parameter.naming(name) {
                ParameterNameMatch::Exact => found.add(parameter.value),
                ParameterNameMatch::Respelled => found.add_respelled(),
                ParameterNameMatch::Other => {}
            }
        }
        found
    }

    fn method(&self) -> &str {
        self.circumstances.request.method
    }

    fn host(&self) -> &str {
        self.circumstances.host
    }

    fn path(&self) -> &str {
        self.circumstances.target.path()
    }

    fn address(&self) -> Option<IpAddr> {
        self.circumstances.peer.address()
    }

    fn now(&self) -> Duration {
        self.circumstances.now
    }
}
