//! `gateway:plugin/http-client`: requests to upstreams, for which the hook waits.
//!
//! Owns the rules on what a plugin may send, to whom, and how often. Sending is the worker's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::functions::Functions;
use super::{Context, HostState};
use crate::heads::{self, Calls, MadeCall};
use crate::memory_quota::Reservation;
use crate::path::raw;
use crate::plugin::bindings::{Field, HttpError, HttpRequest, HttpResponse};
use crate::plugin::edits::{Edit, Edits};
use crate::plugin::outbound::{Call, Caller, Unanswered};
use crate::state::volume::Speaker;
use crate::telemetry::metrics::CallResult;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri};
use opentelemetry::SpanId;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tokio::sync::oneshot;

/// Requests of one hook.
const MAX_CALLS: u32 = 16;
/// How long a request may take, unless the plugin says otherwise, and at most.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a response's body, unless the plugin says otherwise, and at most.
const LIMIT: u64 = 1 << 20;
const MAX_LIMIT: u64 = 16 << 20;
/// Fields of a request, and bytes of its target.
const MAX_FIELDS: usize = 100;
const MAX_TARGET: usize = 64 << 10;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What an instance may send.
#[derive(Default)]
pub(crate) struct Outbound {
    /// The worker's; none for an instance that serves no exchange.
    caller: Option<Caller>,
    /// Whether the hook that runs can wait.
    can_wait: bool,
    /// Requests of the hook that runs.
    calls: u32,
}

impl Outbound {
    /// The instance belongs to a worker.
    pub(crate) fn belongs_to(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// Before a hook of a plugin that may wait: its requests are counted from zero.
    pub(crate) fn begin(&mut self, can_wait: bool) {
        self.can_wait = can_wait;
        self.calls = 0;
    }
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap_async("send", |mut store: Context<'_>, (request,): (HttpRequest,)| {
        Box::new(async move {
            let upstream = request.upstream.clone();
            let sent = match store.data_mut().prepare(request) {
                Ok((caller, mut call, answer)) => {
                    let traced = store.data().traced(&mut call.request);
                    store.data_mut().budget.pause();
                    // A worker that is about to end takes no more requests.
                    let answered = match caller.send(call) {
                        Ok(()) => answer.await.ok(),
                        Err(_) => None,
                    };
                    // The epoch went on while the hook waited, and waiting is not computing.
                    let look = store.data_mut().budget.resume();
                    store.set_epoch_deadline(look);
                    let read = match answered {
                        Some(answered) => store.data().read(&upstream, answered),
                        None => Err(HttpError::Protocol),
                    };
                    if let Some(traced) = traced {
                        traced.note(&upstream, &read);
                    }
                    read
                }
                Err(refused) => Err(refused),
            };
            store.data().identity.metrics.called(result(&sent));
            Ok((sent,))
        })
    })?;
    link_is_granted(linker)
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "send",
        |_: Context<'_>,
         (_,): (HttpRequest,)|
         -> wasmtime::Result<(Result<HttpResponse, HttpError>,)> {
            wasmtime::bail!(
                "it called `http-client.send`, although its interest says `never-waits`"
            )
        },
    )?;
    link_is_granted(linker)
}

fn link_is_granted(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("is-granted", |store: Context<'_>, (upstream,): (String,)| {
        let granted = &store.data().identity.upstreams;
        Ok((granted.iter().any(|(name, _)| *name == upstream),))
    })
}

/// As it is counted.
fn result(sent: &Result<HttpResponse, HttpError>) -> CallResult {
    match sent {
        Ok(_) => CallResult::Response,
        Err(HttpError::Connect) => CallResult::Connect,
        Err(HttpError::Timeout) => CallResult::Timeout,
        Err(HttpError::TooLarge) => CallResult::TooLarge,
        Err(HttpError::Protocol) => CallResult::Protocol,
        Err(
            HttpError::NotGranted | HttpError::NotHere | HttpError::TooMany | HttpError::Invalid(_),
        ) => CallResult::Refused,
    }
}

/// A call that is under way, for the trace of the exchange.
struct Traced {
    calls: Arc<Calls>,
    span: SpanId,
    plugin: Arc<str>,
    method: Method,
    path: String,
    began: Instant,
}

impl Traced {
    fn note(self, upstream: &str, read: &Result<HttpResponse, HttpError>) {
        let Self { calls, span, plugin, method, path, began } = self;
        let result = match read {
            Ok(response) => Ok(response.status),
            Err(HttpError::Connect) => Err("connect"),
            Err(HttpError::Timeout) => Err("timeout"),
            Err(HttpError::TooLarge) => Err("too-large"),
            Err(_) => Err("protocol"),
        };
        let (upstream, over) = (upstream.to_owned(), Instant::now());
        calls.note(MadeCall { span, plugin, upstream, method, path, began, over, result });
    }
}

