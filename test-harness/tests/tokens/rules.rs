//! Defines rules for accepting tokens, and converts them to a gateway's document and to options of jose's `jwtVerify`.

use anyhow::Result;
use serde_json::{Value, json};
use test_harness::case::PUBLISHED;
use test_harness::core_gateway;
use test_harness::keys::{self, Key};
use test_harness::native::Gateway;

/// The rules for accepting a token.
#[derive(Debug)]
pub struct Rules {
    /// The accepted algorithms.
    pub algorithms: &'static [&'static str],
    /// The accepted type. If it is `None`, jose accepts any type, and the gateway accepts its default types.
    pub typ: Option<&'static str>,
    /// The allowed difference between clocks, in seconds.
    leeway: u32,
    /// Whether the key is a shared secret instead of a set of public keys.
    secret: bool,
}

impl Rules {
    /// Creates a gateway with these rules.
    pub fn open(&self) -> Result<Box<dyn Gateway>> {
        let mut issuer = json!({
            "name": "accounts", "issuer": ISSUER, "audiences": AUDIENCES, "algorithms": self.algorithms,
            "leeway": format!("{}s", self.leeway),
        });
        match self.secret {
            true => issuer["secret"] = json!({ "env": "JWT_SECRET" }),
            false => issuer["jwks"] = json!({ "uri": "http://127.0.0.1/jwks.json", "cluster": "issuer" }),
        }
        if let Some(typ) = self.typ {
            issuer["token_types"] = json!([typ]);
        }
        let policy = json!({
            "version": "1.0", "issuers": [issuer], "upstreams": { "orders": { "url": "http://127.0.0.1:1" } },
            "routes": [{ "path": "/orders", "upstream": "orders" }],
        });
        core_gateway::open(&policy, &[("JWT_SECRET".to_owned(), secret()?)])
    }

    /// Returns the same rules as options of jose.
    pub fn for_jose(&self) -> Result<Value> {
        let mut options = json!({
            "issuer": ISSUER, "audience": AUDIENCES, "algorithms": self.algorithms, "clockTolerance": self.leeway,
        });
        if let Some(typ) = self.typ {
            options["typ"] = typ.into();
        }
        Ok(match self.secret {
            true => json!({ "secret": secret()?, "options": options }),
            false => json!({ "keySet": keys::key_set(&PUBLISHED)?, "options": options }),
        })
    }
}

fn secret() -> Result<String> {
    Ok(String::from_utf8(Key::named("hs-text")?.as_hmac_secret()?)?)
}

/// The sets of rules. Each algorithm is accepted by at least one set.
pub const RULES: [Rules; 4] = [
    Rules { algorithms: &EVERY_KEYED, typ: None, leeway: 0, secret: false },
    Rules { algorithms: &["HS256", "HS384", "HS512"], typ: None, leeway: 30, secret: true },
    Rules {
        algorithms: &["RS256", "PS384", "ES256", "ES512", "EdDSA"],
        typ: Some("at+jwt"),
        leeway: 30,
        secret: false,
    },
    Rules { algorithms: &["HS256"], typ: Some("at+jwt"), leeway: 0, secret: true },
];

/// The algorithms that use public keys.
pub const EVERY_KEYED: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

pub const ISSUER: &str = "https://accounts.example.com/";
const AUDIENCES: [&str; 2] = ["orders-api", "partner-api"];
