//! Tests the output of the `permission` commands.

use serde_json::{Value, json};

use crate::Bench;

/// A configuration with permissions, and with comments and blank lines as people write them.
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
fn check_reports_deprecated_permissions_in_use_and_masks_too_large_for_a_number() {
    let bench = Bench::new("permission-notes");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["check", "gateway.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "gateway.yaml: 5 routes, 1 issuer, no problems\n"));
    assert_eq!(
        ran.err,
        "gateway.yaml:22:72: routes[2].any_permission[0]: note: `LIC.READ_FORMS` is deprecated: ask for READ_REQUIREMENTS\n\
         gateway.yaml:14:18: permissions.LIC.LATE.bit: note: a claim with `LIC.LATE` (bit 60) must be a string: JSON numbers are exact only up to bit 52\n"
    );
}

#[test]
fn permissions_are_listed_for_people_and_for_programs() {
    let bench = Bench::new("permission-list");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["permission", "list", "gateway.yaml"]);
    assert_eq!(
        ran.out,
        "PERMISSION             BIT  MASK                ROUTES  DESCRIPTION\n\
         LIC.READ_REQUIREMENTS  0    1                   1       Read licence requirements (owner licensing)\n\
         LIC.READ_ORDERS        1    2                   1       Read licence orders\n\
         LIC.READ_FORMS         2    4                   1       Read filing forms (deprecated: ask for READ_REQUIREMENTS)\n\
         LIC.LATE               60   0x1000000000000000  0       Late\n\
         ORD.READ               0    1                   1       Read orders\n"
    );
    let json: Value =
        serde_json::from_str(&bench.run(&["permission", "list", "gateway.yaml", "--format", "json"]).out).unwrap();
    assert_eq!(json[2]["routes"], json!(["forms"]));
    assert_eq!((&json[3]["bit"], &json[3]["mask"]), (&json!(60), &json!("0x1000000000000000")));
}

