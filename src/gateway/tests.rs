//! Tests of limits with `store: global`, which a rate limit service counts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::node::Node;
use crate::gateway::FAST_TICK;
use crate::gateway::Gateway;
use crate::gateway::call::{Answer, CallRequest, GrpcMessage};
use crate::gateway::command::Command;
use crate::gateway::shared::LocalData;
use crate::gateway::simulation::{SimulatedHost, StillWaiting};
use crate::gateway::transaction::Transaction;
use crate::gateway::waiting::{MAX_WOKEN, StreamId};
use crate::policy::Policy;
use crate::policy::verdict::audit::RequestEnd;
use crate::policy::verdict::wait::{Await, Awaited, PolledId};
use crate::protobuf::{Message, Wire};
#[cfg(target_os = "unknown")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A gateway in which each test supplies the answers of the rate limit service.
struct TestSite {
    gateway: Gateway,
    host: SimulatedHost<'static>,
    /// The `RateLimit-Policy` of the last answer.
    policies: String,
    /// The names of the counters that the last request increased.
    counted: Vec<String>,
}

/// A response message of the rate limit service.
struct Answered(Vec<u8>);

impl GrpcMessage for Answered {
    fn bytes(&self, _max: usize) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }
}

impl TestSite {
    /// Creates a gateway that has these limits and one route without authentication.
    fn new(limits: &Value) -> TestSite {
        let document = json!({
            "version": "1.0",
            "rate_limit_service": { "cluster": "limits" },
            "limits": limits,
            "routes": [{ "path": "/a", "auth": "none", "response": {} }],
        });
        let policy = Policy::from_node(&Node::from(document), &|_| None).unwrap();
        let mut host = SimulatedHost::new(Duration::from_secs(1_700_000_000));
        host.stream.peer.address = Some([192, 0, 2, 1].into());
        TestSite {
            gateway: Gateway::new(Arc::new(policy), &LocalData::default()),
            host,
            policies: String::new(),
            counted: Vec::new(),
        }
    }

    /// Runs one request. `answer` gets the name of a limit and returns the rate limit service's response about it. Returns the
    /// status of the reply, the limits in the audit record, and the descriptor of each call.
    fn request(&mut self, answer: impl Fn(&str) -> Result<Vec<u8>, u32>) -> (u16, String, Vec<String>) {
        let mut calls = Vec::new();
        let mut transaction = Transaction::new(StreamId::default());
        let gateway = &self.gateway;
        let sent = self.host.run(gateway, &mut transaction, HEADERS, None, |host, _| {
            host.now += Duration::from_millis(1);
            let due: Vec<_> = std::iter::from_fn(|| gateway.next_call(host.now)).collect();
            assert!(!due.is_empty(), "the request does not wait");
            for call in due {
                let CallRequest::Grpc { message, .. } = &call.request else { panic!("a call over HTTP") };
                let entries = entries(message);
                let answered = answer(entries.first().map_or("", |(_, name)| name)).map(Answered);
                let answered = match &answered {
                    Ok(message) => Answer::Message(message),
                    Err(status) => Answer::Status(*status),
                };
                gateway.on_answer(call.id, answered, host.now, &LocalData::default());
                calls.push(entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","));
            }
            Ok::<(), StillWaiting>(())
        });
        let reply = sent.unwrap().reply.unwrap();
        let counted =
            transaction.on_done(gateway, RequestEnd::default, String::new).into_iter().filter_map(|command| {
                match command {
                    Command::Count(count) => Some(count.statistic()),
                    _ => None,
                }
            });
        self.counted = counted.collect();
        let listed = reply.headers.iter().find(|(name, _)| &**name == "ratelimit-policy");
        self.policies = listed.map(|(_, value)| value.to_string()).unwrap_or_default();
        let record: Value = serde_json::from_str(&transaction.record().to_json()).unwrap();
        let limits = ["limit", "would_limit", "uncounted"].map(|name| record[name].as_str().unwrap_or("-").to_string());
        (reply.status, limits.join(" "), calls)
    }
}

const HEADERS: &[(&[u8], &[u8])] =
    &[(b":method", b"GET"), (b":path", b"/a"), (b":authority", b"a.example"), (b"x-tenant", b"blue")];

