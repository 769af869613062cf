//! Tests that conditions evaluate as documented.

mod faults;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::policy::authority::circumstances::{Circumstances, Facts};
use crate::policy::compile::conditions::parse;
use crate::policy::credentials::client::Client;
use crate::policy::request::guard::read_target;
use crate::policy::request::peer::KnownPeer;
use crate::policy::request::route::{Method, RouteMatch, RoutePattern, RouteTable};
use crate::policy::request::{Request, RequestParts};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// 2026-03-02, a Monday, 14:30 UTC.
const NOW: u64 = 1_772_461_800;

const TARGET: &str = "/tenants/acme/orders/42?page=2&tag=a&tag=b&name=J%C3%B6rg&%6fp=%70urge&a+b=1&flag&=nameless\
    &bytes=%ff&escape=50%&list[]=1&Case=1&cut=1;hidden=2&x.y=1&+lead=1&nul%00x=1&[front]=1";

/// Evaluates a condition for a request to `/tenants/acme/orders/42` on the route `/tenants/{tenant}/orders/{id}`.
pub(super) fn verdict(text: &str, claims: &Value) -> Option<bool> {
    verdict_on(text, claims, None, "192.0.2.7".parse().ok())
}

fn verdict_on(text: &str, claims: &Value, client: Option<&Client>, address: Option<IpAddr>) -> Option<bool> {
    let (condition, _) = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    let sent: [(&[u8], &[u8]); 9] = [
        (b":method", b"GET"),
        (b":path", TARGET.as_bytes()),
        (b":authority", b"api.example.com"),
        (b"x-tenant", b"acme"),
        (b"x-twice", b"a"),
        (b"x-twice", b"a"),
        (b"x-bytes", b"\xff"),
        (b"x-empty", b""),
        (b"x_action", b"purge"),
    ];
    let parts = RequestParts { headers: &sent, received_at: Duration::ZERO, ended: true };
    let request = Request::read(&parts).unwrap();
    let target = read_target(request.target).unwrap();
    let mut builder = RouteTable::builder();
    builder.insert(&[], RoutePattern::parse("/tenants/{tenant}/orders/{id}").unwrap(), &[], ()).unwrap();
    let table = builder.build();
    let RouteMatch::Route { params, .. } = table.find("", target.path(), &Method::Get) else { panic!("no route") };
    let peer = KnownPeer { address, certificate: None };
    let circumstances = Circumstances {
        request: &request,
        host: "api.example.com",
        target: &target,
        params: Some(params),
        peer: &peer,
        now: Duration::from_secs(NOW),
    };
    condition.verdict(&Facts { claims, client, circumstances: &circumstances })
}

#[test]
fn a_peer_without_an_address_is_neither_inside_nor_outside_a_network() {
    for text in [r#"peer.address in ["0.0.0.0/0", "::/0"]"#, r#"not (peer.address in ["10.0.0.0/8"])"#] {
        assert_eq!(verdict_on(text, &json!({}), None, None), None, "{text}");
    }
    assert_eq!(verdict_on("has(peer.address)", &json!({}), None, None), Some(false));
}

#[test]
fn client_attributes_come_from_the_directory() {
    let client = |id: &str, plan: Option<&str>, tags: &[&str], environment: Option<&str>| Client {
        id: id.into(),
        owner: format!("{id}@example.com").as_str().into(),
        plan: plan.map(Into::into),
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        scopes: None,
        permissions: None,
        token_issuers: None,
        several_issuers: false,
        in_environment: true,
        environment: environment.map(Into::into),
        period: Default::default(),
    };
    let bare = client("bare", None, &[], None);
    let client = client("billing", Some("gold"), &["internal", "nightly"], Some("test"));
    let claims = json!({ "tag": "nightly", "plan": "gold", "level": 3 });
    let (yes, no, unknown) = (Some(true), Some(false), None);
    for (text, of_client, of_bare) in [
        ("client.id == 'billing'", yes, no),
        ("client.id != 'billing'", no, yes),
        ("client.id in ['a', 'billing']", yes, no),
        ("starts_with(client.owner, 'billing@')", yes, no),
        ("client.plan == claims.plan", yes, unknown),
        ("not (client.plan == 'free')", yes, unknown),
        ("not has(client.plan) or client.plan != 'free'", yes, yes),
        ("client.environment == 'test'", yes, unknown),
        ("client.id == path.tenant", no, no),
        ("'internal' in client.tags", yes, no),
        ("claims.tag in client.tags", yes, no),
        ("claims.level in client.tags", unknown, no),
        ("claims.plan in client.tags", no, no),
        ("claims.none in client.tags", unknown, unknown),
        ("not ('external' in client.tags)", yes, yes),
        ("has(client.tags)", yes, yes),
        ("text(client.id) == 'billing'", yes, no),
    ] {
        assert_eq!(verdict_on(text, &claims, Some(&client), None), of_client, "{text}");
        assert_eq!(verdict_on(text, &claims, Some(&bare), None), of_bare, "{text}");
        let of_nobody = verdict_on(text, &claims, None, None);
        let expected = match text {
            "not has(client.plan) or client.plan != 'free'" => yes,
            text if text.starts_with("has(") => no,
            _ => unknown,
        };
        assert_eq!(of_nobody, expected, "without a client: {text}");
    }
}

