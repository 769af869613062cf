//! Reads who may call: the credentials a route takes, where API keys may stand, and how sensitive a route is.

use super::problem::At;
use super::reader::Field;

/// Who may call a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nobody is asked.
    None,
    /// A valid token is used, none is accepted, a bad one refused.
    Optional,
    /// One of these is needed; of several that were sent, the first in this list says who calls, and each must hold.
    AnyOf(Vec<CredentialKind>),
    /// Every one of these is needed; the first in this list says who calls.
    AllOf(Vec<CredentialKind>),
}

/// A way to prove who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A token of one of the issuers.
    Token,
    /// An API key of one of the clients.
    ApiKey,
    /// A client certificate that belongs to one of the clients.
    Certificate,
}

/// How much harm a route can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// Nothing special.
    #[default]
    Normal,
    /// An API key alone must not open it.
    High,
}

/// Where API keys may stand.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    /// The places.
    pub from: Vec<At<KeySource>>,
}

/// A place where an API key may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The whole value of a header; its name in lower case.
    Header(String),
    /// `Authorization` behind this scheme, as `ApiKey` or `Bearer`.
    Scheme(String),
    /// A query parameter, which everyone who sees a URL writes down.
    InsecureQuery(String),
}

impl CredentialKind {
    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            CredentialKind::Token => "token",
            CredentialKind::ApiKey => "api_key",
            CredentialKind::Certificate => "certificate",
        }
    }
}

impl Auth {
    /// What routes ask for when nothing is written: a token.
    pub fn required() -> Auth {
        Auth::AnyOf(vec![CredentialKind::Token])
    }

    /// Whether it is what `required` stands for.
    pub fn is_required(&self) -> bool {
        matches!(self, Auth::AnyOf(kinds) if matches!(kinds.as_slice(), [CredentialKind::Token]))
    }

    /// Whether the one who calls is always proven by a token, and so has claims.
    pub fn always_has_claims(&self) -> bool {
        self.is_required() || matches!(self, Auth::AllOf(kinds) if kinds.first() == Some(&CredentialKind::Token))
    }

    /// The credentials that count here, in the order of the document.
    pub fn kinds(&self) -> &[CredentialKind] {
        match self {
            Auth::None => &[],
            Auth::Optional => &[CredentialKind::Token],
            Auth::AnyOf(kinds) | Auth::AllOf(kinds) => kinds,
        }
    }

    /// Whether this credential counts here.
    pub fn takes(&self, kind: CredentialKind) -> bool {
        self.kinds().contains(&kind)
    }

    /// Reads `required`, `optional`, `none`, `{ any_of: […] }` or `{ all_of: […] }`.
    pub(super) fn read(field: &Field<'_>) -> Option<At<Auth>> {
        let auth = match field.node.value {
            super::node::Value::Map(_) => read_composed(field)?,
            _ => match field.word(&WORDS)? {
                Word::Required => Auth::required(),
                Word::Optional => Auth::Optional,
                Word::None => Auth::None,
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
    pub(super) fn read(field: &Field<'_>) -> Option<Sensitivity> {
        field.word(&[("normal", Sensitivity::Normal), ("high", Sensitivity::High)])
    }
}

impl ApiKeys {
    /// Reads the section.
    pub(super) fn read(field: &Field<'_>) -> Option<ApiKeys> {
        let fields = field.fields()?;
        let from = fields.require("from");
        let items = from.as_ref().map(|f| f.items()).unwrap_or_default();
        if let (Some(from), []) = (&from, items.as_slice()) {
            from.problem("`from` lists no place (accepted: header, scheme)");
        }
        let from = items.iter().filter_map(KeySource::read).collect();
        fields.finish();
        Some(ApiKeys { from })
    }
}

impl KeySource {
    fn read(field: &Field<'_>) -> Option<At<KeySource>> {
        let fields = field.fields()?;
        let header = fields.get("header").and_then(|f| {
            let name = f.text_at()?;
            if name.value.eq_ignore_ascii_case("authorization") {
                f.problem(
                    "`Authorization` holds a scheme and a credential: write `scheme: ApiKey` in place of `header`",
                );
                return None;
            }
            let name = super::identity::header_name(&name, &f)?;
            Some(KeySource::Header(name))
        });
        let scheme = fields.get("scheme").and_then(|f| read_scheme(&f)).map(KeySource::Scheme);
        let query = fields.get("insecure_query").and_then(|f| f.text()).map(KeySource::InsecureQuery);
        let written = ["header", "scheme", "insecure_query"].iter().filter(|key| fields.get(key).is_some()).count();
        if written != 1 {
            fields.problem("expected exactly one of `header`, `scheme` and `insecure_query`");
        }
        let place = fields.place().clone();
        fields.finish();
        [header, scheme, query].into_iter().flatten().next().map(|value| At { value, place })
    }
}

/// A scheme of RFC 9110 §11.1. Those that have a meaning of their own would be misread by whoever stands before the gateway.
fn read_scheme(field: &Field<'_>) -> Option<String> {
    let scheme = field.text()?;
    let is_token = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_token || TAKEN.iter().any(|taken| scheme.eq_ignore_ascii_case(taken)) {
        field.problem(format!("`{scheme}` cannot be the scheme of a key (usual: ApiKey, Bearer)"));
        return None;
    }
    Some(scheme)
}

#[derive(Clone, Copy)]
enum Word {
    Required,
    Optional,
    None,
}

const WORDS: [(&str, Word); 3] = [("required", Word::Required), ("optional", Word::Optional), ("none", Word::None)];
const KINDS: [(&str, CredentialKind); 3] = [
    ("token", CredentialKind::Token),
    ("api_key", CredentialKind::ApiKey),
    ("certificate", CredentialKind::Certificate),
];
const TAKEN: [&str; 4] = ["Basic", "Digest", "DPoP", "Negotiate"];
