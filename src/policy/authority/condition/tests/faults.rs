//! Tests that invalid conditions are reported with the position of the fault and a helpful message.

use crate::policy::compile::conditions::parse;
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn faults_are_reported_with_their_position() {
    let mut missed = Vec::new();
    for (text, at, expected) in [
        ("", 1, "expected one of claims.name"),
        ("claims", 1, "`claims` cannot be used in a condition"),
        ("claim.tier == 'x'", 1, "`claim.tier` cannot be used in a condition"),
        ("request.methd == 'GET'", 1, "(did you mean `request.method`?)"),
        ("claims.tier = 'x'", 13, "unexpected `=` (did you mean `==`?)"),
        ("claims.a && claims.b", 10, "did you mean `and`?"),
        ("claims.a || claims.b", 10, "did you mean `or`?"),
        ("!claims.a", 1, "did you mean `not`?"),
        ("claims.tier == 'x", 16, "the text has no closing '"),
        ("claims.tier == gold", 16, "`gold` cannot be used in a condition"),
        ("claims.level > 1.5", 16, "`1.5` is not a whole number"),
        ("claims.level > 9007199254740992", 16, "is not a whole number between -2^53 and 2^53"),
        ("claims.level > 007", 16, "`007` is not a whole number"),
        ("claims.level > -", 16, "`-` is not a whole number"),
        ("request.method == 3", 16, "text cannot be compared with a number"),
        ("request.method == 'get'", 19, "methods are case-sensitive: write `GET`"),
        ("time.hour == '9'", 11, "a number cannot be compared with text"),
        ("time.weekday == 'munday'", 17, "`munday` is not a day of the week (did you mean `monday`?)"),
        ("time.now > '2026-03-01'", 12, "`2026-03-01` is not a time in UTC"),
        ("time.now > 5", 12, "write a time as text in UTC"),
        ("path.id < '5'", 9, "only numbers and times can be compared with"),
        ("claims.a < true", 10, "only numbers and times can be compared with"),
        ("'a' == 'b'", 1, "both sides are constants"),
        ("'a' in ['a']", 1, "both sides are constants"),
        ("path.id", 1, "this is not a condition"),
        ("true", 1, "this is not a condition"),
        ("path.id in [1]", 13, "text cannot be compared with a number"),
        ("path.id in header.x", 12, "expected a list"),
        ("path.id in [path.id]", 12, "a list can contain only constants"),
        ("path.id in []", 12, "a list can contain only constants"),
        ("peer.address == '10.0.0.1'", 14, "write `peer.address in"),
        ("peer.address in ['10.0.0.1/8']", 18, "has bits after its prefix"),
        ("peer.address in [1]", 18, "expected a network"),
        ("peer.address in claims.nets", 17, "expected a list of networks"),
        ("client.tags == 'x'", 13, "in client.tags` to test tags"),
        ("client.tags", 1, "this is not a condition"),
        ("client.tags in ['x']", 17, "in client.tags` to test tags"),
        ("claims.a == client.tags", 10, "in client.tags` to test tags"),
        ("text(client.tags) == 'x'", 1, "in client.tags` to test tags"),
        ("contains(client.tags, 'x')", 10, "expected text"),
        ("3 in client.tags", 1, "only text can be in `client.tags`"),
        ("'x' in client.id", 8, "expected a list, such as `[\"a\", \"b\"]`, a claim or `client.tags`"),
        ("client.name == 'x'", 1, "`client.name` cannot be used in a condition"),
        ("client.plans == 'x'", 1, "(did you mean `client.plan`?)"),
        ("client.plan == 3", 13, "text cannot be compared with a number"),
        ("has(claims.a", 13, "expected `)`"),
        ("has claims.a", 5, "expected `(`"),
        ("(claims.a", 10, "expected `)`"),
        ("claims.a claims.b", 10, "expected `and`, `or` or the end"),
        ("claims.a and", 13, "expected one of claims.name"),
        ("claims.x-y == 1", 9, "`-y` is not a whole number"),
        ("claims['x == 1", 8, "the text has no closing '"),
        ("contains(claims.a)", 18, "expected `,`"),
        ("contains(1, 'a')", 10, "expected text"),
        ("claims.café == 1", 11, "unexpected `é`"),
    ] {
        let fault = parse(text).map(|_| ()).expect_err(text);
        if fault.at != at || !fault.message.contains(expected) {
            missed.push((text, fault));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    let deep = |levels: usize| format!("{}claims.a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&deep(30)).is_ok());
    for text in [deep(40), format!("{} claims.a", "not ".repeat(40)), deep(1_000)] {
        assert!(parse(&text).unwrap_err().message.contains("levels deep"));
    }
    assert!(parse(&"claims.a and ".repeat(400)).unwrap_err().message.contains("at most 4096 bytes"));
}
