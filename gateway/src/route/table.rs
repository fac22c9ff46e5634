//! The routes of one listener, compiled.
//!
//! Owns the build from the configuration and what candidates point to. Everything that can be
//! decided before a request comes is decided here; a built table is only read, so workers share
//! it without a lock.

use std::cmp::Reverse;

use super::captures::Captures;
use super::hosts::Hosts;
use super::methods::{MethodSet, implies_head};
use super::predicates::Predicates;
use super::search::{Search, SearchOutcome};
use super::trie::{Builder, Candidate, NodeId, Trie};
use super::{Found, Query};
use crate::config::{Config, HostPattern, ListenerId, Route, RouteMatcher, Segment};

/// The compiled routes of one listener.
#[derive(Debug)]
pub struct Table {
    pub(super) listener: ListenerId,
    pub(super) hosts: Hosts,
    pub(super) trie: Trie,
    pub(super) predicates: Vec<Predicates>,
    patterns: Vec<Pattern>,
}

/// A path pattern of a route.
#[derive(Debug)]
struct Pattern {
    /// Index in the route's `paths`.
    index: usize,
    names: Box<[Box<str>]>,
}

impl Table {
    /// Compiles the routes that `listener` serves.
    pub fn build(config: &Config, listener: ListenerId) -> Self {
        let mut draft = Draft::default();
        for (index, route) in config.routes.iter().enumerate() {
            if serves(route, listener) {
                draft.add(index, &route.matcher);
            }
        }
        Self {
            listener,
            hosts: draft.hosts,
            trie: draft.trie.finish(),
            predicates: draft.predicates,
            patterns: draft.patterns,
        }
    }

    /// The route that serves a request.
    ///
    /// The time does not depend on the number of routes, but for those that share both a host
    /// and a path pattern and differ in their other predicates: these are tried one by one.
    pub fn find(&self, query: &Query<'_>) -> Found {
        match Search::new(self, query).run() {
            SearchOutcome::Hit(hit, ranges) => Found::Route {
                route: hit.route as usize,
                pattern: self.pattern_index(hit.pattern),
                captures: Captures::new(hit.pattern, ranges),
            },
            SearchOutcome::Miss(None) => Found::NotFound,
            SearchOutcome::Miss(Some((route, allow))) => {
                Found::MethodNotAllowed { allow, route: route as usize }
            }
        }
    }

    /// The parameter names of a pattern.
    pub(super) fn names(&self, pattern: u32) -> &[Box<str>] {
        self.patterns.get(pattern as usize).map_or(&[], |pattern| &pattern.names)
    }

    /// The index of a pattern in its route's `paths`.
    pub(super) fn pattern_index(&self, pattern: u32) -> usize {
        self.patterns[pattern as usize].index
    }
}

/// Whether a route is served on a listener. A route that names none is served on all.
pub(super) fn serves(route: &Route, listener: ListenerId) -> bool {
    route.listeners.is_empty() || route.listeners.contains(&listener)
}

/// The hosts of a route; `None` is any.
pub(super) fn hosts(matcher: &RouteMatcher) -> Vec<Option<&HostPattern>> {
    if matcher.hosts.is_empty() {
        return vec![None];
    }
    let mut hosts: Vec<_> = matcher.hosts.iter().map(Some).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// The order among routes of one host and path pattern, best first: rules 3 to 5. The numbers
/// are the route's and the pattern's index.
pub(super) type Rank = (bool, Reverse<usize>, Reverse<usize>, bool, usize, usize);

/// The rank of a route, which for `HEAD` may be taken only because of `GET`.
pub(super) fn rank(
    matcher: &RouteMatcher,
    only_by_get: bool,
    route: usize,
    pattern: usize,
) -> Rank {
    (
        matcher.methods.is_empty(),
        Reverse(matcher.headers.len()),
        Reverse(matcher.query.len()),
        only_by_get,
        route,
        pattern,
    )
}

struct Draft {
    hosts: Hosts,
    trie: Builder<Rank>,
    predicates: Vec<Predicates>,
    patterns: Vec<Pattern>,
}

impl Default for Draft {
    fn default() -> Self {
        let trie = Builder::new();
        Self { hosts: Hosts::default(), trie, predicates: vec![], patterns: vec![] }
    }
}

impl Draft {
    fn add(&mut self, route: usize, matcher: &RouteMatcher) {
        let roots: Vec<NodeId> = hosts(matcher)
            .into_iter()
            .map(|host| self.hosts.root_or_insert(host, || self.trie.push()))
            .collect();
        let predicates = Predicates::of_route(matcher).map(|predicates| {
            self.predicates.push(predicates);
            index(self.predicates.len() - 1)
        });
        for (number, path) in matcher.paths.iter().enumerate() {
            self.patterns.push(Pattern { index: number, names: names(&path.segments) });
            let candidate = Candidate {
                route: index(route),
                pattern: index(self.patterns.len() - 1),
                predicates,
                methods: MethodSet::of_route(&matcher.methods),
            };
            let by_get = Candidate { methods: MethodSet::HEAD, ..candidate };
            for &root in &roots {
                let key = rank(matcher, false, route, number);
                self.trie.insert(root, &path.segments, key, candidate);
                if implies_head(&matcher.methods) {
                    let key = rank(matcher, true, route, number);
                    self.trie.insert(root, &path.segments, key, by_get);
                }
            }
        }
    }
}

fn names(segments: &[Segment]) -> Box<[Box<str>]> {
    let name = |segment: &Segment| match segment {
        Segment::Literal(_) => None,
        Segment::Param(name) | Segment::Verb(name, _) | Segment::Rest(name) => {
            Some(name.as_str().into())
        }
    };
    segments.iter().filter_map(name).collect()
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("a configuration has fewer routes and paths than 2^32")
}
