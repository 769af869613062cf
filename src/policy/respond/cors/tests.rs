//! Tests of CORS answers to browsers and other clients.

use std::sync::Arc;
use std::time::Duration;

use super::{CorsPolicy, Preflight, names};
use crate::config::document::Cors;
use crate::config::problem::{At, Place, Problems};
use crate::policy::verdict::plan::CorsResponse;
use crate::policy::verdict::plan::HeaderFields;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Builds a CORS section. Each argument lists its entries separated by spaces. Every entry gets its own place in the document.
pub(super) fn section(origins: &str, methods: Option<&str>, headers: &str, expose: &str) -> Cors {
    let list = |name: &str, words: &str| -> Vec<At<String>> {
        let place = |at| Place { line: 0, column: 0, path: format!("cors.{name}[{at}]") };
        let at = |(at, word): (usize, &str)| At { value: word.to_owned(), place: place(at) };
        words.split_whitespace().enumerate().map(at).collect()
    };
    Cors {
        allow_origins: list("allow_origins", origins),
        allow_methods: methods.map(|methods| list("allow_methods", methods)),
        allow_headers: list("allow_headers", headers),
        expose_headers: list("expose_headers", expose),
        allow_credentials: false,
        max_age: None,
        allow_private_network: false,
        place: Place { line: 0, column: 0, path: "cors".to_owned() },
    }
}

pub(super) fn compiled(section: &Cors) -> CorsPolicy {
    let mut problems = Problems::default();
    let policy = CorsPolicy::compile(section, &mut problems);
    assert!(problems.is_empty(), "{:?}", problems.sorted());
    policy
}

pub(super) fn with_credentials(section: Cors) -> Cors {
    Cors { allow_credentials: true, ..section }
}

pub(super) fn for_seconds(seconds: u64, section: Cors) -> Cors {
    let place = Place { path: "cors.max_age".to_owned(), ..Place::default() };
    Cors { max_age: Some(At { value: Duration::from_secs(seconds), place }), ..section }
}

pub(super) fn private(section: Cors) -> Cors {
    Cors { allow_private_network: true, ..section }
}

/// Formats header fields as `name: value` lines for comparison.
fn lines(fields: &HeaderFields) -> Vec<String> {
    fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn asking<'r>(origin: &'r str, method: &'r str, headers: &'r str) -> Preflight<'r> {
    let headers = (!headers.is_empty()).then_some(headers.as_bytes());
    Preflight { origin: origin.as_bytes(), method: method.as_bytes(), headers, private_network: false }
}

pub(super) const APP: &str = "https://app.example.com";
const VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[test]
fn an_allowed_preflight_lists_everything_that_the_policy_allows() {
    let policy =
        compiled(&for_seconds(300, with_credentials(section(APP, Some("PUT DELETE"), "Authorization X-A", "X-B"))));
    let answer = policy.preflight(&asking(APP, "PUT", "x-a,authorization"), &["GET"]);
    assert_eq!((answer.status, answer.reason), (204, None));
    assert_eq!(
        lines(&answer.headers),
        [
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-credentials: true",
            "access-control-allow-methods: PUT, DELETE",
            "access-control-allow-headers: authorization, x-a",
            "access-control-max-age: 300",
            VARY,
        ]
    );
}

