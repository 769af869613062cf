//! The case file: a policy, and sentences about what it does to requests. `test-harness/README.md` shows how to write one.

mod request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::before::Before;
use crate::certificate::CertificateSpec;
use crate::documents::Fault;
use crate::versions::Versions;
pub use request::RequestSpec;

/// One file under `test-harness/cases`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The file's name without its ending.
    #[serde(skip)]
    pub stem: String,
    /// One sentence: what the file is about.
    pub about: String,
    /// The gateway's document, with `${…}` places.
    #[serde(default)]
    pub policy: Map<String, Value>,
    /// Another gateway's document, imported; the members of [`CaseFile::policy`] take the place of the imported ones.
    #[serde(default)]
    pub import: Option<Import>,
    /// The Envoy configuration around the filter.
    #[serde(default)]
    pub proxy: Proxy,
    /// Whether its cases run once more over HTTP/2.
    #[serde(default)]
    pub http2: bool,
    /// Variables the gateway finds in its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Client certificates by name; with any, the gateway speaks TLS and asks for one.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateSpec>,
    /// The keys the issuer publishes at the start; [`PUBLISHED`] when absent.
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// How the key endpoint fails from the start.
    #[serde(default)]
    pub issuer: Fault,
    /// Documents that are published from the start, by name: `${DOCUMENT.name}` is the address of each.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// How the endpoints of documents fail from the start.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// Claims every token carries unless it says otherwise, over [`CaseFile::default_claims`].
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Texts that must never be written down, besides tokens and the environment's secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The cases, run in their order against one gateway.
    pub cases: Vec<Case>,
}

/// Another gateway's document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Its file, seen from the project's folder.
    pub file: String,
    /// Further arguments of `portcullis import`, with `${…}` places.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// The Envoy configurations that cases can run in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// What `portcullis generate envoy` writes, the document embedded as JSON.
    #[default]
    Generated,
    /// The same with the document embedded as a Struct.
    GeneratedStruct,
    /// Envoy's own defaults: nothing is normalised or rejected before the filter, which must hold all by itself.
    Bare,
}

/// One sentence about one request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The sentence.
    pub name: String,
    /// What happens before the request.
    #[serde(default)]
    pub before: Before,
    /// Seconds to move the clock ahead of now; native only, because nobody turns a real Envoy's clock.
    #[serde(default)]
    pub at: i64,
    /// How often the request is sent; the last outcome is looked at.
    #[serde(default = "once")]
    pub times: u32,
    /// The request.
    pub request: RequestSpec,
    /// What must become of it.
    pub expect: Expect,
    /// Why it cannot run through Envoy.
    #[serde(default)]
    pub native_only: Option<String>,
    /// Why it cannot run natively.
    #[serde(default)]
    pub envoy_only: Option<String>,
    /// The versions of Envoy that it is about.
    #[serde(default)]
    pub envoy: Option<Versions>,
    /// Why it cannot be sent over HTTP/2.
    #[serde(default)]
    pub http1_only: Option<String>,
    /// Why it cannot be sent over HTTP/1.
    #[serde(default)]
    pub http2_only: Option<String>,
}

/// What must become of a request. What is absent is not looked at, except `upstream`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status.
    pub status: u16,
    /// `error.code` of the envelope.
    #[serde(default)]
    pub code: Option<String>,
    /// Response headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderIs>,
    /// Response headers that must not have exactly this line.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// What the JSON body must contain; `"*"` stands for any value.
    #[serde(default)]
    pub body_json: Option<Value>,
    /// The whole body.
    #[serde(default)]
    pub body: Option<String>,
    /// The request at the upstream; `null` (and, beside a `code`, nothing): none must have been reached.
    #[serde(default, deserialize_with = "stated")]
    pub upstream: Stated<UpstreamIs>,
    /// What the audit record must contain.
    #[serde(default)]
    pub audit: Option<Value>,
    /// How often the key endpoint was asked since the case before this one.
    #[serde(default)]
    pub fetches: Option<usize>,
}

/// A member that is absent, `null`, or there.
#[derive(Debug, Clone, Default)]
pub enum Stated<T> {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// `null`.
    Null,
    /// A value.
    This(T),
}

/// What the upstream must have received.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamIs {
    /// The upstream's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The method.
    #[serde(default)]
    pub method: Option<String>,
    /// Path and query.
    #[serde(default)]
    pub path: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderIs>,
    /// Headers that must not have exactly this line.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// Trailers.
    #[serde(default)]
    pub trailers: BTreeMap<String, HeaderIs>,
    /// The size of the body.
    #[serde(default)]
    pub body_bytes: Option<usize>,
}

/// The lines of one header: `-` none, `*` at least one, a text exactly that one, a list exactly these in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum HeaderIs {
    /// `-`, `*` or the text.
    Line(String),
    /// The lines.
    Lines(Vec<String>),
}

impl CaseFile {
    /// Reads one file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the case file {name}"))?;
        let mut file: Self = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        file.stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(file)
    }

    /// Reads all files of `test-harness/cases`, in the order of their names.
    pub fn read_all() -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let entries = std::fs::read_dir(&folder).context("there is no folder test-harness/cases")?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        paths.sort();
        anyhow::ensure!(!paths.is_empty(), "there is no case file in test-harness/cases");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The keys the issuer publishes at the start.
    pub fn published(&self) -> Vec<&str> {
        self.publish.as_ref().map_or_else(|| PUBLISHED.to_vec(), |kids| kids.iter().map(String::as_str).collect())
    }

    /// The claims a token carries when nothing else is said: a caller whom most policies would accept.
    pub fn default_claims(&self) -> Map<String, Value> {
        let usual = [("iss", "${ISSUER}"), ("aud", "orders-api"), ("sub", "user-1")];
        let mut claims: Map<_, _> = usual.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        claims.extend(self.claims.clone());
        claims
    }
}

impl Case {
    /// Whether it runs through Envoy over HTTP/1.
    pub fn for_envoy(&self) -> bool {
        self.runs_in_envoy() && self.http2_only.is_none()
    }

    /// Whether it runs through Envoy over HTTP/2.
    pub fn for_http2(&self) -> bool {
        self.runs_in_envoy() && self.http1_only.is_none()
    }

    fn runs_in_envoy(&self) -> bool {
        self.native_only.is_none() && self.at == 0 && self.envoy.as_ref().is_none_or(Versions::hold)
    }

    /// Whether it runs natively.
    pub fn for_native(&self) -> bool {
        self.envoy_only.is_none() && self.envoy.is_none()
    }
}

fn stated<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Stated<T>, D::Error> {
    Ok(Option::deserialize(from)?.map_or(Stated::Null, Stated::This))
}

fn once() -> u32 {
    1
}

/// Every honest asymmetric key; never the strangers' and the weak one.
pub const PUBLISHED: [&str; 7] = ["rsa-1", "rsa-2", "p256-1", "p256-2", "p384-1", "p521-1", "ed-1"];
