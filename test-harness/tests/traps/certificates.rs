//! Tests valid, invalid and unverified client certificates, resumed sessions, and unfinished handshakes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use test_harness::certificate::{CertificateSpec, Certificates, Fault};
use test_harness::client::{Request, Response};
use test_harness::ports;
use test_harness::tls::Tls;
use test_harness::trial::{self, Gate, HOST, Servers, below, code, put};

use crate::Trap;

pub const TRAPS: &[Trap] = &[
    ("3.1 a connection with an untrusted or expired certificate is refused", refused_in_the_handshake),
    ("3.1 an unverified certificate identifies no client", accepted_unverified),
    ("3.1 a certificate in a resumed session is ignored, and the generated listener does not resume sessions", resumed),
    ("3.1 a listener can require a certificate", requires_certificate),
    ("2.13 an unfinished handshake times out", unended_handshake),
];

/// Envoy refuses invalid certificates during the handshake, so the filter never sees these clients.
fn refused_in_the_handshake() -> Result<()> {
    let fixture = CertificateFixture::new()?;
    let gate = fixture.gate(|_| Ok(()))?;
    fixture.is_known(&gate)?;
    for name in ["stranger", "expired"] {
        let answer = fixture.ask(&gate, Some(name));
        ensure!(answer.is_err(), "the {name} certificate got {answer:?}");
    }
    ensure!(fixture.arrivals() == 0, "a request reached the upstream");
    Ok(())
}

/// Checks that the filter refuses unverified certificates, although `connection.mtls` is true for them.
fn accepted_unverified() -> Result<()> {
    let fixture = CertificateFixture::new()?;
    let lenient = |config: &mut Value| {
        put(tls(config)?, "/common_tls_context/validation_context/trust_chain_verification", json!("ACCEPT_UNTRUSTED"))
    };
    let gate = fixture.gate(lenient)?;
    fixture.is_known(&gate)?;
    for name in ["stranger", "expired"] {
        let response = fixture.ask(&gate, Some(name))?;
        ensure!(response.status == 401, "the {name} certificate got {}", response.status);
    }
    let blind = |config: &mut Value| {
        put(tls(config)?, "/require_client_certificate", json!(true))?;
        let common = below(tls(config)?, "/common_tls_context")?.as_object_mut().context("no object")?;
        common.remove("validation_context").context("the listener has no validation context")?;
        Ok(())
    };
    let gate = fixture.gate(blind)?;
    for name in ["client", "stranger", "expired"] {
        let response = fixture.ask(&gate, Some(name))?;
        ensure!(
            response.status == 401 && code(&response) == "UNAUTHORIZED",
            "the {name} certificate, which was not verified, got {}",
            response.status
        );
    }
    ensure!(fixture.arrivals() == 0, "a request reached the upstream");
    Ok(())
}

fn resumed() -> Result<()> {
    let fixture = CertificateFixture::new()?;
    let resuming = |config: &mut Value| {
        put(tls(config)?, "/disable_stateful_session_resumption", json!(false))?;
        put(tls(config)?, "/disable_stateless_session_resumption", json!(false))
    };
    let generated = fixture.gate(|_| Ok(()))?;
    let resuming = fixture.gate(resuming)?;
    for version in [&TLS12, &TLS13] {
        let client = Tls::speaking(&fixture.certificates, Some("client"), &[version])?;
        for _ in 0..3 {
            let (response, kind) =
                client.send_with_handshake_kind(ports::loopback(generated.port), &certified(), PATIENCE)?;
            ensure!(kind == HandshakeKind::Full, "{version:?}: the generated listener resumed a session");
            ensure!(response.status == 200, "{version:?}: {} over a full handshake", response.status);
        }
        let client = Tls::speaking(&fixture.certificates, Some("client"), &[version])?;
        let mut statuses = BTreeMap::<_, Vec<u16>>::new();
        for _ in 0..6 {
            let (response, kind) =
                client.send_with_handshake_kind(ports::loopback(resuming.port), &certified(), PATIENCE)?;
            statuses.entry(kind == HandshakeKind::Resumed).or_default().push(response.status);
        }
        let all =
            |resumed: bool, status: u16| statuses.get(&resumed).is_some_and(|got| got.iter().all(|got| *got == status));
        ensure!(
            all(false, 200) && all(true, 401),
            "{version:?}: the statuses without and with resumption are {statuses:?}"
        );
    }
    Ok(())
}

