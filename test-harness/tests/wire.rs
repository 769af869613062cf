//! Bytes that no HTTP library would send, over HTTP/1 and HTTP/2, to a real Envoy with the filter: nothing breaks, nothing slips through.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_harness::client::Request;
use test_harness::fuzz::dice::Dice;
use test_harness::outcome::values;
use test_harness::trial::{self, Gate, Servers, bearer, get};
use test_harness::{octets, ports};

#[test]
fn broken_http1_breaks_nothing_and_passes_nothing() -> Result<()> {
    walk(
        |dice, request| dice.mutated(&request.on_the_wire()),
        |answer| {
            // Nothing at all is said to a request that is not complete.
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 ")
        },
    )
}

#[test]
fn broken_http2_breaks_nothing_and_passes_nothing() -> Result<()> {
    walk(
        |dice, request| {
            let block = field_block(request);
            let whole = dice.below(2) == 0;
            let block = if whole { block } else { dice.mutated(&block) };
            let frames = [frame(4, 0, 0, b""), frame(1, 5, 1, &block)].concat();
            let frames = if whole { dice.mutated(&frames) } else { frames };
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frames.as_slice()].concat()
        },
        is_frames,
    )
}

/// Sends many of them, and looks at every answer and at everything that reached an upstream.
fn walk(broken: fn(&mut Dice, &Request) -> Vec<u8>, is_well_formed: fn(&[u8]) -> bool) -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({}))?;
    let requests = [
        get("/orders/1"),
        bearer(get("/orders/1?x=1"), &token),
        bearer(get("/reports/1"), &token),
        get("/open/1").header("x-user-id", "root").header("cookie", "sid=1"),
        get("/health"),
        bearer(Request::new("POST", "/orders/1", trial::HOST), &token).body("{\"a\":1}"),
        Request::new("OPTIONS", "/orders/1", trial::HOST)
            .header("origin", trial::ORIGIN)
            .header("access-control-request-method", "POST"),
    ];
    let to = ports::loopback(gate.port);
    let sent: Result<Vec<Vec<u8>>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let requests = &requests;
                scope.spawn(move || -> Result<Vec<Vec<u8>>> {
                    let mut dice = Dice::new(SEED + client * 7919);
                    let mut sent = Vec::new();
                    for _ in 0..ROUNDS {
                        let request = dice.one_of(requests).context("no request")?;
                        let bytes = broken(&mut dice, request);
                        let answer = exchange(to, &bytes)?;
                        let shown = || format!("{}\nwas answered\n{}", octets::escape(&bytes), octets::escape(&answer));
                        ensure!(is_well_formed(&answer), "{}", shown());
                        sent.push(bytes);
                    }
                    Ok(sent)
                })
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all)
    });
    let sent = sent?;
    let mut reached = 0;
    for request in servers.upstream.received().take() {
        let user = values(&request.headers, "x-user-id");
        let path = request.path.split('?').next().unwrap_or_default();
        // Whoever was let through to a closed path is the one whom the token names, and on an open one nobody is named.
        let right = match path.split('/').nth(1) {
            Some("orders") => user == ["user-1"],
            Some("open") => user.is_empty(),
            _ => false,
        };
        ensure!(right, "{} {} reached the upstream as {user:?}", request.method, request.path);
        reached += 1;
    }
    ensure!(servers.tap.bytes() == 0, "an upstream was reached that no request names");
    ensure!(
        reached > 0 && reached < sent.len(),
        "{reached} of {} reached the upstream: nothing was put to the test",
        sent.len()
    );
    gate.never_failed()
}

/// Sends bytes, and gathers what comes back until there is no more or none in time.
fn exchange(to: std::net::SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // It may be refused before its end.
    let _refused = stream.write_all(bytes);
    let (mut answer, mut block) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut block) {
            Ok(0) => return Ok(answer),
            Ok(read) => answer.extend_from_slice(block.get(..read).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionReset) =>
            {
                return Ok(answer);
            }
            Err(error) => return Err(error).context("the connection broke in an odd way"),
        }
    }
}

/// RFC 7541 §6.2.2: literals, nothing indexed, nothing compressed.
fn field_block(request: &Request) -> Vec<u8> {
    let mut block = Vec::new();
    let mut field = |name: &[u8], value: &[u8]| {
        block.push(0);
        for text in [name, value] {
            // RFC 7541 §5.1: what does not fit into seven bits follows in groups of them.
            let length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap_or_default());
            } else {
                let rest = length - 127;
                block.push(127);
                block.extend(u8::try_from(rest % 128).map(|low| low | 128));
                block.extend(u8::try_from(rest / 128));
            }
            block.extend_from_slice(text);
        }
    };
    field(b":method", &request.method);
    field(b":scheme", b"http");
    field(b":path", &request.target);
    field(b":authority", trial::HOST.as_bytes());
    for (name, value) in request.headers.iter().filter(|(name, _)| name != b"host") {
        field(&name.to_ascii_lowercase(), value);
    }
    block
}

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [length.get(1..).unwrap_or_default(), &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Whether the bytes are whole frames, the last of which may have been cut by the connection's end.
fn is_frames(mut bytes: &[u8]) -> bool {
    // A preface that is none is answered as HTTP/1.
    if bytes.starts_with(b"HTTP/1.1 ") {
        return true;
    }
    while let Some(([a, b, c, kind, ..], _)) = bytes.split_first_chunk::<9>() {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        if *kind > 9 || length > 16_384 {
            return false;
        }
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    true
}

const SEED: u64 = 20_240_302;
const CLIENTS: u64 = 8;
const ROUNDS: usize = 60;
const PATIENCE: Duration = Duration::from_millis(400);
