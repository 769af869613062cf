//! The hooks of the module, which this program loads as Envoy does.

#![expect(clippy::too_many_arguments, reason = "the ABI fixes the arguments of the hooks")]
#![expect(unsafe_code, reason = "a module is loaded by name, and its hooks use raw pointers")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;

/// Bytes that the module or this program owns.
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

impl Buffer {
    /// Returns a buffer for these bytes, which must live as long as the module uses it.
    pub const fn of(bytes: &[u8]) -> Buffer {
        Buffer { data: bytes.as_ptr(), length: bytes.len() }
    }

    /// Copies the bytes; `None` if the buffer has no address.
    pub fn copied(self) -> Option<Vec<u8>> {
        // SAFETY: the module passes a valid buffer. If it does not, AddressSanitizer reports the read.
        (!self.data.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.data, self.length) }.to_vec())
    }

    /// Copies the bytes as text.
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.copied().unwrap_or_default()).into_owned()
    }
}

/// The handle of a stream or a configuration of this program. The module must not read through it.
pub type Handle = usize;
/// An object of the module.
pub type Object = usize;

macro_rules! hooks {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal ($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        struct Hooks { $($name: unsafe extern "C" fn($($kind),*) $(-> $result)?,)* }

        impl Hooks {
            fn look_up(library: *mut c_void) -> Result<Hooks, String> {
                Ok(Hooks {
                    // SAFETY: the ABI fixes the type of the hook with this name.
                    $($name: unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) $(-> $result)?>(
                            symbol(library, concat!("envoy_dynamic_module_on_", $symbol))?,
                        )
                    },)*
                })
            }
        }

        $($(#[$doc])*
        pub fn $name($($argument: $kind),*) $(-> $result)? {
            let Some(hooks) = HOOKS.get() else { std::process::abort() };
            // SAFETY: the program passes handles and objects only while they are valid.
            unsafe { (hooks.$name)($($argument),*) }
        })*
    };
}

hooks! {
    /// Initializes the module.
    program_init = "program_init" () -> *const c_char;
    /// Loads a configuration.
    config_new = "http_filter_config_new" (config: Handle, name: Buffer, document: Buffer) -> Object;
    /// Destroys a configuration.
    config_destroy = "http_filter_config_destroy" (config: Object);
    /// Reports scheduled work of a configuration.
    config_scheduled = "http_filter_config_scheduled" (config: Handle, module: Object, event: u64);
    /// Reports the end of a call.
    config_callout_done = "http_filter_config_http_callout_done"
        (config: Handle, module: Object, call: u64, result: u32, headers: *const Header, count: usize, chunks: *const Buffer, chunk_count: usize);
    /// Creates a stream.
    stream_new = "http_filter_new" (config: Object, stream: Handle) -> Object;
    /// Destroys a stream.
    stream_destroy = "http_filter_destroy" (stream: Object);
    /// Reports the headers of a request.
    request_headers = "http_filter_request_headers" (stream: Handle, module: Object, ended: bool) -> u32;
    /// Reports a part of the body of a request.
    request_body = "http_filter_request_body" (stream: Handle, module: Object, ended: bool) -> u32;
    /// Reports the trailers of a request.
    request_trailers = "http_filter_request_trailers" (stream: Handle, module: Object) -> u32;
    /// Reports the headers of a response.
    response_headers = "http_filter_response_headers" (stream: Handle, module: Object, ended: bool) -> u32;
    /// Reports a part of the body of a response.
    response_body = "http_filter_response_body" (stream: Handle, module: Object, ended: bool) -> u32;
    /// Reports the trailers of a response.
    response_trailers = "http_filter_response_trailers" (stream: Handle, module: Object) -> u32;
    /// Reports a local reply.
    local_reply = "http_filter_local_reply" (stream: Handle, module: Object, status: u32, details: Buffer, reset: bool) -> u32;
    /// Reports the end of a stream.
    stream_complete = "http_filter_stream_complete" (stream: Handle, module: Object);
    /// Reports scheduled work of a stream.
    scheduled = "http_filter_scheduled" (stream: Handle, module: Object, event: u64);
    /// Reports that the client reads too slowly.
    above_watermark = "http_filter_downstream_above_write_buffer_high_watermark" (stream: Handle, module: Object);
    /// Reports that the client reads again.
    below_watermark = "http_filter_downstream_below_write_buffer_low_watermark" (stream: Handle, module: Object);
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Loads a module.
///
/// # Errors
/// Returns an error if the file cannot be loaded, lacks a hook, or refuses this program.
pub fn load(path: &str) -> Result<(), String> {
    let name = CString::new(path).map_err(|error| error.to_string())?;
    // SAFETY: the name ends with NUL. The flags are those of Envoy 1.40: RTLD_NOW and RTLD_NODELETE (bits/dlfcn.h).
    let library = unsafe { dlopen(name.as_ptr(), 0x2 | 0x1000) };
    if library.is_null() {
        return Err(format!("{path} cannot be loaded: {}", last_error()));
    }
    HOOKS.set(Hooks::look_up(library)?).map_err(|_| "a module is loaded already".to_string())?;
    if program_init().is_null() { Err(format!("{path} refuses this program")) } else { Ok(()) }
}

fn symbol(library: *mut c_void, name: &str) -> Result<*mut c_void, String> {
    let text = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the library is loaded, and the name ends with NUL.
    let found = unsafe { dlsym(library, text.as_ptr()) };
    if found.is_null() { Err(format!("the module has no hook {name}")) } else { Ok(found) }
}

fn last_error() -> String {
    // SAFETY: dlerror returns null or a string that is valid until the next call of this thread.
    unsafe {
        let text = dlerror();
        if text.is_null() { String::new() } else { std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}
