//! Tests that no message repeats a secret from a URL, a variable or an argument.

use crate::Bench;

const SECRET: &str = "hunter2hunter2";

#[test]
fn messages_contain_no_secret() {
    let bench = Bench::new("secrets");
    let gateway = |url: &str| {
        format!(
            "version: '1.0'\nupstreams: {{ u: {{ url: '{url}' }} }}\nroutes:\n- {{ path: /a, auth: none, upstream: u }}\n"
        )
    };
    bench.write("literal.yaml", &gateway(&format!("https://user:{SECRET}@orders.internal/")));
    bench.write("query.yaml", &gateway(&format!("https://orders internal/?key={SECRET}")));
    bench.write("variable.yaml", &gateway("$ORDERS"));
    bench.write("part.yaml", &gateway("https://$ORDERS:x/"));
    bench.write("open.yaml", &gateway(&format!("https://u:{SECRET}@${{ORDERS")));
    let jwks = format!(
        "version: '1.0'\nissuers:\n- {{ name: a, issuer: i, audiences: [x], jwks: {{ uri: 'https://u:{SECRET}@a/keys', cluster: c }} }}\nroutes: []\n\
         rate_limit_service: {{ cluster: r, url: 'http://u:{SECRET}@r/' }}\nclients_from: {{ uri: 'https://u:{SECRET}@c/', cluster: c }}\n\
         revocation: {{ uri: 'https://u:{SECRET}@c/', cluster: c }}\n"
    );
    bench.write("issuer.yaml", &jwks);
    let key = format!("pck_test_8fK2mQ7xW1bT_{SECRET}{SECRET}abcd");
    let set = |value: &str| format!("--set=ORDERS={value}");
    let password = set(&format!("https://user:{SECRET}@orders.internal/"));
    let token = format!("eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}");
    for (arguments, expected) in [
        (
            &["check", "literal.yaml"][..],
            "`https://…@orders.internal/` is not an address: it must not contain a user name or a password",
        ),
        (&["check", "query.yaml"], "`https://orders internal/?…` is not an address"),
        (&["check", "issuer.yaml"], "it must not contain a user name or a password"),
        (
            &["check", "variable.yaml", &password],
            "`$ORDERS`, with the values of its variables, is not an address: it must not",
        ),
        (&["check", "variable.yaml", &set(SECRET)], "it must start with http:// or https://"),
        (&["check", "part.yaml", &set(SECRET)], "its port must be"),
        (&["check", "open.yaml"], "cannot be resolved: `${` has no closing brace"),
        (&["generate", "envoy", "variable.yaml", &password], "it must not contain a user name or a password"),
        (&["explain", "variable.yaml", "GET", "/a", &password], "it must not contain a user name or a password"),
        (&["check", "gateway.yaml", "--set", SECRET], "invalid value for '--set <NAME=VALUE>': expected NAME=VALUE"),
        (&["check", "gateway.yaml", &format!("--set==x{SECRET}")], "expected NAME=VALUE"),
        (&["explain", "gateway.yaml", "GET", "/", "--header", SECRET], "expected `Name: value`"),
        (&["permission", "decode", "gateway.yaml", &token], "expected masks like `LIC=3`"),
        (&["token", "inspect", &token], "not a JWT"),
        (
            &["keys", "revoke", "gateway.yaml", "--key", &key, "--by", "b", "--reason", "r"],
            "expected the id or the prefix of a key",
        ),
        (
            &[
                "token",
                "get",
                "--token-endpoint",
                &format!("https://u:{SECRET}@a/"),
                "--client-id",
                "c",
                "--secret-env",
                "PATH",
            ],
            "a URL with a user name is not accepted",
        ),
        (
            &[
                "token",
                "get",
                "--token-endpoint",
                &format!("http://u:{SECRET}@a b/"),
                "--client-id",
                "c",
                "--secret-env",
                "PATH",
            ],
            "is not a URL",
        ),
    ] {
        let ran = bench.run(arguments);
        assert_ne!(ran.code, 0, "{arguments:?}");
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
        assert!(!format!("{}{}", ran.out, ran.err).contains(SECRET), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_report_contains_no_complete_token() {
    let bench = Bench::new("secrets-report");
    let document = "version: '1.0'\nupstreams: { u: { url: 'http://u' } }\nroutes:\n- { path: /a, auth: none, upstream: u, forward_token: true }\n";
    bench.write("gateway.yaml", document);
    let cookie = format!("Cookie: a=b; session=eyJhIjoxfQ.eyJiIjoyfQ.{SECRET}; c=d");
    for more in [&[][..], &["--json"]] {
        let arguments = [&["explain", "gateway.yaml", "GET", "/a", "--header", cookie.as_str()][..], more].concat();
        let ran = bench.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("session=eyJhIjoxfQ.eyJiIjoyfQ.…; c=d"), "{}", ran.out);
        assert!(!ran.out.contains(SECRET), "{}", ran.out);
    }
}
