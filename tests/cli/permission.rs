//! What the command line says of permissions.

use crate::Bench;

/// A document with permissions: comments and blank lines where people put them.
pub const LICENCES: &str = r#"version: "1.0"
issuers:
  - { name: accounts, issuer: "https://auth.example.com/", audiences: [api], jwks: { uri: "https://auth.example.com/jwks.json", cluster: auth } }
upstreams: { licensing: { url: "http://licensing:8080" }, orders: { url: "http://orders:8080" } }

# What callers can be granted.
permissions:
  LIC: # licensing
    READ_REQUIREMENTS: { bit: 0, description: Read licence requirements, owner: licensing }
    READ_ORDERS:
      mask: 2
      description: Read licence orders
    READ_FORMS: { mask: "1 << 2", description: Read filing forms, deprecated: ask for READ_REQUIREMENTS }
    LATE: { bit: 60, description: Late }

  ORD:
    READ: { bit: 0, description: Read orders }

routes:
  - { name: requirements, path: /licences/requirements, method: GET, upstream: licensing, permissions: [LIC.READ_REQUIREMENTS] }
  - { name: orders, path: "/licences/orders/{id}", upstream: licensing, permissions: [LIC.READ_ORDERS], scopes: [orders] }
  - { name: forms, path: /forms, upstream: licensing, any_permission: [LIC.READ_FORMS, ORD.READ] }
  - { name: any, path: /any, upstream: orders }
  - { name: health, path: /health, auth: none, response: { body: ok } }
"#;

#[test]
fn check_names_deprecated_permissions_in_use_and_masks_that_no_number_holds() {
    let bench = Bench::new("permission-notes");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "gateway.yaml: 5 routes, 1 issuer, no problems\n"));
    assert_eq!(
        ran.err,
        "gateway.yaml:22:72: routes[2].any_permission[0]: note: `LIC.READ_FORMS` is deprecated: ask for READ_REQUIREMENTS\n\
         gateway.yaml:14:18: permissions.LIC.LATE.bit: note: a claim with `LIC.LATE` (bit 60) must be text: JSON numbers are exact up to bit 52\n"
    );
}
