//! The hooks of streams. Each hook passes its event to a stream.
//!
//! A panic must not leave a hook, because it would end Envoy (envoy-facts §5.15). Every hook therefore runs in a guard, which
//! refuses the request.

#![expect(unsafe_code, reason = "Envoy passes raw pointers; each block explains why it is sound")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::panic::{self, AssertUnwindSafe};
use std::ptr::null;
use std::rc::Rc;
use std::sync::Arc;

use super::super::shared_plugin::SharedPlugin;
use super::super::stream::Stream;
use super::super::worker;
use super::abi::{Buffer, Header, StreamPtr, status};
use super::{EnvoyStream, bytes};
use crate::gateway::metrics::Count;

/// Creates a stream.
///
/// # Safety
/// `plugin` must be the result of [`envoy_dynamic_module_on_http_filter_config_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    plugin: *const c_void,
    stream: StreamPtr,
) -> *const c_void {
    guard(null(), || {
        // SAFETY: the pointer is from `Arc::into_raw`, and Envoy destroys the configuration only after its streams.
        let plugin = unsafe { ManuallyDrop::new(Arc::from_raw(plugin.cast::<SharedPlugin>())) };
        // SAFETY: Envoy passes a valid stream, and `destroy` ends its use.
        let envoy = unsafe { EnvoyStream::new(stream) };
        match panic::catch_unwind(AssertUnwindSafe(|| worker::create(&plugin, envoy))) {
            Ok(stream) => Rc::into_raw(stream).cast(),
            Err(_) => {
                plugin.count(envoy, &Count::Panic);
                null()
            }
        }
    })
}

/// Frees a stream.
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`], and no other hook may use it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: *const c_void) {
    if stream.is_null() {
        return;
    }
    guard((), || {
        // SAFETY: the pointer is from `Rc::into_raw`, and Envoy calls this hook once.
        let stream = unsafe { Rc::from_raw(stream.cast::<Stream>()) };
        worker::destroy(&stream);
    });
}

/// Declares the hooks of a stream with a result.
macro_rules! stream_hooks {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) or $stop:expr, |$stream:ident| $act:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`].
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(envoy: StreamPtr, stream: *const c_void, $($argument: $kind),*) -> u32 {
            // SAFETY: the caller guarantees that the pointers are valid.
            unsafe { in_stream(envoy, stream, $stop, |$stream| $act) }
        }
    )*};
}

stream_hooks! {
    /// Handles the request's headers.
    envoy_dynamic_module_on_http_filter_request_headers(ended: bool)
        or status::STOP_HEADERS, |stream| worker::handle_request_headers(stream, ended);
    /// Handles a part of the request's body.
    envoy_dynamic_module_on_http_filter_request_body(ended: bool)
        or status::STOP_BODY_AND_BUFFER, |stream| worker::handle(stream, |stream| stream.handle_request_body(ended));
    /// Handles the request's trailers.
    envoy_dynamic_module_on_http_filter_request_trailers()
        or status::STOP_TRAILERS, |stream| worker::handle(stream, |stream| stream.handle_request_trailers());
    /// Handles the response's headers.
    envoy_dynamic_module_on_http_filter_response_headers(ended: bool)
        or status::STOP_HEADERS, |stream| worker::handle(stream, |stream| stream.handle_response_headers(ended));
    /// Handles a part of the response's body.
    envoy_dynamic_module_on_http_filter_response_body(ended: bool)
        or status::STOP_BODY_AND_BUFFER, |stream| worker::handle(stream, |stream| stream.handle_response_body(ended));
    /// Handles the response's trailers.
    envoy_dynamic_module_on_http_filter_response_trailers()
        or status::STOP_TRAILERS, |stream| worker::handle(stream, |stream| stream.handle_response_trailers());
}

