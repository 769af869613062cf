//! Writes the document for a response of the upstream: links, resources and `meta`.

use super::fault::{MappingFault, described};
use super::identifier::{ResourceId, UniqueIds};
use super::name::{RESERVED, is_member_name};
use super::uri::{push_reference, push_target};
use super::{Mapping, Relationship};
use crate::strict_json;
use crate::strict_json::pointer::Pointer;
use crate::strict_json::{Bounds, JsonKind, JsonRef, MAX_DEPTH};

/// Maps a body to a JSON:API document. `self_target` is the target of the request as the client sent it.
///
/// The caller bounds the size of the body. The memory grows linearly with this size: on a 32-bit machine, the parsed body
/// (`Outline`) needs at most 24 bytes for each byte of the body. A document can be several times longer than the body, because
/// each resource repeats the names of the mapping. Therefore, the document has its own bound, `max_bytes`.
///
/// # Errors
/// Returns the reason why the body cannot become a valid document.
pub fn map_document(
    mapping: &Mapping,
    body: &[u8],
    self_target: &str,
    max_bytes: usize,
) -> Result<Vec<u8>, MappingFault> {
    let bounds = Bounds { depth: MAX_DEPTH, values: usize::MAX };
    let outline = strict_json::outline(body, bounds).map_err(MappingFault::Malformed)?;
    let root = outline.root();
    let data = match &mapping.data {
        None => root,
        Some(pointer) => root.find(pointer).ok_or_else(|| MappingFault::DataMissing(pointer.to_string()))?,
    };
    let capacity = body.len().saturating_mul(2).min(max_bytes);
    let mut writer =
        DocumentWriter { mapping, left_out: left_out(mapping), out: String::with_capacity(capacity), max_bytes };
    writer.out.push_str("{\"jsonapi\":{\"version\":\"1.1\"}");
    writer.links(root, data.kind() == JsonKind::List, self_target)?;
    writer.out.push_str(",\"data\":");
    writer.data(data)?;
    writer.meta(root)?;
    writer.out.push('}');
    writer.check_size()?;
    Ok(writer.out.into_bytes())
}

/// Returns the sorted names of the members that do not become attributes.
fn left_out(mapping: &Mapping) -> Vec<&str> {
    let relationships = mapping.relationships.iter();
    let named = relationships.clone().map(|(name, _)| name.as_str());
    let located = relationships.map(|(_, relationship)| &relationship.id).chain([&mapping.id]);
    let located = located.filter_map(|pointer| pointer.segments().first().map(String::as_str));
    let omitted = mapping.omit.iter().map(String::as_str);
    let mut names: Vec<&str> = RESERVED.into_iter().chain(named).chain(located).chain(omitted).collect();
    names.sort_unstable();
    names
}

struct DocumentWriter<'m> {
    mapping: &'m Mapping,
    left_out: Vec<&'m str>,
    out: String,
    max_bytes: usize,
}

