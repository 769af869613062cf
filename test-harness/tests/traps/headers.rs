//! Tests header bytes that are not UTF-8, repeated headers, and values that contain line breaks.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_harness::client::Request;
use test_harness::core_gateway;
use test_harness::octets;
use test_harness::outcome;
use test_harness::tap;
use test_harness::trial::{self, Gate, HOST, ORIGIN, Servers, header, put};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("0.7 header bytes beyond ASCII do not crash the filter", bytes_beyond_ascii),
    ("0.9 two Authorization headers are refused", two_authorizations),
    ("0.9 all cookie headers are read", cookie_lines),
    ("0.9 every copy of a forged identity header is removed", forged_copies),
    ("2.12 the upstream of an upgrade receives no other Connection option", upgrade_tokens),
    ("0.10 a claim cannot add a header to the upstream's request", claims_end_nothing),
    ("0.10 a client cannot add a header to a response", clients_end_nothing),
    ("0.10 a document cannot write line breaks into headers", documents_end_nothing),
];

fn bytes_beyond_ascii() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({}))?;
    let good = || trial::bearer(Request::new("GET", "/orders/1", HOST), &token);
    let plain = || Request::new("GET", "/orders/1", HOST);
    let preflight = || Request::new("OPTIONS", "/orders/1", HOST);
    let method = ("access-control-request-method", "GET");
    for bytes in ["caf\\xe9", "\\xff\\xfe", "\\xc3\\x28", "\\xed\\xa0\\x80", "a\\x80"] {
        let value = octets::parse(bytes)?;
        let with = |request: Request, name: &str, prefix: &str| {
            let mut request = request;
            request.headers.push((name.into(), [prefix.as_bytes(), &value].concat()));
            request
        };
        // Invalid bytes in an optional header do not affect a valid request. Invalid bytes in the only credential are refused.
        let table: [(Request, &[u16]); 18] = [
            (with(plain(), "authorization", "Bearer "), UNPROVEN),
            (with(plain(), "authorization", ""), UNPROVEN),
            (with(plain(), "x-token", ""), UNPROVEN),
            (with(plain(), "cookie", "sid="), UNPROVEN),
            (with(good(), "cookie", "other="), &[200]),
            (with(good(), "x-request-id", ""), &[200]),
            (with(good(), "origin", "https://"), &[200]),
            (with(good(), "content-type", ""), &[200]),
            (with(good(), "content-type", "application/grpc+"), &[200]),
            (with(good(), "x-org-id", ""), &[200]),
            (with(good(), "x-portcullis-upstream", ""), &[200]),
            (with(good(), "accept", ""), &[200]),
            (with(good(), "x-forwarded-for", ""), &[200]),
            (with(good(), "x-forwarded-host", ""), &[200]),
            (with(preflight().header(method.0, method.1), "origin", "https://"), PREFLIGHT),
            (with(preflight().header("origin", ORIGIN), method.0, ""), PREFLIGHT),
            (
                with(
                    preflight().header("origin", ORIGIN).header(method.0, method.1),
                    "access-control-request-headers",
                    "x-",
                ),
                PREFLIGHT,
            ),
            (with(good().header("origin", ORIGIN), "access-control-request-private-network", ""), &[200]),
        ];
        for (request, statuses) in table {
            let (name, _) = request.headers.last().cloned().unwrap_or_default();
            for response in gate.send_both(&request)? {
                let name = octets::escape(&name);
                ensure!(statuses.contains(&response.status), "{name}: {bytes}: {}, not {statuses:?}", response.status);
            }
        }
        let mut path = plain();
        path.target = [b"/orders/", value.as_slice()].concat();
        ensure!(gate.send(&path)?.status == 400, "{bytes} in the path");
        let mut host = good();
        host.headers.retain(|(name, _)| name != b"host");
        host.headers.push((b"host".to_vec(), value.clone()));
        ensure!(gate.send(&host)?.status == 400, "{bytes} in the host");
    }
    gate.never_failed()
}

fn two_authorizations() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({}))?;
    let once = trial::bearer(trial::get("/orders/1"), &token);
    let twice = [
        trial::bearer(once.clone(), &token),
        trial::bearer(once.clone(), "other"),
        once.clone().header("authorization", "Basic dXNlcjpwYXNz"),
        once.clone().header("x-token", &token),
        once.clone().header("cookie", &format!("sid={token}")),
        trial::bearer(trial::get(&format!("/orders/1?access_token={token}")), &token),
    ];
    for (index, request) in twice.iter().enumerate() {
        for response in gate.send_both(request)? {
            ensure!(response.status == 400, "request {index}: {} with two credentials", response.status);
        }
    }
    // Envoy joins the two headers with a comma. The joined value looks like one credential of an unknown scheme.
    let basic = trial::bearer(trial::get("/orders/1").header("authorization", "Basic dXNlcjpwYXNz"), &token);
    for response in gate.send_both(&basic)? {
        ensure!(response.status == 400, "{} with a second credential behind a foreign one", response.status);
    }
    ensure!(servers.upstream.received().take().is_empty(), "a request with two credentials was forwarded");
    for response in gate.send_both(&once)? {
        ensure!(response.status == 200, "{} with one token", response.status);
    }
    gate.never_failed()
}

