//! Sends a mix of requests from several concurrent clients, and records the response to each request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::client::{self, Request, Response};
use crate::{clock, outcome};

/// The name of a kind of request, and a request of this kind.
pub type RequestKind = (&'static str, Request);

/// A sent request and its response.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The kind of the request.
    pub sort: &'static str,
    /// The `x-request-id` of the request.
    pub id: String,
    /// The response to the request, or the error.
    pub answer: Result<Answer, String>,
    /// The time at which the response or the error arrived.
    pub at: Instant,
}

/// The parts of a response that show whether the gateway or the upstream sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// The value of `error.code` in the body, or an empty string.
    pub code: String,
    /// The `retry-after` header.
    pub retry_after: Option<String>,
}

/// Sends the requests in `sorts` repeatedly from `clients` threads while the function `act` runs. Each request uses a new
/// connection, so that all workers share the load. `act` gets a counter of the finished requests. Returns the result of `act`
/// and every sent request.
pub fn during<T>(
    to: SocketAddr,
    clients: usize,
    sorts: &[RequestKind],
    act: impl FnOnce(&AtomicU64) -> Result<T>,
) -> Result<(T, Vec<Sent>)> {
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let client = |start: usize| {
            let (over, answered) = (&over, &answered);
            move || {
                let mut sent = Vec::new();
                for (sort, request) in sorts.iter().cycle().skip(start) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    sent.push(send(to, sort, request));
                    answered.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(BETWEEN);
                }
                sent
            }
        };
        let clients: Vec<_> = (0..clients).map(|start| scope.spawn(client(start))).collect();
        let done = act(&answered);
        over.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for client in clients {
            sent.extend(client.join().map_err(|_| anyhow!("a client panicked"))?);
        }
        Ok((done?, sent))
    })
}

fn send(to: SocketAddr, sort: &'static str, request: &Request) -> Sent {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("load-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let request = request.clone().header("x-request-id", &id);
    let answer = client::send(to, &request, PATIENCE).map(|response| Answer::of(&response));
    Sent { sort, id, answer: answer.map_err(|error| format!("{error:#}")), at: clock::now() }
}

impl Answer {
    /// Extracts the relevant parts of a response.
    pub fn of(response: &Response) -> Self {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { status: response.status, code, retry_after: outcome::values(&response.headers, "retry-after").pop() }
    }
}

const BETWEEN: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(20);
