//! The part of the host on Envoy's main thread: it fetches polled documents, and makes the outgoing calls of all workers.
//!
//! Calls belong to the configuration and not to a request, so that they do not end with the request that needed them first.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::clock::now;
use super::commands::perform_outside;
use super::envoy::EnvoyConfig;
use super::mailbox::{Mailbox, OwnedAnswer};
use super::shared_plugin::{SharedPlugin, Wakeup};
use crate::gateway::call::{Answer, Call, CallId, CallRequest, HttpResponse};
use crate::gateway::metrics::Count;
use crate::gateway::{Gateway, GatewayEffects};

thread_local! {
    /// The plugins of the process. Only the main thread has entries.
    static PLUGINS: RefCell<Vec<Rc<MainThread>>> = const { RefCell::new(Vec::new()) };
}

/// One plugin on the main thread.
pub struct MainThread {
    plugin: Arc<SharedPlugin>,
    /// The gateway that fetches documents. It decides no requests.
    gateway: Gateway,
    /// The running calls, by the id that Envoy assigned to each call.
    calls: RefCell<HashMap<u64, (CallOwner, CallId)>>,
    /// The mailbox of a worker that counts the events which the main thread cannot count (Envoy before 1.39).
    counting: RefCell<Option<Arc<Mailbox>>>,
}

/// The part of the host that needs the result of a call.
#[derive(Clone)]
enum CallOwner {
    MainThread,
    Worker(Arc<Mailbox>),
}

/// The response to an HTTP call; without headers and body if the call failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct CalloutResponse<'a> {
    /// The headers.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The parts of the body.
    pub body: &'a [&'a [u8]],
}

/// Adds a plugin, and removes the plugins that Envoy has destroyed.
pub fn add(plugin: Arc<SharedPlugin>, gateway: Gateway) {
    let added = MainThread { plugin, gateway, calls: RefCell::default(), counting: RefCell::default() };
    PLUGINS.with_borrow_mut(|plugins| {
        plugins.retain(|one| !one.plugin.is_closed());
        plugins.push(Rc::new(added));
    });
}

/// Removes a plugin. Does nothing on another thread than the main thread (envoy-facts §5.4); [`add`] then removes it later.
pub fn remove(plugin: &SharedPlugin) {
    let removed = PLUGINS.with_borrow_mut(|plugins| {
        let place = plugins.iter().position(|one| std::ptr::eq(&*one.plugin, plugin));
        place.map(|place| plugins.remove(place))
    });
    drop(removed);
}

/// Handles the work that workers have passed to the main thread, and the time that has passed.
pub fn scheduled(plugin: &SharedPlugin, config: EnvoyConfig, wakeup: u64) {
    if let Some(main) = of(plugin) {
        main.run(config, wakeup == Wakeup::Tick as u64);
    }
}

/// Handles the end of a call. `response` is the response, or `None` if the call failed.
pub fn call_ended(plugin: &SharedPlugin, config: EnvoyConfig, call: u64, response: Option<CalloutResponse<'_>>) {
    if let Some(main) = of(plugin) {
        main.call_ended(config, call, response.unwrap_or_default());
    }
}

fn of(plugin: &SharedPlugin) -> Option<Rc<MainThread>> {
    PLUGINS.with_borrow(|plugins| plugins.iter().find(|one| std::ptr::eq(&*one.plugin, plugin)).cloned())
}

impl MainThread {
    fn run(&self, config: EnvoyConfig, is_tick: bool) {
        let work = self.plugin.take_work();
        work.wanted.iter().for_each(|(document, at)| self.gateway.polled().mark_wanted(*document, *at));
        if is_tick || !work.wanted.is_empty() {
            self.apply(self.gateway.on_tick(now(), &*self.plugin.state), config);
        }
        for (mailbox, call) in work.calls {
            let owner = CallOwner::Worker(mailbox);
            if !self.start(config, owner.clone(), &call) {
                owner.answer(call.id, OwnedAnswer::NotStarted);
            }
        }
        self.start_fetches(config);
    }

    fn start_fetches(&self, config: EnvoyConfig) {
        let mut woken = 0;
        let start = |call: &Call| self.start(config, CallOwner::MainThread, call);
        while let Some(effects) = self.gateway.start_calls(now(), &*self.plugin.state, &mut woken, None, start) {
            self.apply(effects, config);
        }
    }