/// Records the details of a local reply. Envoy calls this hook before it reports the headers of the reply (envoy-facts §5.10).
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`], and `details` must be valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    _envoy: StreamPtr,
    stream: *const c_void,
    _code: u32,
    details: Buffer,
    _reset: bool,
) -> u32 {
    guard((), || {
        // SAFETY: the caller guarantees that the pointer and the buffer are valid.
        let (stream, details) = unsafe { (shared(stream), bytes(&details)) };
        stream.iter().for_each(|stream| stream.handle_local_reply(details));
    });
    status::CONTINUE
}

/// Handles the end of a stream.
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(_envoy: StreamPtr, stream: *const c_void) {
    guard((), || {
        // SAFETY: the caller guarantees that the pointer is valid.
        let stream = unsafe { shared(stream) };
        stream.iter().for_each(|stream| worker::complete(stream));
    });
}

/// Handles scheduled work on the thread of a stream.
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    _envoy: StreamPtr,
    stream: *const c_void,
    _event: u64,
) {
    guard((), || {
        // SAFETY: the caller guarantees that the pointer is valid.
        let stream = unsafe { shared(stream) };
        stream.iter().for_each(|stream| worker::handle_scheduled(stream));
    });
}

/// Declares the hooks that Envoy requires and this host does not use.
macro_rules! unused_hooks {
    ($($name:ident($($kind:ty),*);)*) => {$(
        /// Does nothing. Envoy requires this hook, but the host starts nothing that would call it.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $kind),*) {}
    )*};
}

unused_hooks! {
    envoy_dynamic_module_on_http_filter_http_callout_done(StreamPtr, *const c_void, u64, u32, *const Header, usize, *const Buffer, usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(StreamPtr, *const c_void, u64, *const Header, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(StreamPtr, *const c_void, u64, *const Buffer, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(StreamPtr, *const c_void, u64, *const Header, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(StreamPtr, *const c_void, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(StreamPtr, *const c_void, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(StreamPtr, *const c_void);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(StreamPtr, *const c_void);
}

/// Runs the hook of a stream. Returns `stop` and refuses the request after a panic.
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`], and `envoy` its stream.
unsafe fn in_stream(envoy: StreamPtr, stream: *const c_void, stop: u32, hook: impl FnOnce(&Rc<Stream>) -> u32) -> u32 {
    // SAFETY: the caller guarantees that the pointer is valid.
    let Some(stream) = (unsafe { shared(stream) }) else {
        // The stream could not be created. Envoy before 1.40 calls its other hooks all the same (envoy-facts §5.15).
        guard((), || {
            // SAFETY: the caller guarantees that the pointer is valid.
            let envoy = unsafe { EnvoyStream::new(envoy) };
            envoy.refuse_after_panic();
        });
        return stop;
    };
    if stream.is_broken() {
        return stop;
    }
    match panic::catch_unwind(AssertUnwindSafe(|| hook(&stream))) {
        Ok(status) => status,
        Err(_) => {
            guard((), || worker::refuse_after_panic(&stream));
            stop
        }
    }
}

/// Returns another reference to a stream, so that it lives until the hook ends: Envoy before 1.40 destroys a stream inside of the
/// function that sends a reply (envoy-facts §5.11). Returns `None` for a stream that could not be created.
///
/// # Safety
/// `stream` must be the result of [`envoy_dynamic_module_on_http_filter_new`].
unsafe fn shared(stream: *const c_void) -> Option<Rc<Stream>> {
    if stream.is_null() {
        return None;
    }
    // SAFETY: the pointer is from `Rc::into_raw`, and the hooks of a stream run on one thread.
    let stream = unsafe { ManuallyDrop::new(Rc::from_raw(stream.cast::<Stream>())) };
    Some(Rc::clone(&stream))
}

