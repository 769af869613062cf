//! The options of `generate envoy` that limit connections, requests, memory, and the time that Envoy waits for clients.

use std::time::Duration;

use clap::{Args, value_parser};

use crate::cli::clock;

/// Limits on connections, requests, memory and time.
#[derive(Args)]
pub struct TrafficOptions {
    /// The heap size in MiB above which new requests are refused
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..))]
    pub max_heap_mib: u64,
    /// The maximum number of open client connections
    #[arg(long, value_name = "COUNT", default_value_t = 50_000, value_parser = value_parser!(u64).range(1..))]
    pub max_connections: u64,
    /// The maximum number of open requests on an HTTP/2 connection
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..=MAX_STREAMS))]
    pub max_streams: u32,
    /// The maximum number of open requests to each upstream; over HTTP/1, also the maximum number of connections
    #[arg(long, value_name = "COUNT", default_value_t = 8192, value_parser = value_parser!(u32).range(1..))]
    pub upstream_max_requests: u32,
    /// The maximum time that a client can take to send a whole request; by default 60s if the filter checks or maps bodies, else
    /// 300s
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    request_timeout: Option<Duration>,
    /// The maximum time without a byte in either direction, for requests and WebSockets
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = timeout)]
    idle_timeout: Duration,
}

impl TrafficOptions {
    /// Returns the timeout of a whole request. The default is shorter if Envoy holds bodies for the filter, because held bodies
    /// occupy memory.
    pub fn request_timeout(&self, holds_bodies: bool) -> String {
        seconds(self.request_timeout.unwrap_or(if holds_bodies { HELD } else { STREAMED }))
    }

    /// Returns the idle timeout in Envoy's format, such as `300s`.
    pub fn idle_timeout(&self) -> String {
        seconds(self.idle_timeout)
    }

    /// Returns the shortest idle timeout, which Envoy uses when memory is nearly exhausted.
    pub fn least_idle_timeout(&self) -> String {
        seconds(self.idle_timeout.min(LEAST_IDLE))
    }
}

/// Parses a timeout of at least one second, because Envoy treats 0 as no timeout.
fn timeout(text: &str) -> Result<Duration, String> {
    let span = clock::parse_span(text)?;
    match (LEAST..=MOST).contains(&span) {
        true => Ok(span),
        false => Err("expected a duration between 1s and 30d".to_string()),
    }
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs())
}

/// The maximum number of streams that Envoy accepts (RFC 9113 §5.1.1).
const MAX_STREAMS: i64 = 0x7fff_ffff;
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30 * 86_400);
const HELD: Duration = Duration::from_secs(60);
const STREAMED: Duration = Duration::from_secs(300);
/// The shortest idle timeout equals the upstream timeout of 15 seconds in `listener.rs`. A shorter idle timeout would end
/// requests before their upstream timeout.
const LEAST_IDLE: Duration = Duration::from_secs(15);
