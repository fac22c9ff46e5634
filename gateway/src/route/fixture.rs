//! Small configurations for tests, written as a person would say them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Found, Query, Table};
use crate::config::{
    AccessLog, Action, Config, ErrorForm, FixedResponse, ForwardedFamily, HalfClose, HostPattern,
    Listener, ListenerId, ListenerLimits, ListenerTimeouts, PathPattern, PathRules, Process,
    Rewrite, Route, RouteMatcher, Segment, Source, ValuePattern,
};
/// A route named `name` with one path pattern, on every listener.
pub(super) fn route(name: &str, path: &str) -> Route {
    let matcher = RouteMatcher { paths: vec![pattern(path)], ..RouteMatcher::default() };
    let response =
        FixedResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: "".into() };
    Route {
        path_spans: Vec::new(),
        path_lines: Vec::new(),
        plugin_spans: Vec::new(),
        name: name.to_owned(),
        listeners: vec![],
        matcher,
        plugins: vec![],
        action: Action::Respond(response),
        rewrite: Rewrite::default(),
        body_size: None,
        request_timeout: None,
        access_log: None,
        errors: ErrorForm::default(),
        retries: None,
        mirror: None,
        span: 0..0,
    }
}

/// Predicates added one by one.
pub(super) trait Describe {
    fn path(self, path: &str) -> Self;
    fn host(self, host: &str) -> Self;
    fn method(self, method: &str) -> Self;
    fn header(self, name: &'static str, value: &str) -> Self;
    fn query(self, name: &str, value: &str) -> Self;
    fn on(self, listener: usize) -> Self;
}

impl Describe for Route {
    fn path(mut self, path: &str) -> Self {
        self.matcher.paths.push(pattern(path));
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.matcher.hosts.push(match host.strip_prefix("*.") {
            Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
            None => HostPattern::Exact(host.to_owned()),
        });
        self
    }

    fn method(mut self, method: &str) -> Self {
        self.matcher.methods.push(Method::from_bytes(method.as_bytes()).unwrap());
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.matcher.headers.push((HeaderName::from_static(name), wanted(value)));
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.matcher.query.push((name.to_owned(), wanted(value)));
        self
    }

    fn on(mut self, listener: usize) -> Self {
        self.listeners.push(ListenerId(listener));
        self
    }
}

fn wanted(value: &str) -> ValuePattern {
    match value {
        "*" => ValuePattern::Present,
        exact => ValuePattern::Exact(exact.to_owned()),
    }
}

fn pattern(text: &str) -> PathPattern {
    let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
    {
        None => match text.split_once("}:") {
            Some((name, verb)) => Segment::Verb(name[1..].to_owned(), verb.to_owned()),
            None => Segment::Literal(text.to_owned()),
        },
        Some(name) => match name.strip_prefix('*') {
            Some(name) => Segment::Rest(name.to_owned()),
            None => Segment::Param(name.to_owned()),
        },
    };
    PathPattern { text: text.to_owned(), segments: text[1..].split('/').map(segment).collect() }
}

/// A configuration of these routes with two listeners.
pub(super) fn config(routes: Vec<Route>) -> Config {
    Config {
        source: Arc::new(Source::new("test.toml", "")),
        process: Process {
            workers: 1,
            via: "gateway".to_owned(),
            shutdown_grace: Duration::ZERO,
            access_log: AccessLog::Off,
            cache_dir: None,
            compile_memory: 1 << 30,
            compile_time: Duration::from_secs(60),
            retry_after_ceiling: Duration::ZERO,
            buffered_bodies: crate::config::BUFFERED_BODIES,
        },
        admin: None,
        usage: None,
        traces: None,
        recorder: None,
        access_logs: vec![],
        listeners: vec![listener("first"), listener("second")],
        upstreams: vec![],
        documents: vec![],
        events: vec![],
        keys: vec![],
        caches: vec![],
        stores: vec![],
        components: vec![],
        plugins: vec![],
        routes,
    }
}

fn listener(name: &str) -> Listener {
    Listener {
        address_span: 0..0,
        name: name.to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        tls: None,
        trusted_proxies: vec![],
        forwarded_by: ForwardedFamily::default(),
        half_close: HalfClose::default(),
        paths: PathRules::default(),
        access_log: None,
        limits: ListenerLimits {
            header_count: 100,
            header_size: 32 << 10,
            body_size: None,
            concurrent_streams: 100,
            body_rate: None,
            connections: None,
            connections_per_address: None,
        },
        timeouts: ListenerTimeouts {
            header: Duration::ZERO,
            idle: Duration::ZERO,
            body_grace: Duration::from_secs(10),
            keep_alive: Duration::ZERO,
            request: None,
        },
    }
}

/// A request head that is owned.
pub(super) struct Ask {
    host: String,
    path: String,
    query: Option<String>,
    method: Method,
    headers: HeaderMap,
}

/// `METHOD host/path?query`
pub(super) fn ask(request: &str) -> Ask {
    let (method, url) = request.split_once(' ').unwrap();
    let (url, query) = match url.split_once('?') {
        Some((url, query)) => (url, Some(query.to_owned())),
        None => (url, None),
    };
    let slash = url.find('/').unwrap();
    Ask {
        host: url[..slash].to_owned(),
        path: url[slash..].to_owned(),
        query,
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        headers: HeaderMap::new(),
    }
}

impl Ask {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn query(&self) -> Query<'_> {
        Query {
            host: &self.host,
            path: &self.path,
            method: &self.method,
            headers: &self.headers,
            query: self.query.as_deref(),
        }
    }

    /// Finds the route, makes sure that the explanation names the same one, and says the result
    /// in a line: `name`, `name id=7`, `404` or `405 GET HEAD`.
    pub(super) fn on(&self, config: &Config) -> String {
        let table = Table::build(config, ListenerId(0));
        let found = table.find(&self.query());
        let explanation = table.explain(config, &self.query());
        let winner = explanation.winner.map(|step| explanation.steps[step].route);
        match found {
            Found::NotFound => {
                assert_eq!(winner, None, "{explanation}");
                "404".to_owned()
            }
            Found::MethodNotAllowed { allow, .. } => {
                assert_eq!(winner, None, "{explanation}");
                let allow: Vec<_> = allow.iter().map(Method::as_str).collect();
                format!("405 {}", allow.join(" "))
            }
            Found::Route { route, captures, .. } => {
                assert_eq!(winner, Some(route), "{explanation}");
                let named = captures.named(&table, &self.path);
                let captures: String =
                    named.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("{}{captures}", config.routes[route].name)
            }
        }
    }
}

#[track_caller]
pub(super) fn gives(config: &Config, request: &str, result: &str) {
    assert_eq!(ask(request).on(config), result, "{request}");
}
