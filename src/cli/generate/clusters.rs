//! Generates Envoy clusters for upstreams, key sets, polled documents and the rate limit service, with limits and verified TLS.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::EnvoyOptions;
use super::address::socket;
use crate::config::document::{Document, IssuerKeySettings};
use crate::config::problem::{At, Problems};
use crate::config::url::Url;

/// Returns the clusters, ordered by name. Adds a problem if two settings use the same cluster name with different addresses.
pub fn clusters(document: &Document, options: &EnvoyOptions, problems: &mut Problems) -> Vec<Value> {
    let mut addresses: BTreeMap<&str, &Url> = BTreeMap::new();
    for upstream in &document.upstreams {
        match &upstream.url {
            Some(url) => add(&mut addresses, &upstream.name.value, url, problems),
            None => problems.add(
                &upstream.name.place,
                format!("upstream `{}` has no `url`; a generated configuration needs one", upstream.name.value),
            ),
        }
    }
    for issuer in &document.issuers {
        if let IssuerKeySettings::Jwks(remote) = &issuer.keys.value {
            add(&mut addresses, &remote.cluster, &remote.uri, problems);
        }
    }
    let service = document.rate_limit_service.as_ref();
    if let Some(service) = service {
        match &service.url {
            Some(url) => add(&mut addresses, &service.cluster.value, url, problems),
            None => problems
                .add(&service.cluster.place, "`rate_limit_service` has no `url`; a generated configuration needs one"),
        }
    }
    for polled in document.polled() {
        add(&mut addresses, &polled.cluster, &polled.uri, problems);
    }
    for route in document.routes.iter().filter(|r| r.upstream.is_none() && r.response.is_none()) {
        problems.add(
            &route.place,
            "has neither `upstream` nor `response`; add one, because the generated configuration has no Envoy route that could select an upstream for it",
        );
    }
    let is_grpc = |name: &str| service.is_some_and(|service| service.cluster.value == name);
    addresses.into_iter().map(|(name, url)| cluster(name, url, is_grpc(name), options)).collect()
}

fn add<'d>(addresses: &mut BTreeMap<&'d str, &'d Url>, name: &'d str, url: &'d At<Url>, problems: &mut Problems) {
    let known = addresses.insert(name, &url.value);
    if known
        .is_some_and(|known| (known.tls, &known.host, known.port) != (url.value.tls, &url.value.host, url.value.port))
    {
        problems.add(&url.place, format!("the cluster `{name}` already has another address; use another name here"));
    }
}

fn cluster(name: &str, url: &Url, is_grpc: bool, options: &EnvoyOptions) -> Value {
    let ip = url.host.parse::<IpAddr>().ok();
    // Each unfinished client request occupies one connection of an HTTP/1 upstream. The limit is therefore higher than the
    // number of streams that a few clients can open.
    let most = options.traffic.upstream_max_requests;
    let mut cluster = json!({
        "name": name,
        "circuit_breakers": { "thresholds": [{
            "max_connections": most, "max_pending_requests": 1024, "max_requests": most, "max_retries": 3,
        }]},
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(&url.host, url.port) } }] }],
        },
        // If a client does not read its responses, each of its requests occupies up to this number of bytes. With a much lower
        // limit, a full HTTP/2 connection pauses and resumes all its streams more often, which costs more than the memory.
        "per_connection_buffer_limit_bytes": 262_144,
        "type": if ip.is_some() { "STATIC" } else { "STRICT_DNS" },
    });
    let Some(members) = cluster.as_object_mut() else { return cluster };
    if ip.is_none() {
        // `localhost` and many other names have an IPv6 address, but often no server listens on it.
        members.insert("dns_lookup_family".to_string(), json!("V4_PREFERRED"));
    }
    if url.tls {
        members.insert("transport_socket".to_string(), tls(&url.host, ip, options));
    }
    if is_grpc || url.tls {
        members.insert("typed_extension_protocol_options".to_string(), http(is_grpc));
    }
    cluster
}

/// Returns the TLS settings of a cluster. Without the name matcher, Envoy would accept a certificate that a trusted CA has issued
/// for another host.
fn tls(host: &str, ip: Option<IpAddr>, options: &EnvoyOptions) -> Value {
    let kind = if ip.is_some() { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_2" },
            "validation_context": {
                "match_typed_subject_alt_names": [{ "san_type": kind, "matcher": { "exact": host } }],
                "trusted_ca": { "filename": options.ca_file },
            },
        },
    });
    if let (None, Some(members)) = (ip, context.as_object_mut()) {
        // SNI can contain only host names (RFC 6066 §3).
        members.insert("sni".to_string(), json!(host));
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": context })
}

/// Returns the HTTP versions of a cluster. A gRPC service uses only HTTP/2. An upstream with TLS uses HTTP/2 if ALPN selects
/// it, and HTTP/1.1 otherwise.
fn http(is_grpc: bool) -> Value {
    // With this option, a malformed response ends only its stream. Otherwise it would end the shared connection.
    let http2 = json!({ "override_stream_error_on_invalid_http_message": true });
    let versions = if is_grpc {
        json!({ "explicit_http_config": { "http2_protocol_options": http2 } })
    } else {
        json!({ "auto_config": { "http_protocol_options": {}, "http2_protocol_options": http2 } })
    };
    let mut options = json!({ "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions" });
    if let (Some(options), Value::Object(versions)) = (options.as_object_mut(), versions) {
        options.extend(versions);
    }
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options })
}
