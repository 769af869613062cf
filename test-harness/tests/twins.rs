//! Tests that the filter in Envoy and the core in this process have the same outcome for the same random requests.

use anyhow::{Context, Result, ensure};
use test_harness::before::Before;
use test_harness::case::{Case, CaseFile, Proxy};
use test_harness::client::Request;
use test_harness::fuzz::rng::Rng;
use test_harness::native::NativeStage;
use test_harness::outcome::{Outcome, values};
use test_harness::scene::Scene;
use test_harness::stage::Stage;
use test_harness::{core_gateway, envoy};

#[test]
fn filter_and_core_make_the_same_decision_about_any_request() -> Result<()> {
    let files = CaseFile::read_all()?;
    let mut rng = Rng::new(SEED);
    let (mut differences, mut compared) = (Vec::new(), 0);
    for name in FILES {
        let file =
            files.iter().find(|file| file.stem == *name).with_context(|| format!("there is no case file {name}"))?;
        let (differ, same) = compare(file.clone(), &mut rng)?;
        differences.extend(differ);
        compared += same;
    }
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n\n"));
    ensure!(compared >= FILES.len() * ROUNDS / 2, "only {compared} requests were compared");
    Ok(())
}

/// Sends variations of the requests in `file` to Envoy and to the core. Returns the differences, and how many requests were
/// compared.
fn compare(mut file: CaseFile, rng: &mut Rng) -> Result<(Vec<String>, usize)> {
    // Without the generated settings, Envoy does not normalize requests, so only the filter can cause a difference.
    file.proxy = Proxy::Bare;
    let cases = std::mem::take(&mut file.cases);
    let cases: Vec<Case> = cases.into_iter().filter(runs_in_both).collect();
    let mut real = Stage::set(&file, &envoy::module()?)?;
    let mut native = NativeStage::set(Scene::set(&file)?, &file, core_gateway::open)?;
    let (mut differences, mut compared) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let case = rng.one_of(&cases).cloned().context("no case runs both in Envoy and natively")?;
        let case = varied(case, round, rng);
        let (request, in_envoy) = real.run(&case)?;
        // If Envoy itself refuses a request, the filter does not receive it, so the results are not compared.
        if !in_envoy.audit.as_ref().is_some_and(|audit| audit["reason"] != "ended_before_decision") {
            ensure!(in_envoy.forwarded.is_none(), "a request without an audit record was forwarded: {request:?}");
            continue;
        }
        let (alike, here) = native.run(&case)?;
        let (theirs, ours) = (said(&request, &in_envoy), said(&alike, &here));
        let unlike = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours);
        let unlike: Vec<_> = unlike.map(|(theirs, ours)| format!("  Envoy: {theirs}\n  core:  {ours}")).collect();
        if !unlike.is_empty() {
            let shown = String::from_utf8_lossy(&request.on_the_wire()).into_owned();
            differences.push(format!("{}: {}\n{}\nabout\n{shown}", file.stem, case.name, unlike.join("\n")));
        }
        compared += 1;
    }
    real.filter_never_failed()?;
    Ok((differences, compared))
}

/// Returns whether a case can be compared. With its default settings, Envoy takes the client's address from
/// `x-forwarded-for`, but the native run does not. Therefore this test skips requests that set the address.
fn runs_in_both(case: &Case) -> bool {
    let tells_an_address = |(name, _): &(String, String)| name.eq_ignore_ascii_case("x-forwarded-for");
    case.for_envoy()
        && case.for_native()
        && case.request.from.is_none()
        && !case.request.headers.iter().any(tells_an_address)
}

