//! Which route serves a request.
//!
//! Owns the normal form of a path ([`normalise`]), the compiled [`Table`] of one listener, the
//! rule for which route wins, and the two ways of asking after it: [`Table::explain`] for one
//! request and [`shadowed`] for a whole configuration. It reads the checked configuration and the
//! head of a request; it must not change either, nor know what a route does once it has won.
//!
//! The rule, from first to last:
//! 1. the host: an exact one, then the longest wildcard suffix, then none;
//! 2. the path, segment by segment from the left: a literal, then `{param}`, then `{*rest}`;
//! 3. further predicates: a route with methods before one without, then more header predicates,
//!    then more query predicates;
//! 4. for `HEAD`, a route that names it before one that only names `GET`;
//! 5. the order in the file.
//!
//! A route whose predicates fail is passed over and the next one is tried, down to the least
//! specific host.

mod captures;
mod explain;
#[cfg(test)]
mod fixture;
mod hosts;
mod methods;
mod predicates;
mod search;
mod shadow;
mod table;
#[cfg(test)]
mod tests;
mod trie;

use http::{HeaderMap, Method};

pub use captures::{Captures, NamedCaptures};
pub use explain::{Explanation, Step, Verdict, explain};
pub use shadow::{Scope, Shadow, shadowed};
pub use table::Table;

pub use crate::path::{PathError, normalise, raw};

/// What of a request decides its route.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The authority's host in any case, without port; empty if the request has none.
    pub host: &'a str,
    /// The path as [`normalise`] returned it.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What is behind `?`, raw.
    pub query: Option<&'a str>,
}

/// What [`Table::find`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A route.
    Route {
        /// Its index in [`Config::routes`](crate::config::Config::routes).
        route: usize,
        /// The index of the pattern that matched in its
        /// [`paths`](crate::config::RouteMatcher::paths).
        pattern: usize,
        /// What the pattern's parameters mean.
        captures: Captures,
    },
    /// No route matches, with any method: 404.
    NotFound,
    /// Some route matches in everything but the method: 405 (RFC 9110 section 15.5.6).
    MethodNotAllowed {
        /// The methods of all such routes, for `Allow`; never empty.
        allow: Vec<Method>,
        /// The first of these routes, which says how a refusal is written.
        route: usize,
    },
}
