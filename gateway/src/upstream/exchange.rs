//! One request over one connection.
//!
//! Owns the sending, the wait for the response's head and its bound, and the connection's way back
//! into the pool. Chooses nothing and tries nothing again.

use std::borrow::Cow;
use std::fmt;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{EXPECT, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;

use super::added::Added;
use super::balance::Open;
use super::error::{Cause, LongHead, UpstreamError};
use super::http1::Http1Connection;
use super::http2::{self, Stream};
use super::payload::Payload;
use super::pool;
use super::progress::{self, Progress, Resume, Watch};
use super::target::{Channel, Target};
use super::{head, http1};
use crate::config::HostPolicy;
use crate::health::Place;
use crate::timer::{Deadline, TICK, Timers};

/// How long a target may take to say 100 to a request that expects it, until the body is sent all the
/// same (RFC 9110 section 10.1.1): many do not know of it.
pub(super) const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// Interim responses to one request, at most.
pub(super) const MAX_INTERIMS: usize = 64;

/// The deadline for the head of a response.
#[derive(Clone, Copy)]
pub(super) struct ResponseDeadline<'a> {
    pub(super) timers: &'a Timers,
    pub(super) first_byte: Duration,
}

/// What goes along with a request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Along<'a> {
    /// Fields besides those of its map.
    pub(crate) added: Option<&'a dyn Added>,
    pub(crate) interim: Interim<'a>,
    /// What it is hashed by.
    pub(crate) key: Option<u64>,
    /// How long the head of the response is waited for, if less than the upstream's bound.
    pub(crate) first_byte: Option<Duration>,
}

/// Receives the interim responses that come before the final one (RFC 9110 section 15.2).
pub(crate) type Interim<'a> = Option<&'a dyn Fn(StatusCode, HeaderMap)>;

/// Why there is no response.
pub(super) enum Failed {
    /// Nothing came back, and the request can be sent again: it is whole, and the connection took
    /// none of it or what it took may safely be repeated.
    Unanswered(UpstreamError),
    /// The target says that it has not processed the request, which is whole; or the connection was
    /// at its end before the request.
    Unprocessed(Box<(UpstreamError, Rc<http2::Connection>)>),
    Ended(UpstreamError),
}

impl Failed {
    pub(super) fn into_error(self) -> UpstreamError {
        match self {
            Self::Unanswered(error) | Self::Ended(error) => error,
            Self::Unprocessed(boxed) => boxed.0,
        }
    }
}

/// Keeps a connection out of the pool until its response has been read.
///
/// To be dropped when the body has ended: the connection then serves the next request.
/// It may be dropped earlier: the connection is then not used until it is done.
pub struct Lease {
    target: Rc<Target>,
    /// Taken when dropped.
    channel: Option<Channel>,
    /// Counts the request among those that are open at the target.
    open: Option<Open>,
    /// Its place among the requests of the upstream, where they are bounded.
    place: Option<Place>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn counts(&mut self, open: Option<Open>) {
        self.open = open;
    }

    /// The request has a place among those of the upstream.
    pub(crate) fn holds(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Whether the connection was ended because the target did not answer a PING.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(&self.channel, Some(Channel::Http2(stream)) if stream.is_silent())
    }

    /// The target fell silent in the middle of the response.
    pub(crate) fn fell_silent(&self) {
        if let Some(Channel::Http2(stream)) = &self.channel {
            stream.retire();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.target.release(channel);
        }
    }
}

/// Sends the request and waits for the head of its response. The request is borrowed: moved from
/// hand to hand, it would be in the state of each exchange many times. `reused` says that the connection has served before.
pub(super) async fn exchange<B>(
    target: &Rc<Target>,
    (channel, reused): (Channel, bool),
    request: &mut Request<B>,
    host: &HostPolicy,
    along: Along<'_>,
    bound: ResponseDeadline<'_>,
) -> Result<(Response<Payload>, Lease), Failed>
where
    B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
    B::Error: Into<Cause>,
{
    match channel {
        Channel::Http1(connection) => {
            over_http1(target, (connection, reused), request, host, along, bound).await
        }
        // Boxed, so that the state of such an exchange is not carried around where it is not used.
        Channel::Http2(stream) => {
            if let Some(added) = along.added {
                added.insert(request.headers_mut());
            }
            Box::pin(over_http2(target, stream, request, host, along, bound)).await
        }
    }
}

