//! The gateway as a whole.
//!
//! Owns the worker threads: their start, their commands, and their end. Nothing of a request
//! passes through here.

mod administer;
mod errors;
mod listeners;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::access_log::{Logs, OpenError, Registry};
use crate::admin::{Current, InForce, Operator};
use crate::checks::Checks;
use crate::component::{self, Component, Refusal};
use crate::config::{Action, ComponentId, Config, Doubts, PluginId};
use crate::first_party::FIRST_PARTY;
pub use crate::plugin::SpanTarget;
use crate::plugin::{LoadError, Loader, Plugin};
use crate::proxy::Proxy;
use crate::recorder::{Recorder, Rules};
use crate::server::worker::{self, Command, Sockets, WorkerInit};
use crate::snapshot::Shared;
use crate::spans::Spans;
use crate::state::State;
use crate::telemetry::metrics::Metrics;
use crate::tls::Tickets;
use crate::trace::Tracer;
use crate::{upstream, usage};

pub use errors::{BindError, BindErrors, PluginWarning, ReloadError, RunError};
use listeners::Bound;

/// How long workers may take to prepare a configuration. A hook may hold a worker up for as long as
/// the longest deadline.
const WORKER_ANSWERS: Duration = Duration::from_secs(90);
/// How often a wait for workers looks whether the gateway ends meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// A gateway whose addresses are bound and whose workers are not started.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    /// For each worker, those of all listeners.
    sockets: Vec<Sockets>,
    addresses: BTreeMap<String, SocketAddr>,
    admin: administer::Plan,
    warnings: Vec<PluginWarning>,
    handle: Handle,
    commands: Vec<mpsc::UnboundedReceiver<Command>>,
}

/// Steers a running gateway from any thread.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Control>);

#[derive(Debug)]
struct Control {
    workers: Vec<mpsc::UnboundedSender<Command>>,
    is_draining: Arc<AtomicBool>,
    loader: Loader,
    logs: Registry,
    /// Held by a reload from its beginning to its end.
    reloading: Mutex<()>,
    /// In force.
    current: Arc<Current>,
    tracer: Option<Arc<Tracer>>,
    spans: Spans,
    recorder: Arc<Recorder>,
    checks: Checks,
    tickets: Tickets,
    bound: Bound,
    admin: Mutex<Option<administer::Serving>>,
    /// Who makes the changes that the admin API is asked for.
    operator: Mutex<Option<Arc<dyn Operator>>>,
}

impl Gateway {
    /// Loads every plugin and binds every listener.
    ///
    /// # Errors
    /// All that is wrong, each [`BindError`] with the part of the configuration it belongs to.
    pub fn bind(config: impl Into<Arc<Config>>) -> Result<Self, BindErrors> {
        let config = config.into();
        let loader = loader(&config, Loader::new)?;
        Self::bind_by(loader, config, None)
    }

    /// As [`bind`](Self::bind), for plugin development: `tracer` receives a trace of each
    /// exchange, and the backtrace of a trap has files and lines where the component does. Both
    /// cost time, and the latter for each trap: not for a gateway that others use.
    ///
    /// # Errors
    /// As those of [`bind`](Self::bind).
    pub fn bind_traced(
        config: impl Into<Arc<Config>>,
        tracer: impl Into<Arc<Tracer>>,
    ) -> Result<Self, BindErrors> {
        let config = config.into();
        let loader = loader(&config, Loader::with_lines)?;
        Self::bind_by(loader, config, Some(tracer.into()))
    }

