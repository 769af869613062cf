//! Tests of origin patterns: values that match, values that do not match, and messages for authors.

use super::OriginPattern;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn matches(pattern: &str, origin: &str) -> bool {
    OriginPattern::parse(pattern).unwrap_or_else(|message| panic!("{pattern}: {message}")).matches(origin.as_bytes())
}

#[test]
fn an_exact_origin_matches_only_itself() {
    for (origin, expected, because) in [
        ("https://example.com", true, "the same bytes"),
        ("http://example.com", false, "another scheme"),
        ("https://example.com:443", false, "no browser sends the scheme's own port"),
        ("https://example.com:8443", false, "another port"),
        ("https://evilexample.com", false, "the name only has the same suffix"),
        ("https://example.com.evil.com", false, "the name only has the same prefix"),
        ("https://sub.example.com", false, "a subdomain is another origin"),
        ("https://EXAMPLE.com", false, "no browser sends upper case"),
        ("HTTPS://example.com", false, "no browser sends upper case"),
        ("https://example.com.", false, "a trailing dot makes another host"),
        ("https://example.com/", false, "an origin has no path"),
        ("https://user@example.com", false, "an origin has no user"),
        ("https://example.com https://other.com", false, "two values are not one origin"),
        ("https://other.com, https://example.com", false, "two values are not one origin"),
        (" https://example.com", false, "values are not trimmed"),
        ("null", false, "opaque origins are not listed"),
        ("", false, "an empty value is not an origin"),
        ("*", false, "a star is not an origin"),
    ] {
        assert_eq!(matches("https://example.com", origin), expected, "{origin}: {because}");
    }
}

#[test]
fn a_wildcard_matches_only_whole_labels_below_the_domain() {
    for (origin, expected, because) in [
        ("https://a.example.com", true, "one label"),
        ("https://a.b.example.com", true, "several labels"),
        ("https://a-1_x.example.com", true, "hyphens, digits and underscores are allowed"),
        ("https://example.com", false, "the domain itself is not a subdomain"),
        ("https://.example.com", false, "an empty label"),
        ("https://a..example.com", false, "an empty label"),
        ("https://evilexample.com", false, "a name that only has the same suffix"),
        ("https://example.com.evil.com", false, "a name that only has the same prefix"),
        ("https://evil.com/.example.com", false, "a path with the same suffix"),
        ("https://evil.com?.example.com", false, "a query with the same suffix"),
        ("https://evil.com#.example.com", false, "a fragment with the same suffix"),
        ("https://evil.com:1.example.com", false, "a port with the same suffix"),
        ("https://evil@a.example.com", false, "user information"),
        ("https://a.example.com:8443", false, "another port"),
        ("http://a.example.com", false, "another scheme"),
        ("https://A.example.com", false, "no browser sends upper case"),
        ("https://a.example.com.", false, "a trailing dot makes another host"),
        ("https://b.com https://a.example.com", false, "two values are not one origin"),
        ("https://a\r\n.example.com", false, "no line break is echoed"),
        ("null", false, "opaque origins are not listed"),
        ("", false, "an empty value is not an origin"),
    ] {
        assert_eq!(matches("https://*.example.com", origin), expected, "{origin:?}: {because}");
    }
    assert!(matches("https://*.example.com:8443", "https://a.example.com:8443"), "the same port");
    assert!(!matches("https://*.example.com:8443", "https://a.example.com"), "the port is required");
    assert!(!matches("https://*.example.com", &format!("https://{}.example.com", "a".repeat(64))), "a label of 64");
    assert!(!matches("https://*.example.com", &format!("https://{}a.example.com", "a.".repeat(200))), "a name of 400");
}

#[test]
fn any_and_null_patterns_match_as_documented() {
    assert!(matches("*", "https://anything.test") && matches("*", "null"));
    assert!(matches("null", "null"));
    for origin in ["NULL", "null ", "", "https://null"] {
        assert!(!matches("null", origin), "{origin}");
    }
}

#[test]
fn origins_in_browser_form_are_accepted_unchanged() {
    for origin in [
        "https://example.com",
        "http://example.com:8080",
        "https://xn--bcher-kva.example",
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "https://[2001:db8::1]",
        "https://[::ffff:c000:280]",
        "https://intranet",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "capacitor://localhost",
    ] {
        assert!(matches(origin, origin), "{origin}");
    }
}

