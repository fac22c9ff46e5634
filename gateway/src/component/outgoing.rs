//! Requests that a component sends by itself, on their way out of this room.
//!
//! Owns what a component may ask for, by `wasi:http/outgoing-handler`, and the answers. The
//! authority of such a request is the name of an upstream that the component was granted. A task of
//! the worker sends it, since connections are at home there. Both bodies stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use send_wrapper::SendWrapper;
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::output::Output;
use crate::body::{Body, BodyError};
use crate::config::UpstreamId;
use crate::upstream::UpstreamError;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Requests that the guest of one request may send.
const MAX_CALLS: u32 = 100;

/// Where a worker takes the requests of its components.
pub(crate) type Caller = mpsc::UnboundedSender<Call>;

/// A request of a component, checked.
pub(crate) struct Call {
    /// To which upstream.
    pub(crate) upstream: UpstreamId,
    /// With its path and query as the target, and without `host`.
    pub(crate) request: Request<Body>,
    /// How long the head of the response may take, if the component says so.
    pub(crate) first_byte: Option<Duration>,
    /// How long no byte of its body may come, if the component says so.
    pub(crate) idle: Option<Duration>,
    /// Where the answer goes. Dropped by a guest that does not wait any more.
    pub(crate) answer: oneshot::Sender<Result<Response<Body>, Unanswered>>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// No target gave one.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    /// The time that the component gave is over.
    #[error("no response within {0:?}, as the component asked")]
    Timeout(Duration),
}

/// What the guest of one request may send, and what it has sent.
pub(super) struct OutgoingRequests {
    /// `None` where the component was granted no upstream.
    caller: Option<SendWrapper<Caller>>,
    granted: Arc<[(String, UpstreamId)]>,
    output: Arc<Output>,
    sent: u32,
    has_refused: bool,
}

/// What the host hands to the guest, and what is behind it.
pub(super) type Sent = Result<(Response<WasiBody>, Closing), Error>;
pub(super) type Closing = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl OutgoingRequests {
    pub(super) fn new(
        caller: Option<Caller>,
        granted: Arc<[(String, UpstreamId)]>,
        output: Arc<Output>,
    ) -> Self {
        let caller = caller.map(SendWrapper::new);
        Self { caller, granted, output, sent: 0, has_refused: false }
    }

    /// Sends a request, or says why not.
    pub(super) fn send(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        match self.call(request, options.unwrap_or_default()) {
            Ok(answered) => {
                let output = Arc::clone(&self.output);
                // The task that polls this is the worker's own, and so is what it awaits.
                Box::new(OnThread(SendWrapper::new(Box::pin(answer(answered, output)))))
            }
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn call(
        &mut self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Answer, Error> {
        // Nothing that is upgraded or tunnelled comes back through a guest.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let (upstream, name) = match self.upstream(request.uri()) {
            Some(found) => found,
            None => {
                if !std::mem::replace(&mut self.has_refused, true) {
                    self.output.refused(request.uri());
                }
                return Err(Error::HttpRequestDenied);
            }
        };
        if self.sent == MAX_CALLS {
            self.output
                .warn(&format!("the component sent {MAX_CALLS} requests, and may send no more"));
        }
        self.sent = self.sent.saturating_add(1);
        let Some(caller) = self.caller.as_ref().filter(|_| self.sent <= MAX_CALLS) else {
            return Err(Error::ConnectionLimitReached);
        };
        let (answer, answered) = oneshot::channel();
        let call = Call {
            upstream,
            request: prepared(request, self.output.request_id()),
            first_byte: options.first_byte_timeout,
            idle: options.between_bytes_timeout,
            answer,
        };
        // A worker that has ended has no task any more; the answer is then never given.
        let _worker_ended = caller.send(call);
        Ok(Answer { answered, upstream: name })
    }

    /// The upstream that the authority names. Its configuration decides on TLS, and so
    /// is the port.
    fn upstream(&self, uri: &Uri) -> Option<(UpstreamId, String)> {
        let authority = uri.authority()?.as_str();
        let is_it = |(name, _): &&(String, UpstreamId)| name.eq_ignore_ascii_case(authority);
        self.granted.iter().find(is_it).map(|(name, id)| (*id, name.clone()))
    }
}

struct Answer {
    answered: oneshot::Receiver<Result<Response<Body>, Unanswered>>,
    upstream: String,
}

async fn answer(answer: Answer, output: Arc<Output>) -> Sent {
    let answered = match answer.answered.await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            output.warn(&format!(
                "its request to the upstream `{}` failed: {error}",
                answer.upstream
            ));
            return Err(code(&error));
        }
        Err(_) => return Err(Error::ConnectionTerminated),
    };
    let response = answered.map(|body| IncomingBody(SendWrapper::new(body)).boxed_unsync());
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

/// The error for the guest.
fn code(error: &Unanswered) -> Error {
    match error {
        Unanswered::Timeout(_) => Error::ConnectionReadTimeout,
        Unanswered::Upstream(error) => match error {
            UpstreamError::Connect { .. } => Error::ConnectionRefused,
            UpstreamError::FirstByteTimeout { .. } => Error::ConnectionReadTimeout,
            _ => Error::HttpProtocolError,
        },
    }
}

/// The request as an upstream gets it.
fn prepared(request: Request<WasiBody>, request_id: &str) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().cloned();
    head.uri = target.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    head.extensions.clear();
    for name in [HOST, EXPECT, TE] {
        head.headers.remove(name);
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        head.headers.entry(X_REQUEST_ID).or_insert(id);
    }
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::filtered(Box::pin(body.map_err(|error| BodyError::Broken(Box::new(error)))))
    };
    Request::from_parts(head, body)
}

/// A response body that stays on the worker's thread, no matter what the types of the host's functions
/// say.
struct IncomingBody(SendWrapper<Body>);

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut *self.0).poll_frame(context).map_err(|error| match error {
            BodyError::Stalled => Error::HttpResponseTimeout,
            _ => Error::HttpResponseIncomplete,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// The same for what is awaited.
struct OnThread<F>(SendWrapper<Pin<Box<F>>>);

impl<F: Future> Future for OnThread<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(context)
    }
}
