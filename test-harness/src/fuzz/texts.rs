//! Fuzzes the parsers of single inputs: documents, tokens, key sets, request targets, hosts, and header lists.

use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::cli::yaml;
use portcullis::config::document::TokenSource;
use portcullis::config::node::Node;
use portcullis::config::source;
use portcullis::policy::Policy;
use portcullis::policy::credentials::algorithm::Algorithm;
use portcullis::policy::credentials::jwks::{KeySet, KeySource};
use portcullis::policy::credentials::token::UnverifiedToken;
use portcullis::policy::credentials::token_places;
use portcullis::policy::request::guard::{query_pairs, read_host, read_target};
use portcullis::policy::request::{Request, RequestParts};
use serde_json::Value;

use super::gateways::Message;
use super::{PropertyError, Target, gateways};
use crate::case::CaseFile;
use crate::scene::Scene;
use crate::token::TokenSpec;
use crate::{keys, protobuf};

/// A fuzz target that consists of seeds and a function. The function checks the properties that every input must satisfy.
pub struct Reader {
    seeds: Vec<Vec<u8>>,
    hold: fn(&[u8]) -> Result<(), PropertyError>,
}

impl Target for Reader {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn hold(&mut self, input: &[u8]) -> Result<(), PropertyError> {
        (self.hold)(input)
    }
}

fn reader(seeds: Vec<Vec<u8>>, hold: fn(&[u8]) -> Result<(), PropertyError>) -> Result<Box<dyn Target>> {
    Ok(Box::new(Reader { seeds, hold }))
}

/// Creates the target for documents in the forms that Envoy passes to the filter: JSON and protobuf.
pub fn document() -> Result<Box<dyn Target>> {
    let mut seeds = Vec::new();
    for policy in policies()? {
        seeds.push(protobuf::of_struct(&policy));
        seeds.push(policy.to_string().into_bytes());
    }
    reader(seeds, |input| source::read(input).map_or(Ok(()), |node| compiles_alike(&node)))
}

/// Creates the target for documents in YAML.
pub fn yaml() -> Result<Box<dyn Target>> {
    let mut seeds: Vec<_> = policies()?.iter().map(|policy| policy.to_string().into_bytes()).collect();
    for file in ["envoy/gateway.yaml", "envoy/istio/wasmplugin.yaml"] {
        seeds.push(std::fs::read(crate::envoy::root().join(file))?);
    }
    reader(seeds, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        yaml::read(text).map_or(Ok(()), |node| compiles_alike(&node))
    })
}

/// Checks that compiling a document twice gives the same result, and that every problem has a message.
fn compiles_alike(node: &Node) -> Result<(), PropertyError> {
    let compiled = || Policy::from_node(node, &variable).map(drop);
    let first = compiled();
    if first != compiled() {
        return Err("compiling the document again gives a different result".to_owned());
    }
    match first {
        Err(problems) if problems.is_empty() => Err("the document was refused, but no problem was reported".to_owned()),
        Err(problems) if problems.iter().any(|problem| problem.message.is_empty()) => {
            Err("a problem has no message".to_owned())
        }
        _ => Ok(()),
    }
}

fn variable(name: &str) -> Option<String> {
    let secret = "a secret that is long enough for HS512 and protects nothing at all";
    Some(if name.ends_with("_URL") { "http://127.0.0.1:9" } else { secret }.to_owned())
}

fn policies() -> Result<Vec<Value>> {
    CaseFile::read_all()?.iter().map(|file| Ok(Scene::set(file)?.policy)).collect()
}

/// Creates the target for the parser of tokens, which runs before verification.
pub fn token() -> Result<Box<dyn Target>> {
    let mint = |name: &&str| Ok(TokenSpec::of(name).claim("sub", "u").mint(1, &serde_json::Map::new())?.into_bytes());
    let names = keys::names()?.into_iter().filter(|name| !name.contains("weak"));
    let seeds = names.collect::<Vec<_>>().iter().map(mint).collect::<Result<_>>()?;
    reader(seeds, |input| {
        let Ok(token) = UnverifiedToken::read(input) else { return Ok(()) };
        // RFC 7515 §7.1 allows only one encoding, so encoding the parsed token must give the input.
        let signature = URL_SAFE_NO_PAD.encode(&token.signature);
        if [token.signing_input, b".", signature.as_bytes()].concat() != input {
            return Err("the parser accepted a token with a second encoding".to_owned());
        }
        if token.claims.is_object() { Ok(()) } else { Err("the claims are not an object".to_owned()) }
    })
}

