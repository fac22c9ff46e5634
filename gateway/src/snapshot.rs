//! A configuration in force.
//!
//! Owns everything that is built from one [`Config`]: shared between workers what is only read,
//! and for each worker what it alone uses. A reload puts a new snapshot instead of the old
//! one; requests that began with the old one keep it until they end.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Version};

use crate::access_log::{self, Logs};
use crate::chain::Chain;
use crate::component::{Component, Instances};
use crate::config::{
    self, AccessLog, Action, ComponentId, Config, ListenerId, Segment, UpstreamId,
};
use crate::conn::{ConnectionFacts, ListenerKey, ListenerState};
use crate::connection_slots::ConnectionSlots;
use crate::error::Failure;
use crate::heads::RouteNames;
use crate::health::Health;
use crate::memory_quota::MemoryQuota;
use crate::names::Names;
use crate::outbound;
use crate::plugin::{Plugin, Pool};
use crate::recorder::Rules;
use crate::route::Table;
use crate::share::{Flow, Share};
use crate::spans::Sink;
use crate::telemetry::traffic::{Counted, MirrorTraffic, Traffic};
use crate::timer::Timers;
use crate::tls::{ServerTls, Tickets};
use crate::trace::Tracer;
use crate::upstream::{SetupError, Upstream, Upstreams};
use crate::usage::{Ids, Usage};

/// What all workers read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    /// One for each listener.
    pub(crate) tables: Vec<Table>,
    /// One for each configured plugin.
    plugins: Vec<Arc<Plugin>>,
    /// One for each component that answers.
    components: Vec<Arc<Component>>,
    /// One for each route.
    route_names: Vec<Arc<RouteNames>>,
    /// One for each upstream.
    upstream_names: Vec<Arc<str>>,
    tls: Vec<Option<ServerTls>>,
    /// For each listener which it is, and its connections.
    pub(crate) listeners: Vec<(ListenerKey, Arc<ConnectionSlots>)>,
    /// What becomes of copies of requests, for each route that has any.
    pub(crate) mirrors: Box<[Option<Arc<MirrorTraffic>>]>,
    /// What is counted, if anybody can ask for it.
    pub(crate) counted: Option<Counted>,
    /// Receives a trace of each exchange, if there is one.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Under which numbers usage is recorded, if it is.
    pub(crate) usage: Option<Ids>,
    /// Where spans go, if there are any.
    pub(crate) spans: Option<Arc<Sink>>,
    /// Which exchanges the flight recorder keeps, if any.
    pub(crate) recorder: Option<Rules>,
    /// Where lines about exchanges go, beside the log of the process.
    pub(crate) logs: Logs,
    /// Which targets take requests.
    pub(crate) health: Arc<Health>,
    /// Where names are looked up.
    pub(crate) names: Arc<Names>,
    /// Where bodies are counted that are held in memory.
    pub(crate) bodies: Arc<MemoryQuota>,
}

impl Shared {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        config: Arc<Config>,
        plugins: Vec<Arc<Plugin>>,
        components: Vec<Arc<Component>>,
        traffic: &Traffic,
        usage: &Usage,
        tickets: &Tickets,
    ) -> Result<Self, rustls::Error> {
        let tables =
            (0..config.listeners.len()).map(|id| Table::build(&config, ListenerId(id))).collect();
        let tls = config
            .listeners
            .iter()
            .map(|it| it.tls.as_ref().map(|tls| ServerTls::new(tls, &it.name, tickets)).transpose())
            .collect::<Result<_, _>>()?;
        let route_names = config.routes.iter().map(route_names).map(Arc::new).collect();
        let upstream_names = config.upstreams.iter().map(|it| it.name.as_str().into()).collect();
        let of_mirror = |route: &config::Route| {
            let mirror = route.mirror.as_ref()?;
            Some(traffic.of_mirror(&route.name, &config.upstreams[mirror.upstream.0].name))
        };
        let mirrors = config.routes.iter().map(of_mirror).collect();
        let counted = config.admin.is_some().then(|| counted(&config, traffic));
        let usage = usage.ids(&config);
        let listeners = config.listeners.iter().zip(0..);
        let listeners = listeners.map(|(listener, number)| {
            (ListenerKey(number), Arc::new(ConnectionSlots::new(&listener.name)))
        });
        let listeners = listeners.collect();
        Ok(Self {
            listeners,
            config,
            tables,
            plugins,
            components,
            route_names,
            upstream_names,
            tls,
            mirrors,
            counted,
            tracer: None,
            usage,
            spans: None,
            recorder: None,
            logs: Logs::default(),
            health: Arc::default(),
            names: Arc::default(),
            bodies: Arc::new(MemoryQuota::new(0)),
        })
    }
}

