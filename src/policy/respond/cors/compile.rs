//! Compiles the `cors` section, and rejects unsafe or ineffective settings.

use std::sync::Arc;

use super::{AllowedHeaders, CorsPolicy, ListedOrigin, Methods, Origins, names};
use crate::config::document::Cors;
use crate::config::header_name::is_token;
use crate::config::problem::{At, Problems};
use crate::config::schema_keys::cors::MAX_AGE;
use crate::policy::request::origin::OriginPattern;
use crate::policy::verdict::plan::CorsResponse;

/// Compiles a section. Do not use the result if problems were added.
pub(super) fn policy(section: &Cors, problems: &mut Problems) -> CorsPolicy {
    let patterns = origins(section, problems);
    let mut policy = CorsPolicy {
        origins: Origins::These { exact: Vec::new(), subdomains: Vec::new(), refused: refused() },
        methods: methods(section, problems),
        headers: headers(section, problems),
        expose: expose(section, problems),
        credentials: section.allow_credentials,
        max_age: max_age(section, problems),
        private_network: section.allow_private_network,
    };
    policy.origins = arrange(&policy, patterns);
    policy
}

/// Builds the CORS headers of each origin in advance.
fn arrange(policy: &CorsPolicy, patterns: Vec<OriginPattern>) -> Origins {
    let (mut exact, mut subdomains) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let origin: Arc<str> = match &pattern {
            OriginPattern::Any => return Origins::Any(Arc::new(policy.allowing(Arc::from("*")))),
            OriginPattern::Null => Arc::from("null"),
            OriginPattern::Exact { text, .. } => Arc::from(text.as_str()),
            OriginPattern::Subdomains { .. } => {
                subdomains.push(pattern);
                continue;
            }
        };
        exact.push(ListedOrigin { response: Arc::new(policy.allowing(origin.clone())), origin });
    }
    exact.sort_by(|a, b| a.origin.cmp(&b.origin));
    Origins::These { exact, subdomains, refused: refused() }
}

/// Returns the CORS headers for origins that are not allowed, and for requests without an origin. The response depends on the
/// origin, so caches need `Vary` (Fetch §3.2.5).
fn refused() -> Arc<CorsResponse> {
    Arc::new(CorsResponse { set: Vec::new(), vary: Some(Arc::from("Origin")), remove: &names::RESPONSE_HEADERS })
}

fn origins(section: &Cors, problems: &mut Problems) -> Vec<OriginPattern> {
    if section.allow_origins.is_empty() {
        problems.add(&section.place, "`allow_origins` is empty: list at least one origin, or omit `cors`");
    }
    let mut patterns: Vec<OriginPattern> = Vec::new();
    for At { value, place } in &section.allow_origins {
        match OriginPattern::parse(value) {
            Err(message) => problems.add(place, message),
            Ok(pattern) if patterns.contains(&pattern) => {
                problems.add(place, format!("origin `{value}` is listed twice"))
            }
            Ok(pattern) => {
                if let Some(danger) = danger(&pattern, section) {
                    problems.add(place, format!("`{value}` {danger}"));
                }
                if pattern == OriginPattern::Any && section.allow_origins.len() > 1 {
                    problems.add(place, "`*` already allows every origin: remove `*` or all other origins");
                }
                patterns.push(pattern);
            }
        }
    }
    patterns
}

/// Returns the reason why an origin is unsafe together with the other settings of the section.
fn danger(pattern: &OriginPattern, section: &Cors) -> Option<&'static str> {
    let (credentials, private) = (section.allow_credentials, section.allow_private_network);
    match pattern {
        OriginPattern::Any if credentials => {
            Some("with `allow_credentials: true` would let every site act for its visitors: list the origins you trust")
        }
        OriginPattern::Null if credentials => Some(
            "with `allow_credentials: true` would let any site act for its visitors, since a sandboxed frame of any site \
             has this origin: remove one of the two",
        ),
        OriginPattern::Any | OriginPattern::Null if private => Some(
            "with `allow_private_network: true` would open the private network to every site: list the origins you trust",
        ),
        pattern if pattern.is_cleartext() && credentials => Some(
            "with `allow_credentials: true` would let anyone on the network act for your users: use `https`, or a \
             loopback host for development",
        ),
        pattern if pattern.is_cleartext() && private => Some(
            "with `allow_private_network: true` would open the private network to anyone on the network path: use `https`, or a \
             loopback host for development",
        ),
        _ => None,
    }
}