impl DocumentWriter<'_> {
    fn links(&mut self, root: JsonRef<'_, '_>, is_list: bool, self_target: &str) -> Result<(), MappingFault> {
        let links = &self.mapping.links;
        let mut separator = ",\"links\":{";
        if links.self_link {
            self.all(&[separator, "\"self\":\""]);
            push_target(&mut self.out, self_target);
            self.out.push('"');
            separator = ",";
        }
        // JSON:API has pagination links only for collections (section "Pagination").
        let pages = [("first", &links.first), ("last", &links.last), ("prev", &links.prev), ("next", &links.next)];
        for (name, pointer) in pages.into_iter().filter(|_| is_list) {
            let Some(link) = pointer.as_ref().and_then(|pointer| root.find(pointer)) else { continue };
            self.all(&[separator, "\"", name, "\":"]);
            separator = ",";
            match link.string() {
                None if link.kind() != JsonKind::Null => {
                    return Err(MappingFault::BadLink(link.pointer(), described(link)));
                }
                // An empty string would be a link to this document itself. Upstreams use it for a page that does not exist, so it
                // becomes `null`.
                None => self.out.push_str("null"),
                Some(text) if text.is_empty() => self.out.push_str("null"),
                Some(text) => {
                    self.out.push('"');
                    push_reference(&mut self.out, &text);
                    self.out.push('"');
                }
            }
        }
        if separator == "," {
            self.out.push('}');
        }
        Ok(())
    }

    fn data(&mut self, data: JsonRef<'_, '_>) -> Result<(), MappingFault> {
        match data.kind() {
            JsonKind::Null => self.out.push_str("null"),
            JsonKind::Object => {
                self.resource(data)?;
            }
            JsonKind::List => {
                let mut ids = UniqueIds::default();
                self.out.push('[');
                for (index, item) in data.items().enumerate() {
                    if item.kind() != JsonKind::Object {
                        return Err(MappingFault::NotAnObject(item.pointer(), described(item)));
                    }
                    self.all(&[if index == 0 { "" } else { "," }]);
                    ids.add(self.resource(item)?);
                    self.check_size()?;
                }
                self.out.push(']');
                if let Some(item) = ids.repeated().and_then(|index| data.items().nth(index)) {
                    return Err(MappingFault::RepeatedId(located(item, &self.mapping.id)));
                }
            }
            _ => return Err(MappingFault::NotResources(data.pointer(), described(data))),
        }
        Ok(())
    }

    fn resource<'t>(&mut self, item: JsonRef<'_, 't>) -> Result<ResourceId<'t>, MappingFault> {
        let mapping = self.mapping;
        let id = item.find(&mapping.id).ok_or_else(|| MappingFault::BadId(located(item, &mapping.id), "nothing"))?;
        let id = ResourceId::read(id)?;
        self.identifier(mapping.resource_type.as_str(), &id);
        self.out.push_str(",\"attributes\":{");
        let mut separator = "";
        for (name, value) in item.members() {
            let is_left_out = name.string().is_some_and(|name| self.left_out.binary_search(&&*name).is_ok());
            if is_left_out {
                continue;
            }
            check_name(name)?;
            self.all(&[separator, name.text(), ":"]);
            self.copy(value)?;
            separator = ",";
        }
        self.out.push('}');
        let mut separator = ",\"relationships\":{\"";
        for (name, relationship) in &mapping.relationships {
            self.all(&[separator, name.as_str(), "\":{\"data\":"]);
            self.linkage(item, relationship)?;
            self.out.push('}');
            separator = ",\"";
        }
        self.out.push_str(if separator == ",\"" { "}}" } else { "}" });
        Ok(id)
    }

    fn linkage(&mut self, item: JsonRef<'_, '_>, relationship: &Relationship) -> Result<(), MappingFault> {
        let resource_type = relationship.resource_type.as_str();
        let Some(related) = item.find(&relationship.id).filter(|related| related.kind() != JsonKind::Null) else {
            self.out.push_str("null");
            return Ok(());
        };
        if related.kind() != JsonKind::List {
            let id = ResourceId::read(related)?;
            self.identifier(resource_type, &id);
            self.out.push('}');
            return Ok(());
        }
        let mut ids = UniqueIds::default();
        self.out.push('[');
        for (index, id) in related.items().enumerate() {
            let id = ResourceId::read(id)?;
            self.all(&[if index == 0 { "" } else { "," }]);
            self.identifier(resource_type, &id);
            self.out.push('}');
            self.check_size()?;
            ids.add(id);
        }
        self.out.push(']');
        let repeated = ids.repeated().and_then(|index| related.items().nth(index));
        repeated.map_or(Ok(()), |id| Err(MappingFault::RepeatedId(id.pointer())))
    }

    fn meta(&mut self, root: JsonRef<'_, '_>) -> Result<(), MappingFault> {
        let mut separator = ",\"meta\":{\"";
        for (name, pointer) in &self.mapping.meta {
            let Some(value) = root.find(pointer) else { continue };
            self.all(&[separator, name.as_str(), "\":"]);
            self.copy(value)?;
            separator = ",\"";
        }
        if separator == ",\"" {
            self.out.push('}');
        }
        Ok(())
    }

    /// Appends the start of an object with `type` and `id`, without its closing brace.
    fn identifier(&mut self, resource_type: &str, id: &ResourceId<'_>) {
        self.all(&["{\"type\":\"", resource_type, "\",\"id\":"]);
        id.write(&mut self.out);
    }

    /// Appends a value as written.
    fn copy(&mut self, value: JsonRef<'_, '_>) -> Result<(), MappingFault> {
        value.names().try_for_each(check_name)?;
        self.out.push_str(value.text());
        Ok(())
    }

    /// Checks the size of the document so far. Between two checks, the document grows at most by one resource.
    fn check_size(&self) -> Result<(), MappingFault> {
        if self.out.len() > self.max_bytes { Err(MappingFault::TooLarge) } else { Ok(()) }
    }

    fn all(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }
}

fn check_name(name: JsonRef<'_, '_>) -> Result<(), MappingFault> {
    if name.string().is_some_and(|name| is_member_name(&name)) {
        return Ok(());
    }
    Err(MappingFault::BadName(name.pointer()))
}

/// Returns the pointer from the body to a location in an item.
fn located(item: JsonRef<'_, '_>, pointer: &Pointer) -> String {
    format!("{}{pointer}", item.pointer())
}
