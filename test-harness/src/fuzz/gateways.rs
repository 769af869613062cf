//! Creates the gateways that the fuzz targets test: one for each case file, with the requests of the file's cases as seeds.
//!
//! Inputs are text, so that mutated inputs stay similar to real requests. An input contains the name of the case file, the
//! request line and the header lines. After an empty line, it contains the body or other data for the target. Header values can
//! contain placeholders for tokens: `<0>` is the first token in the requests of the case file, `<1>` is the second token, and so
//! on. The lines `@from` and `@certificate` set the address and the certificate of the peer.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use portcullis::policy::request::peer::{Certificate, KnownPeer};
use serde_json::Value;

use crate::case::{Case, CaseFile, PUBLISHED};
use crate::client::Request;
use crate::native::{Arrival, Gateway};
use crate::outcome::Outcome;
use crate::scene::{Scene, document_path};
use crate::{clock, core_gateway, keys};

/// The gateway of a case file, with the requests of the cases.
pub struct Subject {
    /// The name of the case file.
    pub stem: String,
    /// The test servers, the document and the default claims of the case file.
    pub scene: Scene,
    /// The names of the gateway's identity headers, in lower case.
    pub identity: Vec<String>,
    /// The requests of the cases as fuzz inputs.
    pub seeds: Vec<Vec<u8>>,
    /// The tokens for the placeholders `<0>`, `<1>` and so on.
    tokens: Vec<Vec<u8>>,
    /// Every string in the requests of the cases that might be a credential.
    credentials: Vec<Vec<u8>>,
    /// The client certificates of the case file that a proxy accepts, by name.
    certificates: BTreeMap<String, Certificate>,
    /// The path and the response of each document endpoint.
    published: Vec<(String, Option<String>)>,
    gateway: Box<dyn Gateway>,
    asked: u32,
    now: i64,
    key_set: Value,
}

/// A parsed fuzz input.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The name of the case file, which selects the gateway.
    pub stem: Vec<u8>,
    /// The request, in which placeholders are not replaced yet.
    pub request: Request,
    /// The bytes after the empty line.
    pub rest: Vec<u8>,
    /// The client's address as a string.
    from: Vec<u8>,
    /// The name of the client certificate.
    certificate: Vec<u8>,
}

impl Message {
    /// Parses a fuzz input. Every input is valid.
    pub fn read(input: &[u8]) -> Self {
        let (head, rest) = cut(input, b"\n\n");
        let mut lines = head.split(|byte| *byte == b'\n');
        let stem = lines.next().unwrap_or_default().to_vec();
        let (method, target) = cut(lines.next().unwrap_or_default(), b" ");
        let header = |line: &[u8]| {
            let (name, value) = cut(line, b": ");
            (name.to_vec(), value.to_vec())
        };
        let (of_peer, headers): (Vec<_>, Vec<_>) = lines.map(header).partition(|(name, _)| name.starts_with(b"@"));
        let said = |wanted: &[u8]| {
            let line = of_peer.iter().find(|(name, _)| name == wanted);
            line.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let request = Request { method: method.to_vec(), target: target.to_vec(), headers, ..Request::default() };
        Self { stem, request, rest: rest.to_vec(), from: said(FROM), certificate: said(CERTIFICATE) }
    }
}

/// Returns the gateway of every case file.
pub fn all() -> Result<Vec<Subject>> {
    let subjects = CaseFile::read_all()?.into_iter().map(|file| {
        let name = file.stem.clone();
        Subject::open(file).context(name)
    });
    subjects.collect()
}

/// Returns the gateway of this case file. For an unknown name, a hash of the name selects a gateway.
pub fn named<'s>(subjects: &'s mut [Subject], stem: &[u8]) -> Option<&'s mut Subject> {
    let sum = stem.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let some = sum.checked_rem(subjects.len())?;
    let at = subjects.iter().position(|subject| subject.stem.as_bytes() == stem).unwrap_or(some);
    subjects.get_mut(at)
}

impl Subject {
    fn open(file: CaseFile) -> Result<Self> {
        let scene = Scene::set(&file)?;
        let requests: Vec<Request> = file.cases.iter().map(|case| scene.request(case)).collect::<Result<_>>()?;
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        let mut credentials: Vec<Vec<u8>> = Vec::new();
        for request in &requests {
            for word in words(request) {
                let is_token = word.starts_with(b"eyJ") && word.iter().filter(|byte| **byte == b'.').count() == 2;
                if is_token && word.len() > 100 && tokens.len() < MAX_TOKENS && !tokens.contains(&word) {
                    tokens.push(word.clone());
                }
                credentials.push(word);
            }
        }
        let headers = scene.policy.get("identity_headers").and_then(Value::as_object);
        let identity = headers.into_iter().flatten().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let text = |(case, request): (&Case, &Request)| text(&file.stem, case, request, &tokens);
        let seeds = file.cases.iter().zip(&requests).map(text).collect();
        let believed = file.certificates.iter().filter(|(_, spec)| spec.fault.is_none());
        let believed = believed.filter_map(|(name, _)| {
            let client = scene.certificates.as_ref()?.client(name).ok()?;
            Some((name.clone(), client.certificate.clone()))
        });
        let certificates = believed.collect();
        let paths = file.documents.keys().map(|name| document_path(name));
        let published: Vec<_> = paths.map(|path| (path.clone(), scene.issuer.documents.text(&path))).collect();
        let key_set = keys::key_set(&PUBLISHED)?;
        let (now, stem) = (clock::unix_seconds(), file.stem);
        let gateway = fresh(&scene, &published)?;
        let asked = 0;
        Ok(Self {
            stem,
            scene,
            identity,
            seeds,
            tokens,
            credentials,
            certificates,
            published,
            gateway,
            asked,
            now,
            key_set,
        })
    }

