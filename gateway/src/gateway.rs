//! The gateway as a whole.
//!
//! Owns the worker threads: their start, their commands, and their end. Nothing of a request
//! passes through here.

mod administer;
mod errors;
mod listeners;
mod workers;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::access_log::{Logs, OpenError, Registry};
use crate::admin::{Current, InForce, Operator};
use crate::checks::Checks;
use crate::component::{self, Component, Refusal};
use crate::config::{Action, ComponentId, Config, Doubts, PluginId, Unreadable};
use crate::first_party::{FIRST_PARTY, FirstParty};
pub use crate::plugin::SpanTarget;
use crate::plugin::{LoadError, Loader, Plugin};
use crate::recorder::{Recorder, Rules};
use crate::server::worker::{Command, OpenSocket};
use crate::snapshot::Shared;
use crate::spans::Spans;
use crate::state::State;
use crate::telemetry::metrics::Metrics;
use crate::tls::Tickets;
use crate::trace::Tracer;
use crate::{upstream, usage};

pub use errors::{BindError, BindErrors, PluginWarning, ReloadError, RunError};
use listeners::Bound;
use workers::{Ends, Given, Workers};

/// How long workers may take to prepare a configuration. A hook may hold a worker up for as long as
/// the longest deadline.
const WORKER_ANSWERS: Duration = Duration::from_secs(90);
/// Names that change within this time are one change.
const TOGETHER: Duration = Duration::from_millis(100);

/// A gateway whose addresses are bound and whose workers are not started.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    /// For each worker, those of all listeners.
    sockets: Vec<Vec<OpenSocket>>,
    addresses: BTreeMap<String, SocketAddr>,
    admin: administer::Plan,
    warnings: Vec<PluginWarning>,
    handle: Handle,
    commands: Vec<mpsc::UnboundedReceiver<Command>>,
    ends: Ends,
}

/// Steers a running gateway from any thread.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Control>);

#[derive(Debug)]
struct Control {
    workers: Workers,
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
            return Err(BindErrors { errors, warnings, documents: Vec::new() });
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
        let numbers: Vec<_> = (0..workers).collect();
        let dealt = bound.deal(&plan, &[], &numbers);
        let mut dealt = dealt.map_err(|error| BindError::Sockets(error.to_string()))?;
        let sockets: Vec<_> =
            numbers.iter().map(|it| dealt.remove(it).unwrap_or_default().opens).collect();
        bound.begin(&mut plan);
        let (workers, commands, ends) = Workers::new(workers);
        let in_force = InForce::new(config, addresses.clone()).map_err(BindError::from)?;
        let (reloading, current) = (Mutex::default(), Arc::new(Current::new(in_force)));
        let checks = Checks::new(&metrics.health, &metrics.names);
        let control = Control {
            workers,
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
        Ok(Self { shared, sockets, addresses, admin, warnings, handle, commands, ends })
    }

    /// Finds out all that would keep a configuration from being served, without serving it, and what plugins find wrong in files of
    /// documents; with `addresses`, also whether they and the folders of caches can be had now, which they cannot where it is served
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
        loader.documents().are_checked();
        let Loaded { warnings, mut errors, .. } = prepare(&loader, config, doubts, false);
        if addresses {
            Bound::default().plan(config, config.process.workers.max(1), &mut errors);
            administer::plan(config, None, &mut errors);
        }
        errors.extend(try_folders(config, addresses));
        errors.extend(Shared::check(config).err().map(BindError::from));
        errors.extend(administer::check(config).err().map(BindError::from));
        BindErrors { errors, warnings, documents: loader.documents().told() }
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
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
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
        // It is told of targets and of documents: now they are known.
        self.handle.administer(self.admin);
        // What the first requests ask for is there.
        documents.first().await;
        let key_sets = Arc::clone(self.handle.0.loader.key_sets());
        key_sets.keep(&self.shared.config);
        key_sets.begin();
        key_sets.first().await;
        let workers = &self.handle.0.workers;
        let metrics = Arc::clone(self.handle.0.loader.metrics());
        let given = Given { shared: self.shared, metrics, usage: Arc::clone(&usage) };
        let (beginning, mut begun) = tokio::sync::mpsc::channel(1);
        for (index, (sockets, commands)) in self.sockets.into_iter().zip(self.commands).enumerate()
        {
            workers.start_first(index, &given, sockets, commands, beginning.clone())?;
        }
        drop((given, beginning));
        // Whoever waits for the end may say first that connections are accepted.
        let _all_have_begun: Option<Infallible> = begun.recv().await;
        let mut ended = until_over(workers, &mut self.ends, shutdown).await;
        self.handle.shutdown();
        while !workers.are_gone() {
            let Some(end) = self.ends.recv().await else { break };
            ended = ended.and(workers.ended(end).map_or(Ok(()), |(_, ended)| ended));
        }
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
        ended
    }
}

