//! Configures TLS at the listener: the gateway's own certificate, and the CAs of accepted client certificates.

use clap::Args;
use serde_json::{Value, json};

use super::version::REPORTS_VERIFICATION;
use super::{EnvoyOptions, FilterHost};
use crate::config::document::Document;

/// The paths of the certificates for Envoy. Without TLS certificates, the listener accepts plaintext HTTP.
#[derive(Args)]
pub struct TlsOptions {
    /// The listener's certificate chain (PEM); enables TLS
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    tls_certificate: Option<String>,
    /// The private key of --tls-certificate (PEM)
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    tls_key: Option<String>,
    /// The CAs of client certificates (PEM); Envoy closes a connection with a certificate from another CA
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    client_ca: Option<String>,
    /// Refuse connections without a client certificate, even if no route of the document requires one
    #[arg(long, requires = "client_ca")]
    require_client_certificate: bool,
}

impl TlsOptions {
    /// Returns the transport socket of the listener; `None` if TLS is disabled.
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
            // Session resumption is disabled. In a resumed session, Envoy does not verify the client certificate again. If the
            // certificate has expired since the first handshake, Envoy no longer reports it as verified, and the filter would
            // refuse it in every request of the connection.
            context.insert("disable_stateful_session_resumption".to_string(), json!(true));
            context.insert("disable_stateless_session_resumption".to_string(), json!(true));
        }
        if let Some(context) = context.as_object_mut() {
            context.insert("common_tls_context".to_string(), common);
        }
        Some(json!({ "name": "envoy.transport_sockets.tls", "typed_config": context }))
    }

    /// Returns an Envoy filter that records whether Envoy verified the client certificate. The returned filter refuses no
    /// request. Returns `None` without a client CA, and if Envoy itself reports the verification to the Portcullis filter. Only
    /// newer versions report it, and only to a wasm module ([`REPORTS_VERIFICATION`]).
    pub fn certificate_filter(&self, options: &EnvoyOptions) -> Option<Value> {
        let reports = options.host == FilterHost::Wasm && options.envoy_version >= REPORTS_VERIFICATION;
        if self.client_ca.is_none() || reports {
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

    /// Returns a note if the document uses client certificates but the listener does not request them.
    pub fn note(&self, document: &Document) -> Option<String> {
        if self.client_ca.is_some() {
            return None;
        }
        let asks = document.clients.iter().any(|client| !client.certificates.is_empty())
            || document.issuers.iter().any(|issuer| issuer.rules.require_bound);
        let who = match &document.clients_from {
            _ if asks => "the document uses client certificates",
            Some(_) => "polled clients might have certificates",
            None => return None,
        };
        Some(format!("{who}, but without --client-ca the listener requests none"))
    }
}
