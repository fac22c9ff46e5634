//! The route that serves a request.

use http::request::Parts;

use super::target::Target;
use crate::config::Route;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::route::{Captures, Found, Query};

/// A route that was found, and how.
pub(in crate::proxy) struct FoundRoute<'a> {
    pub(in crate::proxy) route: &'a Route,
    pub(in crate::proxy) index: usize,
    pub(in crate::proxy) pattern: usize,
    pub(in crate::proxy) captures: Captures,
}

/// Finds it, and notes it with the exchange.
///
/// # Errors
/// When no route serves the request, or none with its method.
pub(in crate::proxy) fn find<'a>(
    exchange: &'a Exchange,
    head: &Parts,
    target: &Target,
) -> Result<FoundRoute<'a>, Failure> {
    let query = Query {
        host: target.host(),
        path: target.path(&head.uri),
        method: &head.method,
        headers: &head.headers,
        query: head.uri.query(),
    };
    exchange.is_for(target.field(), target.host_length(), target.other_path());
    let snapshot = &exchange.snapshot;
    match snapshot.table(exchange.listener).find(&query) {
        Found::Route { route: index, pattern, captures } => {
            exchange.routed(index, pattern);
            Ok(FoundRoute { route: &snapshot.config.routes[index], index, pattern, captures })
        }
        Found::NotFound => Err(Failure::NotFound),
        Found::MethodNotAllowed { allow, route } => {
            exchange.missed(route);
            Err(Failure::MethodNotAllowed { allow })
        }
    }
}
