//! Reads the settings `auth`, `api_keys` and `sensitivity`: accepted credentials, and the places of API keys in a request.

use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::route::SENSITIVITY;

/// The credentials that a route requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// No credential is required.
    None,
    /// A request without a token is accepted. If the request has a token, the token must be valid.
    Optional,
    /// At least one of these kinds of credentials is required, and every credential of these kinds in the request must be valid.
    /// If the request has several, the first kind in this list identifies the caller.
    AnyOf(Vec<CredentialKind>),
    /// One credential of each of these kinds is required. The first kind in this list identifies the caller.
    AllOf(Vec<CredentialKind>),
}

/// A kind of credential with which a caller proves its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A token of an accepted issuer.
    Token,
    /// An API key of a listed client.
    ApiKey,
    /// A certificate of a listed client.
    Certificate,
}

/// The protection that a route needs against stolen credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// Any credential that the route's `auth` accepts is enough.
    #[default]
    Normal,
    /// An API key without a second kind of credential is not enough. If the route's `auth` accepts an API key alone, the policy
    /// compiler reports a problem.
    High,
}

/// The `api_keys` section: the places in a request where clients may send API keys.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    /// The places in a request where the gateway looks for an API key.
    pub from: Vec<At<KeyPlace>>,
}

/// A part of a request that can contain an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// The whole value of a header; the name is in lower case.
    Header(String),
    /// The part of `Authorization` after this scheme, such as `ApiKey` or `Bearer`.
    Scheme(String),
    /// A query parameter. This is insecure, because servers and proxies write URLs to their logs.
    InsecureQuery(String),
}

impl CredentialKind {
    /// Returns the word that documents use for this kind, such as `api_key`.
    pub fn word(self) -> &'static str {
        match self {
            CredentialKind::Token => "token",
            CredentialKind::ApiKey => "api_key",
            CredentialKind::Certificate => "certificate",
        }
    }
}

impl Auth {
    /// Returns the default of `auth`: a token is required.
    pub fn required() -> Auth {
        Auth::AnyOf(vec![CredentialKind::Token])
    }

    /// Returns `true` if a token is required and no other credential is accepted, as with `auth: required`.
    pub fn is_required(&self) -> bool {
        matches!(self, Auth::AnyOf(kinds) if matches!(kinds.as_slice(), [CredentialKind::Token]))
    }

    /// Returns `true` if a token identifies every caller, so that claims are always available.
    pub fn always_has_claims(&self) -> bool {
        self.is_required() || matches!(self, Auth::AllOf(kinds) if kinds.first() == Some(&CredentialKind::Token))
    }

    /// Returns the accepted kinds of credentials in the order of the document.
    pub fn kinds(&self) -> &[CredentialKind] {
        match self {
            Auth::None => &[],
            Auth::Optional => &[CredentialKind::Token],
            Auth::AnyOf(kinds) | Auth::AllOf(kinds) => kinds,
        }
    }

    /// Returns `true` if the route accepts this kind of credential.
    pub fn takes(&self, kind: CredentialKind) -> bool {
        self.kinds().contains(&kind)
    }

    /// Reads `required`, `optional`, `none`, `{ any_of: […] }` or `{ all_of: […] }`.
    pub(super) fn read(field: &Field<'_>) -> Option<At<Auth>> {
        let auth = match field.node.value {
            super::node::Value::Map(_) => read_composed(field)?,
            _ => match field.word(&WORDS)? {
                AuthWord::Required => Auth::required(),
                AuthWord::Optional => Auth::Optional,
                AuthWord::None => Auth::None,
            },
        };
        Some(At { value: auth, place: field.place.clone() })
    }
}

