//! Stores the schemas of a configuration by address, and resolves the references between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::dialect;
use super::dialect::Vocabularies;
use super::pointer::{is_inside, subschemas};
use super::reference::{resolve, split, unescape};
use crate::strict_json::pointer;
use crate::strict_json::schema_types::{NearMiss, SchemaFault};

/// The schemas of a configuration. References can lead only to these schemas and to the standard metaschemas.
#[derive(Debug)]
pub struct Library {
    near_miss: NearMiss,
    documents: Vec<Arc<Value>>,
    pub(super) addresses: Vec<String>,
    resources: Vec<Resource>,
    by_address: BTreeMap<String, usize>,
    faults: Vec<(usize, String, String)>,
    has_standard: bool,
}

/// A schema resource: a schema with its own address (Core §4.3.5).
#[derive(Debug)]
struct Resource {
    document: usize,
    pointer: String,
    address: String,
    anchors: BTreeMap<String, Anchor>,
}

#[derive(Debug)]
struct Anchor {
    pointer: String,
    is_dynamic: bool,
}

#[derive(Debug)]
pub(super) struct ReferenceTarget {
    pub document: usize,
    pub pointer: String,
    /// The name of the anchor, if the reference leads to a dynamic anchor. The target of a `$dynamicRef` can then be in another
    /// resource.
    pub dynamic: Option<String>,
}

impl Library {
    /// Creates an empty library. Error messages use `near_miss` to suggest the names of schemas.
    pub fn new(near_miss: NearMiss) -> Library {
        Library {
            near_miss,
            documents: Vec::new(),
            addresses: Vec::new(),
            resources: Vec::new(),
            by_address: BTreeMap::new(),
            faults: Vec::new(),
            has_standard: false,
        }
    }

    /// Adds a schema under an address. If its addresses or anchors have faults, [`Library::compile`] reports them for every
    /// schema that refers to this schema.
    pub fn add(&mut self, address: &str, document: Value) {
        let number = self.documents.len();
        let document = Arc::new(document);
        self.documents.push(document.clone());
        self.addresses.push(address.to_string());
        let root = self.resource(number, "", address.to_string());
        let mut pending = vec![(String::new(), root)];
        while let Some((pointer, outer)) = pending.pop() {
            let Some(schema) = pointer::find(&document, &pointer) else { continue };
            let text = |name: &str| schema.get(name).and_then(Value::as_str);
            let base = self.resources.get(outer).map(|resource| resource.address.clone()).unwrap_or_default();
            let resource = match text("$id").map(|id| resolve(&base, split(id).0)) {
                Some(address) if address != base => self.resource(number, &pointer, address),
                _ => outer,
            };
            for (name, is_dynamic) in [("$anchor", false), ("$dynamicAnchor", true)] {
                let Some(anchor) = text(name) else { continue };
                let Some(resource) = self.resources.get_mut(resource) else { continue };
                let entry = Anchor { pointer: pointer.clone(), is_dynamic };
                let before = resource.anchors.insert(anchor.to_string(), entry);
                if before.is_some_and(|before| before.pointer != pointer) {
                    let message = format!("the anchor `{anchor}` is declared twice in one schema");
                    self.faults.push((number, format!("{pointer}/{name}"), message));
                }
            }
            pending.extend(subschemas(schema).into_iter().map(|(way, _)| (format!("{pointer}{way}"), resource)));
        }
    }

    /// Registers a resource at an address and returns its index. If another resource already has this address, a fault is added,
    /// and the address still leads to the other resource.
    fn resource(&mut self, document: usize, pointer: &str, address: String) -> usize {
        let number = self.resources.len();
        if self.by_address.contains_key(&address) {
            let message = format!("`{address}` is already the address of another schema");
            self.faults.push((document, format!("{pointer}/$id"), message));
        } else {
            self.by_address.insert(address.clone(), number);
        }
        let anchors = BTreeMap::new();
        self.resources.push(Resource { document, pointer: pointer.to_string(), address, anchors });
        number
    }

