//! Prevents cross-site request forgery: refuses requests that pages of other origins cause with the caller's cookie.
//!
//! Only browsers attach cookies automatically. Browsers send the origin of the page in `Origin` (RFC 6454 §7, Fetch §3.1). In
//! `Sec-Fetch-Site` (Fetch Metadata §2.3), they send how this origin is related to the requested URL. The scripts of a page
//! cannot set these headers. Other clients send neither header, so their requests are accepted.

use crate::policy::request::guard::{RequestHost, read_host};
use crate::policy::request::{Request, SingleValue};
use crate::policy::respond::cors::CorsPolicy;
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

/// Checks a request whose credential is a cookie. Returns the reason for accepting the request, for `portcullis explain`.
///
/// # Errors
/// Returns a rejection if a page of another origin may have caused the request, and the method is unsafe or the request is an
/// upgrade.
pub fn check(
    request: &Request<'_>,
    host: &RequestHost<'_>,
    cors: Option<&CorsPolicy>,
) -> Result<&'static str, Rejection> {
    // Requests with safe methods (RFC 9110 §9.2.1) change nothing, and a page can read the response only if CORS allows it.
    // WebSockets are different: any page can read from and write to them.
    if matches!(request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE") && !request.upgrade {
        return Ok("the method is safe, so pages of any origin may send the request");
    }
    let site = once(request, b"sec-fetch-site");
    // The browser compared the page's origin with the URL that it requested. A proxy may have changed the host since then, so the
    // browser's comparison is more reliable than a comparison with the host of this request.
    if site == SingleValue::Value(b"same-origin") {
        return Ok("the browser reports that the page has the same origin");
    }
    let asked_by_no_other_page = matches!(site, SingleValue::Absent | SingleValue::Value(b"none"));
    match request.origin {
        SingleValue::Absent if asked_by_no_other_page => Ok("no header names a page of another origin"),
        SingleValue::Value(origin) if cors.is_some_and(|cors| cors.allows_credentials(origin)) => {
            Ok("the CORS policy allows this origin's credentials")
        }
        SingleValue::Value(origin) if asked_by_no_other_page && is_own(origin, scheme(request), host) => {
            Ok("the page has the gateway's own origin")
        }
        SingleValue::Value(origin) => Err(foreign(&format!("origin {}", text(origin)))),
        SingleValue::Repeated => Err(foreign("several origins")),
        SingleValue::Absent => Err(foreign("no origin, and Sec-Fetch-Site names another site")),
    }
}

fn foreign(detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Forbidden, "origin_foreign").with(detail.to_string())
}

/// Returns `true` if `origin` has the host and port of the request. Behind a proxy that terminates TLS, the request has the
/// scheme `http` here and `https` in the browser, so an `https` origin is accepted. An `http` origin is not accepted for an
/// `https` request, because anyone on the network can forge a page that is delivered over `http`.
fn is_own(origin: &[u8], scheme: &[u8], host: &RequestHost<'_>) -> bool {
    let is = |prefix: &[u8]| origin.strip_prefix(prefix);
    let (authority, usual_port) = match (is(b"https://"), is(b"http://")) {
        (Some(authority), _) => (authority, 443),
        (_, Some(authority)) if scheme != b"https" => (authority, 80),
        _ => return false,
    };
    let port = |host: &RequestHost<'_>| host.port().unwrap_or(usual_port);
    read_host(authority).is_ok_and(|page| page.name() == host.name() && port(&page) == port(host))
}

fn scheme<'r>(request: &Request<'r>) -> &'r [u8] {
    once(request, b":scheme").value().unwrap_or_default()
}

fn once<'r>(request: &Request<'r>, name: &[u8]) -> SingleValue<'r> {
    let mut found = SingleValue::Absent;
    for (_, value) in request.headers.iter().filter(|(have, _)| *have == name) {
        found.add(value);
    }
    found
}

/// Shortens an origin for the audit record, and replaces invalid UTF-8.
fn text(origin: &[u8]) -> String {
    String::from_utf8_lossy(origin).chars().take(MAX_SHOWN).collect()
}

