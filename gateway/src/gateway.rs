//! The gateway as a whole.
//!
//! Owns the worker threads: their start, what they are told, and their end. Nothing of a request
//! passes through here.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::admin::Admin;
use crate::component::{self, Component, Refusal};
use crate::config::{ComponentId, Config, ListenerId, PluginId};
use crate::first_party::FIRST_PARTY;
pub use crate::plugin::Place;
use crate::plugin::{LoadError, Loader, Plugin};
use crate::server::socket;
use crate::server::worker::{self, Command, Seed};
use crate::snapshot::Shared;
use crate::state::State;
use crate::trace::Tracer;
use crate::upstream::{self, SetupError};

/// Why a gateway cannot serve. A start reports all of them at once.
#[derive(Debug, Error)]
pub enum BindError {
    /// A listener's address cannot be had.
    #[error("listener `{name}` cannot have {address}: {source}")]
    Listen {
        /// Which.
        listener: ListenerId,
        /// Its name.
        name: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address of `[admin]` cannot be had.
    #[error("`admin` cannot have {address}: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A plugin cannot be loaded, or refuses its configuration.
    #[error("plugin `{name}`: {message}")]
    Plugin {
        /// Which.
        plugin: PluginId,
        /// Its name.
        name: String,
        /// Where in its table the cause stands.
        place: Place,
        /// What is wrong.
        message: String,
        /// What the caret says.
        label: Option<String>,
        /// A fact that helps to understand.
        note: Option<String>,
        /// What would mend it.
        help: Option<String>,
    },
    /// A component that answers cannot be loaded.
    #[error("component `{name}`: {message}")]
    Component {
        /// Which.
        component: ComponentId,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
        /// What would mend it.
        help: Option<String>,
    },
    /// The plugin engine cannot start on this machine.
    #[error("the plugin engine cannot start: {0}")]
    Engine(String),
    /// An upstream cannot be set up on this machine.
    #[error("{0}")]
    Upstream(#[from] SetupError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// All that keeps a gateway from serving, and what else is not as it should be.
#[derive(Debug, Default)]
pub struct BindErrors {
    /// At least one.
    pub errors: Vec<BindError>,
    /// What [`Gateway::warnings`] would have said.
    pub warnings: Vec<PluginWarning>,
}

impl Deref for BindErrors {
    type Target = [BindError];

    fn deref(&self) -> &[BindError] {
        &self.errors
    }
}

impl From<BindError> for BindErrors {
    fn from(error: BindError) -> Self {
        Self { errors: vec![error], warnings: Vec::new() }
    }
}

/// What is not as it should be with a plugin that can serve: its author's to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginWarning {
    /// Which.
    pub plugin: PluginId,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// A fact that helps to understand.
    pub note: Option<String>,
}

/// Why a configuration was not taken. The one before it stays in force.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// Listeners come and go only with the process.
    #[error("listeners cannot change while the gateway runs")]
    Listeners,
    /// What it needs cannot be had.
    #[error("the configuration cannot be put in force")]
    Refused(BindErrors),
    /// The gateway has ended.
    #[error("the gateway has ended")]
    Ended,
}

/// Why a gateway ended other than by its shutdown.
#[derive(Debug, Error)]
pub enum RunError {
    /// A thread could not be started, or a worker could not.
    #[error("worker {index}: {source}")]
    Worker {
        /// Counted from 0.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A worker panicked.
    #[error("worker {index} panicked")]
    Panicked {
        /// Counted from 0.
        index: usize,
    },
}

/// A gateway whose addresses are bound and whose workers are not started.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    /// For each worker, one for each listener.
    sockets: Vec<Vec<TcpListener>>,
    addresses: BTreeMap<String, SocketAddr>,
    admin: Option<TcpListener>,
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
    config: Mutex<Arc<Config>>,
    tracer: Option<Arc<Tracer>>,
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

    /// As [`bind`](Self::bind), for whoever develops plugins: `tracer` is told what becomes of each
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
        let Loaded { plugins, components, warnings, mut errors } = prepare(&loader, &config);
        let workers = config.process.workers.max(1);
        let (sockets, addresses) = bind_listeners(&config, workers, &mut errors);
        let admin = bind_admin(&config, &mut errors);
        if !errors.is_empty() {
            return Err(BindErrors { errors, warnings });
        }
        let shared = Shared::new(Arc::clone(&config), plugins, components);
        let mut shared = shared.map_err(BindError::from)?;
        shared.tracer = tracer.clone();
        let (senders, commands) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let is_draining = Arc::default();
        let config = Mutex::new(config);
        let control = Control { workers: senders, is_draining, loader, config, tracer };
        let handle = Handle(Arc::new(control));
        Ok(Self { shared: Arc::new(shared), sockets, addresses, admin, warnings, handle, commands })
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
        self.admin.as_ref()?.local_addr().ok()
    }

    /// What is not as it should be with its plugins.
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
        let _until_all_is_over = self.admin.map(|socket| self.handle.serve_admin(socket));
        let mut threads = Vec::new();
        let mut ends = Vec::new();
        for (index, (sockets, commands)) in self.sockets.into_iter().zip(self.commands).enumerate()
        {
            let seed = Seed { index, shared: Arc::clone(&self.shared), sockets, commands };
            let (ended, end) = oneshot::channel::<()>();
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                let _ended = ended;
                worker::run(seed)
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
        join(threads)
    }
}

