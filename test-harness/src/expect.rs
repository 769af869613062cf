//! Compares the outcome of a request with the expected outcome and describes each difference in one line.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::case::{Expect, HeaderIs, Stated, UpstreamIs};
use crate::outcome::{self, Forwarded, Headers, Outcome};
use crate::place::Places;

/// Returns all differences. An empty list means that the case passes.
pub fn differences(expect: &Expect, places: &Places, outcome: &Outcome) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if outcome.status != expect.status {
        found.push(format!("status: expected {}, got {}", expect.status, outcome.status));
    }
    let body = outcome.body_json();
    if let Some(code) = &expect.code {
        let got = body.as_ref().and_then(|body| body.pointer("/error/code"));
        if got.and_then(Value::as_str) != Some(code) {
            found.push(format!("error.code: expected {code}, got {}", shown(got)));
        }
        envelope(&mut found, outcome);
    }
    headers(&mut found, "response header", &expect.headers, places, &outcome.headers)?;
    same_id(&mut found, outcome);
    not_headers(&mut found, "response header", &expect.not_headers, places, &outcome.headers)?;
    if let Some(wanted) = &expect.body_json {
        contained(&mut found, "body", &places.fill_all(wanted)?, body.as_ref());
    }
    if let Some(wanted) = &expect.body {
        let got = String::from_utf8_lossy(&outcome.body);
        if places.fill(wanted)? != got {
            found.push(format!("body: expected `{wanted}`, got `{got}`"));
        }
    }
    match (&expect.upstream, &outcome.forwarded) {
        (Stated::Null, Some(reached)) => found.push(reached_all_the_same(reached)),
        (Stated::Unsaid, Some(reached)) if expect.code.is_some() => found.push(reached_all_the_same(reached)),
        (Stated::This(_), None) => found.push("upstream: expected a request, none arrived".to_owned()),
        (Stated::This(wanted), Some(got)) => upstream(&mut found, wanted, places, got)?,
        _ => {}
    }
    if let Some(wanted) = expect.fetches.filter(|wanted| *wanted != outcome.fetches) {
        found.push(format!("fetches of the key set: expected {wanted}, got {}", outcome.fetches));
    }
    if let Some(wanted) = &expect.audit {
        contained(&mut found, "audit", &places.fill_all(wanted)?, outcome.audit.as_ref());
    }
    Ok(found)
}

fn upstream(found: &mut Vec<String>, wanted: &UpstreamIs, places: &Places, got: &Forwarded) -> Result<()> {
    let texts = [
        ("name", &wanted.name, &got.upstream),
        ("method", &wanted.method, &got.method),
        ("path", &wanted.path, &got.path),
    ];
    for (what, wanted, got) in texts {
        if wanted.as_ref().is_some_and(|wanted| wanted != got) {
            found.push(format!("upstream {what}: expected `{}`, got `{got}`", wanted.as_deref().unwrap_or_default()));
        }
    }
    if wanted.body_bytes.is_some_and(|wanted| wanted != got.body_bytes) {
        let wanted = wanted.body_bytes.unwrap_or_default();
        found.push(format!("upstream body: expected {wanted} bytes, got {}", got.body_bytes));
    }
    not_headers(found, "upstream header", &wanted.not_headers, places, &got.headers)?;
    headers(found, "upstream trailer", &wanted.trailers, places, &got.trailers)?;
    headers(found, "upstream header", &wanted.headers, places, &got.headers)
}