    fn start(&self, config: EnvoyConfig, owner: CallOwner, call: &Call) -> bool {
        if let CallOwner::Worker(mailbox) = &owner {
            *self.counting.borrow_mut() = Some(mailbox.clone());
        }
        let id = match &call.request {
            CallRequest::Http(headers) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                config.call(&call.cluster, &headers, &[], call.timeout)
            }
            CallRequest::Grpc { service, method, message } => {
                let path = format!("/{service}/{method}");
                let timeout = format!("{}m", call.timeout.as_millis().min(MAX_GRPC_MILLIS));
                let headers = [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", &path),
                    (":authority", &call.cluster),
                    ("te", "trailers"),
                    ("content-type", "application/grpc"),
                    ("grpc-timeout", &timeout),
                ];
                config.call(&call.cluster, &headers, &framed(message), call.timeout)
            }
        };
        let Some(id) = id else { return false };
        self.calls.borrow_mut().insert(id, (owner, call.id));
        true
    }

    fn call_ended(&self, config: EnvoyConfig, call: u64, response: CalloutResponse<'_>) {
        let known = self.calls.borrow_mut().remove(&call);
        match known {
            Some((CallOwner::MainThread, id)) => {
                let answer = Answer::Http(&response);
                self.apply(self.gateway.on_answer(id, answer, now(), &*self.plugin.state), config);
                self.start_fetches(config);
            }
            Some((owner, id)) => owner.answer(id, grpc_answer(&response)),
            None => {}
        }
    }

    fn apply(&self, effects: GatewayEffects, config: EnvoyConfig) {
        perform_outside(effects.commands, |count| self.count(config, count));
    }

    fn count(&self, config: EnvoyConfig, count: &Count) {
        if !self.plugin.count_on_main(config, count)
            && let Some(mailbox) = self.counting.borrow().clone().or_else(|| self.plugin.any_mailbox())
        {
            mailbox.count(count.clone());
        }
    }
}

impl CallOwner {
    fn answer(&self, call: CallId, answer: OwnedAnswer) {
        if let CallOwner::Worker(mailbox) = self {
            mailbox.answer(call, answer);
        }
    }
}

impl CalloutResponse<'_> {
    fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| *value)
    }
}

impl HttpResponse for CalloutResponse<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.find(name).map(<[u8]>::to_vec)
    }

    fn body(&self, max: usize) -> Vec<u8> {
        self.body.iter().copied().flatten().take(max).copied().collect()
    }
}

/// Adds the prefix of a gRPC message: not compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Returns the gRPC message of a response, or its gRPC status. Envoy does not report the trailers of a call. A response with a
/// message therefore counts as successful, as it does for wasm.
fn grpc_answer(response: &CalloutResponse<'_>) -> OwnedAnswer {
    let body: Cow<'_, [u8]> = match response.body {
        [whole] => Cow::Borrowed(*whole),
        parts => Cow::Owned(parts.concat()),
    };
    let number = |name: &str| std::str::from_utf8(response.find(name)?).ok()?.parse::<u32>().ok();
    match (number(":status"), number("grpc-status")) {
        (Some(200), None | Some(0)) => match unframed(&body) {
            Some(message) => OwnedAnswer::Message(message.to_vec()),
            None => OwnedAnswer::Status(INTERNAL),
        },
        (Some(200), Some(status)) => OwnedAnswer::Status(status),
        _ => OwnedAnswer::Status(UNAVAILABLE),
    }
}

/// Returns the first message of a gRPC body; `None` if it is incomplete or compressed.
fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (compressed == 0).then(|| rest.get(..length))?
}

/// The largest value of `grpc-timeout` in milliseconds: it has at most eight digits (gRPC over HTTP/2, "Requests").
const MAX_GRPC_MILLIS: u128 = 99_999_999;
/// The gRPC status of a response that the client cannot read.
const INTERNAL: u32 = 13;
/// The gRPC status of a call that received no response from its service.
const UNAVAILABLE: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_response_is_a_message_or_a_status() {
        let answer = |headers: &[(&[u8], &[u8])], body: &[&[u8]]| match grpc_answer(&CalloutResponse { headers, body })
        {
            OwnedAnswer::NotStarted => "not started".to_string(),
            OwnedAnswer::Message(message) => String::from_utf8(message).unwrap(),
            OwnedAnswer::Status(status) => status.to_string(),
        };
        let ok: (&[u8], &[u8]) = (b":status", b"200");
        let whole = framed(b"hits");
        assert_eq!(answer(&[ok], &[&whole]), "hits");
        assert_eq!(answer(&[ok], &[&whole[..2], &whole[2..]]), "hits");
        assert_eq!(answer(&[ok, (b"grpc-status", b"0")], &[&framed(b"")]), "");
        assert_eq!(answer(&[ok], &[&whole[..8]]), "13", "the message is not complete");
        assert_eq!(answer(&[ok], &[b"\x01\0\0\0\x04hits"]), "13", "the message is compressed");
        assert_eq!(answer(&[ok, (b"grpc-status", b"7")], &[]), "7");
        assert_eq!(answer(&[ok, (b"grpc-status", b"8")], &[&whole]), "8");
        assert_eq!(answer(&[(b":status", b"503")], &[b"upstream connect error"]), "14");
        assert_eq!(answer(&[], &[]), "14");
    }
}