    fn bind_by(
        loader: Loader,
        config: Arc<Config>,
        tracer: Option<Arc<Tracer>>,
    ) -> Result<Self, BindErrors> {
        let names = Arc::clone(&loader.metrics().names);
        let config = names.expanded(&config).map_or(config, Arc::new);
        let unopened = open_stores(&loader, &config);
        let Loaded { plugins, components, warnings, mut errors } =
            prepare(&loader, &config, &[], false);
        errors.extend(unopened);
        let workers = config.process.workers.max(1);
        let bound = Bound::default();
        let mut plan = bound.plan(&config, workers, &mut errors);
        let admin = administer::plan(&config, None, &mut errors);
        let metrics = loader.metrics();
        let logs = Registry::default();
        let opened = open_logs(&logs, &config, metrics, &mut errors);
        if !errors.is_empty() {
            return Err(BindErrors { errors, warnings });
        }
        let (traffic, usage) = (&metrics.traffic, loader.usage());
        let tickets = Tickets::default();
        let shared =
            Shared::new(Arc::clone(&config), plugins, components, traffic, usage, &tickets);
        let mut shared = shared.map_err(BindError::from)?;
        metrics.certificates(config.certificate_ends());
        shared.tracer = tracer.clone();
        let spans = Spans::default();
        let prepared = spans.prepare(&config);
        shared.spans = prepared.as_ref().map(|it| Arc::clone(&it.sink));
        spans.apply(prepared, metrics);
        let recorder = Arc::new(Recorder::new(workers));
        shared.recorder = Rules::of(&config, &recorder);
        shared.logs = opened;
        shared.health = Arc::clone(&metrics.health);
        shared.names = names;
        shared.bodies = metrics.held_bodies();
        shared.listeners = plan.listeners(&config, metrics);
        metrics.keep_listeners(shared.listeners.iter().map(|(_, slots)| Arc::clone(slots)));
        let addresses = plan.addresses();
        bound.begin(&mut plan);
        let sockets = plan.sockets;
        let (senders, commands) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let is_draining = Arc::default();
        let in_force = InForce::new(config, addresses.clone()).map_err(BindError::from)?;
        let (reloading, current) = (Mutex::default(), Arc::new(Current::new(in_force)));
        let workers = senders;
        let checks = Checks::new(&metrics.health, &metrics.names);
        let control = Control {
            workers,
            is_draining,
            loader,
            logs,
            reloading,
            current,
            tracer,
            spans,
            recorder,
            checks,
            tickets,
            bound,
            admin: Mutex::default(),
            operator: Mutex::default(),
        };
        let handle = Handle(Arc::new(control));
        let shared = Arc::new(shared);
        Ok(Self { shared, sockets, addresses, admin, warnings, handle, commands })
    }

    /// Finds out all that would keep a configuration from being served, without serving it; with
    /// `addresses`, also whether they and the folders of caches can be had now, which they cannot where it is served
    /// already. A process that serves does not ask for that: its own folders are not taken from it.
    ///
    /// `doubts` has an element for each plugin of what [`config::Remains`](crate::config::Remains)
    /// has of a file that is refused, and none for a whole configuration.
    #[must_use]
    pub fn check(config: &Config, doubts: &[Doubts], addresses: bool) -> BindErrors {
        let loader = match loader(config, Loader::new) {
            Ok(loader) => loader,
            Err(errors) => return errors,
        };
        let Loaded { warnings, mut errors, .. } = prepare(&loader, config, doubts, false);
        if addresses {
            Bound::default().plan(config, config.process.workers.max(1), &mut errors);
            administer::plan(config, None, &mut errors);
        }
        errors.extend(try_folders(config, addresses));
        errors.extend(Shared::check(config).err().map(BindError::from));
        errors.extend(administer::check(config).err().map(BindError::from));
        BindErrors { errors, warnings }
    }

