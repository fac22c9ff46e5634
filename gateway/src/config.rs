//! The configuration, checked and ready to run.
//!
//! Owns the types that the rest of the gateway reads. A value of [`Config`] is proof that every
//! name in it resolves and every pattern parses: nothing downstream checks again. The serde-free
//! reading of TOML lives in the modules below and never leaves them; what leaves them is [`load`],
//! [`schema`] and the [`Diagnostics`] that later stages add to.

mod access_log;
mod admin;
mod cache;
mod cache_use;
mod certificate_use;
mod certificates;
mod component;
mod diagnostic;
mod document;
mod events;
mod fault;
mod fill;
mod foreign;
mod in_text;
mod key_set;
mod keys;
mod listener;
mod load;
mod mirror;
mod names;
mod only_if;
mod owners;
mod plugin;
mod process;
mod reader;
mod recorder;
mod renew;
mod retries;
mod route;
mod schema;
mod secret_names;
mod secrets;
mod settings;
mod source;
mod split;
mod state_use;
mod store;
pub(crate) mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod traces;
mod units;
mod upstream;
mod usage;
mod written;

use std::net::SocketAddr;
use std::sync::Arc;

pub use access_log::{
    AccessLog, AccessLogFormat, AccessLogId, LogDestination, LogField, LogFile, LogPart,
    NamedAccessLog, Syslog, SyslogTransport,
};
pub use admin::TokenDigest;
pub(crate) use certificates::{CertificateEnd, CertificateFacts, VERIFIED, is_for, names};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub(crate) use document::Unreadable;
pub use in_text::{filled_from, place as place_in_text};
pub use load::{Known, Loaded, Remains, load, load_with, read, read_all};
pub use mirror::Mirror;
pub use retries::{RETRY_BODY, Retries, RetryBudget, RetryOn};
pub(crate) use schema::no_such_key;
pub use schema::schema;
pub(crate) use secret_names::names_secret;
pub use settings::{
    Action, Adaptive, AddedFields, Admin, BUFFERED_BODIES, Balance, Cache, CacheFolder, Capacity,
    CheckKind, ClientCertificates, Collector, CollectorProtocol, Component, Condition,
    ConnectionBound, Dns, Document, DocumentSource, Doubts, Ejection, ErrorForm, EventFormat,
    EventSink, FixedResponse, Follow, ForwardedFamily, Grant, HalfClose, HealthCheck, HostPattern,
    HostPolicy, HttpComponent, Incoming, Isolation, KeySet, LimiterUse, Listener, ListenerLimits,
    ListenerTimeouts, ListenerTls, OnError, OnStoreError, Origin, Outliers, PathPattern, Place,
    Plugin, PluginBounds, PostgresStore, Process, Recorder, Redirect, RedisStore, RemoteDocument,
    Resolver, Rewrite, Route, RouteMatcher, SecondLevel, Secret, Segment, Store, StoreKind, Target,
    Template, TemplatePart, TlsVersion, Topology, Traces, Upstream, UpstreamIdentity,
    UpstreamLimits, UpstreamProtocol, UpstreamTimeouts, UpstreamTls, Usage, UsageStore,
    ValuePattern,
};
pub use source::{Position, Positions, Source};
pub(crate) use split::stable_hash;
pub use split::{Chance, Split, StickyKey, Variant};
pub(crate) use suggest::{closest, closest_value};
pub(crate) use units::duration;
pub(crate) use written::{Change, Written};

pub use crate::path::{PathParameters, PathRules};

/// Index of a listener in [`Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub usize);

/// Index of an upstream in [`Config::upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub usize);

/// Index of a configured plugin in [`Config::plugins`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(pub usize);

/// Index of a component in [`Config::components`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId(pub usize);

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The text that its spans point into.
    pub source: Arc<Source>,
    /// Settings of the process: `[gateway]`.
    pub process: Process,
    /// `[admin]`; `None` where the file has none, and nothing is served.
    pub admin: Option<Admin>,
    /// `[usage]`; `None` where the file has none, and nothing is recorded.
    pub usage: Option<Usage>,
    /// `[traces]`; `None` where the file has none, and trace fields pass through as they are.
    pub traces: Option<Traces>,
    /// `[recorder]`; `None` where nothing is recorded.
    pub recorder: Option<Recorder>,
    /// `[access_logs.NAME]`, in the order of the file.
    pub access_logs: Vec<NamedAccessLog>,
    /// `[[listeners]]`, in the order of the file.
    pub listeners: Vec<Listener>,
    /// `[upstreams.NAME]`, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// `[documents.NAME]`, in the order of the file.
    pub documents: Vec<Arc<Document>>,
    /// `[events.NAME]`, in the order of the file.
    pub events: Vec<Arc<EventSink>>,
    /// `[keys.NAME]`, in the order of the file.
    pub keys: Vec<Arc<KeySet>>,
    /// `[caches.NAME]`, in the order of the file.
    pub caches: Vec<Arc<Cache>>,
    /// `[stores.NAME]`, in the order of the file.
    pub stores: Vec<Arc<Store>>,
    /// `[components.NAME]` in the order of the file, then those that routes name by their file or
    /// write inline.
    pub components: Vec<HttpComponent>,
    /// `[plugins.NAME]` in the order of the file, then those written inline in routes.
    pub plugins: Vec<Plugin>,
    /// `[[routes]]`, in the order of the file.
    pub routes: Vec<Route>,
}

impl Config {
    /// When the certificates of its listeners end.
    pub(crate) fn certificate_ends(&self) -> Vec<CertificateEnd> {
        certificates::ends(&self.listeners, &self.upstreams)
    }

    /// Whether a socket on this address takes IPv4 connections beside those of IPv6: `[::]` means
    /// every address of both families, unless the file gives the port to an IPv4 address of its own.
    #[must_use]
    pub fn takes_ipv4(&self, address: SocketAddr) -> bool {
        let listeners = self.listeners.iter().map(|listener| listener.address);
        let mut all = listeners.chain(self.admin.as_ref().map(|admin| admin.address));
        let is_every = address.is_ipv6() && address.ip().is_unspecified();
        is_every && !all.any(|other| other.is_ipv4() && other.port() == address.port())
    }
}

/// Where something is in the configuration text: byte offsets, end exclusive.
pub type Span = std::ops::Range<usize>;
