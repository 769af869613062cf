//! The functions of Envoy that the module calls. Each one checks its handle, its thread and its moment.

#![expect(unsafe_code, reason = "the module calls these functions by name, with raw pointers")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::checks::{count, problem};
use crate::main_thread::{self, callout};
use crate::module::{Buffer, Handle, Header};
use crate::queue::{Event, Sender};
use crate::stream::{self, NOTHING, Stream};

/// Runs a function for a live stream of this thread.
fn of<T>(handle: Handle, name: &str, default: T, act: impl FnOnce(&Stream) -> T) -> T {
    match stream::find(handle) {
        Some(stream) => act(&stream),
        None => {
            problem(&format!("{name}: the stream {handle} is destroyed, or belongs to another thread"));
            default
        }
    }
}

macro_rules! callbacks {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? $body:block)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $kind),*) $(-> $result)? $body
    )*};
}

callbacks! {
    envoy_dynamic_module_callback_log(level: u32, text: Buffer) {
        crate::checks::log(level, &text.text());
    }
    envoy_dynamic_module_callback_is_validation_mode() -> bool {
        main_thread::check("is_validation_mode");
        false
    }
    envoy_dynamic_module_callback_http_get_header(
        handle: Handle, map: u32, name: Buffer, result: *mut Buffer, index: usize, count: *mut usize
    ) -> bool {
        of(handle, "get_header", false, |stream| {
            let (value, total) = stream.header(map, &name.text(), index);
            // SAFETY: the module passes an address for the result, and one or none for the number of values.
            unsafe {
                *result = value.unwrap_or(NOTHING);
                if !count.is_null() {
                    *count = total;
                }
            }
            value.is_some()
        })
    }
    envoy_dynamic_module_callback_http_get_headers_size(handle: Handle, map: u32) -> usize {
        of(handle, "get_headers_size", 0, |stream| stream.headers(map).map_or(0, |all| all.len()))
    }
    envoy_dynamic_module_callback_http_get_headers(handle: Handle, map: u32, result: *mut Header) -> bool {
        of(handle, "get_headers", false, |stream| {
            let headers = stream.headers(map);
            // SAFETY: the module passes an array with a place for each header.
            headers.iter().flatten().enumerate().for_each(|(at, header)| unsafe { *result.add(at) = *header });
            headers.is_some()
        })
    }
    envoy_dynamic_module_callback_http_add_header(handle: Handle, map: u32, name: Buffer, value: Buffer) -> bool {
        of(handle, "add_header", false, |stream| stream.add_header(map, &name.text(), value.copied()))
    }
    envoy_dynamic_module_callback_http_set_header(handle: Handle, map: u32, name: Buffer, value: Buffer) -> bool {
        of(handle, "set_header", false, |stream| stream.set_header(map, &name.text(), value.copied()))
    }
    envoy_dynamic_module_callback_http_send_response(
        handle: Handle, status: u32, headers: *const Header, count: usize, body: Buffer, details: Buffer
    ) {
        // SAFETY: the module passes an array of this size.
        let headers = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(headers, count) } };
        let headers = headers.iter().map(|one| (one.name.text(), one.value.text())).collect();
        of(handle, "send_response", (), |stream| stream.reply(status, headers, body.text(), &details.text()));
    }
    envoy_dynamic_module_callback_http_get_body_size(handle: Handle, part: u32) -> usize {
        of(handle, "get_body_size", 0, |stream| stream.body(part).iter().map(|chunk| chunk.length).sum())
    }
    envoy_dynamic_module_callback_http_get_body_chunks_size(handle: Handle, part: u32) -> usize {
        of(handle, "get_body_chunks_size", 0, |stream| stream.body(part).len())
    }
    envoy_dynamic_module_callback_http_get_body_chunks(handle: Handle, part: u32, result: *mut Buffer) -> bool {
        of(handle, "get_body_chunks", false, |stream| {
            let chunks = stream.body(part);
            // SAFETY: the module passes an array with a place for each chunk.
            chunks.iter().enumerate().for_each(|(at, chunk)| unsafe { *result.add(at) = *chunk });
            !chunks.is_empty()
        })
    }
    envoy_dynamic_module_callback_http_append_body(handle: Handle, part: u32, bytes: Buffer) -> bool {
        of(handle, "append_body", false, |stream| stream.append(part, bytes.copied().unwrap_or_default()))
    }
    envoy_dynamic_module_callback_http_drain_body(handle: Handle, part: u32, bytes: usize) -> bool {
        of(handle, "drain_body", false, |stream| stream.drain(part, bytes))
    }
    envoy_dynamic_module_callback_http_received_buffered_request_body(handle: Handle) -> bool {
        of(handle, "received_buffered_request_body", false, |stream| stream.is_whole_request.get())
    }
    envoy_dynamic_module_callback_http_received_buffered_response_body(handle: Handle) -> bool {
        of(handle, "received_buffered_response_body", false, |_| false)
    }
    envoy_dynamic_module_callback_http_clear_route_cache(handle: Handle) {
        of(handle, "clear_route_cache", (), |_| ());
    }
    envoy_dynamic_module_callback_http_filter_continue_decoding(handle: Handle) {
        of(handle, "continue_decoding", (), Stream::continue_decoding);
    }
    envoy_dynamic_module_callback_http_set_filter_state_bytes(handle: Handle, name: Buffer, value: Buffer) -> bool {
        of(handle, "set_filter_state", false, |stream| stream.set_state(&name.text(), value.text()))
    }
    envoy_dynamic_module_callback_http_get_metadata_string(
        handle: Handle, _source: u32, _namespace: Buffer, _key: Buffer, _result: *mut Buffer
    ) -> bool {
        of(handle, "get_metadata", false, |_| false)
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_string(handle: Handle, id: u32, result: *mut Buffer) -> bool {
        of(handle, "get_attribute_string", false, |stream| {
            let found = stream.attribute(id);
            // SAFETY: the module passes an address for the result.
            unsafe { *result = found.unwrap_or(NOTHING) };
            found.is_some()
        })
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_int(handle: Handle, id: u32, result: *mut u64) -> bool {
        of(handle, "get_attribute_int", false, |stream| {
            let found = stream.number(id);
            // SAFETY: the module passes an address for the result.
            found.inspect(|number| unsafe { *result = *number }).is_some()
        })
    }
    envoy_dynamic_module_callback_http_filter_scheduler_new(handle: Handle) -> *mut Scheduler {
        let new = |stream: &Stream| Scheduler { queue: stream.queue.clone(), handle, dead: Some(stream.dead.clone()) };
        of(handle, "scheduler_new", std::ptr::null_mut(), |stream| Box::into_raw(Box::new(new(stream))))
    }
    envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: *const Scheduler, event: u64) {
        // SAFETY: the module passes a scheduler that it has not deleted.
        unsafe { &*scheduler }.commit(event);
    }
    envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: *mut Scheduler) {
        // SAFETY: the module deletes each scheduler once.
        drop(unsafe { Box::from_raw(scheduler) });
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_new(handle: Handle) -> *mut Scheduler {
        main_thread::check("config_scheduler_new");
        Box::into_raw(Box::new(Scheduler { queue: main_thread::queue(), handle, dead: None }))
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit(scheduler: *const Scheduler, event: u64) {
        // SAFETY: the module passes a scheduler that it has not deleted.
        unsafe { &*scheduler }.commit(event);
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut Scheduler) {
        // SAFETY: the module deletes each scheduler once.
        drop(unsafe { Box::from_raw(scheduler) });
    }
    envoy_dynamic_module_callback_http_filter_config_http_callout(
        config: Handle, id: *mut u64, cluster: Buffer, headers: *const Header, count: usize, body: Buffer, _millis: u64
    ) -> u32 {
        // SAFETY: the module passes an array of this size.
        let headers = unsafe { std::slice::from_raw_parts(headers, count) };
        let headers: Vec<String> = headers.iter().map(|header| header.name.text()).collect();
        match callout(config, &cluster.text(), &headers, body.copied().unwrap_or_default()) {
            // SAFETY: the module passes an address for the id.
            Ok(new) => unsafe { *id = new; 0 },
            Err(result) => result,
        }
    }
    envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: Handle, name: Buffer, labels: *const Buffer, count: usize, id: *mut usize
    ) -> u32 {
        let defined = main_thread::define_counter(config, &name.text(), texts(labels, count).len());
        // SAFETY: the module passes an address for the id.
        defined.map_or(3, |new| unsafe { *id = new; 0 })
    }
    envoy_dynamic_module_callback_http_filter_increment_counter(
        handle: Handle, id: usize, labels: *const Buffer, size: usize, by: u64
    ) -> u32 {
        of(handle, "increment_counter", 1, |_| count(id, texts(labels, size), by))
    }
    envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: Handle, id: usize, labels: *const Buffer, size: usize, by: u64
    ) -> u32 {
        // Envoy 1.38 lacks this function. A failure has the same effect on the module.
        if main_thread::is_live(config, "config_increment_counter") && !main_thread::is_old() {
            count(id, texts(labels, size), by)
        } else {
            1
        }
    }
}

fn texts(items: *const Buffer, count: usize) -> Vec<String> {
    // SAFETY: the module passes an array of this size.
    let items = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(items, count) } };
    items.iter().map(|item| item.text()).collect()
}

/// A scheduler of a stream or of a configuration.
pub struct Scheduler {
    queue: Sender,
    handle: Handle,
    /// Whether the stream is being destroyed.
    dead: Option<Arc<AtomicBool>>,
}

impl Scheduler {
    fn commit(&self, event: u64) {
        // Envoy before 1.39.1 reads the stream here, also while another thread destroys it.
        if self.dead.as_ref().is_some_and(|dead| dead.load(Ordering::Relaxed)) {
            problem(&format!("scheduler_commit: the stream {} is being destroyed", self.handle));
        }
        self.queue.send(Event::Scheduled(self.handle, event));
    }
}
