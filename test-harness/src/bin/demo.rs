//! `make run` starts an Envoy with `envoy/gateway.yaml`, two upstreams that echo requests, and an issuer of test tokens.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::envoy::{self, Envoy, Launch};
use test_harness::generated::Wanted;
use test_harness::issuer::Issuer;
use test_harness::upstream::{Received, Upstream};
use test_harness::{ports, server};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let port = chosen_port()?;
    ports::require_free(port, "choose another port with PORT=…")?;
    for taken in [ADMIN, ISSUER] {
        ports::require_free(taken, "the demo needs this port: stop the program that uses it")?;
    }
    let issuer = Issuer::start(ISSUER, &["rsa-1", "p256-1"])?;
    let claims = json!({ "aud": "demo-api", "product": "eloquent", "org_id": "org-1", "user_id": "user-1",
        "email": "user@example.com", "role": "user" });
    issuer.default_claims(claims.as_object().cloned().unwrap_or_default());
    let upstreams = UPSTREAMS.map(|(name, variable)| (variable, Upstream::start(name, 0, Received::default())));
    let mut env = Vec::new();
    let mut running = Vec::new();
    for (variable, upstream) in upstreams {
        let upstream = upstream?;
        env.push((variable.to_owned(), upstream.url()));
        running.push(upstream);
    }
    let (document, module) = (Path::new("envoy/gateway.yaml"), envoy::module()?);
    let bootstrap =
        Wanted { document, port, admin: ADMIN, module: &module, embed: "struct", trusted_hops: 0, tls: None }
            .generate(&env)?;
    let mut gateway = Envoy::start(&Launch { bootstrap: &bootstrap, admin: ADMIN, workers: 2, env })?;
    check(port)?;
    println!("{}", usage_text(port));
    let ended = until_interrupted(&mut gateway);
    println!("stopped");
    ended
}

fn chosen_port() -> Result<u16> {
    let text = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let port = text.parse().ok().filter(|port| *port != 0);
    port.with_context(|| format!("PORT is `{text}`, but must be a number from 1 to 65535"))
}

/// Checks that the gateway refuses a request without a token and forwards a request with a token.
fn check(port: u16) -> Result<()> {
    let ask = |request: &Request| client::send(ports::loopback(port), request, Duration::from_secs(10));
    let request = || Request::new("GET", "/api/v1/agents", "127.0.0.1");
    let refused = ask(&request())?;
    ensure!(
        refused.status == 401,
        "the gateway answered a request without a token with {} instead of 401",
        refused.status
    );
    let token = token()?;
    let answered = ask(&request().header("authorization", &format!("Bearer {token}")))?;
    ensure!(
        answered.status == 200,
        "the gateway answered a request with a valid token with {} instead of 200",
        answered.status
    );
    Ok(())
}

fn token() -> Result<String> {
    let form = Request::new("POST", "/token", &format!("127.0.0.1:{ISSUER}")).body("client_id=demo");
    let response = client::send(ports::loopback(ISSUER), &form, Duration::from_secs(10))?;
    let reply: Value = serde_json::from_slice(&response.body)?;
    Ok(reply.get("access_token").and_then(Value::as_str).context("the issuer minted no token")?.to_owned())
}

fn usage_text(port: u16) -> String {
    let gateway = format!("http://127.0.0.1:{port}");
    let token = |scope: &str| {
        format!(
            "\"authorization: Bearer $(curl -s http://127.0.0.1:{ISSUER}/token -H accept:text/plain -d client_id=demo{scope})\""
        )
    };
    let (plain, writer) = (token(""), token(" -d scope=write:agents"));
    format!(
        "The gateway listens on {gateway}, Envoy's admin on http://127.0.0.1:{ADMIN}. Try:

  # 200: a static route, open to everyone
  curl -i {gateway}/health

  # 401: no token
  curl -i {gateway}/api/v1/agents

  # 200: a token; the upstream returns the request that it received, with the identity headers
  curl -i {gateway}/api/v1/agents -H {plain}

  # 403: a token without the scope write:agents
  curl -i -X POST {gateway}/api/v1/agents -H {plain}

  # 200: a token with this scope
  curl -i -X POST {gateway}/api/v1/agents -H {writer}

  # 204: a browser's preflight, which needs no token
  curl -i -X OPTIONS {gateway}/api/v1/agents -H 'origin: https://admin.example.com' -H 'access-control-request-method: POST' -H 'access-control-request-headers: authorization'

Press Ctrl+C to stop the demo."
    )
}

fn until_interrupted(gateway: &mut Envoy) -> Result<()> {
    server::runtime()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            gateway.still_runs()?;
        }
    })
}

const ADMIN: u16 = 9901;
/// The port of the issuer. It is fixed because `envoy/gateway.yaml` contains it.
const ISSUER: u16 = 9902;
/// The upstreams of `envoy/gateway.yaml`, each with the environment variable that contains its URL.
const UPSTREAMS: [(&str, &str); 2] = [("agents", "AGENTS_SERVICE_URL"), ("admin", "ADMIN_SERVICE_URL")];
