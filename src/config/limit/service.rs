//! Reads `rate_limit_service`, and the settings of limits with `store: global`, which the service counts for several proxies.

use std::time::Duration;

use super::CountStore;
use crate::config::environment::Environment;
use crate::config::problem::At;
use crate::config::reader::{Field, Fields};
use crate::config::schema_keys::{lease, limit as key, rate_limit_service};
use crate::config::url::Url;

/// A service that counts requests for several proxies (`envoy.service.ratelimit.v3`).
#[derive(Clone, Debug)]
pub struct RateLimitService {
    /// The Envoy cluster through which the filter calls the service.
    pub cluster: At<String>,
    /// The address for the cluster that `generate envoy` writes; `None` if the Envoy configuration already defines the cluster.
    pub url: Option<At<Url>>,
    /// The domain that each request to the service contains. The service uses it to select its configuration.
    pub domain: String,
    /// The timeout of each call, and the maximum time that a request waits for it.
    pub timeout: Duration,
}

/// The settings of a limit with `store: global`: how the filter reserves hits, and what happens if a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSettings {
    /// The effect of a failed call on the requests that need the limit.
    pub on_failure: OnFailure,
    /// The maximum number of hits that one call reserves; `None` means a twentieth of the limit that the service reports.
    pub most: Option<u32>,
    /// The time for which a reservation should be enough at the current rate of requests.
    pub lasting: Duration,
}

/// The effect of a failed call to the rate limit service on the requests that need the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// This proxy counts the requests itself, with the allowance in the document.
    #[default]
    Local,
    /// The requests are allowed.
    Open,
    /// The requests are refused with 503.
    Closed,
}

impl RateLimitService {
    /// Reads the `rate_limit_service` section and replaces `$NAME` in the address with the value from `environment`.
    pub(in crate::config) fn read(field: &Field<'_>, environment: Environment<'_>) -> Option<RateLimitService> {
        let fields = field.fields()?;
        let cluster = fields.require("cluster").and_then(|f| f.text_at());
        let url = fields.get("url").and_then(|f| f.url_from(environment).map(|url| (f, url)));
        if let Some((field, _)) = url.as_ref().filter(|(_, url)| url.value.path != "/") {
            field.problem("the address of a gRPC service must not have a path");
        }
        let usual = rate_limit_service::DOMAIN;
        let domain = fields.get(usual.name).and_then(|f| f.text());
        let timeout = fields.duration(&rate_limit_service::TIMEOUT);
        fields.finish();
        Some(RateLimitService {
            cluster: cluster?,
            url: url.map(|(_, url)| url),
            domain: domain.unwrap_or_else(|| usual.default.to_string()),
            timeout,
        })
    }
}

/// Reads `store`, `on_failure` and `lease` of a limit.
pub(super) fn read_store(fields: &Fields<'_>) -> CountStore {
    let is_global = fields.word(&key::STORE, &[("local", false), ("global", true)]);
    let failure = fields.get(key::ON_FAILURE.name);
    let lease = fields.get("lease");
    if !is_global {
        for field in [failure, lease].iter().flatten() {
            field.problem("can be set only for a limit with `store: global`");
        }
        return CountStore::Local;
    }
    let words = [("local", OnFailure::Local), ("open", OnFailure::Open), ("closed", OnFailure::Closed)];
    let on_failure = fields.word(&key::ON_FAILURE, &words);
    let (most, lasting) = lease.and_then(|f| read_lease(&f)).unwrap_or((None, lease::LASTING.default));
    CountStore::Global(SharedSettings { on_failure, most, lasting })
}

fn read_lease(field: &Field<'_>) -> Option<(Option<u32>, Duration)> {
    let fields = field.fields()?;
    let most = fields.number_if_set(&lease::MOST).and_then(|n| u32::try_from(n.value).ok());
    let lasting = fields.duration(&lease::LASTING);
    fields.finish();
    Some((most, lasting))
}
