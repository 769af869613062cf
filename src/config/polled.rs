//! Reads where a document is that is polled, and how often; key sets say the same in words of their own.

use std::time::Duration;

use super::problem::At;
use super::reader::{Field, Fields};
use super::url::Url;

/// Where a polled document is, and how it is polled.
#[derive(Clone, Debug)]
pub struct PolledFrom {
    /// Its address.
    pub uri: At<Url>,
    /// The Envoy cluster it is fetched through.
    pub cluster: String,
    /// How long after one fetch the next begins.
    pub poll: Duration,
    /// How long beyond that it still serves while fetching fails.
    pub stale_for: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// How long a request may wait for the first fetch.
    pub wait: Duration,
}

impl PolledFrom {
    /// Reads the keys of a polled document out of a section; none where it has no `uri`.
    pub(super) fn read(fields: &Fields<'_>) -> Option<PolledFrom> {
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
                fields.problem("`uri` is missing: a cluster leads to an address");
                None
            }
            (Some(uri), _) => uri.url(),
        };
        if cluster.is_none() {
            fields.problem("`cluster` is missing");
        }
        let cluster = cluster.and_then(|f| f.text());
        // The next fetch begins up to a tenth late and takes its time: a document must serve that long.
        let least = poll / 10 + timeout;
        if stale_for < least {
            let millis = least.as_millis();
            fields
                .problem(format!("`stale_for` is shorter than {millis} ms, a tenth of `poll` and `timeout` together"));
        }
        Some(PolledFrom { uri: uri?, cluster: cluster?, poll, stale_for, timeout, wait })
    }
}

fn span_within(field: &Field<'_>, least: Duration, most: Duration) -> Option<Duration> {
    let found = field.duration()?;
    if !(least..=most).contains(&found) {
        let (least, most) = (least.as_millis(), most.as_secs());
        field.problem(format!("is not within the {least} ms to {most} s accepted here"));
        return None;
    }
    Some(found)
}

const MOST: Duration = Duration::from_secs(7 * 86_400);
