//! The filter's two modules: the smaller one, and the one with JSON Schema, which Envoy takes longer to start with.

use crate::config::document::Document;

/// Which module a document needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// All but JSON Schema.
    Plain,
    /// With JSON Schema.
    Full,
}

impl Module {
    /// The smallest that has what the document uses.
    pub fn needed(document: &Document) -> Module {
        let on_routes = document.routes.iter().filter_map(|route| route.checks.as_ref()?.as_ref());
        let mut checks = document.checks.iter().chain(on_routes);
        let uses_schema = checks.any(|checks| checks.json.as_ref().is_some_and(|json| json.schema.is_some()));
        if uses_schema || !document.schemas.is_empty() { Module::Full } else { Module::Plain }
    }

    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Module::Plain => "portcullis.wasm",
            Module::Full => "portcullis-full.wasm",
        }
    }

    /// Where it lies when `plain` is where the smaller one does; none when that is somewhere else than under its name.
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
    fn the_fuller_module_is_needed_for_schemas_only() {
        let own = json!({ "json": { "schema": true } });
        for (document, needed) in [
            (json!({}), Module::Plain),
            (json!({ "checks": { "json": {} } }), Module::Plain),
            (json!({ "checks": own }), Module::Full),
            (json!({ "routes": [{ "path": "/a", "checks": own }] }), Module::Full),
            (json!({ "routes": [{ "path": "/a", "checks": false }] }), Module::Plain),
            (json!({ "schemas": { "a": true } }), Module::Full),
        ] {
            let (read, _) = Document::read(&Node::from(document.clone()), &|_| None);
            assert_eq!(Module::needed(&read), needed, "{document}");
        }
    }

    #[test]
    fn both_modules_lie_side_by_side() {
        assert_eq!(Module::Full.beside("dist/portcullis.wasm").as_deref(), Some("dist/portcullis-full.wasm"));
        assert_eq!(Module::Plain.beside("/etc/portcullis.wasm").as_deref(), Some("/etc/portcullis.wasm"));
        assert_eq!(Module::Full.beside("/etc/gateway.wasm"), None);
    }
}
