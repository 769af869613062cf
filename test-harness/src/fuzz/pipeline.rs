//! Fuzzes the complete processing of requests and checks the properties that every request must satisfy.

use anyhow::Result;
use serde_json::Value;

use super::gateways::{self, Message, Subject, folded};
use super::{PropertyError, Target};
use crate::client::Request;
use crate::octets;
use crate::outcome::{Forwarded, Outcome, values};
use crate::shown;
use crate::token::TokenSpec;

/// The target for arbitrary requests to the gateways of all case files.
pub struct Decide(Vec<Subject>);

/// The target for arbitrary claims in correctly signed tokens. An issuer can put any claims into its own tokens.
pub struct Claims(Vec<Subject>);

impl Decide {
    /// Creates the target with the gateways of all case files.
    pub fn open() -> Result<Box<dyn Target>> {
        Ok(Box::new(Self(gateways::all()?)))
    }
}

impl Target for Decide {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.iter().flat_map(|subject| subject.seeds.clone()).collect()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let message = Message::read(input);
        let Some(subject) = gateways::named(&mut self.0, &message.stem) else { return Ok(()) };
        let request = Request { body: message.rest.clone(), ..subject.filled(&message.request, b"") };
        let outcome = decided(subject, &request, &message)?;
        let known = outcome.audit.as_ref().and_then(|audit| audit.get("subject")).is_some();
        if known && !subject.has_credential(&request) {
            return Err(property_error(
                "the gateway identified a caller, but the request contains no known credential",
                &request,
                &outcome,
            ));
        }
        holds(subject, &request, &outcome).map_err(|broken| property_error(&broken, &request, &outcome))
    }
}

impl Claims {
    /// Creates the target with the gateways of all case files.
    pub fn open() -> Result<Box<dyn Target>> {
        Ok(Box::new(Self(gateways::all()?)))
    }
}

impl Target for Claims {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let subjects = self.0.iter().filter(|subject| subject.stem != "bare");
        let seed = |subject: &Subject| {
            let with_token = subject.seeds.iter().find(|seed| seed.windows(7).any(|window| window == b"Bearer "))?;
            let mut message = Message::read(with_token);
            message.request.headers.retain(|(name, _)| name != b"authorization");
            let target = String::from_utf8_lossy(&message.request.target).into_owned();
            let head =
                format!("{}\nGET {target}\nhost: api.example.com\nauthorization: Bearer <own>\n\n", subject.stem);
            Some(CLAIMS.iter().map(move |claims| [head.as_bytes(), claims.as_bytes()].concat()))
        };
        subjects.filter_map(seed).flatten().collect()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        let message = Message::read(input);
        let Some(subject) = gateways::named(&mut self.0, &message.stem) else { return Ok(()) };
        let issuer = subject.scene.issuer.url();
        let Ok(claims) = std::str::from_utf8(&message.rest) else { return Ok(()) };
        let claims = claims.replace("${ISSUER}", &issuer);
        // Ed25519 signs fastest, and the processing of claims does not depend on the key.
        let spec = TokenSpec { claims_text: Some(claims.clone()), ..TokenSpec::of("ed-1") };
        let Ok(token) = spec.mint(0, &serde_json::Map::new()) else { return Ok(()) };
        let request = subject.filled(&message.request, token.as_bytes());
        let outcome = decided(subject, &request, &message)?;
        let error = |broken: String| property_error(&format!("{broken}\nclaims: {claims}"), &request, &outcome);
        let subject_seen = outcome.audit.as_ref().and_then(|audit| audit.get("subject")).and_then(Value::as_str);
        // If the gateway accepts the token, `serde_json` must accept the claims too and must not find another `sub`.
        if subject_seen.is_some() && request.headers.iter().any(|(_, value)| value.ends_with(token.as_bytes())) {
            let read: Result<Value, _> = serde_json::from_str(&claims);
            let good = read
                .is_ok_and(|read| read.get("sub").and_then(Value::as_str).is_none_or(|sub| Some(sub) == subject_seen));
            if !good && !subject.has_credential(&request) {
                return Err(error("the subject in the audit record differs from the claim `sub`".to_owned()));
            }
        }
        // The gateway does not search the path for tokens, and records the path unchanged. Therefore the record may contain a
        // token that is part of the path.
        let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let in_path = path.windows(token.len()).any(|window| window == token.as_bytes());
        if !in_path && outcome.audit.as_ref().is_some_and(|audit| audit.to_string().contains(&token)) {
            return Err(error("the audit record contains the token".to_owned()));
        }
        holds(subject, &request, &outcome).map_err(error)
    }
}

fn decided(subject: &mut Subject, request: &Request, message: &Message) -> Result<Outcome, PropertyError> {
    let peer = subject.peer(message);
    subject.decide(request, peer).map_err(|error| format!("{error:#}\n{}", octets::escape(&request.on_the_wire())))
}

