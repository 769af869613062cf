//! Decides which route a request takes, by its host, path and method, whatever the order the routes were written in.
//!
//! The most specific host wins, then the most specific path (segment by segment: literal, `{param}`, `{.+}`), then a named
//! method over any. A route that does not match in all three is no candidate, so the next best one is looked at.

mod host;
mod id;
mod literals;
mod method;
mod overlap;
mod pattern;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod properties;
mod trie;

use std::borrow::Cow;

pub use host::{HostPattern, HostPatternFault};
pub use method::{Allowed, Method, MethodFault};
pub use overlap::{Overlap, Overlaps};
pub use pattern::{PatternFault, RoutePattern};

use super::guard::percent;
use host::Hosts;
use id::RouteId;
use pattern::Segment;
use trie::Trie;

/// The routes of a policy, ready to be searched.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    hosts: Hosts,
    trie: Trie,
    routes: Vec<(RoutePattern, T)>,
}

/// What the table says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'t, 'p, T> {
    /// The route that takes it.
    Route {
        /// What was inserted for the route.
        value: &'t T,
        /// The values of the pattern's parameters.
        params: Params<'t, 'p>,
        /// What `{.+}` stands for, without a leading slash, if the pattern has one.
        tail: Option<&'p str>,
    },
    /// Routes take the path at this host, none with this method. A request for `OPTIONS` ends here too unless a route
    /// names it or takes any method.
    MethodNotAllowed {
        /// The methods that they take.
        allow: Allowed<'t>,
    },
    /// No route takes the path at this host.
    NotFound,
}

impl<T> RouteTable<T> {
    /// Starts an empty table.
    pub fn builder() -> RouteTableBuilder<T> {
        RouteTableBuilder::default()
    }

    /// Finds the route for a host and path in the guard's spelling; a request without a host has an empty one.
    pub fn find<'p>(&self, host: &str, path: &'p str, method: &Method) -> Found<'_, 'p, T> {
        let mut allow = Allowed::default();
        let rest = path.strip_prefix('/').unwrap_or_default();
        for root in self.hosts.roots(host) {
            if let Some((route, tail)) = self.trie.search(root, rest, Some(method), &mut allow)
                && let Some((pattern, value)) = self.routes.get(route as usize)
            {
                return Found::Route { value, params: Params { pattern, path }, tail };
            }
        }
        if allow.is_empty() { Found::NotFound } else { Found::MethodNotAllowed { allow } }
    }

    /// The methods that the routes for a path take at a host.
    pub fn methods_for(&self, host: &str, path: &str) -> Allowed<'_> {
        let mut allow = Allowed::default();
        let rest = path.strip_prefix('/').unwrap_or_default();
        for root in self.hosts.roots(host) {
            self.trie.search(root, rest, None, &mut allow);
        }
        allow
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The routes in the order they were inserted.
    pub fn iter(&self) -> impl Iterator<Item = (&RoutePattern, &T)> {
        self.routes.iter().map(|(pattern, value)| (pattern, value))
    }
}

/// The values of a pattern's parameters in one path; nothing is read before it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params<'t, 'p> {
    pattern: &'t RoutePattern,
    path: &'p str,
}

impl<'t, 'p> Params<'t, 'p> {
    /// The pattern that matched.
    pub fn pattern(&self) -> &'t RoutePattern {
        self.pattern
    }

    /// A parameter's value, decoded.
    pub fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        self.raw(name).map(percent::decode)
    }

    /// A parameter's value as it stands in the path.
    pub fn raw(&self, name: &str) -> Option<&'p str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Names, and values as they stand in the path, from left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'t str, &'p str)> {
        // The path begins with a slash, so its first piece is the empty one before it.
        let segments = self.pattern.segments().iter().zip(self.path.split('/').skip(1));
        segments.filter_map(|(segment, value)| match segment {
            Segment::Param(name) => Some((&**name, value)),
            _ => None,
        })
    }
}

/// A table in the making.
#[derive(Clone, Debug)]
pub struct RouteTableBuilder<T> {
    table: RouteTable<T>,
}

impl<T> Default for RouteTableBuilder<T> {
    fn default() -> Self {
        let (hosts, trie) = (Hosts::default(), Trie::default());
        Self { table: RouteTable { hosts, trie, routes: Vec::new() } }
    }
}

/// A route that was not inserted, because another has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<'t, T> {
    /// What was to be inserted.
    pub value: T,
    /// Every place that is taken, at least one.
    pub taken: Vec<Taken<'t, T>>,
}

/// A host, pattern and method that an earlier route has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<'t, T> {
    /// The earlier route's value.
    pub by: &'t T,
    /// The earlier route's pattern, which may name its parameters otherwise.
    pub pattern: &'t RoutePattern,
    /// The host that both name.
    pub host: HostPattern,
    /// The method that both name; none when both take any.
    pub method: Option<Method>,
}

impl<T> RouteTableBuilder<T> {
    /// Adds a route for the hosts (none: any) and methods (none: any) it names.
    ///
    /// # Errors
    /// An earlier route has the same host, the same pattern but for the names of parameters, and the same method. The
    /// table is then as it was.
    pub fn insert(
        &mut self,
        hosts: &[HostPattern],
        pattern: RoutePattern,
        methods: &[Method],
        value: T,
    ) -> Result<(), Conflict<'_, T>> {
        let hosts = if hosts.is_empty() { &[HostPattern::Any] } else { hosts };
        let methods: Vec<Option<&Method>> =
            if methods.is_empty() { vec![None] } else { methods.iter().map(Some).collect() };
        let taken = self.taken(hosts, &pattern, &methods);
        if !taken.is_empty() {
            let name = |(route, host, method): (RouteId, HostPattern, Option<Method>)| {
                let (pattern, by) = self.table.routes.get(route as usize)?;
                Some(Taken { by, pattern, host, method })
            };
            return Err(Conflict { value, taken: taken.into_iter().filter_map(name).collect() });
        }
        let table = &mut self.table;
        let route = table.routes.len() as RouteId;
        for host in hosts {
            let root = table.hosts.root(host).unwrap_or_else(|| {
                let root = table.trie.add_node();
                table.hosts.add(host, root);
                root
            });
            let Some(endpoint) = table.trie.endpoint_mut(root, pattern.segments()) else { continue };
            for method in &methods {
                // A host or method that the author wrote twice has its place already.
                if endpoint.occupant(*method).is_none() {
                    endpoint.put(*method, route);
                }
            }
        }
        table.routes.push((pattern, value));
        Ok(())
    }

    /// The table, ready to be searched.
    pub fn build(self) -> RouteTable<T> {
        self.table
    }

    fn taken(
        &self,
        hosts: &[HostPattern],
        pattern: &RoutePattern,
        methods: &[Option<&Method>],
    ) -> Vec<(RouteId, HostPattern, Option<Method>)> {
        let mut taken = Vec::new();
        for host in hosts {
            let root = self.table.hosts.root(host);
            let Some(endpoint) = root.and_then(|root| self.table.trie.endpoint(root, pattern.segments())) else {
                continue;
            };
            for method in methods {
                if let Some(route) = endpoint.occupant(*method) {
                    taken.push((route, host.clone(), method.cloned()));
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests;
