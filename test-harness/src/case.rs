//! The case file: a policy and cases that describe its effect on requests. `test-harness/README.md` shows the format.

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
    /// The file name without its extension.
    #[serde(skip)]
    pub stem: String,
    /// One sentence that describes the subject of the file.
    pub about: String,
    /// The gateway's document, with `${…}` placeholders.
    #[serde(default)]
    pub policy: Map<String, Value>,
    /// Another gateway's document to import. The members of [`CaseFile::policy`] replace the imported ones.
    #[serde(default)]
    pub import: Option<Import>,
    /// The Envoy configuration around the filter.
    #[serde(default)]
    pub proxy: Proxy,
    /// Whether the cases also run over HTTP/2.
    #[serde(default)]
    pub http2: bool,
    /// The gateway's environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Client certificates by name. If there are any, the gateway uses TLS and requests a client certificate.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateSpec>,
    /// The keys that the issuer publishes at the start. The default is [`PUBLISHED`].
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// The failure of the key endpoint at the start.
    #[serde(default)]
    pub issuer: Fault,
    /// Documents published from the start, by name. `${DOCUMENT.name}` is the address of each.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The failures of the document endpoints at the start.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// Default claims of every token. They replace those of [`CaseFile::default_claims`].
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Texts that must never be logged, besides tokens and the secrets in the environment.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The cases. They run in order against one gateway.
    pub cases: Vec<Case>,
}

/// Another gateway's document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The path of its file, relative to the project root.
    pub file: String,
    /// Further arguments of `portcullis import`, with `${…}` placeholders.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// The Envoy configurations in which cases can run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// The output of `portcullis generate envoy`, with the document embedded as JSON.
    #[default]
    Generated,
    /// The same output with the document embedded as a Struct.
    GeneratedStruct,
    /// Envoy's defaults: nothing is normalised or rejected before the filter, so the filter has no other protection.
    Bare,
}

/// One request and its expected outcome.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name, one sentence.
    pub name: String,
    /// The changes before the request.
    #[serde(default)]
    pub before: Before,
    /// Seconds by which the clock is ahead. Native only, because the clock of a real Envoy cannot be changed.
    #[serde(default)]
    pub at: i64,
    /// How often the request is sent. Only the last outcome is checked.
    #[serde(default = "once")]
    pub times: u32,
    /// The request.
    pub request: RequestSpec,
    /// The expected outcome.
    pub expect: Expect,
    /// The reason if it cannot run through Envoy.
    #[serde(default)]
    pub native_only: Option<String>,
    /// The reason if it cannot run natively.
    #[serde(default)]
    pub envoy_only: Option<String>,
    /// The Envoy versions that it applies to.
    #[serde(default)]
    pub envoy: Option<Versions>,
    /// The reason if it cannot be sent over HTTP/2.
    #[serde(default)]
    pub http1_only: Option<String>,
    /// The reason if it cannot be sent over HTTP/1.
    #[serde(default)]
    pub http2_only: Option<String>,
}

/// The expected outcome of a request. Absent members are not checked, except `upstream`.
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
    /// Response header lines that must not be present with exactly this value.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// Members that the JSON body must contain; `"*"` matches any value.
    #[serde(default)]
    pub body_json: Option<Value>,
    /// The complete body.
    #[serde(default)]
    pub body: Option<String>,
    /// The request at the upstream. `null` means that no upstream was reached; so does an absent member if `code` is set.
    #[serde(default, deserialize_with = "stated")]
    pub upstream: Stated<UpstreamIs>,
    /// Members that the audit record must contain.
    #[serde(default)]
    pub audit: Option<Value>,
    /// How often the key endpoint was called since the previous case.
    #[serde(default)]
    pub fetches: Option<usize>,
}

/// A member that is absent, `null`, or present.
#[derive(Debug, Clone, Default)]
pub enum Stated<T> {
    /// The member is absent.
    #[default]
    Unsaid,
    /// The member is `null`.
    Null,
    /// The member has a value.
    This(T),
}

/// The request that the upstream must have received.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamIs {
    /// The name of the upstream.
    #[serde(default)]
    pub name: Option<String>,
    /// The method.
    #[serde(default)]
    pub method: Option<String>,
    /// The path and the query.
    #[serde(default)]
    pub path: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderIs>,
    /// Header lines that must not be present with exactly this value.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// Trailers.
    #[serde(default)]
    pub trailers: BTreeMap<String, HeaderIs>,
    /// The size of the body in bytes.
    #[serde(default)]
    pub body_bytes: Option<usize>,
}

/// The lines of one header: `-` for none, `*` for at least one, a text for exactly that line, a list for these lines in order.
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

    /// Reads all files of `test-harness/cases` in the order of their names.
    pub fn read_all() -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let entries = std::fs::read_dir(&folder).context("there is no folder test-harness/cases")?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
        paths.sort();
        anyhow::ensure!(!paths.is_empty(), "there is no case file in test-harness/cases");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Returns the keys that the issuer publishes at the start.
    pub fn published(&self) -> Vec<&str> {
        self.publish.as_ref().map_or_else(|| PUBLISHED.to_vec(), |kids| kids.iter().map(String::as_str).collect())
    }

    /// Returns the default claims of a token: a caller that most policies accept.
    pub fn default_claims(&self) -> Map<String, Value> {
        let usual = [("iss", "${ISSUER}"), ("aud", "orders-api"), ("sub", "user-1")];
        let mut claims: Map<_, _> = usual.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        claims.extend(self.claims.clone());
        claims
    }
}

impl Case {
    /// Returns whether the case runs through Envoy over HTTP/1.
    pub fn for_envoy(&self) -> bool {
        self.runs_in_envoy() && self.http2_only.is_none()
    }

    /// Returns whether the case runs through Envoy over HTTP/2.
    pub fn for_http2(&self) -> bool {
        self.runs_in_envoy() && self.http1_only.is_none()
    }

    fn runs_in_envoy(&self) -> bool {
        self.native_only.is_none() && self.at == 0 && self.envoy.as_ref().is_none_or(Versions::hold)
    }

    /// Returns whether the case runs natively.
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

/// All trusted asymmetric keys, without the foreign keys and the weak key.
pub const PUBLISHED: [&str; 7] = ["rsa-1", "rsa-2", "p256-1", "p256-2", "p384-1", "p521-1", "ed-1"];