    /// The address of each listener, by its name; with the port that the system chose for 0.
    #[must_use]
    pub fn local_addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// The configuration that it begins with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The address of `[admin]`, with the port that the system chose for 0.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        match &self.admin {
            administer::Plan::Begins(_, socket) => socket.local_addr().ok(),
            administer::Plan::Same | administer::Plan::Ends => None,
        }
    }

    /// Has this program make the changes that the admin API is asked for. Without one it makes none.
    #[must_use]
    pub fn operated_by(self, operator: impl Into<Arc<dyn Operator>>) -> Self {
        let mut own = self.handle.0.operator.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(operator.into());
        drop(own);
        self
    }

    /// Warnings about its plugins.
    #[must_use]
    pub fn warnings(&self) -> &[PluginWarning] {
        &self.warnings
    }

    /// Steers the gateway while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` ends, then lets open exchanges finish within `shutdown_grace`.
    ///
    /// # Errors
    /// [`RunError`], as soon as one worker fails; the others are drained first.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        self.handle.administer(self.admin);
        let usage = Arc::clone(self.handle.0.loader.usage());
        usage.apply(&self.shared.config);
        if usage.is_recording() {
            self.handle.0.loader.metrics().records_usage(usage.counts());
        }
        self.handle.0.checks.begin(&self.shared.config.upstreams);
        let names = Arc::clone(&self.handle.0.loader.metrics().names);
        let changes = names.follow();
        let follower = self.handle.clone();
        let follow = move || follower.follow_names(&changes);
        let follower = thread::Builder::new().name("discovery".into()).spawn(follow);
        let follower = follower.map_err(RunError::Discovery)?;
        let documents = Arc::clone(self.handle.0.loader.documents());
        // Those that no plugin reads are shown too.
        documents.keep(&self.shared.config);
        documents.begin();
        let events = Arc::clone(self.handle.0.loader.events());
        events.keep(&self.shared.config);
        events.begin();
        // What the first requests ask for is there.
        documents.first().await;
        let key_sets = Arc::clone(self.handle.0.loader.key_sets());
        key_sets.keep(&self.shared.config);
        key_sets.begin();
        key_sets.first().await;
        let mut threads = Vec::new();
        let mut ends = Vec::new();
        for (index, (sockets, commands)) in self.sockets.into_iter().zip(self.commands).enumerate()
        {
            let shared = Arc::clone(&self.shared);
            let (usage, metrics) = (Arc::clone(&usage), Arc::clone(self.handle.0.loader.metrics()));
            let init = WorkerInit { index, shared, sockets, commands, metrics, usage };
            let (ended, end) = oneshot::channel::<()>();
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                let _ended = ended;
                worker::run(init, Proxy)
            });
            threads.push(thread.map_err(|source| RunError::Worker { index, source })?);
            ends.push(end);
        }
        drop(self.shared);
        wait(&mut ends, shutdown).await;
        self.handle.shutdown();
        for end in ends.into_iter().filter(|end| !end.is_terminated()) {
            let _dropped_when_the_thread_ends = end.await;
        }
        let joined = join(threads);
        self.handle.administer(administer::Plan::Ends);
        usage.finish();
        self.handle.0.checks.finish();
        names.finish();
        let _panicked = follower.join();
        documents.finish();
        events.finish();
        // Before their stores are closed.
        key_sets.finish();
        self.handle.0.loader.finish_stores();
        self.handle.0.spans.finish();
        self.handle.0.logs.finish();
        joined
    }
}

