//! Reads the permissions that a token grants: from an object, from top-level claims, or from items such as `LIC:3`.

use serde_json::{Map, Value};

use super::{Domain, PermissionRegistry};
use crate::config::claim::ClaimPath;
use crate::config::mask::{Mask, MaskFault};
use crate::policy::authority::permission_set::PermissionSet;

/// The reason why a token's permissions are invalid. The reason contains names of claims and domains, but no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionFault(pub String);

impl PermissionRegistry {
    /// Returns the union of the permissions in these claims. Unknown domains and bits grant nothing.
    ///
    /// # Errors
    /// Returns a fault if a known domain has an invalid mask or is repeated, if a claim is neither an object nor a list, or if a
    /// list item is not like `LIC:3`.
    pub fn granted(&self, claims: &Value, places: &[ClaimPath]) -> Result<PermissionSet, PermissionFault> {
        if self.domains.is_empty() {
            return Ok(PermissionSet::default());
        }
        let mut set = self.nothing();
        for place in places {
            let at = |what: String| PermissionFault(format!("claim {}: {what}", place.text));
            match place.find(claims) {
                None | Some(Value::Null) => {}
                Some(Value::Object(members)) => self.add_members(members, &mut set).map_err(at)?,
                Some(Value::Array(items)) => self.add_items(items, &mut set).map_err(at)?,
                Some(_) => return Err(at("the value is neither an object nor a list".to_string())),
            }
        }
        Ok(set)
    }

    /// Reads the masks of an object such as `{"LIC": 3}`. Ignores members whose name is not a known domain.
    fn add_members(&self, members: &Map<String, Value>, set: &mut PermissionSet) -> Result<(), String> {
        for domain in &self.domains {
            if let Some(value) = members.get(&*domain.name) {
                domain.grant(Mask::from_json(value), set)?;
            }
        }
        Ok(())
    }

    /// Reads the masks of a list such as `["LIC:3"]`. A repeated domain is an error, because it is ambiguous which mask
    /// applies.
    fn add_items(&self, items: &[Value], set: &mut PermissionSet) -> Result<(), String> {
        let mut seen: Vec<&str> = Vec::new();
        for item in items {
            let pair = item.as_str().and_then(|text| text.split_once(':'));
            let (name, mask) = pair.ok_or_else(|| "an item is not like `LIC:3`".to_string())?;
            let Some(domain) = self.domains.iter().find(|domain| *domain.name == *name) else { continue };
            if seen.contains(&name) {
                return Err(format!("{name} is repeated"));
            }
            seen.push(name);
            domain.grant(Mask::parse(mask), set)?;
        }
        Ok(())
    }
}

