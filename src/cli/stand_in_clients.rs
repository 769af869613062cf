//! Stand-in clients: the clients of a document, with the hash of each key replaced by the hash of a generated stand-in key.
//!
//! With stand-in keys, `can` and `who-can` simulate requests of each client without its real keys. Real gateways refuse the
//! stand-in keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::explain::hypothetical_token;
use super::explain::hypothetical_token::HypotheticalToken;
use super::gateway::{GatewayFile, Variables};
use super::{Failure, clients, gateway, hash_text, hint};
use crate::config::auth::CredentialKind;
use crate::config::claim::ClaimPath;
use crate::config::client::{CertificateIdentity, ClientKey, ClientSettings};
use crate::config::document::{IssuerSettings, Route};
use crate::config::identity::Attribute;
use crate::config::mask::Mask;
use crate::config::problem::near_miss;
use crate::policy::credentials::api_key::{ApiKey, environment_of};
use crate::policy::request::peer::Certificate;

/// The gateway, and its polled document of clients.
#[derive(Args)]
pub struct StandInSource {
    /// A gateway.yaml, an Envoy configuration or an Istio manifest
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The file that is used as the document of clients instead of fetching `clients_from`; by default the document has no
    /// clients
    #[arg(long, value_name = "CLIENTS")]
    clients: Option<String>,
    #[command(flatten)]
    variables: Variables,
}

/// A gateway and all its clients, with stand-in keys.
pub struct StandInClients {
    /// The gateway, compiled with the hashes of the stand-in keys.
    pub gateway: GatewayFile,
    /// The clients of the gateway, including those of the polled document.
    pub clients: Vec<ClientSettings>,
    /// The content of the polled document, with the hashes of the stand-in keys.
    pub listed: Option<String>,
}

impl StandInSource {
    /// Opens the gateway document and the polled document.
    pub fn open(&self) -> Result<StandInClients, Failure> {
        let gateway = gateway::open_for_inspection(&self.file, &self.variables)?;
        let mut configuration = gateway.configuration.clone();
        replace_key_hashes(&mut configuration);
        let mut opened = StandInClients {
            clients: gateway.document.clients.clone(),
            gateway: gateway::recompile(configuration, &self.variables)?,
            listed: None,
        };
        if let Some(file) = &self.clients {
            let node = clients::open(file, opened.gateway.policy.client_reader())?;
            opened.clients.extend(clients::read(file, &node, Some((&self.file, &gateway)))?);
            let mut listed = node.to_json();
            replace_key_hashes(&mut listed);
            opened.listed = Some(listed.to_string());
        }
        Ok(opened)
    }
}

impl StandInClients {
    /// Returns the client with this id. The error suggests a similar id.
    pub fn client(&self, id: &str) -> Result<&ClientSettings, Failure> {
        let found = self.clients.iter().find(|client| client.id.value == id);
        found.ok_or_else(|| {
            let near = near_miss(id, self.clients.iter().map(|client| client.id.value.as_str()));
            Failure::Message(format!("no client `{id}`{}", hint(near)))
        })
    }

    /// Returns the issuers whose tokens a route accepts.
    pub fn issuers(&self, route: &Route) -> impl Iterator<Item = &IssuerSettings> {
        let accepted = |name: &str| route.issuers.is_empty() || route.issuers.iter().any(|issuer| issuer.value == name);
        self.gateway.document.issuers.iter().filter(move |issuer| accepted(&issuer.name.value))
    }

    /// Builds a token for a client and a route. The token has every scope, permission and claim that the document requires of
    /// this issuer's tokens on this route.
    pub fn token(
        &self,
        client: &ClientSettings,
        issuer: &IssuerSettings,
        route: &Route,
        now: std::time::Duration,
    ) -> Result<HypotheticalToken, Failure> {
        let mut claims = json!({ "sub": client.id.value, "client_id": client.id.value });
        if let Some(certificate) = bound_to(client, issuer) {
            set_claim(
                &mut claims,
                &ClaimPath::top("cnf"),
                json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(certificate.sha256) }),
            );
        }
        for header in self.gateway.document.identity_headers.iter().filter(|header| header.required) {
            if let Attribute::Claim(claim) = &header.from
                && claim.find(&claims).is_none()
            {
                set_claim(&mut claims, claim, "any".into());
            }
        }
        for required in issuer.rules.require_claims.iter().chain(&route.require_claims) {
            set_claim(&mut claims, &required.claim, required.any_of.first().cloned().unwrap_or_default());
        }
        let scopes: Vec<&str> = route.scopes.iter().chain(&route.any_scope).map(String::as_str).collect();
        if let Some(place) = issuer.rules.scope_claims.first().filter(|_| !scopes.is_empty()) {
            set_claim(&mut claims, place, scopes.join(" ").into());
        }
        if let Some(place) = issuer.rules.permission_claims.first() {
            for domain in &self.gateway.document.permissions {
                let mut mask = Mask::default();
                domain.permissions.iter().for_each(|permission| mask.set(permission.bit.value));
                set_claim(&mut claims, &place.member(&domain.name.value), mask.to_string().into());
            }
        }
        hypothetical_token::token(&self.gateway.document, &claims.to_string(), Some(&issuer.name.value), now)
    }
}