fn methods(section: &Cors, problems: &mut Problems) -> Methods {
    let Some(list) = &section.allow_methods else { return Methods::OfThePath };
    if list.is_empty() {
        problems
            .add(&section.place, "`allow_methods` is empty: list methods, or omit it to allow the methods of the path");
    }
    let mut methods: Vec<String> = Vec::new();
    for At { value, place } in list {
        let upper = value.to_ascii_uppercase();
        if value == "*" {
            if section.allow_credentials {
                problems.add(
                    place,
                    star_with_credentials("list the methods, or omit `allow_methods` to allow the methods of the path"),
                );
            }
            if list.len() > 1 {
                problems.add(place, "`*` already allows every method: remove `*` or all other methods");
            }
        } else if !is_token(value) {
            problems.add(place, format!("`{value}` is not a method: write one word such as `GET`, or `*`"));
        } else if names::FORBIDDEN_METHODS.contains(&upper.as_str()) {
            problems.add(place, format!("no browser lets a script send `{value}`: remove it"));
        } else if *value != upper && names::USUAL_METHODS.contains(&upper.as_str()) {
            problems.add(place, format!("methods are case-sensitive: write `{upper}` instead of `{value}`"));
        } else if methods.contains(value) {
            problems.add(place, format!("method `{value}` is listed twice"));
        }
        methods.push(value.clone());
    }
    if methods.iter().any(|method| method == "*") {
        return Methods::Any;
    }
    let text = Arc::from(methods.join(", "));
    Methods::These(methods, text)
}

fn headers(section: &Cors, problems: &mut Problems) -> AllowedHeaders {
    let list = &section.allow_headers;
    let any = list.iter().any(|header| header.value == "*");
    let mut allowed: Vec<String> = Vec::new();
    for At { value, place } in list {
        let lower = value.to_ascii_lowercase();
        if allowed.contains(&lower) {
            problems.add(place, format!("header `{value}` is listed twice"));
        } else if value == "*" {
            if section.allow_credentials {
                problems.add(place, star_with_credentials("list the headers"));
            }
        } else if !is_token(value) {
            problems
                .add(place, format!("`{value}` is not a header name: write one word such as `Content-Type`, or `*`"));
        } else if names::RESPONSE_HEADERS.contains(&lower.as_str()) {
            problems.add(place, format!("`{value}` is a response header that the gateway sets itself: remove it"));
        } else if names::is_forbidden_request_header(&lower) {
            problems
                .add(place, format!("no browser lets a script set `{value}`, so no browser asks for it: remove it"));
        } else if any && lower != "authorization" {
            problems.add(
                place,
                format!(
                    "`*` already allows `{value}`: remove one of the two (only `Authorization` must be listed in addition to `*`)"
                ),
            );
        }
        allowed.push(lower);
    }
    let text = (!allowed.is_empty()).then(|| Arc::from(allowed.join(", ")));
    allowed.retain(|name| name != "*");
    AllowedHeaders { any, names: allowed, text }
}

fn expose(section: &Cors, problems: &mut Problems) -> Option<Arc<str>> {
    let list = &section.expose_headers;
    let mut exposed: Vec<String> = Vec::new();
    for At { value, place } in list {
        let lower = value.to_ascii_lowercase();
        if exposed.contains(&lower) {
            problems.add(place, format!("header `{value}` is listed twice"));
        } else if value == "*" {
            if section.allow_credentials {
                problems.add(place, star_with_credentials("list the headers"));
            }
            if list.len() > 1 {
                problems.add(place, "`*` already exposes every header: remove `*` or all other headers");
            }
        } else if !is_token(value) {
            problems.add(place, format!("`{value}` is not a header name: write one word such as `X-Trace-Id`, or `*`"));
        } else if names::FORBIDDEN_RESPONSE_HEADERS.contains(&lower.as_str()) {
            problems.add(place, format!("no browser lets a script read `{value}`: remove it"));
        } else if names::RESPONSE_HEADERS.contains(&lower.as_str()) {
            problems.add(place, format!("`{value}` is for the browser, and the gateway sets it itself: remove it"));
        }
        exposed.push(lower);
    }
    (!exposed.is_empty()).then(|| Arc::from(exposed.join(", ")))
}

fn max_age(section: &Cors, problems: &mut Problems) -> Option<Arc<str>> {
    let At { value, place } = section.max_age.as_ref()?;
    if *value > MAX_AGE.most {
        problems.add(
            place,
            format!(
                "`max_age` of {} s is longer than any browser keeps an answer: set at most 86400 s (one day)",
                value.as_secs()
            ),
        );
    }
    Some(Arc::from(value.as_secs().to_string()))
}

/// Returns the message for `*` with credentials: browsers then treat `*` as the name of a method or header (Fetch §3.2.3).
fn star_with_credentials(instead: &str) -> String {
    format!("`*` is not a wildcard for browsers with `allow_credentials: true`: {instead}")
}

#[cfg(test)]
mod tests;
