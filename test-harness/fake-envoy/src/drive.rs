//! Drives one stream: reports its events to the module in the order of Envoy, and carries out the results.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::checks::problem;
use crate::main_thread::{Config, is_old, new_handle, now};
use crate::module::{self, Buffer};
use crate::queue::Sender;
use crate::random::Random;
use crate::site::{Expect, FORGED, Request};
use crate::stream::Stream;

/// A stream with the events that have not happened yet.
pub struct Driven {
    stream: Rc<Stream>,
    request: Request,
    step: Cell<usize>,
    /// Whether the client or Envoy ends the stream early.
    is_cut: Cell<bool>,
    is_checked: Cell<bool>,
    began: Instant,
}

impl Driven {
    /// Starts a stream.
    pub fn start(request: Request, config: &Arc<Config>, queue: &Sender) -> Driven {
        let stream = Stream::new(new_handle(), queue, is_old(), request.headers.clone()).start(config);
        Driven {
            stream,
            request,
            step: Cell::new(0),
            is_cut: Cell::new(false),
            is_checked: Cell::new(false),
            began: now(),
        }
    }

    pub fn is_gone(&self) -> bool {
        self.stream.is_destroyed()
    }

    /// Returns `true` if the stream waits for the module alone.
    pub fn is_waiting(&self) -> bool {
        self.step.get() > self.request.body.len() + 1 && !self.stream.is_request_over.get()
    }

    /// Reports a stream that the module neither refused nor continued.
    pub fn report_hang(&self) {
        let path = self.request.headers.get(1).map(|(_, path)| String::from_utf8_lossy(path).into_owned());
        problem(&format!("no decision after {:?}: {path:?}, step {}", self.began.elapsed(), self.step.get()));
    }

    /// Reports the next event, or sometimes an early end.
    pub fn advance(&self, random: &mut Random) {
        let stream = &*self.stream;
        if self.end_replied() {
            return;
        }
        match random.below(80) {
            0 => return self.cut(),
            1 if stream.is_forwarded.get() && !stream.response_begun.get() => return self.fail(),
            2 => {
                module::above_watermark(stream.handle, stream.module.get());
                module::below_watermark(stream.handle, stream.module.get());
            }
            _ => {}
        }
        let (step, chunks) = (self.step.get(), self.request.body.len());
        if stream.is_request_over.get() {
            self.respond(random);
        } else if step == 0 {
            self.step.set(1);
            self.send_headers(chunks == 0 && !self.request.trailers);
        } else if step <= chunks {
            self.step.set(step + 1);
            let ended = step == chunks && !self.request.trailers;
            self.send_body(self.request.body.get(step - 1).cloned().unwrap_or_default(), ended);
        } else if step == chunks + 1 {
            self.step.set(step + 1);
            if self.request.trailers {
                self.send_trailers();
            }
        }
        self.end_replied();
    }

    fn send_headers(&self, ended: bool) {
        let stream = &*self.stream;
        let status = self.in_hook(|| module::request_headers(stream.handle, stream.module.get(), ended));
        if self.end_replied() {
            return;
        }
        if ended {
            stream.arrived.set(Some(false));
        }
        match status {
            0 => {
                stream.forward();
                stream.is_request_over.set(ended);
            }
            _ => stream.held.set(status),
        }
    }

    fn send_body(&self, chunk: Vec<u8>, ended: bool) {
        let stream = &*self.stream;
        if stream.is_over() || stream.reply.borrow().is_some() {
            return;
        }
        stream.arrived.set(if ended { Some(false) } else { stream.arrived.get() });
        stream.set_part(0, Some(chunk));
        if stream.held.get() >= 3 {
            return stream.hold(0, 1);
        }
        let status = self.in_hook(|| module::request_body(stream.handle, stream.module.get(), ended));
        if self.end_replied() {
            return;
        }
        match status {
            0 => {
                stream.forward();
                stream.forward_body();
                stream.is_request_over.set(ended);
            }
            _ => {
                stream.hold(0, 1);
                if stream.held.get() == 0 {
                    problem("a body is held after its headers were forwarded");
                }
            }
        }
    }

    fn send_trailers(&self) {
        let stream = &*self.stream;
        stream.arrived.set(Some(true));
        stream.set_map(1, vec![("x-user-id".to_string(), FORGED.into()), ("x-sum".to_string(), b"1".to_vec())]);
        if stream.held.get() >= 3 || stream.is_over() {
            return;
        }
        let status = self.in_hook(|| module::request_trailers(stream.handle, stream.module.get()));
        if !self.end_replied() && status == 0 {
            stream.forward();
            stream.forward_body();
            stream.is_request_over.set(true);
        }
    }

