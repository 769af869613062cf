//! The part of Envoy's dynamic module ABI that this host uses: types, numbers, and the functions of Envoy.
//!
//! The declarations are those of `source/extensions/dynamic_modules/abi/abi.h` in Envoy 1.38 (ABI version `v0.1.0`), which Envoy
//! 1.39 and 1.40 still support (envoy-facts §5.1). The functions are looked up by name when Envoy loads the module. If they were
//! linked, an Envoy without one of the optional functions could not load the module at all (envoy-facts §5.2).

#![expect(unsafe_code, reason = "function pointers are looked up by name; each block explains why it is sound")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

/// The version of the ABI that these declarations describe. Envoy logs a warning if it has another version.
pub const VERSION: &CStr = c"v0.1.0";

/// Envoy's object for the configuration of one filter.
pub type ConfigPtr = *mut c_void;
/// Envoy's object for one stream, which is a request and its response.
pub type StreamPtr = *mut c_void;
/// A scheduler, which runs a hook on the thread of a configuration or a stream.
pub type SchedulerPtr = *mut c_void;

/// Bytes of Envoy or of the module. Envoy copies bytes of the module; bytes of Envoy are valid until the current hook ends or
/// changes the object that they belong to.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Buffer {
    /// The first byte.
    pub data: *const u8,
    /// The number of bytes.
    pub length: usize,
}

/// A header with its name and its value.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// The name.
    pub name: Buffer,
    /// The value.
    pub value: Buffer,
}

/// A map of headers or trailers (`envoy_dynamic_module_type_http_header_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Map {
    /// Request headers.
    Request = 0,
    /// Request trailers.
    RequestTrailers = 1,
    /// Response headers.
    Response = 2,
}

/// A body (`envoy_dynamic_module_type_http_body_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BodyPart {
    /// The part of the request's body that the current hook reports.
    ReceivedRequest = 0,
    /// The part of the request's body that Envoy holds.
    BufferedRequest = 1,
    /// The part of the response's body that the current hook reports.
    ReceivedResponse = 2,
    /// The part of the response's body that Envoy holds.
    BufferedResponse = 3,
}

/// A property of a stream or its connection (`envoy_dynamic_module_type_attribute_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StreamAttribute {
    RequestId = 9,
    RequestProtocol = 10,
    ResponseCode = 15,
    SourceAddress = 24,
    ConnectionId = 28,
    SubjectPeerCertificate = 33,
    DnsSanPeerCertificate = 35,
    UriSanPeerCertificate = 37,
    Sha256PeerCertificateDigest = 38,
}

/// The log levels (`envoy_dynamic_module_type_log_level`).
pub mod log_level {
    pub const INFO: u32 = 2;
    pub const WARN: u32 = 3;
    pub const ERROR: u32 = 4;
}

/// The results of the hooks for headers, bodies and trailers (`envoy_dynamic_module_type_on_http_filter_…_status`).
pub mod status {
    pub const CONTINUE: u32 = 0;
    pub const STOP_HEADERS: u32 = 1;
    pub const STOP_ALL_AND_WATERMARK: u32 = 4;
    pub const STOP_BODY_AND_BUFFER: u32 = 1;
    pub const STOP_TRAILERS: u32 = 1;
}

/// The result of a callout that Envoy has started (`envoy_dynamic_module_type_http_callout_init_result`).
pub const CALLOUT_STARTED: u32 = 0;
/// The result of a callout that has received a response (`envoy_dynamic_module_type_http_callout_result`).
pub const CALLOUT_ANSWERED: u32 = 0;
/// The result of a metric function that has succeeded (`envoy_dynamic_module_type_metrics_result`).
pub const METRIC_OK: u32 = 0;
/// The dynamic metadata of a stream (`envoy_dynamic_module_type_metadata_source`).
pub const DYNAMIC_METADATA: u32 = 0;