impl Shared {
    /// Whether a configuration can be compiled.
    ///
    /// # Errors
    /// As those of [`new`](Self::new).
    pub(crate) fn check(config: &Config) -> Result<(), rustls::Error> {
        let tickets = Tickets::default();
        let mut listeners = config.listeners.iter().filter_map(|it| Some((it, it.tls.as_ref()?)));
        listeners.try_for_each(|(it, tls)| ServerTls::new(tls, &it.name, &tickets).map(drop))
    }
}

/// The numbers of the routes and targets of a configuration.
fn counted(config: &Config, traffic: &Traffic) -> Counted {
    let workers = config.process.workers.max(1);
    let of_route = |name: &str| traffic.of_route(name, workers);
    let of_upstream = |upstream: &config::Upstream| {
        let targets = upstream.targets.iter();
        targets.map(|it| traffic.of_target(&upstream.name, &it.authority, workers)).collect()
    };
    let of_variants = |route: &config::Route| match &route.action {
        Action::Split(split) => split
            .variants
            .iter()
            .map(|it| traffic.of_variant(&route.name, &it.name, workers))
            .collect(),
        _ => Box::default(),
    };
    Counted {
        variants: config.routes.iter().map(of_variants).collect(),
        routes: config.routes.iter().map(|route| of_route(&route.name)).collect(),
        unrouted: of_route(""),
        unread: traffic.unread(),
        targets: config.upstreams.iter().map(of_upstream).collect(),
    }
}

fn route_names(route: &crate::config::Route) -> RouteNames {
    let patterns = route.matcher.paths.iter().map(|pattern| {
        let names = pattern.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::Verb(name, _) | Segment::Rest(name) => {
                Some(name.as_str().into())
            }
        });
        (pattern.text.as_str().into(), names.collect())
    });
    let variants = match &route.action {
        Action::Split(split) => split.variants.iter().map(|it| it.name.as_str().into()).collect(),
        _ => Box::default(),
    };
    RouteNames { name: route.name.as_str().into(), patterns: patterns.collect(), variants }
}

/// What one worker uses.
pub(crate) struct Snapshot {
    pub(crate) config: Arc<Config>,
    pub(crate) shared: Arc<Shared>,
    listeners: Vec<Rc<ListenerState>>,
    upstreams: Upstreams,
    components: Vec<Instances>,
    /// One for each route.
    chains: Vec<Rc<Chain>>,
    /// The requests that a component answers, for each route that has one.
    flows: Vec<Option<Rc<Flow>>>,
    via: [HeaderValue; 3],
    pub(crate) tracer: Option<Arc<Tracer>>,
}

