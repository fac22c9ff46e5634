//! The types of the configuration, one module for each part of the file.
//!
//! Owns their documentation. What reads them, and checks, is beside it and not here.

mod document;
mod health;
mod listener;
mod plugin;
mod process;
mod route;
mod store;
mod target;
mod upstream;

pub use document::{Document, DocumentSource, EventFormat, EventSink, Follow, RemoteDocument};
pub use health::{CheckKind, Ejection, HealthCheck, Outliers};
pub use listener::{
    ClientCertificates, ForwardedFamily, HalfClose, Listener, ListenerLimits, ListenerTimeouts,
    ListenerTls, TlsVersion,
};
pub use plugin::{
    Component, Condition, Doubts, Grant, HttpComponent, Isolation, KeySet, LimiterUse, OnError,
    Plugin, PluginBounds, Secret,
};
pub use process::{
    Admin, BUFFERED_BODIES, Collector, CollectorProtocol, Incoming, PostgresStore, Process,
    Recorder, Traces, Usage, UsageStore,
};
pub use route::{
    Action, ErrorForm, FixedResponse, HostPattern, PathPattern, Redirect, Rewrite, Route,
    RouteMatcher, Segment, Template, TemplatePart, ValuePattern,
};
pub use store::{
    Cache, CacheFolder, OnStoreError, RedisStore, SecondLevel, Store, StoreKind, Topology,
};
pub use target::{
    Dns, Origin, Place, Resolver, Target, UpstreamIdentity, UpstreamProtocol, UpstreamTls,
};
pub use upstream::{
    Adaptive, AddedFields, Balance, Capacity, ConnectionBound, HostPolicy, Upstream,
    UpstreamLimits, UpstreamTimeouts,
};