    /// Returns the peer that a message describes.
    pub fn peer(&self, message: &Message) -> KnownPeer {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let certificate = text(&message.certificate).and_then(|name| self.certificates.get(name)).cloned();
        KnownPeer { address: text(&message.from).and_then(|from| from.parse().ok()), certificate }
    }

    /// Returns the request with its placeholders replaced: `<0>`, `<1>` and so on by tokens of the cases, and `<own>` by `own`.
    /// The body is empty.
    pub fn filled(&self, request: &Request, own: &[u8]) -> Request {
        let fill = |text: &[u8]| {
            let mut out = Vec::with_capacity(text.len());
            let mut rest = text;
            while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
                let (before, place) = rest.split_at(at);
                out.extend_from_slice(before);
                let (name, after) = cut(place.get(1..).unwrap_or_default(), b">");
                let index = std::str::from_utf8(name).ok().and_then(|name| name.parse::<usize>().ok());
                let token = if name == b"own" {
                    Some(own)
                } else {
                    index.and_then(|at| self.tokens.get(at)).map(Vec::as_slice)
                };
                match token {
                    Some(token) => {
                        out.extend_from_slice(token);
                        rest = after;
                    }
                    None => {
                        out.push(b'<');
                        rest = place.get(1..).unwrap_or_default();
                    }
                }
            }
            out.extend_from_slice(rest);
            out
        };
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        Request { method: request.method.clone(), target: fill(&request.target), headers, ..Request::default() }
    }

    /// Processes a request and returns its outcome. The gateway is reset regularly, so that its state depends only on a few
    /// recent inputs.
    pub fn decide(&mut self, request: &Request, peer: KnownPeer) -> Result<Outcome> {
        self.asked += 1;
        if self.asked.is_multiple_of(FORGET_AFTER) {
            self.gateway = fresh(&self.scene, &self.published)?;
        }
        let key_set = Some(self.key_set.clone());
        let outcome = self.gateway.decide(&Arrival {
            now: self.now,
            request,
            key_set,
            from: peer.address,
            certificate: peer.certificate,
            audit: true,
        });
        outcome.map_err(|error| anyhow!("{}: {error:#}", self.stem))
    }

    /// Returns whether the target or a header of the request contains a credential of the cases.
    pub fn has_credential(&self, request: &Request) -> bool {
        let line = request.headers.iter().flat_map(|(_, value)| [b"\n".as_slice(), value]).collect::<Vec<_>>().concat();
        let all = [request.target.as_slice(), &line].concat();
        self.credentials.iter().any(|known| all.windows(known.len()).any(|window| window == known))
    }
}

/// Creates a gateway that has not processed a request yet.
fn fresh(scene: &Scene, published: &[(String, Option<String>)]) -> Result<Box<dyn Gateway>> {
    let mut gateway = core_gateway::open(&scene.policy, &scene.env)?;
    for (path, text) in published {
        gateway.publish(path, text.clone());
    }
    Ok(gateway)
}

/// Returns the request of a case as a fuzz input, with placeholders for tokens.
fn text(stem: &str, case: &Case, request: &Request, tokens: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [stem.as_bytes(), b"\n", &request.method, b" ", &request.target].concat();
    let from = case.request.from.map(|from| (FROM.to_vec(), from.to_string().into_bytes()));
    let certificate = case.request.certificate.clone().map(|name| (CERTIFICATE.to_vec(), name.into_bytes()));
    for (name, value) in from.iter().chain(&certificate).chain(&request.headers) {
        out.extend_from_slice(&[b"\n", name.as_slice(), b": ", value].concat());
    }
    if !request.body.is_empty() && request.body.len() <= LONGEST_BODY {
        out.extend_from_slice(&[b"\n\n", request.body.as_slice()].concat());
    }
    for (index, token) in tokens.iter().enumerate() {
        out = replaced(&out, token, format!("<{index}>").as_bytes());
    }
    out
}

fn replaced(text: &[u8], wanted: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(wanted.len()).position(|window| window == wanted) {
        let (before, found) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(by);
        rest = found.get(wanted.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// Returns the strings in a request that are long enough to be a credential.
fn words(request: &Request) -> Vec<Vec<u8>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    let values = request.headers.iter().map(|(_, value)| value.as_slice()).chain([request.target.as_slice()]);
    let words = values.flat_map(|value| value.split(move |byte| !is_part(byte)));
    words.filter(|word| word.len() >= SHORTEST_CREDENTIAL).map(<[u8]>::to_vec).collect()
}

/// Normalizes a header name as some upstreams do: they ignore case and replace special characters with `-`.
pub fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn cut<'b>(bytes: &'b [u8], at: &[u8]) -> (&'b [u8], &'b [u8]) {
    match bytes.windows(at.len()).position(|window| window == at) {
        Some(found) => (bytes.get(..found).unwrap_or_default(), bytes.get(found + at.len()..).unwrap_or_default()),
        None => (bytes, b""),
    }
}

const FROM: &[u8] = b"@from";
const CERTIFICATE: &[u8] = b"@certificate";
const MAX_TOKENS: usize = 64;
/// The maximum length of the body in a seed. A longer body would not reach more code, and is slow to mutate.
const LONGEST_BODY: usize = 4_096;
const SHORTEST_CREDENTIAL: usize = 8;
const FORGET_AFTER: u32 = 64;
