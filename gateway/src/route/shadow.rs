//! Routes and path patterns that can never serve a request.
//!
//! Owns the proof that whatever a route matches is taken by routes that go before it. It claims
//! only what it can prove from the shapes of patterns; a route that it does not name may still be
//! useless (two header values that exclude each other, say).
//!
//! Why looking at one host is enough: a host pattern that covers another and does not equal it is
//! less specific and goes behind it. The same holds for single path patterns; but `{*rest}` is
//! the union of three more specific ones, and those together can cover it.

use std::collections::BTreeSet;

use http::{HeaderName, Method};

use super::methods::MethodSet;
use super::table::{Table, hosts, serves};
use super::trie::{Leaf, NodeId};
use crate::config::{Config, HostPattern, ListenerId, Route, RouteMatcher, Segment, ValuePattern};

/// Something that can never match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The index of the route in [`Config::routes`].
    pub route: usize,
    /// How much of it.
    pub scope: Scope,
    /// The routes that take its requests, in the order of the file; for [`Scope::Path`] the
    /// route itself may be among them.
    pub by: Vec<usize>,
}

/// How much of a route can never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Route,
    /// The pattern with this index in its `paths`.
    Path(usize),
}

/// All routes, and all path patterns of other routes, that provably never match.
pub fn shadowed(config: &Config) -> Vec<Shadow> {
    let tables: Vec<Table> =
        (0..config.listeners.len()).map(|id| Table::build(config, ListenerId(id))).collect();
    let mut shadows = Vec::new();
    for (route, spec) in config.routes.iter().enumerate() {
        let covered: Vec<Option<BTreeSet<usize>>> = (0..spec.matcher.paths.len())
            .map(|path| cover_of_path(config, &tables, route, path))
            .collect();
        if !covered.is_empty() && covered.iter().all(Option::is_some) {
            let by = covered.into_iter().flatten().flatten().filter(|by| *by != route);
            let by: BTreeSet<usize> = by.collect();
            shadows.push(Shadow { route, scope: Scope::Route, by: by.into_iter().collect() });
            continue;
        }
        for (path, by) in covered.into_iter().enumerate() {
            let by = by.map(|by| by.into_iter().collect());
            shadows.extend(by.map(|by| Shadow { route, scope: Scope::Path(path), by }));
        }
    }
    shadows
}

/// The routes that take everything that one pattern of a route matches, on all of its listeners
/// and hosts; `None` if something may be left.
fn cover_of_path(
    config: &Config,
    tables: &[Table],
    route: usize,
    path: usize,
) -> Option<BTreeSet<usize>> {
    let spec = &config.routes[route];
    let mut by = BTreeSet::new();
    for table in tables.iter().filter(|table| serves(spec, table.listener)) {
        for host in hosts(&spec.matcher) {
            for method in methods_of(&spec.matcher) {
                let cover = Cover { config, table, route, path, spec, method };
                by.append(&mut cover.of_host(host)?);
            }
        }
    }
    (!by.is_empty()).then_some(by)
}

/// The methods that must be covered; `None` means every method there is. A `HEAD` that comes
/// with `GET` needs no look of its own: whatever takes `GET` first takes such a `HEAD` first.
fn methods_of(matcher: &RouteMatcher) -> Vec<Option<Method>> {
    if matcher.methods.is_empty() {
        return vec![None];
    }
    matcher.methods.iter().cloned().map(Some).collect()
}

/// What is to be covered: one pattern, with one method.
struct Cover<'a> {
    config: &'a Config,
    table: &'a Table,
    route: usize,
    path: usize,
    spec: &'a Route,
    method: Option<Method>,
}

impl Cover<'_> {
    fn of_host(&self, host: Option<&HostPattern>) -> Option<BTreeSet<usize>> {
        let (trie, hosts) = (&self.table.trie, &self.table.hosts);
        let mut at = hosts.root(host)?;
        for segment in &self.spec.matcher.paths[self.path].segments {
            let node = trie.node(at);
            at = match segment {
                Segment::Literal(text) => node.literal(&super::trie::decoded(text.as_bytes()))?,
                Segment::Verb(_, verb) => node.exact_verb(verb)?,
                Segment::Param(_) => node.param?,
                Segment::Rest(_) => return self.of_rest(at),
            };
        }
        self.of_leaf(&trie.node(at).end)
    }

    /// `{*rest}` is covered by itself, or by an empty segment, one segment, and one segment with
    /// a rest behind it, together. Ends with the trie.
    fn of_rest(&self, at: NodeId) -> Option<BTreeSet<usize>> {
        let trie = &self.table.trie;
        let node = trie.node(at);
        if let Some(by) = self.of_leaf(&node.rest) {
            return Some(by);
        }
        let param = node.param?;
        let mut by = self.of_leaf(&trie.node(node.literal(b"")?).end)?;
        by.append(&mut self.of_leaf(&trie.node(param).end)?);
        by.append(&mut self.of_rest(param)?);
        Some(by)
    }

    /// The candidate of a leaf that takes all that is to be covered and goes before the pattern
    /// itself, which is in this leaf only if that is where it ends.
    fn of_leaf(&self, leaf: &Leaf) -> Option<BTreeSet<usize>> {
        for candidate in self.table.trie.candidates(leaf) {
            let other = candidate.route as usize;
            let matcher = &self.config.routes[other].matcher;
            if !self.takes_method(matcher, candidate.methods) {
                continue;
            }
            let path = self.table.pattern_index(candidate.pattern);
            if (other, path) == (self.route, self.path) {
                return None;
            }
            if self.takes_fields(matcher) {
                return Some(BTreeSet::from([other]));
            }
        }
        None
    }

    fn takes_method(&self, matcher: &RouteMatcher, methods: MethodSet) -> bool {
        let Some(method) = &self.method else {
            return methods == MethodSet::ANY;
        };
        methods.meets(MethodSet::of(method))
            && (MethodSet::of(method) != MethodSet::EXTENSION
                || methods == MethodSet::ANY
                || matcher.methods.contains(method))
    }

    /// Whether the other route's header and query predicates hold wherever the route's hold.
    fn takes_fields(&self, other: &RouteMatcher) -> bool {
        let header = |want: &(HeaderName, ValuePattern)| implied(&self.spec.matcher.headers, want);
        let parameter = |want: &(String, ValuePattern)| implied(&self.spec.matcher.query, want);
        other.headers.iter().all(header) && other.query.iter().all(parameter)
    }
}

