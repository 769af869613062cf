//! Compares the policy with a model of a browser's CORS checks that is written only from the Fetch standard.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::FileFailurePersistence;

use super::tests::{compiled, section};
use super::{CorsPolicy, Preflight};
use crate::config::document::Cors;
use crate::policy::verdict::plan::HeaderFields;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A cross-origin request that a script sends.
#[derive(Clone, Debug)]
struct BrowserCall {
    origin: &'static str,
    method: &'static str,
    /// The names of the headers that the script sets and that are not safelisted.
    unsafe_headers: Vec<&'static str>,
    /// Whether the credentials mode is `include`.
    credentials: bool,
    /// Whether a public page sends the request to a private network.
    private_network: bool,
    /// Whether the script listens to upload progress. If so, the browser sets the "use-CORS-preflight flag".
    listens_to_upload: bool,
}

/// Returns `true` if the browser lets the script read the response. Follows the algorithm "HTTP fetch" (Fetch §4.4), with the
/// response tainting "cors".
fn browser_lets_the_script_read(call: &BrowserCall, policy: &CorsPolicy, path: &[&str]) -> bool {
    let preflight = !is_safelisted(call.method)
        || !call.unsafe_headers.is_empty()
        || call.private_network
        || call.listens_to_upload;
    if preflight && !preflight_succeeds(call, policy, path) {
        return false;
    }
    cors_check(call, &policy.response(Some(call.origin.as_bytes())).set)
}

/// Returns `true` if the preflight succeeds. Follows the algorithm "CORS-preflight fetch" (Fetch §4.8), with the additional step
/// of Private Network Access.
fn preflight_succeeds(call: &BrowserCall, policy: &CorsPolicy, path: &[&str]) -> bool {
    let mut names: Vec<String> = call.unsafe_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort();
    let list = names.join(",");
    let request = Preflight {
        origin: call.origin.as_bytes(),
        method: call.method.as_bytes(),
        headers: (!names.is_empty()).then_some(list.as_bytes()),
        private_network: call.private_network,
    };
    let answer = policy.preflight(&request, path);
    if !cors_check(call, &answer.headers) || !(200..=299).contains(&answer.status) {
        return false;
    }
    let mut methods = values(&answer.headers, "access-control-allow-methods");
    let headers = values(&answer.headers, "access-control-allow-headers").unwrap_or_default();
    if methods.is_none() && call.listens_to_upload {
        methods = Some(vec![call.method.to_owned()]);
    }
    let methods = methods.unwrap_or_default();
    let star = |list: &[String]| !call.credentials && list.iter().any(|item| item == "*");
    if !methods.iter().any(|method| method == call.method) && !is_safelisted(call.method) && !star(&methods) {
        return false;
    }
    let listed = |name: &str| headers.iter().any(|header| header.eq_ignore_ascii_case(name));
    if names.iter().any(|name| name == "authorization" && !listed(name)) {
        return false;
    }
    if names.iter().any(|name| !listed(name) && !star(&headers)) {
        return false;
    }
    !call.private_network || value(&answer.headers, "access-control-allow-private-network") == Some("true")
}

/// Returns `true` if the response passes the algorithm "CORS check" (Fetch §4.10).
fn cors_check(call: &BrowserCall, response: &HeaderFields) -> bool {
    let Some(origin) = value(response, "access-control-allow-origin") else { return false };
    if !call.credentials && origin == "*" {
        return true;
    }
    if origin != call.origin {
        return false;
    }
    !call.credentials || value(response, "access-control-allow-credentials") == Some("true")
}

/// Returns `true` if a script may read a response header that is not safelisted (Fetch §4.1, "CORS-exposed header-name list").
fn browser_shows(name: &str, call: &BrowserCall, response: &HeaderFields) -> bool {
    let exposed = values(response, "access-control-expose-headers").unwrap_or_default();
    exposed.iter().any(|item| item.eq_ignore_ascii_case(name) || (item == "*" && !call.credentials))
}

/// Returns the value of a field. Panics if the field is repeated: browsers join the values (Fetch §2.2.2), and a joined origin,
/// for example, fails the CORS check.
fn value<'f>(fields: &'f HeaderFields, name: &str) -> Option<&'f str> {
    let mut found = fields.iter().filter(|(field, _)| &**field == name).map(|(_, value)| &**value);
    let first = found.next();
    assert_eq!(found.next(), None, "{name} is repeated");
    first
}

/// Returns the elements of a list field, like the algorithm "extract header list values" (Fetch §2.2.2).
fn values(fields: &HeaderFields, name: &str) -> Option<Vec<String>> {
    value(fields, name).map(|value| value.split(',').map(|item| item.trim().to_owned()).collect())
}

fn is_safelisted(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST")
}

/// Returns `true` if the CORS section allows the request, according to a plain reading of its settings.
fn policy_says(section: &Cors, path: &[&str], call: &BrowserCall) -> bool {
    let holds = |list: &[crate::config::problem::At<String>], word: &str| list.iter().any(|item| item.value == word);
    let origin = section.allow_origins.iter().any(|entry| match entry.value.split_once("://*") {
        Some((scheme, domain)) => call
            .origin
            .strip_prefix(&format!("{scheme}://"))
            .is_some_and(|host| host.ends_with(domain) && host.len() > domain.len()),
        None => entry.value == "*" || entry.value == call.origin,
    });
    let method = is_safelisted(call.method)
        || match &section.allow_methods {
            Some(list) => holds(list, "*") || holds(list, call.method),
            None => path.contains(&call.method),
        };
    let headers = call.unsafe_headers.iter().all(|name| {
        section.allow_headers.iter().any(|item| item.value.eq_ignore_ascii_case(name))
            || (holds(&section.allow_headers, "*") && *name != "Authorization")
    });
    let private = section.allow_private_network || !call.private_network;
    origin && method && headers && private && (section.allow_credentials || !call.credentials)
}

