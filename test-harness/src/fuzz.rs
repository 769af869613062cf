//! Hostile input at random: mutated requests, documents and key sets, and what must hold for every one of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result};
use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::policy::jwks::{KeySet, KeySource};
use serde_json::Value;

use crate::case::CaseFile;
use crate::client::Request;
use crate::native::{Arrival, Gateway};
use crate::outcome::{Forwarded, Outcome};
use crate::scene::Scene;
use crate::{clock, core_gateway, keys, octets};

/// What is fed with random input.
pub struct Fuzz {
    subjects: Vec<Subject>,
    key_set: String,
    dice: Dice,
}

/// A gateway and requests that it understands.
struct Subject {
    document: String,
    /// The names of its identity headers, `_` written as `-`.
    identity: Vec<String>,
    gateway: Box<dyn Gateway>,
    requests: Vec<Request>,
}

impl Fuzz {
    /// Starts from every case file; the same seed gives the same inputs.
    pub fn new(seed: u64) -> Result<Self> {
        let mut subjects = Vec::new();
        for file in CaseFile::read_all()? {
            let scene = Scene::set(&file)?;
            let gateway = core_gateway::open(&scene.policy, &scene.env).with_context(|| file.stem.clone())?;
            let requests = file.cases.iter().map(|case| scene.request(case)).collect::<Result<_>>()?;
            let headers = scene.policy.get("identity_headers").and_then(Value::as_object);
            let identity = headers.into_iter().flatten().map(|(name, _)| folded(name)).collect();
            subjects.push(Subject { document: scene.policy.to_string(), identity, gateway, requests });
        }
        let key_set = keys::key_set(&keys::names()?)?.to_string();
        Ok(Self { subjects, key_set, dice: Dice(seed | 1) })
    }

    /// One input for each parser and one for the whole pipeline. The error says what did not hold, and for which input.
    pub fn round(&mut self) -> Result<(), String> {
        let at = self.dice.below(self.subjects.len());
        let Some(subject) = self.subjects.get_mut(at) else { return Err("there are no case files".to_owned()) };
        let document = self.dice.mutated(subject.document.as_bytes());
        unbroken(&document, || {
            let _policy = source::read(&document).map(|node| Policy::from_node(&node, &|_| None).is_ok());
        })?;
        let set = self.dice.mutated(self.key_set.as_bytes());
        unbroken(&set, || drop(KeySet::parse(&set, KeySource::Remote)))?;
        let at = self.dice.below(subject.requests.len());
        let Some(original) = subject.requests.get(at) else { return Ok(()) };
        let request = self.dice.mutated_request(original);
        let key_set = keys::key_set(&crate::case::PUBLISHED).ok();
        let arrival = Arrival { now: clock::unix_seconds(), request: &request, key_set, audit: true };
        let shown = octets::escape(&request.on_the_wire());
        let mut decided = Err(anyhow::anyhow!("nothing was decided"));
        unbroken(&request.on_the_wire(), || decided = subject.gateway.decide(&arrival))?;
        let outcome = decided.map_err(|error| format!("{error:#}\n{shown}"))?;
        let broken = |what| format!("{what}\n{shown}\n{outcome:?}");
        hold(&subject.identity, original, &request, &outcome).map_err(broken)
    }
}

/// What must hold for every request, however hostile.
fn hold(identity: &[String], original: &Request, request: &Request, outcome: &Outcome) -> Result<(), String> {
    let Some(forwarded) = &outcome.forwarded else { return Ok(()) };
    safe_path(forwarded)?;
    let known = outcome.audit.as_ref().and_then(|audit| audit.get("subject")).is_some();
    if known && !same_tokens(original, request) {
        return Err("a caller was recognised by a token that nobody minted".to_owned());
    }
    for (name, value) in &forwarded.headers {
        if name.bytes().chain(value.iter().copied()).any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            && !sent(request, value)
        {
            return Err(format!("the gateway itself wrote a line break into `{name}`"));
        }
        // Invariant 3: such a header is the gateway's, and the fuzzer's value never is.
        if identity.contains(&folded(name)) && (name.contains('_') || value == FORGED.as_bytes()) {
            return Err(format!("the client's `{name}` reached the upstream"));
        }
    }
    Ok(())
}

