//! TLS at the listener: the gateway's own certificate, and whose client certificates the filter may believe.

use clap::Args;
use serde_json::{Value, json};

use super::version::{EnvoyVersion, TELLS_WHAT_IT_VERIFIED};
use crate::config::document::Document;

/// Where the certificates are, as Envoy finds them. Without any the listener is cleartext.
#[derive(Args)]
pub struct Tls {
    /// The listener's certificate and those between it and its authority (PEM): clients speak TLS with it
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    tls_certificate: Option<String>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    tls_key: Option<String>,
    /// The authorities that client certificates must come from (PEM); one of another authority ends the connection
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    client_ca: Option<String>,
    /// No connection without a client certificate, whatever the document asks for
    #[arg(long, requires = "client_ca")]
    require_client_certificate: bool,
}

impl Tls {
    /// What stands between the socket and HTTP.
    pub fn transport_socket(&self) -> Option<Value> {
        let (certificate, key) = self.tls_certificate.as_ref().zip(self.tls_key.as_ref())?;
        let mut common = json!({
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{ "certificate_chain": { "filename": certificate }, "private_key": { "filename": key } }],
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_2" },
        });
        let mut context = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        });
        if let (Some(authorities), Some(common), Some(context)) =
            (&self.client_ca, common.as_object_mut(), context.as_object_mut())
        {
            common.insert("validation_context".to_string(), json!({ "trusted_ca": { "filename": authorities } }));
            context.insert("require_client_certificate".to_string(), json!(self.require_client_certificate));
            // A resumed session brings the certificate along and verifies nothing: one that has expired since would still count,
            // and Envoy does not call it verified any more, so that no certificate would count in the next connection.
            context.insert("disable_stateful_session_resumption".to_string(), json!(true));
            context.insert("disable_stateless_session_resumption".to_string(), json!(true));
        }
        if let Some(context) = context.as_object_mut() {
            context.insert("common_tls_context".to_string(), common);
        }
        Some(json!({ "name": "envoy.transport_sockets.tls", "typed_config": context }))
    }

    /// The filter that tells ours what Envoy verified, where Envoy does not do it by itself. It lets everything pass.
    pub fn witness(&self, version: EnvoyVersion) -> Option<Value> {
        if self.client_ca.is_none() || version >= TELLS_WHAT_IT_VERIFIED {
            return None;
        }
        let verified = json!({
            "name": "envoy.rbac.principals.mtls_authenticated",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config",
                "any_validated_client_certificate": true,
            },
        });
        Some(json!({
            "name": "portcullis-certificate",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                "shadow_rules": { "action": "ALLOW", "policies": { "verified": {
                    "permissions": [{ "any": true }], "principals": [{ "custom": verified }],
                }}},
                "shadow_rules_stat_prefix": "portcullis_",
            },
        }))
    }

    /// What the document waits for in vain.
    pub fn note(&self, document: &Document) -> Option<String> {
        if self.client_ca.is_some() {
            return None;
        }
        let asks = document.clients.iter().any(|client| !client.certificates.is_empty())
            || document.issuers.iter().any(|issuer| issuer.require_bound);
        let who = match &document.clients_from {
            _ if asks => "the document counts on client certificates",
            Some(_) => "the clients that are polled may have certificates",
            None => return None,
        };
        Some(format!("{who}, and without --client-ca no client can show one"))
    }
}
