//! The hooks of the module and of its configurations.

#![expect(unsafe_code, reason = "Envoy passes raw pointers; each block explains why it is sound")]

use std::ffi::{c_char, c_void};
use std::panic;
use std::ptr::null;
use std::sync::Arc;

use super::super::main_thread::{self, CalloutResponse};
use super::super::shared_plugin::SharedPlugin;
use super::super::ticker;
use super::abi::{self, Buffer, ConfigPtr, Functions, Header};
use super::hooks::guard;
use super::{EnvoyConfig, bytes, is_validating, log, set_functions};
use crate::gateway::command::Level;

/// Loads the module. Returns the version of the ABI, or null if this Envoy lacks a function.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    match Functions::look_up() {
        Ok(functions) => {
            start(functions);
            abi::VERSION.as_ptr()
        }
        Err(missing) => {
            // Envoy's log needs a function of Envoy, which may be the missing one.
            eprintln!(
                "portcullis: this Envoy has no function envoy_dynamic_module_callback_{missing}; Envoy 1.38 or newer is needed"
            );
            null()
        }
    }
}

/// Sets the functions of Envoy, and logs panics through Envoy. The message of a panic can contain data of a request, so the log
/// contains only its place.
pub fn start(functions: Functions) {
    set_functions(functions);
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log(Level::Error, &format!("the filter panicked at {place}; the request is refused"));
    }));
    log(Level::Info, &format!("portcullis {} is loaded for {}", env!("CARGO_PKG_VERSION"), functions.envoy()));
}

/// Loads a configuration, once for all workers. Returns null if it has a problem (envoy-facts §5.3).
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: ConfigPtr,
    name: Buffer,
    document: Buffer,
) -> *const c_void {
    guard(null(), || {
        // SAFETY: Envoy passes a valid configuration on the main thread, and valid buffers.
        let (config, name, document) = unsafe { (EnvoyConfig::new(config), bytes(&name), bytes(&document)) };
        let is_validating = is_validating();
        let scope = String::from_utf8_lossy(name);
        let Some((plugin, gateway)) = SharedPlugin::configure(config, &scope, document, is_validating) else {
            return null();
        };
        if !is_validating {
            if let Err(error) = ticker::add(&plugin) {
                log(Level::Error, &format!("configuration refused: no thread can be started: {error}"));
                return null();
            }
            main_thread::add(plugin.clone(), gateway);
            plugin.tick();
        }
        Arc::into_raw(plugin).cast()
    })
}

/// Frees a configuration.
///
/// # Safety
/// `plugin` must be the result of [`envoy_dynamic_module_on_http_filter_config_new`], and no other hook may use it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(plugin: *const c_void) {
    guard((), || {
        // SAFETY: the pointer is from `Arc::into_raw`, and Envoy calls this hook once.
        let plugin = unsafe { Arc::from_raw(plugin.cast::<SharedPlugin>()) };
        plugin.close();
        main_thread::remove(&plugin);
    });
}

/// Handles scheduled work on the main thread.
///
/// # Safety
/// `plugin` must be the result of [`envoy_dynamic_module_on_http_filter_config_new`], and `config` its configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    config: ConfigPtr,
    plugin: *const c_void,
    event: u64,
) {
    guard((), || {
        // SAFETY: the caller guarantees that the pointers are valid, and Envoy calls this hook on the main thread.
        let (config, plugin) = unsafe { (EnvoyConfig::new(config), &*plugin.cast::<SharedPlugin>()) };
        main_thread::scheduled(plugin, config, event);
    });
}

/// Handles the end of an outgoing call.
///
/// # Safety
/// `plugin` must be the result of [`envoy_dynamic_module_on_http_filter_config_new`], `config` its configuration, and the arrays
/// must have the given sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    config: ConfigPtr,
    plugin: *const c_void,
    call: u64,
    result: u32,
    headers: *const Header,
    header_count: usize,
    chunks: *const Buffer,
    chunk_count: usize,
) {
    guard((), || {
        // SAFETY: the caller guarantees that the pointers are valid, and Envoy calls this hook on the main thread.
        let (config, plugin) = unsafe { (EnvoyConfig::new(config), &*plugin.cast::<SharedPlugin>()) };
        // SAFETY: the caller guarantees the sizes of the arrays, and their buffers are valid until the hook ends.
        let (headers, chunks) = unsafe { (array(headers, header_count), array(chunks, chunk_count)) };
        // SAFETY: as above.
        let headers: Vec<_> = headers.iter().map(|one| unsafe { (bytes(&one.name), bytes(&one.value)) }).collect();
        // SAFETY: as above.
        let chunks: Vec<_> = chunks.iter().map(|one| unsafe { bytes(one) }).collect();
        let response = CalloutResponse { headers: &headers, body: &chunks };
        let response = (result == abi::CALLOUT_ANSWERED).then_some(response);
        main_thread::call_ended(plugin, config, call, response);
    });
}

/// Returns the items of an array of Envoy.
///
/// # Safety
/// The array must be valid and have this many items, or have no address.
unsafe fn array<'a, T>(items: *const T, count: usize) -> &'a [T] {
    if items.is_null() {
        return &[];
    }
    // SAFETY: the caller guarantees the size of the array.
    unsafe { std::slice::from_raw_parts(items, count) }
}
