//! The configuration, checked and ready to run.
//!
//! Owns the types that the rest of the gateway reads. A value of [`Config`] is proof that every
//! name in it resolves and every pattern parses: nothing downstream checks again. The serde-free
//! reading of TOML lives in the modules below and never leaves them; what leaves them is [`load`],
//! [`schema`] and the [`Diagnostics`] that later stages add to.
//!
//! Over 400 lines, nearly all of them the documentation of the types, which is read as a whole.

mod access_log;
mod admin;
mod cache;
mod certificate_use;
mod certificates;
mod component;
mod diagnostic;
mod document;
mod events;
mod fault;
mod fill;
mod foreign;
mod key_set;
mod keys;
mod listener;
mod load;
mod mirror;
mod names;
mod only_if;
mod plugin;
mod process;
mod reader;
mod recorder;
mod renew;
mod retries;
mod route;
mod schema;
mod secrets;
mod source;
mod split;
mod store;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod traces;
mod units;
mod upstream;
mod usage;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

pub use access_log::{
    AccessLog, AccessLogFormat, AccessLogId, LogDestination, LogField, LogFile, LogPart,
    NamedAccessLog, Syslog, SyslogTransport,
};
pub use admin::TokenDigest;
pub(crate) use certificates::{CertificateEnd, CertificateFacts, VERIFIED, is_for, names};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{Known, Loaded, Remains, load, load_with, read, read_all};
pub use mirror::Mirror;
pub use retries::{RETRY_BODY, Retries, RetryBudget, RetryOn};
pub(crate) use schema::no_such_key;
pub use schema::schema;
pub use source::{Position, Positions, Source};
pub(crate) use split::stable_hash;
pub use split::{Split, StickyKey, Variant};
pub(crate) use suggest::closest;
pub(crate) use units::duration;
pub(crate) use written::{Change, Written, names_secret};

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

/// `[gateway]`: settings of the whole process.
#[derive(Debug, Clone)]
pub struct Process {
    /// `workers`: worker threads. Default: the cores that the process may use.
    pub workers: usize,
    /// `via`: the pseudonym in `Via` (RFC 9110 section 7.6.3). Default `"gateway"`.
    pub via: String,
    /// `shutdown_grace`: how long open exchanges may continue after SIGTERM. Default 30 s.
    pub shutdown_grace: Duration,
    /// `access_log`: which finished requests are logged. Default [`AccessLog::Errors`].
    pub access_log: AccessLog,
    /// `cache_dir`: where compiled components are kept, resolved against the configuration's
    /// folder. Default: the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// `compile_memory`: memory that compiling one component may take, in bytes. Default 1 GiB.
    pub compile_memory: usize,
    /// `compile_time`: processor time that compiling one component may take. Default 60 s.
    pub compile_time: Duration,
    /// `retry_after_ceiling`: a refusal whose `Retry-After` is longer says `x-should-retry: false`
    /// too. Default 60 s.
    pub retry_after_ceiling: Duration,
    /// `buffered_bodies`: bytes of bodies that are held in memory for plugins and for other attempts,
    /// on all workers together. Default 256 MiB.
    pub buffered_bodies: usize,
}

/// What `buffered_bodies` is where nothing else is said.
pub const BUFFERED_BODIES: usize = 256 << 20;

/// `[admin]`: the admin API of the gateway, metrics and health.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `address`, as `ip:port`. One that is not of loopback has `tls` and `token`.
    pub address: SocketAddr,
    /// Where `address` is in the file, for a port that is in use.
    pub address_span: Span,
    /// `tls`; `None` in clear.
    pub tls: Option<ListenerTls>,
    /// `token`; `None` where nobody is asked for one.
    pub token: Option<TokenDigest>,
    /// `hosts`: further names under which it may be asked for, in lower case.
    pub hosts: Vec<String>,
    /// `audit`, resolved against the configuration's folder.
    pub audit: Option<PathBuf>,
}

impl Admin {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// `[recorder]`: which exchanges the flight recorder keeps.
#[derive(Clone, PartialEq)]
pub struct Recorder {
    /// `size`: records of each kind that a worker keeps, at least one. Default 500.
    pub size: usize,
    /// `slow`: exchanges that take as long are always kept. Default 500 ms.
    pub slow: Duration,
    /// `sample`: the part of the others that is kept, from 0 to 1. Default 0.01.
    pub sample: f64,
    /// `debug_secret`: who holds it has its own requests kept and reported.
    pub debug_secret: Option<String>,
}

impl std::fmt::Debug for Recorder {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size, slow, sample, .. } = self;
        f.debug_struct("Recorder")
            .field("size", size)
            .field("slow", slow)
            .field("sample", sample)
            .finish_non_exhaustive()
    }
}

/// `[usage]`: who used how much, and where that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `store`
    pub store: UsageStore,
    /// Where `store` is in the file, for one that cannot be opened.
    pub store_span: Span,
    /// `keep`: how long rows by day are kept. Default 400 days.
    pub keep: Duration,
    /// `keep_minutes`: how long rows by minute are kept. Default 8 days.
    pub keep_minutes: Duration,
    /// `flush`: how often rows are written. Default 5 s.
    pub flush: Duration,
}

/// Where usage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageStore {
    /// An SQLite file.
    Sqlite {
        /// `store`, resolved against the configuration's folder.
        path: PathBuf,
        /// `size`: bytes of the file. Default 4 GiB.
        size: u64,
    },
    /// A PostgreSQL database, which several gateways may share.
    Postgres(PostgresStore),
}

