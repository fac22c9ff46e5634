//! Configurations, and gateways that run them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use gateway::config::{
    self, AccessLog, Action, AddedFields, Balance, Config, Ejection, ErrorForm, FixedResponse,
    ForwardedFamily, HalfClose, HostPattern, HostPolicy, Listener, ListenerLimits,
    ListenerTimeouts, Origin, PathPattern, PathRules, Process, RetryBudget, Rewrite, Route,
    RouteMatcher, Segment, Target, Template, TemplatePart, Upstream, UpstreamId, UpstreamLimits,
    UpstreamProtocol, UpstreamTimeouts, UpstreamTls,
};
use gateway::{Gateway, Handle, first_party};
use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;

use crate::{guests, log};

/// What is in front of every configuration that a test writes as a file.
const PREAMBLE: &str = r#"
[gateway]
workers = 1
shutdown_grace = "50ms"
cache_dir = "../cache"

[[listeners]]
name = "public"
address = "127.0.0.1:0"
"#;

/// What a plugin has that says nothing of its deadline. It is meant for a gateway that was built
/// with optimisations and has a processor to itself.
const DEFAULT_DEADLINE: Duration = Duration::from_millis(20);

/// What it has in a test.
const UNOPTIMISED_DEADLINE: Duration = Duration::from_secs(1);

/// A configuration in the making. Its first listener is `public`.
#[derive(Debug)]
pub struct Setup {
    /// What will run.
    pub config: Config,
}

impl Setup {
    /// One worker, one listener, nothing else.
    #[must_use]
    pub fn new() -> Self {
        let process = Process {
            workers: 1,
            via: "gateway".to_owned(),
            // Clients in the same thread cannot say goodbye while a gateway is dropped.
            shutdown_grace: Duration::from_millis(50),
            access_log: AccessLog::Errors,
            cache_dir: None,
            compile_memory: 1 << 30,
            compile_time: Duration::from_secs(60),
            retry_after_ceiling: Duration::from_secs(60),
            buffered_bodies: config::BUFFERED_BODIES,
        };
        let (upstreams, components, plugins, routes) = (vec![], vec![], vec![], vec![]);
        let (documents, events) = (vec![], vec![]);
        let listeners = vec![listener("public")];
        let source = Arc::new(config::Source::new("test.toml", ""));
        let config = Config {
            source,
            process,
            admin: None,
            usage: None,
            traces: None,
            recorder: None,
            access_logs: vec![],
            listeners,
            upstreams,
            documents,
            events,
            keys: vec![],
            caches: vec![],
            stores: vec![],
            components,
            plugins,
            routes,
        };
        Self { config }
    }

    /// A configuration as a user writes it: plugins, upstreams and routes in TOML. Each `${env:N}`
    /// in it is the value of that name, and `./NAME.wasm` is a guest. One worker serves the
    /// listener `public`. A plugin with the default deadline has one second instead: a test is
    /// about that time only where it says so.
    ///
    /// # Panics
    /// If it is refused; the panic shows why.
    #[must_use]
    pub fn toml(text: &str, values: &[(&str, &dyn Display)]) -> Self {
        log::listen();
        let source = config::Source::new(guests::folder().join("test.toml"), &written(text));
        let environment = |name: &str| {
            let value = values.iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| value.to_string().into())
        };
        let names = first_party::names();
        let mut config =
            match config::read(source, &environment, &config::Known { built_in: &names }) {
                Ok(loaded) => loaded.config,
                Err(diagnostics) => panic!("{}", diagnostics.render(false)),
            };
        for plugin in &mut config.plugins {
            if plugin.deadline == DEFAULT_DEADLINE {
                plugin.deadline = UNOPTIMISED_DEADLINE;
            }
        }
        Self { config }
    }

    /// As many workers.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.config.process.workers = count;
        self
    }

    /// Everything goes to one upstream that speaks HTTP/1.1.
    #[must_use]
    pub fn proxy(upstream: SocketAddr) -> Self {
        Self::new().upstream(upstream).route(forward("/{*rest}", 0))
    }

    /// Adds an upstream of one target.
    #[must_use]
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        let name = format!("upstream-{}", self.config.upstreams.len());
        self.config.upstreams.push(Upstream {
            name,
            targets: vec![Target {
                tls: false,
                host: address.ip().to_string(),
                port: address.port(),
                authority: address.to_string(),
                weight: 1,
                priority: 0,
                origin: Origin::Url,
                place: gateway::config::Place::default(),
            }],
            written: Vec::new(),
            dns: gateway::config::Dns::default(),
            protocol: UpstreamProtocol::Auto,
            host: HostPolicy::Preserve,
            tls: UpstreamTls::default(),
            timeouts: UpstreamTimeouts {
                connect: Duration::from_secs(5),
                first_byte: Duration::from_secs(60),
                idle: Duration::from_secs(300),
                request_body: Duration::from_secs(300),
            },
            idle_connections: 64,
            idle_timeout: Duration::from_secs(60),
            ping: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            max_age: Duration::ZERO,
            limits: UpstreamLimits::default(),
            added_fields: AddedFields::default(),
            buffer_request_bodies: None,
            balance: Balance::default(),
            hash_by: gateway::config::StickyKey::default(),
            slow_start: std::time::Duration::ZERO,
            overprovisioning: 140,
            ejection: Ejection::default(),
            health: None,
            retry_budget: RetryBudget::default(),
            capacity: None,
            connections: None,
            grpc_web: false,
        });
        self
    }

    /// The upstreams so far speak HTTP/2 in clear.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        for upstream in &mut self.config.upstreams {
            upstream.protocol = UpstreamProtocol::Http2;
        }
        self
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.config.routes.push(route);
        self
    }

    /// Changes the first listener.
    #[must_use]
    pub fn listen(mut self, change: impl FnOnce(&mut Listener)) -> Self {
        change(&mut self.config.listeners[0]);
        self
    }

    /// Changes the last upstream.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn tune(mut self, change: impl FnOnce(&mut Upstream)) -> Self {
        change(self.config.upstreams.last_mut().expect("there is an upstream"));
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// If it cannot bind.
    #[must_use]
    pub fn start(self) -> Running {
        let gateway = Gateway::bind(self.config).unwrap_or_else(|errors| panic!("{errors:?}"));
        let address = gateway.local_addresses()["public"];
        let (handle, admin) = (gateway.handle(), gateway.admin_address());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let shutdown = async {
                let _sent_or_dropped = stopped.await;
            };
            let ended = runtime.expect("a runtime").block_on(gateway.run(shutdown));
            ended.expect("no worker fails");
        });
        Running { address, admin, handle, stop: Some(stop), thread: Some(thread) }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// The whole text of a file whose own part is this.
