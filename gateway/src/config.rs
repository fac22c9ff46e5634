//! The configuration, checked and ready to run.
//!
//! Owns the types that the rest of the gateway reads. A value of [`Config`] is proof that every
//! name in it resolves and every pattern parses: nothing downstream checks again. The serde-free
//! reading of TOML lives in the modules below and never leaves them; what leaves them is [`load`],
//! [`schema`] and the [`Diagnostics`] that later stages add to.
//!
//! Over 400 lines, nearly all of them the documentation of the types, which is read as a whole.

mod admin;
mod certificates;
mod component;
mod diagnostic;
mod fault;
mod fill;
mod keys;
mod listener;
mod load;
mod names;
mod plugin;
mod process;
mod reader;
mod route;
mod schema;
mod secrets;
mod source;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod units;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use ipnet::IpNet;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{Known, Loaded, load, load_with, read};
pub use schema::schema;
pub use source::{Position, Source};
pub(crate) use suggest::closest;

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
#[derive(Debug)]
pub struct Config {
    /// Settings of the process: `[gateway]`.
    pub process: Process,
    /// `[admin]`; `None` where the file has none, and nothing is served.
    pub admin: Option<Admin>,
    /// `[[listeners]]`, in the order of the file.
    pub listeners: Vec<Listener>,
    /// `[upstreams.NAME]`, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// `[components.NAME]` in the order of the file, then those that routes name by their file or
    /// write inline.
    pub components: Vec<HttpComponent>,
    /// `[plugins.NAME]` in the order of the file, then those written inline in routes.
    pub plugins: Vec<Plugin>,
    /// `[[routes]]`, in the order of the file.
    pub routes: Vec<Route>,
}

/// `[gateway]`: settings of the whole process.
#[derive(Debug, Clone)]
pub struct Process {
    /// `workers`: worker threads. Default: the cores that the process may use.
    pub workers: usize,
    /// `via`: the pseudonym in `Via` (RFC 9110 section 7.6.3). Default `"gateway"`.
    pub via: String,
    /// `shutdown_grace`: how long open exchanges may go on after SIGTERM. Default 30 s.
    pub shutdown_grace: Duration,
    /// `access_log`: which finished requests are logged. Default [`AccessLog::Errors`].
    pub access_log: AccessLog,
    /// `cache_dir`: where compiled components are kept, resolved against the configuration's
    /// folder. Default: the user's cache folder.
    pub cache_dir: Option<PathBuf>,
}

/// `[admin]`: metrics and health of the gateway.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `address`, as `ip:port`.
    pub address: SocketAddr,
    /// Where `address` stands in the file, for a port that is in use.
    pub address_span: Span,
}

/// Which finished requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// `"off"`
    Off,
    /// `"errors"`: only answers that the gateway made because something failed.
    Errors,
    /// `"all"`
    All,
}

/// `[[listeners]]`: an address on which clients are served.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `name`, unique.
    pub name: String,
    /// `address`, as `ip:port`.
    pub address: SocketAddr,
    /// Where `address` stands in the file, for a port that is in use.
    pub address_span: Span,
    /// `tls`, one table or several (the certificate is chosen by SNI, the first is the default).
    pub tls: Option<ListenerTls>,
    /// `trusted_proxies`: peers whose `X-Forwarded-*` and `Forwarded` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `limits`
    pub limits: ListenerLimits,
    /// `timeouts`
    pub timeouts: ListenerTimeouts,
}

/// Certificates of a listener, read and parsed.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// In the order of the file; each chain fits its key.
    pub certificates: Vec<Arc<rustls::sign::CertifiedKey>>,
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
    /// `concurrent_streams`: open HTTP/2 streams a connection. Default 100.
    pub concurrent_streams: u32,
}

/// `timeouts` of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTimeouts {
    /// `header`: from the first byte of a request head to its last. Default 10 s.
    pub header: Duration,
    /// `idle`: between two bytes of a request or response body. Default 60 s.
    pub idle: Duration,
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
    /// `targets`, at least one.
    pub targets: Vec<Target>,
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
}

