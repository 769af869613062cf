//! Reports plugin configurations and manifests with which the filter gets no bodies or lacks a feature of its document.

use std::path::Path;

use crate::cli::documents::{Carrier, DynamicModuleSettings, ManifestKind};
use crate::cli::gateway::GatewayFile;
use crate::cli::module::Module;
use crate::config::problem::{Place, Problem};

/// Returns the problems of the plugin configuration that contains this document. Other carriers have no such problems.
pub fn problems(carrier: &Carrier, gateway: &GatewayFile) -> Vec<Problem> {
    let plugin = match carrier {
        Carrier::Plugin(plugin) => plugin,
        Carrier::DynamicModule(module) => return of_dynamic_module(module),
        Carrier::File | Carrier::Manifest(..) => return Vec::new(),
    };
    let mut problems = Vec::new();
    if !plugin.passes_held_bodies.value
        && let Some(bodies) = held_bodies(gateway)
    {
        let message = format!(
            "must be `true`: the document needs {bodies}, and without this setting Envoy does not pass them to the filter"
        );
        problems.push(Problem { place: plugin.passes_held_bodies.place.clone(), message });
    }
    if let (Some(module), Some(reason)) = (&plugin.module, Module::reason(&gateway.document))
        && Path::new(&module.value).file_name().is_some_and(|name| name == Module::Plain.file())
    {
        let message = format!(
            "`{}` cannot run this document: it has {reason}, which only {} contains",
            module.value,
            Module::Full.file()
        );
        problems.push(Problem { place: module.place.clone(), message });
    }
    problems
}

fn of_dynamic_module(module: &DynamicModuleSettings) -> Vec<Problem> {
    let remote = module.remote.clone().map(|place| Problem {
        place,
        message: "must be `local`: while Envoy cannot fetch a remote module, it forwards requests without the filter"
            .to_string(),
    });
    let unloaded = (!module.stays_loaded.value).then(|| Problem {
        place: module.stays_loaded.place.clone(),
        message: "must be `true`: the module has a thread, so Envoy crashes if it unloads the module".to_string(),
    });
    remote.into_iter().chain(unloaded).collect()
}

/// Returns a note if the document is in a manifest and needs request or response bodies. Envoy does not pass these bodies to a
/// filter that a manifest configures.
pub fn note(carrier: &Carrier, gateway: &GatewayFile) -> Option<(Place, String)> {
    let Carrier::Manifest(kind, place) = carrier else { return None };
    let bodies = held_bodies(gateway)?;
    let (kind, remedy) = match kind {
        ManifestKind::WasmPlugin => ("WasmPlugin", "add the filter with an `EnvoyFilter` instead"),
        ManifestKind::EnvoyExtensionPolicy => ("EnvoyExtensionPolicy", "set it with an `EnvoyPatchPolicy`"),
    };
    let note = format!(
        "a `{kind}` cannot set `allow_on_headers_stop_iteration: true`, and without it the filter does not receive {bodies}: {remedy}"
    );
    Some((place.clone(), note))
}

/// Returns a phrase for the bodies that the filter must read to run this document; `None` if the filter reads no bodies.
fn held_bodies(gateway: &GatewayFile) -> Option<&'static str> {
    let rules = || gateway.policy.routes().iter().map(|(_, rule)| rule);
    gateway.policy.largest_buffered_body()?;
    match rules().any(|rule| rule.mapped_body().is_some()) {
        true if rules().any(|rule| rule.held_body().is_some()) => {
            Some("request bodies for `checks` and response bodies for `jsonapi`")
        }
        true => Some("response bodies for `jsonapi`"),
        // Without `jsonapi`, only `checks` need bodies. `rules` is not searched for them, because `checks` also apply to public
        // paths, which `rules` does not contain.
        false => Some("request bodies for `checks`"),
    }
}
