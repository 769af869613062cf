//! Shared limits as a request meets them: asked together, spent together, and what holds without an answer.

use serde_json::{Value, json};

use super::*;
use crate::config::node::Node;
use crate::policy::Policy;
use crate::policy::decision::{Decision, Verdict};
use crate::policy::limit::store::LocalStore;
use crate::policy::peer::KnownPeer;
use crate::policy::quota::{Fault, Quotas};
use crate::policy::signature::Software;
use crate::policy::token_cache::TokenCache;
use crate::protobuf::{Message, Wire};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A gateway whose rate limit service answers what a test wants.
struct Site {
    policy: Policy,
    quotas: Quotas,
    counts: LocalStore,
    now: Duration,
    /// The `RateLimit-Policy` of the last answer.
    policies: String,
}

impl Site {
    /// With these limits on a route that asks nobody who calls.
    fn new(limits: &Value) -> Site {
        let document = json!({
            "version": "1.0",
            "rate_limit_service": { "cluster": "limits" },
            "limits": limits,
            "routes": [{ "path": "/a", "auth": "none", "response": {} }],
        });
        let policy = Policy::from_node(&Node::from(document), &|_| None).unwrap();
        let now = Duration::from_secs(1_700_000_000);
        Site { policy, quotas: Quotas::new(100), counts: LocalStore::default(), now, policies: String::new() }
    }

    fn decide(&mut self, received_at: Duration, again: bool) -> Verdict<'static> {
        const HEADERS: &[(&[u8], &[u8])] =
            &[(b":method", b"GET"), (b":path", b"/a"), (b":authority", b"a.example"), (b"x-tenant", b"blue")];
        let peer = KnownPeer { address: Some([192, 0, 2, 1].into()), certificate: None };
        let mut world = World {
            now: self.now,
            polled: &mut self.policy.polled(),
            tokens: &mut TokenCache::new(1, 1),
            limits: &mut self.counts,
            quotas: &mut self.quotas,
            verifier: &Software,
            peer: &peer,
            fresh_id: &|| "id".to_string(),
            trace: None,
        };
        self.policy.decide(&RequestParts { headers: HEADERS, received_at, again, ended: true }, &mut world)
    }

    /// One request, whose calls are answered by the limit's name; its status, what the record says of limits, and the calls.
    fn request(&mut self, answer: impl Fn(&str) -> Result<Vec<u8>, Fault>) -> (u16, String, Vec<String>) {
        let (received_at, mut told, mut again) = (self.now, Vec::new(), false);
        loop {
            let verdict = self.decide(received_at, std::mem::replace(&mut again, true));
            let status = match &verdict.decision {
                Decision::Reply(reply) => {
                    let listed = reply.headers.iter().find(|(name, _)| &**name == "ratelimit-policy");
                    self.policies = listed.map(|(_, value)| value.to_string()).unwrap_or_default();
                    reply.status
                }
                Decision::Forward(_) | Decision::Inspect(_) => panic!("the route answers"),
                Decision::Await(_) => 0,
            };
            if status > 0 {
                let record: Value = serde_json::from_str(&verdict.audit.to_json()).unwrap();
                let said =
                    ["limit", "would_limit", "uncounted"].map(|name| record[name].as_str().unwrap_or("-").to_string());
                return (status, said.join(" "), told);
            }
            let calls: Vec<_> = std::iter::from_fn(|| self.quotas.poll_call(self.now)).collect();
            assert!(!calls.is_empty(), "it waits for nothing");
            self.now += Duration::from_millis(1);
            for call in calls {
                let entries = entries(&call.message);
                let bytes = answer(entries.first().map_or("", |(_, name)| name));
                self.quotas.handle_answer(call.account, bytes.as_deref().map_err(|fault| *fault), self.now);
                told.push(entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","));
            }
        }
    }
}

/// The entries of a request's only descriptor.
fn entries(message: &[u8]) -> Vec<(String, String)> {
    let inner = |bytes, wanted| {
        let parts = Message(bytes).flatten();
        parts.filter_map(
            move |part| if let Wire::Bytes(n, bytes) = part { (n == wanted).then_some(bytes) } else { None },
        )
    };
    let text = |entry, field| String::from_utf8(inner(entry, field).next().unwrap().to_vec()).unwrap();
    let descriptor = inner(message, 2).next().unwrap();
    inner(descriptor, 1).map(|entry| (text(entry, 1), text(entry, 2))).collect()
}

fn limit(name: &str, by: Value, settings: Value) -> Value {
    let mut limit = json!({ "name": name, "by": by, "rate": "2/m", "store": "global" });
    limit.as_object_mut().unwrap().extend(settings.as_object().cloned().unwrap());
    limit
}

const GRANTED: &[u8] = b"\x08\x01";
const REFUSED: &[u8] = b"\x08\x02";
/// With a status: two hits in a window that ends in sixty seconds.
const GRANTED_FOR_A_MINUTE: &[u8] = b"\x08\x01\x12\x08\x12\x02\x08\x02\x22\x02\x08\x3c";

