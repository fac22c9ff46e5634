//! `[plugins.NAME]` and components that answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{
    Cache, Document, EventSink, OnStoreError, RedisStore, Span, Store, UpstreamId,
};

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