/// Invariant 11: nothing ambiguous goes on.
fn safe_path(forwarded: &Forwarded) -> Result<(), String> {
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

/// Whether the tokens of the original stand in the request unchanged; without one there is nothing to recognise.
fn same_tokens(original: &Request, request: &Request) -> bool {
    let all = |request: &Request| {
        let mut text = request.target.clone();
        request.headers.iter().for_each(|(_, value)| text.extend([b" ", value.as_slice()].concat()));
        String::from_utf8_lossy(&text).into_owned()
    };
    let text = all(original);
    let tokens: Vec<_> = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).collect();
    let tokens: Vec<_> = tokens.into_iter().filter(|word| word.matches('.').count() == 2 && word.len() > 100).collect();
    let now = all(request);
    tokens.iter().any(|token| token.find("eyJ").and_then(|at| token.get(at..)).is_some_and(|token| now.contains(token)))
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn sent(request: &Request, value: &[u8]) -> bool {
    request.headers.iter().any(|(_, have)| have.trim_ascii() == value)
}

fn unbroken(input: &[u8], run: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| format!("it panicked on {}", octets::escape(input)))
}

/// Marsaglia's xorshift: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(1).max(1);
        usize::try_from(self.roll() % bound).unwrap_or(0)
    }

    /// One to four changes: a bit flipped, bytes removed, bytes doubled, or something nasty put in.
    fn mutated(&mut self, input: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len() + 1);
            let end = (at + self.below(24)).min(out.len());
            match self.below(4) {
                0 => {
                    let bit = 1 << self.below(8);
                    out.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
                }
                1 => drop(out.drain(at..end)),
                2 => {
                    let again = out.get(at..end).unwrap_or_default().to_vec();
                    out.splice(at..at, again);
                }
                _ => {
                    let nasty = NASTY.get(self.below(NASTY.len())).copied().unwrap_or_default();
                    out.splice(at..at, nasty.iter().copied());
                }
            }
        }
        out
    }

    fn mutated_request(&mut self, original: &Request) -> Request {
        let mut request = original.clone();
        for _ in 0..=self.below(2) {
            let at = self.below(request.headers.len());
            match self.below(6) {
                0 => request.method = self.mutated(&request.method),
                1 | 2 => request.target = self.mutated(&request.target),
                3 => {
                    let copy = request.headers.get(at).cloned();
                    request.headers.extend(copy);
                }
                4 => {
                    let (name, value) = HOSTILE.get(self.below(HOSTILE.len())).copied().unwrap_or_default();
                    request.headers.push((name.into(), value.into()));
                }
                _ => {
                    let value = request.headers.get(at).map(|(_, value)| self.mutated(value));
                    let place = request.headers.get_mut(at).zip(value);
                    place.into_iter().for_each(|((_, have), value)| *have = value);
                }
            }
        }
        request
    }
}

const NASTY: &[&[u8]] = &[
    b"/../",
    b"%2e%2e",
    b"%2F",
    b"%5c",
    b"//",
    b";",
    b"%00",
    b"\0",
    b"\xc3\x28",
    b"\xff",
    b"\r\n",
    b"?",
    b"#",
    b"%",
    b"%u002f",
    b",",
    b"\"",
    b"{",
    b"[[[[[[[[[[[[[[[[",
    b"}",
    b"e30.",
    b"..",
    b"=",
    b"99999999999999999999",
    b"-1",
    b"null",
    b"\\u0000",
];

/// A subject that no token of the cases has.
const FORGED: &str = "root";

const HOSTILE: &[(&str, &str)] = &[
    ("x-user-id", FORGED),
    ("X_User_ID", FORGED),
    ("x-user_id", FORGED),
    ("x-portcullis-upstream", "admin"),
    ("authorization", "Bearer x"),
    ("authorization", ""),
    ("origin", "null"),
    ("access-control-request-method", "PUT"),
    ("x-request-id", "a\r\nb"),
    ("content-type", "application/grpc"),
    ("x-forwarded-for", "127.0.0.1"),
    ("host", "evil.example"),
];
