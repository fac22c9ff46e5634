//! A request over a stream, up to the head of its response.
//!
//! Owns that both directions move at the same time, and that a request of which the target has
//! processed nothing can be sent again: it keeps its head for that, and the beginning of its body.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::super::error::Excess;
use super::super::exchange::{Interim, MAX_INTERIMS};
use super::super::head;
use super::super::progress::{Resume, TrackedBody, Watch};
use super::body::Http2Body;
use super::connection::{Connection, Stream};
use crate::config::UpstreamLimits;
use crate::http2::{Cut, Pipe, Received, state_length};
use crate::timer::{Deadline, TICK};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// How long a target that answers may take nothing of the rest of a request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long one whose response has ended may. It has no need of the rest then, and who sends it may wait for the end
/// before anything else.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no response.
#[derive(Debug)]
pub(in super::super) enum Error {
    /// The connection takes no request any more: nothing was sent.
    Unsent(h2::Error),
    /// The target does not take extended CONNECT: nothing was sent.
    NoTunnel,
    /// The target has not processed the request (RFC 9113 section 8.7), and all of it is there.
    Unprocessed(h2::Error),
    Ended(h2::Error),
    Malformed(&'static str),
    TooLarge(Excess),
}

/// How a request is sent.
pub(in super::super) struct Way<'a, B: Body> {
    pub(in super::super) watch: Option<&'a Watch<B>>,
    /// Until when a body that the target was asked about is held back.
    pub(in super::super) timeout: Option<Deadline>,
    pub(in super::super) interim: Interim<'a>,
    pub(in super::super) limits: UpstreamLimits,
}

/// Sends a request and waits for the head of its response. Dropped before its end, the stream is reset.
pub(in super::super) async fn send<B>(
    stream: &Stream,
    request: &mut Request<B>,
    way: Way<'_, B>,
) -> Result<Response<Http2Body>, Error>
where
    B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
{
    let is_whole = request.body().is_end_stream();
    let (answer, sending) = begin(stream, head_of(request), is_whole)?;
    let mut exchange = Http2Exchange { answer, upload: None, upload_ended: is_whole, interims: 0 };
    if !is_whole {
        let body = std::mem::take(request.body_mut());
        let outgoing = TrackedBody::new(body, way.watch.cloned(), way.timeout);
        exchange.upload = Some(Pipe::new(outgoing, sending));
    }
    let polled = poll_fn(|context| exchange.poll(context, way.interim, way.limits)).await;
    let Http2Exchange { upload, upload_ended, .. } = exchange;
    let response = match polled {
        Ok(response) => response,
        Err(Error::Ended(error)) if was_not_processed(&error) => {
            let Some(upload) = upload else { return Err(Error::Unprocessed(error)) };
            let Some(body) = upload.into_body().put_back() else { return Err(Error::Ended(error)) };
            *request.body_mut() = body;
            return Err(Error::Unprocessed(error));
        }
        Err(error) => return Err(error),
    };
    let remainder = upload.filter(|_| !upload_ended).and_then(|mut upload| {
        // The target answers in place of asking for the body.
        let is_refused = upload.body_mut().is_held() && !response.status().is_success();
        upload.body_mut().go_on();
        upload.body_mut().keep_no_more();
        (!is_refused).then(|| Remainder::send(upload, way.watch))
    });
    stream.answered(remainder.as_ref());
    let (head, received) = response.into_parts();
    let body = Received::new(received, &head.headers);
    Ok(Response::from_parts(head, Http2Body::new(body, remainder)))
}

/// Opens the stream of a request.
pub(super) fn begin(
    stream: &Stream,
    head: Request<()>,
    is_whole: bool,
) -> Result<(ResponseFuture, SendStream<Bytes>), Error> {
    stream.send(head, is_whole).map_err(|error| match error.is_go_away() || error.is_io() {
        true => Error::Unsent(error),
        false => Error::Ended(error),
    })
}

/// The response to a request of which nothing is to be sent.
pub(super) async fn response<B: Body<Data = Bytes> + Unpin>(
    answer: ResponseFuture,
    interim: Interim<'_>,
    limits: UpstreamLimits,
) -> Result<Response<RecvStream>, Error> {
    let mut exchange = Http2Exchange::<B> { answer, upload: None, upload_ended: true, interims: 0 };
    let polled = poll_fn(|context| exchange.poll(context, interim, limits)).await;
    polled.map_err(|error| match error {
        Error::Ended(error) if was_not_processed(&error) => Error::Unprocessed(error),
        error => error,
    })
}

/// A stream that was refused, or is above the last one of a GOAWAY.
pub(in super::super) fn was_not_processed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// A copy of the head, without what HTTP/2 has no place for, with the length of the body.
pub(super) fn head_of<B: Body>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    let mut headers = request.headers().clone();
    if headers
        .iter()
        .any(|(name, value)| belongs_to_http1(name) || (*name == TE && value != "trailers"))
    {
        strip(&mut headers);
    }
    if let Some(length) = request.body().size_hint().exact() {
        let is_usual = matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
        if length > 0 || !is_usual {
            state_length(&mut headers, length);
        }
    }
    *head.headers_mut() = headers;
    head
}

