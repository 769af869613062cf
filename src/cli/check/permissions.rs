//! Notes on permissions that are valid but risky: deprecated permissions in use, and masks too large for a JSON number.

use crate::config::document::Document;
use crate::config::problem::Place;

/// The highest bit of a mask that every JSON parser reads exactly as a number (RFC 8259 §6).
const HIGHEST_EXACT_BIT: u16 = 52;

/// Returns the notes on a document, each with its location.
pub fn notes(document: &Document) -> Vec<(Place, String)> {
    let mut notes = Vec::new();
    for route in &document.routes {
        for asked in route.permissions.iter().chain(&route.any_permission) {
            let mut known = document.permissions.iter().flat_map(|d| d.permissions.iter().map(move |p| (d, p)));
            let found = known.find(|(domain, p)| format!("{}.{}", domain.name.value, p.name.value) == asked.value);
            if let Some(reason) = found.and_then(|(_, permission)| permission.deprecated.as_deref()) {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                notes.push((asked.place.clone(), format!("`{}` is deprecated{why}", asked.value)));
            }
        }
    }
    for domain in &document.permissions {
        let highest = domain.permissions.iter().max_by_key(|permission| permission.bit.value);
        if let Some(permission) = highest.filter(|permission| permission.bit.value > HIGHEST_EXACT_BIT) {
            let (domain, name, bit) = (&domain.name.value, &permission.name.value, permission.bit.value);
            let message = format!(
                "a claim with `{domain}.{name}` (bit {bit}) must be a string: JSON numbers are exact only up to bit {HIGHEST_EXACT_BIT}"
            );
            notes.push((permission.bit.place.clone(), message));
        }
    }
    notes
}