impl Domain {
    fn grant(&self, mask: Result<Mask, MaskFault>, set: &mut PermissionSet) -> Result<(), String> {
        let mask = mask.map_err(|fault| format!("{} {}", self.name, fault.words()))?;
        for ((word, defined), granted) in (self.first..).zip(&self.defined).zip(mask.words()) {
            set.add(word, granted & defined);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn registry() -> PermissionRegistry {
        let mut registry = PermissionRegistry::default();
        registry.add("LIC", [("READ_REQUIREMENTS", 0), ("READ_ORDERS", 1), ("LATE", 70)].into_iter());
        registry.add("ORD", [("READ", 0), ("WRITE", 52)].into_iter());
        registry
    }

    fn place(text: &str) -> ClaimPath {
        if text == "." { ClaimPath::members(&[]) } else { ClaimPath::parse(text).unwrap() }
    }

    #[test]
    fn permissions_are_read_in_every_form() {
        let registry = registry();
        for (claims, places, expected) in [
            (json!({"p": {"LIC": 3}}), vec!["p"], "LIC=3"),
            (json!({"LIC": 3, "ORD": 1, "sub": "x"}), vec!["."], "LIC=3,ORD=1"),
            (json!({"p": ["LIC:3", "ORD:0x1"]}), vec!["p"], "LIC=3,ORD=1"),
            (json!({"a/b": {"c": {"LIC": 1}}}), vec!["/a~1b/c"], "LIC=1"),
            (json!({"p": {"LIC": 1}, "q": ["LIC:2"], "ORD": 1}), vec!["p", "q", "."], "LIC=3,ORD=1"),
            // Only bits 0, 1 and 70 of this domain have a name.
            (json!({"LIC": "0x400000000000000003"}), vec!["."], "LIC=0x400000000000000003"),
            (json!({"LIC": "0xfffffffffffffffffffff"}), vec!["."], "LIC=0x400000000000000003"),
            (json!({"LIC": "1180591620717411303424"}), vec!["."], "LIC=0x400000000000000000"),
            (json!({"LIC": "b64:QAAAAAAAAAAA"}), vec!["."], "LIC=0x400000000000000000"),
            (json!({"ORD": "4503599627370497"}), vec!["."], "ORD=4503599627370497"),
            // Unknown domains and bits without a name grant nothing, and are not an error.
            (json!({"LIC": 4, "XYZ": 1.5}), vec!["."], ""),
            (json!({"p": ["XYZ:", "read:orders"]}), vec!["p"], ""),
            (json!({"lic": 3}), vec!["."], ""),
            (json!({"p": null}), vec!["p", "missing"], ""),
            (json!({"p": []}), vec!["p"], ""),
            (json!({"LIC": 0}), vec!["."], ""),
        ] {
            let places: Vec<_> = places.into_iter().map(place).collect();
            let granted = registry.granted(&claims, &places).map(|set| registry.masks(&set));
            assert_eq!(granted, Ok(expected.to_string()), "{claims}");
        }
    }

    #[test]
    fn ambiguous_permissions_make_a_token_invalid() {
        let registry = registry();
        for (claims, expected) in [
            (json!({"p": {"LIC": 1.0}}), "claim p: LIC is a number with a sign, a fraction or an exponent"),
            (json!({"p": {"LIC": -1}}), "claim p: LIC is a number with a sign, a fraction or an exponent"),
            (
                json!({"p": {"LIC": 9_007_199_254_740_992_u64}}),
                "claim p: LIC is a number above 2^53 - 1; write such a mask as text",
            ),
            (json!({"p": {"LIC": "03"}}), "claim p: LIC has a leading zero"),
            (
                json!({"p": {"LIC": "x"}}),
                "claim p: LIC is not a mask: digits, `0x` and hexadecimal digits, or `b64:` and base64url",
            ),
            (json!({"p": {"LIC": [3]}}), "claim p: LIC is neither a whole number nor text"),
            (json!({"p": {"LIC": null}}), "claim p: LIC is neither a whole number nor text"),
            (json!({"p": ["LIC:3", "LIC:3"]}), "claim p: LIC is repeated"),
            (
                json!({"p": ["LIC:3", "ORD: 1"]}),
                "claim p: ORD is not a mask: digits, `0x` and hexadecimal digits, or `b64:` and base64url",
            ),
            (json!({"p": ["admin"]}), "claim p: an item is not like `LIC:3`"),
            (json!({"p": [3]}), "claim p: an item is not like `LIC:3`"),
            (json!({"p": "LIC:3"}), "claim p: the value is neither an object nor a list"),
            (json!({"p": 3}), "claim p: the value is neither an object nor a list"),
        ] {
            let fault = registry.granted(&claims, &[place("p")]).unwrap_err();
            assert_eq!(fault.0, expected, "{claims}");
        }
    }

    #[test]
    fn missing_permissions_are_named() {
        let registry = registry();
        let need = registry.need(["LIC.READ_ORDERS", "LIC.LATE"].into_iter(), ["ORD.READ", "ORD.WRITE"].into_iter());
        for (claims, missing) in [
            (json!({"LIC": "0x400000000000000002", "ORD": 1}), None),
            (json!({"LIC": "0x400000000000000003", "ORD": "0x10000000000001"}), None),
            (json!({"LIC": 2, "ORD": 1}), Some("permission LIC.LATE")),
            (json!({"LIC": "0x400000000000000002"}), Some("one permission of ORD.READ, ORD.WRITE")),
            (json!({}), Some("permission LIC.READ_ORDERS, LIC.LATE, and one of ORD.READ, ORD.WRITE")),
        ] {
            let have = registry.granted(&claims, &[place(".")]).unwrap();
            let found = (!need.is_met(&have)).then(|| need.missing(&have));
            assert_eq!(found.as_deref(), missing, "{claims}");
        }
        let nothing = registry.need([].into_iter(), [].into_iter());
        assert!(nothing.is_empty() && nothing.is_met(&PermissionSet::default()));
    }
}
