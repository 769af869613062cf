//! Compiles the `when` conditions of routes, and checks that the attributes in a condition exist and cannot be forged.

use super::issuers::unknown;
use super::sent_headers::forged;
use crate::config::auth::{Auth, KeyPlace};
use crate::config::document::{Document, Route, TokenSource};
use crate::config::header_name::is_same_cgi_variable;
use crate::config::problem::{At, Problems, near_miss};
use crate::config::sent_header;
use crate::config::time::rfc3339;
use crate::policy::authority::condition::{ClientFact, Condition, ConditionFault, ConditionSource, SharedSyntax};
use crate::policy::request::route::RoutePattern;

/// Parses a condition. Also returns each attribute that the condition reads, and its position in characters, counted from 1.
///
/// # Errors
/// Returns the first fault in the text.
pub fn parse(text: &str) -> Result<(Condition, Vec<(ConditionSource, usize)>), ConditionFault> {
    let near_miss = |written: &str, known: &[&'static str]| near_miss(written, known.iter().copied());
    Condition::parse(text, SharedSyntax { moment: rfc3339, near_miss })
}

/// Compiles the `when` conditions of a route, and checks the attributes that they read.
pub(super) fn compile(route: &Route, document: &Document, problems: &mut Problems) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for written in &route.when {
        match parse(&written.value) {
            Ok((condition, sources)) => {
                for (source, at) in sources {
                    if let Some(fault) = fault(&source, route, document) {
                        add(written, at, &fault, problems);
                    }
                }
                conditions.push(condition);
            }
            Err(fault) => add(written, fault.at, &fault.message, problems),
        }
    }
    conditions
}

/// Returns the headers, in lower case, that the conditions of these routes read.
pub(super) fn headers_read(routes: &[Route]) -> impl Iterator<Item = String> {
    let conditions = routes.iter().flat_map(|route| &route.when);
    let sources = conditions.filter_map(|written| parse(&written.value).ok()).flat_map(|(_, sources)| sources);
    sources.filter_map(|(source, _)| match source {
        ConditionSource::Header(name) => Some(name.to_string()),
        _ => None,
    })
}

fn add(written: &At<String>, at: usize, fault: &str, problems: &mut Problems) {
    problems.add(&written.place, format!("character {at}: {fault}"));
}

/// Returns the reason why a condition of this route must not read this attribute.
fn fault(source: &ConditionSource, route: &Route, document: &Document) -> Option<String> {
    match source {
        // Without this rule, a condition such as `not has(claims.a)` would accept callers without a token.
        ConditionSource::Claim(_) if !route.auth.value.always_has_claims() => {
            Some("claims exist only where `auth` is `required`, or `all_of` with the token first".to_string())
        }
        // In the same way, `not has(client.id)` would accept callers without credentials.
        ConditionSource::Client(_) if matches!(route.auth.value, Auth::None | Auth::Optional) => {
            Some("clients are known only where `auth` requires a credential".to_string())
        }
        ConditionSource::Client(ClientFact::Environment) if document.environment.is_none() => {
            Some("the document does not set `environment`".to_string())
        }
        ConditionSource::Parameter(name) => {
            let pattern = RoutePattern::parse(&route.path.value).ok()?;
            let is_known = pattern.param_names().any(|known| *known == **name);
            (!is_known).then(|| unknown("parameter", name, pattern.param_names()))
        }
        ConditionSource::Header(name) => header_fault(name, document),
        ConditionSource::Query(name) => {
            let holds_token = |source: &TokenSource| matches!(source, TokenSource::Query(token) if **token == **name);
            let sources = document.issuers.iter().flat_map(|issuer| &issuer.token_from);
            let holds_key = |source: &KeyPlace| matches!(source, KeyPlace::InsecureQuery(key) if **key == **name);
            let holds_one = sources.into_iter().any(holds_token) || key_sources(document).any(holds_key);
            holds_one.then(|| CREDENTIAL.to_string())
        }
        _ => None,
    }
}