#[test]
fn masks_and_claims_are_decoded_to_names() {
    let bench = Bench::new("permission-decode");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["permission", "decode", "gateway.yaml", "LIC=11"]);
    assert_eq!(
        ran.out,
        "LIC.READ_REQUIREMENTS: Read licence requirements\nLIC.READ_ORDERS: Read licence orders\n\n\
         routes whose required permissions are met\n  requirements\n  orders\n"
    );
    assert_eq!(ran.err, "note: bit 3 of LIC has no name and grants nothing\n");
    let claims = bench.run(&["permission", "decode", "gateway.yaml", r#"{"sub": "x", "LIC": "0x4", "ORD": 1}"#]);
    assert!(
        claims.out.starts_with("LIC.READ_FORMS: Read filing forms (deprecated)\nORD.READ: Read orders\n"),
        "{}",
        claims.out
    );
    assert!(claims.out.ends_with("  forms\n"), "{}", claims.out);
    for (masks, expected) in [
        ("LIC=03", "portcullis: claim .: LIC has a leading zero\n"),
        (
            "LIC=-1",
            "portcullis: claim .: LIC is not a mask: digits, `0x` and hexadecimal digits, or `b64:` and base64url\n",
        ),
        ("LIK=1", "portcullis: no domain `LIK` (declared: LIC, ORD)\n"),
        ("LIC=1,LIC=2", "portcullis: `LIC` is listed twice\n"),
        ("LIC", "portcullis: expected masks like `LIC=3`, or claims as a JSON object\n"),
        (r#"{"LIC": 1.5}"#, "portcullis: claim .: LIC is a number with a sign, a fraction or an exponent\n"),
        (r#"{"LIC": 1, "LIC": 2}"#, "portcullis: the claims cannot be read: member `LIC` is repeated in one object\n"),
    ] {
        let ran = bench.run(&["permission", "decode", "gateway.yaml", masks]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", expected));
    }
    assert!(bench.run(&["permission", "decode", "gateway.yaml", "LIC=0"]).out.starts_with("no permission\n"));
}

#[test]
fn a_permission_is_added_on_the_next_bit_and_nothing_else_changes() {
    let bench = Bench::new("permission-add");
    let add = |text: &str, domain: &str| {
        bench.write("gateway.yaml", text);
        let ran = bench.run(&[
            "permission",
            "add",
            "gateway.yaml",
            domain,
            "NEW",
            "--description",
            "Says \"new\": yes",
            "--owner",
            "us",
        ]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{text}");
        (ran.out, bench.read("gateway.yaml"))
    };
    let entry = |bit: u16| format!(r#"NEW: {{ bit: {bit}, description: "Says \"new\": yes", owner: "us" }}"#);
    let routes = "routes: [{ path: /x, auth: none, response: {} }] # end";
    let head = "version: \"1.0\"\n";
    let one = "{ bit: 4, description: d }";
    for (text, expected) in [
        (format!("{head}{routes}"), format!("{head}{routes}\n\npermissions:\n  LIC:\n    {}\n", entry(0))),
        (
            format!("{head}permissions: {{}}\n{routes}\n"),
            format!("{head}permissions: {{ LIC: {{ {} }} }}\n{routes}\n", entry(0)),
        ),
        (
            format!(
                "{head}permissions:\n    LIC:\n         A: {one} # a\n\n    # about ORD\n    ORD: {{}}\n{routes}\n"
            ),
            format!(
                "{head}permissions:\n    LIC:\n         A: {one} # a\n         {}\n\n    # about ORD\n    ORD: {{}}\n{routes}\n",
                entry(5)
            ),
        ),
        (
            format!("{head}permissions:\n  LIC: {{ A: {one} }}\n{routes}\n"),
            format!("{head}permissions:\n  LIC: {{ {}, A: {one} }}\n{routes}\n", entry(5)),
        ),
        (
            format!(
                "{head}permissions:\n  ORD:\n    A:\n      bit: 4\n      description: |\n        two\n\n        lines\n\n# routes\n{routes}\n"
            ),
            format!(
                "{head}permissions:\n  ORD:\n    A:\n      bit: 4\n      description: |\n        two\n\n        lines\n  LIC:\n    {}\n\n# routes\n{routes}\n",
                entry(0)
            ),
        ),
    ] {
        assert_eq!(add(&text, "LIC").1, expected, "{text}");
        assert_eq!(bench.run(&["check", "gateway.yaml"]).code, 0, "{expected}");
    }
    let (said, json) = add(
        r#"{ "version": "1.0", "permissions": { "LIC": { "A": { "bit": 62, "description": "d" } } }, "routes": [] }"#,
        "LIC",
    );
    assert_eq!(said, "gateway.yaml: added LIC.NEW, bit 63 (mask 0x8000000000000000)\n");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["permissions"]["LIC"]["NEW"]["bit"], 63);
    let (_, licences) = add(LICENCES, "ORD");
    assert_eq!(
        licences,
        LICENCES.replace("description: Read orders }\n", &format!("description: Read orders }}\n    {}\n", entry(1)))
    );

    bench.write("gateway.yaml", LICENCES);
    for (domain, name, expected) in [
        ("LIC", "READ_ORDERS", "portcullis: gateway.yaml: `LIC.READ_ORDERS` already exists\n"),
        ("LIC", "not-a-name", "portcullis: `not-a-name` is not a name: "),
        ("9", "A", "portcullis: `9` is not a name: "),
    ] {
        let ran = bench.run(&["permission", "add", "gateway.yaml", domain, name, "--description", "d"]);
        assert!(ran.code == 1 && ran.err.starts_with(expected), "{}", ran.err);
        assert_eq!(bench.read("gateway.yaml"), LICENCES, "a refused change changes nothing");
    }
}

#[test]
fn a_released_bit_keeps_its_meaning() {
    let bench = Bench::new("permission-lock");
    let _ = std::fs::remove_file(bench.0.join("permissions.lock"));
    bench.write("gateway.yaml", LICENCES);
    let lock = ["permission", "lock", "gateway.yaml"];
    let check = ["permission", "lock", "gateway.yaml", "--check"];
    assert_eq!(bench.run(&check).code, 1, "nothing is locked yet");
    assert!(bench.run(&lock).out.starts_with("permissions.lock: 5 permissions, new: "));
    assert_eq!(bench.run(&lock).out, "permissions.lock: 5 permissions, nothing new\n");
    assert_eq!(bench.run(&check).code, 0);
    let locked = bench.read("permissions.lock");

    let renumbered = LICENCES.replace("mask: 2", "mask: 8");
    let renamed = LICENCES.replace("READ_ORDERS", "READ_OTHERS");
    for (text, expected) in [
        (
            &renumbered,
            vec![
                "gateway.yaml:11:13: permissions.LIC.READ_ORDERS.mask: `LIC.READ_ORDERS` was released as bit 1 and keeps that bit",
            ],
        ),
        (
            &renamed,
            vec![
                "gateway.yaml:11:13: permissions.LIC.READ_OTHERS.mask: bit 1 was released as `LIC.READ_ORDERS` and keeps that meaning",
            ],
        ),
    ] {
        bench.write("gateway.yaml", text);
        for command in [&["check", "gateway.yaml"][..], &lock, &check] {
            let ran = bench.run(command);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{command:?}");
            let lines: Vec<_> = ran.err.lines().filter(|line| !line.contains(" note: ")).collect();
            assert_eq!(lines, expected, "{command:?}");
        }
        assert_eq!(bench.read("permissions.lock"), locked);
    }

    // The lock file still contains the bit of the removed permission, so the bit is not used again.
    let gone = LICENCES.replace("    LATE: { bit: 60, description: Late }\n", "");
    bench.write("gateway.yaml", &gone);
    assert_eq!(bench.run(&["check", "gateway.yaml"]).code, 0);
    let added = bench.run(&["permission", "add", "gateway.yaml", "LIC", "NEXT", "--description", "d"]);
    assert_eq!(added.out, "gateway.yaml: added LIC.NEXT, bit 61 (mask 0x2000000000000000)\n");

    bench.write("permissions.lock", &locked.replace("\"READ_ORDERS\": 1", "\"READ_ORDERS\": 3"));
    let ran = bench.run(&check);
    assert!(ran.err.contains("its digest does not match its content"), "{}", ran.err);
}

#[test]
fn constants_compile_and_have_the_value_of_their_mask() {
    let bench = Bench::new("permission-constants");
    let wide = LICENCES.replace("bit: 60, description: Late", "bit: 70, description: \"Late */ \\u0041\\n\\\\u000a\"");
    bench.write("gateway.yaml", &wide);
    let print = |language: &str| {
        let ran = bench.run(&["permission", "constants", "gateway.yaml", "--language", language]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    for (language, line) in [
        ("go", "// LIC.READ_ORDERS: Read licence orders\nconst LIC_READ_ORDERS = 1 << 1\n"),
        ("go", "const LIC_LATE = 1 << 70\n"),
        ("java", "    public static final long LIC_READ_ORDERS = 1L << 1;\n"),
        ("java", "    public static final int LIC_LATE_BIT = 70;\n"),
        ("rust", "pub const LIC_READ_ORDERS: u64 = 1 << 1;\n"),
        ("rust", "pub const LIC_LATE_BIT: u32 = 70;\n"),
        ("typescript", "export const LIC_READ_ORDERS = 1n << 1n;\n"),
        ("python", "LIC_READ_ORDERS = 1 << 1\n"),
    ] {
        assert!(print(language).contains(line), "{language}\n{}", print(language));
    }
    let print_all = |language: &str| print(language);
    let rust = format!("{}\nfn main() {{ print!(\"{{}} {{}}\", LIC_READ_FORMS, LIC_LATE_BIT); }}\n", print_all("rust"));
    bench.write("permissions.rs", &rust);
    assert_eq!(bench.tool("rustc", &["--edition", "2024", "permissions.rs", "-o", "constants"]), Some(String::new()));
    let compiled = bench.0.join("constants");
    assert_eq!(bench.tool(compiled.to_str().unwrap(), &[]).as_deref(), Some("4 70"));
    // Compiles and runs the generated code in other languages if their tools are installed. The text for Go and Java is checked
    // above.
    for (language, file, tool, arguments, add) in [
        (
            "python",
            "permissions.py",
            "python3",
            &["permissions.py"][..],
            "print(LIC_READ_FORMS, LIC_LATE == 1 << 70)\n",
        ),
        (
            "typescript",
            "permissions.mjs",
            "node",
            &["permissions.mjs"],
            "console.log(`${LIC_READ_FORMS} ${LIC_LATE === 2n ** 70n ? 'True' : ''}`);\n",
        ),
        ("java", "Permissions.java", "javac", &["Permissions.java"], ""),
    ] {
        bench.write(file, &(print_all(language) + add));
        let expected = if language == "java" { "" } else { "4 True\n" };
        if let Some(said) = bench.tool(tool, arguments) {
            assert_eq!(said, expected, "{language}");
        }
    }
    let clash =
        LICENCES.replace("  ORD:\n    READ:", "  LIC_READ:\n    ORDERS:").replace("ORD.READ", "LIC_READ.ORDERS");
    bench.write("gateway.yaml", &clash);
    let ran = bench.run(&["permission", "constants", "gateway.yaml", "--language", "go"]);
    assert_eq!(
        ran.err,
        "portcullis: `LIC_READ.ORDERS` and `LIC.READ_ORDERS` would both get the constant name LIC_READ_ORDERS: rename one of them\n"
    );
}
