//! Parses the option `--certificate` of `explain`, which gives the request a client certificate that counts as verified.

use crate::config::client::hex_bytes;
use crate::policy::request::peer::Certificate;

/// Parses the value of `--certificate`: a SPIFFE ID, a SHA-256 hash in hexadecimal digits, or a DNS name.
pub fn parse(text: &str) -> Result<Certificate, String> {
    let unlike_any = Certificate { sha256: [0xff; 32], ..Certificate::default() };
    if text.starts_with("spiffe://") {
        return Ok(Certificate { uri: Some(text.to_string()), ..unlike_any });
    }
    if let Some(sha256) = hex_bytes(&text.replace(':', "")) {
        return Ok(Certificate { sha256, ..unlike_any });
    }
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        true => Ok(Certificate { dns: Some(text.to_string()), ..unlike_any }),
        false => {
            Err("expected a SPIFFE ID, a DNS name, or 64 hexadecimal digits (SHA-256 of the DER form)".to_string())
        }
    }
}