fn header_fault(name: &str, document: &Document) -> Option<String> {
    if let Err(fault) = sent_header::read(name) {
        return Some(fault);
    }
    let is_same = |other: &str| is_same_cgi_variable(other, name);
    let mut tokens = document.issuers.iter().flat_map(|issuer| &issuer.token_from);
    let is_token = tokens.any(|source| matches!(source, TokenSource::Header(token) if is_same(token)));
    let is_key = key_sources(document).any(|source| matches!(source, KeyPlace::Header(key) if is_same(key)));
    if is_token || is_key || ["authorization", "cookie", "proxy-authorization"].into_iter().any(is_same) {
        return Some(CREDENTIAL.to_string());
    }
    forged(name, document)
}

fn key_sources(document: &Document) -> impl Iterator<Item = &KeyPlace> {
    document.api_keys.iter().flat_map(|keys| &keys.from).map(|place| &place.value)
}

const CREDENTIAL: &str =
    "conditions cannot read credentials: to compare them, the document would have to contain a secret";

#[cfg(test)]
mod tests {
    use crate::config::source;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_condition_reads_only_existing_and_trustworthy_attributes() {
        for (route, expected) in [
            (r#""when":"claims.a == path.id""#, None),
            (r#""when":["claims.a","query.page == '1'"]"#, None),
            (r#""when":"path.it == 'x'""#, Some("when: character 1: no parameter `it` (did you mean `id`?)")),
            (
                r#""when":["claims.a","claims.b = 1"]"#,
                Some("when[1]: character 10: unexpected `=` (did you mean `==`?)"),
            ),
            (
                r#""auth":"none","when":"claims.a""#,
                Some("when: character 1: claims exist only where `auth` is `required`"),
            ),
            (r#""auth":"optional","when":"not has(claims.a)""#, Some("when: character 9: claims exist only where")),
            (r#""auth":"none","when":"header.accept == 'x'""#, None),
            (r#""when":"client.id == 'x'""#, None),
            (r#""auth":"none","when":"has(client.id)""#, Some("clients are known only where `auth` requires")),
            (r#""auth":"optional","when":"not has(client.id)""#, Some("clients are known only where `auth` requires")),
            (r#""when":"client.environment == 'x'""#, Some("does not set `environment`")),
            (r#""when":"header['x-org_id'] == 'x'""#, Some("the filter removes `x-org_id` from client requests")),
            (r#""when":"header['X-Perms'] == 'x'""#, Some("the filter removes `x-perms` from client requests")),
            (r#""when":"header['x-portcullis-upstream'] == 'x'""#, Some("use the claim instead")),
            (r#""when":"header.Authorization == 'x'""#, Some("conditions cannot read credentials")),
            (r#""when":"header.cookie == 'x'""#, Some("conditions cannot read credentials")),
            (r#""when":"header['x-token'] == 'x'""#, Some("conditions cannot read credentials")),
            (r#""when":"query.access_token == 'x'""#, Some("conditions cannot read credentials")),
            (
                r#""when":"header[':path'] == 'x'""#,
                Some("`:path` is not a header name (conditions read the path as `request.path`)"),
            ),
            (
                r#""when":"header.Host == 'x'""#,
                Some("the filter never sees a header `host`: conditions read the host as `request.host`"),
            ),
            (
                r#""when":"not has(header.connection)""#,
                Some("when: character 9: the filter never sees a header `connection`"),
            ),
            (r#""when":"header[''] == 'x'""#, Some("`` is not a header name")),
        ] {
            let document = format!(
                r#"{{"version":"1.0","identity_headers":{{"X-Org-ID":"org"}},"forward_permissions":{{"headers":{{"X-Perms":"masks"}}}},
                    "issuers":[{{"name":"a","issuer":"https://a.example","audiences":["x"],"secret":{{"env":"S"}},
                        "token_from":[{{"header":"X-Token"}},{{"query":"access_token"}}]}}],
                    "routes":[{{"path":"/x/{{id}}","response":{{}},{route}}}]}}"#
            );
            let node = source::read(document.as_bytes()).unwrap();
            let secret = |_: &str| Some("0123456789abcdef0123456789abcdef".to_string());
            let found: Vec<_> =
                Policy::from_node(&node, &secret).err().unwrap_or_default().iter().map(ToString::to_string).collect();
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].contains(expected),
            };
            assert!(holds, "{route}: expected {expected:?}, found {found:?}");
        }
    }
}