type NewLoader =
    fn(Option<&Path>, State, &'static [(&'static str, &'static [u8])]) -> Result<Loader, String>;

fn loader(config: &Config, new: NewLoader) -> Result<Loader, BindErrors> {
    let state = State::default();
    state.bodies.set(config.process.buffered_bodies);
    let has_spans = config.traces.as_ref().is_some_and(|traces| traces.collector.is_some());
    if config.admin.is_some() || has_spans {
        state.metrics.is_served();
    }
    let loader = new(config.process.cache_dir.as_deref(), state, FIRST_PARTY);
    loader.map_err(|error| BindError::Engine(error).into())
}

/// What became of the plugins and components of a configuration.
#[derive(Default)]
struct Loaded {
    plugins: Vec<Arc<Plugin>>,
    components: Vec<Arc<Component>>,
    warnings: Vec<PluginWarning>,
    errors: Vec<BindError>,
}

/// Opens the stores and caches of a configuration, before what uses them is loaded.
fn open_stores(loader: &Loader, config: &Config) -> Vec<BindError> {
    let unopened = loader.open_stores(config).into_iter().map(|(store, message)| {
        let name = config.stores[store].name.clone();
        BindError::Store { store, name, message }
    });
    let caches = loader.open_caches(config).into_iter().map(|(cache, message)| {
        let name = config.caches[cache].name.clone();
        BindError::Cache { cache, name, message }
    });
    unopened.chain(caches).collect()
}

/// Says which folders of caches that a plugin uses cannot be written, and if that is asked for, which another process has.
fn try_folders(config: &Config, are_wanted: bool) -> impl Iterator<Item = BindError> {
    let caches =
        config.caches.iter().enumerate().filter(|(_, cache)| {
            config.plugins.iter().any(|plugin| plugin.cache.name == cache.name)
        });
    caches.filter_map(move |(index, cache)| {
        let error =
            crate::state::cache::try_folder(&cache.folder.as_ref()?.path, are_wanted).err()?;
        let (name, message) = (cache.name.clone(), error.to_string());
        Some(BindError::Cache { cache: index, name, message })
    })
}

/// Opens the access logs of a configuration.
fn open_logs(
    logs: &Registry,
    config: &Config,
    metrics: &Metrics,
    errors: &mut Vec<BindError>,
) -> Logs {
    logs.open(config, metrics).unwrap_or_else(|refused| {
        errors.extend(refused.into_iter().map(|OpenError { log, source }| {
            let name = config.access_logs[log.0].name.clone();
            BindError::AccessLog { log, name, source }
        }));
        Logs::default()
    })
}

/// Finds out all that would keep the configuration from being served, besides its addresses, so
/// that workers can take it without a doubt. `serving`: while this process serves another.
fn prepare(loader: &Loader, config: &Config, doubts: &[Doubts], serving: bool) -> Loaded {
    loader.bound_compiling(&config.process, serving);
    let mut loaded = load_apart(loader, config, doubts);
    loaded.errors.extend(upstream::check(&config.upstreams).into_iter().map(BindError::Upstream));
    let usage = config.usage.as_ref().map(usage::check);
    loaded.errors.extend(usage.and_then(Result::err).map(BindError::Usage));
    loaded
}

/// Loads all plugins on its own thread: loading runs guests, and the caller's thread may be
/// one of an asynchronous runtime, in which nothing else can be waited for.
fn load_apart(loader: &Loader, config: &Config, doubts: &[Doubts]) -> Loaded {
    thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut loaded = load_plugins(loader, config, doubts);
            load_components(loader, config, &mut loaded);
            loaded
        });
        loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Loads all plugins, and gathers what is wrong with any of them.
fn load_plugins(loader: &Loader, config: &Config, doubts: &[Doubts]) -> Loaded {
    let mut all = Loaded::default();
    for (index, plugin) in config.plugins.iter().enumerate() {
        let (id, name) = (PluginId(index), &plugin.name);
        let mut warnings = Vec::new();
        match loader.load(plugin, doubts.get(index), &mut warnings) {
            Ok(loaded) => all.plugins.push(Arc::new(loaded)),
            Err(refusals) => all.errors.extend(refusals.into_iter().map(|refusal| {
                let LoadError { place, message, label, note, help } = refusal;
                let (label, note) = (label.map(String::from), note.map(String::from));
                BindError::Plugin {
                    plugin: id,
                    name: name.clone(),
                    place,
                    message,
                    label,
                    note,
                    help,
                }
            })),
        }
        all.warnings.extend(warnings.into_iter().map(|LoadError { message, note, .. }| {
            PluginWarning { plugin: id, name: name.clone(), message, note: note.map(String::from) }
        }));
    }
    all
}

/// Loads all components that answer, and gathers what is wrong with any of them.
fn load_components(loader: &Loader, config: &Config, all: &mut Loaded) {
    for (index, component) in config.components.iter().enumerate() {
        match component::load(loader, component) {
            Ok(loaded) => all.components.push(Arc::new(loaded)),
            Err(refusals) => all.errors.extend(refusals.into_iter().map(|refusal| {
                let Refusal { message, help } = refusal;
                let (component, name) = (ComponentId(index), component.name.clone());
                BindError::Component { component, name, message, help }
            })),
        }
    }
}

