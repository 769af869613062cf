//! Sends an HTTP/1.1 request with a slow body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use test_harness::trial::{HOST, PATIENCE};
use test_harness::{client, ports};

/// The number of body bytes in each chunk.
pub const PART: usize = 64 << 10;

/// A request whose body is incomplete.
pub struct Upload {
    stream: TcpStream,
    /// The response, if it arrived before the end of the body.
    pub answer: Option<String>,
}

impl Upload {
    /// Sends the head of a request and the start of a JSON string as its body.
    pub fn open(port: u16, target: &str, token: Option<&str>) -> Result<Self> {
        let mut stream = client::connect(ports::loopback(port), PATIENCE)?;
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        write!(
            stream,
            "POST {target} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n{token}transfer-encoding: chunked\r\n\r\n2\r\n[\"\r\n"
        )?;
        Ok(Self { stream, answer: None })
    }

    /// Sends about `bytes` bytes, or fewer if the gateway closes the connection.
    pub fn send(self, bytes: usize) -> Result<Self> {
        self.send_slowly(bytes, Duration::ZERO)
    }

    /// Sends about `bytes` bytes as [`Self::send`] does, and pauses after each [`PART`].
    pub fn send_slowly(mut self, bytes: usize, pause: Duration) -> Result<Self> {
        let part = [format!("{PART:x}\r\n").as_bytes(), &[b'x'; PART], b"\r\n"].concat();
        for _ in 0..(bytes - PART) / PART {
            if self.stream.write_all(&part).is_err() {
                self.answer = Some(rest(&mut self.stream));
                break;
            }
            thread::sleep(pause);
        }
        Ok(self)
    }

    /// Waits two seconds for a response, because a refusal can arrive shortly after the last part was sent.
    pub fn look(mut self) -> Result<Self> {
        if self.answer.is_none() {
            self.stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut first = [0; 12];
            if self.stream.read_exact(&mut first).is_ok() {
                self.answer = Some(String::from_utf8_lossy(&first).into_owned() + &rest(&mut self.stream));
            }
        }
        Ok(self)
    }

    /// Ends the body and returns the start of the response.
    pub fn finish(mut self) -> Result<String> {
        self.stream.write_all(b"2\r\n\"]\r\n0\r\n\r\n")?;
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    }
}

/// Reads the response until the connection ends. The response is empty if a reset discarded it.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset may follow the response.
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
