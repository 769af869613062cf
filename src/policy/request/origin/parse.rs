//! Parses an entry of `allow_origins`, with errors that show the form that a browser would send.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{LONGEST_HOST, OriginPattern, is_labels};

/// Parses an entry of `allow_origins`. The error is a message for the author of the document.
pub(super) fn pattern(text: &str) -> Result<OriginPattern, String> {
    match text {
        "*" => return Ok(OriginPattern::Any),
        "null" => return Ok(OriginPattern::Null),
        "" => return Err(format!("an origin is missing here: {ACCEPTED}")),
        _ => {}
    }
    if text.contains(|c: char| c.is_whitespace() || c == ',') {
        return Err(format!("`{text}` is not one origin: write each origin as a separate entry"));
    }
    if !text.is_ascii() {
        return Err(format!(
            "`{text}` has letters outside ASCII: browsers send such a name in punycode, as `https://xn--…`"
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(without_scheme(text));
    };
    let mut faults = Vec::new();
    let scheme = read_scheme(text, scheme, &mut faults)?;
    let authority = read_authority(rest, &mut faults);
    let (host, port) = split_port(text, authority)?;
    let port = read_port(text, &scheme, port, &mut faults)?;
    let (wildcard, host) = match host.strip_prefix("*.") {
        Some(domain) => (true, domain),
        None => (false, host),
    };
    let host = read_host(text, wildcard, host, &mut faults)?;
    if wildcard {
        check_domain(text, &scheme, &host)?;
    }
    let cleartext = scheme == "http" && !is_loopback(&host);
    let before = format!("{scheme}://");
    let after = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    if !faults.is_empty() {
        let star = if wildcard { "*." } else { "" };
        return Err(format!(
            "`{text}` would match no browser's origin ({}): write `{before}{star}{after}`",
            faults.join(", ")
        ));
    }
    Ok(if wildcard {
        OriginPattern::Subdomains { before, after: format!(".{after}"), cleartext }
    } else {
        OriginPattern::Exact { text: before + &after, cleartext }
    })
}

fn without_scheme(text: &str) -> String {
    let local = text.starts_with("localhost");
    let written = format!("{}://{text}", if local { "http" } else { "https" });
    match pattern(&written) {
        Ok(_) if local || text.contains('.') => format!("`{text}` has no scheme: write `{written}`"),
        _ => format!("`{text}` is not an origin: {ACCEPTED}"),
    }
}

fn read_scheme(text: &str, scheme: &str, faults: &mut Vec<&'static str>) -> Result<String, String> {
    let lower = scheme.to_ascii_lowercase();
    let letters = lower.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
    if !letters || !lower.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("`{text}` has no exact scheme before `://`: {ACCEPTED}"));
    }
    if OPAQUE_SCHEMES.contains(&lower.as_str()) {
        return Err(format!("`{text}` is not an origin: browsers send `null` for pages of `{lower}:`"));
    }
    if let Some(web) = lower.strip_prefix("ws").filter(|rest| rest.is_empty() || *rest == "s") {
        return Err(format!(
            "`{text}` is not the origin of a page: write the origin of the page that opens the WebSocket, with `http{web}://`"
        ));
    }
    if lower != scheme {
        faults.push(UPPER_CASE);
    }
    Ok(lower)
}

