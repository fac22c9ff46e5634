//! One request over one connection.
//!
//! Owns the sending, the wait for the response's head and its bound, and the connection's way back
//! into the pool. Chooses nothing and tries nothing again.

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::error::{Cause, UpstreamError};
use super::http1::Connection;
use super::payload::Payload;
use super::pool::Stream;
use super::progress::{self, Outgoing, Progress};
use super::target::{Channel, Target};
use super::{head, http1};
use crate::config::HostPolicy;
use crate::timer::{Deadline, TICK, Timers};

/// What hyper answers over HTTP/2.
pub(super) type Answer<B> = Result<Response<Incoming>, TrySendError<Request<Outgoing<B>>>>;

/// How long the response's head may take.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) timers: &'a Timers,
    pub(super) first_byte: Duration,
}

/// Why there is no response.
pub(super) enum Failed {
    /// Nothing came back, and the request can be sent again: it is whole, and the connection took
    /// none of it or what it took may safely be repeated.
    Unanswered(UpstreamError),
    Ended(UpstreamError),
}

impl Failed {
    pub(super) fn into_error(self) -> UpstreamError {
        match self {
            Self::Unanswered(error) | Self::Ended(error) => error,
        }
    }
}

/// Keeps a connection out of the pool until its response has been read.
///
/// To be dropped when the body has come to its end: the connection then serves the next request.
/// Dropped earlier it does no harm: the connection stands aside until it is done.
pub struct Lease<B: Body> {
    target: Rc<Target<B>>,
    /// Taken when dropped.
    channel: Option<Channel<B>>,
}

impl<B: Body> Drop for Lease<B> {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.target.release(channel);
        }
    }
}

/// Sends the request and waits for the head of its response. The request is borrowed: moved from
/// hand to hand, it would stand in the state of each exchange many times.
pub(super) async fn exchange<B>(
    target: &Rc<Target<B>>,
    channel: Channel<B>,
    request: &mut Request<B>,
    host: &HostPolicy,
    bound: Bound<'_>,
) -> Result<(Response<Payload>, Lease<B>), Failed>
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<Cause>,
{
    match channel {
        Channel::Http1(connection) => over_http1(target, connection, request, host, bound).await,
        // Boxed, so that the state of hyper's exchange is not carried around where it is not used.
        Channel::Http2(stream) => Box::pin(over_http2(target, stream, request, host, bound)).await,
    }
}

async fn over_http1<B>(
    target: &Rc<Target<B>>,
    connection: Rc<Connection>,
    request: &mut Request<B>,
    host: &HostPolicy,
    bound: Bound<'_>,
) -> Result<(Response<Payload>, Lease<B>), Failed>
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<Cause>,
{
    head::for_http1(request, &target.name, host);
    let watch = progress::watch(request.body(), bound.timers);
    let progress = watch.as_deref();
    let sent = wait(pin!(http1::send(&connection, request, watch.as_ref())), progress, bound).await;
    let Some(http1::Sent { result, was_heard }) = sent else {
        return Err(Failed::Ended(timeout(target, bound)));
    };
    let response = match result {
        Ok(response) => response,
        Err(error) => {
            let authority = Arc::clone(&target.authority);
            if let Some(cause) = watch.as_deref().and_then(Progress::take_failure) {
                let error = UpstreamError::RequestBody { target: authority, cause: cause.into() };
                return Err(Failed::Ended(error));
            }
            let error = UpstreamError::from_http1(authority, error);
            // One with a body cannot be repeated: the body is gone.
            let is_whole = !was_heard && watch.is_none();
            return Err(if is_whole && request.method().is_idempotent() {
                Failed::Unanswered(error)
            } else {
                Failed::Ended(error)
            });
        }
    };
    // What came whole with its head, or changed its protocol, has done with the connection.
    let channel = match response.body() {
        Payload::Http1(_) => Some(Channel::Http1(connection)),
        Payload::Whole(_) => {
            target.release(Channel::Http1(connection));
            None
        }
        Payload::Http2(_) | Payload::Switched(_) => None,
    };
    Ok((response, Lease { target: Rc::clone(target), channel }))
}

async fn over_http2<B>(
    target: &Rc<Target<B>>,
    stream: Stream<B>,
    request: &mut Request<B>,
    host: &HostPolicy,
    bound: Bound<'_>,
) -> Result<(Response<Payload>, Lease<B>), Failed>
where
    B: Body<Data = Bytes> + Default + Unpin + 'static,
    B::Error: Into<Cause>,
{
    let fits = head::for_http2(request, &target.name, host);
    fits.map_err(|reason| Failed::Ended(unfit(target, reason)))?;
    let watch = progress::watch(request.body(), bound.timers);
    let outgoing = std::mem::take(request).map(|body| Outgoing::new(body, watch.clone()));
    let sending = pin!(stream.send(outgoing));
    let response = match wait(sending, watch.as_deref(), bound).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => return Err(failure(target, error, request, watch.as_deref())),
        None => return Err(Failed::Ended(timeout(target, bound))),
    };
    let channel = Some(Channel::Http2(stream));
    Ok((response.map(Payload::Http2), Lease { target: Rc::clone(target), channel }))
}

fn timeout<B: Body>(target: &Target<B>, bound: Bound<'_>) -> UpstreamError {
    let timeout = bound.first_byte;
    UpstreamError::FirstByteTimeout { target: Arc::clone(&target.authority), timeout }
}

/// Waits for the answer; `None` when the target took too long. The answer is borrowed: moved in, the
/// request in it would stand in the state of each exchange twice.
async fn wait<T, E>(
    mut answer: Pin<&mut impl Future<Output = T>>,
    progress: Option<&Progress<E>>,
    bound: Bound<'_>,
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
    bound: Bound<'_>,
    context: &mut Context<'_>,
) -> Poll<()> {
    while Pin::new(&mut *deadline).poll(context).is_ready() {
        let Some(progress) = progress else {
            return Poll::Ready(());
        };
        // The coarse clock may have been a tick behind.
        let patience = bound.first_byte + TICK;
        let left = match progress.waiting_for_target_since() {
            None => patience,
            Some(since) => {
                patience.saturating_sub(bound.timers.now().saturating_duration_since(since))
            }
        };
        if left.is_zero() {
            return Poll::Ready(());
        }
        deadline.reset(left);
    }
    Poll::Pending
}

/// Sorts a failure, and gives the request back if none of it was sent.
fn failure<B>(
    target: &Target<B>,
    mut error: TrySendError<Request<Outgoing<B>>>,
    request: &mut Request<B>,
    progress: Option<&Progress<B::Error>>,
) -> Failed
where
    B: Body,
    B::Error: Into<Cause>,
{
    let unsent = error.take_message();
    let error = error.into_error();
    let authority = Arc::clone(&target.authority);
    if let Some(unsent) = unsent {
        *request = unsent.map(Outgoing::into_inner);
        let error = UpstreamError::ClosedBeforeResponse { target: authority, cause: error.into() };
        return Failed::Unanswered(error);
    }
    Failed::Ended(match progress.and_then(Progress::take_failure) {
        Some(cause) => UpstreamError::RequestBody { target: authority, cause: cause.into() },
        None => UpstreamError::from_exchange(authority, error),
    })
}

fn unfit<B: Body>(target: &Target<B>, reason: &'static str) -> UpstreamError {
    UpstreamError::Protocol {
        target: Arc::clone(&target.authority),
        reason: Cow::Borrowed(reason),
        cause: None,
    }
}
