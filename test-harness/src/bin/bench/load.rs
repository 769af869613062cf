//! The load client, which sends prebuilt requests over keep-alive connections and checks each response.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Connections to one listener, each with at most one outstanding request.
#[derive(Debug)]
pub struct Load {
    address: SocketAddr,
    connections: Vec<Connection>,
}

/// The status and the headers of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// The header names, in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Load {
    /// Opens `connections` connections.
    pub fn connect(address: SocketAddr, connections: usize) -> Result<Self> {
        let opened: Result<Vec<_>> = (0..connections).map(|_| Connection::open(address)).collect();
        Ok(Self { address, connections: opened? })
    }

    /// Sends the first `count` requests of `requests`. Returns an error if a response has another status than `status`.
    ///
    /// One thread uses the connections in turn. While it waits for the oldest response, all other connections have an outstanding
    /// request. Therefore the proxy always has work, and the client needs only two system calls per request.
    pub fn drive(&mut self, requests: &mut dyn Iterator<Item = &[u8]>, count: usize, status: u16) -> Result<()> {
        let width = self.connections.len().min(count);
        let mut tally = BTreeMap::<u16, usize>::new();
        for connection in self.connections.iter_mut().take(width) {
            connection.send(requests.next().context("fewer requests than asked for")?)?;
        }
        let mut unsent = count - width;
        let mut unread = count;
        while unread > 0 {
            for connection in self.connections.iter_mut().take(width.min(unread)) {
                *tally.entry(connection.receive()?).or_default() += 1;
                unread -= 1;
                if unsent > 0 {
                    connection.send(requests.next().context("fewer requests than asked for")?)?;
                    unsent -= 1;
                }
            }
        }
        match tally.into_iter().find(|(seen, _)| *seen != status) {
            Some((seen, times)) => bail!("{times} of {count} requests got the status {seen} instead of {status}"),
            None => Ok(()),
        }
    }

    /// Sends one request on a new connection and returns the status and the headers of the response.
    pub fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        let mut connection = Connection::open(self.address)?;
        connection.send(request)?;
        let status = connection.receive()?;
        let end =
            connection.received.windows(4).position(|end| end == b"\r\n\r\n").context("a response without an end")?;
        let (head, body) = connection.received.split_at(end + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        let pair =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        let body = if is_chunked(&head) { joined_chunks(body)? } else { body.to_vec() };
        Ok(Answer { status, headers: lines.filter_map(pair).collect(), body })
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// Reads one complete response and returns its status. The response stays in `received` until the next call.
    fn receive(&mut self) -> Result<u16> {
        self.received.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let got = match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                got => got.context("the response is not complete")?,
            };
            if got == 0 {
                bail!(
                    "the connection was closed before the response was complete: {}",
                    String::from_utf8_lossy(&self.received)
                );
            }
            self.received.extend(chunk.iter().take(got));
            if let Some(status) = whole(&self.received)? {
                return Ok(status);
            }
        }
    }
}

/// Returns the status of a response, or `None` if the response is not complete yet. A response has a `content-length`, or it is
/// sent in chunks because the gateway changes its body.
fn whole(received: &[u8]) -> Result<Option<u16>> {
    let Some(head_length) = received.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(received.get(..head_length).unwrap_or_default());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("the response has no status")?;
    if status == NO_CONTENT {
        return Ok(Some(status));
    }
    if is_chunked(&head) {
        // A connection has only one outstanding response, so nothing follows the last chunk.
        return Ok(received.ends_with(b"\r\n0\r\n\r\n").then_some(status));
    }
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())?.ok()
    });
    let length = length.with_context(|| format!("the response has no valid content-length:\n{head}"))?;
    Ok((received.len() >= head_length + 4 + length).then_some(status))
}

fn is_chunked(head: &str) -> bool {
    head.split("\r\n").any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"))
}

/// Returns the data of all chunks (RFC 9112 §7.1).
fn joined_chunks(mut framed: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    while let Some(end) = framed.windows(2).position(|end| end == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(framed.get(..end).unwrap_or_default()), 16)?;
        data.extend_from_slice(framed.get(end + 2..end + 2 + size).context("a chunk that is too short")?);
        framed = framed.get(end + 2 + size + 2..).unwrap_or_default();
    }
    Ok(data)
}

/// A response with this status has no body and no `content-length` (RFC 9110 §15.3.5).
const NO_CONTENT: u16 = 204;
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::{joined_chunks, whole};

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole(answer).unwrap(), Some(401));
        assert_eq!(whole(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(whole(&answer[..20]).unwrap(), None);
    }

    #[test]
    fn an_answer_in_chunks_is_whole_with_the_last_chunk() {
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n";
        assert_eq!(whole(answer).unwrap(), Some(200));
        assert_eq!(whole(&answer[..answer.len() - 5]).unwrap(), None);
        assert_eq!(joined_chunks(b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n").unwrap(), b"[1]");
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
