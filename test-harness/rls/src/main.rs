//! The rate limit service of the tests, which prints `ready` at the start and then one line for each call.

mod faults;
mod service;
mod storage;

use std::sync::Arc;

use anyhow::{Context, Result};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use limitador::AsyncRateLimiter;
use limitador::limit::Limit;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use faults::Faults;
use service::Service;
use storage::RedisStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, limits, redis] = arguments.as_slice() else {
        anyhow::bail!("usage: rls ADDRESS LIMITS.json REDIS_URL");
    };
    let text = std::fs::read_to_string(limits).with_context(|| format!("cannot read {limits}"))?;
    let limits: Vec<Limit> = serde_json::from_str(&text).with_context(|| format!("{limits} has no valid limits"))?;
    let limiter = AsyncRateLimiter::new_with_storage(Box::new(RedisStorage::new(redis)?));
    for limit in limits {
        limiter.add_limit(limit);
    }
    let faults = Arc::new(Faults::default());
    let service = RateLimitServiceServer::new(Service::new(limiter, faults.clone()));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("ready");
    tokio::spawn(faults.obey());
    Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)).await?;
    Ok(())
}
