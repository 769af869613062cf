//! A server for HTTP/1.1 and h2c on a loopback port, which the test upstream and the test issuer use.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::ports;

/// A request whose body is still being received.
pub type Request = hyper::Request<Incoming>;
/// A response. Its body can end early with an error.
pub type Response = hyper::Response<BoxBody<Bytes, io::Error>>;

/// A running server. It stops on drop.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on `port` (0: any free port) of 127.0.0.1. If `answer` returns `Err`, the server closes the connection without a
    /// response.
    pub fn start<F, A>(port: u16, answer: F) -> Result<Self>
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = io::Result<Response>> + Send + 'static,
    {
        let runtime = runtime()?;
        let bound = runtime.block_on(TcpListener::bind(ports::loopback(port)));
        let listener = bound.with_context(|| format!("port {port} of 127.0.0.1 cannot be used"))?;
        let address = listener.local_addr()?;
        let accepting = runtime.spawn(accept(listener, Arc::new(answer)));
        Ok(Self { address, accepting })
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL of the server without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Returns the runtime for all servers of this process. The runtime lives as long as the process.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let build = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    RUNTIME
        .get_or_init(build)
        .as_ref()
        .map_err(|error| anyhow::anyhow!("cannot create the runtime for the servers: {error}"))
}

/// Returns a body with these bytes.
pub fn full(body: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Returns a body that sends `start` and then fails, so that the server closes the connection.
pub fn broken_off(start: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    let gone_out = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
    Breaking { start: Some(start.into()), gone_out }.boxed()
}

/// Returns a response with a body of this content type.
pub fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> io::Result<Response> {
    let response = hyper::Response::builder().status(status).header("content-type", content_type).body(full(body));
    response.map_err(io::Error::other)
}

async fn accept<F, A>(listener: TcpListener, answer: Arc<F>)
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = io::Result<Response>> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let answer = answer.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request));
            // A client that disconnects early is not an error of the server.
            let _left = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Breaking {
    start: Option<Bytes>,
    /// A delay before the server closes the connection. Without the delay, the server would close it before it has sent the
    /// response head.
    gone_out: Pin<Box<Sleep>>,
}

impl Body for Breaking {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(start))));
        }
        self.gone_out
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(io::Error::other("the simulated failure cuts off the body"))))
    }
}
