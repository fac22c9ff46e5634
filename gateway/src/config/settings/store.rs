//! `[stores.NAME]` and `[caches.NAME]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Span;

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
    /// `second_level`: where responses are kept that other gateways find too. Default: nowhere.
    pub second_level: Option<SecondLevel>,
}

/// `second_level` of a cache, and what goes there.
#[derive(Debug, Clone)]
pub struct SecondLevel {
    /// `second_level`: a Redis store.
    pub store: Arc<Store>,
    /// `second_level_max_object`: bytes of the largest body. Default 1 MiB.
    pub max_object: u64,
    /// `second_level_ttl`: how long something is kept there at most. Default a day.
    pub ttl: Duration,
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
