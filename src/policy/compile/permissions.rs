//! Compiles `permissions`: assigns a bit to each permission, and converts the permission names in routes and clients to sets.

use super::issuers::unknown;
use crate::config::document::Document;
use crate::config::header_name::is_same_cgi_variable;
use crate::config::permission::PermissionDomain;
use crate::config::problem::{At, Problems};
use crate::policy::authority::permission::{PermissionNeed, PermissionRegistry};
use crate::policy::authority::permission_set::PermissionSet;

impl PermissionRegistry {
    /// Compiles `permissions` and `forward_permissions`.
    pub(super) fn compile(document: &Document, problems: &mut Problems) -> PermissionRegistry {
        let mut registry = PermissionRegistry::default();
        for domain in &document.permissions {
            check_bits(domain, problems);
            let bits =
                domain.permissions.iter().map(|permission| (permission.name.value.as_str(), permission.bit.value));
            registry.add(&domain.name.value, bits);
        }
        check_headers(document, &registry, problems);
        registry.forward(&document.forward_permissions);
        registry
    }

    /// Returns the set of these permissions, which are named like `LIC.READ_ORDERS`. Reports unknown names as problems.
    pub(in crate::policy) fn set_of(&self, names: &[At<String>], problems: &mut Problems) -> PermissionSet {
        let mut set = PermissionSet::default();
        for name in names {
            match self.named(&name.value) {
                Some(one) => set.extend(&one),
                None => problems.add(&name.place, unknown("permission", &name.value, self.names())),
            }
        }
        set
    }

    /// Returns the permissions that a route requires. Reports unknown names as problems.
    pub(super) fn need_of(&self, all: &[At<String>], any: &[At<String>], problems: &mut Problems) -> PermissionNeed {
        self.set_of(all, problems);
        self.set_of(any, problems);
        let names = |list: &'_ [At<String>]| list.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
        let (all, any) = (names(all), names(any));
        self.need(all.iter().map(String::as_str), any.iter().map(String::as_str))
    }
}

/// Reports two permissions with the same bit, because a token could not distinguish them.
fn check_bits(domain: &PermissionDomain, problems: &mut Problems) {
    for (i, permission) in domain.permissions.iter().enumerate() {
        let bit = permission.bit.value;
        if let Some(other) = domain.permissions.iter().take(i).find(|other| other.bit.value == bit) {
            let message = format!("bit {bit} is already `{}.{}`", domain.name.value, other.name.value);
            problems.add(&permission.bit.place, message);
        }
    }
}

/// Checks that each header is used only once, and that its value is not too long when it contains all permissions.
fn check_headers(document: &Document, registry: &PermissionRegistry, problems: &mut Problems) {
    let names: Vec<At<String>> =
        registry.names().map(|name| At { value: name.to_string(), place: Default::default() }).collect();
    let everything = registry.set_of(&names, problems);
    let headers = &document.forward_permissions.headers;
    for (i, (header, form)) in headers.iter().enumerate() {
        let identity = document.identity_headers.iter().map(|other| &other.header);
        let earlier = headers.iter().take(i).map(|(other, _)| other);
        if identity.chain(earlier).any(|other| is_same_cgi_variable(&other.value, &header.value)) {
            problems.add(
                &header.place,
                "another entry already sets this header (names that differ only in case or punctuation are the same)",
            );
        }
        let bytes = registry.format(&everything, *form).len();
        if bytes > MAX_HEADER_BYTES {
            let message = format!(
                "all permissions together have {bytes} bytes in this form, but {MAX_HEADER_BYTES} are accepted: send `masks`"
            );
            problems.add(&header.place, message);
        }
    }
}

/// The maximum length of a permission header. Envoy and upstreams limit all headers together to a few times this size.
const MAX_HEADER_BYTES: usize = 8_192;

