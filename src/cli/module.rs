//! The two modules of the filter: a small one, and one with JSON Schema and JSON:API, which Envoy loads more slowly.

use crate::config::document::Document;

/// The module of the filter that a document needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The module without JSON Schema and JSON:API responses.
    Plain,
    /// The module with JSON Schema and JSON:API responses.
    Full,
}

impl Module {
    /// Returns the smallest module with all features that the document uses.
    pub fn needed(document: &Document) -> Module {
        if Module::reason(document).is_some() { Module::Full } else { Module::Plain }
    }

    /// Returns the features of the document that only the full module has; `None` if there are none.
    pub fn reason(document: &Document) -> Option<&'static str> {
        let on_routes = document.routes.iter().filter_map(|route| route.checks.as_ref()?.as_ref());
        let mut checks = document.checks.iter().chain(on_routes);
        let in_checks = checks.any(|checks| checks.json.as_ref().is_some_and(|json| json.schema.is_some()));
        let uses_schema = in_checks || !document.schemas.is_empty();
        let maps_responses = document.routes.iter().any(|route| route.json_api.is_some());
        match (uses_schema, maps_responses) {
            (true, true) => Some("JSON Schemas and `jsonapi`"),
            (true, false) => Some("JSON Schemas"),
            (false, true) => Some("`jsonapi`"),
            (false, false) => None,
        }
    }

    /// Returns the file name of the module.
    pub fn file(self) -> &'static str {
        match self {
            Module::Plain => "portcullis.wasm",
            Module::Full => "portcullis-full.wasm",
        }
    }

    /// Returns the path of this module in the directory of the small module at `plain`. Returns `None` if `plain` does not have
    /// the file name of the small module.
    pub fn beside(self, plain: &str) -> Option<String> {
        plain.strip_suffix(Module::Plain.file()).map(|folder| format!("{folder}{}", self.file()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::Node;
    use serde_json::json;

    #[test]
    fn the_full_module_is_needed_only_for_schemas_and_response_bodies() {
        let own = json!({ "json": { "schema": true } });
        for (document, needed) in [
            (json!({}), Module::Plain),
            (json!({ "checks": { "json": {} } }), Module::Plain),
            (json!({ "checks": own }), Module::Full),
            (json!({ "routes": [{ "path": "/a", "checks": own }] }), Module::Full),
            (json!({ "routes": [{ "path": "/a", "checks": false }] }), Module::Plain),
            (json!({ "schemas": { "a": true } }), Module::Full),
            (json!({ "routes": [{ "path": "/a", "jsonapi": { "type": "t" } }] }), Module::Full),
        ] {
            let (read, _) = Document::read(&Node::from(document.clone()), &|_| None);
            assert_eq!(Module::needed(&read), needed, "{document}");
        }
    }

    #[test]
    fn both_modules_are_in_the_same_directory() {
        assert_eq!(Module::Full.beside("dist/portcullis.wasm").as_deref(), Some("dist/portcullis-full.wasm"));
        assert_eq!(Module::Plain.beside("/etc/portcullis.wasm").as_deref(), Some("/etc/portcullis.wasm"));
        assert_eq!(Module::Full.beside("/etc/gateway.wasm"), None);
    }
}