const MAX_SHOWN: usize = 128;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::document::Cors;
    use crate::config::problem::{At, Place, Problems};
    use crate::policy::request::RequestParts;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn refused(headers: &[(&str, &str)], cors: Option<&CorsPolicy>) -> bool {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let parts = RequestParts { headers: &headers, received_at: Duration::ZERO, ended: true };
        let request = Request::read(&parts).unwrap();
        let refusal = check(&request, &read_host(request.authority).unwrap(), cors).err();
        assert!(
            refusal
                .iter()
                .all(|refusal| refusal.kind == RejectionKind::Forbidden && refusal.reason == "origin_foreign")
        );
        refusal.is_some()
    }

    /// Returns `true` if a POST with these headers to this address is refused.
    fn post(scheme: &str, authority: &str, more: &[(&str, &str)]) -> bool {
        let own = [(":method", "POST"), (":path", "/"), (":scheme", scheme), (":authority", authority)];
        refused(&[&own, more].concat(), None)
    }

    #[test]
    fn an_unsafe_request_from_a_foreign_page_is_refused() {
        for (scheme, authority, origin, expected) in [
            ("https", "api.example.com", "https://api.example.com", false),
            ("https", "API.example.com:443", "https://api.example.com", false),
            ("https", "api.example.com:8443", "https://api.example.com:8443", false),
            ("http", "127.0.0.1:8080", "http://127.0.0.1:8080", false),
            ("http", "[::1]:8080", "http://[::1]:8080", false),
            ("http", "api.example.com", "http://api.example.com", false),
            ("http", "api.example.com:80", "http://api.example.com", false),
            // A proxy in front of the gateway terminates TLS.
            ("http", "api.example.com", "https://api.example.com", false),
            ("http", "api.example.com:443", "https://api.example.com", false),
            ("https", "api.example.com", "http://api.example.com", true),
            ("https", "api.example.com", "https://api.example.com:8443", true),
            ("https", "api.example.com:8443", "https://api.example.com", true),
            ("http", "127.0.0.1:8080", "http://127.0.0.1:8081", true),
            ("http", "127.0.0.1:8080", "http://localhost:8080", true),
            ("https", "api.example.com", "https://example.com", true),
            ("https", "api.example.com", "https://api.example.com.evil.example", true),
            ("https", "api.example.com", "https://evil.example/https://api.example.com", true),
            ("https", "api.example.com", "https://api.example.com@evil.example", true),
            ("https", "api.example.com", "https://api.example.com, https://evil.example", true),
            ("https", "api.example.com", "null", true),
            ("https", "api.example.com", "", true),
            ("https", "api.example.com", "api.example.com", true),
            ("https", "api.example.com", "chrome-extension://api.example.com", true),
        ] {
            assert_eq!(post(scheme, authority, &[("origin", origin)]), expected, "{scheme} {authority} {origin}");
        }
    }

    #[test]
    fn the_sec_fetch_site_header_is_checked_too() {
        let (own, foreign) = (("origin", "https://a.example"), ("origin", "https://b.example"));
        let site = |value| ("sec-fetch-site", value);
        for (headers, expected) in [
            (vec![], false),
            (vec![site("same-origin")], false),
            (vec![site("none")], false),
            (vec![site("same-site")], true),
            (vec![site("cross-site")], true),
            (vec![site("")], true),
            (vec![site("same-origin"), site("cross-site")], true),
            (vec![own, site("same-origin")], false),
            (vec![own, site("same-site")], true),
            (vec![own, site("cross-site")], true),
            (vec![foreign, site("cross-site")], true),
            (vec![foreign, site("none")], true),
            // A proxy in front of the gateway replaced the host.
            (vec![foreign, site("same-origin")], false),
            // The page's referrer policy hides the origin.
            (vec![("origin", "null"), site("same-origin")], false),
            (vec![("origin", "null"), site("cross-site")], true),
            (vec![own, own], true),
            (vec![own, foreign], true),
        ] {
            assert_eq!(post("https", "a.example", &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn unsafe_methods_and_upgrades_are_checked() {
        for (method, upgrade, expected) in [
            ("GET", false, false),
            ("HEAD", false, false),
            ("OPTIONS", false, false),
            ("TRACE", false, false),
            ("POST", false, true),
            ("PUT", false, true),
            ("DELETE", false, true),
            ("PATCH", false, true),
            ("get", false, true),
            ("PURGE", false, true),
            ("GET", true, true),
            ("HEAD", true, true),
        ] {
            let mut headers = vec![(":method", method), (":path", "/"), (":authority", "a.example")];
            headers.push(("origin", "https://b.example"));
            headers.extend(upgrade.then_some(("upgrade", "websocket")));
            assert_eq!(refused(&headers, None), expected, "{method}, upgrade: {upgrade}");
        }
    }

    #[test]
    fn origins_with_cors_credentials_are_accepted() {
        let cors = |origins: &[&str], allow_credentials| {
            let at = |origin: &&str| At { value: origin.to_string(), place: Place::default() };
            let section = Cors {
                allow_origins: origins.iter().map(at).collect(),
                allow_methods: None,
                allow_headers: Vec::new(),
                expose_headers: Vec::new(),
                allow_credentials,
                max_age: None,
                allow_private_network: false,
                place: Place::default(),
            };
            CorsPolicy::compile(&section, &mut Problems::default())
        };
        let listed = ["https://app.example.com", "https://*.partner.example"];
        for (cors, origin, expected) in [
            (cors(&listed, true), "https://app.example.com", false),
            (cors(&listed, true), "https://a.partner.example", false),
            (cors(&listed, true), "https://partner.example", true),
            (cors(&listed, true), "null", true),
            (cors(&listed, false), "https://app.example.com", true),
            (cors(&["*"], false), "https://app.example.com", true),
            // The compiler rejects this CORS policy.
            (cors(&["*"], true), "https://app.example.com", true),
        ] {
            let headers = [
                (":method", "POST"),
                (":path", "/"),
                (":authority", "a.example"),
                ("origin", origin),
                ("sec-fetch-site", "cross-site"),
            ];
            assert_eq!(refused(&headers, Some(&cors)), expected, "{origin}");
        }
    }
}