/// Ends with the shutdown, or when any worker has ended.
async fn wait(ends: &mut [oneshot::Receiver<()>], shutdown: impl Future<Output = ()>) {
    let mut shutdown = std::pin::pin!(shutdown);
    std::future::poll_fn(|context| {
        let mut is_over = shutdown.as_mut().poll(context).is_ready();
        for end in ends.iter_mut().filter(|end| !end.is_terminated()) {
            is_over |= std::pin::Pin::new(end).poll(context).is_ready();
        }
        if is_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

fn join(threads: Vec<thread::JoinHandle<io::Result<()>>>) -> Result<(), RunError> {
    let mut result = Ok(());
    for (index, thread) in threads.into_iter().enumerate() {
        let ended = match thread.join() {
            Ok(Ok(())) => continue,
            Ok(Err(source)) => Err(RunError::Worker { index, source }),
            Err(_) => Err(RunError::Panicked { index }),
        };
        result = result.and(ended);
    }
    result
}

impl Handle {
    /// Replaces the configuration in force, on all workers or on none. Requests
    /// that are being served go on with the old one; no connection is dropped. Returns what
    /// [`Gateway::warnings`] would, when every worker has taken it.
    ///
    /// Waits for the workers, so that it must not be called on one of their threads, nor on the
    /// thread that is to [run](Gateway::run) the gateway.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload(
        &self,
        config: impl Into<Arc<Config>>,
    ) -> Result<Vec<PluginWarning>, ReloadError> {
        let _alone = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let config: Arc<Config> = config.into();
        let expanded = self.0.loader.metrics().names.expanded(&config);
        let config = expanded.map_or(config, Arc::new);
        let mut current = self.config();
        let taken = self.take(&current, &config);
        let metrics = self.0.loader.metrics();
        if taken.is_ok() {
            let usage = self.0.loader.usage();
            usage.apply(&config);
            if usage.is_recording() {
                metrics.records_usage(usage.counts());
            }
            current = config;
            self.0.tickets.keep(current.listeners.iter().map(|it| it.name.as_str()));
            metrics.reloaded();
        } else {
            metrics.refused();
        }
        metrics.certificates(current.certificate_ends());
        self.keep_upstreams(&current);
        let logs: Vec<_> = current.access_logs.iter().map(|log| log.name.as_str()).collect();
        metrics.keep_access_logs(&logs);
        self.reopen_logs();
        // A plugin of a refused configuration may have begun to record.
        self.0.loader.keep_only(&current);
        taken
    }

    /// Forgets what was known of targets that the configuration in force does not have.
    fn keep_upstreams(&self, current: &Config) {
        let metrics = self.0.loader.metrics();
        let routes = current.routes.iter().map(|route| route.name.as_str()).collect();
        let targets = current.upstreams.iter().flat_map(|upstream| {
            upstream.targets.iter().map(|it| (upstream.name.as_str(), &*it.authority))
        });
        let variants = current.routes.iter().flat_map(|route| match &route.action {
            Action::Split(split) => {
                split.variants.iter().map(|it| (route.name.as_str(), it.name.as_str())).collect()
            }
            _ => Vec::new(),
        });
        metrics.traffic.keep(&routes, &variants.collect(), &targets.collect());
        self.0.checks.keep(&current.upstreams);
        metrics.names.keep(&current.upstreams);
    }

    /// Puts the targets in force that names stand for, each time that they are others, until the names end.
    fn follow_names(&self, changes: &std::sync::mpsc::Receiver<()>) {
        loop {
            // Some may have changed before anybody followed.
            if !self.take_names() || changes.recv().is_err() {
                return;
            }
            // Names that change together are one change.
            thread::sleep(LOOK);
            changes.try_iter().for_each(drop);
        }
    }

    /// Puts the targets in force that names stand for by now; `false` if the gateway has ended.
    fn take_names(&self) -> bool {
        let _alone = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.config();
        let expanded = self.0.loader.metrics().names.expanded(&current);
        let Some(config) = expanded.map(Arc::new) else { return true };
        match self.take(&current, &config) {
            Ok(_) => self.keep_upstreams(&config),
            Err(ReloadError::Ended) => return false,
            Err(error) => tracing::error!(%error, "targets that were found are not in force"),
        }
        true
    }

    /// Reads the certificates of the configuration in force again, and nothing else: for when another one is refused,
    /// which must keep none from being renewed. Returns whether there are new ones, and those that could not be read,
    /// with the reason. Waits as [`Handle::reload`] does.
    ///
    /// # Errors
    /// [`ReloadError`]; what is in force stays then.
    pub fn renew(
        &self,
        environment: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<(bool, Vec<(String, String)>), ReloadError> {
        let _alone = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.config();
        let renewed = current.renewed(environment);
        let Some(config) = renewed.config.map(Arc::new) else { return Ok((false, renewed.kept)) };
        self.take(&current, &config)?;
        self.0.loader.metrics().certificates(config.certificate_ends());
        self.0.checks.keep(&config.upstreams);
        Ok((true, renewed.kept))
    }

    /// Opens the files of access logs again, which may have been moved. A [reload](Self::reload) does so too.
    pub fn reopen_logs(&self) {
        self.0.logs.reopen();
    }

    /// Counts a configuration that was refused before it could come to [`Handle::reload`].
    pub fn refused(&self) {
        self.0.loader.metrics().refused();
    }

    /// Finds out whether the addresses that are new in a configuration can be had.
    #[must_use]
    pub fn takes(&self, config: &Config) -> Vec<BindError> {
        let mut errors = Vec::new();
        self.0.bound.plan(config, self.0.workers.len(), &mut errors);
        let admin = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        administer::plan(config, admin.as_ref(), &mut errors);
        errors
    }

    /// The address of each listener, by its name; with the port that the system chose for 0.
    #[must_use]
    pub fn local_addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.0.bound.addresses()
    }

    /// The addresses that this gateway has, with what each is for, in words.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<(String, SocketAddr)> {
        let listeners = self.0.bound.addresses().into_iter();
        let mut own: Vec<_> =
            listeners.map(|(name, address)| (format!("the listener `{name}`"), address)).collect();
        let admin = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        own.extend(admin.as_ref().map(|admin| ("`[admin]`".to_owned(), admin.address())));
        own
    }

    fn take(
        &self,
        current: &Config,
        config: &Arc<Config>,
    ) -> Result<Vec<PluginWarning>, ReloadError> {
        let unopened = open_stores(&self.0.loader, config);
        let Loaded { plugins, components, warnings, mut errors } =
            prepare(&self.0.loader, config, &[], true);
        errors.extend(unopened);
        let metrics = self.0.loader.metrics();
        let mut plan = self.0.bound.plan(config, self.0.workers.len(), &mut errors);
        let serving = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let admin = administer::plan(config, serving.as_ref(), &mut errors);
        drop(serving);
        if config.admin.is_some() {
            self.0.loader.state().metrics.is_served();
        }
        let logs = open_logs(&self.0.logs, config, metrics, &mut errors);
        if !errors.is_empty() {
            return Err(ReloadError::Refused(BindErrors { errors, warnings }));
        }
        let (traffic, usage) = (&self.0.loader.metrics().traffic, self.0.loader.usage());
        let tickets = &self.0.tickets;
        let shared = Shared::new(Arc::clone(config), plugins, components, traffic, usage, tickets);
        let shared = shared.map_err(|tls| ReloadError::Refused(BindError::from(tls).into()));
        let mut shared = shared?;
        let in_force = InForce::new(Arc::clone(config), plan.addresses());
        let in_force = in_force.map_err(|tls| ReloadError::Refused(BindError::from(tls).into()))?;
        shared.tracer = self.0.tracer.clone();
        let prepared = self.0.spans.prepare(config);
        shared.spans = prepared.as_ref().map(|it| Arc::clone(&it.sink));
        shared.recorder = Rules::of(config, &self.0.recorder);
        shared.logs = logs;
        shared.health = Arc::clone(&metrics.health);
        shared.names = Arc::clone(&metrics.names);
        shared.bodies = metrics.held_bodies();
        shared.listeners = plan.listeners(config, metrics);
        let slots: Vec<_> = shared.listeners.iter().map(|(_, slots)| Arc::clone(slots)).collect();
        let sockets = std::mem::take(&mut plan.sockets);
        self.0.loader.documents().wait_for_first();
        self.0.loader.key_sets().wait_for_first();
        self.0.put_in_force(&Arc::new(shared), sockets, WORKER_ANSWERS)?;
        metrics.keep_listeners(slots.into_iter());
        self.0.bound.apply(plan);
        if config.process.workers != current.process.workers {
            tracing::warn!(
                "`gateway.workers` is another now, and counts from the next start of the process on"
            );
        }
        self.0.spans.apply(prepared, self.0.loader.metrics());
        self.0.current.put(in_force);
        admin.log();
        self.administer(admin);
        Ok(warnings)
    }

    /// Takes no new connection, and lets open exchanges finish within `shutdown_grace`.
    pub fn shutdown(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
        let grace = self.grace();
        for worker in &self.0.workers {
            let _ended_already = worker.send(Command::Drain(grace));
        }
    }

    /// Ends what [`shutdown`](Self::shutdown) lets finish.
    pub fn end_now(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
        for worker in &self.0.workers {
            let _ended_already = worker.send(Command::Drain(Duration::ZERO));
        }
    }

    fn grace(&self) -> Duration {
        self.config().process.shutdown_grace
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.current.get().config)
    }
}