#[cfg(test)]
mod tests {
    use crate::config::source;
    use crate::policy::Policy;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn problems(permissions: &str, more: &str) -> Vec<String> {
        let document = format!(
            r#"{{"version":"1.0","permissions":{permissions},
                "issuers":[{{"name":"a","issuer":"https://a.example","audiences":["x"],"secret":{{"env":"S"}}}}],
                "routes":[{{"path":"/x","response":{{}} {more}}}]}}"#
        );
        let node = source::read(document.as_bytes()).unwrap();
        let secret = |_: &str| Some("0123456789abcdef0123456789abcdef".to_string());
        let found = Policy::from_node(&node, &secret).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bit_has_three_notations_and_one_name() {
        for (bit, expected) in [
            (r#""bit":0"#, None),
            (r#""bit":1023"#, None),
            (r#""mask":1"#, None),
            (r#""mask":4503599627370496"#, None),
            (r#""mask":"1 << 0""#, None),
            (r#""mask":"1 << 1023""#, None),
            (r#""mask":"0x8000000000000000""#, None),
            (r#""bit":1024"#, Some("`1024` is not a whole number from 0 to 1023")),
            (r#""bit":-1"#, Some("is not a whole number")),
            (r#""mask":0"#, Some("`0` is not one bit (accepted: 1, 2, 4, 8, …, or `1 << 3`)")),
            (r#""mask":3"#, Some("`3` is not one bit")),
            (r#""mask":1.5"#, Some("`1.5` is a number with a sign, a fraction")),
            (r#""mask":9007199254740992"#, Some("above 2^53 - 1; write such a mask as text")),
            (r#""mask":"01""#, Some("`01` has a leading zero")),
            (r#""mask":"1 << 1024""#, Some("the shift in `1 << 1024` is not a whole number from 0 to 1023")),
            (r#""mask":"1 << -1""#, Some("the shift in")),
            (r#""mask":"1 << 01""#, Some("the shift in")),
            (r#""mask":"1<<1""#, Some("`1<<1` is not a mask")),
            (r#""mask":1,"bit":0"#, Some("expected exactly one of `bit` and `mask`")),
            (r#""since":"1.0""#, Some("expected exactly one of `bit` and `mask`")),
        ] {
            let found = problems(&format!(r#"{{"LIC":{{"READ":{{"description":"d",{bit}}}}}}}"#), "");
            let holds = match expected {
                None => found.is_empty(),
                Some(expected) => found.len() == 1 && found[0].contains(expected),
            };
            assert!(holds, "{bit}: expected {expected:?}, found {found:?}");
        }
    }

    #[test]
    fn all_mistakes_of_a_registry_are_reported_with_their_place() {
        let found = problems(
            r#"{"LIC":{"A":{"bit":0,"description":"d"},"B":{"mask":1,"description":"d"},"C":{"bit":1},"d-e":{"bit":2,"description":"d"}},
                "9":{}}"#,
            r#","permissions":["LIC.A","LIC.X"],"any_permission":"LIC""#,
        );
        assert_eq!(
            found,
            [
                "permissions.9: `9` is not a name: it must start with a letter and may contain only letters, digits and `_`, at most 64 characters",
                "permissions.LIC.B.mask: bit 0 is already `LIC.A`",
                "permissions.LIC.C: `description` is missing",
                "permissions.LIC.d-e: `d-e` is not a name: it must start with a letter and may contain only letters, digits and `_`, at most 64 characters",
                "routes[0].any_permission: no permission `LIC` (did you mean `LIC.A`?)",
                "routes[0].permissions[1]: no permission `LIC.X` (did you mean `LIC.A`?)",
            ]
        );
    }

    #[test]
    fn a_route_without_authentication_cannot_require_permissions() {
        let registry = r#"{"LIC":{"A":{"bit":0,"description":"d"}}}"#;
        for (auth, expected) in [("required", 0), ("optional", 1), ("none", 1)] {
            for ask in ["permissions", "any_permission"] {
                let found = problems(registry, &format!(r#","auth":"{auth}","{ask}":["LIC.A"]"#));
                assert_eq!(found.len(), expected, "{auth} {ask}: {found:?}");
            }
        }
    }
}