#[test]
fn a_refused_preflight_allows_nothing_requested_and_records_the_reason() {
    let policy = compiled(&section(APP, Some("PUT"), "X-A", ""));
    let too_many = vec!["x-a"; 65].join(",");
    let too_long = "x-a,".repeat(1025);
    for (request, reason, detail) in [
        (asking("https://evil.com", "PUT", ""), "cors_origin_not_allowed", None),
        (asking("null", "PUT", ""), "cors_origin_not_allowed", None),
        (asking("", "PUT", ""), "cors_origin_not_allowed", None),
        (asking(APP, "DELETE", ""), "cors_method_not_allowed", Some("DELETE")),
        (asking(APP, "put", ""), "cors_method_not_allowed", Some("put")),
        (asking(APP, "", ""), "cors_method_not_allowed", None),
        (asking(APP, "P\r\nX: y", ""), "cors_method_not_allowed", None),
        (asking(APP, "PUT", "x-a,x-b"), "cors_header_not_allowed", Some("x-b")),
        (asking(APP, "PUT", "x-a x-a"), "cors_header_not_allowed", None),
        (asking(APP, "PUT", &too_many), "cors_header_not_allowed", Some("too many requested headers")),
        (asking(APP, "PUT", &too_long), "cors_header_not_allowed", Some("the list of requested headers is too long")),
        (Preflight { private_network: true, ..asking(APP, "PUT", "") }, "cors_private_network_not_allowed", None),
    ] {
        let answer = policy.preflight(&request, &["PUT"]);
        let vary = if request.private_network {
            format!("{VARY}, Access-Control-Request-Private-Network")
        } else {
            VARY.to_owned()
        };
        let is_foreign = request.origin != APP.as_bytes();
        assert_eq!((answer.status, answer.reason), (if is_foreign { 403 } else { 204 }, Some(reason)), "{request:?}");
        assert_eq!(
            answer.headers.last().map(|(_, value)| value.as_ref()),
            Some(vary.trim_start_matches("vary: ")),
            "{request:?}"
        );
        assert_eq!(answer.headers.len() == 1, is_foreign, "a foreign origin gets no lists: {request:?}");
        assert_eq!(answer.detail.as_deref(), detail, "{request:?}");
    }
}

#[test]
fn requested_headers_are_parsed_leniently() {
    let policy = compiled(&section(APP, None, "X-A Content-Type", ""));
    for list in ["", "x-a", "X-A", "x-a,content-type", " x-a ,\tcontent-type ", ",,x-a,,", "content-type,x-a,x-a"] {
        assert_eq!(policy.preflight(&asking(APP, "GET", list), &["GET"]).reason, None, "{list:?}");
    }
    let most = vec!["x-a"; 64].join(",");
    assert_eq!(policy.preflight(&asking(APP, "GET", &most), &["GET"]).reason, None, "sixty-four names");
}

#[test]
fn methods_come_from_the_policy_or_the_path() {
    let allowed = |methods: Option<&str>, method: &str, path: &[&str]| {
        let answer = compiled(&section(APP, methods, "", "")).preflight(&asking(APP, method, ""), path);
        let methods = answer.headers.iter().find(|(name, _)| &**name == names::ALLOW_METHODS);
        answer.reason.is_none().then(|| methods.map_or_else(String::new, |(_, value)| value.to_string()))
    };
    for (policy, method, path, expected, because) in [
        (None, "PUT", &["PUT", "GET"][..], Some("PUT, GET"), "the path has it"),
        (None, "DELETE", &["PUT", "GET"], None, "the path does not have it"),
        (None, "POST", &["PUT"], Some("PUT"), "safelisted methods are allowed, and the page can read the route's 405"),
        (None, "GET", &[], Some(""), "the list is empty"),
        (None, "PROPFIND", &["*"], Some("PROPFIND"), "the path accepts any method"),
        (None, "A,B", &["*"], None, "a value that could be parsed as a list is not echoed"),
        (Some("PUT"), "PUT", &["GET"], Some("PUT"), "the policy allows it"),
        (Some("PUT"), "HEAD", &["PUT"], Some("PUT"), "safelisted"),
        (Some("*"), "PATCH", &["GET"], Some("*"), "any method"),
        (Some("*"), "\u{e9}", &["GET"], None, "not a valid method"),
    ] {
        assert_eq!(
            allowed(policy, method, path).as_deref(),
            expected,
            "{method} with {policy:?} on {path:?}: {because}"
        );
    }
}

