//! Tests the permissions that the filter passes to later filters in the same proxy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_harness::client::Request;
use test_harness::clock::Deadline;
use test_harness::trial::{self, Gate, HOST, Servers, below, http};

use crate::Trap;

pub const TRAPS: &[Trap] = &[("3.1 a later filter and the access log can read the caller's permissions", filter_state)];

/// Checks that a later filter and the access log can read the filter state. The later filter copies the state into a header,
/// which the upstream echoes.
fn filter_state() -> Result<()> {
    let servers = Servers::start()?;
    let mut policy = servers.policy();
    let document = policy.as_object_mut().context("the document is not an object")?;
    document.insert("permissions".into(), json!({ "LIC": { "READ": { "bit": 0, "description": "Read" } } }));
    for (form, expected) in [(Some("masks"), "LIC=1"), (Some("names"), "LIC.READ"), (None, "-")] {
        let forward = form.map_or(json!({}), |form| json!({ "filter_state": form }));
        policy.as_object_mut().context("the document is not an object")?.insert("forward_permissions".into(), forward);
        let mut gate = Gate::with_changes(&policy, |config| {
            let state = "%FILTER_STATE(wasm.portcullis.permissions:PLAIN)%";
            let kind = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
            let append = json!({ "header": { "key": "x-seen", "value": format!("seen {state}") } });
            let later = json!({ "name": "later", "typed_config": { "@type": kind,
                "mutations": { "request_mutations": [{ "append": append }] } } });
            let filters = below(http(config)?, "/http_filters")?.as_array_mut().context("no list of filters")?;
            filters.insert(1, later);
            let kind = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
            let format = json!({ "text_format_source": { "inline_string": format!("permissions <{state}>\n") } });
            let log = json!({ "name": "log", "typed_config": { "@type": kind, "log_format": format } });
            let http = http(config)?.as_object_mut().context("the settings are not an object")?;
            let logs = http.entry("access_log").or_insert_with(|| json!([]));
            logs.as_array_mut().context("no list of loggers")?.push(log);
            Ok(())
        })?;
        let token = servers.token(&json!({ "LIC": 3 }))?;
        let response = gate.send(&trial::bearer(Request::new("GET", "/orders/1", HOST), &token))?;
        ensure!(response.status == 200, "{form:?}: {}", response.status);
        let received = servers.upstream.received().take();
        let seen = received.iter().flat_map(|request| &request.headers).find(|(name, _)| name == "x-seen");
        let seen = seen.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        // For an absent value, Envoy writes `-` into a log and nothing into a header.
        let shown = format!("seen {expected}").trim_end_matches(" -").to_owned();
        ensure!(seen.as_deref() == Some(shown.as_str()), "{form:?}: a later filter saw {seen:?}");
        let line = format!("permissions <{expected}>");
        ensure!(logged(&gate, &line), "{form:?}: the access log has no `{line}`");
        gate.never_failed()?;
    }
    Ok(())
}

/// Returns whether Envoy's log contains the line `line`. Waits up to ten seconds, because Envoy writes its access log with a
/// delay.
fn logged(gate: &Gate, line: &str) -> bool {
    let written = || gate.envoy.lines().iter().any(|written| written == line).then_some(());
    Deadline::after(Duration::from_secs(10)).poll(written).is_some()
}
