//! A request to the admin API, and what is answered.
//!
//! Owns the form of answers: JSON, text, files of the dashboard, events, and problem documents (RFC 9457) with
//! the id of the request.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::dashboard::{File, POLICY};
use super::live::Events;
use crate::body::Body;
use crate::config::suggest;

/// So many names of what there is are said.
const SHOWN: usize = 8;
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that may be answered.
#[derive(Debug)]
pub(super) struct Call {
    /// What the parameters of the path stand for, decoded.
    pub(super) path: Vec<String>,
    /// Raw.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) peer: SocketAddr,
    pub(super) id: String,
    /// Who asks, for the audit log.
    pub(super) who: &'static str,
}

/// What an endpoint answers.
pub(super) type Answer = Result<Reply, Refusal>;

/// A status and a body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content: Content,
}

/// A body.
#[derive(Debug)]
pub(super) enum Content {
    /// What may hold words of the configuration: what was filled in is taken out.
    Json(Value),
    /// As it is, with its media type.
    Text(&'static str, String),
    /// A file of the dashboard, with its entity tag. It is not sent to who has it.
    File { file: &'static File, tag: &'static str, is_known: bool },
    /// To this path.
    Redirect(&'static str),
    /// Server-sent events.
    Events(Events),
}

/// Why a request is not answered as it was asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    detail: String,
    /// For `Allow`.
    pub(super) allow: Option<String>,
    /// Further members of the document.
    more: Vec<(&'static str, Value)>,
}

impl Call {
    /// The parameters of the query, in order, decoded.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
    }

    /// The values of the parameters that an endpoint knows, in the order of `names`.
    ///
    /// # Errors
    /// 400 for one that it does not know, or that is there twice.
    pub(super) fn known<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<String>; N], Refusal> {
        let mut values = [const { None }; N];
        for (name, value) in self.parameters() {
            let Some(index) = names.iter().position(|known| *known == name) else {
                let known = match names.as_slice() {
                    [] => "this endpoint has no parameters".to_owned(),
                    _ => format!("there are `{}`", names.join("`, `")),
                };
                return Err(Refusal::bad(format!("there is no parameter `{name}`: {known}")));
            };
            if values[index].replace(value).is_some() {
                return Err(Refusal::bad(format!("the parameter `{name}` is there twice")));
            }
        }
        Ok(values)
    }

    /// A parameter that is `true` or `false`; false if it is not there.
    ///
    /// # Errors
    /// 400 for another value.
    pub(super) fn flag(name: &str, value: Option<&str>) -> Result<bool, Refusal> {
        match value {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::bad(format!("`{name}` is `true` or `false`"))),
        }
    }
}

/// `+` is a space, as forms write it.
fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Reply {
    pub(super) fn json(value: Value) -> Self {
        Self::of(Content::Json(value))
    }

    pub(super) fn text(kind: &'static str, text: impl Into<String>) -> Self {
        Self::of(Content::Text(kind, text.into()))
    }

    pub(super) fn redirect(place: &'static str) -> Self {
        Self::of(Content::Redirect(place)).with(StatusCode::FOUND)
    }

    pub(super) fn of(content: Content) -> Self {
        Self { status: StatusCode::OK, content }
    }

    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The response, with its bytes. Events go on until the time `until`, which they put off.
    pub(super) fn response(self, id: &str, until: &Rc<Cell<Instant>>) -> Response<Body> {
        match self.content {
            Content::Json(value) => response(self.status, JSON, format!("{value}\n"), id),
            Content::Text(kind, text) => response(self.status, kind, text, id),
            Content::File { file, tag, is_known } => page_file(file, tag, is_known, id),
            Content::Redirect(place) => {
                let mut response = response(self.status, "text/plain", String::new(), id);
                response.headers_mut().insert(LOCATION, HeaderValue::from_static(place));
                response
            }
            Content::Events(events) => {
                let mut response = response(self.status, "text/event-stream", String::new(), id);
                *response.body_mut() = events.body(Rc::clone(until));
                response
            }
        }
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), allow: None, more: Vec::new() }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404 for a name that nothing has, with what was meant, or with those that there are.
    pub(super) fn no_such<'a>(
        what: &str,
        given: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut known: Vec<_> = known.into_iter().collect();
        // Targets of one authority may stand there more than once.
        known.sort_unstable();
        known.dedup();
        let more = match (suggest::closest(given, known.iter().copied()), known.len()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, 0) => "there is none".to_owned(),
            (None, 1) => format!("there is `{}`", known[0]),
            (None, all) if all > SHOWN => {
                format!("there are `{}` and {} more", known[..SHOWN].join("`, `"), all - SHOWN)
            }
            (None, _) => format!("there are `{}`", known.join("`, `")),
        };
        Self::not_found(format!("there is no such {what}; {more}"))
    }

    /// 405, with the methods that there are.
    pub(super) fn no_such_method(allow: String) -> Self {
        let refusal =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this endpoint takes {allow}"));
        Self { allow: Some(allow), ..refusal }
    }

    /// Adds a member to the document.
    pub(super) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// The document.
    pub(super) fn document(&self, id: &str) -> Value {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "instance": id,
        });
        for (name, value) in &self.more {
            document[*name] = value.clone();
        }
        document
    }

    /// The response to a document that was made of it.
    pub(super) fn response(&self, document: &Value, id: &str) -> Response<Body> {
        let mut response = response(self.status, PROBLEM, document.to_string(), id);
        let headers = response.headers_mut();
        if let Some(Ok(allow)) = self.allow.as_deref().map(HeaderValue::try_from) {
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"gateway admin\"");
            headers.insert(WWW_AUTHENTICATE, bearer);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A file of the dashboard, with what a browser is to keep it to. It is asked for again each time, and sent
/// when it has changed.
fn page_file(file: &File, tag: &'static str, is_known: bool, id: &str) -> Response<Body> {
    let mut response = response(StatusCode::OK, file.kind, String::new(), id);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::full(Bytes::from_static(file.text.as_bytes()));
    }
    let fields = [
        (ETAG, tag),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
        (PERMISSIONS, "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn response(status: StatusCode, kind: &'static str, text: String, id: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::admin) fn call(query: &str) -> Call {
        Call {
            path: Vec::new(),
            query: query.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            id: "1".to_owned(),
            who: "loopback",
        }
    }

    #[test]
    fn parameters_are_known_and_there_once() {
        let read = |query: &str| call(query).known(["a", "b"]);
        let read = |query: &str| read(query).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(read("b=x+y%2F&"), Ok([None, Some("x y/".to_owned())]));
        assert_eq!(read("a=1&a=2"), Err(400));
        assert_eq!(read("c"), Err(400));
        assert!(call("a").known([]).is_err() && call("").known([]).is_ok());
    }
}