#[test]
fn conditions_evaluate_as_documented() {
    let claims = json!({
        "tier": "gold", "level": 3, "score": 2.5, "admin": true, "guest": false, "nothing": null, "object": { "a": 1 },
        "roles": ["admin", "staff", 7], "names": ["admin", "staff"], "empty": [], "org": { "id": "acme", "https://x/y": "z" }, "number": 42,
        "big": 9_007_199_254_740_993_u64, "bigger": u64::MAX, "tenant": "acme",
    });
    let (yes, no, unknown) = (Some(true), Some(false), None);
    for (text, expected) in [
        // Conditions on claims
        (r#"claims.tier == "gold""#, yes),
        ("claims.tier == 'gold'", yes),
        (r#"claims.tier == "silver""#, no),
        (r#"claims.tier != "silver""#, yes),
        (r#"claims.tier in ["silver", "gold"]"#, yes),
        (r#"claims.tier in ["silver"]"#, no),
        (r#"claims.org.id == path.tenant"#, yes),
        (r#"claims["org"]["https://x/y"] == "z""#, yes),
        (r#"claims.org["id"] == claims.tenant"#, yes),
        ("claims.level >= 3 and claims.level < 4", yes),
        ("claims.level > 3", no),
        ("claims.level == 3", yes),
        ("claims.score > 2", yes),
        ("claims.score <= 2", no),
        ("claims.admin", yes),
        ("claims.guest", no),
        ("claims.admin == true", yes),
        ("claims.guest != true", yes),
        (r#""admin" in claims.roles"#, yes),
        (r#""owner" in claims.roles"#, unknown),
        ("7 in claims.roles", yes),
        // The item `7` cannot be compared with a string.
        ("path.tenant in claims.roles", unknown),
        ("not ('owner' in claims.roles)", unknown),
        ("path.tenant in claims.names", no),
        ("not ('owner' in claims.names)", yes),
        ("not ('owner' in claims.empty)", yes),
        ("not (claims.roles in claims.empty)", unknown),
        ("not (claims.tier in [1, 'x'])", unknown),
        ("text(claims.number) == path.id", yes),
        ("claims.big == claims.big", yes),
        ("claims.bigger > 0", unknown),
        ("claims.bigger == claims.bigger", unknown),
        ("has(claims.bigger)", yes),
        ("'a' in claims.object", unknown),
        // Absent values, null and values of another type
        ("claims.none == 'x'", unknown),
        ("claims.none != 'x'", unknown),
        ("not (claims.none == 'x')", unknown),
        ("claims.nothing == 'x'", unknown),
        ("claims.none in ['x']", unknown),
        ("'x' in claims.none", unknown),
        ("claims.none", unknown),
        ("claims.tier", unknown),
        ("claims.tier == 3", unknown),
        ("claims.tier != 3", unknown),
        ("claims.level == 'x'", unknown),
        ("claims.number == path.id", unknown),
        ("claims.tier > 3", unknown),
        ("claims.object == 'x'", unknown),
        ("claims.roles == 'admin'", unknown),
        ("claims.tier in [1, 2]", unknown),
        ("'x' in claims.tier", unknown),
        ("has(claims.none)", no),
        ("has(claims.nothing)", no),
        ("has(claims.object)", yes),
        ("not has(claims.none)", yes),
        ("has(claims.none) and claims.none == 'x'", no),
        ("not has(claims.none) or claims.none == 'x'", yes),
        ("claims.none == 'x' or claims.admin", yes),
        ("claims.none == 'x' or claims.guest", unknown),
        ("claims.none == 'x' and claims.admin", unknown),
        ("claims.none == 'x' and claims.guest", no),
        // Precedence of operators
        ("claims.admin or claims.guest and claims.guest", yes),
        ("(claims.admin or claims.guest) and claims.guest", no),
        ("not claims.guest and claims.admin", yes),
        ("not (claims.guest and claims.admin)", yes),
        ("not not claims.admin", yes),
        // Conditions on the request
        (r#"request.method in ["GET", "HEAD"]"#, yes),
        (r#"request.method == "PUT""#, no),
        (r#"request.host == "api.example.com""#, yes),
        (r#"starts_with(request.path, "/tenants/")"#, yes),
        (r#"ends_with(request.host, ".example.org")"#, no),
        (r#"contains(path.tenant, "cm")"#, yes),
        (r#"contains(claims.level, "cm")"#, unknown),
        ("starts_with(request.path, claims.none)", unknown),
        ("path.id == '42'", yes),
        (r#"header["x-tenant"] == path.tenant"#, yes),
        (r#"header["X-Tenant"] == "acme""#, yes),
        (r#"header["x-twice"] == "a""#, unknown),
        (r#"has(header["x-twice"])"#, yes),
        (r#"not has(header["x-twice"])"#, no),
        (r#"header["x-twice"] != "b""#, unknown),
        (r#"not (header["x-twice"] in ["b"])"#, unknown),
        (r#"not (header["x-twice"] in claims.empty)"#, unknown),
        (r#"not starts_with(header["x-twice"], "b")"#, unknown),
        (r#"text(header["x-twice"]) != "b""#, unknown),
        (r#"header["x-bytes"] == "a""#, unknown),
        (r#"header["x-bytes"] != "a""#, unknown),
        (r#"has(header["x-bytes"])"#, yes),
        (r#"header["x-empty"] == """#, yes),
        (r#"has(header["x-empty"])"#, yes),
        (r#"has(header["x-none"])"#, no),
        ("header.accept == 'x'", unknown),
        // An upstream may treat `x_action` as `x-action`.
        (r#"has(header["x-action"])"#, unknown),
        (r#"not has(header["x-action"])"#, unknown),
        (r#"header["x-action"] != "y""#, unknown),
        (r#"header["x_action"] == "purge""#, yes),
        ("query.page == '2'", yes),
        ("query.tag == 'a'", unknown),
        ("query.name == 'Jörg'", yes),
        ("query.none == ''", unknown),
        ("has(query.none)", no),
        ("not has(query.none)", yes),
        ("has(query.tag)", yes),
        ("not has(query.tag)", no),
        ("query.tag != 'c'", unknown),
        ("not (query.tag in ['c'])", unknown),
        ("not contains(query.tag, 'c')", unknown),
        ("query.tag != 'c' or query.page == '2'", yes),
        ("query.tag != 'c' and query.page == '3'", no),
        ("query.op == 'purge'", yes),
        ("has(query['a b'])", yes),
        ("has(query.flag)", yes),
        ("query.flag == ''", yes),
        ("query[''] == 'nameless'", yes),
        ("has(query.bytes)", yes),
        ("query.bytes != 'x'", unknown),
        ("has(query.escape)", yes),
        ("query.escape != 'x'", unknown),
        // Only some upstreams read the following parameters under these names.
        ("has(query.list)", unknown),
        ("not has(query.list)", unknown),
        ("query.list != '2'", unknown),
        ("query['list[]'] == '1'", yes),
        ("has(query.case)", unknown),
        ("has(query.Case)", yes),
        ("has(query.cut)", yes),
        ("query.cut != '2'", unknown),
        ("not has(query.hidden)", unknown),
        ("not has(query.x_y)", unknown),
        ("not has(query.lead)", unknown),
        ("not has(query.nul)", unknown),
        ("not has(query.front)", unknown),
        ("not has(query.pag)", yes),
        ("not has(query.pages)", yes),
        // Conditions on the peer's address
        (r#"peer.address in ["192.0.2.0/24"]"#, yes),
        (r#"peer.address in ["10.0.0.0/8", "2001:db8::/32"]"#, no),
        ("has(peer.address)", yes),
        // Conditions on the time
        ("time.hour >= 9 and time.hour < 17", yes),
        ("time.hour == 14", yes),
        (r#"time.weekday in ["saturday", "sunday"]"#, no),
        (r#"time.weekday == "monday""#, yes),
        (r#"time.now >= "2026-03-02T14:30:00Z""#, yes),
        (r#"time.now > "2026-03-02T14:30:00Z""#, no),
        (r#"time.now < "2026-04-01T00:00:00Z""#, yes),
        ("claims.level < time.now", yes),
    ] {
        assert_eq!(verdict(text, &claims), expected, "{text}");
    }
}
