//! Reads `jsonapi`: how a route converts the JSON body of its upstream to a JSON:API document.

use std::collections::BTreeSet;

use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::{jsonapi as key, jsonapi_links};

/// Whether this build can convert response bodies. `portcullis.wasm` cannot, because Envoy would pass the body of every response
/// to a module that can.
pub const MAPS_RESPONSES: bool = cfg!(any(feature = "response-body", not(target_os = "wasi")));

/// The `jsonapi` section of a route.
#[derive(Clone, Debug)]
pub struct JsonApiSettings {
    /// The `type` of each resource; `None` if it has a problem.
    pub resource_type: Option<At<String>>,
    /// The JSON Pointer to the id in each item.
    pub id: At<String>,
    /// The JSON Pointer to the object or the list of items in the body; `None` means the whole body.
    pub data: Option<At<String>>,
    /// The members of an item that do not become attributes of the resource.
    pub omit: Vec<At<String>>,
    /// The relationships of each resource.
    pub relationships: Vec<RelationshipSettings>,
    /// The members of `meta`, each with the JSON Pointer to its value in the body; `None` if the pointer has a problem.
    pub meta: Vec<(At<String>, Option<At<String>>)>,
    /// The top-level links.
    pub links: LinkSettings,
    /// The maximum size in bytes, both of the upstream's body and of the JSON:API document.
    pub max_bytes: usize,
    /// Whether the body of an error response becomes the `detail` of the JSON:API error.
    pub error_detail: bool,
}

/// A relationship from each resource to other resources. A setting with a problem is `None`.
#[derive(Clone, Debug)]
pub struct RelationshipSettings {
    /// The name of the relationship.
    pub name: At<String>,
    /// The `type` of the related resources.
    pub resource_type: Option<At<String>>,
    /// The JSON Pointer to the id, or the list of ids, in each item.
    pub id: Option<At<String>>,
}

/// The top-level links of a JSON:API document. All links except `self` are JSON Pointers into the body of the upstream.
#[derive(Clone, Debug, Default)]
pub struct LinkSettings {
    /// Whether the document has the link `self`, to the target of the request.
    pub self_link: bool,
    /// The link to the first page.
    pub first: Option<At<String>>,
    /// The link to the last page.
    pub last: Option<At<String>>,
    /// The link to the previous page.
    pub prev: Option<At<String>>,
    /// The link to the next page.
    pub next: Option<At<String>>,
}

impl JsonApiSettings {
    /// Reads the `jsonapi` section of a route.
    pub(super) fn read(field: &Field<'_>) -> Option<JsonApiSettings> {
        if !MAPS_RESPONSES {
            field.problem("`jsonapi` needs the full module: load `portcullis-full.wasm` instead of `portcullis.wasm`");
            return None;
        }
        let fields = field.fields()?;
        let settings = JsonApiSettings {
            resource_type: fields.require("type").and_then(|f| f.text_at()),
            id: text(&fields, key::ID.name)
                .unwrap_or_else(|| At { value: key::ID.default.to_string(), place: fields.place().clone() }),
            data: text(&fields, "data"),
            omit: fields.get("omit").map(|f| read_omitted(&f)).unwrap_or_default(),
            relationships: fields.get("relationships").map(|f| read_relationships(&f)).unwrap_or_default(),
            meta: fields.get("meta").map(|f| read_meta(&f)).unwrap_or_default(),
            links: fields.get("links").and_then(|f| LinkSettings::read(&f)).unwrap_or_default(),
            max_bytes: fields.size(&key::MAX_BYTES),
            error_detail: fields.flag(&key::ERROR_DETAIL),
        };
        fields.finish();
        Some(settings)
    }
}

impl LinkSettings {
    fn read(field: &Field<'_>) -> Option<LinkSettings> {
        let fields = field.fields()?;
        let links = LinkSettings {
            self_link: fields.flag(&jsonapi_links::SELF),
            first: text(&fields, "first"),
            last: text(&fields, "last"),
            prev: text(&fields, "prev"),
            next: text(&fields, "next"),
        };
        fields.finish();
        Some(links)
    }
}

fn read_omitted(field: &Field<'_>) -> Vec<At<String>> {
    let names = field.texts();
    let mut known = BTreeSet::new();
    for name in &names {
        if !known.insert(&name.value) {
            field.problem_at(&name.place, format!("`{}` is listed twice", name.value));
        }
    }
    names
}

/// Reads the relationships. If the settings of a relationship have problems, its name is kept, so that the policy compiler can
/// check the name too.
fn read_relationships(field: &Field<'_>) -> Vec<RelationshipSettings> {
    let read = |(name, field): (At<String>, Field<'_>)| {
        let Some(fields) = field.fields() else { return RelationshipSettings { name, resource_type: None, id: None } };
        let resource_type = fields.require("type").and_then(|f| f.text_at());
        let id = fields.require("id").and_then(|f| f.text_at());
        fields.finish();
        RelationshipSettings { name, resource_type, id }
    };
    field.entries().into_iter().map(read).collect()
}

fn read_meta(field: &Field<'_>) -> Vec<(At<String>, Option<At<String>>)> {
    field.entries().into_iter().map(|(name, value)| (name, value.text_at())).collect()
}

fn text(fields: &Fields<'_>, key: &'static str) -> Option<At<String>> {
    fields.get(key).and_then(|f| f.text_at())
}
