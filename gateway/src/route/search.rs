//! The walk through a table for one request.
//!
//! Owns the hot path: which nodes are tried in which order, and when a candidate is passed over.
//! It allocates for a fifth capture, for a segment with escapes, and for 405.

use http::Method;

use super::Query;
use super::captures::Ranges;
use super::methods::{MethodSet, allow_list};
use super::predicates::Predicates;
use super::table::Table;
use super::trie::{Candidate, Leaf, NodeId, decoded};

/// How a search ended.
pub(super) enum SearchOutcome<'a> {
    Hit(&'a Candidate, Ranges),
    /// The first route that would have served the request with another method, and the methods
    /// with which any would.
    Miss(Option<(u32, Vec<Method>)>),
}

/// A search and what it gathers.
pub(super) struct Search<'a> {
    table: &'a Table,
    query: &'a Query<'a>,
    method: MethodSet,
    /// Whether a segment must be decoded before it is compared.
    escaped: bool,
    ranges: Ranges,
    allow: MethodSet,
    allow_extension: Vec<Method>,
    /// The first route that only lacks the method.
    missed: Option<u32>,
}

impl<'a> Search<'a> {
    pub(super) fn new(table: &'a Table, query: &'a Query<'a>) -> Self {
        Self {
            table,
            query,
            method: MethodSet::of(query.method),
            escaped: memchr::memchr(b'%', query.path.as_bytes()).is_some(),
            ranges: Ranges::new(),
            allow: MethodSet::NONE,
            allow_extension: Vec::new(),
            missed: None,
        }
    }

    pub(super) fn run(mut self) -> SearchOutcome<'a> {
        // A path of 4 GiB has no route: ranges are kept in 32 bits.
        if !self.query.path.starts_with('/') || u32::try_from(self.query.path.len()).is_err() {
            return SearchOutcome::Miss(None);
        }
        let (table, host) = (self.table, self.query.host);
        match table.hosts.visit(host, |root| self.walk(root, 1)) {
            Some(candidate) => SearchOutcome::Hit(candidate, self.ranges),
            None => SearchOutcome::Miss(self.missed.map(|route| (route, self.allowed()))),
        }
    }

    /// The best candidate at or below `node` for the segments from byte `start` on. Recurses no
    /// deeper than the longest pattern has segments.
    fn walk(&mut self, node: NodeId, start: usize) -> Option<&'a Candidate> {
        let node = self.table.trie.node(node);
        let path = self.query.path.as_bytes();
        if start > path.len() {
            return self.choose(&node.end);
        }
        let end = memchr::memchr(b'/', &path[start..]).map_or(path.len(), |slash| start + slash);
        let segment = &path[start..end];
        let literal =
            if self.escaped { node.literal(&decoded(segment)) } else { node.literal(segment) };
        if let Some(hit) = literal.and_then(|child| self.walk(child, end + 1)) {
            return Some(hit);
        }
        if let Some((child, name)) = node.verb(segment) {
            self.capture(start, start + name);
            if let Some(hit) = self.walk(child, end + 1) {
                return Some(hit);
            }
            self.ranges.pop();
        }
        if let Some(child) = node.param
            && !segment.is_empty()
        {
            self.capture(start, end);
            if let Some(hit) = self.walk(child, end + 1) {
                return Some(hit);
            }
            self.ranges.pop();
        }
        if !node.rest.is_empty() {
            self.capture(start, path.len());
            if let Some(hit) = self.choose(&node.rest) {
                return Some(hit);
            }
            self.ranges.pop();
        }
        None
    }

    #[expect(clippy::cast_possible_truncation, reason = "run() has bounded the path's length")]
    fn capture(&mut self, start: usize, end: usize) {
        self.ranges.push((start as u32, end as u32));
    }

    /// The first candidate whose predicates hold. Notes the methods of those that fail in
    /// nothing else.
    fn choose(&mut self, leaf: &Leaf) -> Option<&'a Candidate> {
        let table = self.table;
        for candidate in table.trie.candidates(leaf) {
            let predicates = candidate.predicates.map(|index| &table.predicates[index as usize]);
            if predicates.is_some_and(|predicates| !predicates.hold(self.query)) {
                continue;
            }
            if self.takes_method(candidate, predicates) {
                return Some(candidate);
            }
            self.missed.get_or_insert(candidate.route);
            self.allow = self.allow.union(candidate.methods);
            if let Some(predicates) = predicates {
                self.allow_extension.extend_from_slice(predicates.extension_methods());
            }
        }
        None
    }

    fn takes_method(&self, candidate: &Candidate, predicates: Option<&Predicates>) -> bool {
        if !candidate.methods.meets(self.method) {
            return false;
        }
        self.method != MethodSet::EXTENSION
            || candidate.methods == MethodSet::ANY
            || predicates.is_some_and(|some| some.extension_methods().contains(self.query.method))
    }

    fn allowed(self) -> Vec<Method> {
        allow_list(self.allow, self.allow_extension)
    }
}
