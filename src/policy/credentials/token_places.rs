//! Finds the token of a request in the accepted places, and refuses a request with several tokens.

use std::borrow::Cow;

use crate::config::document::TokenSource;
use crate::policy::request::{Request, SingleValue, guard};
use crate::policy::verdict::rejection::{Rejection, RejectionKind};

/// A token found in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedToken<'r> {
    /// The token, which is not verified yet.
    pub token: Cow<'r, [u8]>,
    /// The place of the token, as an index into the policy's list of places.
    pub source: usize,
    /// Whether the token follows the `Bearer` scheme. The token must then match the grammar of this scheme.
    pub bearer: bool,
}

impl PresentedToken<'_> {
    /// Checks that a token after `Bearer` is a `b64token` (RFC 6750 §2.1). If it is not, the request is malformed (RFC 6750
    /// §3.1). A comma in the header usually means that a second token follows, because Envoy joins repeated headers with commas
    /// (envoy-facts §0.9). In other places, such as a cookie, a malformed value is only an invalid token. Tokens in the cache
    /// skip this check, because they have passed it before.
    pub fn check_form(&self) -> Result<(), Rejection> {
        if !self.bearer {
            return Ok(());
        }
        let token = self.token.as_ref();
        let body = token.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
        let is_b64 = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(b);
        match token.get(..body) {
            Some(head) if !head.is_empty() && head.iter().all(is_b64) => Ok(()),
            _ => Err(malformed()),
        }
    }
}

/// Finds the token. A request with two tokens is refused, even if the tokens are equal, because the upstream may use either
/// token (RFC 6750 §2: clients must not use more than one method).
pub fn find<'r>(
    request: &Request<'r>,
    query: Option<&'r str>,
    sources: &[TokenSource],
) -> Result<Option<PresentedToken<'r>>, Rejection> {
    let mut found: Option<PresentedToken<'r>> = None;
    for (source, place) in sources.iter().enumerate() {
        for token in tokens_at(request, query, place)? {
            if found.is_some() {
                return Err(Rejection::new(RejectionKind::InvalidTokenRequest, "several_tokens"));
            }
            found = Some(PresentedToken { token, source, bearer: *place == TokenSource::Bearer });
        }
    }
    Ok(found)
}

fn tokens_at<'r>(
    request: &Request<'r>,
    query: Option<&'r str>,
    place: &TokenSource,
) -> Result<Vec<Cow<'r, [u8]>>, Rejection> {
    Ok(match place {
        TokenSource::Bearer => bearer(request.authorization)?.map(Cow::Borrowed).into_iter().collect(),
        TokenSource::Header(name) => {
            let same = |(n, _): &&(&[u8], &[u8])| *n == name.as_bytes();
            request.headers.iter().filter(same).map(|(_, value)| Cow::Borrowed(*value)).collect()
        }
        TokenSource::Cookie(name) => {
            cookies(request).filter(|(n, _)| *n == name.as_bytes()).map(|(_, v)| v.into()).collect()
        }
        TokenSource::Query(name) => guard::query_pairs(query.unwrap_or_default())
            .filter(|(n, _)| n == name)
            .map(|(_, value)| match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
            .collect(),
    })
}

/// Parses `Authorization: Bearer b64token` (RFC 6750 §2.1). A value with another scheme is a different credential, not a
/// malformed token.
fn bearer(authorization: SingleValue<'_>) -> Result<Option<&[u8]>, Rejection> {
    let value = match authorization {
        SingleValue::Absent => return Ok(None),
        SingleValue::Repeated => {
            return Err(Rejection::new(RejectionKind::InvalidTokenRequest, "several_authorization_headers"));
        }
        SingleValue::Value(value) => value,
    };
    let Some(token) = strip_bearer(value) else {
        // A token that follows the credential of another scheme would reach the upstream without verification.
        let hides = value.split(|b| *b == b',').skip(1).any(|part| strip_bearer(part.trim_ascii()).is_some());
        return if hides { Err(malformed()) } else { Ok(None) };
    };
    Ok(Some(token))
}

