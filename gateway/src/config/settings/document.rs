//! `[documents.NAME]` and `[events.NAME]`: what is fetched and what is sent in the background.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::{Span, Upstream};

/// `[documents.NAME]`: a file or a remote text that plugins read.
#[derive(Clone)]
pub struct Document {
    /// The table's name.
    pub name: String,
    /// Where it comes from.
    pub source: DocumentSource,
    /// `size`: bytes that it may have. Default 1 MiB.
    pub size: usize,
    /// Where its `file` stands, or its name.
    pub span: Span,
    /// Its `file` as messages may show it.
    pub shown: String,
}

impl PartialEq for Document {
    /// Wherever they stand in a file, they are the same document.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.source, self.size) == (&other.name, &other.source, other.size)
    }
}

impl Eq for Document {}

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
    /// `file`, resolved against the configuration's folder.
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