/// Declares the table of Envoy's functions, with a constructor that looks them up.
macro_rules! functions {
    (
        required { $($name:ident($($argument:ty),*) $(-> $result:ty)?;)* }
        optional { $($maybe:ident($($maybe_argument:ty),*) $(-> $maybe_result:ty)?;)* }
    ) => {
        /// Envoy's functions. Each field is the function `envoy_dynamic_module_callback_…` with the name of the field.
        #[derive(Clone, Copy, Debug)]
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            $(pub $maybe: Option<unsafe extern "C" fn($($maybe_argument),*) $(-> $maybe_result)?>,)*
        }

        impl Functions {
            /// Looks up the functions in the running process.
            ///
            /// # Errors
            /// Returns the name of a required function that this Envoy does not have.
            pub fn look_up() -> Result<Functions, &'static str> {
                $(let $name = symbol(concat!("envoy_dynamic_module_callback_", stringify!($name), "\0"));)*
                $(let $maybe = symbol(concat!("envoy_dynamic_module_callback_", stringify!($maybe), "\0"));)*
                Ok(Functions {
                    // SAFETY: Envoy exports a function with this name only for this purpose, and the ABI fixes its type.
                    $($name: unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                            $name.ok_or(stringify!($name))?,
                        )
                    },)*
                    // SAFETY: as above.
                    $($maybe: $maybe.map(|address| unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($maybe_argument),*) $(-> $maybe_result)?>(
                            address,
                        )
                    }),)*
                })
            }
        }
    };
}

functions! {
    required {
        log(u32, Buffer);
        is_validation_mode() -> bool;
        http_get_header(StreamPtr, Map, Buffer, *mut Buffer, usize, *mut usize) -> bool;
        http_get_headers_size(StreamPtr, Map) -> usize;
        http_get_headers(StreamPtr, Map, *mut Header) -> bool;
        http_add_header(StreamPtr, Map, Buffer, Buffer) -> bool;
        http_set_header(StreamPtr, Map, Buffer, Buffer) -> bool;
        http_send_response(StreamPtr, u32, *const Header, usize, Buffer, Buffer);
        http_get_body_size(StreamPtr, BodyPart) -> usize;
        http_get_body_chunks_size(StreamPtr, BodyPart) -> usize;
        http_get_body_chunks(StreamPtr, BodyPart, *mut Buffer) -> bool;
        http_append_body(StreamPtr, BodyPart, Buffer) -> bool;
        http_drain_body(StreamPtr, BodyPart, usize) -> bool;
        http_received_buffered_request_body(StreamPtr) -> bool;
        http_received_buffered_response_body(StreamPtr) -> bool;
        http_clear_route_cache(StreamPtr);
        http_filter_continue_decoding(StreamPtr);
        http_set_filter_state_bytes(StreamPtr, Buffer, Buffer) -> bool;
        http_get_metadata_string(StreamPtr, u32, Buffer, Buffer, *mut Buffer) -> bool;
        http_filter_get_attribute_string(StreamPtr, StreamAttribute, *mut Buffer) -> bool;
        http_filter_get_attribute_int(StreamPtr, StreamAttribute, *mut u64) -> bool;
        http_filter_scheduler_new(StreamPtr) -> SchedulerPtr;
        http_filter_scheduler_commit(SchedulerPtr, u64);
        http_filter_scheduler_delete(SchedulerPtr);
        http_filter_config_scheduler_new(ConfigPtr) -> SchedulerPtr;
        http_filter_config_scheduler_commit(SchedulerPtr, u64);
        http_filter_config_scheduler_delete(SchedulerPtr);
        http_filter_config_http_callout(ConfigPtr, *mut u64, Buffer, *const Header, usize, Buffer, u64) -> u32;
        http_filter_config_define_counter(ConfigPtr, Buffer, *const Buffer, usize, *mut usize) -> u32;
        http_filter_increment_counter(StreamPtr, usize, *const Buffer, usize, u64) -> u32;
    }
    optional {
        // Since Envoy 1.39 (envoy-facts §5.5).
        http_filter_config_increment_counter(ConfigPtr, usize, *const Buffer, usize, u64) -> u32;
        // Since Envoy 1.40. Only its existence matters.
        log_v2(u32, Buffer, Buffer, u32);
    }
}

impl Functions {
    /// Returns the version of Envoy, as far as its functions show it.
    pub fn envoy(&self) -> &'static str {
        match (self.http_filter_config_increment_counter, self.log_v2) {
            (_, Some(_)) => "Envoy 1.40 or newer",
            (Some(_), None) => "Envoy 1.39",
            (None, None) => "Envoy 1.38",
        }
    }
}

/// Returns the address of a symbol of the process. `name` ends with NUL.
fn symbol(name: &'static str) -> Option<*mut c_void> {
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }
    // The handle of all objects that the process has loaded globally (dlsym(3), `RTLD_DEFAULT`).
    let everything = null_mut();
    // SAFETY: the handle is valid on Linux, and the name is a live string that ends with NUL.
    let address = unsafe { dlsym(everything, name.as_ptr().cast()) };
    (!address.is_null()).then_some(address)
}
