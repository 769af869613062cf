//! Property tests: the gateway removes forged identity headers from client requests, in every spelling.

use proptest::prelude::*;
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};

use super::IdentityHeaders;
use crate::config::claim::ClaimPath;
use crate::config::identity::{Attribute, IdentityHeader};
use crate::policy::verdict::edit::HeaderEdit;

/// All bytes that a header name may contain, except letters and digits (RFC 9110 §5.6.2).
const OTHERS: &[u8] = b"!#$%&'*+-.^_`|~";

/// Returns the variable name that a CGI server derives from a header name. This function shares no code with the tested code.
fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("HTTP_{}", name.chars().map(letter).collect::<String>())
}

/// Generates a header name and a second spelling of the name.
fn spellings() -> impl Strategy<Value = (String, String)> {
    let name = "[a-z][a-z0-9!#$%&'*+.^_`|~-]{0,30}";
    name.prop_flat_map(|name| {
        let respell = name.bytes().map(|byte| match byte.is_ascii_alphanumeric() {
            true => prop_oneof![Just(byte), Just(byte.to_ascii_uppercase())].boxed(),
            false => proptest::sample::select(OTHERS).boxed(),
        });
        let respelled = respell.collect::<Vec<_>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (Just(name), respelled)
    })
}

fn identity(name: &str, reserved: &str, read: &str) -> IdentityHeaders {
    let header = IdentityHeader {
        header: crate::config::problem::At { value: name.into(), place: Default::default() },
        from: Attribute::Claim(ClaimPath::top("sub")),
        required: false,
    };
    IdentityHeaders::compile(&[header], [reserved.into()].iter(), [read].into_iter())
}

fn is_removed(edits: &[HeaderEdit], name: &str) -> bool {
    edits.iter().any(|edit| matches!(edit, HeaderEdit::Remove(removed) if **removed == *name))
}

fn regressions() -> Option<Box<dyn FailurePersistence>> {
    Some(Box::new(FileFailurePersistence::WithSource("regressions")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: regressions(), ..ProptestConfig::default() })]

    #[test]
    fn no_spelling_of_an_identity_header_reaches_the_upstream((name, sent) in spellings()) {
        prop_assert_eq!(variable(&name), variable(&sent));
        for identity in [identity(&name, "x-perms", "x-read"), identity("x-other", &name, "x-read")] {
            let headers: [(&[u8], &[u8]); 2] = [(b"x-unknown", b"x"), (sent.as_bytes(), b"forged")];
            let (mut edits, mut of_trailers) = (Vec::new(), Vec::new());
            identity.strip(&headers, &mut edits);
            identity.strip_trailers(&headers, &mut of_trailers);
            prop_assert!(is_removed(&edits, &sent) && is_removed(&of_trailers, &sent));
        }
    }

    #[test]
    fn a_header_that_the_policy_reads_reaches_the_upstream_in_one_spelling((name, sent) in spellings()) {
        prop_assume!(!is_answered_for(&name));
        let sent = sent.to_ascii_lowercase();
        let mut edits = Vec::new();
        identity("x-other", "x-perms", &name).strip(&[(sent.as_bytes(), b"x")], &mut edits);
        prop_assert_eq!(is_removed(&edits, &sent), name != sent);
    }

    #[test]
    fn headers_of_another_variable_stay(name in "[a-z][a-z0-9_.-]{0,4}", sent in "[a-z][a-z0-9_.-]{0,4}") {
        prop_assume!(variable(&name) != variable(&sent) && !is_answered_for(&sent));
        let mut edits = Vec::new();
        identity(&name, "x-perms", "x-action").strip(&[(sent.as_bytes(), b"x")], &mut edits);
        prop_assert!(edits.is_empty());
    }
}

/// Returns `true` if the gateway removes spellings of this name even if the document does not mention the name.
fn is_answered_for(name: &str) -> bool {
    let families = ["HTTP_X_ENVOY_", "HTTP_X_FORWARDED_", "HTTP_X_PORTCULLIS_"];
    let variable_of = |known: &str| variable(known) == variable(name);
    super::SINGLE_SPELLING.into_iter().any(variable_of)
        || families.iter().any(|family| variable(name).starts_with(family))
}
