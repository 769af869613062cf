//! Checks credential settings across sections: conflicting places, unusable routes, and routes with too little protection.

use crate::config::auth::{Auth, CredentialKind, KeyPlace, Sensitivity};
use crate::config::document::{Document, IssuerSettings, Route, TokenSource};
use crate::config::header_name::is_same_cgi_variable;
use crate::config::problem::Problems;
use crate::config::token_rules::LONGEST_SELF_ISSUED;
use crate::policy::authority::identity::IdentityHeaders;
use crate::policy::credentials::api_key::is_environment;

/// Checks the credential settings of the whole document.
pub(super) fn check(document: &Document, identity: &IdentityHeaders, problems: &mut Problems) {
    if let Some(environment) = &document.environment
        && !is_environment(&environment.value)
    {
        let message = format!(
            "`{}` is not an environment name: use at most 32 characters of a-z, 0-9 and `-`",
            environment.value
        );
        problems.add(&environment.place, message);
    }
    for place in document.api_keys.iter().flat_map(|keys| &keys.from) {
        if document.environment.is_none() {
            problems.add(&place.place, "keys are valid in one environment: set `environment` in this document");
        }
        let by_token = |issuer: &&IssuerSettings| issuer.token_from.iter().any(|token| collides(&place.value, token));
        if let Some(issuer) = document.issuers.iter().find(by_token) {
            let message = format!("the tokens of issuer `{}` are read from the same place", issuer.name.value);
            problems.add(&place.place, message);
        }
        if let KeyPlace::Header(name) = &place.value
            && identity.has(name)
        {
            problems.add(&place.place, format!("`{name}` is an identity header, which clients cannot send"));
        }
    }
    for issuer in &document.issuers {
        check_issuer(issuer, document, problems);
    }
}

/// Reports an issuer that is not trusted in this environment. Skipping it silently would hide the mistake.
fn check_issuer(issuer: &IssuerSettings, document: &Document, problems: &mut Problems) {
    let name = &issuer.name.value;
    if let Some(first) = issuer.environments.first() {
        let here = document.environment.as_ref().map(|environment| environment.value.as_str());
        let listed = || issuer.environments.iter().map(|e| e.value.as_str());
        match here {
            None => problems.add(
                &first.place,
                format!("issuer `{name}` lists `environments`, but the document does not set `environment`"),
            ),
            Some(here) if !listed().any(|listed| listed == here) => {
                let all: Vec<&str> = listed().collect();
                let message = format!(
                    "issuer `{name}` is only for {}, but the environment of this document is `{here}`",
                    all.join(", ")
                );
                problems.add(&first.place, message);
            }
            Some(_) => {}
        }
    }
    check_self_issued(issuer, problems);
}

/// Checks a self-issued issuer. A developer with its key can claim any identity. So the issuer is not allowed in production,
/// and its tokens must be short-lived.
fn check_self_issued(issuer: &IssuerSettings, problems: &mut Problems) {
    let Some(at) = &issuer.self_issued else { return };
    if issuer.environments.is_empty() {
        problems.add(
            &at.place,
            "self-issued tokens are for development: list the `environments` that accept them, such as [development]",
        );
    }
    for environment in issuer.environments.iter().filter(|e| is_production(&e.value)) {
        problems.add(&environment.place, format!("self-issued tokens are not accepted in `{}`", environment.value));
    }
    if issuer.rules.max_lifetime.is_some_and(|longest| longest > LONGEST_SELF_ISSUED) {
        problems.add(&at.place, "self-issued tokens may be valid for at most 15 minutes: lower `max_lifetime`");
    }
}

fn is_production(environment: &str) -> bool {
    environment.split('-').any(|part| part.starts_with("prod") || part == "live")
}