/// Returns the API keys or the certificate that a client can send. Tokens are built separately, for one issuer and one route.
pub fn credentials(client: &ClientSettings, kind: CredentialKind) -> Vec<StandInCredential> {
    match kind {
        CredentialKind::Token => Vec::new(),
        CredentialKind::ApiKey => client
            .keys
            .iter()
            .filter_map(|key| Some(StandInCredential::Key(key.id.clone(), stand_in_key(&key.prefix)?)))
            .collect(),
        CredentialKind::Certificate => certificate_of(client).map(StandInCredential::Certificate).into_iter().collect(),
    }
}

/// A credential of a client.
pub enum StandInCredential {
    /// An API key, as its id and the stand-in key.
    Key(String, String),
    /// A client certificate.
    Certificate(Certificate),
}

/// Returns a certificate that has all fields by which the document identifies a client. Returns `None` if the client has no
/// certificates.
pub fn certificate_of(client: &ClientSettings) -> Option<Certificate> {
    let mut certificate = Certificate { sha256: UNKNOWN_CERTIFICATE, ..Certificate::default() };
    for evidence in client.certificates.iter().rev() {
        match &evidence.value {
            CertificateIdentity::Spiffe(uri) => certificate.uri = Some(uri.clone()),
            CertificateIdentity::Dns(name) => certificate.dns = Some(name.clone()),
            CertificateIdentity::Sha256(digest) => certificate.sha256 = *digest,
        }
    }
    (!client.certificates.is_empty()).then_some(certificate)
}

/// Returns the certificate to which an issuer's tokens must be bound (RFC 8705 §3.1). For a client without certificates,
/// returns an arbitrary certificate. Returns `None` if the issuer does not require bound tokens.
pub fn bound_to(client: &ClientSettings, issuer: &IssuerSettings) -> Option<Certificate> {
    let any = || Certificate { sha256: UNKNOWN_CERTIFICATE, ..Certificate::default() };
    issuer.rules.require_bound.then(|| certificate_of(client).unwrap_or_else(any))
}

/// Returns the stand-in key that replaces this key.
pub fn stand_in_for(key: &ClientKey) -> Option<String> {
    stand_in_key(&key.prefix)
}

/// Builds a stand-in key with this prefix.
fn stand_in_key(prefix: &str) -> Option<String> {
    let environment = environment_of(prefix)?;
    let lookup = prefix.rsplit('_').next()?;
    Some(ApiKey::compose(environment, lookup, STAND_IN_SECRET))
}

/// Replaces the hash of every key with the hash of its stand-in key.
fn replace_key_hashes(document: &mut Value) {
    let clients = document.get_mut("clients").and_then(Value::as_array_mut).into_iter().flatten();
    let keys = clients.filter_map(|client| client.get_mut("keys")?.as_array_mut()).flatten();
    for key in keys {
        let shown = key.get("prefix").and_then(Value::as_str).and_then(stand_in_key);
        if let (Some(shown), Some(members)) = (shown, key.as_object_mut()) {
            members.insert("hash".to_string(), hash_text(Sha256::digest(shown.as_bytes())).into());
        }
    }
}

/// Sets a claim to a value and creates the missing parent objects.
fn set_claim(claims: &mut Value, claim: &ClaimPath, value: Value) {
    let mut target = claims;
    for segment in claim.segments() {
        if !target.is_object() {
            *target = json!({});
        }
        let Some(members) = target.as_object_mut() else { return };
        target = members.entry(segment.clone()).or_insert(Value::Null);
    }
    *target = value;
}

/// The hash in a stand-in certificate that the document identifies by another field. It matches no real certificate.
const UNKNOWN_CERTIFICATE: [u8; 32] = [0xff; 32];

/// The secret part of each stand-in key. It need not be secret, because only the simulated gateway accepts stand-in keys.
const STAND_IN_SECRET: &str = "supposedsupposedsupposedsupposed";
