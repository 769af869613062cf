//! Tests a malformed request among other requests on one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_harness::client::Request;
use test_harness::trial::{Gate, HOST, Servers};
use test_harness::{frames, ports};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("a malformed HTTP/2 request ends its stream and not its connection", malformed_stream),
    ("a malformed HTTP/1 request ends its connection", malformed_request),
];

/// Sends a malformed request while another request is in progress on the HTTP/2 connection. Only the malformed request may fail.
fn malformed_stream() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let plain = |target: &str| frames::fields(&Request::new("GET", target, HOST));
    let with = |name: &str, value: &str| {
        let mut fields = plain("/open/2");
        fields.push((name.into(), value.into()));
        fields
    };
    let mut nameless = plain("/open/2");
    nameless.retain(|(name, _)| name != b":method");
    for fields in [
        with("X-Upper", "a"),
        with("bad name", "a"),
        with("x_user", "a"),
        with("x-broken", "a\0b"),
        with("x-broken", "a\r\nb"),
        with("connection", "close"),
        with(":path", "/open/3"),
        with(":unknown", "a"),
        nameless,
    ] {
        let shown = || {
            format!(
                "{:?}",
                fields.last().map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string()))
            )
        };
        let ends = frames::END_HEADERS | frames::END_STREAM;
        let stream = |number: u32, fields: &[(Vec<u8>, Vec<u8>)]| {
            frames::frame(frames::HEADERS, ends, number, &frames::block(fields))
        };
        let first = [frames::PREFACE, &stream(1, &plain("/open/1?delay_ms=300")), &stream(3, &fields)].concat();
        let mut connection = TcpStream::connect(ports::loopback(gate.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(&first)?;
        let mut received = Vec::new();
        while frames::status(&received, 1).is_none() {
            let read = more(&mut connection, &mut received).with_context(shown)?;
            ensure!(read > 0, "{}: the connection ended", shown());
        }
        connection.write_all(&stream(5, &plain("/open/5")))?;
        while frames::status(&received, 5).is_none() {
            let read = more(&mut connection, &mut received).with_context(shown)?;
            ensure!(read > 0, "{}: the connection ended after the malformed request", shown());
        }
        let answers = [1, 5].map(|stream| frames::status(&received, stream));
        ensure!(answers == [Some(200), Some(200)], "{}: {answers:?}", shown());
        ensure!(frames::status(&received, 3) != Some(200), "{}: the malformed request was served", shown());
    }
    gate.never_failed()
}

/// Sends a malformed HTTP/1 request. The end of this request is unknown, so the gateway must not read the following bytes as
/// another request.
fn malformed_request() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    for line in ["bad name: x", "x_user: root", "content-length: 3\r\ncontent-length: 4", "transfer-encoding: xchunked"]
    {
        let bytes = format!(
            "POST /open/1 HTTP/1.1\r\nhost: {HOST}\r\n{line}\r\n\r\nGET /open/smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        );
        let mut connection = TcpStream::connect(ports::loopback(gate.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(bytes.as_bytes())?;
        let mut received = Vec::new();
        while more(&mut connection, &mut received).with_context(|| format!("`{line}` leaves the connection open"))? > 0
        {
        }
        let answers = String::from_utf8_lossy(&received).matches("HTTP/1.1 ").count();
        ensure!(answers == 1, "`{line}` got {answers} responses instead of one");
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request reached the upstream");
    gate.never_failed()
}

fn more(connection: &mut TcpStream, received: &mut Vec<u8>) -> Result<usize> {
    let mut block = [0; 4096];
    let read = connection.read(&mut block)?;
    received.extend_from_slice(block.get(..read).unwrap_or_default());
    Ok(read)
}