/// `timeouts` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// `connect`: TCP and TLS. Default 5 s.
    pub connect: Duration,
    /// `first_byte`: from the last byte of the request to the response head. Default 60 s.
    pub first_byte: Duration,
    /// `idle`: between two bytes of the response. Default 5 min.
    pub idle: Duration,
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
    /// Where `file` stands in the configuration.
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
    /// `component`
    pub component: Component,
    /// `config`, as the JSON text that the plugin is given. `{}` where the file has none.
    pub config: String,
    /// Where each value of `config` stands in the file, by RFC 6901 pointer ("" is the table).
    pub config_spans: BTreeMap<String, Span>,
    /// Where each of its keys stands, by the pointer to its value.
    pub config_keys: BTreeMap<String, Span>,
    /// The pointers of the texts in `config` into which something was filled.
    pub config_filled: BTreeSet<String>,
    /// `component` as it is written.
    pub component_text: String,
    /// Where `component` stands in the file.
    pub component_span: Span,
    /// Where the whole table stands (its header or the inline table).
    pub span: Span,
    /// `on_error`
    pub on_error: OnError,
    /// `isolation`
    pub isolation: Isolation,
    /// `limits.deadline`: computing time of one hook. Default 20 ms.
    pub deadline: Duration,
    /// `limits.memory`: linear memory of one instance, in bytes. Default 16 MiB.
    pub memory: usize,
    /// `limits.instances`: live instances a worker. Default 64.
    pub instances: usize,
    /// `grants`; `None` where the file has none (a first-party component then gets what it
    /// imports, any other gets nothing).
    pub grants: Option<Vec<Grant>>,
    /// Where the value of `grants` stands in the file, if it has any.
    pub grants_span: Option<Span>,
    /// `secrets`: those that it may read; `None` where the file has none.
    pub secrets: Option<Vec<Secret>>,
    /// `upstreams`: those that it may send requests to, with their names; `None` where the file
    /// has none.
    pub upstreams: Option<Vec<(String, UpstreamId)>>,
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

/// Where something stands in the configuration text: byte offsets, end exclusive.
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
    /// `"open"`: the request goes on as if the plugin were not in the chain.
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
    /// Requests to upstreams: by `upstreams`, which names them.
    HttpClient,
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
    /// Where each of the matcher's `paths` stands in the file, in the same order.
    pub path_spans: Vec<Span>,
    /// `plugins`, first to last.
    pub plugins: Vec<PluginId>,
    /// `upstream`, `component`, `respond` or `redirect`.
    pub action: Action,
    /// `rewrite`
    pub rewrite: Rewrite,
    /// `limits.body_size`, instead of the listener's.
    pub body_size: Option<u64>,
    /// `timeouts.request`, instead of the listener's.
    pub request_timeout: Option<Duration>,
    /// Where the route's table stands in the file, for messages.
    pub span: Span,
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
    /// `{name}`: one segment that is not empty.
    Param(String),
    /// `{*name}`: the rest of the path, empty too; only as the last segment.
    Rest(String),
}

/// What a header or a query parameter must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValuePattern {
    /// `"*"`: there, whatever its value.
    Present,
    /// This value, to the letter.
    Exact(String),
}

/// What a route does with a request that came through its plugins.
#[derive(Debug, Clone)]
pub enum Action {
    /// `upstream = "NAME"`
    Forward(UpstreamId),
    /// `component = "NAME"`, or the path of a file, or a table.
    Component(ComponentId),
    /// `respond = { status, headers, body }`
    Respond(FixedResponse),
    /// `redirect = { to, status }`
    Redirect(Redirect),
}

/// An answer that stands in the configuration.
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
    /// `to`: text and placeholders: `{host}`, `{path}`, `{query}` (with its `?`, or empty) and
    /// the captures of every pattern in the route's `paths`.
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
    /// `host`: sent as `Host`, whatever the upstream's `host` says.
    pub host: Option<String>,
}
