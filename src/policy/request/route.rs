//! Selects the route of a request by host, path and method, independently of the order of the routes.
//!
//! The most specific host wins, then the most specific path (segment by segment: literal, `{param}`, `{.+}`), then a named method
//! over any method. If the best host and path have no route for the method, the next best host and path are tried.

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

/// A table of routes. Each route has a value of type `T`.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    hosts: Hosts,
    trie: Trie,
    routes: Vec<(RoutePattern, T)>,
}

/// The result of [`RouteTable::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteMatch<'t, 'p, T> {
    /// This route is selected for the host, path and method.
    Route {
        /// The value that was inserted with the route.
        value: &'t T,
        /// The values of the pattern's parameters.
        params: Params<'t, 'p>,
        /// The part of the path that `{.+}` matches, without a leading slash; `None` if the pattern has no `{.+}`.
        tail: Option<&'p str>,
    },
    /// Routes match the host and path, but no route accepts the method. This also applies to `OPTIONS`, unless a route names it
    /// or accepts any method.
    MethodNotAllowed {
        /// The methods that these routes accept.
        allow: Allowed<'t>,
    },
    /// No route matches the host and path.
    NotFound,
}

impl<T> RouteTable<T> {
    /// Creates a builder for an empty table.
    pub fn builder() -> RouteTableBuilder<T> {
        RouteTableBuilder::default()
    }

    /// Finds the route for a host and a path that the guard has normalized. For a request without a host, pass an empty host.
    pub fn find<'p>(&self, host: &str, path: &'p str, method: &Method) -> RouteMatch<'_, 'p, T> {
        let mut allow = Allowed::default();
        let rest = path.strip_prefix('/').unwrap_or_default();
        for root in self.hosts.roots(host) {
            if let Some((route, tail)) = self.trie.search(root, rest, Some(method), &mut allow)
                && let Some((pattern, value)) = self.routes.get(route as usize)
            {
                return RouteMatch::Route { value, params: Params { pattern, path }, tail };
            }
        }
        if allow.is_empty() { RouteMatch::NotFound } else { RouteMatch::MethodNotAllowed { allow } }
    }

    /// Returns the methods of all routes that match a host and a path.
    pub fn methods_for(&self, host: &str, path: &str) -> Allowed<'_> {
        let mut allow = Allowed::default();
        let rest = path.strip_prefix('/').unwrap_or_default();
        for root in self.hosts.roots(host) {
            self.trie.search(root, rest, None, &mut allow);
        }
        allow
    }

    /// Returns the number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Returns `true` if there are no routes.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Returns an iterator over the routes in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&RoutePattern, &T)> {
        self.routes.iter().map(|(pattern, value)| (pattern, value))
    }
}

/// The values of a pattern's parameters in one path. The path is split only when a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params<'t, 'p> {
    pattern: &'t RoutePattern,
    path: &'p str,
}

impl<'t, 'p> Params<'t, 'p> {
    /// Returns the pattern that matched.
    pub fn pattern(&self) -> &'t RoutePattern {
        self.pattern
    }

    /// Returns the decoded value of a parameter; `None` if the pattern has no parameter with this name.
    pub fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        self.raw(name).map(percent::decode)
    }

    /// Returns the value of a parameter as written in the path; `None` if the pattern has no parameter with this name.
    pub fn raw(&self, name: &str) -> Option<&'p str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns an iterator over the names and values from left to right. Values are returned as written in the path.
    pub fn iter(&self) -> impl Iterator<Item = (&'t str, &'p str)> {
        // The path begins with a slash, so the first part of the split is empty.
        let segments = self.pattern.segments().iter().zip(self.path.split('/').skip(1));
        segments.filter_map(|(segment, value)| match segment {
            Segment::Param(name) => Some((&**name, value)),
            _ => None,
        })
    }
}

/// Builds a [`RouteTable`].
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

/// A route that was not inserted, because it conflicts with earlier routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<'t, T> {
    /// The value of the route that was not inserted.
    pub value: T,
    /// The conflicts with earlier routes. There is at least one.
    pub taken: Vec<RouteConflict<'t, T>>,
}

/// An earlier route with the same host, pattern and method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConflict<'t, T> {
    /// The value that was inserted with the earlier route.
    pub by: &'t T,
    /// The pattern of the earlier route, which may use other parameter names.
    pub pattern: &'t RoutePattern,
    /// The host that both routes have.
    pub host: HostPattern,
    /// The method that both routes have; `None` if both accept any method.
    pub method: Option<Method>,
}

impl<T> RouteTableBuilder<T> {
    /// Adds a route for the given hosts and methods. If `hosts` is empty, the route matches any host. If `methods` is empty, it
    /// accepts any method.
    ///
    /// # Errors
    /// Returns the conflicts if earlier routes have a host, a method and the pattern in common with this route. Patterns that
    /// differ only in parameter names count as the same pattern. After an error, the table is unchanged.
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
                Some(RouteConflict { by, pattern, host, method })
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
                // A document may list a host or a method twice.
                if endpoint.route_for_exactly(*method).is_none() {
                    endpoint.put(*method, route);
                }
            }
        }
        table.routes.push((pattern, value));
        Ok(())
    }

    /// Builds the table from all inserted routes.
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
                if let Some(route) = endpoint.route_for_exactly(*method) {
                    taken.push((route, host.clone(), method.cloned()));
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests;