fn read_composed(field: &Field<'_>) -> Option<Auth> {
    let fields = field.fields()?;
    let (any, all) = (fields.get("any_of"), fields.get("all_of"));
    let read = |field: &Field<'_>| {
        let mut kinds: Vec<CredentialKind> = Vec::new();
        let items = field.one_or_more();
        for item in &items {
            match item.word(&KINDS) {
                Some(kind) if kinds.contains(&kind) => item.problem("is listed twice"),
                Some(kind) => kinds.push(kind),
                None => {}
            }
        }
        if items.is_empty() {
            field.problem("no credential is listed (accepted: token, api_key, certificate)");
        }
        kinds
    };
    let auth = match (any, all) {
        (Some(field), None) => Some(Auth::AnyOf(read(&field))),
        (None, Some(field)) => Some(Auth::AllOf(read(&field))),
        _ => {
            fields.problem("expected exactly one of `any_of` and `all_of`");
            None
        }
    };
    fields.finish();
    auth
}

impl Sensitivity {
    pub(super) fn read(route: &Fields<'_>) -> Sensitivity {
        route.word(&SENSITIVITY, &[("normal", Sensitivity::Normal), ("high", Sensitivity::High)])
    }
}

impl ApiKeys {
    /// Reads the `api_keys` section.
    pub(super) fn read(field: &Field<'_>) -> Option<ApiKeys> {
        let fields = field.fields()?;
        let from = fields.require("from");
        let items = from.as_ref().map(|f| f.items()).unwrap_or_default();
        if let (Some(from), []) = (&from, items.as_slice()) {
            from.problem("the list is empty: list at least one `header` or `scheme`");
        }
        let from = items.iter().filter_map(KeyPlace::read).collect();
        fields.finish();
        Some(ApiKeys { from })
    }
}

impl KeyPlace {
    fn read(field: &Field<'_>) -> Option<At<KeyPlace>> {
        let fields = field.fields()?;
        let header = fields.get("header").and_then(|f| {
            let name = f.text_at()?;
            if name.value.eq_ignore_ascii_case("authorization") {
                f.problem(
                    "`Authorization` contains a scheme and a credential: write `scheme: ApiKey` instead of `header`",
                );
                return None;
            }
            let name = super::identity::header_name(&name, &f)?;
            Some(KeyPlace::Header(name))
        });
        let scheme = fields.get("scheme").and_then(|f| read_scheme(&f)).map(KeyPlace::Scheme);
        let query = fields.get("insecure_query").and_then(|f| f.text()).map(KeyPlace::InsecureQuery);
        let written = ["header", "scheme", "insecure_query"].iter().filter(|key| fields.get(key).is_some()).count();
        if written != 1 {
            fields.problem("expected exactly one of `header`, `scheme` and `insecure_query`");
        }
        let place = fields.place().clone();
        fields.finish();
        [header, scheme, query].into_iter().flatten().next().map(|value| At { value, place })
    }
}

/// Reads an authentication scheme (RFC 9110 §11.1). Refuses `Basic`, `Digest`, `DPoP` and `Negotiate`, because each of them is
/// the scheme of another type of credential. A proxy in front of the gateway might read the API key as that type.
fn read_scheme(field: &Field<'_>) -> Option<String> {
    let scheme = field.text()?;
    let is_token = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_token || TAKEN.iter().any(|taken| scheme.eq_ignore_ascii_case(taken)) {
        field.problem(format!("`{scheme}` cannot be the scheme of a key (use ApiKey or Bearer)"));
        return None;
    }
    Some(scheme)
}

#[derive(Clone, Copy)]
enum AuthWord {
    Required,
    Optional,
    None,
}

const WORDS: [(&str, AuthWord); 3] =
    [("required", AuthWord::Required), ("optional", AuthWord::Optional), ("none", AuthWord::None)];
const KINDS: [(&str, CredentialKind); 3] = [
    ("token", CredentialKind::Token),
    ("api_key", CredentialKind::ApiKey),
    ("certificate", CredentialKind::Certificate),
];
const TAKEN: [&str; 4] = ["Basic", "Digest", "DPoP", "Negotiate"];
