//! Requests and responses that tests send, and what comes out of them.

use serde::de::DeserializeOwned;

use crate::testing::host::{RequestState, ResponseState};
use crate::wire::Field;

/// A request to send through a plugin: `GET /`, without fields and body, until said otherwise.
#[derive(Debug, Clone)]
pub struct RequestBuilder {
    pub(crate) head: RequestState,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) chunks: Vec<Vec<u8>>,
}

/// A request: `GET /` from `127.0.0.1`.
pub fn request() -> RequestBuilder {
    let head = RequestState {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        query: None,
        fields: Vec::new(),
    };
    let attributes = [
        ("client.address", "127.0.0.1"),
        ("client.port", "50000"),
        ("listener.name", "test"),
        ("request.host", "localhost"),
        ("request.id", "test-request"),
        ("request.scheme", "http"),
        ("route.name", "test"),
        ("route.pattern", "/{*rest}"),
    ];
    RequestBuilder {
        head,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        chunks: Vec::new(),
    }
}

impl RequestBuilder {
    /// The method. Default `GET`.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.head.method = method.into();
        self
    }

    /// The path, percent-encoded. Default `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.head.path = path.into();
        self
    }

    /// The query without its `?`. Default none.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.head.query = Some(query.into());
        self
    }

    /// One more field line.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.head.fields.push(field(name.as_ref(), value.into()));
        self
    }

    /// An attribute, reserved names too: what the gateway or an earlier plugin found out.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.attributes.retain(|(other, _)| *other != name);
        self.attributes.push((name, value.into()));
        self
    }

    /// The body, in one chunk. Default none; an empty one counts as none, so that no body hook
    /// sees it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.chunks = vec![body.into()];
        self
    }

    /// The body, in these chunks.
    pub fn chunks<C: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.chunks = chunks.into_iter().map(Into::into).collect();
        self
    }
}

/// A response of the upstream: 200, without fields and body, until said otherwise.
#[derive(Debug, Clone)]
pub struct ResponseBuilder {
    pub(crate) head: ResponseState,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) is_silent: bool,
    pub(crate) is_broken: bool,
}

/// A response of the upstream: 200.
pub fn response() -> ResponseBuilder {
    let head = ResponseState { status: 200, fields: Vec::new() };
    ResponseBuilder { head, chunks: Vec::new(), is_silent: false, is_broken: false }
}

impl ResponseBuilder {
    /// The status code. Default 200.
    pub fn status(mut self, status: u16) -> Self {
        self.head.status = status;
        self
    }

    /// One more field line.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.head.fields.push(field(name.as_ref(), value.into()));
        self
    }

    /// The body, in one chunk. Default none; an empty one counts as none, so that no body hook
    /// sees it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.chunks = vec![body.into()];
        self
    }

    /// The body, in these chunks.
    pub fn chunks<C: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.chunks = chunks.into_iter().map(Into::into).collect();
        self
    }

    /// Nothing more comes behind these chunks for as long as the plugin holds the response back; then it ends.
    pub fn falls_silent(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// It breaks off behind these chunks, with which the plugin has let it go.
    pub fn breaks_off(mut self) -> Self {
        self.is_broken = true;
        self
    }
}

fn field(name: &str, value: Vec<u8>) -> Field {
    Field { name: name.to_ascii_lowercase(), value }
}

/// A request as the plugin left it: what later plugins and the upstream would see.
#[derive(Debug, Clone, Default)]
pub struct SentRequest {
    pub(crate) head: RequestState,
    pub(crate) upstream: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl SentRequest {
    /// The method.
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// The query without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.head.query.as_deref()
    }

    /// The first line of a field, if it is UTF-8.
    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        first(&self.head.fields, name.as_ref())
    }

    /// The lines of a field that are UTF-8, in order.
    pub fn header_values(&self, name: impl AsRef<str>) -> Vec<&str> {
        texts(&self.head.fields, name.as_ref())
    }

    /// All fields.
    pub fn headers(&self) -> &[Field] {
        &self.head.fields
    }

    /// The upstream that the plugin chose instead of the route's.
    pub fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// An answer as the plugin left or made it: what the plugins before and the client would see.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub(crate) head: ResponseState,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first line of a field, if it is UTF-8.
    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        first(&self.head.fields, name.as_ref())
    }

    /// The lines of a field that are UTF-8, in order.
    pub fn header_values(&self, name: impl AsRef<str>) -> Vec<&str> {
        texts(&self.head.fields, name.as_ref())
    }

    /// All fields.
    pub fn headers(&self) -> &[Field] {
        &self.head.fields
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body, read as JSON.
    ///
    /// # Panics
    /// If it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).expect("the body is JSON of this type")
    }
}

fn first<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?.text()
}

fn texts<'a>(fields: &'a [Field], name: &str) -> Vec<&'a str> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    lines.filter_map(Field::text).collect()
}
