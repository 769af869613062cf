//! Creates test certificates: an authority, the gateway's own certificate, and the client certificates of a case file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fmt, fs};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::policy::request::peer::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::envoy;

/// A client certificate in a case file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// The URIs in the subject alternative names of the certificate, in order.
    #[serde(default)]
    pub uri: Vec<String>,
    /// The DNS names in the subject alternative names of the certificate.
    #[serde(default)]
    pub dns: Vec<String>,
    /// The flaw of the certificate, if any.
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// The reason why a proxy rejects a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The certificate was issued by an authority with the same name but another key.
    Stranger,
    /// The certificate has expired.
    Expired,
}

/// The certificate and the private key of a client.
pub struct Identity {
    /// The certificate chain that the client sends.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the certificate.
    pub key: PrivateKeyDer<'static>,
    /// The fields of the verified certificate that the core uses.
    pub certificate: Certificate,
}

/// All certificates of a test, and the temporary files from which Envoy reads them.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate, which clients trust.
    pub authority: CertificateDer<'static>,
    /// Whether the gateway rejects connections without a client certificate.
    pub insists: bool,
    folder: PathBuf,
    clients: BTreeMap<String, Identity>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Certificates {
    /// Creates an authority, the gateway's certificate, and the client certificates that `specs` describes.
    pub fn make(specs: &BTreeMap<String, CertificateSpec>) -> Result<Self> {
        let (authority, stranger) = (authority()?, authority()?);
        let mut clients = BTreeMap::new();
        for (name, spec) in specs {
            let issuer = if spec.fault == Some(Fault::Stranger) { &stranger } else { &authority };
            clients.insert(name.clone(), spec.signed_by(name, issuer).with_context(|| format!("certificate {name}"))?);
        }
        let folder = envoy::fresh_folder()?;
        let key = KeyPair::generate()?;
        let mut own = CertificateParams::new(vec![SERVER.to_owned()])?;
        own.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        fs::write(folder.join("server.pem"), own.signed_by(&key, &authority)?.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())?;
        fs::write(folder.join("clients.pem"), authority.pem())?;
        Ok(Self { authority: authority.der().clone(), insists: false, folder, clients })
    }

    /// Returns the arguments of `portcullis generate envoy` for a listener with these certificates.
    pub fn arguments(&self) -> Vec<String> {
        [("--tls-certificate", "server.pem"), ("--tls-key", "server.key"), ("--client-ca", "clients.pem")]
            .into_iter()
            .flat_map(|(option, file)| [option.to_owned(), self.folder.join(file).display().to_string()])
            .chain(self.insists.then(|| "--require-client-certificate".to_owned()))
            .collect()
    }

    /// Returns the client certificate with this name and its key.
    pub fn client(&self, name: &str) -> Result<&Identity> {
        self.clients.get(name).with_context(|| format!("`certificates` has no `{name}`"))
    }

    /// Returns the placeholders for each client certificate and their values. `SHA256.name` is the SHA-256 digest in hexadecimal.
    /// `X5T.name` is the digest in base64url, as in a token that is bound to a certificate (RFC 8705 §3.1).
    pub fn places(&self) -> impl Iterator<Item = (String, String)> {
        self.clients.iter().flat_map(|(name, client)| {
            let digest = client.certificate.sha256;
            let hexadecimal = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            [(format!("SHA256.{name}"), hexadecimal), (format!("X5T.{name}"), URL_SAFE_NO_PAD.encode(digest))]
        })
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// Creates a server certificate for 127.0.0.1. Returns the certificate, its key and the certificate of its authority, all as PEM.
pub fn of_this_machine() -> Result<(String, String, String)> {
    let authority = authority()?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    Ok((own.signed_by(&key, &authority)?.pem(), key.serialize_pem(), authority.pem()))
}

impl CertificateSpec {
    fn signed_by(&self, name: &str, authority: &Authority) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        for uri in &self.uri {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        }
        for dns in &self.dns {
            params.subject_alt_names.push(SanType::DnsName(dns.as_str().try_into()?));
        }
        if self.fault == Some(Fault::Expired) {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate()?;
        let der = params.signed_by(&key, authority)?.der().clone();
        let certificate = Certificate {
            sha256: Sha256::digest(&der).into(),
            uri: self.uri.first().cloned(),
            dns: self.dns.first().cloned(),
            subject: Some(format!("CN={name}")),
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Identity { chain: vec![der], key, certificate })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)
    }
}

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "authority of the tests");
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// The DNS name in the gateway's certificate.
pub const SERVER: &str = "api.example.com";
