//! Compiles the `jsonapi` section of a route.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::json_api::{JsonApiSettings, LinkSettings, MAPS_RESPONSES};
use crate::config::problem::{At, Problems};
use crate::policy::respond::held::ResponseMapping;
use crate::policy::respond::json_api::{FieldName, Links, Mapping, MemberName, Relationship};
use crate::strict_json::pointer::Pointer;

/// Compiles the section. Returns `None` if it has a problem, or if this build of the filter does not map responses.
pub(super) fn compile(section: &JsonApiSettings, problems: &mut Problems) -> Option<Arc<ResponseMapping>> {
    if !MAPS_RESPONSES {
        return None;
    }
    let resource_type = section.resource_type.as_ref().and_then(|at| read(at, MemberName::parse, problems));
    let id = read(&section.id, Pointer::parse, problems);
    let data = section.data.as_ref().map(|at| read(at, Pointer::parse, problems));
    let links = links(&section.links, problems);
    let mut relationships = BTreeMap::new();
    for relationship in &section.relationships {
        let name = read(&relationship.name, FieldName::parse, problems);
        let resource_type = relationship.resource_type.as_ref().and_then(|at| read(at, MemberName::parse, problems));
        let id = relationship.id.as_ref().and_then(|at| read(at, Pointer::parse, problems));
        if let (Some(name), Some(resource_type), Some(id)) = (name, resource_type, id) {
            relationships.insert(name, Relationship { resource_type, id });
        }
    }
    let mut meta = BTreeMap::new();
    for (name, value) in &section.meta {
        let name = read(name, MemberName::parse, problems);
        let value = value.as_ref().and_then(|at| read(at, Pointer::parse, problems));
        if let (Some(name), Some(value)) = (name, value) {
            meta.insert(name, value);
        }
    }
    Some(Arc::new(ResponseMapping {
        mapping: Mapping {
            resource_type: resource_type?,
            id: id?,
            data: match data {
                Some(data) => Some(data?),
                None => None,
            },
            omit: section.omit.iter().map(|at| at.value.clone()).collect(),
            relationships,
            meta,
            links,
        },
        max_bytes: section.max_bytes,
        error_detail: section.error_detail,
    }))
}

fn links(section: &LinkSettings, problems: &mut Problems) -> Links {
    let mut pointer = |at: &Option<At<String>>| read(at.as_ref()?, Pointer::parse, problems);
    Links {
        self_link: section.self_link,
        first: pointer(&section.first),
        last: pointer(&section.last),
        prev: pointer(&section.prev),
        next: pointer(&section.next),
    }
}

/// Parses a value. Adds a problem and returns `None` if it is not valid.
fn read<T>(at: &At<String>, parse: impl Fn(&str) -> Result<T, String>, problems: &mut Problems) -> Option<T> {
    parse(&at.value).map_err(|fault| problems.add(&at.place, fault)).ok()
}
