//! The attributes of a request, as the evaluation asks for them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::occurrences::Occurrences;

/// The attributes of one request. Each is read only when a condition needs it.
pub trait Attributes {
    /// Returns the claims of the token; null without a token.
    fn claims(&self) -> &Value;

    /// Returns the client; `None` if it is unknown.
    fn client(&self) -> Option<ClientAttributes<'_>>;

    /// Returns a parameter of the path, decoded.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Returns the occurrences of a header. The name is in lower case.
    fn header(&self, name: &str) -> Occurrences<'_>;

    /// Returns the occurrences of a query parameter.
    fn query(&self, name: &str) -> Occurrences<'_>;

    /// Returns the method.
    fn method(&self) -> &str;

    /// Returns the host without the port.
    fn host(&self) -> &str;

    /// Returns the normalized path.
    fn path(&self) -> &str;

    /// Returns the peer's address; `None` if it has none.
    fn address(&self) -> Option<IpAddr>;

    /// Returns the time since the Unix epoch.
    fn now(&self) -> Duration;
}

/// The attributes of a client in the client directory.
#[derive(Clone, Copy, Debug)]
pub struct ClientAttributes<'c> {
    /// Its id.
    pub id: &'c str,
    /// Its owner.
    pub owner: &'c str,
    /// Its plan.
    pub plan: Option<&'c str>,
    /// The environment in which it calls.
    pub environment: Option<&'c str>,
    /// Its tags.
    pub tags: &'c [Rc<str>],
}
