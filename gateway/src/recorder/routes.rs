//! Why this route and not another.
//!
//! Owns what is said of routes whose host and path match too. It is found out when somebody asks, from
//! the configuration itself; fields are not kept, so that what a route wants of them is named and not
//! judged.

use http::{HeaderMap, Method};
use serde::Serialize;

use super::Record;
use crate::config::{Config, Route};
use crate::path::normalise;
use crate::route::{Query, Table, Verdict};

/// Other routes that are named at most.
const MOST: usize = 10;

/// A route that did not serve the request.
#[derive(Debug, Serialize)]
pub(crate) struct Other {
    route: String,
    /// `passed-over`: it comes first, and something that it wants did not hold. `less-specific`: it comes
    /// later. `differs`: its host or path does not match.
    why: &'static str,
    /// What else it wants, or what differs.
    wants: Vec<String>,
}

/// What a route asks for besides host and path.
pub(crate) fn wants(route: &Route) -> Vec<String> {
    let matcher = &route.matcher;
    let mut wants = Vec::new();
    if !matcher.methods.is_empty() {
        let names: Vec<_> = matcher.methods.iter().map(Method::as_str).collect();
        wants.push(format!("method {}", names.join(" or ")));
    }
    wants.extend(matcher.headers.iter().map(|(name, _)| format!("header {name}")));
    wants.extend(matcher.query.iter().map(|(name, _)| format!("query {name}")));
    wants
}

/// The routes whose host and path match as well; where no route served the request, why none did.
pub(crate) fn others(config: &Config, record: &Record) -> Vec<Other> {
    let Ok(method) = record.method.parse::<Method>() else { return Vec::new() };
    let (path, query) = record.target.split_once('?').unwrap_or((&record.target, ""));
    let path = path
        .find("://")
        .map_or(path, |at| path[at + 3..].find('/').map_or("/", |slash| &path[at + 3 + slash..]));
    let Some(listener) = config.listeners.get(record.listener_id.0) else { return Vec::new() };
    let Ok(path) = normalise(path, listener.paths) else { return Vec::new() };
    let headers = HeaderMap::new();
    let query = Query {
        host: &record.host,
        path: &path,
        method: &method,
        headers: &headers,
        query: Some(query).filter(|query| !query.is_empty()),
    };
    let explained = Table::build(config, record.listener_id).explain(config, &query);
    let winner = explained.steps.iter().position(|step| Some(step.route) == record.route_index);
    let other = |(place, step): (usize, crate::route::Step)| {
        let route = &config.routes[step.route];
        let (why, wants) = match (&step.verdict, winner) {
            (Verdict::Fails { predicate, want, .. }, winner)
                if matches!(&**predicate, "host" | "path") =>
            {
                // Only where nothing matched is that of interest.
                let named = winner.is_none().then(|| format!("{predicate} {want}"))?;
                ("differs", vec![named])
            }
            (_, Some(winner)) if place == winner => return None,
            (_, Some(winner)) if place > winner => ("less-specific", wants(route)),
            _ => ("passed-over", wants(route)),
        };
        Some(Other { route: step.name, why, wants })
    };
    explained.steps.into_iter().enumerate().filter_map(other).take(MOST).collect()
}
