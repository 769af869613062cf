//! Parses the `http` and `https` addresses of upstreams, polled documents and the rate limit service.

use std::net::Ipv4Addr;

/// An `http` or `https` address without user name and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `https`; otherwise it is `http`.
    pub tls: bool,
    /// The host name or IP address; an IPv6 address has no brackets.
    pub host: String,
    /// The port. If the address has no port, this is 443 for `https` and 80 for `http`.
    pub port: u16,
    /// The path, which is at least `/`, followed by the query if there is one.
    pub path: String,
}

impl Url {
    /// Parses `http://host[:port][/path]` or `https://…`. The path may contain a query.
    ///
    /// # Errors
    /// The error describes the fault, such as a fragment or a user name, and contains no part of the address.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("it must start with http:// or https://"),
        };
        let (authority, path) = match rest.find('/').and_then(|slash| rest.split_at_checked(slash)) {
            Some((authority, path)) => (authority, path),
            None => (rest, "/"),
        };
        if !path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\' | b'"' | b'<' | b'>')) {
            return Err("its path may contain only visible ASCII, without `#`, `\\`, `\"`, `<` and `>`");
        }
        // The filter sends neither a user name nor a password, and log lines could reveal them (RFC 9110 §4.2.4).
        if authority.contains('@') {
            return Err("it must not contain a user name or a password");
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Url { tls, host: host.to_ascii_lowercase(), port, path: path.to_string() })
    }

    /// Returns the `Host` value for this address. The port appears only if it is not the default port of the scheme (RFC 9110
    /// §7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns the host, the port and the path for log lines. The query is omitted, because it may contain secrets.
    pub fn shown(&self) -> String {
        self.authority() + self.path.split('?').next().unwrap_or_default()
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("its IPv6 address has no closing bracket")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "its IPv6 address is malformed")?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or("its port is malformed")?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if !host.contains(':') {
        check_host(host)?;
    }
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|p| *p > 0).ok_or("its port must be from 1 to 65535")?),
        None => None,
    };
    Ok((host, port))
}

/// Checks a host other than an IPv6 address. The host must be a valid DNS name (RFC 1035 §2.3.4) or a complete IPv4 address.
///
/// # Errors
/// The error describes the fault and the accepted form.
pub fn check_host(host: &str) -> Result<(), &'static str> {
    // Underscores are accepted, because service names in Kubernetes and similar clusters can contain them.
    if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err("its host may contain only letters, digits, `.`, `-` and `_`");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.split('.').any(str::is_empty) {
        return Err("its host must not start with a dot or contain two dots in a row");
    }
    if name.len() > MAX_NAME || name.split('.').any(|label| label.len() > MAX_LABEL) {
        return Err("its host is too long: at most 253 characters, and at most 63 between two dots");
    }
    if ends_in_number(name) && host.parse::<Ipv4Addr>().is_err() {
        return Err("its host ends in a number, so it must be an IPv4 address: four numbers from 0 to 255");
    }
    Ok(())
}

/// Returns `true` if URL parsers treat a host as an IPv4 address (URL standard, "ends in a number checker").
pub fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    let is_decimal = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    is_decimal || last.strip_prefix("0x").or(last.strip_prefix("0X")).is_some_and(is_hex)
}

/// Replaces the user name, the password and the query of an address with `…`. Error messages show the result, because each of
/// these parts may be secret.
pub fn redacted(text: &str) -> String {
    let (place, query) = text.split_once('?').map_or((text, ""), |(place, _)| (place, "?…"));
    let place = match place.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").and_then(|at| before.get(..at + 3)).unwrap_or_default();
            format!("{scheme}…@{host}")
        }
        None => place.to_string(),
    };
    place + query
}

/// The maximum length of a host name, in characters (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
/// The maximum length of a label, which is the part between two dots, in characters (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn addresses_are_parsed_completely_or_refused() {
        for (text, expected) in [
            ("http://a", Some((false, "a", 80, "/", "a"))),
            ("https://a.example:8443/base", Some((true, "a.example", 8443, "/base", "a.example:8443"))),
            ("http://[::1]:9000/", Some((false, "::1", 9000, "/", "[::1]:9000"))),
            ("https://[2001:db8::1]", Some((true, "2001:db8::1", 443, "/", "[2001:db8::1]"))),
            ("http://[::1]9000", None),
            ("https://A.Example/x?y=1", Some((true, "a.example", 443, "/x?y=1", "a.example"))),
            ("ftp://a", None),
            ("http://", None),
            ("http://user@a/", None),
            ("http://a:0", None),
            ("http://a:99999", None),
            ("http://a/b c", None),
            ("http://a/#b", None),
            ("http://[::g]/", None),
            ("$AGENTS_SERVICE_URL", None),
            ("http://user:secret@a/", None),
            ("http://10.0.0.7:8080", Some((false, "10.0.0.7", 8080, "/", "10.0.0.7:8080"))),
            ("http://my_service.internal", Some((false, "my_service.internal", 80, "/", "my_service.internal"))),
            ("http://a.example./", Some((false, "a.example.", 80, "/", "a.example."))),
            ("http://0xabc.example/", Some((false, "0xabc.example", 80, "/", "0xabc.example"))),
            ("http://v1.0x3g/", Some((false, "v1.0x3g", 80, "/", "v1.0x3g"))),
            ("https://256.0.0.1/", None),
            ("http://0x300/", None),
            ("http://0x7f.1/", None),
            ("http://a.0x/", None),
            ("http://127.1/", None),
            ("http://010.0.0.1/", None),
            ("http://2130706433/", None),
            ("http://1.2.3.4./", None),
            ("http://a.example.5/", None),
            ("http://../", None),
            ("http://.a/", None),
            ("http://a..b/", None),
        ] {
            let read = Url::parse(text).ok();
            let seen = read.as_ref().map(|u| (u.tls, u.host.as_str(), u.port, u.path.as_str(), u.authority()));
            let expected = expected.map(|(t, h, p, path, a)| (t, h, p, path, a.to_string()));
            assert_eq!(seen, expected, "{text}");
        }
        let long = |labels: usize, label: usize| format!("http://{}", vec!["a".repeat(label); labels].join("."));
        assert!(
            Url::parse(&long(3, 63)).is_ok() && Url::parse(&long(1, 64)).is_err() && Url::parse(&long(5, 60)).is_err()
        );
        for (text, shown) in [
            ("https://user:pass@a/b?code=x", "https://…@a/b?…"),
            ("user:p@ss@a", "…@a"),
            ("https://a/b", "https://a/b"),
        ] {
            assert_eq!(redacted(text), shown);
        }
        let shown = |text| Url::parse(text).map(|url| url.shown());
        assert_eq!(shown("https://a.example:8443/keys.json?code=secret"), Ok("a.example:8443/keys.json".to_string()));
    }
}