/// A PostgreSQL database.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresStore {
    /// `store`, with its `sslmode`.
    pub url: String,
    /// `password`: instead of the one in the URL.
    pub password: Option<String>,
    /// `ca`: trust these instead of the system's roots (a PEM file, read).
    pub ca: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
}

impl std::fmt::Debug for PostgresStore {
    /// Without the URL, which may hold a secret that was filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// `[traces]`: where in which trace a request is, and where its spans go.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Where spans go; `None` without `endpoint`: the context alone is passed on.
    pub collector: Option<Collector>,
    /// `service_name`. Default `"gateway"`.
    pub service: String,
    /// `attributes` of the resource.
    pub attributes: Vec<(String, String)>,
    /// `sample`: the share of the traces that begin here. Default 1.
    pub sample: f64,
    /// `errors`: whether failures are exported though they are not sampled. Default `"always"`.
    pub errors: bool,
    /// `slow`: exchanges that take as long are exported though they are not sampled.
    pub slow: Option<Duration>,
    /// `incoming`: what becomes of a caller's trace. Default [`Incoming::Continue`].
    pub incoming: Incoming,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            collector: None,
            service: "gateway".to_owned(),
            attributes: Vec::new(),
            sample: 1.0,
            errors: true,
            slow: None,
            incoming: Incoming::Continue,
        }
    }
}

/// What takes spans, over OTLP.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector {
    /// `endpoint`, with the path of spans over HTTP.
    pub endpoint: String,
    /// `protocol`. Default [`CollectorProtocol::Http`].
    pub protocol: CollectorProtocol,
    /// `compression`: whether with gzip. Default yes.
    pub is_compressed: bool,
    /// `headers`
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `ca`: trust these instead of the system's roots (a PEM file, read).
    pub ca: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
    /// `timeout`: for one batch. Default 10 s.
    pub timeout: Duration,
}

impl std::fmt::Debug for Collector {
    /// Without the fields, which may hold secrets that were filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorProtocol {
    /// `"http"`: Protobuf over HTTP/1.1.
    Http,
    /// `"grpc"`
    Grpc,
}

/// What becomes of the trace that a caller says it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// `"continue"`: it continues.
    Continue,
    /// `"restart"`: each request begins its own trace.
    Restart,
}

/// `[[listeners]]`: an address on which clients are served.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `name`, unique.
    pub name: String,
    /// `address`, as `ip:port`.
    pub address: SocketAddr,
    /// Where `address` is in the file, for a port that is in use.
    pub address_span: Span,
    /// `tls`, one table or several (the certificate is chosen by SNI, the first is the default).
    pub tls: Option<ListenerTls>,
    /// `trusted_proxies`: peers who say who the client is. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `forwarded_by`: the fields in which they say it; those of the other family are not read.
    pub forwarded_by: ForwardedFamily,
    /// `half_close`
    pub half_close: HalfClose,
    /// `path_parameters` and `encoded_slashes`
    pub paths: PathRules,
    /// `access_log`, instead of that of `[gateway]`.
    pub access_log: Option<AccessLog>,
    /// `limits`
    pub limits: ListenerLimits,
    /// `timeouts`
    pub timeouts: ListenerTimeouts,
}

/// TLS of a listener: its certificates, read and parsed, and what it asks of clients.
#[derive(Debug, Clone, Default)]
pub struct ListenerTls {
    /// In the order of the file; each chain fits its key.
    pub certificates: Vec<Arc<rustls::sign::CertifiedKey>>,
    /// `tls_min_version`
    pub min_version: TlsVersion,
    /// `client_certificates`. Default: clients are not asked for any.
    pub clients: Option<ClientCertificates>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// `"1.2"` (default): RFC 5246.
    #[default]
    Tls12,
    /// `"1.3"`: RFC 8446.
    Tls13,
}

/// `client_certificates` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `mode`: whether a client without a certificate is refused.
    pub required: bool,
    /// `ca`: who issues them; at least one.
    pub ca: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// `crl`: lists of those that were revoked. Each parses.
    pub crls: Vec<rustls::pki_types::CertificateRevocationListDer<'static>>,
}

/// `half_close` of a listener: what becomes of a request over HTTP/1.1 whose client sends no more and has no whole
/// answer yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// `"abort"` (default): the client has left, and its request is given up.
    #[default]
    Abort,
    /// `"answer"`: it waits for its answer (RFC 9112 section 9.6).
    Answer,
}

/// `forwarded_by` of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `"x-forwarded"` (default): `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    #[default]
    XForwarded,
    /// `"forwarded"`: `Forwarded` (RFC 7239).
    Forwarded,
}

/// `limits` of a listener.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// `header_count`: fields in a request head, at most. Default 100, 1 to 1,000.
    pub header_count: usize,
    /// `header_size`: bytes of a request head, at most. Default 32 KiB, at least 8 KiB.
    pub header_size: usize,
    /// `body_size`: bytes of a request body, at most. Default: no limit (bodies stream).
    pub body_size: Option<u64>,
    /// `body_rate`: bytes a second at which a client must send a request body, at least, on average
    /// and after `timeouts.body_grace`. Default: 240 for bodies that give their length.
    pub body_rate: Option<u64>,
    /// `concurrent_streams`: open HTTP/2 streams a connection. Default 100.
    pub concurrent_streams: u32,
    /// `connections`: open at once, at most. Default: three quarters of the files that the process
    /// may have open.
    pub connections: Option<usize>,
    /// `connections_per_address`: open at once from one address, at most. Default: no limit.
    pub connections_per_address: Option<usize>,
}

