//! Removes tokens and API keys from the query of a request target.
//!
//! The gateway cleans the target of a request that waits or that it answers itself, because access logs and traces show the
//! target. It also cleans the target for the `self` link of a JSON:API document. For a forwarded request, `Forward::new` removes
//! the credentials that the upstream must not receive.

use super::Credentials;
use crate::config::auth::KeyPlace;
use crate::config::document::TokenSource;
use crate::policy::request::guard::without_query_pair;

impl Credentials {
    /// Returns the target without the tokens and keys in its query.
    pub(in crate::policy) fn shown_target(&self, target: &[u8]) -> String {
        let cleaned = self.without_query_secrets(target);
        String::from_utf8_lossy(cleaned.as_deref().unwrap_or(target)).into_owned()
    }

    /// Returns the target without the tokens and keys in the query. Returns `None` if the query contains neither tokens nor keys,
    /// or if the policy accepts no credentials in queries.
    ///
    /// The target may be malformed, because this function also runs for targets that the guard refuses.
    pub(in crate::policy) fn without_query_secrets(&self, target: &[u8]) -> Option<Vec<u8>> {
        self.query_credentials().next()?;
        let (path, query) = target.split_at_checked(target.iter().position(|b| *b == b'?')?)?;
        // Envoy requires a path that is not empty.
        let mut kept = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
        // Parameter names are compared as strings. If the query is not UTF-8, no name can be compared, so the whole query is
        // removed.
        if let Some(query) = std::str::from_utf8(query).ok().and_then(|query| query.strip_prefix('?')) {
            let cleaned =
                self.query_credentials().fold(query.to_string(), |query, name| without_query_pair(&query, name));
            if cleaned == query {
                return None;
            }
            if !cleaned.is_empty() {
                kept.push(b'?');
                kept.extend(cleaned.bytes());
            }
        }
        Some(kept)
    }

    /// Returns the names of the parameters that may contain a token or a key.
    fn query_credentials(&self) -> impl Iterator<Item = &str> {
        let tokens = self.token_sources.iter().filter_map(|source| match source {
            TokenSource::Query(name) => Some(name.as_str()),
            TokenSource::Bearer | TokenSource::Header(_) | TokenSource::Cookie(_) => None,
        });
        let keys = self.key_places.0.iter().filter_map(|place| match place {
            KeyPlace::InsecureQuery(name) => Some(name.as_str()),
            KeyPlace::Header(_) | KeyPlace::Scheme(_) => None,
        });
        tokens.chain(keys)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::source;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn policy(token_from: &str, keys_from: &str) -> Policy {
        let text = format!(
            r#"{{"version": "1.0", "environment": "test", "api_keys": {{"from": [{keys_from}]}},
                "issuers": [{{"name": "a", "issuer": "https://a.example", "audiences": ["x"], "keys": {{"keys": [
                    {{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}},
                    "token_from": [{token_from}]}}],
                "routes": [{{"path": "/x", "response": {{}}}}]}}"#
        );
        Policy::from_node(&source::read(text.as_bytes()).unwrap(), &|_| None).unwrap()
    }

    #[test]
    fn tokens_and_keys_are_removed_from_any_target() {
        let policy =
            policy(r#"{"query": "access_token"}, {"header": "authorization"}"#, r#"{"insecure_query": "api_key"}"#);
        for (target, cleaned) in [
            (b"/x?access_token=a".as_slice(), Some(b"/x".as_slice())),
            (b"/x?a=1&access_token=a&b=2", Some(b"/x?a=1&b=2")),
            (b"/x?access%5ftoken=a&api_key=k&b=2", Some(b"/x?b=2")),
            (b"/x?access_token=a&access_token=b", Some(b"/x")),
            (b"/a//b/%2f?api_key=k", Some(b"/a//b/%2f")),
            (b"?api_key=k", Some(b"/")),
            (b"/x?access_token=a\xff", Some(b"/x")),
            (b"/x?q=1", None),
            (b"/x?", None),
            (b"/access_token=a", None),
            (b"", None),
        ] {
            assert_eq!(policy.without_query_secrets(target).as_deref(), cleaned, "{}", target.escape_ascii());
        }
    }

    #[test]
    fn a_target_is_unchanged_if_queries_carry_no_credentials() {
        let policy = policy(r#"{"header": "authorization"}"#, r#"{"header": "x-api-key"}"#);
        assert_eq!(policy.without_query_secrets(b"/x?access_token=a&api_key=b\xff"), None);
    }
}
