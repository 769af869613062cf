//! Reads `permissions`, which declares the permissions, and `forward_permissions`, which sends them to the upstream.

use super::identity::header_name;
use super::mask::{MAX_BITS, Mask};
use super::node::Value;
use super::problem::At;
use super::reader::{Field, Fields};
use super::schema_keys::permission::BIT;

/// A domain: a named group of permissions that share one mask.
#[derive(Clone, Debug)]
pub struct PermissionDomain {
    /// The name of the domain, such as `LIC` in the permission `LIC.READ_ORDERS`. Token claims use the same name.
    pub name: At<String>,
    /// The permissions of the domain.
    pub permissions: Vec<Permission>,
}

/// A permission: a named bit in the mask of its domain.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The name within the domain, such as `READ_ORDERS`.
    pub name: At<String>,
    /// The number of the bit; the lowest bit of the mask has the number 0.
    pub bit: At<u16>,
    /// A description of the permission for readers of the document.
    pub description: String,
    /// The version or date that introduced the permission.
    pub since: Option<String>,
    /// The reason for the deprecation; empty if the document gives no reason, and `None` if the permission is not deprecated.
    pub deprecated: Option<String>,
    /// The person or team that is responsible for the permission.
    pub owner: Option<String>,
}

/// The format of permissions in headers and in the filter state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionForm {
    /// The mask of each domain, such as `LIC=3`.
    Masks,
    /// The names of the permissions, such as `LIC.READ_REQUIREMENTS,LIC.READ_ORDERS`.
    Names,
}

/// The headers and the filter state to which the filter writes the caller's permissions.
#[derive(Clone, Debug, Default)]
pub struct ForwardPermissions {
    /// Headers for the upstream, each with its format; names are in lower case.
    pub headers: Vec<(At<String>, PermissionForm)>,
    /// The format in the filter state `wasm.portcullis.permissions`, which later filters and the access log can read. With
    /// `None`, the filter does not set this state.
    pub filter_state: Option<PermissionForm>,
}

impl PermissionDomain {
    /// Reads the `permissions` section.
    pub(super) fn read_all(field: &Field<'_>) -> Vec<PermissionDomain> {
        let read = |(name, permissions): (At<String>, Field<'_>)| {
            check_name(&name, &permissions);
            let permissions = permissions.entries();
            let permissions = permissions.into_iter().filter_map(|(name, field)| Permission::read(name, &field));
            PermissionDomain { name, permissions: permissions.collect() }
        };
        field.entries().into_iter().map(read).collect()
    }
}

impl Permission {
    fn read(name: At<String>, field: &Field<'_>) -> Option<Permission> {
        check_name(&name, field);
        let fields = field.fields()?;
        let bit = read_bit(&fields);
        let description = fields.require("description").and_then(|f| f.text());
        let since = fields.get("since").and_then(|f| f.text());
        let deprecated = fields.get("deprecated").and_then(|f| read_deprecation(&f));
        let owner = fields.get("owner").and_then(|f| f.text());
        fields.finish();
        Some(Permission { name, bit: bit?, description: description?, since, deprecated, owner })
    }
}

impl ForwardPermissions {
    /// Reads the `forward_permissions` section.
    pub(super) fn read(field: &Field<'_>) -> Option<ForwardPermissions> {
        let fields = field.fields()?;
        let headers = fields.get("headers").map(|f| f.entries()).unwrap_or_default();
        let headers = headers.into_iter().filter_map(|(name, value)| {
            let header = header_name(&name, &value)?;
            Some((At { value: header, place: name.place }, value.word(&FORMS)?))
        });
        let headers = headers.collect();
        let filter_state = fields.get("filter_state").and_then(|f| f.word(&FORMS));
        fields.finish();
        Some(ForwardPermissions { headers, filter_state })
    }
}

/// Reads the number of a bit. `bit: 1`, `mask: 2` and `mask: "1 << 1"` all mean bit 1.
fn read_bit(fields: &Fields<'_>) -> Option<At<u16>> {
    let (bit, mask) = (fields.get(BIT.name), fields.get("mask"));
    match (bit, mask) {
        (Some(field), None) => {
            let bit = field.number(BIT.least, BIT.most).and_then(|bit| u16::try_from(bit).ok())?;
            Some(At { value: bit, place: field.place })
        }
        (None, Some(field)) => read_mask(&field).map(|value| At { value, place: field.place }),
        _ => {
            fields.problem("expected exactly one of `bit` and `mask`");
            None
        }
    }
}

fn read_mask(field: &Field<'_>) -> Option<u16> {
    let written = field.node.to_json();
    let shown = written.as_str().map_or_else(|| written.to_string(), str::to_string);
    if let Some(shift) = written.as_str().and_then(|text| text.strip_prefix("1 << ")) {
        let bit = Mask::parse(shift).ok().and_then(|_| shift.parse().ok()).filter(|bit| u64::from(*bit) <= BIT.most);
        if bit.is_none() {
            field.problem(format!("the shift in `{shown}` is not a whole number from 0 to {}", BIT.most));
        }
        return bit;
    }
    match Mask::from_json(&written) {
        Ok(mask) => {
            let bit = mask.single_bit();
            if bit.is_none() {
                field.problem(format!("`{shown}` is not one bit (accepted: 1, 2, 4, 8, …, or `1 << 3`)"));
            }
            bit
        }
        Err(fault) => {
            field.problem(format!("`{shown}` {} (accepted: 1, 2, 4, 8, …, or `1 << 3`)", fault.words()));
            None
        }
    }
}

/// Reads `deprecated`, which is a boolean, or the reason for the deprecation as a string.
fn read_deprecation(field: &Field<'_>) -> Option<String> {
    match field.node.value {
        Value::Bool(flag) => flag.then(String::new),
        _ => field.text(),
    }
}

fn check_name(name: &At<String>, field: &Field<'_>) {
    if let Some(fault) = name_fault(&name.value) {
        field.problem_at(&name.place, fault);
    }
}

/// Returns the reason why the name of a domain or permission is invalid; `None` if it is valid. Names appear in claims, headers
/// and code, so only letters, digits and `_` are allowed.
pub fn name_fault(text: &str) -> Option<String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_name = is_plain && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= MAX_NAME_BYTES;
    let rule = "it must start with a letter and may contain only letters, digits and `_`";
    let fault = || format!("`{text}` is not a name: {rule}, at most {MAX_NAME_BYTES} characters");
    (!is_name).then(fault)
}

const FORMS: [(&str, PermissionForm); 2] = [("masks", PermissionForm::Masks), ("names", PermissionForm::Names)];
const MAX_NAME_BYTES: usize = 64;
/// Checks at compile time that a mask has room for every bit that the schema accepts.
const _: () = assert!(BIT.most < MAX_BITS as u64);