/// Returns a case whose request has random changes, and a request id to find its audit record.
fn varied(mut case: Case, round: usize, rng: &mut Rng) -> Case {
    case.times = 1;
    case.before = Before::default();
    case.expect.audit = Some(serde_json::json!({}));
    let request = &mut case.request;
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("x-request-id"));
    request.headers.push(("x-request-id".to_owned(), format!("twin-{round}")));
    for _ in 0..=rng.below(2) {
        match rng.below(4) {
            0 => {
                let (name, value) = rng.one_of(HEADERS).copied().unwrap_or_default();
                request.headers.push((name.to_owned(), value.to_owned()));
            }
            1 => request.method = rng.one_of(METHODS).copied().unwrap_or("GET").to_owned(),
            _ => {
                let at = rng.below(request.path.len() + 1).max(1);
                let piece = rng.one_of(PIECES).copied().unwrap_or_default();
                if request.path.is_char_boundary(at) && !request.path.contains("${") {
                    request.path.insert_str(at, piece);
                }
            }
        }
    }
    case
}

/// Returns all visible effects of a decision: on the client, on the upstream, and in the audit record.
fn said(request: &Request, outcome: &Outcome) -> Vec<String> {
    let body = outcome.body_json().unwrap_or_default();
    let shown = |from: &serde_json::Value, pointer| from.pointer(pointer).map(ToString::to_string).unwrap_or_default();
    let mut said = vec![format!("status {}", outcome.status)];
    said.extend(["/error/code", "/error/details"].map(|part| format!("{part} {}", shown(&body, part))));
    said.extend(ANSWERED.map(|name| format!("{name}: {:?}", values(&outcome.headers, name))));
    let forwarded = outcome.forwarded.as_ref();
    said.push(forwarded.map_or_else(
        || "nothing is forwarded".to_owned(),
        |request| format!("{} {} to {}", request.method, request.path, request.upstream),
    ));
    said.extend(FORWARDED.map(|name| {
        let values = forwarded.map(|forwarded| values(&forwarded.headers, name)).unwrap_or_default();
        // Envoy and the core get tokens of different issuers, so forwarded tokens differ. Therefore a value that equals a sent
        // value is replaced with `as sent`.
        let as_sent = |value: &String| request.headers.iter().any(|(_, sent)| sent == value.as_bytes());
        let values: Vec<_> = values.iter().map(|value| if as_sent(value) { "as sent" } else { value }).collect();
        format!("upstream {name}: {values:?}")
    }));
    let audit = outcome.audit.clone().unwrap_or_default();
    said.extend(RECORDED.map(|member| format!("record {member} {}", shown(&audit, member))));
    said
}

const FILES: &[&str] =
    &["bare", "routes", "identity", "scopes", "cors", "permissions", "api_keys", "auth_any_all", "when", "checks"];
const SEED: u64 = 20_240_303;
const ROUNDS: usize = 80;
const METHODS: &[&str] = &["GET", "PUT", "DELETE", "OPTIONS"];
const HEADERS: &[(&str, &str)] = &[
    ("x-user-id", "root"),
    ("X-User_ID", "root"),
    ("origin", "https://admin.example.com"),
    ("access-control-request-method", "PUT"),
    ("authorization", "Bearer a.b.c"),
    ("authorization", "Basic dXNlcjpwYXNz"),
    ("cookie", "sid=a.b.c; other=1"),
    ("x-portcullis-upstream", "orders"),
    ("x-api-key", "pck_live_none"),
    ("content-type", "application/grpc"),
];
const PIECES: &[&str] =
    &["/", "/..", "//", "%2f", "%2e", "%41", "%e9", ";", "?", "?a=%2F", "x", "/x/y", "%", "..", ":", "@"];
const ANSWERED: [&str; 6] =
    ["www-authenticate", "allow", "retry-after", "access-control-allow-origin", "access-control-allow-methods", "vary"];
const FORWARDED: [&str; 6] = ["x-user-id", "x-org-id", "x-user-email", "x-permissions", "authorization", "cookie"];
const RECORDED: [&str; 7] = ["/decision", "/reason", "/route", "/subject", "/issuer", "/client", "/credential"];
