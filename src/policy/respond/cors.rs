//! Answers CORS preflights, and returns the CORS headers of every response.

mod compile;
mod names;
mod preflight;

use std::sync::Arc;

use crate::config::document;
use crate::config::problem::Problems;
use crate::policy::request::origin::OriginPattern;
use crate::policy::verdict::plan::CorsResponse;

pub use preflight::{Preflight, PreflightAnswer};

/// A compiled CORS policy (Fetch standard, §3.2).
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    origins: Origins,
    methods: Methods,
    headers: AllowedHeaders,
    expose: Option<Arc<str>>,
    credentials: bool,
    max_age: Option<Arc<str>>,
    private_network: bool,
}

impl CorsPolicy {
    /// Compiles the CORS section of the document. Reports unsafe or ineffective combinations of settings as problems.
    pub fn compile(document: &document::Cors, problems: &mut Problems) -> CorsPolicy {
        compile::policy(document, problems)
    }

    /// Returns the CORS headers for a request with this `Origin`; `None` means that the request has no origin. Only the headers
    /// for subdomain patterns are built here; all others are prebuilt.
    pub fn response(&self, origin: Option<&[u8]>) -> Arc<CorsResponse> {
        match &self.origins {
            Origins::Any(response) => response.clone(),
            Origins::These { exact, subdomains, refused } => match origin {
                None => refused.clone(),
                Some(origin) => match find(exact, origin) {
                    Some(listed) => listed.response.clone(),
                    None => match subdomain(subdomains, origin) {
                        Some(text) => Arc::new(self.allowing(text)),
                        None => refused.clone(),
                    },
                },
            },
        }
    }

    /// Returns `true` if pages of this origin may send requests with credentials. Always returns `false` if the policy allows
    /// `*`.
    pub fn allows_credentials(&self, origin: &[u8]) -> bool {
        self.credentials && matches!(self.origins, Origins::These { .. }) && self.allow_origin(origin).is_some()
    }

    /// Returns the value of `Access-Control-Allow-Origin` for this origin; `None` if the origin is not allowed. The value is `*`,
    /// a listed origin, or an origin that matches a subdomain pattern.
    fn allow_origin(&self, origin: &[u8]) -> Option<Arc<str>> {
        match &self.origins {
            Origins::Any(_) => Some(Arc::from("*")),
            Origins::These { exact, subdomains, .. } => {
                find(exact, origin).map(|listed| listed.origin.clone()).or_else(|| subdomain(subdomains, origin))
            }
        }
    }

    /// Returns the CORS headers for an allowed origin.
    fn allowing(&self, origin: Arc<str>) -> CorsResponse {
        let vary = (&*origin != "*").then(|| Arc::from("Origin"));
        let mut set = vec![(Arc::from(names::ALLOW_ORIGIN), origin)];
        if self.credentials {
            set.push((Arc::from(names::ALLOW_CREDENTIALS), Arc::from("true")));
        }
        if let Some(expose) = &self.expose {
            set.push((Arc::from(names::EXPOSE_HEADERS), expose.clone()));
        }
        CorsResponse { set, vary, remove: &names::RESPONSE_HEADERS }
    }
}

/// The allowed origins.
#[derive(Clone, Debug)]
enum Origins {
    /// All origins are allowed and get these CORS headers.
    Any(Arc<CorsResponse>),
    /// Only these origins are allowed.
    These {
        /// The listed origins, sorted by origin.
        exact: Vec<ListedOrigin>,
        subdomains: Vec<OriginPattern>,
        /// The CORS headers for all other origins, and for requests without an origin.
        refused: Arc<CorsResponse>,
    },
}

/// An exact origin, and its CORS headers.
#[derive(Clone, Debug)]
struct ListedOrigin {
    origin: Arc<str>,
    response: Arc<CorsResponse>,
}

/// The methods that scripts may use. The safelisted methods are always allowed.
#[derive(Clone, Debug)]
enum Methods {
    /// The methods of the routes that match the path.
    OfThePath,
    /// Any method, from the setting `*`.
    Any,
    /// Only these methods; the second field is the header value.
    These(Vec<String>, Arc<str>),
}

/// The request headers that scripts may set.
#[derive(Clone, Debug)]
struct AllowedHeaders {
    /// Whether `allow_headers` contains `*`, which does not include `Authorization` (Fetch standard, "CORS non-wildcard
    /// request-header name").
    any: bool,
    /// The allowed names, in lower case.
    names: Vec<String>,
    /// The value of `Access-Control-Allow-Headers`; `None` if no header is allowed.
    text: Option<Arc<str>>,
}

fn find<'l>(listed: &'l [ListedOrigin], origin: &[u8]) -> Option<&'l ListedOrigin> {
    let at = listed.binary_search_by(|listed| listed.origin.as_bytes().cmp(origin)).ok()?;
    listed.get(at)
}

fn subdomain(patterns: &[OriginPattern], origin: &[u8]) -> Option<Arc<str>> {
    patterns.iter().find(|pattern| pattern.matches(origin))?;
    std::str::from_utf8(origin).ok().map(Arc::from)
}

#[cfg(all(test, not(target_family = "wasm")))]
mod browser;
#[cfg(test)]
mod tests;
