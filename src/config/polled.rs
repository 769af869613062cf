//! Reads the address and the interval of a polled document; key sets have their own keys for the same settings.

use std::time::Duration;

use super::problem::At;
use super::reader::{Field, Fields};
use super::url::Url;

/// The address of a polled document and its polling settings.
#[derive(Clone, Debug)]
pub struct PolledSource {
    /// Its address.
    pub uri: At<Url>,
    /// The Envoy cluster it is fetched through.
    pub cluster: String,
    /// The time from one fetch to the next.
    pub poll: Duration,
    /// How long after that the document is still used while fetches fail.
    pub stale_for: Duration,
    /// The timeout of one fetch.
    pub timeout: Duration,
    /// How long a request may wait for the first fetch.
    pub wait: Duration,
}

impl PolledSource {
    /// Reads the keys of a polled document from a section; `None` if `uri` is absent.
    pub(super) fn read(fields: &Fields<'_>) -> Option<PolledSource> {
        let uri = fields.get("uri");
        let cluster = fields.get("cluster");
        let span = |key, default, least: Duration| {
            let field = fields.get(key);
            field.and_then(|f| span_within(&f, least, MOST)).unwrap_or(default)
        };
        let poll = span("poll", Duration::from_secs(30), Duration::from_secs(1));
        let stale_for = span("stale_for", Duration::from_secs(600), Duration::ZERO);
        let timeout = span("timeout", Duration::from_secs(5), Duration::from_millis(10));
        let wait = span("wait", Duration::from_secs(5), Duration::ZERO);
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
        // The next fetch starts up to a tenth late and takes time; a document must stay usable until then.
        let least = poll / 10 + timeout;
        if stale_for < least {
            let millis = least.as_millis();
            fields
                .problem(format!("`stale_for` is shorter than {millis} ms, a tenth of `poll` and `timeout` together"));
        }
        Some(PolledSource { uri: uri?, cluster: cluster?, poll, stale_for, timeout, wait })
    }
}

fn span_within(field: &Field<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let found = field.duration()?;
    if !(least..=most).contains(&found) {
        let (least, most) = (least.as_millis(), most.as_secs());
        field.problem(format!("is not between {least} ms and {most} s"));
        return None;
    }
    Some(found)
}

const MOST: Duration = Duration::from_secs(7 * 86_400);