/// Whether predicates that hold make another one hold.
fn implied<N: PartialEq>(held: &[(N, ValuePattern)], want: &(N, ValuePattern)) -> bool {
    held.iter().any(|(name, value)| {
        *name == want.0 && (*value == want.1 || want.1 == ValuePattern::Present)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::fixture::{Describe as _, config, route};

    /// Shadows in a line each: `b by a`, `b[0] by a`.
    fn shadows(routes: Vec<Route>) -> Vec<String> {
        let config = config(routes);
        let name = |index: usize| config.routes[index].name.clone();
        let line = |shadow: Shadow| {
            let path = match shadow.scope {
                Scope::Route => String::new(),
                Scope::Path(path) => format!("[{path}]"),
            };
            let by: Vec<String> = shadow.by.into_iter().map(name).collect();
            format!("{}{path} by {}", name(shadow.route), by.join(" "))
        };
        shadowed(&config).into_iter().map(line).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn reports_duplicates_that_differ_only_in_parameter_names() {
        let found = shadows(vec![
            route("a", "/a/{x}/{*y}"),
            route("b", "/a/{one}/{*two}"),
            route("c", "/users/@me"),
            route("d", "/users/%40me").path("/d"),
            route("e", "/e/{x}").path("/e/{y}"),
        ]);
        assert_eq!(found, ["b by a", "d[0] by c", "e[1] by e"]);
    }

    #[test]
    fn reports_a_route_whose_methods_are_all_taken() {
        let found = shadows(vec![
            route("read", "/a").method("GET"),
            route("write", "/a").method("POST"),
            route("both", "/a").method("POST").method("GET"),
            route("more", "/a").method("GET").method("PUT"),
            route("any", "/a"),
            route("any-too", "/a"),
        ]);
        assert_eq!(found, ["both by read write", "any-too by any"]);
    }

    #[test]
    fn does_not_report_a_route_that_alone_names_its_method() {
        let found = shadows(vec![
            route("get", "/a").method("GET"),
            route("head", "/a").method("HEAD"),
            route("purge", "/b").method("PURGE"),
            route("brew", "/b").method("BREW"),
        ]);
        assert_eq!(found, NONE);
    }

    #[test]
    fn knows_that_weaker_predicates_take_what_stronger_ones_match() {
        let found = shadows(vec![
            route("present", "/a").header("x-a", "*"),
            route("exact", "/a").header("x-a", "1"),
            route("query", "/a").query("q", "1"),
            route("query-too", "/a").query("q", "1"),
            route("other", "/a").query("q", "2"),
        ]);
        assert_eq!(found, ["exact by present", "query-too by query"]);
    }

    #[test]
    fn does_not_report_a_route_that_goes_first() {
        let found = shadows(vec![
            route("all", "/{*rest}"),
            route("param", "/{x}"),
            route("literal", "/a"),
            route("keyed", "/a").header("x-a", "1"),
            route("hosted", "/a").host("a.example"),
            route("wild", "/a").host("*.example"),
        ]);
        assert_eq!(found, NONE);
    }

    #[test]
    fn knows_that_narrower_patterns_together_take_a_whole_rest() {
        let narrow = || vec![route("root", "/a/"), route("one", "/a/{x}")];
        let mut routes = narrow();
        routes.extend([route("more", "/a/{x}/{*rest}"), route("all", "/a/{*rest}")]);
        assert_eq!(shadows(routes), ["all by root one more"]);
        let mut routes = narrow();
        routes.extend([route("more", "/a/{x}/b/{*rest}"), route("all", "/a/{*rest}")]);
        assert_eq!(shadows(routes), NONE);
    }

    #[test]
    fn wants_every_listener_and_every_host_covered() {
        let found = shadows(vec![
            route("first", "/a").on(0).host("a.example"),
            route("both", "/a").host("a.example"),
            route("second", "/a").on(1).host("a.example"),
            route("hosts", "/a").host("a.example").host("b.example"),
        ]);
        assert_eq!(found, ["second by both"]);
    }
}
