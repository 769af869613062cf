//! Tests of the messages about unsafe or ineffective settings.

use crate::config::problem::Problems;
use crate::policy::respond::cors::CorsPolicy;
use crate::policy::respond::cors::tests::{APP, for_seconds, private, section, with_credentials};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn unsafe_or_ineffective_sections_are_rejected_with_their_place() {
    let ok = || section(APP, None, "", "");
    for (section, expected) in [
        (section("", None, "", ""), &["cors: `allow_origins` is empty"][..]),
        (
            section("https://a.test https://a.test", None, "", ""),
            &["cors.allow_origins[1]: origin `https://a.test` is listed twice"],
        ),
        (section("* https://a.test", None, "", ""), &["cors.allow_origins[0]: `*` already allows every origin"]),
        (
            section("https://a.test/", None, "", ""),
            &["cors.allow_origins[0]: `https://a.test/` would match no browser's"],
        ),
        (
            with_credentials(section("*", None, "", "")),
            &["cors.allow_origins[0]: `*` with `allow_credentials: true` would let every site"],
        ),
        (
            with_credentials(section("null", None, "", "")),
            &["cors.allow_origins[0]: `null` with `allow_credentials: true`"],
        ),
        (
            with_credentials(section("http://a.test", None, "", "")),
            &["cors.allow_origins[0]: `http://a.test` with `allow_credentials: true`"],
        ),
        (
            with_credentials(section("http://*.a.test", None, "", "")),
            &["cors.allow_origins[0]: `http://*.a.test` with"],
        ),
        (private(section("*", None, "", "")), &["cors.allow_origins[0]: `*` with `allow_private_network: true`"]),
        (private(section("null", None, "", "")), &["cors.allow_origins[0]: `null` with `allow_private_network: true`"]),
        (
            private(section("http://a.test", None, "", "")),
            &["cors.allow_origins[0]: `http://a.test` with `allow_private_network"],
        ),
        (
            with_credentials(section(APP, Some("*"), "*", "*")),
            &[
                "cors.allow_headers[0]: `*` is not a wildcard for browsers",
                "cors.allow_methods[0]: `*` is not a wildcard for browsers",
                "cors.expose_headers[0]: `*` is not a wildcard for browsers",
            ],
        ),
        (section(APP, Some(""), "", ""), &["cors: `allow_methods` is empty"]),
        (
            section(APP, Some("put"), "", ""),
            &["cors.allow_methods[0]: methods are case-sensitive: write `PUT` instead of `put`"],
        ),
        (section(APP, Some("TRACE"), "", ""), &["cors.allow_methods[0]: no browser lets a script send `TRACE`"]),
        (section(APP, Some("connect"), "", ""), &["cors.allow_methods[0]: no browser lets a script send `connect`"]),
        (section(APP, Some("PUT,GET"), "", ""), &["cors.allow_methods[0]: `PUT,GET` is not a method"]),
        (section(APP, Some("PUT PUT"), "", ""), &["cors.allow_methods[1]: method `PUT` is listed twice"]),
        (section(APP, Some("PUT *"), "", ""), &["cors.allow_methods[1]: `*` already allows every method"]),
        (section(APP, None, "X-A x-a", ""), &["cors.allow_headers[1]: header `x-a` is listed twice"]),
        (section(APP, None, "X:A", ""), &["cors.allow_headers[0]: `X:A` is not a header name"]),
        (
            section(APP, None, "Cookie Sec-X", ""),
            &["cors.allow_headers[0]: no browser lets a script set `Cookie`", "cors.allow_headers[1]: no browser lets"],
        ),
        (
            section(APP, None, "Access-Control-Allow-Origin", ""),
            &["cors.allow_headers[0]: `Access-Control-Allow-Origin` is a response header"],
        ),
        (section(APP, None, "* Authorization X-A", ""), &["cors.allow_headers[2]: `*` already allows `X-A`"]),
        (section(APP, None, "", "Set-Cookie"), &["cors.expose_headers[0]: no browser lets a script read `Set-Cookie`"]),
        (section(APP, None, "", "X-A x-A"), &["cors.expose_headers[1]: header `x-A` is listed twice"]),
        (section(APP, None, "", "* X-A"), &["cors.expose_headers[0]: `*` already exposes every header"]),
        (section(APP, None, "", "X-A,X-B"), &["cors.expose_headers[0]: `X-A,X-B` is not a header name"]),
        (
            section(APP, None, "", "Access-Control-Max-Age"),
            &["cors.expose_headers[0]: `Access-Control-Max-Age` is for the browser"],
        ),
        (for_seconds(86_401, ok()), &["cors.max_age: `max_age` of 86401 s is longer than any browser"]),
        (for_seconds(86_400, ok()), &[]),
        (with_credentials(section("http://localhost:3000 http://127.0.0.1:8080 http://[::1]", None, "", "")), &[]),
        (
            private(with_credentials(section("https://*.a.test", None, "Accept Content-Type Range", "Content-Length"))),
            &[],
        ),
        (section("null http://a.test", None, "", ""), &[]),
    ] {
        let mut problems = Problems::default();
        CorsPolicy::compile(&section, &mut problems);
        let messages: Vec<String> = problems.sorted().iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), expected.len(), "{section:?}: {messages:?}");
        for (message, expected) in messages.iter().zip(expected) {
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
