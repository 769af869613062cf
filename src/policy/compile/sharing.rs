//! Compiles the limits that a rate limit service counts.

use std::sync::Arc;
use std::time::Duration;

use crate::config::document::Document;
use crate::config::limit::{CountStore, CountedEvents, LimitSettings};
use crate::config::problem::Problems;
use crate::policy::limits::rate_limit::Sharing;
use crate::policy::limits::rate_limit_client::{LeaseTerms, Service, SharedLimit};

/// The rate limit service, and the timeout of its calls; `None` if the document has no service.
pub(super) struct SharedLimits(Option<(Arc<Service>, Duration)>);

impl SharedLimits {
    pub(super) fn of(document: &Document) -> SharedLimits {
        SharedLimits(document.rate_limit_service.as_ref().map(|service| {
            let (cluster, domain) = (service.cluster.value.clone(), service.domain.clone());
            (Arc::new(Service { cluster, domain }), service.timeout)
        }))
    }

    /// Returns how a limit is shared; `None` if each proxy counts it separately.
    pub(super) fn sharing(&self, limit: &LimitSettings, problems: &mut Problems) -> Option<Sharing> {
        let CountStore::Global(shared) = &limit.store else { return None };
        if limit.counts == CountedEvents::FailedAuthentications {
            problems.add(&limit.place, "a rate limit service counts only requests: remove `store: global` from this limit of failed authentications");
        }
        let Some((service, timeout)) = &self.0 else {
            problems.add(&limit.place, "`store: global` needs a `rate_limit_service`, and the document has none");
            return None;
        };
        let terms = LeaseTerms { most: shared.most, span: shared.lasting, timeout: *timeout };
        let limit = Arc::new(SharedLimit { service: service.clone(), terms });
        Some(Sharing { limit, on_failure: shared.on_failure })
    }
}