    /// Returns the target of a reference in the resource with this index. If there is no target, the error says why.
    pub(super) fn target(&mut self, resource: usize, reference: &str) -> Result<ReferenceTarget, String> {
        let (address, fragment) = split(reference);
        let base = self.resources.get(resource).map(|resource| resource.address.as_str()).unwrap_or_default();
        let address = resolve(base, address);
        if address.starts_with(dialect::FAMILY) {
            self.add_standard();
        }
        let nothing = || {
            let (folder, name) = address.rsplit_once('/').unwrap_or(("", &address));
            let others = self.by_address.keys().filter_map(|known| known.rsplit_once('/'));
            let near = (self.near_miss)(name, &mut others.filter(|(other, _)| *other == folder).map(|(_, name)| name));
            let hint = near.filter(|near| *near != name).map(|near| format!(" (did you mean `{near}`?)"));
            let hint = hint.unwrap_or_default();
            format!("`{reference}` leads nowhere{hint}: a reference can lead only to a schema of this document")
        };
        let found = self.by_address.get(&address).and_then(|number| self.resources.get(*number)).ok_or_else(nothing)?;
        let fragment = unescape(fragment).ok_or_else(nothing)?;
        let named = found.anchors.get(&fragment);
        let pointer = match named {
            _ if fragment.is_empty() || fragment.starts_with('/') => format!("{}{fragment}", found.pointer),
            Some(anchor) => anchor.pointer.clone(),
            None => return Err(nothing()),
        };
        let dynamic = named.filter(|anchor| anchor.is_dynamic).map(|_| fragment);
        let document = found.document;
        let there = self.documents.get(document).and_then(|document| pointer::find(document, &pointer));
        match there {
            Some(Value::Object(_) | Value::Bool(_)) => Ok(ReferenceTarget { document, pointer, dynamic }),
            Some(_) => Err(format!("`{reference}` leads to a value that is not a schema")),
            None => Err(nothing()),
        }
    }

    /// Returns the index of the innermost resource that contains this location.
    pub(super) fn resource_of(&self, document: usize, pointer: &str) -> usize {
        let around = self.resources.iter().enumerate();
        let around = around.filter(|(_, r)| r.document == document && is_inside(pointer, &r.pointer));
        around.max_by_key(|(number, r)| (r.pointer.len(), *number)).map(|(number, _)| number).unwrap_or_default()
    }

    /// Returns the document and the pointer of the dynamic anchor with this name in a resource (Core §8.2.3.2).
    pub(super) fn dynamic_target(&self, resource: usize, name: &str) -> Option<(usize, String)> {
        let resource = self.resources.get(resource)?;
        let anchor = resource.anchors.get(name).filter(|anchor| anchor.is_dynamic)?;
        Some((resource.document, anchor.pointer.clone()))
    }

    /// Returns the vocabularies of a resource. They depend on the `$schema` of the resource. If it has none, they depend on the
    /// `$schema` of its document.
    pub(super) fn vocabularies(&mut self, resource: usize) -> Result<Vocabularies, String> {
        let Some(found) = self.resources.get(resource) else { return Ok(Vocabularies::standard()) };
        let Some(document) = self.documents.get(found.document).cloned() else { return Ok(Vocabularies::standard()) };
        let own = pointer::find(&document, &found.pointer).and_then(|schema| schema.get("$schema"));
        let Some(named) = own.or_else(|| document.get("$schema")).and_then(Value::as_str) else {
            return Ok(Vocabularies::standard());
        };
        if dialect::is_standard(named) {
            return Ok(Vocabularies::standard());
        }
        let known = self.by_address.get(split(named).0).and_then(|number| self.resources.get(*number));
        let document = known.and_then(|known| pointer::find(self.documents.get(known.document)?, &known.pointer));
        Vocabularies::of(named, document)
    }

    pub(super) fn document(&self, number: usize) -> Option<Arc<Value>> {
        self.documents.get(number).cloned()
    }

    pub(super) fn fault(&self, document: usize, pointer: &str, message: String) -> SchemaFault {
        let address = self.addresses.get(document).cloned().unwrap_or_default();
        SchemaFault { address, pointer: pointer.to_string(), message }
    }

    /// Returns the faults that [`Library::add`] found in these documents.
    pub(super) fn faults_of(&self, documents: &[usize]) -> Vec<SchemaFault> {
        let faults = self.faults.iter().filter(|(document, _, _)| documents.contains(document));
        faults.map(|(document, pointer, message)| self.fault(*document, pointer, message.clone())).collect()
    }

    /// Adds the standard metaschemas. Only the first call has an effect.
    fn add_standard(&mut self) {
        if std::mem::replace(&mut self.has_standard, true) {
            return;
        }
        for document in dialect::documents() {
            let address = document.get("$id").and_then(Value::as_str).unwrap_or_default().to_string();
            self.add(&address, document);
        }
    }
}
