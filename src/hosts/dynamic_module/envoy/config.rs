//! Envoy's functions for one filter configuration, for the main thread.

#![expect(unsafe_code, reason = "Envoy uses raw pointers; each block explains why it is sound")]

use std::time::Duration;

use super::abi::{self, Buffer, ConfigPtr, Header, SchedulerPtr};
use super::{FUNCTIONS, NOTHING, buffer};

/// One filter configuration of Envoy, for the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyConfig(ConfigPtr);

/// Runs the hook for scheduled work of one configuration, on the main thread. Every thread may use it.
#[derive(Debug)]
pub struct ConfigScheduler(SchedulerPtr);

// SAFETY: Envoy documents that every thread may use schedulers. They stay valid until they are deleted, also after their
// configuration has ended.
unsafe impl Send for ConfigScheduler {}
// SAFETY: as above.
unsafe impl Sync for ConfigScheduler {}

impl EnvoyConfig {
    /// Wraps the pointer that Envoy passes to the hooks of a configuration.
    ///
    /// # Safety
    /// The pointer must be valid, and the result must not be used after Envoy has destroyed the configuration, or on another
    /// thread than the main thread.
    pub const unsafe fn new(pointer: ConfigPtr) -> EnvoyConfig {
        EnvoyConfig(pointer)
    }

    /// Defines a counter and returns its id; `None` if Envoy refuses it. Envoy accepts new counters only while it loads the
    /// configuration (envoy-facts §5.5).
    pub fn define_counter(self, name: &str, labels: &[&str]) -> Option<usize> {
        let envoy = FUNCTIONS.get()?;
        let labels: Vec<Buffer> = labels.iter().map(|label| buffer(label.as_bytes())).collect();
        let (name, mut id) = (buffer(name.as_bytes()), 0);
        // SAFETY: the configuration is valid, every buffer is a live slice that Envoy copies, and Envoy writes to the live `id`.
        let result = unsafe {
            (envoy.http_filter_config_define_counter)(self.0, name, labels.as_ptr(), labels.len(), &raw mut id)
        };
        (result == abi::METRIC_OK).then_some(id)
    }

    /// Increases a counter by one. Returns `false` if this Envoy cannot count outside of a stream (before 1.39).
    pub fn increment(self, counter: usize, labels: &[&str]) -> bool {
        let Some(increment) = FUNCTIONS.get().and_then(|envoy| envoy.http_filter_config_increment_counter) else {
            return false;
        };
        let labels: Vec<Buffer> = labels.iter().map(|label| buffer(label.as_bytes())).collect();
        // SAFETY: the configuration is valid, and every buffer is a live slice; Envoy copies the bytes.
        unsafe { increment(self.0, counter, labels.as_ptr(), labels.len(), 1) == abi::METRIC_OK }
    }

    /// Starts an HTTP call through a cluster and returns its id. Returns `None` if Envoy cannot start it: the cluster does not
    /// exist, has no healthy endpoint, or has too many calls (envoy-facts §5.7).
    pub fn call(self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout: Duration) -> Option<u64> {
        let envoy = FUNCTIONS.get()?;
        let header =
            |(name, value): &(&str, &str)| Header { name: buffer(name.as_bytes()), value: buffer(value.as_bytes()) };
        let headers: Vec<Header> = headers.iter().map(header).collect();
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let body = if body.is_empty() { NOTHING } else { buffer(body) };
        let (cluster, mut id) = (buffer(cluster.as_bytes()), 0);
        // SAFETY: the configuration is valid, every buffer is a live slice that Envoy copies, and Envoy writes to the live `id`.
        let result = unsafe {
            let call = envoy.http_filter_config_http_callout;
            call(self.0, &raw mut id, cluster, headers.as_ptr(), headers.len(), body, millis)
        };
        (result == abi::CALLOUT_STARTED).then_some(id)
    }

    /// Creates a scheduler for this configuration.
    pub fn scheduler(self) -> Option<ConfigScheduler> {
        let envoy = FUNCTIONS.get()?;
        // SAFETY: the configuration is valid.
        let scheduler = unsafe { (envoy.http_filter_config_scheduler_new)(self.0) };
        (!scheduler.is_null()).then_some(ConfigScheduler(scheduler))
    }
}

impl ConfigScheduler {
    /// Runs the hook for scheduled work of the configuration soon, on the main thread, with the number `event`.
    pub fn commit(&self, event: u64) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: the scheduler is deleted only when this value is dropped.
            unsafe { (envoy.http_filter_config_scheduler_commit)(self.0, event) };
        }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        if let Some(envoy) = FUNCTIONS.get() {
            // SAFETY: this value owns the scheduler.
            unsafe { (envoy.http_filter_config_scheduler_delete)(self.0) };
        }
    }
}