fn requires_certificate() -> Result<()> {
    let mut fixture = CertificateFixture::new()?;
    let optional = fixture.gate(|_| Ok(()))?;
    let open = Request::new("GET", "/health", HOST);
    let response = Tls::of(&fixture.certificates, None)?.send(ports::loopback(optional.port), &open, PATIENCE)?;
    ensure!(response.status == 200, "{} without a certificate where none is needed", response.status);
    ensure!(fixture.ask(&optional, None)?.status == 401, "a route was open without the certificate that it needs");
    fixture.certificates.insists = true;
    let gate = fixture.gate(|_| Ok(()))?;
    fixture.is_known(&gate)?;
    let answer = Tls::of(&fixture.certificates, None)?.send(ports::loopback(gate.port), &open, PATIENCE);
    ensure!(answer.is_err(), "a client without a certificate got {answer:?}");
    Ok(())
}

fn unended_handshake() -> Result<()> {
    let fixture = CertificateFixture::new()?;
    let gate = fixture.gate(|config| {
        let limit = below(config, "/static_resources/listeners/0/filter_chains/0/transport_socket_connect_timeout")?;
        ensure!(*limit == json!("10s"), "the handshake timeout is {limit} instead of 10s");
        *limit = json!("0.5s");
        Ok(())
    })?;
    let mut silent = test_harness::client::connect(ports::loopback(gate.port), PATIENCE)?;
    let ended = std::io::Read::read(&mut silent, &mut [0; 16]);
    ensure!(!matches!(ended, Ok(1..)), "a client that sent nothing got a response: {ended:?}");
    let waits = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    ensure!(!waits, "the connection of a client that sends nothing stays open");
    fixture.is_known(&gate)
}

/// The servers, the certificates, and a document with routes for clients with a valid certificate.
struct CertificateFixture {
    servers: Servers,
    certificates: Certificates,
    policy: Value,
}

impl CertificateFixture {
    fn new() -> Result<Self> {
        let uri = vec!["spiffe://example.com/ns/payments".to_owned()];
        let client = |fault| CertificateSpec { uri: uri.clone(), fault, ..CertificateSpec::default() };
        let specs = [("client", None), ("stranger", Some(Fault::Stranger)), ("expired", Some(Fault::Expired))];
        let certificates =
            Certificates::make(&specs.map(|(name, fault)| (name.to_owned(), client(fault))).into_iter().collect())?;
        let servers = Servers::start()?;
        let mut policy = servers.policy();
        let route = json!({ "path": "/certified", "auth": { "any_of": ["certificate"] }, "response": { "body": {} } });
        let passing = json!({ "path": "/passing", "auth": { "any_of": ["certificate"] }, "upstream": "orders" });
        below(&mut policy, "/routes")?.as_array_mut().context("no routes")?.extend([route, passing]);
        let clients = json!([{ "id": "payments", "owner": "payments@example.com", "purpose": "pays",
            "certificates": [{ "spiffe": uri.first() }] }]);
        put(&mut policy, "/clients", clients)?;
        Ok(Self { servers, certificates, policy })
    }

    fn gate(&self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<Gate> {
        Gate::over_tls(&self.policy, &self.certificates, change)
    }

    /// Control: checks that the gateway accepts the valid certificate.
    fn is_known(&self, gate: &Gate) -> Result<()> {
        let response = Tls::of(&self.certificates, Some("client"))?;
        let response = response.send(ports::loopback(gate.port), &certified(), PATIENCE)?;
        ensure!(response.status == 200, "the valid certificate got {}", response.status);
        Ok(())
    }

    /// Sends a request to the gateway, for the route `/passing`, which forwards to the upstream. The client uses the certificate
    /// with this name, or none.
    fn ask(&self, gate: &Gate, certificate: Option<&str>) -> Result<Response> {
        let client = Tls::of(&self.certificates, certificate)?;
        client.send(ports::loopback(gate.port), &trial::get("/passing"), PATIENCE)
    }

    fn arrivals(&self) -> usize {
        self.servers.upstream.received().take().len()
    }
}

fn certified() -> Request {
    Request::new("GET", "/certified", HOST)
}

/// Returns the TLS settings of a generated configuration.
fn tls(config: &mut Value) -> Result<&mut Value> {
    below(config, "/static_resources/listeners/0/filter_chains/0/transport_socket/typed_config")
}

const PATIENCE: Duration = Duration::from_secs(10);
