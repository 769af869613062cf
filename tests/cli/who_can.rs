//! Tests `who-can`, which lists the callers of a route, and `can`, which lists the routes of a caller.

mod clients;

use serde_json::{Value, json};

use crate::Bench;
use crate::permission::LICENCES;

#[test]
fn who_can_lists_the_callers_of_a_service() {
    let bench = Bench::new("who-can");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["who-can", "gateway.yaml", "--upstream", "licensing"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            0,
            "requirements\n  request      GET /licences/requirements\n  needs        a token from issuer accounts\n  permissions  LIC.READ_REQUIREMENTS (Read licence requirements)\n\n\
             orders\n  request      ANY /licences/orders/{id}\n  needs        a token from issuer accounts\n  scopes       orders\n  permissions  LIC.READ_ORDERS (Read licence orders)\n\n\
             forms\n  request      ANY /forms\n  needs        a token from issuer accounts\n  permissions  one of LIC.READ_FORMS (Read filing forms)\n               or ORD.READ (Read orders)\n"
        )
    );
    let ran = bench.run(&["who-can", "gateway.yaml", "GET", "/licences/orders/7?x=1", "--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer[0]["route"], "orders");
    assert_eq!(answer[0]["permissions"], json!(["LIC.READ_ORDERS"]));
    assert_eq!(answer[0]["issuers"], json!([{ "name": "accounts", "require_claims": {} }]));
    let ran = bench.run(&["who-can", "gateway.yaml", "--route", "health", "--format", "csv"]);
    assert_eq!(
        ran.out,
        "route,request,needs,scopes,permissions,claims,when,clients\nhealth,ANY /health,no credential: everybody,,,,,\n"
    );
    for (arguments, expected) in [
        (
            &["POST", "/licences/requirements"][..],
            "portcullis: no route for this path accepts this method (accepted: GET, HEAD, OPTIONS)\n",
        ),
        (&["GET", "/nowhere"], "portcullis: there is no such route\n"),
        (&["GET", "/a/../b"], "portcullis: the path is refused: dot_segment\n"),
        (&["--route", "none"], "portcullis: there is no such route\n"),
        (&["--route", "order"], "portcullis: there is no such route (did you mean `orders`?)\n"),
    ] {
        let ran = bench.run(&[&["who-can", "gateway.yaml"], arguments].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", expected), "{arguments:?}");
    }
}

#[test]
fn can_agrees_with_the_filter() {
    let bench = Bench::new("can");
    bench.write("gateway.yaml", LICENCES);
    let ran = bench.run(&["can", "gateway.yaml", "--claims", r#"{"LIC": 3}"#]);
    assert_eq!(
        ran.out,
        "ROUTE         REQUEST                     ALLOWED  REASON\n\
         requirements  GET /licences/requirements  yes      allowed\n\
         orders        GET /licences/orders/any    no       scope_missing\n\
         forms         GET /forms                  no       permission_missing (one permission of LIC.READ_FORMS, ORD.READ)\n\
         any           GET /any                    yes      allowed\n\
         health        GET /health                 yes      static_route\n"
    );
    let expired = bench.run(&["can", "gateway.yaml", "--claims", r#"{"exp": 1}"#, "--format", "json"]);
    let answers: Value = serde_json::from_str(&expired.out).unwrap();
    assert_eq!(answers[3]["reason"], "token_expired");
    assert_eq!(answers[4]["allowed"], true);
    let bad = bench.run(&["can", "gateway.yaml", "--claims", "nonsense"]);
    assert_eq!(bad.code, 1);
}

#[test]
fn conditions_are_listed_evaluated_and_explained() {
    let bench = Bench::new("conditions");
    let condition = r#"claims.tier == "gold" and time.hour >= 8"#;
    bench.write("gateway.yaml", &LICENCES.replace("path: /any, ", &format!("path: /any, when: '{condition}', ")));
    let ran = bench.run(&["who-can", "gateway.yaml", "--route", "any"]);
    assert_eq!(
        ran.out,
        format!(
            "any\n  request      ANY /any\n  needs        a token from issuer accounts\n  when         {condition}\n"
        )
    );
    let may = |claims: &str, at: &str| {
        let ran = bench.run(&["can", "gateway.yaml", "--claims", claims, "--at", at, "--format", "csv"]);
        ran.out.lines().find(|line| line.starts_with("any,")).unwrap().to_string()
    };
    let (night, day) = ("2026-03-02T07:59:59Z", "2026-03-02T08:00:00Z");
    let refused = format!("any,GET /any,no,\"condition_false (when[0] {})\"", condition.replace('"', "\"\""));
    assert_eq!(may(r#"{"tier": "gold"}"#, day), "any,GET /any,yes,allowed");
    assert_eq!(may(r#"{"tier": "gold"}"#, night), refused);
    assert_eq!(may("{}", day), refused);
    for (claims, at, verdict) in [
        (r#"{"tier": "gold"}"#, day, "true\n"),
        (r#"{"tier": "gold"}"#, night, "false\n"),
        ("{}", day, "unknown (it reads a value that is absent, repeated, unreadable or of another type)\n"),
    ] {
        let ran = bench.run(&["explain", "gateway.yaml", "GET", "/any", "--claims", claims, "--at", at]);
        assert!(ran.out.contains(&format!("authorize     the condition `{condition}` is {verdict}")), "{}", ran.out);
    }
    let path = ["explain", "gateway.yaml", "GET", "/forms", "--claims", r#"{"ORD": 1}"#];
    let asked = "authorize     the route requires one of LIC.READ_FORMS, ORD.READ; the caller has \"ORD.READ\"\n";
    assert!(bench.run(&path).out.contains(asked), "{}", bench.run(&path).out);
}
