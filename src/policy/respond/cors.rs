//! What a browser is told about calls from other origins: the answer to a preflight, and the headers of every response.

mod compile;
mod names;
mod preflight;

use std::rc::Rc;

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
    headers: Headers,
    expose: Option<Rc<str>>,
    credentials: bool,
    max_age: Option<Rc<str>>,
    private_network: bool,
}

impl CorsPolicy {
    /// Compiles a section of the document; combinations that are unsafe or do nothing are noted as problems.
    pub fn compile(document: &document::Cors, problems: &mut Problems) -> CorsPolicy {
        compile::policy(document, problems)
    }

    /// What belongs on the response to a request with this `Origin`, none when it had none. For listed origins, foreign
    /// ones and none at all this hands out a value made beforehand.
    pub fn response(&self, origin: Option<&[u8]>) -> Rc<CorsResponse> {
        match &self.origins {
            Origins::Any(response) => response.clone(),
            Origins::These { exact, subdomains, refused } => match origin {
                None => refused.clone(),
                Some(origin) => match find(exact, origin) {
                    Some(listed) => listed.response.clone(),
                    None => match subdomain(subdomains, origin) {
                        Some(text) => Rc::new(self.allowing(text)),
                        None => refused.clone(),
                    },
                },
            },
        }
    }

    /// Whether pages of this origin may call with the credentials of their visitors. Never true for `*`.
    pub fn allows_credentials(&self, origin: &[u8]) -> bool {
        self.credentials && matches!(self.origins, Origins::These { .. }) && self.allow_origin(origin).is_some()
    }

    /// The value of `Access-Control-Allow-Origin` for this origin; none when it is not allowed. Apart from `*` it is
    /// an origin byte for byte equal to a listed one, or one whose form was checked.
    fn allow_origin(&self, origin: &[u8]) -> Option<Rc<str>> {
        match &self.origins {
            Origins::Any(_) => Some(Rc::from("*")),
            Origins::These { exact, subdomains, .. } => {
                find(exact, origin).map(|listed| listed.origin.clone()).or_else(|| subdomain(subdomains, origin))
            }
        }
    }

    /// The response to an allowed origin.
    fn allowing(&self, origin: Rc<str>) -> CorsResponse {
        let vary = (&*origin != "*").then(|| Rc::from("Origin"));
        let mut set = vec![(Rc::from(names::ALLOW_ORIGIN), origin)];
        if self.credentials {
            set.push((Rc::from(names::ALLOW_CREDENTIALS), Rc::from("true")));
        }
        if let Some(expose) = &self.expose {
            set.push((Rc::from(names::EXPOSE_HEADERS), expose.clone()));
        }
        CorsResponse { set, vary, remove: &names::RESPONSE_HEADERS }
    }
}

/// Whose scripts may call.
#[derive(Clone, Debug)]
enum Origins {
    /// Everyone's, and everyone gets this response.
    Any(Rc<CorsResponse>),
    /// These.
    These {
        /// Sorted by origin.
        exact: Vec<Listed>,
        subdomains: Vec<OriginPattern>,
        /// The response to all others, and to requests without an origin.
        refused: Rc<CorsResponse>,
    },
}

/// An exact origin with its response.
#[derive(Clone, Debug)]
struct Listed {
    origin: Rc<str>,
    response: Rc<CorsResponse>,
}

/// Which methods a script may use, apart from the safelisted ones.
#[derive(Clone, Debug)]
enum Methods {
    /// Those the path has.
    OfThePath,
    /// `*`.
    Any,
    /// These, and as one field value.
    These(Vec<String>, Rc<str>),
}

/// Which request headers a script may set.
#[derive(Clone, Debug)]
struct Headers {
    /// `*`, which leaves `Authorization` out (Fetch standard, CORS non-wildcard request-header name).
    any: bool,
    /// In lower case.
    names: Vec<String>,
    /// The field value; none where no header is allowed.
    text: Option<Rc<str>>,
}

fn find<'l>(listed: &'l [Listed], origin: &[u8]) -> Option<&'l Listed> {
    let at = listed.binary_search_by(|listed| listed.origin.as_bytes().cmp(origin)).ok()?;
    listed.get(at)
}

fn subdomain(patterns: &[OriginPattern], origin: &[u8]) -> Option<Rc<str>> {
    patterns.iter().find(|pattern| pattern.matches(origin))?;
    std::str::from_utf8(origin).ok().map(Rc::from)
}

#[cfg(all(test, not(target_family = "wasm")))]
mod browser;
#[cfg(test)]
mod tests;