/// `timeouts` of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTimeouts {
    /// `header`: from the first byte of a request head to its last. Default 10 s.
    pub header: Duration,
    /// `idle`: between two bytes of a request or response body. Default 60 s.
    pub idle: Duration,
    /// `body_grace`: how long a client may take for a request body before `limits.body_rate` counts.
    /// Default 10 s.
    pub body_grace: Duration,
    /// `keep_alive`: how long a connection without a request stays open. Default 75 s.
    pub keep_alive: Duration,
    /// `request`: for the whole exchange. Default none, since it would end event streams.
    pub request: Option<Duration>,
}

/// `[upstreams.NAME]`: a service behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The table's name.
    pub name: String,
    /// `targets`, at least one; where names stand for several, those that are known by now.
    pub targets: Vec<Target>,
    /// `targets` as the file has them, where names stand for several; else none.
    pub written: Vec<Target>,
    /// `dns`
    pub dns: Dns,
    /// `protocol`
    pub protocol: UpstreamProtocol,
    /// `host`
    pub host: HostPolicy,
    /// `tls`
    pub tls: UpstreamTls,
    /// `timeouts`
    pub timeouts: UpstreamTimeouts,
    /// `keep_alive = { connections = 64, idle = "60s" }`: idle connections kept for each target
    /// and worker.
    pub idle_connections: usize,
    /// How long one of them is kept. Default 60 s.
    pub idle_timeout: Duration,
    /// `keep_alive.ping`: how long a connection may be silent until its target is asked whether it
    /// is there. Default 30 s.
    pub ping: Duration,
    /// `keep_alive.ping_timeout`: how long the answer may take. Default 10 s.
    pub ping_timeout: Duration,
    /// `keep_alive.max_age`: how old a connection becomes; zero is no bound. Default 0 s.
    pub max_age: Duration,
    /// `limits`
    pub limits: UpstreamLimits,
    /// `added_fields`
    pub added_fields: AddedFields,
    /// `buffer_request_bodies`: up to so many bytes of a request body without a length are read before it is sent, with
    /// its length. Default none.
    pub buffer_request_bodies: Option<u64>,
    /// `balance`
    pub balance: Balance,
    /// `hash_by`: what `"consistent_hash"` goes by. Default the client's address.
    pub hash_by: StickyKey,
    /// `slow_start`: how long a target that is new or back takes until it has its whole weight. Default 0.
    pub slow_start: Duration,
    /// `overprovisioning`, in hundredths: how much more than its share the targets of a priority can take.
    /// Default 140.
    pub overprovisioning: u32,
    /// `ejection`
    pub ejection: Ejection,
    /// `health`
    pub health: Option<HealthCheck>,
    /// `retry_budget`
    pub retry_budget: RetryBudget,
    /// `capacity`
    pub capacity: Option<Capacity>,
    /// `connections`
    pub connections: Option<ConnectionBound>,
    /// `grpc_web` is `translate`
    pub grpc_web: bool,
}

/// `capacity` of an upstream: how many requests it has at a time, on all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `requests` that are open, at most.
    pub requests: usize,
    /// `queue`: how many more may wait. Default 100.
    pub queue: usize,
    /// `queue_time`: for how long. Default 1 s.
    pub queue_time: Duration,
    /// `adaptive`: how the bound follows from how long responses take, up to `requests`.
    pub adaptive: Option<Adaptive>,
}

/// `adaptive` of a capacity: the bound follows from how long responses take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// `min`: the bound is never lower. Default 4.
    pub min: usize,
    /// `latency`: how long responses may take, in percent of what they take when there are few requests. Default 150.
    pub latency: u32,
    /// `interval`: how often the bound is set. Default 500 ms.
    pub interval: Duration,
    /// `remeasure`: how often only `min` requests are let through, to measure. Default 1 min.
    pub remeasure: Duration,
}

/// `connections` of an upstream: how many each of its targets has at a time, on all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionBound {
    /// `max`: connections that are open, at most.
    pub max: usize,
    /// `queue`: how many requests may wait for one. Default 100.
    pub queue: usize,
    /// `queue_time`: for how long. Default 1 s.
    pub queue_time: Duration,
}

/// `balance` of an upstream: how a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// `"round_robin"`: each in its turn, by weight.
    #[default]
    RoundRobin,
    /// `"least_requests"`: of two at random the one with fewer open requests for its weight.
    LeastRequests,
    /// `"peak_ewma"`: of two at random the one that answers sooner, by what it took and what is open.
    PeakEwma,
    /// `"consistent_hash"`: the one that a key belongs to.
    ConsistentHash,
}

/// `ejection` of an upstream: when a target gets no requests for a while, since requests failed at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// `consecutive_failures`: so many, one after the other. 0 is never. Default 5.
    pub consecutive_failures: u32,
    /// `time`: for how long the first time; the next time soon after for twice as long, and so on.
    /// Default 30 s.
    pub time: Duration,
    /// `max_time`: for how long at most. Default 5 min.
    pub max_time: Duration,
    /// `max_share`: in thousandths, how many of the targets at most for what they respond, but always one.
    /// Default 500.
    pub max_share: u32,
    /// `statuses` that are failures. Default 502, 503 and 504.
    pub statuses: Vec<u16>,
    /// `panic_threshold`: in thousandths of all weights; while fewer targets take requests, all get some.
    /// Default 0: only while none does.
    pub panic_threshold: u32,
    /// `outliers`
    pub outliers: Option<Outliers>,
}

