//! The gateway's document for the soak test, and the mix of requests with the expected statuses of each request.

use anyhow::Result;
use serde_json::{Map, Value, json};
use test_harness::client::Request;
use test_harness::clock;
use test_harness::fuzz::rng::Rng;
use test_harness::scene::document_path;
use test_harness::token::{Tamper, TokenSpec};
use test_harness::trial::{HOST, ORIGIN, Servers, bearer, get};

/// Returns the document of [`Servers::policy`] with more features, such as permissions, API keys, revocation, schemas and limits.
pub fn document(servers: &Servers) -> Result<Value> {
    let at = |name: &str| format!("{}{}", servers.issuer.url(), document_path(name));
    publish(servers, 0);
    let mut document = servers.policy();
    let sections = json!({
        "permissions": { "LIC": { "READ_ORDERS": { "bit": 0, "description": "see orders" } } },
        "forward_permissions": { "headers": { "X-Permissions": "masks" } },
        "environment": "test",
        "api_keys": { "from": [{ "header": "X-API-Key" }] },
        "clients_from": { "uri": at(CLIENTS), "cluster": "issuer", "poll": "1s", "stale_for": "1d" },
        "revocation": { "uri": at(REVOCATIONS), "cluster": "issuer", "poll": "1s", "stale_for": "1d", "max_entries": 100 },
        "schemas": { "order": {
            "type": "object", "required": ["items"], "additionalProperties": false,
            "properties": { "items": { "type": "array", "items": { "$ref": "#/$defs/item" } } },
            "$defs": { "item": { "type": "object", "properties": { "sku": { "type": "string", "pattern": "^[A-Z]{3}$" } }, "required": ["sku"] } },
        } },
        "plans": { "wide": [{ "rate": "1000000/s" }, { "quota": "1000000000/d" }] },
        "limits": [
            { "name": "callers", "by": "user", "plan_from": { "claim": "plan", "default": "wide" } },
            { "name": "few", "by": "address", "rate": "1/h", "routes": ["few"] },
        ],
    });
    let routes = json!([
        { "name": "licences", "path": "/licences/{.+}", "upstream": "orders", "permissions": ["LIC.READ_ORDERS"] },
        { "name": "own", "path": "/users/{user}/orders", "upstream": "orders", "when": "claims.sub == path.user" },
        { "name": "keyed", "path": "/keyed", "upstream": "orders", "auth": { "any_of": ["api_key"] }, "when": "client.plan == \"wide\"" },
        { "name": "few", "path": "/few", "upstream": "orders", "auth": "none" },
        { "name": "checked", "path": "/checked", "upstream": "orders", "auth": "none", "method": ["POST"],
          "checks": { "query": { "page": { "type": "integer" } }, "json": { "max_depth": 8 } } },
        { "name": "formed", "path": "/formed", "upstream": "orders", "auth": "none", "method": ["POST"],
          "checks": { "json": { "schema": "order" } } },
    ]);
    if let (Some(document), Some(sections)) = (document.as_object_mut(), sections.as_object()) {
        document.extend(sections.clone());
        let all = document.get_mut("routes").and_then(Value::as_array_mut);
        all.into_iter().for_each(|all| all.extend(routes.as_array().cloned().unwrap_or_default()));
    }
    Ok(document)
}

/// Changes all documents that the gateway fetches: the order of the keys in the key set, a client in the client document, and
/// an entry in the revocation list.
pub fn publish(servers: &Servers, turn: usize) {
    let (one, other) = (["rsa-1", "p256-1"], ["p256-1", "rsa-1"]);
    servers.issuer.publish(if turn.is_multiple_of(2) { &one } else { &other });
    let clients = json!({ "version": "1.0", "clients": [
        { "id": "reports", "owner": "finance@example.com", "purpose": "reads what was ordered", "plan": "wide",
          "keys": [{ "id": "r-1", "prefix": KEY.get(..21), "hash": KEY_HASH }] },
        { "id": format!("client-{turn}"), "owner": "finance@example.com", "purpose": "comes and goes" },
    ] });
    servers.issuer.documents.publish(&document_path(CLIENTS), clients);
    let revoked = json!({ "version": "1.0", "revoked": [
        { "issuer": servers.issuer.url(), "sub": "revoked" }, { "jti": format!("gone-{turn}") }] });
    servers.issuer.documents.publish(&document_path(REVOCATIONS), revoked);
}

/// The tokens of one client. The client replaces its valid token at random times.
#[derive(Debug)]
pub struct Tokens {
    /// The valid token.
    pub own: String,
    subject: String,
    permitted: bool,
    forged: String,
    revoked: String,
}

