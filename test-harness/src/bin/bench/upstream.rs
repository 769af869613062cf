//! The upstream of all variants, which sends fixed responses and can record a request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use test_harness::ports;

use crate::answers::Answers;

/// A running upstream. It lives as long as the process and uses one thread for each connection.
#[derive(Debug)]
pub struct Upstream {
    port: u16,
    seen: Seen,
}

/// The last request head that arrived during [`Upstream::watch`], shared by all threads.
type Seen = Arc<Mutex<Watch>>;

#[derive(Debug, Default)]
struct Watch {
    watching: bool,
    head: Option<String>,
}

impl Upstream {
    /// Listens on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(ports::loopback(0)).context("no port for the upstream")?;
        let port = listener.local_addr()?.port();
        let seen = Seen::default();
        let seen_by_all = seen.clone();
        let answers = Arc::new(Answers::new());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answers) = (seen_by_all.clone(), answers.clone());
                thread::spawn(move || serve(stream, &seen, &answers));
            }
        });
        Ok(Self { port, seen })
    }

    /// Returns the port of the upstream on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Calls `act` and records the last request that arrives during the call. Returns the result of `act` and the headers of the
    /// request, if one arrived. Header names are in lower case.
    pub fn watch<T>(&self, act: impl FnOnce() -> T) -> (T, Option<Vec<(String, String)>>) {
        let set = |watching| *lock(&self.seen) = Watch { watching, head: None };
        set(true);
        let done = act();
        let head = lock(&self.seen).head.take();
        set(false);
        let pair =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        (done, head.map(|head| head.split("\r\n").skip(1).filter_map(pair).collect()))
    }
}

/// Reads request heads from a connection and answers each of them. Requests of the benchmark have no body.
fn serve(mut stream: TcpStream, seen: &Seen, answers: &Answers) {
    let _slower_without = stream.set_nodelay(true);
    let mut pending = Vec::with_capacity(16 * 1024);
    let mut chunk = [0; 16 * 1024];
    while let Ok(got @ 1..) = stream.read(&mut chunk) {
        pending.extend(chunk.iter().take(got));
        while let Some(end) = pending.windows(4).position(|end| end == b"\r\n\r\n") {
            let head: Vec<u8> = pending.drain(..end + 4).collect();
            {
                let mut watch = lock(seen);
                if watch.watching {
                    watch.head = Some(String::from_utf8_lossy(&head).into_owned());
                }
            }
            for (number, part) in answers.to(&head).enumerate() {
                if number > 0 {
                    thread::sleep(PAUSE);
                }
                if stream.write_all(part).is_err() {
                    return;
                }
            }
        }
    }
}

fn lock(seen: &Seen) -> std::sync::MutexGuard<'_, Watch> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

const PAUSE: Duration = Duration::from_millis(2);
