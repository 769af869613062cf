//! An upstream that records every byte on arrival, so that tests can check which bytes a gateway forwards before its decision.
//!
//! The tap answers each complete HTTP/1.1 request with an empty 200 response. It parses only enough of HTTP to find the end of a
//! request.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::{ports, server};

/// A running tap.
#[derive(Debug)]
pub struct Tap {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    requests: Vec<Vec<u8>>,
}

impl Tap {
    /// Starts a tap on a free port.
    pub fn start() -> Result<Self> {
        let runtime = server::runtime()?;
        let listener = runtime.block_on(TcpListener::bind(ports::loopback(0)))?;
        let port = listener.local_addr()?.port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let accepting = runtime.spawn(accept(listener, seen.clone()));
        Ok(Self { port, seen, accepting })
    }

    /// Returns the port of the tap on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many bytes have arrived since the last call of [`Tap::forget`].
    pub fn bytes(&self) -> usize {
        lock(&self.seen).bytes
    }

    /// Resets the byte count and returns the previous count.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut lock(&self.seen).bytes)
    }

    /// Returns the bytes of each complete request that arrived since the last call.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut lock(&self.seen).requests)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Seen>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let seen = seen.clone();
        // A proxy that disconnects is not an error of the tap.
        connections.spawn(async move { drop(listen(stream, seen).await) });
    }
}

async fn listen(stream: TcpStream, seen: Arc<Mutex<Seen>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut block = vec![0; 65_536];
    loop {
        stream.readable().await?;
        let read = match stream.try_read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        request.extend_from_slice(block.get(..read).unwrap_or_default());
        lock(&seen).bytes += read;
        if is_complete(&request) {
            lock(&seen).requests.push(std::mem::take(&mut request));
            stream.writable().await?;
            // One `try_write` sends the whole response, because the send buffer is empty and the response is short.
            stream.try_write(ANSWER)?;
        }
    }
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = find(request, b"\r\n\r\n") else { return false };
    let (head, body) = request.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        return (body.starts_with(b"0\r\n") || find(body, b"\r\n0\r\n").is_some()) && body.ends_with(b"\r\n\r\n");
    }
    let length = head.split_once("\r\ncontent-length: ").and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Returns the first position of `wanted` in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
