//! Tests `portcullis token get` with a real authorization server, and its tokens with a real Envoy.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::envoy::{self, Envoy, Launch};
use test_harness::generated::Wanted;
use test_harness::provider::Provider;
use test_harness::server::{self, Server};
use test_harness::upstream::{Received, Upstream};
use test_harness::{certificate, ports, program};

/// The exit code and the output of `portcullis`.
struct CommandOutput {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `token get` for a client whose secret is in the environment.
fn get(secret: &str, env: &[(&str, &str)], arguments: &[&str]) -> Result<CommandOutput> {
    let mut command = Command::new(program::program()?);
    command.args(["token", "get", "--secret-env", "PORTCULLIS_TEST_CLIENT"]).args(arguments).stdin(Stdio::null());
    // The proxy settings and certificates of the environment must not affect the test.
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ] {
        command.env_remove(name);
    }
    let output = command.env("PORTCULLIS_TEST_CLIENT", secret).envs(env.iter().copied()).output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(!err.contains(secret), "standard error contains the secret: {err}");
    Ok(CommandOutput { code: output.status.code(), out, err })
}

/// Returns the token. Standard output must have only the token, on one line.
fn token(said: &CommandOutput) -> Result<&str> {
    ensure!(said.code == Some(0), "{}", said.err);
    let token = said.out.strip_suffix('\n').context("standard output has no complete line")?;
    ensure!(token.split('.').count() == 3 && !token.contains(['\n', ' ']), "standard output has `{}`", said.out);
    Ok(token)
}

