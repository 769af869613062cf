//! Reads addresses of upstreams and key sets: scheme, host, port and path, and nothing else.

/// An address: scheme, authority and base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https` rather than `http`.
    pub tls: bool,
    /// The host name or address; IPv6 without brackets.
    pub host: String,
    /// The port, the scheme's own when none was written.
    pub port: u16,
    /// The path with its query, if any; `/` at least.
    pub path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]` or `https://…`; user, query and fragment are refused.
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
            return Err("its path may hold visible ASCII only, and no fragment");
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Url { tls, host: host.to_ascii_lowercase(), port, path: path.to_string() })
    }

    /// The `Host` value for this address: the port only where it is not the scheme's own (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// What a log may say of it: authority and path; a query may hold what is nobody's business.
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
    let is_ipv6 = host.contains(':');
    if host.is_empty()
        || !is_ipv6 && !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        return Err("its host may hold letters, digits, `.`, `-` and `_` only");
    }
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|p| *p > 0).ok_or("its port must be from 1 to 65535")?),
        None => None,
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn addresses_are_read_whole_or_refused() {
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
        ] {
            let read = Url::parse(text).ok();
            let seen = read.as_ref().map(|u| (u.tls, u.host.as_str(), u.port, u.path.as_str(), u.authority()));
            let expected = expected.map(|(t, h, p, path, a)| (t, h, p, path, a.to_string()));
            assert_eq!(seen, expected, "{text}");
        }
        let shown = |text| Url::parse(text).map(|url| url.shown());
        assert_eq!(shown("https://a.example:8443/keys.json?code=secret"), Ok("a.example:8443/keys.json".to_string()));
    }
}
