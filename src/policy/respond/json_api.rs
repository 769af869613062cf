//! JSON:API 1.1: turns the JSON of an upstream into a JSON:API document, by a mapping that the route declares.
//!
//! The specification is <https://jsonapi.org/format/1.1/>. This component performs no I/O and imports only the JSON parser.
//!
//! It reads the body once into an [`Outline`](crate::strict_json::Outline) and copies values as written, so numbers and strings
//! do not change. For every body, [`map_document`] returns a valid document or a [`MappingFault`].
//!
//! - Some members of an item do not become attributes: `id`, `type`, `links` and `relationships`, members with the name of a
//!   relationship, members that contain an id, and members that the mapping omits. JSON:API 1.1 reserves `id`, `type` and the
//!   names of relationships (section Fields). Version 1.0 and many clients also reserve `links` and `relationships`.
//! - Any other member name that JSON:API does not allow is a fault, at any depth. To avoid the fault, the mapping can omit the
//!   item's member that has or contains such a name. The component does not omit it by itself, because the client would take
//!   incomplete data for complete data.
//! - Two resources with the same id are a fault, and so are two equal ids in one to-many relationship.
//!
//! ```
//! use portcullis::policy::respond::json_api::{Mapping, MemberName, map_document};
//! use portcullis::strict_json::pointer::Pointer;
//!
//! let mapping = Mapping {
//!     data: Some(Pointer::parse("/items")?),
//!     omit: vec!["_etag".to_string()],
//!     ..Mapping::new(MemberName::parse("orders")?, Pointer::parse("/no")?)
//! };
//! let document = map_document(&mapping, br#"{"items":[{"no":7,"total":1.10,"_etag":"x"}]}"#, "/orders", usize::MAX);
//! assert_eq!(
//!     String::from_utf8_lossy(&document.unwrap()),
//!     r#"{"jsonapi":{"version":"1.1"},"data":[{"type":"orders","id":"7","attributes":{"total":1.10}}]}"#
//! );
//! # Ok::<(), String>(())
//! ```

mod document;
mod error;
mod fault;
mod identifier;
mod name;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;
mod reason;
#[cfg(test)]
mod tests;
mod uri;

use std::collections::BTreeMap;

use crate::strict_json::pointer::Pointer;

pub use document::map_document;
pub use error::map_error;
pub use fault::MappingFault;
pub use name::{FieldName, MemberName};

/// How the JSON of an upstream becomes a JSON:API document. Every mapping yields valid documents: its types exclude invalid and
/// repeated names.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The `type` of each resource.
    pub resource_type: MemberName,
    /// The location of the id in each item: a string, or an integer, which becomes a string.
    pub id: Pointer,
    /// The part of the body that becomes `data`: an object or a list. `None` means the whole body.
    pub data: Option<Pointer>,
    /// The members of an item that do not become attributes.
    pub omit: Vec<String>,
    /// The relationships of each resource.
    pub relationships: BTreeMap<FieldName, Relationship>,
    /// The members of the top-level `meta` object, with their locations in the body. Absent values are left out.
    pub meta: BTreeMap<MemberName, Pointer>,
    /// The top-level links of the document.
    pub links: Links,
}

/// A relationship from each resource to other resources.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// The `type` of the related resources.
    pub resource_type: MemberName,
    /// The location of the id in the item. A list of ids makes a to-many relationship. `null` and an absent value make an empty
    /// to-one relationship.
    pub id: Pointer,
}

/// The top-level links of the JSON:API document. Each location refers to a string or `null` in the upstream's body; if it refers
/// to nothing, the link is left out. The pagination links appear only if `data` is a list.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Whether the JSON:API document has a `self` link, which is the target of the request.
    pub self_link: bool,
    /// The location of the link to the first page.
    pub first: Option<Pointer>,
    /// The location of the link to the last page.
    pub last: Option<Pointer>,
    /// The location of the link to the previous page.
    pub prev: Option<Pointer>,
    /// The location of the link to the next page.
    pub next: Option<Pointer>,
}

impl Mapping {
    /// Creates a mapping of the whole body without relationships, `meta` and links.
    pub fn new(resource_type: MemberName, id: Pointer) -> Mapping {
        Mapping {
            resource_type,
            id,
            data: None,
            omit: Vec::new(),
            relationships: BTreeMap::new(),
            meta: BTreeMap::new(),
            links: Links::default(),
        }
    }
}
