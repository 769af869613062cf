//! The format of case files: a policy, and cases that describe the effect of the policy on requests.
//!
//! `test-harness/README.md` explains how to write a case file.

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

/// A file in the folder `test-harness/cases`.
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
    /// Another gateway's document to import. The members of [`CaseFile::policy`] replace the imported members.
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
    /// Client certificates by name. If this map is not empty, the gateway uses TLS and requests a client certificate.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateSpec>,
    /// The keys that the issuer publishes at the start. The default is [`PUBLISHED`].
    #[serde(default)]
    pub publish: Option<Vec<String>>,
    /// The failure that the key endpoint simulates at the start.
    #[serde(default)]
    pub issuer: Fault,
    /// The documents that the issuer publishes at the start, by name. `${DOCUMENT.name}` is replaced with the URL of a document.
    #[serde(default)]
    pub documents: BTreeMap<String, Value>,
    /// The failures that document endpoints simulate at the start, by document name.
    #[serde(default)]
    pub faults: BTreeMap<String, Fault>,
    /// The file's default claims for every token, in addition to the harness's default claims `iss`, `aud` and `sub`. A claim of
    /// the file replaces the harness's default with the same name.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Strings that must never be logged, in addition to tokens and the secrets in the environment.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The cases, which run in order against one gateway.
    pub cases: Vec<Case>,
}

/// An import of another gateway's document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The path of the document's file, relative to the project root.
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
    /// The output of `portcullis generate envoy`, with the document embedded as a `google.protobuf.Struct`.
    GeneratedStruct,
    /// The configuration of [`crate::bootstrap`], which uses Envoy's defaults. Envoy does not normalize paths or reject header
    /// names with underscores, so only the filter protects the upstream.
    Bare,
}

/// One request and its expected outcome.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of the case: one sentence.
    pub name: String,
    /// The changes that take effect before the request is sent.
    #[serde(default)]
    pub before: Before,
    /// The number of seconds by which the gateway's clock is ahead of the real time. A case with an offset runs only natively,
    /// because the Envoy of a case file always uses the real time.
    #[serde(default)]
    pub at: i64,
    /// How often the request is sent. Only the outcome of the last request is checked.
    #[serde(default = "once")]
    pub times: u32,
    /// The request to send.
    pub request: RequestSpec,
    /// The expected outcome.
    pub expect: Expect,
    /// Why the case cannot run through Envoy. Set only for cases that run only natively.
    #[serde(default)]
    pub native_only: Option<String>,
    /// Why the case cannot run natively. Set only for cases that run only through Envoy.
    #[serde(default)]
    pub envoy_only: Option<String>,
    /// The Envoy versions that the case applies to. By default, it applies to all versions.
    #[serde(default)]
    pub envoy: Option<Versions>,
    /// Why the request cannot be sent over HTTP/2. Set only for cases that need HTTP/1.
    #[serde(default)]
    pub http1_only: Option<String>,
    /// Why the request cannot be sent over HTTP/1. Set only for cases that need HTTP/2.
    #[serde(default)]
    pub http2_only: Option<String>,
}

/// The expected outcome of a request. Absent fields are not checked. The exception is an absent `upstream`, which
/// is checked if `code` is set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status code of the response.
    pub status: u16,
    /// The value of `error.code` in the response body.
    #[serde(default)]
    pub code: Option<String>,
    /// The expected response headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderIs>,
    /// Values that the response must not have, by header name. If a header contains a list, each element of the list is compared.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// Members that the JSON body must contain; `"*"` matches any value.
    #[serde(default)]
    pub body_json: Option<Value>,
    /// The complete response body.
    #[serde(default)]
    pub body: Option<String>,
    /// The request that the upstream must have received. `null` means that the gateway must not forward the request. If `code`
    /// is set, an absent `upstream` means the same as `null`.
    #[serde(default, deserialize_with = "stated")]
    pub upstream: Stated<UpstreamIs>,
    /// Members that the audit record must contain.
    #[serde(default)]
    pub audit: Option<Value>,
    /// The expected number of requests to the key endpoint since the previous case.
    #[serde(default)]
    pub fetches: Option<usize>,
}

/// A field of a case file that is absent, `null`, or set to a value.
#[derive(Debug, Clone, Default)]
pub enum Stated<T> {
    /// The field is absent.
    #[default]
    Unsaid,
    /// The field is `null`.
    Null,
    /// The field has a value.
    This(T),
}

/// The request that the upstream must have received.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamIs {
    /// The name of the upstream.
    #[serde(default)]
    pub name: Option<String>,
    /// The method that the upstream must have received.
    #[serde(default)]
    pub method: Option<String>,
    /// The path and the query.
    #[serde(default)]
    pub path: Option<String>,
    /// The expected request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderIs>,
    /// Values that the request must not have, by header name. If a header contains a list, each element of the list is compared.
    #[serde(default)]
    pub not_headers: BTreeMap<String, String>,
    /// The expected request trailers.
    #[serde(default)]
    pub trailers: BTreeMap<String, HeaderIs>,
    /// The size of the body in bytes.
    #[serde(default)]
    pub body_bytes: Option<usize>,
}

/// The expected lines of one header. `-` expects no line and `*` at least one line. Another string expects exactly that line, and
/// a list expects its lines in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum HeaderIs {
    /// `-`, `*`, or the value of the only line.
    Line(String),
    /// The values of all lines, in order.
    Lines(Vec<String>),
}

impl CaseFile {
    /// Reads one case file.
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

    /// Returns the default claims of a token. They describe a caller that most policies accept.
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

/// The keys that the issuer publishes by default: all asymmetric keys of `test-harness/keys/test-only.jwks.json`, except the
/// `-stranger` keys, which are never published, and the invalid keys `rsa-weak` and `p256-off-curve`.
pub const PUBLISHED: [&str; 7] = ["rsa-1", "rsa-2", "p256-1", "p256-2", "p384-1", "p521-1", "ed-1"];
