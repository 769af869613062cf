//! Reads the address and the polling settings of a polled document: the clients of `clients_from`, or the list of `revocation`.

use std::time::Duration;

use super::problem::At;
use super::reader::Fields;
use super::schema_keys::clients_from as key;
use super::url::Url;

/// The address of a polled document and its polling settings. Key sets have their own settings,
/// [`RemoteKeys`](super::document::RemoteKeys).
#[derive(Clone, Debug)]
pub struct PolledSource {
    /// The address of the document.
    pub uri: At<Url>,
    /// The Envoy cluster through which the filter fetches the document.
    pub cluster: String,
    /// The time from the end of one fetch to the start of the next fetch. The filter adds up to a tenth of this time, so that
    /// proxies that started together do not always fetch together.
    pub poll: Duration,
    /// How long the filter continues to use the document after `poll` while fetches fail.
    pub stale_for: Duration,
    /// The timeout of each fetch.
    pub timeout: Duration,
    /// The maximum time that a request waits while the document is missing or too old.
    pub wait: Duration,
}

impl PolledSource {
    /// Reads the settings of a polled document from a section. Returns `None` if `uri` or `cluster` is absent or invalid.
    pub(super) fn read(fields: &Fields<'_>) -> Option<PolledSource> {
        let uri = fields.get("uri");
        let cluster = fields.get("cluster");
        // In `docs/gateway.schema.json`, the polling keys of `revocation` refer to the same keys of `clients_from`, so both
        // sections have the same defaults and bounds.
        let (poll, stale_for) = (fields.duration(&key::POLL), fields.duration(&key::STALE_FOR));
        let (timeout, wait) = (fields.duration(&key::TIMEOUT), fields.duration(&key::WAIT));
        let uri = match (&uri, &cluster) {
            (None, None) => return None,
            (None, Some(_)) => {
                fields.problem("`uri` is missing: `cluster` is set, but the address of the document is not");
                None
            }
            (Some(uri), _) => uri.url(),
        };
        if cluster.is_none() {
            fields.problem("`cluster` is missing: set it to the Envoy cluster through which the filter fetches `uri`");
        }
        let cluster = cluster.and_then(|f| f.text());
        // The next fetch can start up to a tenth of `poll` late, and it can take as long as `timeout`. The document must stay
        // usable until that fetch ends.
        let least = poll / 10 + timeout;
        if stale_for < least {
            let millis = least.as_millis();
            fields.problem(format!("`stale_for` must be at least {millis} ms: a tenth of `poll`, plus `timeout`"));
        }
        Some(PolledSource { uri: uri?, cluster: cluster?, poll, stale_for, timeout, wait })
    }
}
