//! A raw HTTP/1.1 client that sends exactly the given bytes, including those that a normal client never sends.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::outcome::Headers;

/// A request. All parts are bytes, so that tests can send invalid requests.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method of the request.
    pub method: Vec<u8>,
    /// The request target, usually the path and the query.
    pub target: Vec<u8>,
    /// Header lines as sent, including `host`.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body. The client adds `content-length` unless `headers` contains `content-length` or `transfer-encoding`.
    pub body: Vec<u8>,
    /// Whether the body is sent with `transfer-encoding: chunked` instead of `content-length`.
    pub chunked: bool,
    /// Trailer lines. If this list is not empty, the body is sent in chunks.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the native run passes header values to the core without trimming them. It is set for cases that need HTTP/2,
    /// because Envoy does not trim the header values of HTTP/2 requests.
    pub untrimmed: bool,
}

/// A complete response.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines with names in lower case.
    pub headers: Headers,
    /// The complete body, without chunk framing.
    pub body: Vec<u8>,
}

impl Request {
    /// Creates a request without a body.
    pub fn new(method: &str, target: &str, host: &str) -> Self {
        let headers = vec![(b"host".to_vec(), host.as_bytes().to_vec())];
        Self { method: method.into(), target: target.into(), headers, ..Self::default() }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the request as HTTP/1.1 bytes.
    pub fn on_the_wire(&self) -> Vec<u8> {
        let mut out = [self.method.as_slice(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.headers {
            line(&mut out, name, value);
        }
        let named = |name: &[u8]| self.headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
        let length_named = named(b"content-length") || named(b"transfer-encoding");
        if self.trailers.is_empty() && !self.chunked {
            if !self.body.is_empty() && !length_named {
                line(&mut out, b"content-length", self.body.len().to_string().as_bytes());
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&self.body);
        } else {
            if !length_named {
                line(&mut out, b"transfer-encoding", b"chunked");
            }
            out.extend_from_slice(b"\r\n");
            // A body of at least two bytes is sent in several chunks. A filter that reads only the first chunk then fails the
            // test.
            for piece in self.body.chunks(self.body.len().div_ceil(3).clamp(1, PIECE)) {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n");
            for (name, value) in &self.trailers {
                line(&mut out, name, value);
            }
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// A connection for several consecutive requests.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

/// A bidirectional byte stream.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Connects a socket. Each later read and write times out after `patience`.
pub fn connect(to: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, patience).with_context(|| format!("cannot connect to {to}"))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Connects to a server. Each later read and write times out after `patience`.
    pub fn open(to: SocketAddr, patience: Duration) -> Result<Self> {
        Ok(Self::over(connect(to, patience)?))
    }

    /// Creates a connection over an existing byte stream, for example a TLS stream.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends one request and reads its final response. Interim (1xx) responses other than 101 are skipped.
    pub fn exchange(&mut self, request: &Request) -> Result<Response> {
        // Sending can fail because the server has refused the request early and closed the connection. Its response can still
        // be read, so an error of sending matters only if there is no response.
        let sent = self.stream.get_mut().write_all(&request.on_the_wire());
        let response = loop {
            let response = self.response(request.method == b"HEAD").context("no complete response");
            match response {
                Ok(response) if response.status / 100 == 1 && response.status != 101 => {}
                other => break other,
            }
        };
        match (response, sent) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(error)) => Err(error).context("the request could not be sent"),
            (Err(error), Ok(())) => Err(error),
        }
    }

    fn response(&mut self, bodiless: bool) -> Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let status = std::str::from_utf8(status)?.parse().context("the status line has no status")?;
        let headers = self.header_lines()?;
        let mut response = Response { status, headers, body: Vec::new() };
        if bodiless || status / 100 == 1 || status == 204 || status == 304 {
            return Ok(response);
        }
        let find = |name: &str| response.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
        response.body = if find("transfer-encoding").is_some() {
            self.chunks()?
        } else if let Some(length) = find("content-length") {
            self.exactly(std::str::from_utf8(&length)?.parse()?)?
        } else {
            let mut body = Vec::new();
            self.stream.read_to_end(&mut body)?;
            body
        };
        Ok(response)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(std::str::from_utf8(&size)?.trim(), 16)?;
            if size == 0 {
                self.header_lines()?;
                return Ok(body);
            }
            body.extend_from_slice(&self.exactly(size)?);
            self.line()?;
        }
    }

    fn exactly(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; size];
        self.stream.read_exact(&mut body).with_context(|| format!("the body of {size} bytes was cut short"))?;
        Ok(body)
    }

    fn header_lines(&mut self) -> Result<Headers> {
        let mut headers = Headers::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
                bail!("the response has a header line without a colon")
            };
            headers.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.trim_ascii().to_vec()));
        }
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            bail!("the connection was closed");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }
}

/// The maximum size of a chunk in bytes.
const PIECE: usize = 16_384;

/// Sends one request on a new connection.
pub fn send(to: SocketAddr, request: &Request, patience: Duration) -> Result<Response> {
    Connection::open(to, patience)?.exchange(request)
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
