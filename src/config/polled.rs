//! Reads the address and the poll interval of a polled document. The settings of key sets have the same meaning but other
//! names.

use std::time::Duration;

use super::problem::At;
use super::reader::Fields;
use super::schema_keys::clients_from as key;
use super::url::Url;

/// The address of a polled document and its polling settings.
#[derive(Clone, Debug)]
pub struct PolledSource {
    /// The address of the document.
    pub uri: At<Url>,
    /// The Envoy cluster through which the filter fetches the document.
    pub cluster: String,
    /// The time between two fetches.
    pub poll: Duration,
    /// How long the filter continues to use the document after `poll` while fetches fail.
    pub stale_for: Duration,
    /// The timeout of each fetch.
    pub timeout: Duration,
    /// The maximum time that a request waits for the first fetch.
    pub wait: Duration,
}

impl PolledSource {
    /// Reads the settings of a polled document from a section; `None` if `uri` is absent or invalid.
    pub(super) fn read(fields: &Fields<'_>) -> Option<PolledSource> {
        let uri = fields.get("uri");
        let cluster = fields.get("cluster");
        // The schema defines these keys once for all polled documents.
        let (poll, stale_for) = (fields.duration(&key::POLL), fields.duration(&key::STALE_FOR));
        let (timeout, wait) = (fields.duration(&key::TIMEOUT), fields.duration(&key::WAIT));
        let uri = match (&uri, &cluster) {
            (None, None) => return None,
            (None, Some(_)) => {
                fields.problem("`uri` is missing: a cluster needs an address");
                None
            }
            (Some(uri), _) => uri.url(),
        };
        if cluster.is_none() {
            fields.problem("`cluster` is missing");
        }
        let cluster = cluster.and_then(|f| f.text());
        // The next fetch can start a tenth of the interval late, and it can take as long as the timeout. The document must stay
        // usable until that fetch ends.
        let least = poll / 10 + timeout;
        if stale_for < least {
            let millis = least.as_millis();
            fields
                .problem(format!("`stale_for` is shorter than {millis} ms, a tenth of `poll` and `timeout` together"));
        }
        Some(PolledSource { uri: uri?, cluster: cluster?, poll, stale_for, timeout, wait })
    }
}