impl Snapshot {
    /// Builds a worker's part. Upstreams that did not change since the previous one keep their
    /// connections.
    ///
    /// # Errors
    /// When an upstream cannot be set up on this machine.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        timers: &Timers,
        share: &Rc<Share>,
        previous: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let config = &shared.config;
        let listeners = config
            .listeners
            .iter()
            .zip(&shared.tls)
            .zip(&shared.listeners)
            .map(|((listener, tls), (key, slots))| {
                let (config, tls, slots) = (listener.clone(), tls.clone(), Arc::clone(slots));
                let name = config.name.as_str().into();
                Rc::new(ListenerState { key: *key, slots, name, config, tls })
            })
            .collect();
        let none = Upstreams::default();
        let upstreams = previous.map_or(&none, |previous| &previous.upstreams);
        let upstreams =
            upstreams.succeeded_by(&config.upstreams, &shared.health, &shared.names, timers)?;
        if let Some(counted) = &shared.counted {
            for (index, targets) in counted.targets.iter().enumerate() {
                let pools = upstreams.upstream(UpstreamId(index)).gauges();
                targets.iter().zip(pools).for_each(|(target, pool)| target.has_pool(pool));
            }
        }
        let granted = config.components.iter().flat_map(|component| component.upstreams.iter());
        let granted: Vec<_> = granted.map(|(_, id)| *id).collect();
        let caller = (!granted.is_empty()).then(|| {
            let ids = granted.into_iter();
            outbound::serve_components(&upstreams, &config.upstreams, ids, timers)
        });
        let components = shared
            .components
            .iter()
            .map(|component| Instances::new(component, timers, caller.clone()))
            .collect();
        let granted = config.plugins.iter().flat_map(|plugin| plugin.upstreams.iter().flatten());
        let granted: Vec<_> = granted.map(|(_, id)| *id).collect();
        let caller =
            (!granted.is_empty()).then(|| outbound::serve(&upstreams, granted.into_iter()));
        let pools: Vec<_> = shared
            .plugins
            .iter()
            .map(|plugin| Rc::new(Pool::new(Arc::clone(plugin), caller.clone())))
            .collect();
        let chain = |(route, names): (&config::Route, &Arc<RouteNames>)| {
            Rc::new(Chain::new(&route.plugins, &pools, share, &names.name))
        };
        let chains = config.routes.iter().zip(&shared.route_names).map(chain).collect();
        let flow = |(route, names): (&config::Route, &Arc<RouteNames>)| match &route.action {
            Action::Component(id) => Some(shared.components[id.0].flow(share, &names.name)),
            Action::Forward(_) | Action::Split(_) | Action::Respond(_) | Action::Redirect(_) => {
                None
            }
        };
        let flows = config.routes.iter().zip(&shared.route_names).map(flow).collect();
        let via = ["1.0", "1.1", "2.0"].map(|version| via(version, &config.process.via));
        let tracer = shared.tracer.clone();
        let (config, shared) = (Arc::clone(config), Arc::clone(shared));
        Ok(Self { config, shared, listeners, upstreams, components, chains, flows, via, tracer })
    }

    /// It is in force in place of another one.
    pub(crate) fn succeeds(&self, before: &Self) {
        self.upstreams.succeed(&before.upstreams);
    }

    pub(crate) fn listener(&self, id: ListenerId) -> &Rc<ListenerState> {
        &self.listeners[id.0]
    }

    /// The place of a listener in this configuration, if it is in it.
    pub(crate) fn listener_of(&self, key: ListenerKey) -> Option<ListenerId> {
        self.shared.listeners.iter().position(|(known, _)| *known == key).map(ListenerId)
    }

    pub(crate) fn table(&self, id: ListenerId) -> &Table {
        &self.shared.tables[id.0]
    }

    pub(crate) fn upstream(&self, id: UpstreamId) -> &Rc<Upstream> {
        self.upstreams.upstream(id)
    }

    pub(crate) fn component(&self, id: ComponentId) -> &Instances {
        &self.components[id.0]
    }

    /// Which lines about exchanges of a listener, and a route if one was found, are written.
    pub(crate) fn access_log(&self, listener: ListenerId, route: Option<usize>) -> AccessLog {
        let of_route = route.and_then(|route| self.config.routes[route].access_log);
        let of_listener = || self.config.listeners[listener.0].access_log;
        of_route.or_else(of_listener).unwrap_or(self.config.process.access_log)
    }

    /// Writes the lines about a request of which no head could be read.
    pub(crate) fn log_headless(&self, facts: &ConnectionFacts, id: &str, failure: &Failure) {
        let (listener, client) = (&facts.listener, facts.peer_address);
        let kind = match self.listener_of(listener.key) {
            Some(id) => self.access_log(id, None),
            // It has ended meanwhile.
            None => self.config.process.access_log,
        };
        let log = self.shared.logs.named(kind);
        access_log::write_headless(log, &listener.name, id, client, failure);
        if let Some(counted) = &self.shared.counted {
            counted.unread.refused(failure.reason() as usize);
        }
    }

    /// The plugins of a route.
    pub(crate) fn chain(&self, route: usize) -> &Rc<Chain> {
        &self.chains[route]
    }

    /// The requests of a route that a component answers.
    pub(crate) fn component_flow(&self, route: usize) -> Option<&Rc<Flow>> {
        self.flows[route].as_ref()
    }

    pub(crate) fn route_names(&self, route: usize) -> &Arc<RouteNames> {
        &self.shared.route_names[route]
    }

    pub(crate) fn upstream_name(&self, id: UpstreamId) -> &Arc<str> {
        &self.shared.upstream_names[id.0]
    }

    /// The upstream of this name, which a plugin chose.
    pub(crate) fn upstream_named(&self, name: &str) -> Option<UpstreamId> {
        self.shared.upstream_names.iter().position(|known| &**known == name).map(UpstreamId)
    }

    /// This gateway's entry in `Via` for a message that came in this version
    /// (RFC 9110 section 7.6.3).
    pub(crate) fn via(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_2 => &self.via[2],
            Version::HTTP_11 => &self.via[1],
            _ => &self.via[0],
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

fn via(version: &str, pseudonym: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{version} {pseudonym}"))
        .unwrap_or_else(|_| HeaderValue::from_static("1.1 gateway"))
}