fn cookie_lines() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let sid = format!("sid={}", servers.token(&json!({}))?);
    for (lines, status) in [
        (vec!["a=1", sid.as_str(), "b=2"], 200),
        (vec!["a=1; b=2", sid.as_str()], 200),
        (vec![sid.as_str(), "a=1", sid.as_str()], 400),
        (vec!["a=1", "b=2"], 401),
    ] {
        let request = lines.iter().fold(trial::get("/orders/1"), |request, line| request.header("cookie", line));
        for response in gate.send_both(&request)? {
            ensure!(response.status == status, "{} lines: {} instead of {status}", lines.len(), response.status);
        }
        for forwarded in servers.upstream.received().take() {
            let cookies = outcome::values(&forwarded.headers, "cookie").join("; ");
            ensure!(!cookies.contains("sid="), "the token was forwarded: {cookies}");
            ensure!(cookies.contains("a=1") && cookies.contains("b=2"), "other cookies were lost: {cookies}");
        }
    }
    gate.never_failed()
}

fn forged_copies() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({ "org_id": "org-1" }))?;
    let forged = |request: Request| {
        let names = ["x-org-id", "X-Org-ID", "x-org-id", "x-user-id", "X-USER-ID"];
        names.iter().fold(request, |request, name| request.header(name, "forged"))
    };
    for (request, org) in [
        (forged(trial::bearer(trial::get("/orders/1"), &token)), vec!["org-1"]),
        (forged(trial::get("/open/1")), vec![]),
    ] {
        for response in gate.send_both(&request)? {
            ensure!(response.status == 200, "{}", response.status);
        }
        for forwarded in servers.upstream.received().take() {
            let found = outcome::values(&forwarded.headers, "x-org-id");
            ensure!(found == org, "x-org-id is {found:?}, not {org:?}");
            let all: String = outcome::print(&forwarded.headers);
            ensure!(!all.contains("forged"), "a forged header arrived:\n{all}");
        }
    }
    gate.never_failed()
}

fn upgrade_tokens() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let token = servers.token(&json!({ "org_id": "org-1" }))?;
    let upgrade = |connection: &[&str]| {
        let request = trial::bearer(trial::get("/tap/1"), &token).header("upgrade", "websocket");
        let request = connection.iter().fold(request, |request, line| request.header("connection", line));
        // Hop-by-hop fields that are not needed for an upgrade (RFC 9110 §7.6.1).
        let hop = [
            ("te", "trailers, x-org-id"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x-org-id"),
            ("http2-settings", "AAMAAABk"),
        ];
        hop.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    for connection in [
        &["upgrade"][..],
        &["Upgrade"],
        &["Upgrade, X-Org-ID"],
        &["x-org-id,x-user-id , upgrade"],
        &["keep-alive, Upgrade, TE, x-request-id"],
        &["x-org-id", "upgrade"],
        &["upgrade", "x-org-id, x-unknown"],
    ] {
        gate.send(&upgrade(connection))?;
        let arrived = servers.tap.take();
        ensure!(arrived.len() == 1, "{connection:?}: {} requests arrived", arrived.len());
        for request in &arrived {
            let text = octets::escape(request).to_ascii_lowercase();
            ensure!(text.matches("connection: ").count() == 1, "{connection:?}: {text}");
            ensure!(text.contains("connection: upgrade\\x0d"), "{connection:?}: {text}");
            ensure!(text.contains("x-org-id: org-1") && text.contains("x-user-id: user-1"), "{connection:?}: {text}");
            let fields = ["keep-alive", "te: ", "http2-settings"];
            ensure!(!fields.iter().any(|field| text.contains(&format!("\\x0a{field}"))), "{connection:?}: {text}");
            ensure!(text.matches("x-org-id").count() == 1, "{connection:?}: {text}");
        }
    }
    gate.never_failed()
}

fn claims_end_nothing() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    let hostile =
        ["a\r\nx-evil: 1", "a\nx-evil: 1", "a\rx-evil: 1", "a\0b", "\r\n\r\nGET /evil HTTP/1.1", "\u{7f}\u{85}"];
    for claim in hostile {
        let token = servers.token(&json!({ "org_id": claim, "sub": claim }))?;
        let request = trial::bearer(trial::get("/tap/1"), &token);
        for response in gate.send_both(&request)? {
            ensure!(response.status == 200, "{claim:?}: {}", response.status);
        }
    }
    let arrived = servers.tap.take();
    ensure!(arrived.len() == 2 * hostile.len(), "{} requests arrived", arrived.len());
    for request in &arrived {
        let text = octets::escape(request);
        let named = |line: &[u8]| line.starts_with(b"x-evil") || line.starts_with(b"GET /evil");
        ensure!(!request.split(|byte| matches!(byte, b'\n' | b'\r')).any(named), "a claim began a line: {text}");
        ensure!(!request.contains(&0) && !request.contains(&0x7f), "a control byte arrived: {text}");
        ensure!(tap::find(request, b"x-org-id: ").is_some(), "the claim did not arrive: {text}");
    }
    // A claim with a line break must not start a new line in the log.
    let lines = gate.envoy.lines();
    let broken = lines.iter().find(|line| line.starts_with("x-evil") || line.starts_with("GET /evil"));
    ensure!(broken.is_none(), "a claim began a line of the log: {broken:?}");
    gate.never_failed()
}