type NewLoader =
    fn(Option<&Path>, State, &'static [(&'static str, &'static [u8])]) -> Result<Loader, String>;

fn loader(config: &Config, new: NewLoader) -> Result<Loader, BindErrors> {
    let loader = new(config.process.cache_dir.as_deref(), State::default(), FIRST_PARTY);
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

/// Finds out all that would keep the configuration from being served, besides its addresses, so
/// that workers can take it without a doubt.
fn prepare(loader: &Loader, config: &Config) -> Loaded {
    let mut loaded = load_apart(loader, config);
    loaded.errors.extend(upstream::check(&config.upstreams).err().map(BindError::Upstream));
    loaded
}

/// Loads all plugins on a thread of its own: loading runs guests, and the caller's thread may be
/// one of an asynchronous runtime, in which nothing else can be waited for.
fn load_apart(loader: &Loader, config: &Config) -> Loaded {
    thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut loaded = load_plugins(loader, config);
            load_components(loader, config, &mut loaded);
            loaded
        });
        loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Loads all plugins, and gathers what is wrong with any of them.
fn load_plugins(loader: &Loader, config: &Config) -> Loaded {
    let mut all = Loaded::default();
    for (index, plugin) in config.plugins.iter().enumerate() {
        let (id, name) = (PluginId(index), &plugin.name);
        let mut warnings = Vec::new();
        match loader.load(plugin, &mut warnings) {
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

type Bound = (Vec<Vec<TcpListener>>, BTreeMap<String, SocketAddr>);

/// Binds each listener once for each worker.
fn bind_listeners(config: &Config, workers: usize, errors: &mut Vec<BindError>) -> Bound {
    let mut sockets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = BTreeMap::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let bound = socket::bind(listener.address, workers);
        match bound.and_then(|bound| Ok((bound[0].local_addr()?, bound))) {
            Ok((address, bound)) => {
                addresses.insert(listener.name.clone(), address);
                for (worker, socket) in sockets.iter_mut().zip(bound) {
                    worker.push(socket);
                }
            }
            Err(source) => errors.push(BindError::Listen {
                listener: ListenerId(index),
                name: listener.name.clone(),
                address: listener.address,
                source,
            }),
        }
    }
    (sockets, addresses)
}

fn bind_admin(config: &Config, errors: &mut Vec<BindError>) -> Option<TcpListener> {
    let address = config.admin.as_ref()?.address;
    match socket::bind(address, 1) {
        Ok(mut bound) => bound.pop(),
        Err(source) => {
            errors.push(BindError::Admin { address, source });
            None
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
    /// Puts a configuration in the place of the one in force. Requests that are being served go
    /// on with the old one; no connection is dropped. Returns what [`Gateway::warnings`] would.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration stays then.
    pub fn reload(
        &self,
        config: impl Into<Arc<Config>>,
    ) -> Result<Vec<PluginWarning>, ReloadError> {
        let config = config.into();
        let mut current = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.take(&current, &config);
        let metrics = self.0.loader.metrics();
        if taken.is_ok() {
            *current = config;
            metrics.reloaded();
        } else {
            metrics.refused();
        }
        self.0.loader.keep_only(&current.plugins);
        // A plugin of a refused configuration may have begun to record.
        metrics.keep(&current.plugins.iter().map(|plugin| &*plugin.name).collect());
        taken
    }

    /// Counts a configuration that was refused before it could come to [`Handle::reload`].
    pub fn refused(&self) {
        self.0.loader.metrics().refused();
    }

    fn take(
        &self,
        current: &Config,
        config: &Arc<Config>,
    ) -> Result<Vec<PluginWarning>, ReloadError> {
        if !same_listeners(current, config) {
            return Err(ReloadError::Listeners);
        }
        let Loaded { plugins, components, warnings, errors } = prepare(&self.0.loader, config);
        if !errors.is_empty() {
            return Err(ReloadError::Refused(BindErrors { errors, warnings }));
        }
        let shared = Shared::new(Arc::clone(config), plugins, components);
        let shared = shared.map_err(|tls| ReloadError::Refused(BindError::from(tls).into()));
        let mut shared = shared?;
        shared.tracer = self.0.tracer.clone();
        let shared = Arc::new(shared);
        for worker in &self.0.workers {
            let command = Command::Reload(Arc::clone(&shared));
            worker.send(command).map_err(|_| ReloadError::Ended)?;
        }
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

    /// Serves `[admin]` on a thread of its own, until what it returns is dropped.
    fn serve_admin(&self, socket: TcpListener) -> oneshot::Sender<()> {
        let (metrics, is_draining) = (self.0.loader.metrics(), &self.0.is_draining);
        let (metrics, is_draining) = (Arc::clone(metrics), Arc::clone(is_draining));
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            if let Err(error) = (Admin { metrics, is_draining }).run(socket, stopped) {
                tracing::error!(%error, "`admin` is not served");
            }
        };
        // Metrics are no reason not to serve.
        if let Err(error) = thread::Builder::new().name("admin".into()).spawn(serve) {
            tracing::error!(%error, "`admin` is not served");
        }
        stop
    }

    fn grace(&self) -> Duration {
        self.0.config.lock().unwrap_or_else(PoisonError::into_inner).process.shutdown_grace
    }
}

/// Whether names and addresses are the same; limits, timeouts and certificates may change.
fn same_listeners(old: &Config, new: &Config) -> bool {
    let id = |config: &Config| -> Vec<_> {
        config.listeners.iter().map(|it| (it.name.clone(), it.address, it.tls.is_some())).collect()
    };
    let admin = |config: &Config| config.admin.as_ref().map(|admin| admin.address);
    id(old) == id(new) && admin(old) == admin(new)
}