/// `ejection.outliers` of an upstream: when a target is ejected for what it does worse than the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outliers {
    /// `interval` at which targets are compared. Default 10 s.
    pub interval: Duration,
    /// `min_requests` of a target in it, to be compared. Default 100.
    pub min_requests: u32,
    /// `min_targets` that have so many. Default 5.
    pub min_targets: u32,
    /// `success_rate`: in hundredths of the standard deviation. 0 is off. Default 190.
    pub success_rate: u32,
    /// `latency`: in hundredths of the median of the others. 0 is off. Default 0.
    pub latency: u32,
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            min_requests: 100,
            min_targets: 5,
            success_rate: 190,
            latency: 0,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
            max_share: 500,
            statuses: vec![502, 503, 504],
            panic_threshold: 0,
            outliers: None,
        }
    }
}

/// `health` of an upstream: how it is found out whether a target is there, without requests of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `kind`, `path` and `service`
    pub kind: CheckKind,
    /// `interval`: from the end of one check to the beginning of the next. Default 10 s.
    pub interval: Duration,
    /// `timeout` of a check. Default 2 s.
    pub timeout: Duration,
    /// `unhealthy`: so many checks that failed one after the other take a target out. Default 3.
    pub unhealthy: u32,
    /// `healthy`: so many that passed let it in again. Default 2.
    pub healthy: u32,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// `"http"`: `GET` of a path.
    Http {
        /// `path`
        path: http::uri::PathAndQuery,
        /// `statuses` that pass. Default: 200 to 299.
        statuses: Option<Vec<u16>>,
    },
    /// `"tcp"`: a connection.
    Tcp,
    /// `"grpc"`: `grpc.health.v1.Health/Check`.
    Grpc {
        /// `service`; empty for the whole server.
        service: String,
    },
}

/// `added_fields` of an upstream: what the gateway adds to the fields of each request. Default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedFields {
    /// `"x-forwarded"`: `X-Forwarded-For`, `-Proto`, `-Port` and `-Host`.
    pub x_forwarded: bool,
    /// `"forwarded"` (RFC 7239)
    pub forwarded: bool,
    /// `"via"` (RFC 9110 section 7.6.3)
    pub via: bool,
    /// `"x-request-id"`
    pub request_id: bool,
}

impl Default for AddedFields {
    fn default() -> Self {
        Self { x_forwarded: true, forwarded: true, via: true, request_id: true }
    }
}

/// `limits` of an upstream: what a response head may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// `header_count`: fields, at most. Default 1,000, 1 to 2,000.
    pub header_count: usize,
    /// `header_size`: bytes, at most. Default 64 KiB, 8 KiB to 1 MiB.
    pub header_size: usize,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self { header_count: 1000, header_size: 64 << 10 }
    }
}

/// One server of an upstream: a URL, or `{ url, weight }`. The URL has no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether the URL's scheme is `https`.
    pub tls: bool,
    /// Host name or IP address (IPv6 without brackets).
    pub host: String,
    /// Port; 80 or 443 where the URL has none.
    pub port: u16,
    /// `host:port` as a `Host` field would say it (default port left out, IPv6 in brackets).
    pub authority: String,
    /// Share of the requests, 1 to 1,000. Default 1.
    pub weight: u32,
    /// Those with the lowest number have the requests, as far as they can take them. Default 0.
    pub priority: u8,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a target comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// `url`
    #[default]
    Url,
    /// `srv`: its host is the name of records that name the targets.
    Srv,
    /// An address of a name.
    Address {
        /// It.
        address: IpAddr,
        /// The name with its port, as `Host` would say it.
        of: String,
    },
    /// A record of the type SRV.
    Service {
        /// The domain of the records.
        of: String,
    },
}

impl Target {
    /// Its address, where that is known without a look-up.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match &self.origin {
            Origin::Address { address, .. } => Some(*address),
            _ => self.host.parse().ok(),
        }
    }

    /// Whether its host is the name of records of the type SRV.
    pub(crate) fn is_srv(&self) -> bool {
        self.origin == Origin::Srv
    }

    /// Its host and port as a `Host` field says them.
    pub(crate) fn host_field(&self) -> &str {
        match &self.origin {
            Origin::Address { of, .. } => of,
            _ => &self.authority,
        }
    }

    /// The name in its certificate. What a record of the type SRV says is not to be trusted for it (RFC 6125 section
    /// 6.2.1): anybody on the way can say it.
    pub(crate) fn server_name(&self) -> &str {
        match &self.origin {
            Origin::Service { of } => of,
            Origin::Srv => {
                let labels = self.host.split_inclusive('.').take_while(|it| it.starts_with('_'));
                let domain = &self.host[labels.map(str::len).sum()..];
                if domain.is_empty() { &self.host } else { domain }
            }
            Origin::Url | Origin::Address { .. } => &self.host,
        }
    }
}

/// `dns` of an upstream: how the names of its targets become addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `resolver`
    pub resolver: Resolver,
    /// `servers`: whom to ask; none: whom the system asks.
    pub servers: Vec<SocketAddr>,
    /// `addresses` is `all`: each address is a target.
    pub is_each: bool,
    /// `interval`: how often the system is asked. Default 30 s.
    pub interval: Duration,
    /// `min_ttl`: for how long an answer holds at least. Default 1 s.
    pub min_ttl: Duration,
    /// `max_ttl`: and at most. Default 5 min.
    pub max_ttl: Duration,
    /// `negative_ttl`: how long it takes at most until a name is asked for again that was not found. Default 5 s.
    pub negative_ttl: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            resolver: Resolver::System,
            servers: Vec::new(),
            is_each: false,
            interval: Duration::from_secs(30),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(5),
        }
    }
}

