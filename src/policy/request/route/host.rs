//! Selects routes by host: an exact host wins over the longest matching `*.suffix`, and both win over a route for any host.

use std::fmt;
use std::net::Ipv4Addr;

use super::id::TrieNodeId;
use super::literals::{Literals, PathSegment};
use crate::config::url::ends_in_number;
use crate::policy::request::guard;

/// The hosts that a route matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Matches exactly this host.
    Exact(Box<str>),
    /// Matches every host below this host, at any depth, but not the host itself. The stored string starts with a dot.
    Suffix(Box<str>),
    /// Matches every host, and requests without a host.
    Any,
}

impl HostPattern {
    /// Parses `api.example.com`, `*.example.com` or `*`.
    ///
    /// # Errors
    /// Returns a message that explains the fault to the author of the text.
    pub fn parse(text: &str) -> Result<Self, HostPatternFault> {
        let fault = |problem: String| Err(HostPatternFault { text: text.to_owned(), problem });
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.contains('*') {
            return fault("write `*` only as the whole host, or for its first labels as in `*.example.com`".into());
        }
        if !name.is_ascii() {
            return fault("write a host outside ASCII in its `xn--` form".into());
        }
        if name.contains("//") {
            return fault("write only the host, without scheme and path".into());
        }
        let host = match guard::read_host(name.as_bytes()) {
            Ok(host) => host,
            Err(problem) => return fault(problem.to_string()),
        };
        if host.port().is_some() || name.ends_with(':') {
            return fault(format!("routes match the host without its port: write `{}`", host.name()));
        }
        let is_exact = name.len() == text.len();
        // Clients that follow the URL standard treat a host that ends in a number as an IPv4 address, so a route for such a name
        // would match none of their requests.
        if ends_in_number(host.name()) && !(is_exact && host.name().parse::<Ipv4Addr>().is_ok()) {
            let problem = match is_exact {
                true => "a host that ends in a number is an IPv4 address: four numbers from 0 to 255",
                false => "an address has no subdomains",
            };
            return fault(problem.into());
        }
        if is_exact {
            return Ok(Self::Exact(host.name().into()));
        }
        Ok(Self::Suffix(format!(".{}", host.name()).into()))
    }

    /// Returns `true` if the pattern matches a host that the guard has normalized.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
            Self::Any => true,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// The error for a string that is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPatternFault {
    text: String,
    problem: String,
}

impl fmt::Display for HostPatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.problem)
    }
}

impl std::error::Error for HostPatternFault {}

/// The root node of each host pattern in the trie.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    named: Literals,
    any: Option<TrieNodeId>,
}

impl Hosts {
    pub(super) fn root(&self, pattern: &HostPattern) -> Option<TrieNodeId> {
        match pattern {
            // Only suffixes have a leading dot, so exact hosts and suffixes can share one map.
            HostPattern::Exact(text) | HostPattern::Suffix(text) => self.named(text),
            HostPattern::Any => self.any,
        }
    }

    pub(super) fn add(&mut self, pattern: &HostPattern, root: TrieNodeId) {
        match pattern {
            HostPattern::Exact(text) | HostPattern::Suffix(text) => {
                self.named.add(NO_PARENT, &PathSegment::plain(text), root);
            }
            HostPattern::Any => self.any = Some(root),
        }
    }

    /// Returns an iterator over all roots with their host patterns: first the patterns with a name, sorted by name, then `*`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HostPattern, TrieNodeId)> {
        let mut named: Vec<(&str, TrieNodeId)> = self.named.iter().map(|(_, text, root)| (text, root)).collect();
        named.sort_unstable();
        let pattern = |text: &str| {
            if text.starts_with('.') { HostPattern::Suffix(text.into()) } else { HostPattern::Exact(text.into()) }
        };
        let named = named.into_iter().map(move |(text, root)| (pattern(text), root));
        named.chain(self.any.map(|root| (HostPattern::Any, root)))
    }

    /// Returns an iterator over the roots whose patterns match this host, the most specific pattern first.
    pub(super) fn roots(&self, host: &str) -> impl Iterator<Item = TrieNodeId> {
        let host = if self.named.is_empty() { "" } else { host };
        let suffixes = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
        std::iter::once(host).chain(suffixes).filter_map(|name| self.named(name)).chain(self.any)
    }

    fn named(&self, text: &str) -> Option<TrieNodeId> {
        self.named.get(NO_PARENT, &PathSegment::plain(text))
    }
}

/// The parent id of all entries in the table of hosts. The table contains only hosts, so the entries need no different parents.
const NO_PARENT: TrieNodeId = 0;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "unknown")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn host_patterns_are_hosts_suffixes_or_any() {
        for (text, hosts) in [
            ("*", ["example.com", "a.example.com", "a.b.example.com"].as_slice()),
            ("Example.com.", &["example.com"]),
            ("*.example.com", &["a.example.com", "a.b.example.com"]),
            ("*.b.example.com", &["a.b.example.com"]),
        ] {
            let pattern = HostPattern::parse(text).unwrap();
            for host in ["example.com", "a.example.com", "a.b.example.com", "badexample.com", ""] {
                let expected = text == "*" || hosts.contains(&host);
                assert_eq!(pattern.matches(host), expected, "{text} {host}");
            }
        }
    }

    #[test]
    fn invalid_host_patterns_are_explained() {
        for (text, message) in [
            ("api.*.com", "write `*` only as the whole host, or for its first labels as in `*.example.com`"),
            ("*example.com", "write `*` only as the whole host, or for its first labels as in `*.example.com`"),
            ("example.com:443", "routes match the host without its port: write `example.com`"),
            ("https://example.com", "write only the host, without scheme and path"),
            ("café.example", "write a host outside ASCII in its `xn--` form"),
            ("", "the host is empty"),
            ("256.0.0.1", "a host that ends in a number is an IPv4 address: four numbers from 0 to 255"),
            ("0x7f.1", "a host that ends in a number is an IPv4 address: four numbers from 0 to 255"),
            ("*.0.0.1", "an address has no subdomains"),
            ("*.", "the host is empty"),
            ("a..b", "a label of the host is empty"),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap_err().to_string(), format!("`{text}`: {message}"));
        }
    }

    #[test]
    fn the_most_specific_host_comes_first() {
        let mut hosts = Hosts::default();
        for (root, text) in ["*", "*.example.com", "a.b.example.com", "*.b.example.com"].iter().enumerate() {
            hosts.add(&HostPattern::parse(text).unwrap(), u32::try_from(root).unwrap());
        }
        for (host, roots) in [
            ("a.b.example.com", [2, 3, 1, 0].as_slice()),
            ("x.b.example.com", &[3, 1, 0]),
            ("b.example.com", &[1, 0]),
            ("example.com", &[0]),
            ("", &[0]),
        ] {
            assert_eq!(hosts.roots(host).collect::<Vec<_>>(), roots, "{host}");
        }
    }
}
