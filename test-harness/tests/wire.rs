//! Sends broken HTTP/1 and HTTP/2 requests, which no HTTP library would send, to a real Envoy with the filter.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_harness::client::Request;
use test_harness::fuzz::rng::Rng;
use test_harness::outcome::values;
use test_harness::trial::{self, Gate, Servers, bearer, get};
use test_harness::{frames, octets, ports};

#[test]
fn malformed_http1_is_refused_and_breaks_nothing() -> Result<()> {
    walk(
        |rng, request| rng.mutated(&request.on_the_wire()),
        |answer| {
            // An incomplete request may get no response.
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 ")
        },
    )
}

/// The requests have broken fields, a broken field block, broken frames, or several of these errors. A few are valid.
#[test]
fn malformed_http2_is_refused_and_breaks_nothing() -> Result<()> {
    walk(broken_http2, |answer| {
        // Envoy answers an invalid preface over HTTP/1.
        answer.starts_with(b"HTTP/1.1 ") || frames::are_frames(answer)
    })
}

fn broken_http2(rng: &mut Rng, request: &Request) -> Vec<u8> {
    let mut fields = frames::fields(request);
    match rng.below(6) {
        0 | 1 => {
            let at = rng.below(fields.len());
            let other = rng.one_of(FIELDS).map(|(name, value)| (name.to_vec(), value.to_vec())).unwrap_or_default();
            fields.insert(at, other);
        }
        2 => {
            let at = rng.below(fields.len());
            if let Some((name, value)) = fields.get_mut(at) {
                let broken = if rng.below(4) == 0 { name } else { value };
                *broken = rng.mutated(broken);
            }
        }
        _ => {}
    }
    let mut block = frames::block(&fields);
    if rng.below(6) == 0 {
        block = rng.mutated(&block);
    }
    let ends = if request.body.is_empty() { frames::END_STREAM } else { 0 };
    let (first, rest) = block.split_at(if rng.below(3) == 0 { rng.below(block.len()) } else { block.len() });
    let mut sent = if rest.is_empty() {
        frames::frame(frames::HEADERS, ends | frames::END_HEADERS, 1, first)
    } else {
        let rest = frames::frame(frames::CONTINUATION, frames::END_HEADERS, 1, rest);
        [frames::frame(frames::HEADERS, ends, 1, first), rest].concat()
    };
    if !request.body.is_empty() {
        sent.extend(frames::frame(frames::DATA, frames::END_STREAM, 1, &request.body));
    }
    if rng.below(4) == 0 {
        sent = rng.mutated(&sent);
    }
    [frames::PREFACE, &sent].concat()
}

/// Sends many broken requests. Checks every response, and every request that reaches an upstream.
fn walk(broken: fn(&mut Rng, &Request) -> Vec<u8>, is_well_formed: fn(&[u8]) -> bool) -> Result<()> {
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
                    let mut rng = Rng::new(SEED + client * 7919);
                    let mut sent = Vec::new();
                    for _ in 0..ROUNDS {
                        let request = rng.one_of(requests).context("no request")?;
                        let bytes = broken(&mut rng, request);
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
        // On a protected path, the identity must be the subject of the token. On a public path, the identity must be absent.
        let right = match path.split('/').nth(1) {
            Some("orders") => user == ["user-1"],
            Some("open") => user.is_empty(),
            _ => false,
        };
        ensure!(right, "{} {} reached the upstream as {user:?}", request.method, request.path);
        reached += 1;
    }
    ensure!(servers.tap.bytes() == 0, "bytes reached an upstream that no request uses");
    ensure!(
        reached > 0 && reached < sent.len(),
        "{reached} of {} requests reached the upstream, but some must reach it and some must not",
        sent.len()
    );
    gate.never_failed()
}

/// Sends bytes and collects the response until it ends or times out.
fn exchange(to: std::net::SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The gateway may close the connection before it has read the whole request.
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
            Err(error) => return Err(error).context("the response cannot be read"),
        }
    }
}

/// Fields that HTTP/2 forbids (RFC 9113 §8.2, §8.3), and fields that only the gateway may set.
const FIELDS: &[(&[u8], &[u8])] = &[
    (b":path", b"/open/1"),
    (b":authority", b"evil.example"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b"host", b"evil.example"),
    (b"connection", b"x-user-id"),
    (b"transfer-encoding", b"chunked"),
    (b"te", b"gzip"),
    (b"upgrade", b"h2c"),
    (b"content-length", b"7"),
    (b"X-User-Id", b"root"),
    (b"x-user-id", b"root"),
    (b"x_user_id", b"root"),
    (b"x-user-id ", b"root"),
    (b"x-portcullis-upstream", b"admin"),
    (b"x-portcullis-replied", b"1"),
    (b"authorization", b"Bearer a.b.c"),
    (b"cookie", b"sid=a.b.c"),
    (b"x-line", b"a\r\nx-user-id: root"),
    (b"", b"empty"),
];
const SEED: u64 = 20_240_302;
const CLIENTS: u64 = 8;
const ROUNDS: usize = 60;
const PATIENCE: Duration = Duration::from_millis(400);