impl Tokens {
    /// Mints the initial tokens of the client with this number.
    pub fn mint(servers: &Servers, client: u64) -> Result<Tokens> {
        let forged = TokenSpec { tamper: Some(Tamper::Signature), ..servers.spec(&json!({})) };
        let now = clock::unix_seconds();
        let (forged, revoked) = (forged.mint(now, &Map::new())?, servers.token(&json!({ "sub": "revoked" }))?);
        let mut tokens = Tokens { own: String::new(), subject: String::new(), permitted: false, forged, revoked };
        tokens.renew(servers, client, 0)?;
        Ok(tokens)
    }

    /// Replaces the valid token with a token for a new subject. In a long run, there are more subjects than any cache has
    /// entries.
    pub fn renew(&mut self, servers: &Servers, client: u64, number: usize) -> Result<()> {
        self.subject = format!("user-{client}-{number}");
        self.permitted = number.is_multiple_of(2);
        let claims =
            json!({ "sub": self.subject, "org_id": format!("org-{}", number % 97), "LIC": u8::from(self.permitted) });
        let spec = TokenSpec { key: "p256-1".to_owned(), exp_in: Some(3_600.into()), ..servers.spec(&claims) };
        self.own = spec.mint(clock::unix_seconds(), &Map::new())?;
        Ok(())
    }
}

/// Returns a request of a random kind, and the statuses that are correct responses to it.
pub fn request(rng: &mut Rng, tokens: &Tokens, number: usize) -> (Request, &'static [u16]) {
    let own = &tokens.own;
    let post = |path: &str| Request::new("POST", path, HOST);
    match rng.below(23) {
        0 => (get("/health"), &[200]),
        1 => (get("/orders/1"), &[401]),
        2 => (bearer(get("/orders/1"), &tokens.forged), &[401]),
        3 => (bearer(get("/reports/1"), own), &[403]),
        4 => (get(&format!("/open/{number}")).header("x-user-id", "root"), &[200]),
        5 => (get(&format!("/nowhere/{number}")), &[404]),
        6 => {
            let preflight = Request::new("OPTIONS", "/orders/1", HOST).header("origin", ORIGIN);
            (preflight.header("access-control-request-method", "POST"), &[204])
        }
        7 => (bearer(post("/orders/1"), own).body("x".repeat(number % 4_000 + 1)), &[200]),
        8 => (get("/orders/1").header("cookie", &format!("a=b; sid={own}")), &[200]),
        9 => (get("/open/a;b"), &[400]),
        10 => (bearer(get("/orders/1"), &tokens.revoked), &[401]),
        11 => (bearer(get(&format!("/users/{}/orders", tokens.subject)), own), &[200]),
        12 => (bearer(get("/users/somebody/orders"), own), &[403]),
        13 => (get("/keyed").header("x-api-key", KEY), &[200]),
        14 => {
            (get("/keyed").header("x-api-key", "pck_test_reports00002_Pp0Oo9Ii8Uu7Yy6Tt5Rr4Ee3Ww2Qq1Aa1oLP2S"), &[401])
        }
        15 => (get("/few"), &[200, 429]),
        16 => (with_json(post("/checked?page=1"), "{\"a\":[1,2]}"), &[200]),
        17 => (with_json(post("/checked?page=x"), "{}"), &[400]),
        18 => (with_json(post("/checked"), "{\"a\":[[[[[[[[[]]]]]]]]]}"), &[400, 422]),
        19 => (with_json(post("/formed"), "{\"items\":[{\"sku\":\"ABC\"}]}"), &[200]),
        20 => (with_json(post("/formed"), "{\"items\":[{\"sku\":\"abc\"},{}],\"more\":1}"), &[422]),
        21 => (bearer(get("/licences/1"), own), if tokens.permitted { &[200] } else { &[403] }),
        _ => (bearer(get(&format!("/orders/{number}")), own), &[200]),
    }
}

fn with_json(request: Request, body: &'static str) -> Request {
    request.header("content-type", "application/json").body(body)
}

const CLIENTS: &str = "clients";
const REVOCATIONS: &str = "revocations";
const KEY: &str = "pck_test_reports00001_Pp0Oo9Ii8Uu7Yy6Tt5Rr4Ee3Ww2Qq1Aa1oLP2S";
const KEY_HASH: &str = "sha256:00c71de70f0976823f7692d514a534be731a34c5d6a9fff0d3ded6d0af1fe7a3";
