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
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::error::{Cause, UpstreamError};
use super::head;
use super::progress::{Outgoing, Progress};
use super::target::{Channel, Target};
use crate::config::HostPolicy;
use crate::timer::{Deadline, TICK, Timers};

/// What hyper answers.
pub(super) type Answer<B> = Result<Response<Incoming>, TrySendError<Request<Outgoing<B>>>>;

/// How long the response's head may take.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) timers: &'a Timers,
    pub(super) first_byte: Duration,
}

/// Why there is no response.
pub(super) enum Failed<B: Body> {
    /// The connection was closed before it took the request, which is whole.
    Unsent(Box<Unsent<B>>),
    Sent(UpstreamError),
}

pub(super) struct Unsent<B: Body> {
    pub(super) request: Request<Outgoing<B>>,
    error: hyper::Error,
}

impl<B: Body> Failed<B> {
    pub(super) fn into_error(self, target: &Target<B>) -> UpstreamError {
        match self {
            Self::Unsent(unsent) => UpstreamError::ClosedBeforeResponse {
                target: Arc::clone(&target.authority),
                cause: unsent.error,
            },
            Self::Sent(error) => error,
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

/// Sends the request and waits for the head of its response.
pub(super) async fn exchange<B>(
    target: &Rc<Target<B>>,
    mut channel: Channel<B>,
    mut request: Request<Outgoing<B>>,
    host: &HostPolicy,
    bound: Bound<'_>,
) -> Result<(Response<Incoming>, Lease<B>), Failed<B>>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Cause>,
{
    let progress = request.body().progress();
    let progress = progress.as_deref();
    let answer = match &mut channel {
        Channel::Http1(sender) => {
            head::for_http1(&mut request, &target.name, host);
            wait(pin!(sender.try_send_request(request)), progress, bound).await
        }
        Channel::Http2(stream) => {
            let fits = head::for_http2(&mut request, &target.name, host);
            fits.map_err(|reason| Failed::Sent(unfit(target, reason)))?;
            wait(pin!(stream.send(request)), progress, bound).await
        }
    };
    let mut response = match answer {
        Some(Ok(response)) => response,
        Some(Err(error)) => return Err(failure(target, error, progress)),
        None => {
            let target = Arc::clone(&target.authority);
            let timeout = bound.first_byte;
            return Err(Failed::Sent(UpstreamError::FirstByteTimeout { target, timeout }));
        }
    };
    if matches!(channel, Channel::Http1(_)) {
        // On refusal the connection is dropped with its channel, and so closed.
        let checked = head::check_framing(response.headers_mut());
        checked.map_err(|reason| Failed::Sent(malformed(target, reason)))?;
    }
    // After a switch of protocols hyper has done with the connection.
    let channel = (response.status() != StatusCode::SWITCHING_PROTOCOLS).then_some(channel);
    Ok((response, Lease { target: Rc::clone(target), channel }))
}

/// Waits for the answer; `None` when the target took too long. The answer is borrowed: moved in, the
/// request in it would stand in the state of each exchange twice.
async fn wait<B: Body, E>(
    mut answer: Pin<&mut impl Future<Output = Answer<B>>>,
    progress: Option<&Progress<E>>,
    bound: Bound<'_>,
) -> Option<Answer<B>> {
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

fn failure<B>(
    target: &Target<B>,
    mut error: TrySendError<Request<Outgoing<B>>>,
    progress: Option<&Progress<B::Error>>,
) -> Failed<B>
where
    B: Body,
    B::Error: Into<Cause>,
{
    let unsent = error.take_message();
    let error = error.into_error();
    if let Some(request) = unsent {
        return Failed::Unsent(Box::new(Unsent { request, error }));
    }
    let authority = Arc::clone(&target.authority);
    Failed::Sent(match progress.and_then(Progress::take_failure) {
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

fn malformed<B: Body>(target: &Target<B>, reason: &'static str) -> UpstreamError {
    UpstreamError::MalformedResponse {
        target: Arc::clone(&target.authority),
        reason: Cow::Borrowed(reason),
        cause: None,
    }
}
