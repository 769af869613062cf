//! Runs the two gateways of `envoy/compose.limits.yaml` without containers, with the document and the limits of the example.

use std::fs;

use serde_json::{Value, json};
use test_harness::client::{self, Request};
use test_harness::envoy::{self, Envoy, Launch};
use test_harness::generated::Wanted;
use test_harness::issuer::Issuer;
use test_harness::ports;
use test_harness::rate_limits::RateLimits;
use test_harness::token::TokenSpec;
use test_harness::trial::{PATIENCE, WORKERS, bearer, code};
use test_harness::upstream::{Received, Upstream};

#[test]
fn the_gateways_of_the_example_share_one_limit() {
    let example = envoy::root().join("envoy/limits");
    let limits: Value = serde_saphyr::from_str(&fs::read_to_string(example.join("limits.yaml")).unwrap()).unwrap();
    let most = limits.pointer("/0/max_value").and_then(Value::as_u64).unwrap();
    let limits = RateLimits::start(&limits).unwrap();
    let issuer = Issuer::start(0, &["rsa-1"]).unwrap();
    let agents = Upstream::start("agents", 0, Received::default()).unwrap();
    let document = fs::read_to_string(example.join("gateway.yaml")).unwrap();
    let document = [
        ("http://127.0.0.1:9902", issuer.url()),
        ("http://limits:8081", format!("http://127.0.0.1:{}", limits.port)),
        // The timeout is longer than in the example, so that a slow machine does not fail the test.
        ("url: \"http", "timeout: 5s, url: \"http".to_owned()),
    ]
    .iter()
    .fold(document, |text, (from, to)| {
        assert!(text.contains(from), "the example does not name {from}");
        text.replace(from, to)
    });
    let folder = envoy::fresh_folder().unwrap();
    let file = folder.join("gateway.yaml");
    fs::write(&file, document).unwrap();
    let env = vec![("AGENTS_SERVICE_URL".to_owned(), agents.url())];
    let module = envoy::module().unwrap();
    let gates = [(); 2].map(|()| {
        let [port, admin] = ports::free().unwrap();
        let wanted =
            Wanted { document: &file, port, admin, module: &module, embed: "json", trusted_hops: 0, tls: None };
        let bootstrap = wanted.generate(&env).unwrap();
        (Envoy::start(&Launch { bootstrap: &bootstrap, admin, workers: WORKERS, env: env.clone() }).unwrap(), port)
    });
    fs::remove_dir_all(folder).unwrap();
    let ask = |user: &str, port: u16| {
        let token = TokenSpec::of("rsa-1").claim("sub", user).claim("aud", "demo-api").claim("iss", issuer.url());
        let token = token.mint(test_harness::clock::unix_seconds(), &Default::default()).unwrap();
        let request = bearer(Request::new("GET", "/api/v1/agents", "gateway"), &token);
        client::send(ports::loopback(port), &request, PATIENCE).unwrap()
    };
    let mut admitted = 0;
    for turn in 0..most {
        for (_, port) in &gates {
            let response = ask("user-1", *port);
            match response.status {
                200 => admitted += 1,
                429 => assert_eq!(code(&response), "RATE_LIMITED"),
                other => panic!("{other} in turn {turn}: {}", json!(String::from_utf8_lossy(&response.body))),
            }
        }
    }
    assert_eq!(admitted, most);
    assert_eq!(gates.each_ref().map(|(_, port)| ask("user-2", *port).status), [200; 2], "another user");
    assert_eq!(agents.received().take().len() as u64, most + 2);
    for (mut envoy, _) in gates {
        envoy.filter_never_failed(WORKERS).unwrap();
    }
}
