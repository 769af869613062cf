//! Generates the filter's entry in `http_filters`: a wasm module or a dynamic module, configured with the gateway document.

use serde_json::{Value, json};

use super::{EmbeddedForm, EnvoyOptions, FilterHost};
use crate::cli::gateway::GatewayFile;
use crate::cli::module::Module;
use crate::config::document::{Document, IssuerKeySettings};

/// The name of the filter's entry. Envoy also records this name as the owner of the filter's local replies.
pub const FILTER: &str = "portcullis";

/// Returns the entry for `http_filters`.
pub fn entry(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    match options.host {
        FilterHost::Wasm => wasm(gateway, options),
        FilterHost::DynamicModule => dynamic_module(gateway, options),
    }
}

fn dynamic_module(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    json!({
        "name": FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {
                // The module is a local file. If Envoy could not fetch a remote module, requests would pass without the filter.
                "module": { "local": { "filename": options.dynamic_module } },
                // The module starts a thread, so Envoy must not unload it.
                "do_not_close": true,
            },
            // Filters with the same name share data. The port distinguishes two gateways in one Envoy.
            "filter_name": format!("{FILTER}-{}", options.port),
            "filter_config": embedded(&gateway.configuration, options.embed),
        },
    })
}

fn wasm(gateway: &GatewayFile, options: &EnvoyOptions) -> Value {
    let module = Module::needed(&gateway.document).beside(&options.wasm);
    let mut machine = json!({
        "code": { "local": { "filename": module.as_ref().unwrap_or(&options.wasm) } },
        "runtime": "envoy.wasm.runtime.v8",
        // VMs with the same vm_id share data (envoy-facts §2.14). The port distinguishes two gateways in one Envoy.
        "vm_id": format!("{FILTER}-{}", options.port),
    });
    let variables = secrets(&gateway.document);
    if let (false, Some(members)) = (variables.is_empty(), machine.as_object_mut()) {
        members.insert("environment_variables".to_string(), json!({ "host_env_keys": variables }));
    }
    json!({
        "name": FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": FILTER,
                "root_id": FILTER,
                // With this setting, the filter receives the body while Envoy holds the headers. Without it, Envoy buffers the
                // body and does not pass it to the filter (envoy-facts §2.7).
                "allow_on_headers_stop_iteration": gateway.policy.largest_buffered_body().is_some(),
                "configuration": embedded(&gateway.configuration, options.embed),
                "failure_policy": "FAIL_RELOAD",
                // If the interval is less than two milliseconds, Envoy divides by zero at the first reload (envoy-facts §0.5).
                "reload_config": { "backoff": { "base_interval": "1s" } },
                "vm_config": machine,
            },
        },
    })
}

/// Returns the document as the `configuration` of the plugin.
fn embedded(configuration: &Value, form: EmbeddedForm) -> Value {
    let (kind, value) = match form {
        EmbeddedForm::Json => ("StringValue", Value::String(configuration.to_string())),
        EmbeddedForm::Struct => ("Struct", configuration.clone()),
    };
    json!({ "@type": format!("type.googleapis.com/google.protobuf.{kind}"), "value": value })
}

/// Returns the names of the variables for secrets, sorted and without duplicates. The values are not in the configuration, but in
/// Envoy's environment.
pub fn secrets(document: &Document) -> Vec<&str> {
    let mut names: Vec<&str> = document
        .issuers
        .iter()
        .filter_map(|issuer| match &issuer.keys.value {
            IssuerKeySettings::Secret { env } => Some(env.as_str()),
            IssuerKeySettings::Jwks(_) | IssuerKeySettings::Inline(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
