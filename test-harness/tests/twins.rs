//! The filter in Envoy and the core in this process are given the same requests at random, and must say the same about each.

use anyhow::{Context, Result, ensure};
use test_harness::case::{Case, CaseFile, Proxy};
use test_harness::fuzz::dice::Dice;
use test_harness::native::NativeStage;
use test_harness::outcome::{Outcome, values};
use test_harness::scene::Scene;
use test_harness::stage::Stage;
use test_harness::{core_gateway, envoy};

/// Envoy's defaults, which repair nothing: whatever differs is the filter's doing.
#[test]
fn filter_and_core_say_the_same_about_any_request() -> Result<()> {
    let mut compared = 0;
    for name in FILES {
        let files = CaseFile::read_all()?;
        let mut file = files.into_iter().find(|file| file.stem == name).with_context(|| format!("no cases {name}"))?;
        file.proxy = Proxy::Bare;
        let cases: Vec<Case> = file.cases.drain(..).filter(|case| case.for_envoy() && case.for_native()).collect();
        let mut real = Stage::set(&file, &envoy::module()?)?;
        let mut native = NativeStage::set(Scene::set(&file)?, &file, core_gateway::open)?;
        let mut dice = Dice::new(SEED);
        for _ in 0..ROUNDS {
            let Some(case) = dice.one_of(&cases).cloned() else { break };
            let case = varied(case, &mut dice);
            let (request, in_envoy) = real.run(&case)?;
            // What Envoy itself refuses, the filter never sees.
            if in_envoy
                .audit
                .as_ref()
                .is_none_or(|audit| audit.get("reason").is_none_or(|reason| reason == "ended_before_decision"))
            {
                ensure!(in_envoy.forwarded.is_none(), "forwarded without a record");
                continue;
            }
            let (_, here) = native.run(&case)?;
            let (theirs, ours) = (said(&in_envoy), said(&here));
            let shown = String::from_utf8_lossy(&request.on_the_wire()).into_owned();
            ensure!(theirs == ours, "{name}: Envoy says\n{theirs:#?}\nand the core\n{ours:#?}\nabout\n{shown}");
            compared += 1;
        }
        real.filter_never_failed()?;
    }
    ensure!(compared >= FILES.len() * ROUNDS / 2, "only {compared} requests were compared");
    Ok(())
}

/// The same request with another path, another method, or one more header.
fn varied(mut case: Case, dice: &mut Dice) -> Case {
    case.times = 1;
    case.expect.audit = Some(serde_json::json!({}));
    for _ in 0..=dice.below(2) {
        match dice.below(4) {
            0 => {
                let (name, value) = dice.one_of(&HEADERS).copied().unwrap_or_default();
                case.request.headers.push((name.to_owned(), value.to_owned()));
            }
            1 => {
                case.request.method =
                    dice.one_of(&["GET", "PUT", "DELETE", "OPTIONS"]).copied().unwrap_or("GET").to_owned()
            }
            _ => {
                let at = dice.below(case.request.path.len() + 1).max(1);
                let piece = dice.one_of(&PIECES).copied().unwrap_or_default();
                if case.request.path.is_char_boundary(at) && !case.request.path.contains("${") {
                    case.request.path.insert_str(at, piece);
                }
            }
        }
    }
    case
}

/// Everything that a decision shows: to the client, to the upstream, and to the operator.
fn said(outcome: &Outcome) -> Vec<String> {
    let body = outcome.body_json().unwrap_or_default();
    let code = body.pointer("/error/code").map(ToString::to_string).unwrap_or_default();
    let mut said = vec![format!("status {}", outcome.status), format!("code {code}")];
    for name in ["www-authenticate", "allow", "access-control-allow-origin", "access-control-allow-methods"] {
        said.push(format!("{name}: {:?}", values(&outcome.headers, name)));
    }
    match &outcome.forwarded {
        Some(forwarded) => {
            said.push(format!("{} {} to {}", forwarded.method, forwarded.path, forwarded.upstream));
            for name in ["x-user-id", "x-org-id", "x-user-email", "authorization", "cookie"] {
                said.push(format!("{name}: {:?}", values(&forwarded.headers, name)));
            }
        }
        None => said.push("nothing is forwarded".to_owned()),
    }
    for member in ["decision", "reason", "route", "subject", "issuer"] {
        let value = outcome.audit.as_ref().and_then(|audit| audit.get(member));
        said.push(format!("{member} {}", value.map(ToString::to_string).unwrap_or_default()));
    }
    said
}

const FILES: [&str; 4] = ["bare", "routes", "identity", "scopes"];
const SEED: u64 = 20_240_303;
const ROUNDS: usize = 150;
const HEADERS: [(&str, &str); 8] = [
    ("x-user-id", "root"),
    ("X-User_ID", "root"),
    ("origin", "https://admin.example.com"),
    ("access-control-request-method", "PUT"),
    ("authorization", "Bearer a.b.c"),
    ("authorization", "Basic dXNlcjpwYXNz"),
    ("cookie", "sid=a.b.c; other=1"),
    ("x-portcullis-upstream", "orders"),
];
const PIECES: [&str; 16] =
    ["/", "/..", "//", "%2f", "%2e", "%41", "%e9", ";", "?", "?a=%2F", "x", "/x/y", "%", "..", ":", "@"];