fn headers(
    found: &mut Vec<String>,
    what: &str,
    wanted: &BTreeMap<String, HeaderIs>,
    places: &Places,
    got: &Headers,
) -> Result<()> {
    for (name, wanted) in wanted {
        let got = outcome::values(got, name);
        let (holds, wanted) = match wanted {
            HeaderIs::Line(line) if line == "-" => (got.is_empty(), "absence".to_owned()),
            HeaderIs::Line(line) if line == "*" => (!got.is_empty(), "presence".to_owned()),
            HeaderIs::Line(line) => {
                let line = places.fill(line)?;
                (matches!(got.as_slice(), [got] if alike(&line, got)), format!("`{line}`"))
            }
            HeaderIs::Lines(lines) => {
                let lines = lines.iter().map(|line| places.fill(line)).collect::<Result<Vec<_>>>()?;
                // Several lines have the same meaning as one line with commas (RFC 9110 §5.3), and Envoy may join lines.
                (members(&got).eq(members(&lines)), format!("{lines:?}"))
            }
        };
        if !holds {
            found.push(format!("{what} {name}: expected {wanted}, got {got:?}"));
        }
    }
    Ok(())
}

/// Compares two strings. In `wanted`, `{5..9}` matches any integer from 5 to 9. Case files use such ranges for values that depend
/// on the time between two requests.
fn alike(wanted: &str, got: &str) -> bool {
    let range = wanted.split_once('{').and_then(|(before, rest)| {
        let (range, after) = rest.split_once('}')?;
        let (least, most) = range.split_once("..")?;
        Some((before, least.parse::<u64>().ok()?, most.parse::<u64>().ok()?, after))
    });
    let Some((before, least, most, after)) = range else { return wanted == got };
    let Some(rest) = got.strip_prefix(before) else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    number.parse().is_ok_and(|number| (least..=most).contains(&number)) && alike(after, rest)
}

fn members(lines: &[impl AsRef<str>]) -> impl Iterator<Item = &str> {
    lines.iter().flat_map(|line| line.as_ref().split(',')).map(str::trim)
}

fn not_headers(
    found: &mut Vec<String>,
    what: &str,
    unwanted: &BTreeMap<String, String>,
    places: &Places,
    got: &Headers,
) -> Result<()> {
    for (name, unwanted) in unwanted {
        let unwanted = places.fill(unwanted)?;
        if members(&outcome::values(got, name)).any(|member| member == unwanted) {
            found.push(format!("{what} {name}: must not be `{unwanted}`"));
        }
    }
    Ok(())
}

/// Checks the body of a refusal byte for byte, and checks the headers that every refusal has.
fn envelope(found: &mut Vec<String>, outcome: &Outcome) {
    let body = outcome.body_json().unwrap_or_default();
    let text = |at| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let [code, message, time] = ["/error/code", "/error/message", "/metadata/timestamp"].map(text);
    let id = outcome::values(&outcome.headers, "x-request-id").concat();
    let details = details(&body);
    let wanted = format!(
        r#"{{"error":{{"code":"{code}","message":"{message}","request_id":"{id}"{details}}},"metadata":{{"success":false,"timestamp":"{time}"}}}}"#
    );
    // If Envoy sends the refusal itself, it formats the body from JSON and appends a newline.
    let got = String::from_utf8_lossy(&outcome.body);
    if got.trim_end_matches('\n') != wanted {
        found.push(format!("envelope: expected `{wanted}`, got `{got}`"));
    }
    if id.is_empty() || message.is_empty() {
        found.push("envelope: a message and a request id were expected".to_owned());
    }
    if !is_timestamp(time) {
        found.push(format!("envelope: `{time}` is not a time like 2024-03-01T10:00:00Z"));
    }
    for (name, wanted) in [("content-type", "application/json"), ("cache-control", "no-store")] {
        let got = outcome::values(&outcome.headers, name);
        if got != [wanted] {
            found.push(format!("response header {name}: expected `{wanted}`, got {got:?}"));
        }
    }
}