/// `dns.resolver`: who looks names up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// `"system"`: the system, with its hosts file and its cache.
    System,
    /// `"dns"`: the gateway, by DNS.
    Dns,
}

/// `protocol` of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// `"auto"` (default): ALPN over TLS, HTTP/1.1 in clear.
    Auto,
    /// `"http1"`
    Http1,
    /// `"http2"`: over TLS by ALPN, in clear by prior knowledge.
    Http2,
}

/// `host` of an upstream: what its requests carry as `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// `"preserve"` (default): what the client sent.
    Preserve,
    /// `"target"`: the target's own host and port.
    Target,
}

/// `tls` of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `ca`: trust these instead of the system's roots (a PEM file, read).
    pub ca: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
    /// `server_name`: sent as SNI and verified, instead of the target's host.
    pub server_name: Option<String>,
    /// `certificate` and `key`: what is shown to a target that asks for a certificate.
    pub identity: Option<UpstreamIdentity>,
    /// `min_version`
    pub min_version: TlsVersion,
}

/// What the gateway shows to targets that ask for a certificate.
#[derive(Debug, Clone)]
pub struct UpstreamIdentity(pub Arc<rustls::sign::CertifiedKey>);

impl PartialEq for UpstreamIdentity {
    /// The key fits the certificate, so that it is the same where that is.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for UpstreamIdentity {}

/// `timeouts` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// `connect`: TCP and TLS. Default 5 s.
    pub connect: Duration,
    /// `first_byte`: from the last byte of the request to the response head. Default 60 s.
    pub first_byte: Duration,
    /// `idle`: between two bytes of the response. Default 5 min.
    pub idle: Duration,
    /// `request_body`: how long a request body that is read first may take to come whole. Default 5 min.
    pub request_body: Duration,
}

/// `[documents.NAME]`: a file or a remote text that plugins read.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// The table's name.
    pub name: String,
    /// Where it comes from.
    pub source: DocumentSource,
    /// `size`: bytes that it may have. Default 1 MiB.
    pub size: usize,
}

/// `[events.NAME]`: where events of plugins are sent.
#[derive(Clone, PartialEq, Eq)]
pub struct EventSink {
    /// The table's name.
    pub name: String,
    /// `upstream`, whole: a sink belongs to no worker.
    pub upstream: Upstream,
    /// `path`
    pub path: http::uri::PathAndQuery,
    /// `headers`
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `format`. Default a JSON array.
    pub format: EventFormat,
    /// `batch`: events of a request, at most. Default 500.
    pub batch: usize,
    /// `batch_size`: bytes of a request, about. Default 512 KiB.
    pub batch_size: usize,
    /// `interval`: how long an event waits for others. Default 1 s.
    pub interval: Duration,
    /// `queue`: bytes that wait, at most. Default 4 MiB.
    pub queue: usize,
    /// `timeout` of a request. Default 10 s.
    pub timeout: Duration,
}

/// How a batch of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// `"json"`: an array.
    Json,
    /// `"ndjson"`: a line for each.
    Ndjson,
}

impl std::fmt::Debug for EventSink {
    /// Without the header fields, which may hold secrets that were filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSink").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a document comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum DocumentSource {
    /// `file`, resolved against the configuration's folder; it exists.
    File(PathBuf),
    /// `upstream` and `path`
    Remote(Box<RemoteDocument>),
}

/// A document that is fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteDocument {
    /// `upstream`, whole: a document belongs to no worker.
    pub upstream: Upstream,
    /// `path`
    pub path: http::uri::PathAndQuery,
    /// `headers`
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `follow`
    pub follow: Option<Follow>,
    /// `refresh`. Default 5 min.
    pub refresh: Duration,
    /// `min_refresh`; not longer than `refresh`. Default 60 s.
    pub min_refresh: Duration,
    /// `timeout`. Default 5 s.
    pub timeout: Duration,
}

/// `follow` of a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Follow {
    /// `pointer`. Default `/jwks_uri`.
    pub pointer: String,
    /// `upstream`. Default: that of the document.
    pub upstream: Upstream,
    /// `issuer`
    pub issuer: Option<String>,
}

