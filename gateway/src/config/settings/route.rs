//! `[[routes]]`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::config::{
    AccessLog, ComponentId, ListenerId, Mirror, PluginId, Retries, Span, Split, UpstreamId,
};

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
    /// `"cohere"`: an error of Cohere's API.
    Cohere,
    /// `"bedrock"`: an error of Amazon Bedrock's API.
    Bedrock,
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