#[test]
fn limits_are_asked_together_and_the_service_learns_no_more_than_it_must() {
    let limits = json!([
        limit("by-address", json!("address"), json!({})),
        limit("by-tenant", json!([{ "header": "x-tenant" }, "route"]), json!({})),
        limit("by-none", json!({ "header": "x-none" }), json!({})),
    ]);
    let mut site = Site::new(&limits);
    let began = site.now;
    let (status, said, mut calls) = site.request(|_| Ok(GRANTED.to_vec()));
    assert_eq!((status, said.as_str(), site.now - began), (200, "- - -", Duration::from_millis(1)), "one wait for all");
    calls.sort();
    let [address, none, tenant] = calls.try_into().unwrap();
    assert_eq!(address, "limit=by-address,address=192.0.2.1");
    assert_eq!(none, "limit=by-none,header.x-none=absent");
    let digest =
        tenant.strip_prefix("limit=by-tenant,header.x-tenant=").unwrap().strip_suffix(",route=ANY /a").unwrap();
    assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
}

#[test]
fn what_one_limit_refuses_costs_no_hit_of_another() {
    let limits = json!([limit("a", json!("address"), json!({})), limit("b", json!("route"), json!({}))]);
    let mut site = Site::new(&limits);
    let answer = |name: &str| Ok(if name == "a" { GRANTED_FOR_A_MINUTE } else { REFUSED }.to_vec());
    assert_eq!(site.request(answer).0, 429);
    assert_eq!(site.policies, "\"a\";q=2;w=60, \"b\";q=2;w=60", "the client learns of both");
    // The hit of `a` is still there, so only `b` is asked when its refusal is over.
    site.now += Duration::from_secs(1) + Duration::from_millis(1);
    let (status, said, calls) = site.request(|_| Ok(REFUSED.to_vec()));
    assert_eq!((status, said.as_str()), (429, "b - -"));
    assert_eq!(calls, ["limit=b,route=ANY /a"]);
}

#[test]
fn without_an_answer_holds_what_the_document_says() {
    let failing = |_: &str| Err(Fault::Status(14));
    let mut open = Site::new(&json!([limit("a", json!("address"), json!({ "on_failure": "open" }))]));
    assert_eq!([(); 5].map(|()| open.request(failing).0), [200; 5]);
    assert_eq!(open.request(failing).1, "- - a");
    let mut closed = Site::new(&json!([limit("a", json!("address"), json!({ "on_failure": "closed" }))]));
    let (status, said, _) = closed.request(failing);
    assert_eq!((status, said.as_str()), (503, "a - -"));
    let mut local = Site::new(&json!([limit("a", json!("address"), json!({}))]));
    let statuses = [(); 5].map(|()| local.request(failing).0);
    assert_eq!(statuses, [200, 200, 429, 429, 429], "2/m by this proxy alone");
    local.now += Duration::from_secs(2);
    assert_eq!(local.request(|_| Ok(GRANTED.to_vec())).0, 200, "the service counts again");
}

#[test]
fn a_busy_worker_lifts_no_limit() {
    let status = |on_failure: &str| {
        let mut site = Site::new(&json!([limit("a", json!("address"), json!({ "on_failure": on_failure }))]));
        // A request that finds no room to wait.
        let verdict = site.decide(Duration::ZERO, false);
        let Decision::Reply(reply) = verdict.decision else { panic!("the route answers") };
        (reply.status, verdict.audit.reason, verdict.audit.uncounted.len())
    };
    assert_eq!(status("open"), (503, "rate_limit_worker_busy", 0));
    assert_eq!(status("closed"), (503, "rate_limit_worker_busy", 0));
    assert_eq!(status("local"), (200, "static_route", 1), "counted by this proxy");
}

#[test]
fn a_shadow_refuses_nobody() {
    let mut site = Site::new(&json!([limit("a", json!("address"), json!({ "shadow": true, "on_failure": "closed" }))]));
    let (status, said, _) = site.request(|_| Ok(REFUSED.to_vec()));
    assert_eq!((status, said.as_str()), (200, "- a -"));
    site.now += Duration::from_secs(2);
    assert_eq!(site.request(|_| Err(Fault::NotMade)).0, 200);
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let problems = |document: Value| -> Vec<String> {
        let found = Policy::from_node(&Node::from(document), &|_| None).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.message).collect()
    };
    let with = |service: Value, limit: Value| {
        let mut document = json!({ "version": "1.0", "limits": [limit], "routes": [{ "path": "/a", "auth": "none", "response": {} }] });
        if !service.is_null() {
            document["rate_limit_service"] = service;
        }
        problems(document)
    };
    let service = || json!({ "cluster": "limits" });
    let shared = |settings: Value| limit("a", json!("address"), settings);
    let expected = "`store: global` needs a `rate_limit_service`, and the document has none";
    assert_eq!(with(Value::Null, shared(json!({}))), [expected]);
    let expected = "a rate limit service counts requests; failed authentications are counted here";
    assert_eq!(with(service(), shared(json!({ "counts": "failed_authentications" }))), [expected]);
    let expected = "belongs to a limit with `store: global`";
    let own = json!({ "store": "local", "on_failure": "open", "lease": { "most": 1 } });
    assert_eq!(with(service(), shared(own)), [expected; 2]);
    let slow = json!({ "cluster": "limits", "timeout": "1h", "url": "http://a.example/path" });
    let expected = ["must lie between 1ms and 5s", "the address of a gRPC service has no path"];
    let mut found = with(slow, shared(json!({})));
    found.sort();
    assert_eq!(found, expected);
    let lease = shared(json!({ "lease": { "most": 0, "lasting": "1ms" } }));
    let expected = ["must lie between 10ms and 60s", "`0` is not a whole number from 1 to 1000000"];
    assert_eq!(with(service(), lease), expected);
}
