//! Rejects documents that read a request header that the filter removes from client requests.

use crate::config::document::{Document, TokenSource};
use crate::config::header_name::{OWN_PREFIX, is_same_cgi_variable, starts_with_as_cgi_variable};
use crate::config::limit::KeyPart;
use crate::config::problem::{Place, Problems};

/// Checks the headers that limits, `checks` and token places read. `conditions` calls [`forged`] for the headers that conditions
/// read.
pub(super) fn check(document: &Document, problems: &mut Problems) {
    for (name, place) in read_by(document) {
        if let Some(fault) = forged(name, document) {
            problems.add(place, fault);
        }
    }
}

/// Returns the request headers that limits, `checks` and `token_from` read, each with its place in the document.
pub fn read_by(document: &Document) -> Vec<(&str, &Place)> {
    let mut found: Vec<(&str, &Place)> = Vec::new();
    let routes = &document.routes;
    let limits = document.limits.iter().chain(routes.iter().flat_map(|route| &route.limits));
    for part in limits.flat_map(|limit| &limit.by) {
        if let KeyPart::Header(name) = &part.value {
            found.push((name, &part.place));
        }
    }
    let sections = document.checks.iter().chain(routes.iter().filter_map(|route| route.checks.as_ref()?.as_ref()));
    for parameter in sections.flat_map(|section| section.headers.iter().flatten()) {
        found.push((&parameter.name.value, &parameter.name.place));
    }
    for issuer in &document.issuers {
        for source in &issuer.token_from {
            if let TokenSource::Header(name) = source {
                found.push((name, &issuer.name.place));
            }
        }
    }
    found
}

/// Returns the message for a header that the filter removes from client requests; `None` for all other headers.
pub(super) fn forged(name: &str, document: &Document) -> Option<String> {
    let identity = document.identity_headers.iter().map(|header| &header.header);
    let permissions = document.forward_permissions.headers.iter().map(|(header, _)| header);
    let mut ours = identity.chain(permissions);
    let is_ours =
        ours.any(|ours| is_same_cgi_variable(name, &ours.value)) || starts_with_as_cgi_variable(name, OWN_PREFIX);
    is_ours.then(|| format!("the filter removes `{name}` from client requests: use the claim instead"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::source;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Returns the problems of a document with three additional settings: at the top level, in its route, and in its issuer.
    fn problems(document: (&str, Value), route: (&str, Value), issuer: (&str, Value)) -> Vec<String> {
        let mut text = json!({
            "version": "1.0",
            "identity_headers": { "X-Org-ID": "org" },
            "forward_permissions": { "headers": { "X-Perms": "masks" } },
            "issuers": [{ "name": "a", "issuer": "https://a.example", "audiences": ["x"], "secret": { "env": "S" } }],
            "routes": [{ "path": "/x", "response": {} }],
        });
        text[document.0] = document.1;
        text["routes"][0][route.0] = route.1;
        text["issuers"][0][issuer.0] = issuer.1;
        let node = source::read(text.to_string().as_bytes()).unwrap();
        let secret = |_: &str| Some("0123456789abcdef0123456789abcdef".to_string());
        Policy::from_node(&node, &secret).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn forgeable_and_unavailable_headers_are_rejected() {
        let limit = |header: &str| json!([{ "name": "l", "rate": "1/s", "by": { "header": header } }]);
        let checks = |header: &str| json!({ "headers": { header: { "required": true } } });
        let token = |header: &str| json!([{ "header": header }]);
        let (auth, leeway) = (("auth", json!("none")), ("leeway", json!("5s")));
        let errors = ("errors", json!({}));
        for (header, expected) in [
            ("X-Tenant", None),
            ("x_org_id", Some("the filter removes `x_org_id` from client requests")),
            ("X-Perms", Some("from client requests")),
            ("X-Portcullis-Upstream", Some("from client requests")),
            ("Host", Some("conditions read the host as `request.host`")),
            ("Connection", Some("never sees a header `Connection`")),
            (":path", Some("`:path` is not a header name")),
        ] {
            for (kind, found) in [
                ("limits", problems(("limits", limit(header)), auth.clone(), leeway.clone())),
                ("a route's limits", problems(errors.clone(), ("limits", limit(header)), leeway.clone())),
                ("checks", problems(("checks", checks(header)), auth.clone(), leeway.clone())),
                ("a route's checks", problems(errors.clone(), ("checks", checks(header)), leeway.clone())),
                ("token_from", problems(errors.clone(), auth.clone(), ("token_from", token(header)))),
            ] {
                let is_right = match expected {
                    None => found.is_empty(),
                    Some(expected) => found.len() == 1 && found[0].to_lowercase().contains(&expected.to_lowercase()),
                };
                assert!(is_right, "{kind}, {header}: expected {expected:?}, found {found:?}");
            }
        }
    }
}
