//! Why one route serves a request and the others do not.
//!
//! Owns the account that a person reads. It asks the configuration itself rather than the
//! compiled table, so that the two check each other; it is slow and is in no request's way.

mod place;

use std::fmt;

use http::Method;

use super::Query;
use super::methods::{MethodSet, allow_list, implies_head, is_extension};
use super::predicates::{decode, decodes_to, header_holds, parameter_holds, parameters};
use super::table::{Table, hosts, rank, serves};
use crate::config::{Config, HostPattern, ListenerId, RouteMatcher, ValuePattern};
use place::{PathRanking, host_rank, matches, path_rank};

/// What each route of a listener says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// First the routes whose host and path match, in the order in which they are tried; then
    /// the others in the order of the file.
    pub steps: Vec<Step>,
    /// The index in `steps` of the route that serves the request.
    pub winner: Option<usize>,
    /// If no route serves it: the methods with which one would. The answer is 405 where there are
    /// such methods, and 404 where there are none.
    pub allow: Vec<Method>,
}

/// What one route says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its index in [`Config::routes`].
    pub route: usize,
    /// Its name.
    pub name: String,
    /// Whether it matches.
    pub verdict: Verdict,
}

/// Whether a route matches, and if not, what fails first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every predicate holds.
    Matches {
        /// The path pattern that matches, as in the file.
        pattern: String,
    },
    /// A predicate fails; those behind it were not tried. The method is tried last, since a
    /// request that fails in nothing else is answered with 405.
    Fails {
        /// `host`, `path`, `header NAME`, `query NAME` or `method`.
        predicate: String,
        /// What the route wants, as one would say it.
        want: String,
        /// What the request has; `None` if nothing.
        got: Option<String>,
    },
}

impl Table {
    /// Tries every route of the table's listener on a request. `config` is the one that the table
    /// was built from.
    pub fn explain(&self, config: &Config, query: &Query<'_>) -> Explanation {
        explain(config, self.listener, query)
    }
}

/// Tries every route of a listener on a request, without a table.
#[must_use]
pub fn explain(config: &Config, listener: ListenerId, query: &Query<'_>) -> Explanation {
    let mut tried: Vec<(Option<PathRanking>, Step)> = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        if !serves(route, listener) {
            continue;
        }
        let (place, verdict) = judge(index, &route.matcher, query);
        tried.push((place, Step { route: index, name: route.name.clone(), verdict }));
    }
    tried.sort_by_key(|(place, step)| (place.is_none(), place.clone(), step.route));
    let steps: Vec<Step> = tried.into_iter().map(|(_, step)| step).collect();
    let winner = steps.iter().position(Step::matches);
    let allow = match winner {
        Some(_) => vec![],
        None => allow(config, &steps),
    };
    Explanation { steps, winner, allow }
}

impl Step {
    /// Whether the route matches.
    pub fn matches(&self) -> bool {
        matches!(self.verdict, Verdict::Matches { .. })
    }
}

const METHOD: &str = "method";

fn judge(
    index: usize,
    matcher: &RouteMatcher,
    query: &Query<'_>,
) -> (Option<PathRanking>, Verdict) {
    let host = hosts(matcher).into_iter().filter_map(|host| host_rank(host, query.host)).min();
    let Some(host) = host else {
        return (None, fails("host", &any_of(&matcher.hosts, host_text), text(query.host)));
    };
    let matching = matcher.paths.iter().enumerate().filter(|(_, path)| matches(path, query.path));
    let Some((path, number)) = matching.map(|(number, path)| (path_rank(path), number)).min()
    else {
        let want = any_of(&matcher.paths, |path| path.text.clone());
        return (None, fails("path", &want, text(query.path)));
    };
    let only_by_get = query.method == Method::HEAD && implies_head(&matcher.methods);
    let place = (host, path, rank(matcher, only_by_get, index, number));
    let pattern = matcher.paths[number].text.clone();
    let verdict = first_failure(matcher, query).unwrap_or(Verdict::Matches { pattern });
    (Some(place), verdict)
}

fn first_failure(matcher: &RouteMatcher, query: &Query<'_>) -> Option<Verdict> {
    for (name, want) in &matcher.headers {
        if !header_holds(query.headers, name, want) {
            let lines = query.headers.get_all(name).iter();
            let got = quoted(lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into()));
            return Some(fails(&format!("header {name}"), &value_text(want), got));
        }
    }
    for (name, want) in &matcher.query {
        if !parameter_holds(query.query, name, want) {
            let same = parameters(query.query).filter(|(known, _)| decodes_to(known, name));
            let got = quoted(same.map(|(_, value)| {
                let bytes: Vec<u8> = decode(value.as_bytes()).collect();
                String::from_utf8_lossy(&bytes).into()
            }));
            return Some(fails(&format!("query {name}"), &value_text(want), got));
        }
    }
    let by_get = query.method == Method::HEAD && implies_head(&matcher.methods);
    if !matcher.methods.is_empty() && !matcher.methods.contains(query.method) && !by_get {
        let want = any_of(&matcher.methods, Method::to_string);
        return Some(fails(METHOD, &want, text(query.method.as_str())));
    }
    None
}