/// Runs a hook. Returns `fallback` after a panic.
pub fn guard<T>(fallback: T, hook: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(hook)).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ptr::{null_mut, without_provenance_mut};

    use super::super::abi::{BodyPart, ConfigPtr, Functions, Map, SchedulerPtr, StreamAttribute};
    use super::super::{EnvoyConfig, set_functions};
    use super::*;
    use crate::gateway::metrics::METRICS;

    thread_local! {
        /// The calls of Envoy's functions that change something.
        static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn called(text: String) {
        CALLS.with_borrow_mut(|calls| calls.push(text));
    }

    unsafe extern "C" fn log(_: u32, _: Buffer) {}
    unsafe extern "C" fn no() -> bool {
        false
    }
    unsafe extern "C" fn get_header(_: StreamPtr, _: Map, _: Buffer, _: *mut Buffer, _: usize, _: *mut usize) -> bool {
        false
    }
    unsafe extern "C" fn headers_size(_: StreamPtr, _: Map) -> usize {
        3
    }
    unsafe extern "C" fn headers(_: StreamPtr, _: Map, result: *mut Header) -> bool {
        let pairs: [(&[u8], &[u8]); 3] =
            [(b":method", b"GET"), (b":path", b"/health"), (b":authority", b"api.example.com")];
        for (at, (name, value)) in pairs.into_iter().enumerate() {
            let header = Header { name: super::super::buffer(name), value: super::super::buffer(value) };
            // SAFETY: the array has a place for each header.
            unsafe { *result.add(at) = header };
        }
        true
    }
    unsafe extern "C" fn change_header(_: StreamPtr, _: Map, _: Buffer, _: Buffer) -> bool {
        true
    }
    unsafe extern "C" fn reply(_: StreamPtr, status: u32, _: *const Header, _: usize, _: Buffer, details: Buffer) {
        // SAFETY: the caller passes valid details.
        called(format!("reply {status} {}", String::from_utf8_lossy(unsafe { bytes(&details) })));
    }
    unsafe extern "C" fn size(_: StreamPtr, _: BodyPart) -> usize {
        0
    }
    unsafe extern "C" fn chunks(_: StreamPtr, _: BodyPart, _: *mut Buffer) -> bool {
        false
    }
    unsafe extern "C" fn append(_: StreamPtr, _: BodyPart, _: Buffer) -> bool {
        false
    }
    unsafe extern "C" fn drain(_: StreamPtr, _: BodyPart, _: usize) -> bool {
        false
    }
    unsafe extern "C" fn is_whole(_: StreamPtr) -> bool {
        false
    }
    unsafe extern "C" fn nothing(_: StreamPtr) {}
    unsafe extern "C" fn set_state(_: StreamPtr, _: Buffer, _: Buffer) -> bool {
        true
    }
    unsafe extern "C" fn metadata(_: StreamPtr, _: u32, _: Buffer, _: Buffer, _: *mut Buffer) -> bool {
        false
    }
    unsafe extern "C" fn text(_: StreamPtr, _: StreamAttribute, _: *mut Buffer) -> bool {
        false
    }
    unsafe extern "C" fn number(_: StreamPtr, _: StreamAttribute, _: *mut u64) -> bool {
        false
    }
    unsafe extern "C" fn scheduler(_: *mut c_void) -> SchedulerPtr {
        null_mut()
    }
    unsafe extern "C" fn commit(_: SchedulerPtr, _: u64) {}
    unsafe extern "C" fn delete(_: SchedulerPtr) {}
    unsafe extern "C" fn callout(
        _: ConfigPtr,
        _: *mut u64,
        _: Buffer,
        _: *const Header,
        _: usize,
        _: Buffer,
        _: u64,
    ) -> u32 {
        4
    }
    unsafe extern "C" fn define(_: ConfigPtr, name: Buffer, _: *const Buffer, _: usize, id: *mut usize) -> u32 {
        // SAFETY: the caller passes a valid name and a live address.
        let name = unsafe { bytes(&name) };
        let place = METRICS.iter().position(|metric| metric.name.as_bytes() == name);
        // SAFETY: as above.
        place.map_or(1, |place| unsafe {
            *id = place;
            0
        })
    }
    unsafe extern "C" fn increment(_: StreamPtr, id: usize, _: *const Buffer, _: usize, _: u64) -> u32 {
        called(format!("count {}", METRICS[id].name));
        0
    }

    /// Functions of an Envoy that has one request, to `/health`.
    const FUNCTIONS: Functions = Functions {
        log,
        is_validation_mode: no,
        http_get_header: get_header,
        http_get_headers_size: headers_size,
        http_get_headers: headers,
        http_add_header: change_header,
        http_set_header: change_header,
        http_send_response: reply,
        http_get_body_size: size,
        http_get_body_chunks_size: size,
        http_get_body_chunks: chunks,
        http_append_body: append,
        http_drain_body: drain,
        http_received_buffered_request_body: is_whole,
        http_received_buffered_response_body: is_whole,
        http_clear_route_cache: nothing,
        http_filter_continue_decoding: nothing,
        http_set_filter_state_bytes: set_state,
        http_get_metadata_string: metadata,
        http_filter_get_attribute_string: text,
        http_filter_get_attribute_int: number,
        http_filter_scheduler_new: scheduler,
        http_filter_scheduler_commit: commit,
        http_filter_scheduler_delete: delete,
        http_filter_config_scheduler_new: scheduler,
        http_filter_config_scheduler_commit: commit,
        http_filter_config_scheduler_delete: delete,
        http_filter_config_http_callout: callout,
        http_filter_config_define_counter: define,
        http_filter_increment_counter: increment,
        http_filter_config_increment_counter: None,
        log_v2: None,
    };

    #[test]
    fn a_panic_refuses_only_its_request_and_is_counted() {
        set_functions(FUNCTIONS);
        let envoy: StreamPtr = without_provenance_mut(16);
        let document = br#"{ "version": "1.0", "routes": [{ "path": "/health", "auth": "none", "response": {} }] }"#;
        // SAFETY: the functions above do not read through the pointers.
        let (config, stream) = unsafe { (EnvoyConfig::new(null_mut()), EnvoyStream::new(envoy)) };
        let (plugin, _gateway) = SharedPlugin::configure(config, "panics", document, true).unwrap();
        let hook = |stream: *const c_void, act: fn(&Rc<Stream>) -> u32| {
            // SAFETY: the stream is the result of `Rc::into_raw`, or null.
            let status = unsafe { in_stream(envoy, stream, status::STOP_HEADERS, act) };
            (status, CALLS.take())
        };
        let panics: fn(&Rc<Stream>) -> u32 = |_| panic!("a defect");
        let refused = "reply 500 portcullis_panic".to_string();
        let (stop, counted) = (status::STOP_HEADERS, "count portcullis_panics_total".to_string());

        let first: *const c_void = Rc::into_raw(worker::create(&plugin, stream)).cast();
        assert_eq!(hook(first, panics), (stop, vec![counted, refused.clone()]));
        assert_eq!(hook(first, panics), (stop, Vec::new()), "no further hook of the request runs");
        assert_eq!(hook(null(), |_| 0), (stop, vec![refused]), "a request without a stream is refused");

        let second: *const c_void = Rc::into_raw(worker::create(&plugin, stream)).cast();
        let headers: fn(&Rc<Stream>) -> u32 = |stream| worker::handle_request_headers(stream, true);
        let (status, calls) = hook(second, headers);
        assert_eq!(status, stop);
        assert!(calls.iter().any(|call| call.starts_with("reply 200")), "{calls:?}");
        assert_eq!(guard(7, || panic!("a defect")), 7);
        // SAFETY: both streams are results of `Rc::into_raw`, and are destroyed once.
        [first, second].into_iter().for_each(|stream| unsafe { envoy_dynamic_module_on_http_filter_destroy(stream) });
    }
}
