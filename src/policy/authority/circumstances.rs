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

/// The attributes of a request that conditions can read, without the attributes of the caller.
#[derive(Clone, Copy)]
pub struct Circumstances<'c> {
    /// The parsed request. Conditions can read its method and its headers.
    pub request: &'c Request<'c>,
    /// The request's host in the normalized form of the guard, without the port.
    pub host: &'c str,
    /// The request's path and query, as validated by the guard.
    pub target: &'c SafePath<'c>,
    /// The values of the path parameters; `None` if the request matches a public path but no route.
    pub params: Option<Params<'c, 'c>>,
    /// The peer of the connection. Conditions can read its address.
    pub peer: &'c dyn Peer,
    /// The current time, since the Unix epoch.
    pub now: Duration,
}

/// All attributes that conditions can read: the attributes of the caller and of the request.
#[derive(Clone, Copy)]
pub struct Facts<'c> {
    /// The claims of the caller's token; null without a token.
    pub claims: &'c Value,
    /// The caller's entry in the client directory; `None` without an entry.
    pub client: Option<&'c Client>,
    /// The attributes of the request.
    pub circumstances: &'c Circumstances<'c>,
}

impl<'c> Facts<'c> {
    /// Combines a caller with the circumstances of the request. `caller` is `None` for an anonymous request.
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