/// Checks that the document has the issuers and the key places that the credentials of the route need.
pub(super) fn check_route(route: &Route, document: &Document, problems: &mut Problems) {
    let auth = &route.auth;
    if auth.value.takes(CredentialKind::Token) && document.issuers.is_empty() {
        problems.add(
            &auth.place,
            "the route needs a token, but no issuer is declared (add `issuers`, or `auth: none` to open it)",
        );
    }
    if auth.value.takes(CredentialKind::ApiKey) && document.api_keys.is_none() {
        problems.add(
            &auth.place,
            "the route accepts API keys, but the document does not say where they are sent (add `api_keys: { from: [{ header: X-API-Key }] }`)",
        );
    }
    if route.sensitivity == Sensitivity::High {
        check_sensitive(route, problems);
    }
}

/// Checks a route with `sensitivity: high`. An API key alone is not enough for it, because anyone who has the key can use it.
fn check_sensitive(route: &Route, problems: &mut Problems) {
    let key_is_enough = match &route.auth.value {
        Auth::None | Auth::Optional => {
            let message = "`sensitivity: high` cannot be used on a route that is open to everyone";
            return problems.add(&route.auth.place, message);
        }
        Auth::AnyOf(kinds) => kinds.contains(&CredentialKind::ApiKey),
        Auth::AllOf(kinds) => kinds.as_slice() == [CredentialKind::ApiKey],
    };
    if key_is_enough {
        problems.add(
            &route.auth.place,
            "an API key alone opens this route, although its `sensitivity` is high (write `auth: { all_of: [api_key, certificate] }` or `[api_key, token]`)",
        );
    }
}

