//! Sends thousands of concurrent requests, which keep a worker busy for longer than the timeout of the rate limit service.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_harness::client::Request;
use test_harness::{ports, server};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Sends `request` concurrently on [`STREAMS`] streams of each connection. Returns the number of responses for each status.
pub fn burst(port: u16, request: &Request) -> Result<BTreeMap<u16, usize>> {
    // The timer must be created inside the runtime.
    server::runtime()?.block_on(async { tokio::time::timeout(PATIENCE, send(port, request)).await })?
}

async fn send(port: u16, request: &Request) -> Result<BTreeMap<u16, usize>> {
    let target = format!("http://api.example.com{}", String::from_utf8_lossy(&request.target));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(ports::loopback(port)).await?;
        let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        clients.push(client);
    }
    let mut sent = JoinSet::new();
    for client in &mut clients {
        for _ in 0..STREAMS {
            let mut builder = hyper::Request::get(&target);
            for (name, value) in request.headers.iter().filter(|(name, _)| name != b"host") {
                builder = builder.header(name.as_slice(), value.as_slice());
            }
            client.ready().await?;
            sent.spawn(client.send_request(builder.body(String::new())?));
        }
    }
    let mut statuses = BTreeMap::new();
    while let Some(answer) = sent.join_next().await {
        *statuses.entry(answer??.status().as_u16()).or_default() += 1;
    }
    Ok(statuses)
}

/// Together, these connections send more requests than two workers can hold. There are few connections with many requests each,
/// because the number of open files is limited.
const CONNECTIONS: usize = 60;
const STREAMS: usize = 90;
const PATIENCE: Duration = Duration::from_secs(30);