#[test]
fn a_header_wildcard_excludes_authorization_as_in_browsers() {
    let bare = compiled(&section("*", None, "*", ""));
    assert_eq!(bare.preflight(&asking(APP, "GET", "x-any,content-type"), &["GET"]).reason, None);
    assert!(bare.preflight(&asking(APP, "GET", "x any"), &["GET"]).reason.is_some(), "not a valid name");
    let refused = bare.preflight(&asking(APP, "GET", "authorization"), &["GET"]);
    assert_eq!(refused.reason, Some("cors_header_not_allowed"));
    assert!(refused.detail.unwrap().contains("does not cover `authorization`"));
    let listed = compiled(&section("*", None, "* Authorization", ""));
    let answer = listed.preflight(&asking(APP, "GET", "authorization,x-any"), &["GET"]);
    assert!(
        lines(&answer.headers).contains(&"access-control-allow-headers: *, authorization".to_owned()),
        "{answer:?}"
    );
}

#[test]
fn private_networks_are_allowed_only_by_the_policy() {
    let policy = compiled(&private(section(APP, None, "", "")));
    let asked = policy.preflight(&Preflight { private_network: true, ..asking(APP, "GET", "") }, &["GET"]);
    assert!(lines(&asked.headers).contains(&"access-control-allow-private-network: true".to_owned()), "{asked:?}");
    let not_asked = policy.preflight(&asking(APP, "GET", ""), &["GET"]);
    assert_eq!(not_asked.status, 204);
    assert!(!lines(&not_asked.headers).contains(&"access-control-allow-private-network: true".to_owned()));
    for answer in [asked, not_asked] {
        assert!(
            lines(&answer.headers).contains(&format!("{VARY}, Access-Control-Request-Private-Network")),
            "{answer:?}"
        );
    }
}

#[test]
fn every_response_of_a_selective_policy_varies_by_origin() {
    let policy =
        compiled(&with_credentials(section("https://app.example.com https://*.example.org", None, "", "X-B X-C")));
    let allowed = |origin: &str| {
        let origin = format!("access-control-allow-origin: {origin}");
        vec![
            origin,
            "access-control-allow-credentials: true".to_owned(),
            "access-control-expose-headers: x-b, x-c".to_owned(),
        ]
    };
    for (origin, expected) in [
        (Some(APP), allowed(APP)),
        (Some("https://a.example.org"), allowed("https://a.example.org")),
        (Some("https://example.org"), vec![]),
        (Some("null"), vec![]),
        (Some("*"), vec![]),
        (Some(""), vec![]),
        (None, vec![]),
    ] {
        let response = policy.response(origin.map(str::as_bytes));
        assert_eq!(lines(&response.set), expected, "{origin:?}");
        assert_eq!(response.vary.as_deref(), Some("Origin"), "{origin:?}");
        assert_eq!(response.remove, names::RESPONSE_HEADERS, "{origin:?}");
    }
}

#[test]
fn a_wildcard_without_credentials_does_not_vary_by_origin() {
    let policy = compiled(&section("*", None, "", "*"));
    for origin in [None, Some("https://any.test"), Some("null")] {
        let CorsResponse { set, vary, .. } = &*policy.response(origin.map(str::as_bytes));
        assert_eq!(lines(set), ["access-control-allow-origin: *", "access-control-expose-headers: *"], "{origin:?}");
        assert_eq!(*vary, None, "{origin:?}");
    }
    let answer = policy.preflight(&asking("https://any.test", "GET", ""), &["GET"]);
    assert!(lines(&answer.headers).contains(&VARY.to_owned()), "the answer still differs by method and headers");
}

#[test]
fn common_responses_are_shared() {
    let policy = compiled(&section("https://b.test https://a.test null", None, "", ""));
    for origin in [None, Some("https://a.test"), Some("https://b.test"), Some("null"), Some("https://c.test")] {
        let origin = origin.map(str::as_bytes);
        assert!(Arc::ptr_eq(&policy.response(origin), &policy.response(origin)), "{origin:?}");
    }
}