/// Returns `true` if the filter could not distinguish a token from a key, because both are read from the same place.
fn collides(key: &KeyPlace, token: &TokenSource) -> bool {
    match (key, token) {
        (KeyPlace::Header(key), TokenSource::Header(token)) => is_same_cgi_variable(key, token),
        (KeyPlace::InsecureQuery(key), TokenSource::Query(token)) => key == token,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::node::Node;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const HASH: &str = "sha256:e9e2de7848614c3ade03610a9cd630406a8b86a674aab267875ae4b35bf5e571";

    /// Returns the problems of a valid document after setting each JSON Pointer in `over` to its value.
    fn problems(over: &[(&str, Value)]) -> Vec<String> {
        let key = json!({ "id": "k", "prefix": "pck_test_bill0000ing1", "hash": HASH });
        let client = json!({ "id": "c", "owner": "o", "purpose": "p", "keys": [key] });
        let mut document = json!({
            "version": "1.0",
            "environment": "test",
            "api_keys": { "from": [{ "header": "X-API-Key" }] },
            "issuers": [{ "name": "a", "issuer": "https://a.example", "audiences": ["x"], "secret": { "env": "S" } }],
            "clients": [client.clone(), client],
            "routes": [{ "path": "/x", "response": {} }],
        });
        document["clients"][1]["id"] = json!("d");
        document["clients"][1]["keys"] = json!([]);
        for (pointer, value) in over {
            let (at, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(at).unwrap().as_object_mut().unwrap().insert(name.to_string(), value.clone());
        }
        let environment = |_: &str| Some("0123456789abcdef0123456789abcdef".to_string());
        let found = Policy::from_node(&Node::from(document), &environment).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn credential_settings_are_checked_across_sections() {
        let auth = |value: Value| ("/routes/0/auth", value);
        let high = ("/routes/0/sensitivity", json!("high"));
        let any = |kinds: &[&str]| auth(json!({ "any_of": kinds }));
        let all = |kinds: &[&str]| auth(json!({ "all_of": kinds }));
        let environments = |names: &[&str]| ("/issuers/0/environments", json!(names));
        let key = |id: &str, prefix: &str, digit: &str, more: Value| {
            let mut key = json!({ "id": id, "prefix": prefix, "hash": HASH.replace("e9e2", digit) });
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let third = |keys: Value| ("/clients/1/keys", keys);
        for (over, expected) in [
            (vec![], None),
            (vec![any(&["token", "api_key"])], None),
            (vec![any(&["api_key"]), ("/api_keys", json!({ "from": [] }))], Some("list at least one `header`")),
            (vec![any(&[])], Some("no credential is listed")),
            (vec![any(&["token", "token"])], Some("is listed twice")),
            (vec![any(&["key"])], Some("`key` is not accepted here")),
            (vec![auth(json!({}))], Some("expected exactly one of `any_of` and `all_of`")),
            (vec![auth(json!({ "any_of": ["token"], "all_of": ["token"] }))], Some("expected exactly one of `any_of`")),
            (vec![("/auth", json!("none"))], Some("only a route can accept requests without credentials")),
            (vec![("/auth", json!("optional"))], Some("only a route can accept requests without credentials")),
            (
                vec![("/auth", json!({ "any_of": ["api_key"] })), high.clone()],
                Some("an API key alone opens this route"),
            ),
            (vec![any(&["api_key", "token"]), high.clone()], Some("an API key alone opens this route")),
            (vec![all(&["api_key"]), high.clone()], Some("an API key alone opens this route")),
            (vec![auth(json!("none")), high.clone()], Some("cannot be used on a route that is open")),
            (vec![all(&["api_key", "certificate"]), high.clone()], None),
            (vec![any(&["token", "certificate"]), high], None),
            (vec![("/environment", json!("Test"))], Some("is not an environment name")),
            (vec![environments(&["test"])], None),
            (
                vec![environments(&["production"])],
                Some("is only for production, but the environment of this document is `test`"),
            ),
            (vec![("/issuers/0/self_issued", json!(true))], Some("list the `environments` that accept them")),
            (vec![("/issuers/0/self_issued", json!(true)), environments(&["test"])], None),
            (
                vec![
                    ("/issuers/0/self_issued", json!(true)),
                    environments(&["test"]),
                    ("/issuers/0/max_lifetime", json!("16m")),
                ],
                Some("at most 15 minutes"),
            ),
            (
                vec![("/issuers/0/self_issued", json!(true)), environments(&["test", "eu-production"])],
                Some("are not accepted in `eu-production`"),
            ),
            (vec![("/api_keys/from", json!([{ "header": "Authorization" }]))], Some("write `scheme: ApiKey`")),
            (vec![("/api_keys/from", json!([{ "scheme": "Basic" }]))], Some("cannot be the scheme of a key")),
            (vec![("/issuers/0/token_from", json!([{ "header": "x-api-key" }]))], Some("are read from the same place")),
            (vec![("/issuers/0/token_from", json!([{ "header": "x.api_key" }]))], Some("are read from the same place")),
            (
                vec![("/issuers/0/token_from", json!([{ "header": "x-token", "insecure_cross_origin": true }]))],
                Some("can be set only with `cookie`"),
            ),
            (vec![("/issuers/0/token_from", json!([{ "cookie": "sid", "insecure_cross_origin": true }]))], None),
            (vec![("/identity_headers", json!({ "X_API_Key": "sub" }))], Some("is an identity header")),
            (vec![("/identity_headers", json!({ "X.API~Key": "sub" }))], Some("is an identity header")),
            (
                vec![third(json!([key("k", "pck_test_bill0000ing1", "0000", json!({}))]))],
                Some("`k` of client `d` has the prefix of key `k` of client `c`"),
            ),
            (
                vec![third(json!([key("k", "pck_test_other0000001", "e9e2", json!({}))]))],
                Some("has the hash of key `k` of client `c`"),
            ),
            (
                vec![third(json!([key("k", "bill0000ing1", "0000", json!({}))]))],
                Some("`prefix` is not the prefix of a key"),
            ),
            (
                vec![
                    ("/clients/1/environments", json!(["production"])),
                    third(json!([key("k", "pck_test_other0000001", "0000", json!({}))])),
                ],
                Some("the key is for `test`, where its client does not exist"),
            ),
            (
                vec![third(json!([
                    key("1", "pck_test_other0000001", "0001", json!({})),
                    key("2", "pck_test_other0000002", "0002", json!({})),
                    key("3", "pck_test_other0000003", "0003", json!({})),
                ]))],
                Some("keys `1`, `2`, `3` are valid at the same time"),
            ),
            (
                vec![third(json!([
                    key("1", "pck_test_other0000001", "0001", json!({ "expires": "2026-02-01T00:00:00Z" })),
                    key("2", "pck_test_other0000002", "0002", json!({})),
                    key("3", "pck_test_other0000003", "0003", json!({ "not_before": "2026-02-01T00:00:00Z" })),
                ]))],
                None,
            ),
            (vec![("/clients/1/id", json!("c"))], Some("client `c` is listed twice")),
            (vec![("/clients/1/expires", json!("tomorrow"))], Some("is not a time in UTC")),
            (
                vec![(
                    "/clients/1/certificates",
                    json!([{ "spiffe": "spiffe://td/x" }, { "spiffe": "spiffe://td/x" }]),
                )],
                Some("this certificate already belongs to client `d`"),
            ),
            (vec![("/clients/1/certificates", json!([{ "dns": "*.example.com" }]))], Some("patterns are not accepted")),
            (vec![("/clients/1/certificates", json!([{ "spiffe": "https://x" }]))], Some("is not a SPIFFE id")),
            (vec![("/clients/1/token_issuers", json!(["b"]))], Some("no issuer `b`")),
            (vec![("/clients/1/token_issuers", json!([])), ("/clients/1/environments", json!([]))], None),
            (
                vec![("/issuers/0/require_client", json!(false)), ("/issuers/0/allow_unlisted_clients", json!(true))],
                None,
            ),
            (
                vec![("/issuers/0/require_client", json!(true)), ("/issuers/0/allow_unlisted_clients", json!(true))],
                Some("contradicts `require_client: true`"),
            ),
            (vec![environments(&[])], Some("the list is empty")),
            (vec![("/issuers/0/algorithms", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/issuers", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/methods", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/host", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/any_scope", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/any_permission", json!([]))], Some("the list is empty")),
            (vec![("/routes/0/scopes", json!([])), ("/routes/0/permissions", json!([]))], None),
            (vec![("/limits", json!([{ "name": "l", "by": [], "rate": "1/s" }]))], Some("the list is empty")),
            (
                vec![
                    ("/plans", json!({ "p": { "rate": "1/s" } })),
                    (
                        "/limits",
                        json!([{ "name": "l", "by": "user", "plan_from": { "claim": "plan", "plans": [], "default": "p" } }]),
                    ),
                ],
                Some("the list is empty"),
            ),
        ] {
            let found = problems(&over);
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].contains(expected),
            };
            assert!(holds, "{over:?}: expected {expected:?}, found {found:?}");
        }
    }

    #[test]
    fn without_an_environment_keys_and_environment_lists_are_rejected() {
        let without = |over: &[(&str, Value)]| {
            let mut document =
                json!({ "version": "1.0", "routes": [{ "path": "/x", "auth": "none", "response": {} }] });
            for (name, value) in over {
                document[*name] = value.clone();
            }
            let found = Policy::from_node(&Node::from(document), &|_| None).err().unwrap_or_default();
            found.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert_eq!(without(&[]), Vec::<String>::new());
        let found = without(&[("api_keys", json!({ "from": [{ "header": "X-API-Key" }] }))]);
        assert!(found.len() == 1 && found[0].contains("set `environment` in this document"), "{found:?}");
        let client = json!({ "id": "c", "owner": "o", "purpose": "p", "environments": ["test"] });
        let found = without(&[("clients", json!([client]))]);
        assert!(found.len() == 1 && found[0].contains("does not set `environment`"), "{found:?}");
    }
}