impl std::fmt::Debug for Document {
    /// Without the header fields, which may hold secrets that were filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A component that answers requests in place of an upstream: `[components.NAME]`, or `component`
/// of a route.
#[derive(Clone)]
pub struct HttpComponent {
    /// The table's name; the path as it is written where a route names the file; `ROUTE.component`
    /// for an inline table.
    pub name: String,
    /// `file`, resolved against the configuration's folder; it exists.
    pub file: PathBuf,
    /// Where `file` is in the configuration.
    pub file_span: Span,
    /// `environment`: the variables that it sees. Default none.
    pub environment: Vec<(String, String)>,
    /// `upstreams`: those that it may send requests to, with their names. Default none.
    pub upstreams: Arc<[(String, UpstreamId)]>,
    /// `limits.deadline`: computing time of one request. Default 1 s.
    pub deadline: Duration,
    /// `limits.memory`: linear memory of one instance, in bytes. Default 64 MiB.
    pub memory: usize,
    /// `limits.instances`: requests that it serves at a time, on each worker. Default 64.
    pub instances: usize,
    /// `limits.queue`: requests that may wait for their turn, on each worker and for each route.
    /// Default 1,024.
    pub queue: usize,
    /// `timeouts.first_byte`: from the last byte of the request to the response head. Default 60 s.
    pub first_byte: Duration,
    /// `timeouts.idle`: between two bytes of the response. Default 5 min.
    pub idle: Duration,
}

impl std::fmt::Debug for HttpComponent {
    /// Without `environment`, which may hold secrets that were filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpComponent")
            .field("name", &self.name)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// A plugin as configured: `[plugins.NAME]`, or a table in a route's `plugins`.
#[derive(Clone)]
pub struct Plugin {
    /// The table's name; for an inline one `ROUTE.plugins[INDEX]`.
    pub name: String,
    /// Whether it is a table in a route.
    pub is_inline: bool,
    /// `component`
    pub component: Component,
    /// `config`, as the JSON text that the plugin is given. `{}` where the file has none.
    pub config: String,
    /// Where each value of `config` is in the file, by RFC 6901 pointer ("" is the table).
    pub config_spans: BTreeMap<String, Span>,
    /// Where each of its keys is, by the pointer to its value.
    pub config_keys: BTreeMap<String, Span>,
    /// The pointers of the texts in `config` into which something was filled.
    pub config_filled: BTreeSet<String>,
    /// `component` as it is written.
    pub component_text: String,
    /// Where `component` is in the file.
    pub component_span: Span,
    /// Where the whole table is (its header or the inline table).
    pub span: Span,
    /// `on_error`
    pub on_error: OnError,
    /// `isolation`
    pub isolation: Isolation,
    /// `limits.deadline`: computing time of one hook. Default 20 ms.
    pub deadline: Duration,
    /// `limits.configure`: computing time of `configure`, with what starts the component. Default
    /// 500 ms.
    pub configure: Duration,
    /// `limits.memory`: linear memory of one instance, in bytes. Default 16 MiB.
    pub memory: usize,
    /// `limits.instances`: live instances a worker. Default 64.
    pub instances: usize,
    /// `limits.queue`: calls that may wait for their turn, on a worker and for a route. Default 1,024.
    pub queue: usize,
    /// `limits.limiter`: bytes of its rate limits' buckets. Default 64 MiB.
    pub limiter: usize,
    /// `limits.key_value`: bytes of its keys and values. Default 64 MiB.
    pub key_value: usize,
    /// `limiter`: where its rate limits are kept.
    pub limiter_use: LimiterUse,
    /// `cache`: where it keeps responses. Default: the one named `default`.
    pub cache: Arc<Cache>,
    /// `key_value`: where its keys and values are kept; `None` is memory.
    pub key_value_store: Option<Arc<Store>>,
    /// `key_value.on_store_error`: what becomes of a call that the store does not answer. Never `Open`.
    pub on_key_value_error: OnStoreError,
    /// What else of `limits` bounds what it leaves in the gateway.
    pub bounds: PluginBounds,
    /// `grants`; `None` where the file has none (a first-party component then gets what it
    /// imports, any other gets nothing).
    pub grants: Option<Vec<Grant>>,
    /// Where the value of `grants` is in the file, if it has any.
    pub grants_span: Option<Span>,
    /// `only_if`: attributes that a request must have, with these values, to pass the plugin.
    pub only_if: Vec<Condition>,
    /// `secrets`: those that it may read; `None` where the file has none.
    pub secrets: Option<Vec<Secret>>,
    /// `documents`: those that it may read; `None` where the file has none.
    pub documents: Option<Vec<Arc<Document>>>,
    /// `events`: sinks that it may emit events to; `None` where the file has none.
    pub events: Option<Vec<Arc<EventSink>>>,
    /// `keys`: sets of API keys that it may look keys up in; `None` where the file has none.
    pub keys: Option<Vec<Arc<KeySet>>>,
    /// `upstreams`: those that it may send requests to, with their names; `None` where the file
    /// has none.
    pub upstreams: Option<Vec<(String, UpstreamId)>>,
    /// `forward_to`: those that it may forward a request to instead of the route's. Default none.
    pub forward_to: Vec<(String, UpstreamId)>,
}

/// An element of `only_if`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The attribute.
    pub attribute: String,
    /// The value that it must have. Not empty.
    pub value: String,
    /// Where the attribute is named in the file.
    pub name_span: Span,
    /// Where the value is in the file.
    pub value_span: Span,
}

/// `[keys.NAME]`: API keys that are managed while the gateway runs.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// The table's name.
    pub name: String,
    /// `store`: never one in memory.
    pub store: Arc<Store>,
    /// `prefix`: what keys that the gateway makes begin with. Default `gw`.
    pub prefix: String,
}

/// `[caches.NAME]`: responses that plugins keep.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The table's name.
    pub name: String,
    /// Where the name stands in the file.
    pub span: Span,
    /// `memory`: bytes of all that is kept. Default 256 MiB.
    pub memory: u64,
    /// `max_object`: bytes of the largest body. Default 8 MiB.
    pub max_object: u64,
    /// `partition`: bytes for each owner that a plugin names. Default: no bound.
    pub partition: Option<u64>,
    /// `abandoned`: whether a response is stored that nobody waits for any more. Default `stop`.
    pub finishes: bool,
    /// `folder`: where large bodies are kept. Default: in memory.
    pub folder: Option<CacheFolder>,
}

/// `folder` of a cache, and what goes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder {
    /// `folder`, resolved against the configuration's.
    pub path: PathBuf,
    /// `disk_size`: bytes of all bodies in it. Default 1 GiB.
    pub size: u64,
    /// `disk_from`: bytes of the smallest body that goes there. Default 64 KiB.
    pub from: u64,
}

/// `[stores.NAME]`: where the state of plugins is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The table's name.
    pub name: String,
    /// Where the name stands in the file.
    pub span: Span,
    /// Where the state is.
    pub kind: StoreKind,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// In the memory of the process.
    Memory,
    /// There too, and written to an SQLite file.
    File {
        /// `file`, resolved against the configuration's folder.
        path: PathBuf,
    },
    /// In Redis or Valkey.
    Redis(RedisStore),
}

