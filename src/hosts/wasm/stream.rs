//! One request: passes Envoy's callbacks to its transaction as events, and performs the returned commands.

use std::cell::{OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::commands::perform;
use super::host::{self, LocalReply, Map};
use super::plugin::Plugin;
use super::request_id::{fresh_id, known_id};
use super::verifier::HostVerifier;
use crate::config::client::hex_bytes;
use crate::gateway::command::{Command, Flow};
use crate::gateway::host::{Host, RequestFacts as StreamFacts};
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::StreamId;
use crate::policy::request::peer::{Certificate, Peer};
use crate::policy::verdict::audit::End;

/// One request, as seen by Envoy's callbacks.
pub struct Stream {
    context: u32,
    plugin: Option<Rc<Plugin>>,
    transaction: RefCell<Transaction>,
}

impl Stream {
    /// Creates a request of a plugin. Without a plugin, it is refused.
    pub fn new(context: u32, plugin: Option<Rc<Plugin>>) -> Stream {
        Stream { context, plugin, transaction: RefCell::new(Transaction::new(StreamId(context.into()))) }
    }

    /// Returns the plugin of the request.
    pub fn plugin(&self) -> Option<&Plugin> {
        self.plugin.as_deref()
    }

    /// Returns `true` if the request waits for an external result.
    pub fn is_waiting(&self) -> bool {
        self.transaction.borrow().awaited().is_some()
    }

    /// Handles the request's headers.
    pub fn handle_request_headers(&self, ended: bool) {
        if self.plugin.is_none() {
            host::reply(&LocalReply { status: 500, details: "no_policy", headers: &[], body: &[], grpc_status: -1 });
            return;
        }
        let block = host::map(Map::Request);
        self.handle(|transaction, plugin, host| {
            transaction.on_request_headers(&plugin.gateway, &host::pairs(&block), ended, host)
        });
    }

    /// Handles a part of the request's body.
    pub fn handle_request_body(&self, size: usize, ended: bool) -> CallbackResult {
        self.handle(|transaction, plugin, host| transaction.on_request_body(&plugin.gateway, size, ended, host));
        self.action()
    }

    /// Handles the request's trailers.
    pub fn handle_request_trailers(&self) -> CallbackResult {
        let block = host::map(Map::RequestTrailers);
        self.handle(|transaction, plugin, host| {
            transaction.on_request_trailers(&plugin.gateway, &host::pairs(&block), host)
        });
        self.action()
    }

    /// Handles the response's headers.
    pub fn handle_response_headers(&self) -> CallbackResult {
        let status = host::header(Map::Response, ":status");
        let status = status.and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok()).unwrap_or(0);
        // A status of 200 with this header occurs only for a gRPC failure that Envoy reports.
        let has_grpc_status = status == 200 && host::header(Map::Response, "grpc-status").is_some();
        self.handle(|transaction, plugin, host| {
            transaction.on_response_headers(&plugin.gateway, status, has_grpc_status, host)
        });
        CallbackResult::Continue
    }

    /// Decides the request again, after its awaited result arrived or timed out.
    pub fn wake(&self) {
        if host::act_for(self.context) {
            let block = host::map(Map::Request);
            self.handle(|transaction, plugin, host| transaction.on_wake(&plugin.gateway, &host::pairs(&block), host));
        }
    }

    /// Checks whether Envoy hides the body of a held request.
    pub fn look_for_body(&self) {
        if host::act_for(self.context) {
            self.handle(|transaction, plugin, host| transaction.on_unseen_body(&plugin.gateway, host));
        }
    }

    /// Handles the end of the request. Writes its audit record, unless Envoy's access log does.
    pub fn end(&self) {
        let Some(plugin) = &self.plugin else { return };
        let record = self.transaction.borrow_mut().on_done(&plugin.gateway, end, known_id);
        if let Some(record) = record {
            host::log(proxy_wasm::types::LogLevel::Info, &record);
        }
    }

    fn handle(&self, event: impl FnOnce(&mut Transaction, &Plugin, &mut Host<'_>) -> Vec<Command>) {
        let Some(plugin) = &self.plugin else { return };
        let commands = {
            let facts = StreamProperties::default();
            let mut host = Host {
                now: host::now(),
                stream: &facts,
                limits: &mut *plugin.limits.borrow_mut(),
                verifier: &HostVerifier,
                fresh_id: &fresh_id,
                trace: None,
            };
            event(&mut self.transaction.borrow_mut(), plugin, &mut host)
        };
        perform(commands);
    }

    /// Returns the result of a callback about the request.
    pub fn action(&self) -> CallbackResult {
        if self.plugin.is_none() {
            return CallbackResult::Pause;
        }
        match self.transaction.borrow_mut().flow() {
            Flow::Continue => CallbackResult::Continue,
            Flow::Pause => CallbackResult::Pause,
        }
    }
}

/// The result of a callback (proxy-wasm ABI, `proxy_action_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CallbackResult {
    /// Continue the request.
    Continue = 0,
    /// Hold the request.
    Pause = 1,
}

/// The request of the current callback, described by Envoy's properties (envoy-facts §3.1).
#[derive(Default)]
struct StreamProperties {
    address: OnceCell<Option<IpAddr>>,
}

impl StreamFacts for StreamProperties {
    fn peer(&self) -> &dyn Peer {
        self
    }

    fn is_http1(&self) -> bool {
        host::property("request\0protocol").is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
    }

    fn received_bytes(&self) -> Option<u64> {
        host::number("request\0total_size")
    }

    fn body(&self, max: usize) -> Vec<u8> {
        host::request_body(max)
    }

    fn response_details(&self) -> String {
        String::from_utf8_lossy(&host::property(DETAILS).unwrap_or_default()).into_owned()
    }
}

impl Peer for StreamProperties {
    /// Envoy appends the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    fn address(&self) -> Option<IpAddr> {
        *self.address.get_or_init(|| {
            let text = text("source\0address")?;
            text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse()).ok()
        })
    }

    fn certificate(&self) -> Option<Certificate> {
        let digest = text("connection\0sha256_peer_certificate_digest").filter(|_| is_verified())?;
        Some(Certificate {
            sha256: hex_bytes(&digest)?,
            uri: text("connection\0uri_san_peer_certificate"),
            dns: text("connection\0dns_san_peer_certificate"),
            subject: text("connection\0subject_peer_certificate"),
        })
    }
}

/// Returns `true` if Envoy verified the certificate. `connection.mtls` is not sufficient: a listener may accept a certificate
/// without a CA, or from an unknown CA. Before Envoy 1.39, a separate RBAC rule must check it.
fn is_verified() -> bool {
    match host::property("connection\0peer_certificate_valid") {
        Some(valid) => valid == [1],
        None => text(VERIFIED_BY_RULE).is_some_and(|result| result == "allowed"),
    }
}

fn text(path: &str) -> Option<String> {
    host::property(path).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty())
}

fn end() -> End {
    End {
        status: host::number("response\0code").and_then(|code| code.try_into().ok()),
        details: text(DETAILS),
        duration_millis: host::number("request\0duration").map(|nanos| nanos / 1_000_000),
    }
}

/// The result of a shadow rule of Envoy's RBAC filter; no client can set it.
const VERIFIED_BY_RULE: &str = "metadata\0filter_metadata\0envoy.filters.http.rbac\0portcullis_shadow_engine_result";

/// Envoy's reason for the response.
const DETAILS: &str = "response\0code_details";
