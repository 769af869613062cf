//! A TLS client for HTTP/1.1 and HTTP/2 that trusts the test authority and can send a client certificate.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use crate::certificate::{Certificates, SERVER};
use crate::client::{Connection, Request, Response};
use crate::{client, h2c, server};

/// The TLS settings of a client. A connection can resume the session of an earlier connection with the same settings, if the
/// server allows it.
#[derive(Debug, Clone)]
pub struct Tls(ClientConfig);

impl Tls {
    /// Creates a client that sends the client certificate named `shows`. With `None`, the client sends no certificate.
    pub fn of(certificates: &Certificates, shows: Option<&str>) -> Result<Self> {
        Self::speaking(certificates, shows, rustls::DEFAULT_VERSIONS)
    }

    /// Creates a client like [`Tls::of`] that supports only these TLS versions.
    pub fn speaking(
        certificates: &Certificates,
        shows: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        let mut trusted = RootCertStore::empty();
        trusted.add(certificates.authority.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let config = config.with_root_certificates(trusted);
        let Some(name) = shows else { return Ok(Self(config.with_no_client_auth())) };
        let identity = certificates.client(name)?;
        Ok(Self(config.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?))
    }

    /// Sends one HTTP/1.1 request on a new connection.
    pub fn send(&self, to: SocketAddr, request: &Request, patience: Duration) -> Result<Response> {
        Ok(self.send_with_handshake_kind(to, request, patience)?.0)
    }

    /// Sends one HTTP/1.1 request on a new connection. Returns the response and the kind of the TLS handshake.
    pub fn send_with_handshake_kind(
        &self,
        to: SocketAddr,
        request: &Request,
        patience: Duration,
    ) -> Result<(Response, HandshakeKind)> {
        let mut socket = client::connect(to, patience)?;
        let mut tls = ClientConnection::new(self.with_alpn(b"http/1.1"), name()?)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).context("no handshake")?;
        }
        ensure!(tls.alpn_protocol() == Some(b"http/1.1"), "the server did not agree to HTTP/1.1");
        let kind = tls.handshake_kind().context("no handshake")?;
        let mut connection = Connection::over(StreamOwned::<_, TcpStream>::new(tls, socket));
        Ok((connection.exchange(request)?, kind))
    }

    /// Sends one HTTP/2 request on a new connection.
    pub fn send_http2(&self, to: SocketAddr, request: &Request, patience: Duration) -> Result<Response> {
        let exchange = async {
            let socket = tokio::net::TcpStream::connect(to).await?;
            let tls =
                TlsConnector::from(self.with_alpn(b"h2")).connect(name()?, socket).await.context("no handshake")?;
            ensure!(tls.get_ref().1.alpn_protocol() == Some(b"h2"), "the server did not agree to HTTP/2");
            h2c::exchange(tls, "https", request).await
        };
        let answer = async { tokio::time::timeout(patience, exchange).await };
        server::runtime()?.block_on(answer).context("no complete response in time")?
    }

    fn with_alpn(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut config = self.0.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

fn name() -> Result<ServerName<'static>> {
    Ok(ServerName::try_from(SERVER)?)
}