/// Returns the part between `://` and the path, without the user information (RFC 3986 §3.2).
fn read_authority<'t>(rest: &'t str, faults: &mut Vec<&'static str>) -> &'t str {
    let (authority, tail) = match rest.find(['/', '?', '#', '\\']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    match tail {
        "" => {}
        "/" => faults.push("an origin ends before the slash"),
        _ => faults.push("an origin has no path or query"),
    }
    match authority.rsplit_once('@') {
        Some((_, host)) => {
            faults.push("an origin has no user name");
            host
        }
        None => authority,
    }
}

fn split_port<'t>(text: &str, authority: &'t str) -> Result<(&'t str, Option<&'t str>), String> {
    if authority.starts_with('[') {
        let Some((address, rest)) = authority.split_once(']') else {
            return Err(format!("`{text}` lacks the `]` after an IPv6 address"));
        };
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(format!("`{text}` has something other than a port after `]`")),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') && authority.parse::<Ipv6Addr>().is_ok() => {
            Err(format!("`{text}` has an IPv6 address without brackets: write `[{authority}]`"))
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn read_port(
    text: &str,
    scheme: &str,
    port: Option<&str>,
    faults: &mut Vec<&'static str>,
) -> Result<Option<u16>, String> {
    let Some(written) = port else { return Ok(None) };
    if written.is_empty() {
        faults.push("no port after the colon");
        return Ok(None);
    }
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    let number = written.parse::<u16>().ok().filter(|number| digits && *number > 0);
    let Some(number) = number else {
        return Err(format!("`{written}` in `{text}` is not a port: write one number from 1 to 65535"));
    };
    if written.starts_with('0') {
        faults.push("a port has no leading zeros");
    }
    if (scheme, number) == ("https", 443) || (scheme, number) == ("http", 80) {
        faults.push("browsers omit the default port of the scheme");
        return Ok(None);
    }
    Ok(Some(number))
}

/// Returns the host in the form in which the URL standard writes it. For an IPv6 address, `host` is `[::1` without the closing
/// bracket, and the result is `[::1]`.
fn read_host(text: &str, wildcard: bool, host: &str, faults: &mut Vec<&'static str>) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[') {
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Err(format!("`{text}` has no valid IPv6 address between its brackets"));
        };
        let canonical = format!("[{}", serialise_ipv6(address));
        if canonical != host {
            faults.push("browsers send an IPv6 address in its shortest form");
        }
        return Ok(canonical + "]");
    }
    if host == "*" && !wildcard {
        return Err(format!(
            "`{text}` has only `*` as its host: write `*` for every origin, or `https://*.example.com`"
        ));
    }
    if host.contains(['*', '^', '$', '(', ')', '|', '+', '%']) {
        return Err(format!(
            "`{text}` has a pattern within its host: write `*` only for whole labels at the start, as in `https://*.example.com`"
        ));
    }
    let lower = host.to_ascii_lowercase();
    if lower != host && !faults.contains(&UPPER_CASE) {
        faults.push(UPPER_CASE);
    }
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    if name != lower {
        faults.push("with a dot at the end, it is another host");
    }
    if name.len() > LONGEST_HOST || !is_labels(name.as_bytes()) {
        return Err(format!("`{text}` has no valid host name: {ACCEPTED}"));
    }
    // A host that ends in a number must be a valid IPv4 address (URL standard, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if number && (wildcard || name.parse::<Ipv4Addr>().is_err()) {
        let fault = if wildcard { "has no subdomains" } else { "is not four numbers from 0 to 255" };
        return Err(format!("the address `{name}` in `{text}` {fault}"));
    }
    Ok(name.to_owned())
}

/// Refuses wildcards below public suffixes, where anyone can register names. Only the best-known public suffixes are listed.
fn check_domain(text: &str, scheme: &str, domain: &str) -> Result<(), String> {
    if !matches!(scheme, "http" | "https") {
        return Err(format!("`{text}` has a wildcard, which is accepted only with the scheme `https` or `http`"));
    }
    let shared = !domain.contains('.') && domain != "localhost";
    if shared || domain.starts_with('[') || SHARED_SUFFIXES.contains(&domain) {
        return Err(format!(
            "`{text}` would match the domains of other owners below `{domain}`: write your own domain, as in `{scheme}://*.example.com`"
        ));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Formats an address like the IPv6 serializer of the URL standard. Unlike RFC 5952, it never uses dotted decimals.
fn serialise_ipv6(address: Ipv6Addr) -> String {
    match (address.to_ipv4_mapped(), address.segments()) {
        (Some(_), [.., high, low]) => format!("::ffff:{high:x}:{low:x}"),
        _ => address.to_string(),
    }
}

const ACCEPTED: &str = "accepted are `https://app.example.com`, `https://*.example.com`, `*` and `null`";
const UPPER_CASE: &str = "browsers send lower case";

/// The schemes whose pages have an opaque origin (URL standard, "origin").
const OPAQUE_SCHEMES: [&str; 6] = ["about", "blob", "data", "file", "javascript", "mailto"];

const SHARED_SUFFIXES: [&str; 36] = [
    "ac.uk",
    "amazonaws.com",
    "appspot.com",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudfront.net",
    "co.in",
    "co.jp",
    "co.kr",
    "co.nz",
    "co.uk",
    "co.za",
    "com.au",
    "com.br",
    "com.cn",
    "com.mx",
    "com.tr",
    "com.tw",
    "elasticbeanstalk.com",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "gov.uk",
    "herokuapp.com",
    "netlify.app",
    "ngrok.io",
    "onrender.com",
    "org.uk",
    "pages.dev",
    "run.app",
    "s3.amazonaws.com",
    "surge.sh",
    "vercel.app",
    "web.app",
    "workers.dev",
];