#[test]
fn only_http_to_other_machines_counts_as_cleartext() {
    for (pattern, expected) in [
        ("http://example.com", true),
        ("http://*.example.com", true),
        ("http://10.0.0.1", true),
        ("http://localhost.example.com", true),
        ("https://example.com", false),
        ("http://localhost:3000", false),
        ("http://app.localhost", false),
        ("http://*.localhost", false),
        ("http://127.0.0.53", false),
        ("http://[::1]:8080", false),
        ("*", false),
    ] {
        assert_eq!(OriginPattern::parse(pattern).unwrap().is_cleartext(), expected, "{pattern}");
    }
}

#[test]
fn errors_suggest_the_form_that_browsers_send() {
    for (written, expected) in [
        ("https://Example.com", "browsers send lower case): write `https://example.com`"),
        ("HTTPS://Example.com", "(browsers send lower case): write `https://example.com`"),
        ("https://example.com/", "ends before the slash): write `https://example.com`"),
        ("https://example.com/app?x#y", "no path or query): write `https://example.com`"),
        ("https://example.com:443", "the default port of the scheme): write `https://example.com`"),
        ("http://example.com:80", "the default port of the scheme): write `http://example.com`"),
        ("http://example.com:0443", "no leading zeros): write `http://example.com:443`"),
        ("https://example.com:", "no port after the colon): write `https://example.com`"),
        ("https://joe@example.com", "no user name): write `https://example.com`"),
        ("https://example.com.", "another host): write `https://example.com`"),
        ("https://*.Example.com:443/", "): write `https://*.example.com`"),
        ("https://[2001:DB8:0::1]", "in its shortest form): write `https://[2001:db8::1]`"),
        ("https://[::ffff:192.0.2.128]", "in its shortest form): write `https://[::ffff:c000:280]`"),
        ("https://bücher.example", "punycode"),
        ("example.com", "no scheme: write `https://example.com`"),
        ("*.example.com", "no scheme: write `https://*.example.com`"),
        ("localhost:3000", "no scheme: write `http://localhost:3000`"),
        ("NULL", "`NULL` is not an origin: accepted are"),
        ("", "an origin is missing here"),
        ("https://a.com https://b.com", "write each origin as a separate entry"),
        ("https://a.com,https://b.com", "write each origin as a separate entry"),
        ("*://example.com", "no exact scheme"),
        ("file:///tmp", "browsers send `null`"),
        ("wss://example.com", "with `https://`"),
        ("ws://example.com", "with `http://`"),
        ("https://example.com:*", "`*` in `https://example.com:*` is not a port"),
        ("https://example.com:0", "is not a port"),
        ("https://example.com:65536", "is not a port"),
        ("https://example.com:+1", "is not a port"),
        ("https://::1", "without brackets: write `[::1]`"),
        ("https://[::1", "lacks the `]`"),
        ("https://[::1]x", "other than a port"),
        ("https://[zz]", "no valid IPv6 address"),
        ("https://*", "has only `*` as its host"),
        ("https://a*.example.com", "only for whole labels at the start"),
        ("https://a.*.example.com", "only for whole labels at the start"),
        ("https://*.*.example.com", "only for whole labels at the start"),
        (r"https://.*\.example\.com", "only for whole labels at the start"),
        ("https://(a|b).example.com", "only for whole labels at the start"),
        ("https://exa mple.com", "is not one origin"),
        ("https://", "no valid host name"),
        ("https://a..b", "no valid host name"),
        ("https://1.2.3", "is not four numbers"),
        ("https://1.2.3.256", "is not four numbers"),
        ("https://*.1.2.3.4", "has no subdomains"),
        ("https://*.com", "would match the domains of other owners below `com`"),
        ("https://*.co.uk", "would match the domains of other owners below `co.uk`"),
        ("https://*.github.io", "would match the domains of other owners below `github.io`"),
        ("capacitor://*.example.com", "accepted only with the scheme"),
    ] {
        let message = OriginPattern::parse(written).expect_err(written);
        assert!(message.contains(expected), "{written}: {message}");
    }
}