impl Control {
    /// Has every worker prepare a configuration, and then, if all of them can, take it. A worker
    /// may refuse what was checked before: files and the system's certificates change.
    fn put_in_force(
        &self,
        shared: &Arc<Shared>,
        mut sockets: Vec<Sockets>,
        timeout: Duration,
    ) -> Result<(), ReloadError> {
        let prepare = |index: usize, answer| {
            let own = sockets.get_mut(index).map(std::mem::take).unwrap_or_default();
            Command::Prepare(Arc::clone(shared), own, answer)
        };
        let prepared = self.ask(prepare, timeout);
        let refused = prepared.and_then(|answers| {
            let refused = answers.into_iter().find_map(|(index, it)| Some((index, it.err()?)));
            refused.map_or(Ok(()), |(index, source)| Err(ReloadError::Worker { index, source }))
        });
        if let Err(refused) = refused {
            for worker in &self.workers {
                let _ended = worker.send(Command::Discard);
            }
            return Err(refused);
        }
        match self.ask(|_, answer| Command::Commit(answer), timeout) {
            // It has the command, and takes the configuration before it does anything else.
            Err(ReloadError::Silent(_)) => {
                tracing::warn!("a worker is busy, and takes the new configuration later");
                Ok(())
            }
            taken => taken.map(drop),
        }
    }