#[must_use]
pub fn written(text: &str) -> String {
    format!("{PREAMBLE}\n{text}")
}

/// A gateway that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Of the listener `public`.
    pub address: SocketAddr,
    /// Of `[admin]`.
    pub admin: Option<SocketAddr>,
    /// Steers it.
    pub handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Begins to drain.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Whether it has drained.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the gateway panicked");
        }
    }
}

/// A listener with the defaults of the reference.
#[must_use]
pub fn listener(name: &str) -> Listener {
    Listener {
        name: name.to_owned(),
        address: "127.0.0.1:0".parse().expect("an address"),
        address_span: 0..0,
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
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            request: None,
        },
    }
}

/// A route that answers 200 with the route's name.
#[must_use]
pub fn route(path: &str) -> Route {
    Route {
        name: path.to_owned(),
        listeners: vec![],
        matcher: RouteMatcher { paths: vec![pattern(path)], ..RouteMatcher::default() },
        plugins: vec![],
        action: Action::Respond(FixedResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(path.to_owned()),
        }),
        rewrite: Rewrite::default(),
        body_size: None,
        request_timeout: None,
        access_log: None,
        errors: ErrorForm::default(),
        retries: None,
        mirror: None,
        span: 0..0,
        path_spans: vec![],
        path_lines: vec![],
        plugin_spans: vec![],
    }
}

/// A route to an upstream.
#[must_use]
pub fn forward(path: &str, upstream: usize) -> Route {
    Route { action: Action::Forward(UpstreamId(upstream)), ..route(path) }
}

/// `{names}` in a text, parsed.
#[must_use]
pub fn template(text: &str) -> Template {
    let mut parts = Vec::new();
    for piece in text.split_inclusive('}') {
        let (literal, name) = match piece.split_once('{') {
            Some((literal, name)) => (literal, name.strip_suffix('}')),
            None => (piece, None),
        };
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(literal.to_owned()));
        }
        parts.extend(name.map(|name| TemplatePart::Value(name.to_owned())));
    }
    Template { parts }
}

/// A host pattern.
#[must_use]
pub fn host(text: &str) -> HostPattern {
    match text.strip_prefix("*.") {
        Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
        None => HostPattern::Exact(text.to_owned()),
    }
}

fn pattern(text: &str) -> PathPattern {
    let segments = text[1..].split('/').map(|segment| {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => match name.strip_prefix('*') {
                Some(name) => Segment::Rest(name.to_owned()),
                None => Segment::Param(name.to_owned()),
            },
            None => match segment.split_once("}:") {
                Some((name, verb)) => Segment::Verb(name[1..].to_owned(), verb.to_owned()),
                None => Segment::Literal(segment.to_owned()),
            },
        }
    });
    PathPattern { text: text.to_owned(), segments: segments.collect() }
}