/// RFC 9113 section 8.2.2.
fn belongs_to_http1(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION].contains(name)
}

fn strip(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|it| it != "trailers") {
        headers.remove(TE);
    }
}

struct Http2Exchange<B: Body> {
    answer: ResponseFuture,
    upload: Option<Pipe<TrackedBody<B>>>,
    upload_ended: bool,
    /// Interim responses so far.
    interims: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Http2Exchange<B> {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        interim: Interim<'_>,
        limits: UpstreamLimits,
    ) -> Poll<Result<Response<RecvStream>, Error>> {
        loop {
            if let Some(upload) = &mut self.upload
                && !self.upload_ended
                && let Poll::Ready(sent) = upload.poll(context)
            {
                // The answer shows what became of the stream.
                self.upload_ended = true;
                if let Err(Cut::Body(_)) = sent {
                    upload.reset(Reason::CANCEL);
                }
            }
            match ready!(self.answer.poll_informational(context)) {
                Some(Ok(head)) => self.tell(head, interim, limits)?,
                Some(Err(error)) => return Poll::Ready(Err(Error::Ended(error))),
                None => return Pin::new(&mut self.answer).poll(context).map_err(Error::Ended),
            }
        }
    }

    /// Tells of an interim response (RFC 9110 section 15.2).
    fn tell(
        &mut self,
        head: Response<()>,
        interim: Interim<'_>,
        limits: UpstreamLimits,
    ) -> Result<(), Error> {
        let (head, ()) = head.into_parts();
        self.interims += 1;
        if self.interims > MAX_INTERIMS {
            return Err(Error::Malformed("it has sent more than 64 interim responses"));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Malformed("101 over HTTP/2, which has none"));
        }
        head::check_size(&head.headers, limits).map_err(Error::TooLarge)?;
        if head.status == StatusCode::CONTINUE
            && let Some(upload) = &mut self.upload
        {
            upload.body_mut().go_on();
        }
        if let Some(interim) = interim {
            interim(head.status, head.headers);
        }
        Ok(())
    }
}

/// What is left of a request that was answered before its end, sent in its own task.
#[derive(Default)]
pub(super) struct Remainder {
    is_over: Cell<bool>,
    /// The response has ended.
    is_answered: Cell<bool>,
    is_cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whose place it keeps when the response has ended.
    place: RefCell<Option<Rc<Connection>>>,
}

impl std::fmt::Debug for Remainder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remainder").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Remainder {
    fn send<B>(mut upload: Pipe<TrackedBody<B>>, watch: Option<&Watch<B>>) -> Rc<Self>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
    {
        let this = Rc::new(Self::default());
        let (mine, watch) = (Rc::clone(&this), watch.cloned());
        tokio::task::spawn_local(async move {
            let mut late = watch.as_ref().map(|progress| progress.after(TAKES_WITHIN));
            poll_fn(|context| {
                if mine.poll(&mut upload, context).is_ready() {
                    return Poll::Ready(());
                }
                let (Some(progress), Some(late)) = (&watch, &mut late) else {
                    return Poll::Pending;
                };
                while Pin::new(&mut *late).poll(context).is_ready() {
                    let waited = progress.waited_for_target().unwrap_or_default();
                    if waited >= mine.takes_within() {
                        upload.reset(Reason::CANCEL);
                        return Poll::Ready(());
                    }
                    // The response may end at any time.
                    let left = mine.takes_within() - waited;
                    late.reset(left.min(TAKES_WITHIN) + TICK);
                }
                Poll::Pending
            })
            .await;
            drop(upload);
            mine.is_over.set(true);
            if let Some(connection) = mine.place.take() {
                connection.leave();
            }
        });
        this
    }

    fn poll<B>(&self, upload: &mut Pipe<TrackedBody<B>>, context: &mut Context<'_>) -> Poll<()>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if self.is_cancelled.get() {
            upload.reset(Reason::CANCEL);
            return Poll::Ready(());
        }
        let polled = upload.poll(context);
        if polled.is_pending() {
            self.waker.replace(Some(context.waker().clone()));
        }
        if let Err(Cut::Body(_)) = ready!(polled) {
            upload.reset(Reason::CANCEL);
        }
        Poll::Ready(())
    }

    /// For how long the target may take nothing.
    fn takes_within(&self) -> Duration {
        if self.is_answered.get() { TAKES_WITHIN } else { TIMEOUT }
    }

    /// The response has ended.
    pub(super) fn is_answered(&self) {
        self.is_answered.set(true);
    }

    /// Nobody reads the response any more.
    pub(super) fn cancel(&self) {
        self.is_cancelled.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Keeps a place of this connection until it is over, unless it is.
    pub(super) fn takes_over(&self, connection: &Rc<Connection>) -> bool {
        if !self.is_over.get() {
            self.place.replace(Some(Rc::clone(connection)));
        }
        !self.is_over.get()
    }
}
