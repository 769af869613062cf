//! The attributes of a request that the evaluation of a condition can read.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::occurrences::Occurrences;

/// The attributes of one request. The evaluation reads an attribute only when a condition needs it.
pub trait Attributes {
    /// Returns the claims of the token; null without a token.
    fn claims(&self) -> &Value;

    /// Returns the attributes of the client; `None` if the client directory has no entry for the caller.
    fn client(&self) -> Option<ClientAttributes<'_>>;

    /// Returns the percent-decoded value of a path parameter; `None` if the matched route has no parameter with this name.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Returns the occurrences of a header. `name` must be in lower case.
    fn header(&self, name: &str) -> Occurrences<'_>;

    /// Returns the occurrences of a query parameter.
    fn query(&self, name: &str) -> Occurrences<'_>;

    /// Returns the request method, as sent by the client.
    fn method(&self) -> &str;

    /// Returns the host without the port.
    fn host(&self) -> &str;

    /// Returns the normalized path.
    fn path(&self) -> &str;

    /// Returns the peer's IP address; `None` if the peer has no IP address.
    fn address(&self) -> Option<IpAddr>;

    /// Returns the current time, since the Unix epoch.
    fn now(&self) -> Duration;
}

/// The attributes of a client's entry in the client directory.
#[derive(Clone, Copy, Debug)]
pub struct ClientAttributes<'c> {
    /// The client's id in the directory.
    pub id: &'c str,
    /// The person or team responsible for the client.
    pub owner: &'c str,
    /// The client's plan; `None` if the client has none.
    pub plan: Option<&'c str>,
    /// The gateway's environment, from `environment` in the document; `None` if the document sets none.
    pub environment: Option<&'c str>,
    /// The client's tags.
    pub tags: &'c [Arc<str>],
}