const TRUSTED: [&str; 5] = [
    "https://example.com",
    "https://app.example.com:8443",
    "https://*.example.com",
    "https://*.example.com:8443",
    "http://localhost:3000",
];
const RISKY: [&str; 3] = ["null", "http://example.com", "http://*.example.com"];
const CALLERS: [&str; 14] = [
    "https://example.com",
    "https://app.example.com",
    "https://a.b.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:9443",
    "http://example.com",
    "http://app.example.com",
    "https://evilexample.com",
    "https://example.com.evil.com",
    "http://localhost:3000",
    "http://localhost:3001",
    "https://localhost:3000",
    "null",
    "https://other.test",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "QUERY"];
/// Stores failing cases next to this file.
const REGRESSIONS: FileFailurePersistence = FileFailurePersistence::WithSource("regressions");
const HEADERS: [&str; 4] = ["Authorization", "Content-Type", "X-A", "X-B"];

/// Generates sections that an author might write. Every generated section must compile.
fn sections() -> impl Strategy<Value = Cors> {
    let lists = (
        subsequence(TRUSTED.to_vec(), 1..=TRUSTED.len()),
        subsequence(RISKY.to_vec(), 0..=RISKY.len()),
        proptest::option::of(subsequence(METHODS.to_vec(), 1..=METHODS.len())),
        subsequence(HEADERS.to_vec(), 0..=HEADERS.len()),
        subsequence(vec!["X-A", "X-B"], 0..=2),
    );
    let stars = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (lists, stars, any::<bool>(), any::<bool>()).prop_map(
        |((mut origins, risky, methods, mut headers, mut expose), stars, credentials, private)| {
            let mut methods = methods.map(|list| list.join(" "));
            if !credentials && !private {
                origins.extend(risky);
            }
            if !credentials {
                if stars.0 && !private {
                    origins = vec!["*"];
                }
                if stars.1 {
                    methods = methods.map(|_| "*".to_owned());
                }
                if stars.2 {
                    headers.retain(|name| *name == "Authorization");
                    headers.push("*");
                }
                if stars.3 {
                    expose = vec!["*"];
                }
            }
            let lists = section(&origins.join(" "), methods.as_deref(), &headers.join(" "), &expose.join(" "));
            Cors { allow_credentials: credentials, allow_private_network: private, ..lists }
        },
    )
}

fn calls() -> impl Strategy<Value = BrowserCall> {
    let headers = subsequence(HEADERS.to_vec(), 0..=2);
    (select(&CALLERS[..]), select(&METHODS[..]), headers, any::<[bool; 2]>(), prop::bool::weighted(0.2)).prop_map(
        |(origin, method, unsafe_headers, [credentials, listens_to_upload], private_network)| BrowserCall {
            origin,
            method,
            unsafe_headers,
            credentials,
            private_network,
            listens_to_upload,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: Some(Box::new(REGRESSIONS)), ..ProptestConfig::default() })]

    #[test]
    fn a_browser_lets_a_script_read_exactly_what_the_policy_says(
        section in sections(), call in calls(), path in subsequence(METHODS.to_vec(), 0..=3)
    ) {
        let policy = compiled(&section);
        prop_assert_eq!(browser_lets_the_script_read(&call, &policy, &path), policy_says(&section, &path, &call));
    }

    #[test]
    fn a_browser_shows_exactly_the_headers_the_policy_exposes(section in sections(), call in calls()) {
        let policy = compiled(&section);
        let simple = BrowserCall { method: "GET", unsafe_headers: vec![], private_network: false, ..call };
        let reads = browser_lets_the_script_read(&simple, &policy, &[]);
        let response = policy.response(Some(simple.origin.as_bytes()));
        for name in ["X-A", "X-B", "X-Other"] {
            let listed = section.expose_headers.iter().any(|item| item.value == name || item.value == "*");
            prop_assert_eq!(reads && browser_shows(name, &simple, &response.set), reads && listed, "{}", name);
        }
    }

    #[test]
    fn a_cache_that_respects_vary_never_mixes_up_origins(
        section in sections(), one in proptest::option::of(select(&CALLERS[..])), other in select(&CALLERS[..])
    ) {
        let policy = compiled(&section);
        let one = policy.response(one.map(str::as_bytes));
        let other = policy.response(Some(other.as_bytes()));
        if one.set != other.set {
            prop_assert_eq!((one.vary.as_deref(), other.vary.as_deref()), (Some("Origin"), Some("Origin")));
        }
    }

    #[test]
    fn client_bytes_are_not_echoed_unchecked(
        section in sections(),
        origin in prop_oneof![
            any::<Vec<u8>>(),
            "https://.{0,12}\\.example\\.com".prop_map(String::into_bytes),
            "https://[a-z.]{0,8}\\.example\\.com(:8443)?".prop_map(String::into_bytes),
        ],
        method in any::<Vec<u8>>(),
        headers in any::<Vec<u8>>(),
    ) {
        let policy = compiled(&section);
        let request = Preflight { origin: &origin, method: &method, headers: Some(&headers), private_network: false };
        let answer = policy.preflight(&request, &["*"]);
        for (name, text) in answer.headers.iter().chain(&policy.response(Some(&origin)).set) {
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}: {:?}", name, text);
            if &**name == "access-control-allow-origin" && &**text != "*" {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":/.-_".contains(&byte)));
                prop_assert_eq!(text.as_bytes(), &origin[..]);
            }
        }
    }
}