/// The methods of the routes that fail in nothing else.
fn allow(config: &Config, steps: &[Step]) -> Vec<Method> {
    let by_method = |step: &&Step| matches!(&step.verdict, Verdict::Fails { predicate, .. } if predicate == METHOD);
    let (mut set, mut extension) = (MethodSet::NONE, vec![]);
    for step in steps.iter().filter(by_method) {
        let methods = &config.routes[step.route].matcher.methods;
        let head = if implies_head(methods) { MethodSet::HEAD } else { MethodSet::NONE };
        set = set.union(MethodSet::of_route(methods)).union(head);
        extension.extend(methods.iter().filter(|method| is_extension(method)).cloned());
    }
    allow_list(set, extension)
}

fn fails(predicate: &str, want: &str, got: Option<String>) -> Verdict {
    Verdict::Fails { predicate: predicate.to_owned(), want: want.to_owned(), got }
}

fn text(got: &str) -> Option<String> {
    (!got.is_empty()).then(|| got.to_owned())
}

fn any_of<T>(wanted: &[T], text: impl Fn(&T) -> String) -> String {
    wanted.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn quoted(values: impl Iterator<Item = String>) -> Option<String> {
    let values: Vec<String> = values.map(|value| format!("{value:?}")).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn host_text(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Suffix(suffix) => format!("*.{suffix}"),
    }
}

fn value_text(want: &ValuePattern) -> String {
    match want {
        ValuePattern::Present => "any value".to_owned(),
        ValuePattern::Exact(value) => format!("{value:?}"),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.winner {
            Some(winner) => writeln!(f, "served by {}", self.steps[winner].name)?,
            None if self.allow.is_empty() => writeln!(f, "served by no route: 404")?,
            None => {
                let allow = any_of(&self.allow, Method::to_string);
                writeln!(f, "served by no route: 405, allowed are {allow}")?;
            }
        }
        let width = self.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        for (number, step) in self.steps.iter().enumerate() {
            let mark = if self.winner == Some(number) { '*' } else { ' ' };
            write!(f, "{mark} {:width$}  {}", step.name, step.verdict)?;
            if step.matches() && self.winner != Some(number) {
                write!(f, ", but an earlier one wins")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches { pattern } => write!(f, "matches by {pattern}"),
            Self::Fails { predicate, want, got: Some(got) } => {
                write!(f, "{predicate}: want {want}, got {got}")
            }
            Self::Fails { predicate, want, got: None } => {
                write!(f, "{predicate}: want {want}, is missing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ListenerId;
    use crate::route::Table;
    use crate::route::fixture::{Describe as _, ask, config, route};

    #[test]
    fn says_of_each_route_whether_it_matches_and_what_fails_first() {
        let config = config(vec![
            route("everything", "/{*rest}"),
            route("admin", "/admin").host("*.admin.example.com"),
            route("new", "/orders/{id}").method("GET").method("POST").header("x-version", "2"),
            route("new-too", "/orders/{id}").header("x-version", "2").header("x-beta", "*"),
            route("paged", "/orders/{id}").query("page", "1"),
            route("orders", "/orders/{id}"),
            route("elsewhere", "/").on(1),
            route("write", "/orders/{id}").method("PUT").host("api.example.com"),
        ]);
        let ask = ask("GET api.example.com/orders/7?page=2%203").with("x-version", "1");
        let table = Table::build(&config, ListenerId(0));
        let text = table.explain(&config, &ask.query()).to_string();
        assert_eq!(
            text,
            "served by orders
  write       method: want PUT, got GET
  new         header x-version: want \"2\", got \"1\"
  new-too     header x-version: want \"2\", got \"1\"
  paged       query page: want \"1\", got \"2 3\"
* orders      matches by /orders/{id}
  everything  matches by /{*rest}, but an earlier one wins
  admin       host: want *.admin.example.com, got api.example.com
"
        );
    }

    #[test]
    fn says_what_is_missing() {
        let config = config(vec![
            route("keyed", "/").header("x-key", "*"),
            route("hosted", "/").host("a.example"),
            route("pathed", "/a").path("/b/{c}"),
        ]);
        let table = Table::build(&config, ListenerId(0));
        let text = table.explain(&config, &ask("GET /").query()).to_string();
        assert_eq!(
            text,
            "served by no route: 404
  keyed   header x-key: want any value, is missing
  hosted  host: want a.example, is missing
  pathed  path: want /a, /b/{c}, got /
"
        );
    }

    #[test]
    fn says_which_methods_would_do() {
        let config = config(vec![
            route("read", "/a").method("GET").method("PURGE"),
            route("keyed", "/a").method("PUT").header("x-key", "*"),
        ]);
        let table = Table::build(&config, ListenerId(0));
        let text = table.explain(&config, &ask("POST h/a").query()).to_string();
        assert_eq!(
            text,
            "served by no route: 405, allowed are GET, HEAD, PURGE
  keyed  header x-key: want any value, is missing
  read   method: want GET, PURGE, got POST
"
        );
    }
}
