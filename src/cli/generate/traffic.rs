//! How much the gateway takes on at a time, and how long it waits for its clients.

use std::time::Duration;

use clap::{Args, value_parser};

use crate::cli::clock;

/// Bounds on connections, requests, memory and time.
#[derive(Args)]
pub struct Traffic {
    /// The heap beyond which new requests are refused, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..))]
    pub max_heap_mib: u64,
    /// How many client connections may be open at a time
    #[arg(long, value_name = "COUNT", default_value_t = 50_000, value_parser = value_parser!(u64).range(1..))]
    pub max_connections: u64,
    /// How many requests an HTTP/2 connection may have open at a time
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..=MOST_STREAMS))]
    pub max_streams: u32,
    /// How many requests each upstream may have open at a time; over HTTP/1, this is also the number of connections
    #[arg(long, value_name = "COUNT", default_value_t = 8192, value_parser = value_parser!(u32).range(1..))]
    pub upstream_max_requests: u32,
    /// How long a client may take to send a request; by default 60s if a route holds bodies back, else 300s
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    request_timeout: Option<Duration>,
    /// How long a request or a WebSocket may go without a byte in either direction
    #[arg(long, value_name = "SPAN", default_value = "300s", value_parser = timeout)]
    idle_timeout: Duration,
}

impl Traffic {
    /// The time for a whole request. A body that is held back fills memory until it has arrived, and has to arrive sooner.
    pub fn request_timeout(&self, holds_bodies: bool) -> String {
        seconds(self.request_timeout.unwrap_or(if holds_bodies { HELD } else { STREAMED }))
    }

    /// The time without a byte.
    pub fn idle_timeout(&self) -> String {
        seconds(self.idle_timeout)
    }

    /// The same when memory is short.
    pub fn least_idle_timeout(&self) -> String {
        seconds(self.idle_timeout.min(LEAST_IDLE))
    }
}

/// Envoy takes a timeout of 0 for none.
fn timeout(text: &str) -> Result<Duration, String> {
    let span = clock::parse_span(text)?;
    match (LEAST..=MOST).contains(&span) {
        true => Ok(span),
        false => Err("expected a span of time between 1s and 30d".to_string()),
    }
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs())
}

/// Envoy takes no larger number of streams (RFC 9113 §5.1.1).
const MOST_STREAMS: i64 = 0x7fff_ffff;
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30 * 86_400);
const HELD: Duration = Duration::from_secs(60);
const STREAMED: Duration = Duration::from_secs(300);
/// As long as an upstream may take by default, so that requests which wait for it are not ended before.
const LEAST_IDLE: Duration = Duration::from_secs(15);
