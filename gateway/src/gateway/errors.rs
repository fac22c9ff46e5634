//! Why a gateway cannot serve, or cannot continue.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use thiserror::Error;

use crate::config::{AccessLogId, ComponentId, Diagnostics, ListenerId, PluginId};
use crate::plugin::SpanTarget;
use crate::upstream::SetupError;

/// Why a gateway cannot serve. A start reports all of them at once.
#[derive(Debug, Error)]
pub enum BindError {
    /// A listener's address cannot be had.
    #[error("listener `{name}` cannot listen on {address}: {source}")]
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
    #[error("`admin` cannot listen on {address}: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An access log cannot be opened.
    #[error("access log `{name}` cannot be opened: {source}")]
    AccessLog {
        /// Which.
        log: AccessLogId,
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of `audit` cannot be written.
    #[error("`audit` cannot be written to {}: {source}", path.display())]
    Audit {
        /// The file.
        path: std::path::PathBuf,
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
        place: SpanTarget,
        /// What is wrong.
        message: String,
        /// What the caret says.
        label: Option<String>,
        /// A fact that helps to understand.
        note: Option<String>,
        /// What would fix it.
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
        /// What would fix it.
        help: Option<String>,
    },
    /// A store of `[stores.NAME]` cannot be opened.
    #[error("store `{name}` cannot be opened: {message}")]
    Store {
        /// Its place in `Config::stores`.
        store: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The folder of a cache of `[caches.NAME]` cannot be used.
    #[error("the folder of the cache `{name}` cannot be used: {message}")]
    Cache {
        /// Its place in `Config::caches`.
        cache: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The file of a document cannot be read, and nothing is known of what it says.
    #[error("document `{name}`: {message}")]
    Document {
        /// Its place in `Config::documents`.
        document: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
        /// A fact that helps to understand.
        note: Option<&'static str>,
        /// What would fix it.
        help: Option<String>,
    },
    /// The store of `[usage]` cannot be had.
    #[error("usage cannot be recorded: {0}")]
    Usage(String),
    /// The sockets of listeners cannot be given to the workers.
    #[error("workers cannot have the sockets of listeners: {0}")]
    Sockets(String),
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

/// Startup errors, plus warnings.
#[derive(Debug, Default)]
pub struct BindErrors {
    /// At least one.
    pub errors: Vec<BindError>,
    /// What [`Gateway::warnings`](super::Gateway::warnings) would have said.
    pub warnings: Vec<PluginWarning>,
    /// What plugins find wrong in files of documents, of each its own. They are read while a gateway runs, and keep none from
    /// being started: only [`Gateway::check`](super::Gateway::check) tells it here.
    pub documents: Vec<Diagnostics>,
}

impl Deref for BindErrors {
    type Target = [BindError];

    fn deref(&self) -> &[BindError] {
        &self.errors
    }
}

impl From<BindError> for BindErrors {
    fn from(error: BindError) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }
}

/// A warning about a plugin that can serve; its author has to fix it.
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
    /// What it needs cannot be had.
    #[error("the configuration cannot be applied")]
    Refused(BindErrors),
    /// A worker cannot take it, although it could be loaded. No worker has taken it then.
    #[error("worker {index} cannot take the configuration: {source}")]
    Worker {
        /// Counted from 0.
        index: usize,
        /// What it said.
        source: SetupError,
    },
    /// The system gives no thread or no descriptor for another worker. No worker has taken the configuration then.
    #[error("the system refuses what another number of workers needs: {0}")]
    System(#[source] io::Error),
    /// A worker did not answer. No worker has taken the configuration then.
    #[error("a worker did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The gateway has ended, or is about to.
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
    /// The thread that follows names of targets could not be started.
    #[error("the thread that follows names: {0}")]
    Discovery(io::Error),
    /// A worker panicked.
    #[error("worker {index} panicked")]
    Panicked {
        /// Counted from 0.
        index: usize,
    },
}
