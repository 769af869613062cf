//! A client certificate as a case writes it: what the proxy would say of one that it verified.

use anyhow::{Context, Result};
use portcullis::config::client::hex_bytes;
use portcullis::policy::peer::Certificate;
use serde::Deserialize;

/// What is known of the certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// SHA-256 of its DER form, in hexadecimal.
    pub sha256: String,
    /// Its first URI among the subject alternative names.
    #[serde(default)]
    pub uri: Option<String>,
    /// Its first DNS name among them.
    #[serde(default)]
    pub dns: Option<String>,
}

impl CertificateSpec {
    /// The certificate as the core sees it.
    pub fn certificate(&self) -> Result<Certificate> {
        let sha256 = hex_bytes(&self.sha256).context("`sha256` is not 64 hexadecimal digits")?;
        Ok(Certificate { sha256, uri: self.uri.clone(), dns: self.dns.clone(), subject: None })
    }
}