/// A server of Redis or Valkey, or several.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisStore {
    /// Whether the URL says `rediss`.
    pub tls: bool,
    /// The hosts of the URL with their ports.
    pub hosts: Vec<(String, u16)>,
    /// The database of the URL.
    pub database: i64,
    /// `topology`
    pub topology: Topology,
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<String>,
    /// `ca`: trust these instead of the system's roots (a PEM file, read).
    pub ca: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
    /// `timeout`: how long a request waits at most. Default 50 ms.
    pub timeout: Duration,
    /// `instances`: gateways that share the store. Default 1.
    pub instances: u64,
    /// `prefix`: what all keys begin with. Default `gateway`.
    pub prefix: String,
}

impl std::fmt::Debug for RedisStore {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// What the URL of a Redis store names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// Sentinels.
    Sentinel {
        /// `master`: under which name they know the server.
        master: String,
    },
    /// Nodes of a cluster.
    Cluster,
}

/// `limiter` of a plugin: where its rate limits are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimiterUse {
    /// `store`; `None` is memory.
    pub store: Option<Arc<Store>>,
    /// `on_store_error`: what becomes of a check that the store does not answer.
    pub on_store_error: OnStoreError,
    /// `lease`: permits that are taken at once; 0 for none.
    pub lease: u64,
}

impl LimiterUse {
    /// The Redis store, if it is one.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisStore> {
        self.store.as_ref()?.redis()
    }
}

impl Store {
    /// The server, if it is one.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisStore> {
        match &self.kind {
            StoreKind::Redis(redis) => Some(redis),
            StoreKind::Memory | StoreKind::File { .. } => None,
        }
    }
}

/// What becomes of a check that the store does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStoreError {
    /// `"local"` (default): this gateway counts its share in memory.
    #[default]
    Local,
    /// `"open"`: the check is passed.
    Open,
    /// `"closed"`: the plugin hears `unavailable`.
    Closed,
}

/// `limits` of a plugin on what it leaves in the gateway outside of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginBounds {
    /// `exchange`: bytes that it keeps with one exchange: context, attributes and the fields that
    /// it notes for the response. Default 1 MiB.
    pub exchange: usize,
    /// `exchanges`: bytes that it keeps with all of its exchanges, on all workers. Default 64 MiB.
    pub exchanges: usize,
    /// `buffered`: bytes of bodies that are held for it, on all workers. Default 128 MiB.
    pub buffered: usize,
    /// `buffer_time`: how long a body may take to come whole. Default 5 min.
    pub buffer_time: Duration,
    /// `reuse`: bytes of the changes that are made again, on each worker. Default 16 MiB.
    pub reuse: usize,
    /// `metrics`: bytes of its series. Default 8 MiB.
    pub metrics: usize,
    /// `log_lines`: lines of the log a second, on all workers. Default 1,000.
    pub log_lines: u64,
    /// `log_bytes`: bytes of them. Default 1 MiB.
    pub log_bytes: usize,
}

impl Default for PluginBounds {
    /// What a file has that says nothing.
    fn default() -> Self {
        Self {
            exchange: 1 << 20,
            exchanges: 64 << 20,
            buffered: 128 << 20,
            buffer_time: Duration::from_secs(300),
            reuse: 16 << 20,
            metrics: 8 << 20,
            log_lines: 1_000,
            log_bytes: 1 << 20,
        }
    }
}

/// What is not certain of a plugin's table in a file that is refused, so that errors that only follow from
/// a reported error are not reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Whether a key besides `config` is wrong.
    pub table: bool,
    /// Whether something that it reads from elsewhere, such as a secret, cannot be had.
    pub surroundings: bool,
    /// The pointers of values in `config` that are not known.
    pub values: BTreeSet<String>,
}

/// A secret that a plugin may read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name under `[secrets]`.
    pub name: String,
    /// What was filled in.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    /// Without the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Plugin {
    /// Without `config`, which may hold secrets that were filled in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

/// Where something is in the configuration text: byte offsets, end exclusive.
pub type Span = std::ops::Range<usize>;

/// What a plugin is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// A name without `/` or `.wasm`: a first-party component inside the binary.
    BuiltIn(String),
    /// A file, resolved against the configuration's folder; it exists.
    File(PathBuf),
}

/// What happens to a request whose plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// `"closed"` (default): the request is refused.
    Closed,
    /// `"open"`: the request continues as if the plugin were not in the chain.
    Open,
}

/// How long an instance lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// `"pooled"` (default): an instance serves one hook after another.
    Pooled,
    /// `"fresh"`: each hook call begins on a new instance.
    Fresh,
}

/// A host interface that must be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// `"attempts"`: a request once more, in place of the response that came.
    Attempts,
    /// `"cache"`: responses that are kept and served again.
    Cache,
    /// Documents: by `documents`, which names them.
    Documents,
    /// Sinks of events: by `events`, which names them.
    Events,
    /// Requests to upstreams: by `upstreams`, which names them.
    HttpClient,
    /// API keys: by `keys`, which names sets of them.
    Keys,
    /// `"key-value"`
    KeyValue,
    /// `"limiter"`
    Limiter,
    /// `"metrics"`
    Metrics,
    /// `"password"`: verification of password hashes, which takes a while and runs elsewhere.
    Password,
    /// Secrets: by `secrets`, which names them.
    Secrets,
    /// `"signature"`
    Signature,
    /// `"slots"`
    Slots,
    /// `"usage"`: numbers of its own beside those that the gateway records.
    Usage,
}