fn clients() -> Value {
    json!([
        { "client_id": "billing", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic" },
        { "client_id": "form", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post" },
    ])
}

#[test]
fn a_real_envoy_accepts_a_fetched_token() -> Result<()> {
    let provider = Provider::start(&clients(), RESOURCE, None)?;
    let upstream = Upstream::start("orders", 0, Received::default())?;
    let document = json!({
        "version": "1.0",
        "issuers": [{ "name": "accounts", "issuer": provider.issuer, "audiences": [RESOURCE], "algorithms": ["ES256"],
            "jwks": { "uri": format!("{}/jwks", provider.issuer), "cluster": "accounts" } }],
        "identity_headers": { "X-Client-ID": { "client": "id" } },
        "upstreams": { "orders": { "url": upstream.url() } },
        "routes": [{ "path": "/orders", "upstream": "orders", "scopes": ["orders:read"] },
            { "path": "/changes", "upstream": "orders", "scopes": ["orders:write"] }],
    });
    let folder = envoy::fresh_folder()?;
    std::fs::write(folder.join("gateway.json"), document.to_string())?;
    let [port, admin] = ports::free()?;
    let (file, module) = (folder.join("gateway.json"), envoy::module()?);
    let wanted = Wanted { document: &file, port, admin, module: &module, embed: "json", trusted_hops: 0, tls: None };
    let gateway = Envoy::start(&Launch { bootstrap: &wanted.generate(&[])?, admin, workers: 1, env: Vec::new() })?;
    std::fs::remove_dir_all(&folder)?;
    let ask = |path: &str, token: Option<&str>| -> Result<u16> {
        let request = Request::new("GET", path, "api.example.com");
        let bearer = |token: &str| request.clone().header("authorization", &format!("Bearer {token}"));
        let request = token.map_or_else(|| request.clone(), bearer);
        Ok(client::send(ports::loopback(port), &request, PATIENCE)?.status)
    };
    let endpoint = format!("{}/token", provider.issuer);
    for arguments in [
        &["--issuer", &provider.issuer, "--client-id", "billing"][..],
        &["--token-endpoint", &endpoint, "--client-id", "billing", "--resource", RESOURCE],
        &["--token-endpoint", &endpoint, "--client-id", "form", "--auth", "post", "--audience", "x"],
    ] {
        let said = get(SECRET, &[], &[arguments, &["--scope", "orders:read"]].concat())?;
        let token = token(&said)?;
        ensure!(said.err == "a token valid for 300 s, scope `orders:read`\n", "{}", said.err);
        let got = (ask("/orders", Some(token))?, ask("/changes", Some(token))?, ask("/orders", None)?);
        ensure!(got == (200, 403, 401), "{arguments:?}: {got:?}\n{}", gateway.log_tail(15));
    }
    let both =
        ["--issuer", &provider.issuer, "--client-id", "billing", "--scope", "orders:read", "--scope", "orders:write"];
    let said = get(SECRET, &[], &both)?;
    ensure!(ask("/changes", Some(token(&said)?))? == 200, "{}", gateway.log_tail(15));
    Ok(())
}

#[test]
fn a_refusal_of_the_token_server_is_reported_verbatim() -> Result<()> {
    let provider = Provider::start(&clients(), RESOURCE, None)?;
    let other_name = provider.issuer.replace("127.0.0.1", "localhost");
    let issuer = ["--issuer", &provider.issuer];
    for (secret, arguments, expected) in [
        (
            "wrong",
            &["--client-id", "billing"][..],
            "refused the request (401): invalid_client: client authentication failed",
        ),
        (SECRET, &["--client-id", "nobody"], "refused the request (401): invalid_client"),
        (
            SECRET,
            &["--client-id", "billing", "--resource", "https://elsewhere.example/"],
            "refused the request (400): invalid_target",
        ),
    ] {
        let said = get(secret, &[], &[&issuer[..], arguments].concat())?;
        let as_expected = said.code == Some(1) && said.out.is_empty() && said.err.contains(expected);
        ensure!(as_expected, "{arguments:?}: {:?} `{}` {}", said.code, said.out, said.err);
    }
    let said = get(SECRET, &[], &["--issuer", &other_name, "--client-id", "billing"])?;
    let expected = format!("is the metadata of {}, not of {other_name}", provider.issuer);
    ensure!(said.code == Some(1) && said.err.contains(&expected), "{}", said.err);
    Ok(())
}

#[test]
fn the_certificate_of_a_token_server_is_verified() -> Result<()> {
    let (own, key, authority) = certificate::of_this_machine()?;
    let provider = Provider::start(&clients(), RESOURCE, Some((&own, &key)))?;
    let folder = envoy::fresh_folder()?;
    let trusted = folder.join("authority.pem").display().to_string();
    std::fs::write(&trusted, authority)?;
    let (_, _, stranger) = certificate::of_this_machine()?;
    let untrusted = folder.join("stranger.pem").display().to_string();
    std::fs::write(&untrusted, stranger)?;
    let arguments = ["--issuer", &provider.issuer, "--client-id", "billing"];
    let said = get(SECRET, &[("SSL_CERT_FILE", &trusted)], &arguments)?;
    token(&said)?;
    let said = get(SECRET, &[("SSL_CERT_FILE", &untrusted)], &arguments)?;
    ensure!(said.code == Some(1) && said.out.is_empty() && said.err.contains("certificate"), "{}", said.err);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// If an endpoint sends an invalid response, the command must fail with an error message.
#[test]
fn a_response_without_a_token_is_refused() -> Result<()> {
    let json = |status, body: &str| server::reply(status, "application/json", body.to_owned());
    let odd = Server::start(0, move |request: server::Request| {
        let path = request.uri().path().to_owned();
        async move {
            // The server reads the whole request first, because an early response could interrupt the client while it sends.
            request.into_body().collect().await.map_err(std::io::Error::other)?;
            match path.as_str() {
                "/slow" => {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    json(200, "{}")
                }
                "/elsewhere" => {
                    let response = json(302, "")?;
                    let (mut parts, body) = response.into_parts();
                    parts
                        .headers
                        .insert("location", hyper::header::HeaderValue::from_static("http://127.0.0.1:9/token"));
                    Ok(server::Response::from_parts(parts, body))
                }
                "/huge" => json(200, &format!("{{\"access_token\":\"{}\"}}", "x".repeat(300_000))),
                "/text" => json(200, "access_token=a&token_type=bearer"),
                "/without" => json(200, "{\"token_type\":\"Bearer\"}"),
                "/bound" => json(200, "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}"),
                "/lines" => json(200, "{\"access_token\":\"a\\nb\",\"token_type\":\"Bearer\"}"),
                "/bare" => json(200, "{\"access_token\":\"opaque\",\"token_type\":\"bearer\",\"scope\":\"a\"}"),
                "/mute" => json(503, "no"),
                "/rude" => json(400, "{\"error\":\"invalid_scope\",\"error_description\":\"\\u001b[2Jgone\"}"),
                "/echo" => json(
                    401,
                    &format!("{{\"error\":\"invalid_client\",\"error_description\":\"not {SECRET}\\u202e\"}}"),
                ),
                "/openid/.well-known/openid-configuration" => json(200, "{\"issuer\":\"OPENID\"}"),
                _ => json(404, "{}"),
            }
        }
    })?;
    for (path, expected) in [
        ("/slow", "timed out (--timeout)"),
        ("/elsewhere", "returned 302, a redirect, which is not followed"),
        ("/huge", "the response is larger than 262144 bytes"),
        ("/text", "returned 200 without an `access_token` in JSON"),
        ("/without", "returned 200 without an `access_token` in JSON"),
        ("/bound", "the `token_type` is DPoP: only Bearer is supported"),
        ("/lines", "the `access_token` is empty or has characters that a header cannot contain"),
        ("/mute", "the token endpoint returned 503 without a reason"),
        ("/rude", "refused the request (400): invalid_scope: \\u001b[2Jgone"),
        ("/echo", "refused the request (401): invalid_client: not …\\u202e"),
    ] {
        let endpoint = format!("{}{path}", odd.url());
        let said = get(SECRET, &[], &["--token-endpoint", &endpoint, "--client-id", "c", "--timeout", "1s"])?;
        let as_expected = said.code == Some(1) && said.out.is_empty() && said.err.contains(expected);
        ensure!(as_expected, "{path}: {:?} `{}` {}", said.code, said.out, said.err);
    }
    let bare = format!("{}/bare", odd.url());
    let said = get(SECRET, &[], &["--token-endpoint", &bare, "--client-id", "c", "--scope", "a", "--scope", "b"])?;
    ensure!(
        said.out == "opaque\n" && said.err == "a token of unknown lifetime, scope `a` (not granted: b)\n",
        "{}",
        said.err
    );
    for (arguments, expected) in [
        (["--issuer", &format!("{}/openid", odd.url())], "is the metadata of OPENID, not of"),
        (["--issuer", &odd.url()], "no metadata of"),
        (["--issuer", "http://accounts.example.com"], "must be https, or http on this machine"),
        (["--token-endpoint", "http://192.0.2.1/token"], "must be https, or http on this machine"),
        (["--token-endpoint", "https://user:pass@192.0.2.1/token"], "a URL with a user name is not accepted"),
        (["--token-endpoint", "/token"], "is not an absolute URL"),
    ] {
        let said = get(SECRET, &[], &[&arguments[..], &["--client-id", "c", "--timeout", "2s"]].concat())?;
        let as_expected = said.code == Some(1) && said.out.is_empty() && said.err.contains(expected);
        ensure!(as_expected, "{arguments:?}: {:?} {}", said.code, said.err);
    }
    Ok(())
}

const RESOURCE: &str = "https://api.test/orders";
/// A secret with every character that is special in a form, in `name:password` or in a header.
const SECRET: &str = "s:ecr%et+of/the&test=x";
const PATIENCE: Duration = Duration::from_secs(20);