type NewLoader = fn(Option<&Path>, State, &'static [FirstParty]) -> Result<Loader, String>;

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
    loaded.errors.extend(unreadable_documents(loader, config));
    loaded
}

/// The documents whose files cannot be read, unless this process has what they said: their loss is a warning of the log, and
/// no reason to refuse what else has changed.
fn unreadable_documents(loader: &Loader, config: &Config) -> impl Iterator<Item = BindError> {
    let unknown = config.documents.iter().enumerate().filter(|(_, it)| !loader.documents().has(it));
    unknown.filter_map(|(document, it)| {
        let Unreadable { message, note, help } = it.unreadable()?;
        Some(BindError::Document { document, name: it.name.clone(), message, note, help })
    })
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

/// Ends with the shutdown, or when a worker has ended that was not to leave.
async fn until_over(
    workers: &Workers,
    ends: &mut Ends,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let end = tokio::select! {
            () = &mut shutdown => return Ok(()),
            end = ends.recv() => end,
        };
        match end.and_then(|end| workers.ended(end)) {
            Some((_, Err(failed))) => return Err(failed),
            Some((false, Ok(()))) => return Ok(()),
            Some((true, Ok(()))) | None => {}
        }
    }
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
            thread::sleep(TOGETHER);
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
        self.0.bound.plan(config, config.process.workers.max(1), &mut errors);
        let admin = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        administer::plan(config, admin.as_ref(), &mut errors);
        errors
    }

    /// Whether this gateway would take a configuration in spite of what [`Gateway::check`] has against it: the file of a
    /// document is gone, and the gateway has what it said.
    #[must_use]
    pub fn does_without(&self, config: &Config, error: &BindError) -> bool {
        let BindError::Document { document, .. } = error else { return false };
        config.documents.get(*document).is_some_and(|it| self.0.loader.documents().has(it))
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
        let workers = config.process.workers.max(1);
        let mut plan = self.0.bound.plan(config, workers, &mut errors);
        let serving = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let admin = administer::plan(config, serving.as_ref(), &mut errors);
        drop(serving);
        if config.admin.is_some() {
            self.0.loader.state().metrics.is_served();
        }
        let logs = open_logs(&self.0.logs, config, metrics, &mut errors);
        if !errors.is_empty() {
            return Err(ReloadError::Refused(BindErrors {
                errors,
                warnings,
                documents: Vec::new(),
            }));
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
        self.0.loader.documents().wait_for_first();
        self.0.loader.key_sets().wait_for_first();
        let metrics = Arc::clone(metrics);
        let given = Given { shared: Arc::new(shared), metrics, usage: Arc::clone(usage) };
        let (bound, metrics) = (&self.0.bound, self.0.loader.metrics());
        self.0.workers.put_in_force(&given, bound, &mut plan, workers, WORKER_ANSWERS)?;
        metrics.keep_listeners(slots.into_iter());
        self.0.bound.apply(plan);
        if config.process.workers != current.process.workers {
            tracing::info!(
                workers,
                before = current.process.workers,
                "there are as many workers as `gateway.workers` says now"
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
        self.drain(self.grace());
    }

    /// Ends what [`shutdown`](Self::shutdown) lets finish.
    pub fn end_now(&self) {
        self.drain(Duration::ZERO);
    }

    fn drain(&self, grace: Duration) {
        self.0.bound.close();
        self.0.workers.drain(grace);
    }

    fn grace(&self) -> Duration {
        self.config().process.shutdown_grace
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.current.get().config)
    }
}
