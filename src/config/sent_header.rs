//! Checks the names of request headers that a document refers to, and refuses headers that never reach the filter.

use super::header_name::{is_same_cgi_variable, is_token};

/// Checks a header name and returns it in lower case.
///
/// # Errors
/// The string is not a header name (RFC 9110 §5.1), or the header never reaches the filter. The error says why.
pub fn read(name: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, instead)) = PSEUDO.iter().find(|(pseudo, _)| *pseudo == lower) {
        return Err(format!("`{name}` is not a header name ({instead})"));
    }
    if !is_token(name) {
        return Err(format!("`{name}` is not a header name"));
    }
    match HIDDEN_HEADERS.iter().find(|(hidden, _)| is_same_cgi_variable(hidden, name)) {
        Some((_, why)) => Err(format!("the filter never sees a header `{name}`: {why}")),
        None => Ok(lower),
    }
}

const PSEUDO: [(&str, &str); 3] = [
    (":authority", "conditions read the host as `request.host`"),
    (":method", "conditions read the method as `request.method`"),
    (":path", "conditions read the path as `request.path`"),
];

/// Headers that never reach the filter, because Envoy or the generated configuration removes them. The second string is a reason
/// or an alternative. The list omits `te`, `trailer` and `http2-settings`, because Envoy passes them to the filter. It omits
/// `upgrade`, because WebSocket handshakes contain it.
const HIDDEN_HEADERS: [(&str, &str); 8] = [
    ("connection", "Envoy removes it; handshakes have `upgrade`"),
    ("expect", "Envoy answers and removes it"),
    ("host", "conditions read the host as `request.host`"),
    ("keep-alive", "Envoy removes it"),
    ("proxy-connection", "Envoy removes it"),
    ("transfer-encoding", "Envoy removes it"),
    ("x-original-url", OTHER_PATH),
    ("x-rewrite-url", OTHER_PATH),
];
const OTHER_PATH: &str = "the generated configuration removes it, and conditions read the path as `request.path`";

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_header_that_never_arrives_is_an_error() {
        for (name, expected) in [
            ("X-Tenant", Ok("x-tenant")),
            ("upgrade", Ok("upgrade")),
            ("Host", Err("conditions read the host as `request.host`")),
            (":authority", Err("conditions read the host as `request.host`")),
            (":PATH", Err("`request.path`")),
            (":scheme", Err("`:scheme` is not a header name")),
            ("Connection", Err("the filter never sees a header `Connection`")),
            ("Keep_Alive", Err("Envoy removes it")),
            ("X-Rewrite-URL", Err("the generated configuration removes it")),
            ("two words", Err("`two words` is not a header name")),
            ("", Err("`` is not a header name")),
        ] {
            match (read(name), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{name}: {found}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