fn clients_end_nothing() -> Result<()> {
    let servers = Servers::start()?;
    let mut gate = Gate::open(&servers)?;
    for evil in [
        "a\\x0d\\x0ax-evil: 1",
        "a\\x0dx-evil: 1",
        "a\\x0ax-evil: 1",
        "a\\x00b",
        "a\\x09b",
        "a\\x7fb",
        "%0d%0ax-evil: 1",
        "\"\\\\",
    ] {
        let value = octets::parse(evil)?;
        for name in ["x-request-id", "origin", "access-control-request-headers", "authorization", "x-forwarded-host"] {
            for method in ["GET", "OPTIONS"] {
                let mut request =
                    Request::new(method, "/reports/1", HOST).header("access-control-request-method", "GET");
                if name == "access-control-request-headers" {
                    request = request.header("origin", ORIGIN);
                }
                request.headers.push((name.into(), value.clone()));
                // In HTTP/1, the line break starts a second header of the client. The filter must not echo that header.
                let response = gate.send(&request)?;
                ensure!(header(&response, "x-evil").is_none(), "{name}: {evil} came back as a header");
                let raw = |value: &[u8]| value.iter().any(|byte| *byte < b' ' || *byte == 0x7f);
                let dirty = response.headers.iter().find(|(_, value)| raw(value));
                ensure!(dirty.is_none(), "{name}: {evil}: a control byte came back: {dirty:?}");
                let id = header(&response, "x-request-id").unwrap_or_default();
                ensure!(!id.contains(['"', '\\', '%', '\t']), "the request id came back as sent: {id}");
                let body = String::from_utf8_lossy(&response.body);
                let is_json = body.is_empty() || serde_json::from_str::<Value>(&body).is_ok();
                ensure!(is_json || response.status == 400, "{name}: {evil} broke the JSON: {body}");
            }
        }
    }
    gate.never_failed()
}

fn documents_end_nothing() -> Result<()> {
    let servers = Servers::start()?;
    let evil = "a\r\nx-evil: 1";
    let edits: [(&str, Value); 10] = [
        ("/routes/0/response/headers", json!({ "x-a": evil })),
        ("/routes/0/response/headers", json!({ (evil): "a" })),
        ("/routes/0/response/headers", json!({ "": "a" })),
        ("/identity_headers", json!({ (evil): "sub" })),
        ("/cors/allow_headers", json!([evil])),
        ("/cors/expose_headers", json!([evil])),
        ("/cors/allow_methods", json!([evil])),
        ("/cors/allow_origins", json!([format!("https://{evil}")])),
        ("/routes/2/scopes", json!([format!("read\"{evil}")])),
        ("/errors", json!({ "realm": format!("a\"{evil}") })),
    ];
    for (place, value) in edits {
        let mut policy = servers.policy();
        put(&mut policy, place, value.clone())?;
        ensure!(core_gateway::open(&policy, &[]).is_err(), "`{place}` accepts {value}");
        ensure!(trial::generate(&policy, 1, 2).is_err(), "the generator accepts {value} in `{place}`");
    }
    Ok(())
}

/// The accepted statuses for an invalid token. The status depends on the header that contains the token.
const UNPROVEN: &[u16] = &[400, 401];

/// The accepted statuses for a preflight. The cases about CORS test the exact status.
const PREFLIGHT: &[u16] = &[204, 403];
