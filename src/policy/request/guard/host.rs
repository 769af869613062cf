//! Parses the host of a request into the normalized form that routes match.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// A host name or address without its port. The name is in lower case (RFC 9110 §4.2.3) and has no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHost<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl RequestHost<'_> {
    /// Returns the name or the IPv4 address, or an IPv6 address in brackets and canonical form (RFC 5952).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the port, if the request has one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// The reason why the host of a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostFault {
    /// The host is empty.
    Empty,
    /// The name has more than 253 characters, or a label has more than 63. These are the DNS limits (RFC 1035 §2.3.4).
    TooLong,
    /// The authority contains `user@`, which is not allowed in a request (RFC 9110 §4.2.4).
    UserInfo,
    /// The port is not a number up to 65535.
    Port,
    /// The name has a character other than letters, digits, `-`, `_`, and dots between labels.
    Character,
    /// The name starts with a dot, or has two dots in a row.
    EmptyLabel,
    /// The host has brackets, but no valid IPv6 address in them.
    Address,
}

impl HostFault {
    /// Returns the stable word for the audit record.
    pub fn reason(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("host_empty", "the host is empty"),
            Self::TooLong => ("host_too_long", "a host name has at most 253 characters, each label at most 63"),
            Self::UserInfo => ("host_userinfo", "a host must not contain `user@`"),
            Self::Port => ("host_port", "a port is a number up to 65535"),
            Self::Character => ("host_character", "a host name can contain only letters, digits, `-`, `_` and dots"),
            Self::EmptyLabel => ("host_empty_label", "a label of the host is empty"),
            Self::Address => ("host_address", "brackets must contain a valid IPv6 address"),
        }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

impl std::error::Error for HostFault {}

/// Parses the value of `:authority`. Hosts must be normalized before a comparison; otherwise a client can bypass rules with mixed
/// case (CVE-2021-39155).
///
/// # Errors
/// Returns the first fault.
pub fn read_host(authority: &[u8]) -> Result<RequestHost<'_>, HostFault> {
    let authority = std::str::from_utf8(authority).map_err(|_| HostFault::Character)?;
    if authority.contains('@') {
        return Err(HostFault::UserInfo);
    }
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(HostFault::Address)?;
        let name = read_address(authority, address)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => read_port(port)?,
            None if rest.is_empty() => None,
            None => return Err(HostFault::Port),
        };
        return Ok(RequestHost { name, port });
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, read_port(port)?),
        None => (authority, None),
    };
    Ok(RequestHost { name: read_name(name)?, port })
}

/// Parses a port. An empty port is allowed (RFC 3986 §3.2.3).
fn read_port(digits: &str) -> Result<Option<u16>, HostFault> {
    if digits.is_empty() {
        return Ok(None);
    }
    // `u16::from_str` would also accept `+80`.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostFault::Port);
    }
    digits.parse().map(Some).map_err(|_| HostFault::Port)
}

fn read_name(name: &str) -> Result<Cow<'_, str>, HostFault> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostFault::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(HostFault::TooLong);
    }
    let mut upper = false;
    let mut label_len = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if label_len == 0 => return Err(HostFault::EmptyLabel),
            b'.' => {
                label_len = 0;
                continue;
            }
            b'A'..=b'Z' => upper = true,
            // Underscores are accepted, because service names in Kubernetes and similar clusters can contain them.
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            _ => return Err(HostFault::Character),
        }
        label_len += 1;
        if label_len > MAX_LABEL_LEN {
            return Err(HostFault::TooLong);
        }
    }
    if label_len == 0 {
        return Err(HostFault::EmptyLabel);
    }
    Ok(if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

fn read_address<'a>(authority: &'a str, address: &str) -> Result<Cow<'a, str>, HostFault> {
    let parsed: Ipv6Addr = address.parse().map_err(|_| HostFault::Address)?;
    let canonical = format!("[{parsed}]");
    Ok(if authority == canonical { Cow::Borrowed(authority) } else { Cow::Owned(canonical) })
}

const MAX_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    type AuthorityCase = (&'static str, Result<(&'static str, Option<u16>), &'static str>);

    const AUTHORITIES: &[AuthorityCase] = &[
        ("api.example.com", Ok(("api.example.com", None))),
        ("API.Example.COM:443", Ok(("api.example.com", Some(443)))),
        ("api.example.com.", Ok(("api.example.com", None))),
        ("api.example.com.:8080", Ok(("api.example.com", Some(8080)))),
        ("localhost:", Ok(("localhost", None))),
        ("my_service", Ok(("my_service", None))),
        ("xn--caf-dma.example", Ok(("xn--caf-dma.example", None))),
        ("127.0.0.1:8080", Ok(("127.0.0.1", Some(8080)))),
        ("[::1]", Ok(("[::1]", None))),
        ("[2001:DB8:0:0::1]:443", Ok(("[2001:db8::1]", Some(443)))),
        ("", Err("host_empty")),
        (":80", Err("host_empty")),
        (".", Err("host_empty")),
        ("a..b", Err("host_empty_label")),
        (".a", Err("host_empty_label")),
        ("a..", Err("host_empty_label")),
        ("admin@example.com", Err("host_userinfo")),
        ("example.com:80:80", Err("host_port")),
        ("example.com:+80", Err("host_port")),
        ("example.com:65536", Err("host_port")),
        ("example.com:http", Err("host_port")),
        ("[::1]80", Err("host_port")),
        ("[::1", Err("host_address")),
        ("[fe80::1%eth0]", Err("host_address")),
        ("[localhost]", Err("host_address")),
        ("exa mple.com", Err("host_character")),
        ("example.com/admin", Err("host_character")),
        ("café.example", Err("host_character")),
        ("a,b", Err("host_character")),
        ("*.example.com", Err("host_character")),
    ];

    #[test]
    fn hosts_are_normalized_or_refused() {
        for (authority, expected) in AUTHORITIES {
            let read = read_host(authority.as_bytes());
            let got = read.as_ref().map(|host| (host.name(), host.port())).map_err(|fault| fault.reason());
            assert_eq!(got, *expected, "{authority:?}");
        }
        assert_eq!(read_host(b"caf\xe9"), Err(HostFault::Character));
    }

    #[test]
    fn hosts_are_bounded_by_the_dns_limits() {
        let label = "a".repeat(MAX_LABEL_LEN);
        assert!(read_host(label.as_bytes()).is_ok());
        assert_eq!(read_host(format!("{label}a").as_bytes()), Err(HostFault::TooLong));
        let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert!(read_host(name.as_bytes()).is_ok());
        assert_eq!(read_host(format!("{name}a").as_bytes()), Err(HostFault::TooLong));
    }
}