/// Returns the entries of the only descriptor in a request message.
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
/// An allowing response with a descriptor status: the limit is two hits per window, and the window ends in sixty seconds.
const GRANTED_FOR_A_MINUTE: &[u8] = b"\x08\x01\x12\x08\x12\x02\x08\x02\x22\x02\x08\x3c";

#[test]
fn limits_are_queried_together_and_the_service_receives_only_required_data() {
    let limits = json!([
        limit("by-address", json!("address"), json!({})),
        limit("by-tenant", json!([{ "header": "x-tenant" }, "route"]), json!({})),
        limit("by-none", json!({ "header": "x-none" }), json!({})),
    ]);
    let mut site = TestSite::new(&limits);
    let began = site.host.now;
    let (status, said, mut calls) = site.request(|_| Ok(GRANTED.to_vec()));
    assert_eq!(
        (status, said.as_str(), site.host.now - began),
        (200, "- - -", Duration::from_millis(1)),
        "one wait for all limits"
    );
    calls.sort();
    let [address, none, tenant] = calls.try_into().unwrap();
    assert_eq!(address, "limit=by-address,address=192.0.2.1");
    assert_eq!(none, "limit=by-none,header.x-none=absent");
    let digest =
        tenant.strip_prefix("limit=by-tenant,header.x-tenant=").unwrap().strip_suffix(",route=ANY /a").unwrap();
    assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
}

#[test]
fn a_refusal_by_one_limit_costs_no_hit_of_another() {
    let limits = json!([limit("a", json!("address"), json!({})), limit("b", json!("route"), json!({}))]);
    let mut site = TestSite::new(&limits);
    let answer = |name: &str| Ok(if name == "a" { GRANTED_FOR_A_MINUTE } else { REFUSED }.to_vec());
    assert_eq!(site.request(answer).0, 429);
    assert_eq!(site.policies, "\"a\";q=2;w=60, \"b\";q=2;w=60", "the client sees both limits");
    // The first request reserved a hit of `a` and did not use it, and the cached refusal of `b` has expired. So the gateway
    // queries only `b`.
    site.host.now += Duration::from_secs(1) + Duration::from_millis(1);
    let (status, said, calls) = site.request(|_| Ok(REFUSED.to_vec()));
    assert_eq!((status, said.as_str()), (429, "b - -"));
    assert_eq!(calls, ["limit=b,route=ANY /a"]);
}

#[test]
fn on_failure_applies_without_an_answer() {
    let failing = |_: &str| Err(14);
    let mut open = TestSite::new(&json!([limit("a", json!("address"), json!({ "on_failure": "open" }))]));
    assert_eq!([(); 5].map(|()| open.request(failing).0), [200; 5]);
    assert_eq!(open.request(failing).1, "- - a");
    let mut closed = TestSite::new(&json!([limit("a", json!("address"), json!({ "on_failure": "closed" }))]));
    let (status, said, _) = closed.request(failing);
    assert_eq!((status, said.as_str()), (503, "a - -"));
    let mut local = TestSite::new(&json!([limit("a", json!("address"), json!({}))]));
    let statuses = [(); 5].map(|()| local.request(failing).0);
    assert_eq!(statuses, [200, 200, 429, 429, 429], "2/m counted by this proxy");
    local.host.now += Duration::from_secs(2);
    assert_eq!(local.request(|_| Ok(GRANTED.to_vec())).0, 200, "the service counts again");
}

#[test]
fn a_busy_worker_does_not_bypass_limits() {
    let status = |on_failure: &str| {
        let mut site = TestSite::new(&json!([limit("a", json!("address"), json!({ "on_failure": on_failure }))]));
        // Fills the list of waiting requests.
        let wait = Await { on: Awaited::Document(PolledId(0)), until: Duration::MAX };
        (1..=2_000).for_each(|id| site.gateway.waiting.borrow_mut().insert(StreamId(id), wait.clone()));
        let mut transaction = Transaction::new(StreamId::default());
        let sent = site.host.run(&site.gateway, &mut transaction, HEADERS, None, |_, _| Err(StillWaiting)).unwrap();
        let audit = transaction.record();
        (sent.reply.unwrap().status, audit.reason, audit.uncounted.len())
    };
    assert_eq!(status("open"), (503, "rate_limit_worker_busy", 0));
    assert_eq!(status("closed"), (503, "rate_limit_worker_busy", 0));
    assert_eq!(status("local"), (200, "static_route", 1), "counted by this proxy");
}