async fn over_http1<B>(
    target: &Rc<Target>,
    (connection, reused): (Rc<Http1Connection>, bool),
    request: &mut Request<B>,
    host: &HostPolicy,
    along: Along<'_>,
    bound: ResponseDeadline<'_>,
) -> Result<(Response<Payload>, Lease), Failed>
where
    B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
    B::Error: Into<Cause>,
{
    head::for_http1(request, &target.name, host);
    let mut unanswered = Unanswered { target, since: bound.timers.now(), is_over: false };
    let watch = progress::watch(request.body(), bound.timers);
    let progress = watch.as_deref();
    if !reused || !request.method().is_idempotent() || connection.is_doubtful() {
        connection.notes_where_it_begins();
    }
    progress.inspect(|progress| progress.keep());
    let sent =
        wait(pin!(http1::send(&connection, request, along, watch.as_ref())), progress, bound).await;
    let Some(http1::Sent { result, was_heard, is_foreign, has_ended }) = sent else {
        return Err(Failed::Ended(timeout(target, bound)));
    };
    unanswered.is_over = true;
    let response = match result {
        Ok(response) => response,
        Err(error) => {
            let authority = Arc::clone(&target.authority);
            if let Some(cause) = watch.as_deref().and_then(Progress::take_failure) {
                let error = UpstreamError::RequestBody { target: authority, cause: cause.into() };
                return Err(Failed::Ended(error));
            }
            let mut error = UpstreamError::from_http1(authority, error);
            // The fields are there until a response is.
            if !was_heard && let Some(head) = LongHead::of(&http1::head_of(request, along.added)) {
                error = error.behind(head);
            }
            let is_stray = is_foreign && reused;
            if reused && (is_foreign || !was_heard) {
                target.learns_from(&connection, is_foreign);
            }
            let may_repeat = match () {
                () if was_heard && !is_stray => false,
                () if reused && request.method().is_idempotent() => true,
                // A target that gives up fresh connections soon may do so while the request is on its way.
                () => {
                    let has_ended = has_ended || is_stray && connection.ends_here();
                    has_ended && connection.was_closed_before_it_began()
                }
            };
            if is_stray {
                error = error.of_earlier_response();
            }
            let put_back = |watch: &Watch<B>| watch.put_back(request.body_mut());
            return Err(if may_repeat && watch.as_ref().is_none_or(put_back) {
                Failed::Unanswered(error)
            } else {
                Failed::Ended(error)
            });
        }
    };
    progress.inspect(|progress| progress.keep_no_more());
    // What came whole with its head, or changed its protocol, has done with the connection.
    let channel = match response.body() {
        Payload::Http1(_) => Some(Channel::Http1(connection)),
        Payload::Buffered(_) => {
            target.release(Channel::Http1(connection));
            None
        }
        Payload::Http2(_) | Payload::Switched(_) => None,
    };
    Ok((response, Lease { target: Rc::clone(target), channel, open: None, place: None }))
}

/// An HTTP/1.1 exchange without an answer so far. Given up after some time, however that comes about,
/// the connections that were idle all the while are abandoned too: they may be as dead as this one,
/// and each would cost another request the whole timeout.
struct Unanswered<'a> {
    target: &'a Target,
    since: Instant,
    is_over: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let waited = self.target.now().saturating_duration_since(self.since);
        if !self.is_over && waited >= pool::SUSPICIOUS {
            self.target.distrust_idle_since(self.since);
        }
    }
}

async fn over_http2<B>(
    target: &Rc<Target>,
    stream: Stream,
    request: &mut Request<B>,
    host: &HostPolicy,
    along: Along<'_>,
    bound: ResponseDeadline<'_>,
) -> Result<(Response<Payload>, Lease), Failed>
where
    B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
    B::Error: Into<Cause>,
{
    let fits = head::for_http2(request, &target.name, host);
    fits.map_err(|reason| Failed::Ended(unfit(target, reason)))?;
    if request.headers().contains_key(UPGRADE) {
        return over_tunnel(target, stream, request, along, bound).await;
    }
    let watch = progress::watch(request.body(), bound.timers);
    let expects = watch.is_some() && request.headers().contains_key(EXPECT);
    let way = http2::Way {
        watch: watch.as_ref(),
        timeout: expects.then(|| bound.timers.after(CONTINUE_WITHIN)),
        interim: along.interim,
        limits: target.limits(),
    };
    let sent = wait(pin!(http2::send(&stream, request, way)), watch.as_deref(), bound).await;
    let response = match sent {
        Some(Ok(response)) => response,
        Some(Err(error)) => return Err(failure(target, &stream, error, watch.as_deref())),
        None => {
            stream.retire();
            return Err(Failed::Ended(timeout(target, bound)));
        }
    };
    head::check_size(response.headers(), target.limits()).map_err(|excess| {
        let target = Arc::clone(&target.authority);
        Failed::Ended(UpstreamError::ResponseTooLarge { target, excess })
    })?;
    let channel = Some(Channel::Http2(stream));
    Ok((
        response.map(Payload::Http2),
        Lease { target: Rc::clone(target), channel, open: None, place: None },
    ))
}

/// What becomes of a request that was sent.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<(Response<Payload>, Lease), Failed>> + 'a>>;

