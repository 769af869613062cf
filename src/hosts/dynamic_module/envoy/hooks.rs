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
use super::{EnvoyStream, LocalReply, bytes};
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
            envoy.reply(&LocalReply { status: 500, details: "portcullis_panic", headers: &[], body: &[] });
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