fn property_error(broken: &str, request: &Request, outcome: &Outcome) -> PropertyError {
    format!("{broken}\n{}\n{outcome:?}", octets::escape(&request.on_the_wire()))
}

/// Checks the properties that every request must satisfy.
pub fn holds(subject: &Subject, request: &Request, outcome: &Outcome) -> Result<(), PropertyError> {
    if outcome.audit.as_ref().and_then(Value::as_object).is_none() {
        return Err("the audit record is missing or is not a JSON object".to_owned());
    }
    let Some(forwarded) = &outcome.forwarded else { return answer(outcome) };
    safe_path(forwarded)?;
    for (name, value) in &forwarded.headers {
        let ends_line = |byte| matches!(byte, b'\r' | b'\n' | 0);
        if name.bytes().chain(value.iter().copied()).any(ends_line) && !sent(request, value) {
            return Err(format!("the gateway itself wrote a line break into `{name}`"));
        }
        // Guarantee 3 in `README.md`: only the gateway sets identity headers, and the upstream never receives a forged value.
        let mut identity = subject.identity.iter().filter(|identity| folded(identity) == folded(name));
        if identity.any(|identity| identity != name || value == FORGED.as_bytes()) {
            return Err(format!("the client's `{name}` reached the upstream"));
        }
    }
    Ok(())
}

/// Checks that clients can parse a response that the gateway itself sends.
fn answer(outcome: &Outcome) -> Result<(), PropertyError> {
    if !(200..=599).contains(&outcome.status) {
        return Err(format!("the reply has the invalid status {}", outcome.status));
    }
    for (name, value) in &outcome.headers {
        if value.iter().any(|byte| *byte < b' ' || *byte == 0x7f) || name.bytes().any(|byte| byte <= b' ') {
            return Err(format!("the header `{name}` contains a control character"));
        }
    }
    let is_json = values(&outcome.headers, "content-type").iter().any(|kind| kind == "application/json");
    if is_json && !outcome.body.is_empty() && serde_json::from_slice::<Value>(&outcome.body).is_err() {
        return Err("the body has the type `application/json`, but is not JSON".to_owned());
    }
    let allowed = values(&outcome.headers, "access-control-allow-origin");
    let with_credentials = !values(&outcome.headers, "access-control-allow-credentials").is_empty();
    if allowed.len() > 1 || (with_credentials && allowed.iter().any(|origin| origin == "*")) {
        return Err("browsers reject these CORS headers".to_owned());
    }
    Ok(())
}

/// Checks guarantee 11 in `README.md`: the gateway never forwards an ambiguous path.
pub fn safe_path(forwarded: &Forwarded) -> Result<(), PropertyError> {
    let path = forwarded.path.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    let ambiguous = ["//", "/../", "/./", "%2f", "%5c", "%00", "\\", "%2e%2e"];
    match ambiguous.iter().find(|form| lower.contains(**form)) {
        Some(form) => Err(format!("a path with `{form}` was forwarded")),
        None if lower.ends_with("/..") || lower.ends_with("/.") => {
            Err("a path that ends in dots was forwarded".to_owned())
        }
        None => Ok(()),
    }
}

/// Returns whether the client sent every part of a header value. The value is split at semicolons, because the gateway may have
/// removed a cookie.
fn sent(request: &Request, value: &[u8]) -> bool {
    let headers = shown::headers(request);
    let known = |piece: &[u8]| {
        let holds = |have: &[u8]| have.windows(piece.len()).any(|window| window == piece);
        piece.is_empty() || headers.iter().any(|(_, have)| holds(have))
    };
    value.split(|byte| *byte == b';').all(|piece| known(piece.trim_ascii()))
}

/// The value of the forged identity headers in the seeds. No token of the cases contains this value.
const FORGED: &str = "root";

/// The claims of the seeds. `exp` is so late that the tokens never expire.
const CLAIMS: [&str; 4] = [
    r#"{"iss":"${ISSUER}","aud":"orders-api","sub":"user-1","exp":4102444800,"iat":1,"scope":"read:orders write:orders"}"#,
    r#"{"iss":"${ISSUER}","aud":["orders-api","other"],"sub":"é\r\nx: 1","exp":4102444800,"scp":["read:orders"],"org_id":"org-1","roles":["admin","user"],"act":{"sub":"a"}}"#,
    r#"{"iss":"${ISSUER}","aud":"orders-api","sub":"u","exp":4102444800,"nbf":0,"permissions":{"LIC":3},"perms":"7","product":"eloquent","email":"a@example.com"}"#,
    r#"{"iss":"${ISSUER}","aud":"orders-api","sub":"u","exp":1e300,"nbf":-1,"deep":[[[[{"a":{"b":[null,true,1.5]}}]]]],"client_id":"c","cnf":{"jkt":"x"}}"#,
];