/// A WebSocket over HTTP/2. Boxed, so that others do not carry its state around.
fn over_tunnel<'a, B>(
    target: &'a Rc<Target>,
    stream: Stream,
    request: &'a Request<B>,
    along: Along<'a>,
    bound: ResponseDeadline<'a>,
) -> Sending<'a>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Cause>,
{
    Box::pin(async move {
        let nothing: Option<&Progress<B::Error>> = None;
        let sent = http2::connect(&stream, request, along.interim, target.limits());
        let response = match wait(pin!(sent), nothing, bound).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => return Err(failure(target, &stream, error, nothing)),
            None => {
                stream.retire();
                return Err(Failed::Ended(timeout(target, bound)));
            }
        };
        head::check_size(response.headers(), target.limits()).map_err(|excess| {
            let target = Arc::clone(&target.authority);
            Failed::Ended(UpstreamError::ResponseTooLarge { target, excess })
        })?;
        let channel = Some(Channel::Http2(stream));
        Ok((response, Lease { target: Rc::clone(target), channel, open: None, place: None }))
    })
}

fn timeout(target: &Target, bound: ResponseDeadline<'_>) -> UpstreamError {
    let timeout = bound.first_byte;
    UpstreamError::FirstByteTimeout { target: Arc::clone(&target.authority), timeout }
}

/// Waits for the answer; `None` when the target took too long. The answer is borrowed: moved in, the
/// request in it would be in the state of each exchange twice.
async fn wait<T, E>(
    mut answer: Pin<&mut impl Future<Output = T>>,
    progress: Option<&Progress<E>>,
    bound: ResponseDeadline<'_>,
) -> Option<T> {
    let mut deadline = bound.timers.after(bound.first_byte);
    std::future::poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        poll_timeout(&mut deadline, progress, bound, context).map(|()| None)
    })
    .await
}

/// Ends when the target alone has kept the exchange waiting for the whole bound: since the request
/// ended, or since it last took some of the request.
fn poll_timeout<E>(
    deadline: &mut Deadline,
    progress: Option<&Progress<E>>,
    bound: ResponseDeadline<'_>,
    context: &mut Context<'_>,
) -> Poll<()> {
    while Pin::new(&mut *deadline).poll(context).is_ready() {
        let Some(progress) = progress else {
            return Poll::Ready(());
        };
        // The coarse clock may have been a tick behind.
        let timeout = bound.first_byte + TICK;
        let left = match progress.waiting_for_target_since() {
            None => timeout,
            Some(since) => {
                timeout.saturating_sub(bound.timers.now().saturating_duration_since(since))
            }
        };
        if left.is_zero() {
            return Poll::Ready(());
        }
        deadline.reset(left);
    }
    Poll::Pending
}

/// Sorts a failure.
fn failure<E: Into<Cause>>(
    target: &Target,
    stream: &Stream,
    error: http2::Error,
    progress: Option<&Progress<E>>,
) -> Failed {
    let authority = Arc::clone(&target.authority);
    let connection = || Rc::clone(stream.connection());
    match error {
        http2::Error::Unsent(error) => {
            let error =
                UpstreamError::ClosedBeforeResponse { target: authority, cause: error.into() };
            // One that has served may have ended long ago, and others with it.
            match stream.reused {
                true => Failed::Unanswered(error),
                false => Failed::Unprocessed(Box::new((error, connection()))),
            }
        }
        http2::Error::Unprocessed(error) => {
            let error = UpstreamError::from_http2(authority, error);
            Failed::Unprocessed(Box::new((error, connection())))
        }
        http2::Error::NoTunnel => Failed::Ended(UpstreamError::NoUpgrade { target: authority }),
        http2::Error::Malformed(reason) => Failed::Ended(UpstreamError::MalformedResponse {
            target: authority,
            reason: Cow::Borrowed(reason),
            cause: None,
        }),
        http2::Error::TooLarge(excess) => {
            Failed::Ended(UpstreamError::ResponseTooLarge { target: authority, excess })
        }
        http2::Error::Ended(error) => {
            Failed::Ended(match progress.and_then(Progress::take_failure) {
                Some(cause) => {
                    UpstreamError::RequestBody { target: authority, cause: cause.into() }
                }
                None if stream.is_silent() => {
                    UpstreamError::Reset { target: authority, cause: Silence.into() }
                }
                None => UpstreamError::from_http2(authority, error),
            })
        }
    }
}

/// Why a connection was ended on which nothing else went wrong.
#[derive(Debug, thiserror::Error)]
#[error("it did not answer a PING in time (`keep_alive.ping_timeout`)")]
struct Silence;

fn unfit(target: &Target, reason: &'static str) -> UpstreamError {
    UpstreamError::Protocol {
        target: Arc::clone(&target.authority),
        reason: Cow::Borrowed(reason),
        cause: None,
    }
}