    /// Sends a command to all workers and gathers their answers.
    fn ask<T>(
        &self,
        mut command: impl FnMut(usize, worker::Answer<T>) -> Command,
        timeout: Duration,
    ) -> Result<Vec<(usize, T)>, ReloadError> {
        let (answer, answers) = std::sync::mpsc::channel();
        for (index, worker) in self.workers.iter().enumerate() {
            worker.send(command(index, answer.clone())).map_err(|_| ReloadError::Ended)?;
        }
        drop(answer);
        let until = Instant::now() + timeout;
        let mut all = Vec::with_capacity(self.workers.len());
        while all.len() < self.workers.len() {
            // A worker that drains answers nothing any more.
            if self.is_draining.load(Ordering::Relaxed) {
                return Err(ReloadError::Ended);
            }
            match answers.recv_timeout(LOOK) {
                Ok(answer) => all.push(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(ReloadError::Ended),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(RecvTimeoutError::Timeout) => return Err(ReloadError::Silent(timeout)),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traffic::Traffic;
    use crate::upstream::SetupError;

    const BRIEF: Duration = Duration::from_millis(200);

    type Commands = mpsc::UnboundedReceiver<Command>;

    fn control(workers: usize) -> (Control, Vec<Commands>, Arc<Shared>) {
        let text = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
                    [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = { status = 200 }\n";
        let source = crate::config::Source::new("test.toml", text);
        let known = crate::config::Known { built_in: &[] };
        let loaded = crate::config::read(source, &|_| None, &known);
        let config =
            Arc::new(loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false))).config);
        let (state, traffic) = (State::default(), Traffic::default());
        let (usage, tickets) = (&state.usage, Tickets::default());
        let shared = Shared::new(config.clone(), Vec::new(), Vec::new(), &traffic, usage, &tickets);
        let shared = shared.expect("no TLS");
        let loader = Loader::new(None, state, &[]).expect("an engine");
        let (senders, commands) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let control = Control {
            workers: senders,
            is_draining: Arc::default(),
            loader,
            logs: Registry::default(),
            reloading: Mutex::default(),
            current: Arc::new(Current::new(InForce::new(config, BTreeMap::new()).expect("no TLS"))),
            tracer: None,
            spans: Spans::default(),
            recorder: Arc::new(Recorder::new(workers)),
            checks: Checks::new(&Arc::default(), &Arc::default()),
            tickets,
            bound: Bound::default(),
            admin: Mutex::default(),
            operator: Mutex::default(),
        };
        (control, commands, Arc::new(shared))
    }

    /// Serves commands as a worker does, and returns what it was asked for.
    fn worker(
        index: usize,
        mut commands: Commands,
        can: bool,
    ) -> thread::JoinHandle<Vec<&'static str>> {
        thread::spawn(move || {
            let mut asked = Vec::new();
            while let Some(command) = commands.blocking_recv() {
                match command {
                    Command::Prepare(_, _, answer) => {
                        asked.push("prepare");
                        let refused = SetupError::NoSystemRoots("no such file".to_owned());
                        let _given_up =
                            answer.send((index, if can { Ok(()) } else { Err(refused) }));
                    }
                    Command::Commit(answer) => {
                        asked.push("commit");
                        let _given_up = answer.send((index, ()));
                    }
                    Command::Discard => asked.push("discard"),
                    Command::Drain(_) => asked.push("drain"),
                }
            }
            asked
        })
    }

    #[test]
    fn a_configuration_is_taken_by_all_workers_or_by_none() {
        for can in [[true, true, true], [true, false, true]] {
            let (control, commands, shared) = control(3);
            let workers = commands.into_iter().zip(can).enumerate();
            let workers: Vec<_> =
                workers.map(|(index, (it, can))| worker(index, it, can)).collect();
            let taken = control.put_in_force(&shared, Vec::new(), WORKER_ANSWERS);
            drop(control);
            let then = if can[1] { "commit" } else { "discard" };
            for worker in workers {
                assert_eq!(worker.join().expect("it lives"), ["prepare", then]);
            }
            match taken {
                Ok(()) => assert!(can[1]),
                Err(ReloadError::Worker { index, .. }) => assert_eq!((index, can[1]), (1, false)),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_worker_that_does_not_answer_or_is_gone_leaves_the_others_as_they_are() {
        let (control, mut commands, shared) = control(2);
        let silent = commands.pop().expect("there are two");
        let other = worker(0, commands.pop().expect("there are two"), true);
        let taken = control.put_in_force(&shared, Vec::new(), BRIEF);
        assert!(matches!(taken, Err(ReloadError::Silent(BRIEF))), "{taken:?}");
        drop(silent);
        let taken = control.put_in_force(&shared, Vec::new(), WORKER_ANSWERS);
        assert!(matches!(taken, Err(ReloadError::Ended)), "{taken:?}");
        control.is_draining.store(true, Ordering::Relaxed);
        drop(control);
        let asked = other.join().expect("it lives");
        assert!(!asked.contains(&"commit") && asked.contains(&"discard"), "{asked:?}");
    }
}