/// Formats `error.details`, the findings about an invalid request, exactly as the filter must write them. Returns an empty
/// string if the refusal has no findings.
fn details(body: &Value) -> String {
    let Some(Value::Array(findings)) = body.pointer("/error/details") else { return String::new() };
    let text = |finding: &Value, name| finding.get(name).unwrap_or(&Value::Null).to_string();
    let one = |f: &Value| format!(r#"{{"pointer":{},"message":{}}}"#, text(f, "pointer"), text(f, "message"));
    format!(r#","details":[{}]"#, findings.iter().map(one).collect::<Vec<_>>().join(","))
}

/// Checks that the client and the upstream received the same request id.
fn same_id(found: &mut Vec<String>, outcome: &Outcome) {
    let client = outcome::values(&outcome.headers, "x-request-id");
    let upstream = outcome.forwarded.as_ref().map(|seen| outcome::values(&seen.headers, "x-request-id"));
    if upstream.as_ref().is_some_and(|upstream| *upstream != client) {
        found.push(format!("x-request-id: the client has {client:?}, the upstream {upstream:?}"));
    }
}

fn is_timestamp(text: &str) -> bool {
    let form = "0000-00-00T00:00:00Z";
    let alike = |(have, form): (u8, u8)| if form == b'0' { have.is_ascii_digit() } else { have == form };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(alike)
}

/// Checks that `got` contains `wanted`. Objects may have additional members. Lists must have the same length, and plain values
/// must be equal. `"*"` matches any value.
fn contained(found: &mut Vec<String>, at: &str, wanted: &Value, got: Option<&Value>) {
    match (wanted, got) {
        (Value::String(any), Some(_)) if any == "*" => {}
        (Value::Object(wanted), Some(Value::Object(got))) => {
            for (name, wanted) in wanted {
                contained(found, &format!("{at}.{name}"), wanted, got.get(name));
            }
        }
        (Value::Array(wanted), Some(Value::Array(got))) if wanted.len() == got.len() => {
            for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                contained(found, &format!("{at}[{index}]"), wanted, Some(got));
            }
        }
        (wanted, Some(got)) if wanted == got => {}
        (wanted, got) => found.push(format!("{at}: expected {wanted}, got {}", shown(got))),
    }
}

fn shown(got: Option<&Value>) -> String {
    got.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

fn reached_all_the_same(reached: &Forwarded) -> String {
    format!("upstream: must not be reached, but got {} {}", reached.method, reached.path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expect(text: &str) -> Expect {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn every_difference_is_found() {
        let wanted = expect(
            "{status: 401, code: UNAUTHORIZED, headers: {x-a: '1', x-b: '-', x-c: '*'}, audit: {reason: no_token}}",
        );
        let outcome = Outcome {
            status: 200,
            headers: vec![("x-a".into(), b"2".to_vec()), ("x-b".into(), b"".to_vec())],
            body: b"{}".to_vec(),
            forwarded: Some(Forwarded::default()),
            audit: Some(json!({ "reason": "expired" })),
            fetches: 0,
        };
        let found = differences(&wanted, &Places::default(), &outcome).unwrap();
        assert_eq!(found.len(), 12, "{found:#?}");
    }

    #[test]
    fn a_range_stands_for_its_numbers_and_nothing_else() {
        for (wanted, got, holds) in [
            ("t={5..9}", "t=5", true),
            ("t={5..9}", "t=9", true),
            ("t={5..9}", "t=10", false),
            ("t={5..9}", "t=", false),
            ("t={5..9};x", "t=7;x", true),
            ("t={5..9};x", "t=7;y", false),
            ("{a}", "{a}", true),
            ("a", "b", false),
        ] {
            assert_eq!(alike(wanted, got), holds, "{wanted} {got}");
        }
    }

    #[test]
    fn null_says_that_no_upstream_may_be_reached() {
        let reached = Outcome { status: 200, forwarded: Some(Forwarded::default()), ..Outcome::default() };
        let count = |text: &str| differences(&expect(text), &Places::default(), &reached).unwrap().len();
        assert_eq!(count("{status: 200, upstream: null}"), 1);
        assert_eq!(count("{status: 200}"), 0);
        assert_eq!(count("{status: 200, upstream: {path: /x}}"), 1);
    }
}