type Answered = Result<Response<Bytes>, Unanswered>;
type Prepared = (Caller, Call, oneshot::Receiver<Answered>);

impl HostState {
    /// A request that may be sent, and where its answer will come.
    fn prepare(&mut self, request: HttpRequest) -> Result<Prepared, HttpError> {
        let granted = self.identity.upstreams.iter().find(|(name, _)| *name == request.upstream);
        let (_, upstream) = granted.ok_or(HttpError::NotGranted)?;
        let upstream = *upstream;
        let caller = self.outbound.caller.clone().filter(|_| self.outbound.can_wait);
        let caller = caller.ok_or(HttpError::NotHere)?;
        self.outbound.calls = self.outbound.calls.saturating_add(1);
        if self.outbound.calls > MAX_CALLS {
            if self.outbound.calls == MAX_CALLS + 1 && self.may_tell() {
                tracing::warn!(plugin = %self.identity.name, request_id = self.request_id(),
                    "the plugin wants to send more than {MAX_CALLS} requests in one hook");
            }
            return Err(HttpError::TooMany);
        }
        let timeout = request.timeout.map_or(TIMEOUT, Duration::from_nanos).min(MAX_TIMEOUT);
        let limit = request.response_limit.unwrap_or(LIMIT).min(MAX_LIMIT);
        // No more than the instance could take.
        let limit = limit.min(self.memory.limit() as u64);
        let mut request = message(request).inspect_err(|error| {
            if let HttpError::Invalid(why) = error
                && self.may_tell()
            {
                tracing::warn!(plugin = %self.identity.name, request_id = self.request_id(),
                    fault = "plugin", "the plugin's own request is refused: {why}");
            }
        })?;
        if let Some(heads) = &self.heads
            && !request.headers().contains_key(REQUEST_ID)
        {
            request.headers_mut().insert(REQUEST_ID, heads.facts.request_id.clone());
        }
        let (sender, answer) = oneshot::channel();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let identity = &self.identity;
        let reservation = Reservation::new(&identity.stores.bodies, &identity.state.bodies);
        let call = Call { upstream, request, timeout, limit, reservation, answer: sender };
        Ok((caller, call, answer))
    }

    /// Announces the span of a call, where the exchange has a trace.
    fn traced(&self, request: &mut Request<Bytes>) -> Option<Traced> {
        let calls = Arc::clone(self.heads.as_ref()?.facts.calls.as_ref()?);
        let span = RandomIdGenerator::default().new_span_id();
        calls.announce(span, request.headers_mut());
        let plugin = self.identity.name.as_ref().into();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        Some(Traced { calls, span, plugin, method, path, began: Instant::now() })
    }

    /// Says once that the upstream gives the plugin no answer: each request would say it again.
    fn fails(&self, upstream: &str, why: &str) {
        let was_failing = self.is_failing(upstream).is_some_and(|it| it.swap(true, Relaxed));
        if was_failing {
            tracing::debug!(plugin = %self.identity.name, request_id = self.request_id(),
                upstream, fault = "upstream", "the plugin's request has no response: {why}");
        } else if self.may_tell() {
            tracing::warn!(plugin = %self.identity.name, request_id = self.request_id(),
                upstream, fault = "upstream", "the plugin's request has no response: {why}");
        }
    }

    /// Says that it is over.
    #[inline]
    fn answers(&self, upstream: &str) {
        let Some(is_failing) = self.is_failing(upstream) else { return };
        if is_failing.load(Relaxed) && is_failing.swap(false, Relaxed) && self.may_tell() {
            tracing::info!(plugin = %self.identity.name, upstream, "the plugin's requests are answered again");
        }
    }

    fn is_failing(&self, upstream: &str) -> Option<&AtomicBool> {
        let index = self.identity.upstreams.iter().position(|(name, _)| name == upstream)?;
        self.identity.are_failing.get(index)
    }

    /// Whether there may be a line about what the plugin sends.
    fn may_tell(&self) -> bool {
        self.identity.stores.volume.admits(Speaker::Gateway, 256)
    }

