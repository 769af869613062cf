//! An HTTP/2 client with prior knowledge (RFC 9113 §3.3) that sends the same requests as the raw HTTP/1.1 client.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::{Request, Response};
use crate::server;

/// Sends one request on a new connection. Each header line becomes one field line. The trailers of the response are appended to
/// the headers of the response.
pub fn send(to: SocketAddr, request: &Request, patience: Duration) -> Result<Response> {
    let exchange = async { exchange(TcpStream::connect(to).await?, "http", request).await };
    let answer = async { tokio::time::timeout(patience, exchange).await };
    server::runtime()?.block_on(answer).context("no complete response in time")?
}

/// Sends a request and its body but does not end the stream. Returns the status that the server sends before the request is
/// complete. Returns an error if the server ends the stream without a response.
pub fn send_unfinished(to: SocketAddr, request: &Request, patience: Duration) -> Result<u16> {
    let exchange = async {
        let (client, connection) = h2::client::handshake(TcpStream::connect(to).await?).await?;
        let driving = tokio::spawn(connection);
        let (response, mut body) = client.ready().await?.send_request(head("http", request)?, false)?;
        // A server may respond early and close the stream. Its response can still be read.
        let _refused = send_pieces(&mut body, &request.body, false).await;
        let status = response.await?.status().as_u16();
        driving.abort();
        anyhow::Ok(status)
    };
    let answer = async { tokio::time::timeout(patience, exchange).await };
    server::runtime()?.block_on(answer).context("no response in time")?
}

/// Sends one request over an existing byte stream.
pub async fn exchange<S>(stream: S, scheme: &str, request: &Request) -> Result<Response>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = h2::client::handshake(stream).await?;
    let driving = tokio::spawn(connection);
    let response = on_stream(client, scheme, request).await;
    driving.abort();
    response
}

async fn on_stream(client: h2::client::SendRequest<Bytes>, scheme: &str, request: &Request) -> Result<Response> {
    let mut client = client.ready().await?;
    let ends_at_once = request.body.is_empty() && request.trailers.is_empty();
    let (response, mut body) = client.send_request(head(scheme, request)?, ends_at_once)?;
    if !ends_at_once {
        // A server may respond early and close the stream. Its response can still be read.
        let _refused = send_body(&mut body, request).await;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut received = Response { status: head.status.as_u16(), ..Response::default() };
    add(&mut received, &head.headers);
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        received.body.extend_from_slice(&piece);
    }
    if let Some(trailers) = body.trailers().await? {
        add(&mut received, &trailers);
    }
    Ok(received)
}

/// Sends the body and the trailers. It waits while the flow-control window of the peer is full, for example because a gateway
/// delays the request.
async fn send_body(stream: &mut h2::SendStream<Bytes>, request: &Request) -> Result<()> {
    send_pieces(stream, &request.body, request.trailers.is_empty()).await?;
    if !request.trailers.is_empty() {
        stream.send_trailers(fields(&request.trailers)?)?;
    }
    Ok(())
}

async fn send_pieces(stream: &mut h2::SendStream<Bytes>, body: &[u8], ends: bool) -> Result<()> {
    let mut rest = Bytes::copy_from_slice(body);
    loop {
        stream.reserve_capacity(rest.len());
        while !rest.is_empty() && stream.capacity() == 0 {
            std::future::poll_fn(|task| stream.poll_capacity(task)).await.context("the stream was closed")??;
        }
        let piece = rest.split_to(rest.len().min(stream.capacity()));
        let is_last = rest.is_empty();
        stream.send_data(piece, ends && is_last)?;
        if is_last {
            return Ok(());
        }
    }
}

fn head(scheme: &str, request: &Request) -> Result<hyper::Request<()>> {
    let is_host = |(name, _): &&(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"host");
    let host = request.headers.iter().find(is_host).map(|(_, value)| value.as_slice()).unwrap_or_default();
    let uri = [scheme.as_bytes(), b"://", host, &request.target].concat();
    let mut head = hyper::Request::new(());
    *head.method_mut() = Method::from_bytes(&request.method)?;
    *head.uri_mut() = Uri::try_from(uri.as_slice())?;
    let others: Vec<_> = request.headers.iter().filter(|line| !is_host(line)).cloned().collect();
    *head.headers_mut() = fields(&others)?;
    Ok(head)
}

fn fields(lines: &[(Vec<u8>, Vec<u8>)]) -> Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(HeaderName::from_bytes(name)?, HeaderValue::from_bytes(value)?);
    }
    Ok(fields)
}

fn add(response: &mut Response, fields: &HeaderMap) {
    response.headers.extend(fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())));
}
