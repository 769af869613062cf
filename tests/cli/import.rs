//! What `import` carries over, and that nothing becomes open by it.

use crate::Bench;

#[test]
fn other_gateways_are_imported_and_nothing_becomes_open() {
    let bench = Bench::new("import");
    bench.write("serverless.json", SERVERLESS);
    bench.write("routes.yaml", ROUTES);
    for (file, lost, routes) in [
        ("serverless.json", "serverless.json:4:32: paths[1].path: warning: matched `/admin` itself as well", 2),
        ("routes.yaml", "routes.yaml:7:16: routes[0].cache_ttl: warning: responses are not cached here", 3),
    ] {
        let bare = bench.run(&["import", file]);
        assert_eq!(bare.code, 0);
        assert!(bare.out.contains("# PROBLEM:"), "{}", bare.out);
        assert!(bare.err.lines().any(|line| line.starts_with(lost)), "{}", bare.err);
        bench.write("imported.yaml", &bare.out);
        let checked = bench.run(&["check", "imported.yaml"]);
        assert_eq!(checked.code, 1, "a protected route without an issuer must stay a problem");
        assert!(checked.err.contains("needs a token and no issuer is declared"), "{}", checked.err);

        let options = [
            "--issuer",
            "i",
            "--audience",
            "a",
            "--secret-env",
            "JWT_SECRET",
            "--upstream",
            "admin=http://127.0.0.1:9",
        ];
        let full = bench.run(&[&["import", file][..], &options].concat());
        assert!(!full.out.contains("PROBLEM"), "{}", full.out);
        bench.write("imported.yaml", &full.out);
        let checked = bench.run(&["check", "imported.yaml", "--set", "AGENTS_SERVICE_URL=http://agents"]);
        assert_eq!(checked.out, format!("imported.yaml: {routes} routes, 1 issuer, no problems\n"), "{}", checked.err);
    }
}

#[test]
fn a_secret_in_an_imported_file_stays_there() {
    let bench = Bench::new("secret");
    let authorizer = r#""authorizer": {"type": "jwt", "secret": "hunter2hunter2", "algorithm": "HS256", "issuer": "i", "audience": "a"}, "paths""#;
    bench.write("serverless.json", &SERVERLESS.replace("\"paths\"", authorizer));
    let ran = bench.run(&["import", "serverless.json"]);
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("env: JWT_SECRET"), "{}", ran.out);
}

const SERVERLESS: &str = r#"{
  "cors": { "allow_origins": ["https://admin.example.com"], "allow_methods": ["GET", "POST", "OPTIONS"], "allow_credentials": true, "max_age": 300 },
  "paths": [ { "method": "GET", "path": "/admin/health", "response": { "status": "ok" } },
    { "method": "GET", "path": "/admin/{.+}", "auth": true, "integration": { "type": "http_proxy", "server": "admin" } } ]
}
"#;

const ROUTES: &str = "version: '1.0'
public_paths: [/health, /api/v1/docs]
routes:
  - path: /api/v1/agents
    method: GET
    auth_required: true
    cache_ttl: 60s
    proxy_upstream: $AGENTS_SERVICE_URL
  - path: /api/v1/agents/{id}
    method: PUT
    proxy_upstream: $AGENTS_SERVICE_URL
    scopes: [write:agents]
";