    /// The answer as the plugin is told; what went wrong behind the gateway is for the log.
    fn read(&self, upstream: &str, answered: Answered) -> Result<HttpResponse, HttpError> {
        match &answered {
            Err(error) => self.fails(upstream, &error.to_string()),
            Ok(response) if response.status().is_server_error() => {
                self.fails(upstream, &format!("it answered {}", response.status().as_u16()));
            }
            Ok(_) => self.answers(upstream),
        }
        let response = answered.map_err(|error| match error {
            Unanswered::Connect(_) => HttpError::Connect,
            Unanswered::Timeout(_) => HttpError::Timeout,
            Unanswered::TooLarge(_) => HttpError::TooLarge,
            Unanswered::Protocol(_) | Unanswered::NoRoom(_) => HttpError::Protocol,
        })?;
        let (head, body) = response.into_parts();
        let field = |(name, value): (&HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        let fields = head.headers.iter().map(field).collect();
        Ok(HttpResponse { status: head.status.as_u16(), fields, body: body.into() })
    }
}

/// The request as it will be sent.
fn message(request: HttpRequest) -> Result<Request<Bytes>, HttpError> {
    let HttpRequest { method, target, fields, body, .. } = request;
    let invalid = |why: String| HttpError::Invalid(why);
    let shown = |text: &str| text.chars().take(64).collect::<String>();
    let method = Method::from_bytes(method.as_bytes())
        .ok()
        .filter(|method| method != Method::CONNECT)
        .ok_or_else(|| invalid(format!("{:?} is not a method for an upstream", shown(&method))))?;
    let is_target = target.starts_with('/') && !target.contains('#') && target.len() <= MAX_TARGET;
    // Escaped as the targets of clients are.
    let escaped = raw::escape(target.as_bytes(), 0, false);
    let uri = Uri::try_from(escaped).ok().filter(|uri| is_target && uri.authority().is_none());
    let uri =
        uri.ok_or_else(|| invalid(format!("{:?} is not a path and a query", shown(&target))))?;
    heads::normal_path(uri.path()).map_err(invalid)?;
    if fields.len() > MAX_FIELDS {
        return Err(invalid(format!("it has more than {MAX_FIELDS} fields")));
    }
    let fields = fields.into_iter().map(|(name, value)| Field { name, value }).collect();
    let lines = Edits::lines(fields).map_err(|breach| invalid(breach.to_string()))?;
    let mut headers = HeaderMap::with_capacity(lines.len() + 2);
    for line in lines {
        if let Edit::Append(name, value) = line {
            if name == HOST {
                if headers.contains_key(HOST) {
                    return Err(invalid("its field `host` is there twice".to_owned()));
                }
                heads::check_host_value(&value).map_err(invalid)?;
            }
            headers.append(name, value);
        }
    }
    // A method that expects a body says how long it is, also if there is none.
    if !body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(&method) {
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    let mut request = Request::new(Bytes::from(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, field: (&str, &str)) -> HttpRequest {
        HttpRequest {
            upstream: "u".to_owned(),
            method: method.to_owned(),
            target: target.to_owned(),
            fields: vec![(field.0.to_owned(), field.1.into())],
            body: Vec::new(),
            timeout: None,
            response_limit: None,
        }
    }

    #[test]
    fn refuses_what_would_be_another_request_than_it_seems() {
        for (method, target, field) in [
            ("GET /", "/", ("x", "y")),
            ("CONNECT", "/", ("x", "y")),
            ("GET", "http://elsewhere/", ("x", "y")),
            ("GET", "//elsewhere HTTP/1.1\r\nx: y", ("x", "y")),
            ("GET", "a", ("x", "y")),
            ("GET", "", ("x", "y")),
            ("GET", "/", ("x y", "z")),
            ("GET", "/", ("x", "a\r\nb: c")),
            ("GET", "/", ("content-length", "3")),
            ("GET", "/", ("Transfer-Encoding", "chunked")),
            ("GET", "/", ("connection", "x")),
            ("GET", "/", ("host", "a b")),
            ("GET", "/", ("host", "")),
            ("GET", "/", ("host", "user@a")),
            ("GET", "/", ("keep-alive", "5")),
            ("GET", "/a/../b", ("x", "y")),
            ("GET", "/a/%2e%2E/b", ("x", "y")),
            ("GET", "//a", ("x", "y")),
            ("GET", "/a//b", ("x", "y")),
            ("GET", "/a/.", ("x", "y")),
            ("GET", "/a%0d%0a", ("x", "y")),
        ] {
            let refused = message(request(method, target, field));
            assert!(matches!(refused, Err(HttpError::Invalid(_))), "{method} {target} {field:?}");
        }
        let sent = message(request("GET", "/é", ("x", "y"))).expect("it is valid");
        assert_eq!(sent.uri().path(), "/%C3%A9");
        let sent = message(request("POST", "/a?b=c", ("Host", "x"))).expect("it is valid");
        assert_eq!((sent.uri().path(), sent.uri().query()), ("/a", Some("b=c")));
        assert_eq!(sent.headers()[CONTENT_LENGTH], "0");
    }
}
