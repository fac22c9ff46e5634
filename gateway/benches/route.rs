//! What finding a route costs with 10, 1,000 and 10,000 routes: `cargo bench --bench route`.
//!
//! Each row asks for as many different routes as the table has, in a scattered order, so that
//! large tables pay for their cache misses. The figure is the median of 15 rounds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::config::{
    AccessLog, Action, Config, ErrorForm, FixedResponse, ForwardedFamily, HostPattern, Listener,
    ListenerId, ListenerLimits, ListenerTimeouts, PathPattern, PathRules, Process, Rewrite, Route,
    RouteMatcher, Segment, Source,
};
use gateway::route::{Found, Query, Table, normalise};
use http::{HeaderMap, Method, StatusCode};

const ROUNDS: usize = 15;
const CALLS: usize = 100_000;

fn main() {
    // Cargo passes `--bench`; under `cargo test` one short round shows that it works.
    let calls = if std::env::args().any(|arg| arg == "--bench") { CALLS } else { 1_000 };
    println!("{:34} {:>10} {:>10} {:>10}", "ns a request, by routes", 10, 1_000, 10_000);
    for shape in [Shape::Paths, Shape::Parameters, Shape::Flat, Shape::Hosts, Shape::Suffixes] {
        row(shape.name(), |routes| find(shape, routes, Method::GET, calls));
    }
    row("no route (parameters)", |routes| miss(routes, calls));
    row("405 (parameters)", |routes| find(Shape::Parameters, routes, Method::PUT, calls));
    println!();
    for path in ["/", "/api/v1/orders/12345", "/api/v1/files/a%20b/c%C3%A9", "/a/../b//%61"] {
        println!(
            "normalise {path:30} {:6.1} ns",
            time(calls, |_| {
                drop(black_box(normalise(black_box(path), PathRules::default())));
            })
        );
    }
}

/// How the routes of a table differ.
#[derive(Clone, Copy)]
enum Shape {
    /// Literals three levels deep.
    Paths,
    /// The same with a parameter behind.
    Parameters,
    /// All in the first segment.
    Flat,
    /// One path, a host each.
    Hosts,
    /// One path, a wildcard host each.
    Suffixes,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Paths => "/team/service/resource",
            Self::Parameters => "/team/service/resource/{id}",
            Self::Flat => "/service/{*rest}",
            Self::Hosts => "host /{*rest}",
            Self::Suffixes => "*.host /{*rest}",
        }
    }

    fn route(self, number: usize) -> Route {
        let (team, service) = (number % 10, number / 10 % 100);
        let text = match self {
            Self::Paths => format!("/team-{team}/service-{service}/resource-{number}"),
            Self::Parameters => format!("/team-{team}/service-{service}/resource-{number}/{{id}}"),
            Self::Flat => format!("/service-{number}/{{*rest}}"),
            Self::Hosts | Self::Suffixes => "/{*rest}".to_owned(),
        };
        let hosts = match self {
            Self::Hosts => vec![HostPattern::Exact(format!("tenant-{number}.example.com"))],
            Self::Suffixes => vec![HostPattern::Suffix(format!("tenant-{number}.example.com"))],
            Self::Paths | Self::Parameters | Self::Flat => vec![],
        };
        let methods = vec![Method::GET, Method::POST];
        route(RouteMatcher { hosts, paths: vec![pattern(&text)], methods, ..Default::default() })
    }

    fn request(self, number: usize) -> (String, String) {
        let path = match &self.route(number).matcher.paths[0].text {
            text if text.contains("{id}") => text.replace("{id}", "8f14e45f"),
            text => text.replace("{*rest}", "orders/8f14e45f"),
        };
        let host = match self {
            Self::Suffixes => format!("api.eu.tenant-{number}.example.com"),
            _ => format!("tenant-{number}.example.com"),
        };
        (host, path)
    }
}

