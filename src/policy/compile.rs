//! Turns a document into a policy, or into every problem it has: what refers to what, and what goes together.

mod issuers;
mod routes;

use super::authorize::Requirements;
use super::cors::CorsPolicy;
use super::identity::IdentityHeaders;
use super::reply::Refusals;
use super::scopes::ScopeRegistry;
use super::{Policy, compile::issuers::Issuers, compile::routes::Routes};
use crate::config::document::{Document, IdentityHeader};
use crate::config::environment::Environment;
use crate::config::node::Node;
use crate::config::problem::{Problem, Problems};

impl Policy {
    /// Reads and compiles a parsed document. Secrets and `$NAME` in addresses come from `environment`.
    ///
    /// # Errors
    /// Every problem of the document, in the order of its text. Nothing is left half done: there is a policy or there is none.
    pub fn from_node(node: &Node, environment: Environment<'_>) -> Result<Policy, Vec<Problem>> {
        let (document, mut problems) = Document::read(node, environment);
        let policy = Policy::compile(&document, environment, &mut problems);
        if problems.is_empty() { Ok(policy) } else { Err(problems.sorted()) }
    }

    /// One line a section. The policy is good for nothing when there are problems.
    fn compile(document: &Document, environment: Environment<'_>, problems: &mut Problems) -> Policy {
        let mut scopes = ScopeRegistry::default();
        let issuers = Issuers::compile(&document.issuers, environment, problems);
        let cors = document.cors.as_ref().map(|cors| CorsPolicy::compile(cors, problems).into());
        check_identity(&document.identity_headers, problems);
        let routes = Routes::compile(document, &issuers, cors.as_ref(), &mut scopes, problems);
        Policy {
            issuers: issuers.issuers,
            plans: issuers.plans,
            sources: issuers.sources,
            scopes,
            identity: IdentityHeaders::compile(&document.identity_headers),
            cors,
            routes: routes.routes,
            public: routes.public,
            open: Requirements::nothing(),
            refusals: Refusals::new(document.errors.realm.as_deref()),
            audit: document.audit,
        }
    }
}

/// One header can carry one claim only.
fn check_identity(headers: &[IdentityHeader], problems: &mut Problems) {
    for (i, header) in headers.iter().enumerate() {
        let fold = |h: &IdentityHeader| h.header.value.replace('_', "-");
        if headers.iter().take(i).any(|other| fold(other) == fold(header)) {
            problems
                .add(&header.header.place, "this header is already set from another claim (`-` and `_` count as one)");
        }
    }
}