#[test]
fn a_shadow_limit_refuses_no_request() {
    let mut site =
        TestSite::new(&json!([limit("a", json!("address"), json!({ "shadow": true, "on_failure": "closed" }))]));
    let (status, said, _) = site.request(|_| Ok(REFUSED.to_vec()));
    assert_eq!((status, said.as_str()), (200, "- a -"));
    site.host.now += Duration::from_secs(2);
    assert_eq!(site.request(|_| Err(14)).0, 200);
}

#[test]
fn an_outage_of_the_service_wakes_requests_in_several_ticks() {
    let mut site =
        TestSite::new(&json!([limit("a", json!({ "header": "x-tenant" }), json!({ "on_failure": "open" }))]));
    let tenants: Vec<String> = (0..200).map(|n| format!("tenant-{n}")).collect();
    for (id, tenant) in (1..).zip(&tenants) {
        let headers = [&HEADERS[..3], &[(b"x-tenant".as_slice(), tenant.as_bytes())]].concat();
        let mut transaction = Transaction::new(StreamId(id));
        site.host.with(None, |host| transaction.on_request_headers(&site.gateway, &headers, true, host));
        assert!(transaction.awaited().is_some());
    }
    let _usual = site.gateway.next_tick();
    let mut ticks = 0;
    let mut due = 0;
    while due < tenants.len() {
        let mut woken = 0;
        let before = due;
        let shared = LocalData::default();
        while let Some(outcome) = site.gateway.start_calls(site.host.now, &shared, &mut woken, None, |_| false) {
            due += outcome.due.len();
        }
        assert!(due - before <= 2 * MAX_WOKEN && due > before, "{} requests in one event", due - before);
        ticks += 1;
    }
    assert!(ticks > 1);
    assert_eq!(site.gateway.next_tick(), Some(FAST_TICK));
}

#[test]
fn a_refusal_keeps_the_shadow_limits_that_would_have_refused() {
    let shadow = limit("a", json!("address"), json!({ "shadow": true }));
    let mut site = TestSite::new(&json!([shadow, limit("b", json!("route"), json!({}))]));
    let (status, limits, _) = site.request(|_| Ok(REFUSED.to_vec()));
    assert_eq!((status, limits.as_str()), (429, "b a -"));
    let counted = [
        "requests_total;decision=deny;route=ANY /a",
        "refusals_total;reason=rate_limited;status=429",
        "limit_hits_total;limit=b;mode=enforced",
        "limit_hits_total;limit=a;mode=shadow",
    ];
    assert_eq!(
        site.counted,
        counted.map(|name| format!("portcullis_{name}")),
        "counted once, although the request waited"
    );
}

#[test]
fn limits_that_cannot_be_shared_are_rejected() {
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
    let expected =
        "a rate limit service counts only requests: remove `store: global` from this limit of failed authentications";
    assert_eq!(with(service(), shared(json!({ "counts": "failed_authentications" }))), [expected]);
    let expected = "can be set only for a limit with `store: global`";
    let own = json!({ "store": "local", "on_failure": "open", "lease": { "most": 1 } });
    assert_eq!(with(service(), shared(own)), [expected; 2]);
    let slow = json!({ "cluster": "limits", "timeout": "1h", "url": "http://a.example/path" });
    let expected = ["must be between 1ms and 5s", "the address of a gRPC service must not have a path"];
    let mut found = with(slow, shared(json!({})));
    found.sort();
    assert_eq!(found, expected);
    let lease = shared(json!({ "lease": { "most": 0, "lasting": "1ms" } }));
    let expected = ["must be between 10ms and 1m", "`0` is not a whole number from 1 to 1000000"];
    assert_eq!(with(service(), lease), expected);
}
