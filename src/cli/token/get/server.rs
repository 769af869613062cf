//! Finds the token endpoint and the client authentication methods of an authorization server in its metadata.

use serde_json::Value;
use ureq::http::Uri;

use super::ClientAuthMethod;
use super::web::{WebClient, checked};
use crate::cli::Failure;

/// An authorization server that issues tokens to clients.
pub struct AuthorizationServer {
    /// The address to which a token request is sent.
    pub token_endpoint: Uri,
    /// The registered names of the supported client authentication methods, if the metadata lists them.
    methods: Option<Vec<String>>,
}

impl AuthorizationServer {
    /// Returns the server with this token endpoint, without reading its metadata.
    pub fn at(token_endpoint: &str) -> Result<AuthorizationServer, Failure> {
        Ok(AuthorizationServer { token_endpoint: checked(token_endpoint, "--token-endpoint")?, methods: None })
    }

    /// Reads the metadata of an issuer from the location in RFC 8414 §3.1, or else from the location in OpenID Connect Discovery
    /// §4.
    pub fn discover(issuer: &str, web: &mut WebClient) -> Result<AuthorizationServer, Failure> {
        let uri = checked(issuer, "--issuer")?;
        if uri.query().is_some() {
            return Err(Failure::Message("--issuer: an issuer must not have a query (RFC 8414 §2)".to_string()));
        }
        let origin =
            format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        let path = uri.path().trim_end_matches('/');
        let places = [
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}{path}/.well-known/openid-configuration"),
        ];
        let mut tried = Vec::new();
        for place in &places {
            let answer = web.get(&checked(place, "--issuer")?)?;
            if answer.status == 200 {
                return AuthorizationServer::read(issuer, place, &answer.body);
            }
            tried.push(format!("{place} returned {}", answer.status));
        }
        Err(Failure::Message(format!("no metadata of {issuer}: {} (use --token-endpoint instead)", tried.join(", "))))
    }

    fn read(issuer: &str, place: &str, body: &[u8]) -> Result<AuthorizationServer, Failure> {
        let metadata: Value = serde_json::from_slice(body).map_err(|fault| format!("{place}: not JSON: {fault}"))?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str);
        // The metadata of another issuer must not be used (RFC 8414 §3.3), because the secret could then be sent to another
        // server.
        if text("issuer") != Some(issuer) {
            let other = super::bounded(text("issuer").unwrap_or("no issuer"));
            return Err(Failure::Message(format!("{place}: is the metadata of {other}, not of {issuer}")));
        }
        let endpoint = text("token_endpoint").ok_or_else(|| format!("{place}: has no `token_endpoint`"))?;
        let methods = metadata.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let methods = methods.map(|list| list.iter().filter_map(Value::as_str).map(str::to_string).collect());
        Ok(AuthorizationServer { token_endpoint: checked(endpoint, "token_endpoint")?, methods })
    }

    /// Returns the client authentication method, which is `client_secret_basic` if the metadata lists none (RFC 8414 §2). Fails
    /// if the metadata lists only other methods.
    pub fn method(&self) -> Result<ClientAuthMethod, Failure> {
        let Some(methods) = &self.methods else { return Ok(ClientAuthMethod::Basic) };
        let takes = |method: &ClientAuthMethod| methods.iter().any(|known| known == method.registered());
        [ClientAuthMethod::Basic, ClientAuthMethod::Post].into_iter().find(takes).ok_or_else(|| {
            let methods = super::bounded(&methods.join(", "));
            Failure::Message(format!("the authorization server does not accept client secrets, only {methods}"))
        })
    }
}