/// Creates the target for key sets, both those that an issuer publishes and those in a document.
pub fn key_set() -> Result<Box<dyn Target>> {
    let names = keys::names()?;
    let mut seeds = vec![keys::key_set(&names)?.to_string().into_bytes()];
    for name in &names {
        seeds.push(keys::key_set(&[name])?.to_string().into_bytes());
    }
    reader(seeds, |input| {
        for source in [KeySource::Remote, KeySource::Inline] {
            let Ok((set, _)) = KeySet::parse(input, source) else { continue };
            for key in set.iter() {
                let fits: Vec<_> = Algorithm::ALL.into_iter().filter(|alg| key.fits(*alg)).collect();
                let secret = fits.iter().any(|alg| alg.name().starts_with("HS"));
                if fits.is_empty() {
                    return Err("the parser accepted a key that fits no algorithm".to_owned());
                }
                if secret && (source == KeySource::Remote || fits.iter().any(|alg| !alg.name().starts_with("HS"))) {
                    return Err(
                        "a shared secret was accepted from an issuer, or for an algorithm with public keys".to_owned()
                    );
                }
            }
        }
        Ok(())
    })
}

/// Creates the target for the parser of request targets.
pub fn path() -> Result<Box<dyn Target>> {
    let mut seeds = Vec::new();
    for subject in gateways::all()? {
        seeds.extend(subject.seeds.iter().map(|seed| Message::read(seed).request.target));
    }
    reader(seeds, |input| {
        let Ok(read) = read_target(input) else { return Ok(()) };
        let target = read.target().into_owned();
        match read_target(target.as_bytes()) {
            Ok(again) if again.path() == read.path() && !again.changed() && again.query() == read.query() => {}
            _ => return Err(format!("`{target}` is the normalized target, but parsing it again changes it")),
        }
        let forwarded = crate::outcome::Forwarded { path: target, ..Default::default() };
        super::pipeline::safe_path(&forwarded)?;
        let _pairs = read.query().map(|query| query_pairs(query).count());
        Ok(())
    })
}

/// Creates the target for the parser of hosts.
pub fn host() -> Result<Box<dyn Target>> {
    let seeds = ["api.example.com", "API.example.com:8443", "[::1]:80", "127.0.0.1", "xn--bcher-kva.example.", "a_b"];
    reader(seeds.map(|seed| seed.as_bytes().to_vec()).to_vec(), |input| {
        let Ok(host) = read_host(input) else { return Ok(()) };
        let name = host.name();
        match read_host(name.as_bytes()) {
            Ok(again) if again.name() == name => Ok(()),
            _ => Err(format!("`{name}` is the normalized host, but parsing it again changes it")),
        }
    })
}

/// Creates the target for header lists and for the search for a token in the headers and the query.
pub fn headers() -> Result<Box<dyn Target>> {
    let mut seeds = Vec::new();
    for subject in gateways::all()? {
        seeds.extend(subject.seeds.iter().filter(|seed| seed.contains(&b'<')).cloned());
    }
    reader(seeds, |input| {
        let message = Message::read(input);
        let lines = [(b":method".as_slice(), message.request.method.as_slice()), (b":path", &message.request.target)];
        let own = message.request.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let headers: Vec<_> = lines.into_iter().chain(own).collect();
        let parts = RequestParts { headers: &headers, received_at: Duration::ZERO, ended: true };
        let Ok(request) = Request::read(&parts) else {
            return Ok(());
        };
        let target = read_target(request.target);
        let query = target.as_ref().ok().and_then(portcullis::policy::request::guard::SafePath::query);
        let sources = [
            TokenSource::Bearer,
            TokenSource::Header("x-token".into()),
            TokenSource::Cookie("sid".into()),
            TokenSource::Query("access_token".into()),
        ];
        let count = sources
            .iter()
            .filter(|source| !matches!(token_places::find(&request, query, std::slice::from_ref(source)), Ok(None)));
        let count = count.count();
        match token_places::find(&request, query, &sources) {
            Ok(None) if count > 0 => {
                Err("a token in one place was found, but not when several places were searched".to_owned())
            }
            Ok(Some(_)) if count != 1 => {
                Err("a token was returned, although the number of places with a token is not one".to_owned())
            }
            _ => Ok(()),
        }
    })
}