fn malformed() -> Rejection {
    Rejection::new(RejectionKind::InvalidTokenRequest, "malformed_authorization")
}

/// Returns the bytes after `Bearer `. The scheme is case-insensitive (RFC 9110 §11.1). A value that consists only of the scheme
/// has an empty token, which is malformed.
pub fn strip_bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    match rest.first() {
        None => Some(rest),
        Some(b' ') => Some(rest.trim_ascii_start()),
        Some(_) => None,
    }
}

/// Returns the cookies of a request (RFC 6265 §4.2.1) from all `cookie` headers, because HTTP/2 clients may send several (RFC
/// 9113 §8.2.3).
pub fn cookies<'r>(request: &Request<'r>) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    let headers = request.headers.iter().filter(|(name, _)| *name == b"cookie").map(|(_, value)| *value);
    headers.flat_map(|value| value.split(|b| *b == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_bearer_format_is_parsed_strictly() {
        for (value, expected) in [
            ("Bearer abc.def.ghi", Ok(Some("abc.def.ghi"))),
            ("bearer abc", Ok(Some("abc"))),
            ("BEARER  abc=", Ok(Some("abc="))),
            ("Basic dXNlcjpwYXNz", Ok(None)),
            ("Bearertoken", Ok(None)),
            ("Digest username=\"a\", uri=\"/, bearers\"", Ok(None)),
            ("Basic dXNlcjpwYXNz,Bearer a", Err("malformed_authorization")),
            ("Basic dXNlcjpwYXNz , bearer a", Err("malformed_authorization")),
            ("", Ok(None)),
            ("Bearer", Err("malformed_authorization")),
            ("Bearer ", Err("malformed_authorization")),
            ("Bearer a,Bearer b", Err("malformed_authorization")),
            ("Bearer a b", Err("malformed_authorization")),
            ("Bearer =a", Err("malformed_authorization")),
            ("Bearer a\tb", Err("malformed_authorization")),
        ] {
            let read = bearer(SingleValue::Value(value.as_bytes())).and_then(|found| {
                let credential =
                    |token: &'static [u8]| PresentedToken { token: Cow::Borrowed(token), source: 0, bearer: true };
                found.map_or(Ok(()), |token| credential(token).check_form()).map(|()| found)
            });
            let read = read.map(|t| t.map(|t| std::str::from_utf8(t).unwrap())).map_err(|r| r.reason);
            assert_eq!(read, expected, "{value}");
        }
        assert!(bearer(SingleValue::Repeated).is_err());
    }

    #[test]
    fn two_tokens_are_refused_in_any_places() {
        let sources =
            [TokenSource::Bearer, TokenSource::Cookie("sid".into()), TokenSource::Query("access_token".into())];
        let read = |headers: &[(&'static str, &'static str)], query| {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            let authorization =
                headers.iter().find(|(n, _)| *n == b"authorization").map(|(_, v)| SingleValue::Value(v));
            let request =
                Request { headers: &headers, authorization: authorization.unwrap_or_default(), ..Request::default() };
            find(&request, query, &sources).map(|c| c.map(|c| c.source)).map_err(|r| r.reason)
        };
        assert_eq!(read(&[], None), Ok(None));
        assert_eq!(read(&[("authorization", "Bearer a")], None), Ok(Some(0)));
        assert_eq!(read(&[("cookie", "x=1; sid=a.b.c")], None), Ok(Some(1)));
        assert_eq!(read(&[], Some("q=1&access_token=a")), Ok(Some(2)));
        assert_eq!(read(&[("authorization", "Bearer a")], Some("access_token=a")), Err("several_tokens"));
        assert_eq!(read(&[("cookie", "sid=a; sid=b")], None), Err("several_tokens"));
        assert_eq!(read(&[("cookie", "sid=a"), ("cookie", "sid=a")], None), Err("several_tokens"));
        assert_eq!(read(&[], Some("access_token=a&access_token=b")), Err("several_tokens"));
    }
}
