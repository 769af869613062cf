//! Recognizes the files of other tools that users try to import, so that the error can name the format.

use crate::config::node::{Node, Value};

/// Returns the reason why a file cannot be imported; `None` if the file might be in a supported format.
pub fn refusal(root: &Node) -> Option<String> {
    let has = |key: &str| root.get(key).is_some();
    if let Some(what) = open_api(root) {
        return Some(format!("this is an {what}, which import does not support yet; {SUPPORTED}"));
    }
    if let (true, Some(kind)) = (has("apiVersion"), root.get("kind")) {
        let kind = match &kind.value {
            Value::Text(kind) => format!(" of kind `{kind}`"),
            _ => String::new(),
        };
        return Some(format!("this is a Kubernetes manifest{kind}, which import does not support; {SUPPORTED}"));
    }
    let (_, format) = FORMATS.iter().find(|(keys, _)| keys.iter().all(|key| has(key)))?;
    Some(format!("this is {format}, which import does not support; {SUPPORTED}"))
}

/// Recognizes an OpenAPI or Swagger document by its version key, or by a `paths` key that is a mapping.
fn open_api(root: &Node) -> Option<String> {
    for (key, name) in [("openapi", "OpenAPI"), ("swagger", "OpenAPI (Swagger)")] {
        let Some(version) = root.get(key) else { continue };
        return Some(match version.to_json() {
            serde_json::Value::String(version) => format!("{name} {version} document"),
            serde_json::Value::Number(version) => format!("{name} {version} document"),
            _ => format!("{name} document"),
        });
    }
    let is_mapping = root.get("paths").is_some_and(|paths| matches!(paths.value, Value::Map(_)));
    is_mapping.then(|| "OpenAPI document (its `paths` is a mapping)".to_string())
}

/// The list of supported formats at the end of each message.
pub const SUPPORTED: &str =
    "import reads a serverless gateway's JSON (`paths` is a list) and a routes.yaml (`routes` with `proxy_upstream`)";

/// Lists of keys, each with the name of a format. A file has this format if it has all keys of the list. The first match is
/// reported, so the more specific formats come first.
const FORMATS: [(&[&str], &str); 28] = [
    (&["_format_version"], "a declarative configuration of Kong"),
    (&["endpoints", "version"], "a configuration of KrakenD"),
    (&["static_resources"], "a configuration of Envoy"),
    (&["dynamic_resources"], "a configuration of Envoy"),
    (&["filter_chains"], "a listener of Envoy"),
    (&["virtual_hosts"], "a route configuration of Envoy"),
    (&["resources", "version_info"], "a discovery response of Envoy"),
    (&["resources"], "a list of resources of Envoy"),
    (&["AWSTemplateFormatVersion"], "an AWS CloudFormation template"),
    (&["Transform", "Resources"], "an AWS SAM template"),
    (&["Resources"], "an AWS CloudFormation template"),
    (&["service", "provider"], "a configuration of the Serverless Framework"),
    (&["functions", "provider"], "a configuration of the Serverless Framework"),
    (&["apiEndpoints"], "a configuration of Express Gateway"),
    (&["listen_path"], "an API definition of Tyk"),
    (&["api_id", "proxy"], "an API definition of Tyk"),
    (&["ReRoutes"], "a configuration of Ocelot"),
    (&["Routes"], "a configuration of Ocelot"),
    (&["ReverseProxy"], "a configuration of YARP"),
    (&["spring"], "a configuration of Spring Cloud Gateway"),
    (&["http"], "a dynamic configuration of Traefik"),
    (&["entryPoints"], "a static configuration of Traefik"),
    (&["apps"], "a configuration of Caddy"),
    (&["asyncapi"], "an AsyncAPI document"),
    (&["info", "item"], "a collection of Postman"),
    (&["binds"], "a configuration of agentgateway"),
    (&["issuers"], "a document of this gateway"),
    (&["upstreams"], "a document of this gateway, or a configuration of APISIX"),
];