    fn in_hook(&self, hook: impl FnOnce() -> u32) -> u32 {
        self.stream.is_in_request_hook.set(true);
        let status = hook();
        self.stream.is_in_request_hook.set(false);
        self.stream.set_part(2, None);
        status
    }

    /// Ends the stream if the module has replied, or has completed the stream in a hook. Returns `true` if the stream is over.
    pub fn end_replied(&self) -> bool {
        let stream = &*self.stream;
        if stream.is_destroyed() {
            self.check();
            return true;
        }
        if stream.reply.borrow().is_none() && !stream.is_complete.get() {
            return false;
        }
        stream.complete();
        stream.destroy();
        self.check();
        true
    }

    /// The client disconnects.
    fn cut(&self) {
        self.is_cut.set(true);
        self.stream.complete();
        self.stream.destroy();
    }

    /// The upstream fails, and Envoy replies.
    fn fail(&self) {
        let stream = &*self.stream;
        self.is_cut.set(true);
        module::local_reply(
            stream.handle,
            stream.module.get(),
            503,
            Buffer::of(b"upstream reset before response"),
            false,
        );
        stream.is_request_over.set(true);
        self.begin_response("503", true);
    }

    fn respond(&self, random: &mut Random) {
        if !self.stream.response_begun.get() {
            return self.begin_response("200", false);
        }
        if random.one_in(3) {
            return;
        }
        let stream = &*self.stream;
        let ended = !random.one_in(4);
        let body = if self.step.replace(usize::MAX) == usize::MAX { Vec::new() } else { self.request.response.clone() };
        stream.set_part(2, Some(body));
        let status = module::response_body(stream.handle, stream.module.get(), ended);
        if self.end_replied() {
            return;
        }
        if status == 0 {
            stream.client_headers.set(true);
            self.send_to_client();
        } else {
            stream.hold(2, 3);
        }
        if ended {
            return self.finish();
        }
        if random.one_in(3) {
            let status = module::response_trailers(stream.handle, stream.module.get());
            if self.end_replied() {
                return;
            }
            if status == 0 {
                self.send_to_client();
            }
            self.finish();
        }
    }

    fn begin_response(&self, status: &str, ended: bool) {
        let stream = &*self.stream;
        stream.response_begun.set(true);
        let header = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
        stream.set_map(2, vec![header(":status", status), header("content-type", "application/json")]);
        let result = module::response_headers(stream.handle, stream.module.get(), ended);
        if self.end_replied() {
            return;
        }
        stream.client_headers.set(result == 0);
        if ended {
            self.finish();
        }
    }

    fn send_to_client(&self) {
        let parts = [self.stream.take_body(3), self.stream.take_body(2)].concat();
        parts.iter().for_each(|part| self.stream.sent_body.borrow_mut().extend(part));
    }

    fn finish(&self) {
        self.stream.complete();
        self.stream.destroy();
        self.check();
    }

    /// Compares the result with the expected decision.
    fn check(&self) {
        if self.is_checked.replace(true) {
            return;
        }
        let stream = &*self.stream;
        let name = || {
            let path = self.request.headers.get(1).map(|(_, path)| String::from_utf8_lossy(path).into_owned());
            format!("{} {:?} of stream {}", path.unwrap_or_default(), self.request.expect, stream.handle)
        };
        let reply = stream.reply.borrow();
        let is_right = match (reply.as_ref().filter(|_| !stream.is_forwarded.get()), self.request.expect) {
            (None, expect) => matches!(expect, Expect::Forwarded | Expect::Either(_)) || self.is_cut.get(),
            (Some((status, ..)), Expect::Refused(expected)) => *status == expected,
            (Some((status, ..)), Expect::Either(accepted)) => accepted.contains(status),
            (Some(_), Expect::Forwarded) => false,
        };
        if !is_right {
            problem(&format!("{}: the reply is {:?}", name(), reply.as_ref().map(|(status, _, body)| (status, body))));
        }
        if let Some((_, headers, _)) = reply.as_ref().filter(|_| self.request.is_grpc)
            && !headers.iter().any(|(name, value)| name == "grpc-status" && value != b"0")
        {
            problem(&format!("{}: a gRPC refusal has no status", name()));
        }
        if stream.upstream_headers.borrow().iter().any(|(_, value)| value == FORGED.as_bytes()) {
            problem(&format!("{}: a forged header is forwarded", name()));
        }
        if stream.is_request_over.get()
            && !self.is_cut.get()
            && *stream.upstream_body.borrow() != self.request.body.concat()
        {
            problem(&format!("{}: the upstream receives another body", name()));
        }
        let sent = stream.sent_body.borrow();
        if self.request.is_mapped && !sent.is_empty() && !sent.starts_with(b"{\"jsonapi\"") {
            problem(&format!("{}: the response is not mapped: {}", name(), String::from_utf8_lossy(&sent)));
        }
    }
}