fn find(shape: Shape, routes: usize, method: Method, calls: usize) -> f64 {
    let table = table(shape, routes);
    // 7,919 is a prime that shares no factor with the number of routes.
    let requests: Vec<_> = (0..routes).map(|n| shape.request(n * 7_919 % routes)).collect();
    let expected = method == Method::GET;
    let headers = HeaderMap::new();
    let ask = |number: usize| {
        let (host, path) = &requests[number % routes];
        table.find(&Query { host, path, method: &method, headers: &headers, query: None })
    };
    for number in 0..routes {
        let hit =
            matches!(ask(number), Found::Route { route, .. } if route == number * 7_919 % routes);
        assert_eq!(hit, expected);
    }
    time(calls, |number| drop(black_box(ask(number))))
}

fn miss(routes: usize, calls: usize) -> f64 {
    let table = table(Shape::Parameters, routes);
    let headers = HeaderMap::new();
    let query = Query {
        host: "example.com",
        path: "/team-1/service-0/resource-x/1",
        method: &Method::GET,
        headers: &headers,
        query: None,
    };
    assert_eq!(table.find(&query), Found::NotFound);
    time(calls, |_| drop(black_box(table.find(black_box(&query)))))
}

fn row(name: &str, cost: impl Fn(usize) -> f64) {
    let [ten, thousand, many] = [10, 1_000, 10_000].map(cost);
    println!("{name:34} {ten:10.1} {thousand:10.1} {many:10.1}");
}

/// Median nanoseconds of a call.
fn time(calls: usize, call: impl Fn(usize)) -> f64 {
    let round = || {
        let start = Instant::now();
        (0..calls).for_each(&call);
        start.elapsed().as_secs_f64() * 1e9 / calls as f64
    };
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn table(shape: Shape, routes: usize) -> Table {
    let limits = ListenerLimits {
        header_count: 100,
        header_size: 32 << 10,
        body_size: None,
        concurrent_streams: 100,
        body_rate: None,
        connections: None,
        connections_per_address: None,
    };
    let timeouts = ListenerTimeouts {
        header: Duration::ZERO,
        idle: Duration::ZERO,
        body_grace: Duration::from_secs(10),
        keep_alive: Duration::ZERO,
        request: None,
    };
    let listener = Listener {
        address_span: 0..0,
        name: "bench".to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        tls: None,
        trusted_proxies: vec![],
        forwarded_by: ForwardedFamily::default(),
        half_close: gateway::config::HalfClose::default(),
        paths: PathRules::default(),
        access_log: None,
        limits,
        timeouts,
    };
    let process = Process {
        workers: 1,
        via: "gateway".to_owned(),
        shutdown_grace: Duration::ZERO,
        access_log: AccessLog::Off,
        cache_dir: None,
        compile_memory: 1 << 30,
        compile_time: Duration::from_secs(60),
        retry_after_ceiling: Duration::from_secs(60),
        buffered_bodies: gateway::config::BUFFERED_BODIES,
    };
    let routes = (0..routes).map(|number| shape.route(number)).collect();
    let config = Config {
        source: Arc::new(Source::new("gateway.toml", "")),
        process,
        admin: None,
        usage: None,
        traces: None,
        recorder: None,
        access_logs: vec![],
        listeners: vec![listener],
        upstreams: vec![],
        caches: vec![],
        stores: vec![],
        documents: Vec::new(),
        events: Vec::new(),
        keys: Vec::new(),
        components: vec![],
        plugins: vec![],
        routes,
    };
    Table::build(&config, ListenerId(0))
}

fn route(matcher: RouteMatcher) -> Route {
    let response =
        FixedResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: "".into() };
    Route {
        path_spans: Vec::new(),
        path_lines: Vec::new(),
        plugin_spans: Vec::new(),
        name: String::new(),
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

fn pattern(text: &str) -> PathPattern {
    let segment = |text: &str| match text {
        "{id}" => Segment::Param("id".to_owned()),
        "{*rest}" => Segment::Rest("rest".to_owned()),
        literal => Segment::Literal(literal.to_owned()),
    };
    PathPattern { text: text.to_owned(), segments: text[1..].split('/').map(segment).collect() }
}