/// `[[routes]]`: which requests, through which plugins, to what.
#[derive(Debug, Clone)]
pub struct Route {
    /// `name`, unique.
    pub name: String,
    /// `listeners`: where it is served; all listeners where the file has none.
    pub listeners: Vec<ListenerId>,
    /// Which requests.
    pub matcher: RouteMatcher,
    /// Where each of the matcher's `paths` is in the file, in the same order.
    pub path_spans: Vec<Span>,
    /// The file and the line of each of them, as people write it: `gateway.toml:17`.
    pub path_lines: Vec<String>,
    /// `plugins`, first to last.
    pub plugins: Vec<PluginId>,
    /// Where each of them is in the route, in the same order.
    pub plugin_spans: Vec<Span>,
    /// `upstream`, `split`, `component`, `respond` or `redirect`.
    pub action: Action,
    /// `rewrite`
    pub rewrite: Rewrite,
    /// `limits.body_size`, instead of the listener's.
    pub body_size: Option<u64>,
    /// `timeouts.request`, instead of the listener's.
    pub request_timeout: Option<Duration>,
    /// `access_log`, instead of the listener's.
    pub access_log: Option<AccessLog>,
    /// `errors`: the form of refusals. Default [`ErrorForm::Auto`].
    pub errors: ErrorForm,
    /// `retries`
    pub retries: Option<Retries>,
    /// `mirror`
    pub mirror: Option<Mirror>,
    /// Where the route's table is in the file, for messages.
    pub span: Span,
}

/// The form in which a route's clients receive refusals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `"auto"`: by the request. gRPC gets a status of gRPC, MCP and JSON-RPC an error of JSON-RPC,
    /// everybody else a problem document.
    #[default]
    Auto,
    /// `"problem"`: a problem document (RFC 9457) for every request.
    Problem,
    /// `"openai"`: an error of OpenAI's API.
    OpenAi,
    /// `"anthropic"`: an error of Anthropic's API.
    Anthropic,
    /// `"google"`: an error of Google's APIs, Gemini's among them.
    Google,
    /// `"ollama"`: an error of Ollama's API.
    Ollama,
    /// `"json-rpc"`: an error of JSON-RPC 2.0.
    JsonRpc,
}

/// The predicates of a route; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteMatcher {
    /// `hosts`: lower case, without port; empty means any.
    pub hosts: Vec<HostPattern>,
    /// `paths`, at least one.
    pub paths: Vec<PathPattern>,
    /// `methods`: empty means any.
    pub methods: Vec<Method>,
    /// `headers`: each must be there with this value.
    pub headers: Vec<(HeaderName, ValuePattern)>,
    /// `query`: each parameter must be there with this value (percent-decoded).
    pub query: Vec<(String, ValuePattern)>,
}

/// `"api.example.com"` or `"*.example.org"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// One or more labels before this suffix, which is kept without `*.`.
    Suffix(String),
}

/// A path pattern, parsed: `/orders/{id}`, `/files/{*rest}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// As in the file.
    pub text: String,
    /// Its segments, first to last. `/` is one empty literal; `/a/` ends in an empty literal.
    pub segments: Vec<Segment>,
}

/// A segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, in normalised form.
    Literal(String),
    /// `{name}:verb`: one segment that ends with this text, behind something and a colon. Name and verb.
    Verb(String, String),
    /// `{name}`: one segment that is not empty.
    Param(String),
    /// `{*name}`: the rest of the path, empty too; only as the last segment.
    Rest(String),
}

/// What a header or a query parameter must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValuePattern {
    /// `"*"`: present, with any value.
    Present,
    /// This value, to the letter.
    Exact(String),
}

/// What a route does with a request that came through its plugins.
#[derive(Debug, Clone)]
pub enum Action {
    /// `upstream = "NAME"`
    Forward(UpstreamId),
    /// `split = { variants, by, salt }`
    Split(Box<Split>),
    /// `component = "NAME"`, or the path of a file, or a table.
    Component(ComponentId),
    /// `respond = { status, headers, body }`
    Respond(FixedResponse),
    /// `redirect = { to, status }`
    Redirect(Redirect),
}

/// An answer that is in the configuration.
#[derive(Debug, Clone)]
pub struct FixedResponse {
    /// `status`. Default 200.
    pub status: StatusCode,
    /// `headers`; `content-type` is `text/plain; charset=utf-8` where the file has none and
    /// there is a body.
    pub headers: HeaderMap,
    /// `body`. Default empty.
    pub body: Bytes,
}

/// `redirect = { to = "https://{host}/new/{rest}", status = 308 }`
#[derive(Debug, Clone)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308 (default).
    pub status: StatusCode,
    /// `to`: text and placeholders: `{host}` without port, `{authority}` with it, `{path}`,
    /// `{query}` (with its `?`, or empty) and the captures of every pattern in the route's `paths`.
    pub location: Template,
}

/// Text with `{placeholders}`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// First to last.
    pub parts: Vec<TemplatePart>,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(String),
    /// The value of this name.
    Value(String),
}

/// `rewrite = { strip_prefix, add_prefix, path, host }`: how the upstream sees the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// `strip_prefix = "/api"`: taken from the front of the path at a segment border.
    pub strip_prefix: Option<String>,
    /// `add_prefix = "/v1"`: then put in front.
    pub add_prefix: Option<String>,
    /// `path = "/items/{id}"`: instead of both, a new path from the captures.
    pub path: Option<Template>,
    /// `host`: sent as `Host`, instead of the upstream's `host`.
    pub host: Option<String>,
}
