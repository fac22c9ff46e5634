//! What belongs to the whole process: `[gateway]`, `[admin]`, `[recorder]`, `[usage]` and `[traces]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::{AccessLog, ListenerTls, Span, TokenDigest};

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
