//! A response body on its way to the client.
//!
//! Owns the count of its bytes, the idle timeout of the upstream, the way of its connection back
//! into the pool, the time limit of the whole exchange where there is one, and the
//! notice of how the body ended. A body that broke off stays an error all the way to the client:
//! a part must never look like the whole.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;

use super::{Body, BodyError};
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::timer::{Deadline, Timers};
use crate::upstream::Lease;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What is watched of a response body.
pub(crate) struct Download {
    exchange: Rc<Exchange>,
    /// Where it comes from; `None` for what the gateway makes itself.
    origin: Option<Origin>,
    /// Why it broke off, for the next look at it.
    failed: Option<BodyError>,
}

/// The upstream behind a response body.
pub(crate) struct Origin {
    /// Dropped when the last byte has come, so that the connection can serve again.
    lease: Option<Lease<Body>>,
    timers: Timers,
    idle: Duration,
    /// Made when the upstream is first waited for.
    deadline: Option<Deadline>,
    waiting: bool,
}

impl Origin {
    /// At most `idle` between two bytes; the connection goes back when the last one has come.
    pub(crate) fn new(lease: Lease<Body>, timers: Timers, idle: Duration) -> Self {
        Self { lease: Some(lease), timers, idle, deadline: None, waiting: false }
    }

    /// Gives the connection back: the body has come to its end.
    pub(super) fn release(&mut self) {
        self.lease = None;
    }

    /// Watches a body that something else stands behind.
    pub(super) fn observe(
        &mut self,
        polled: Polled,
        is_last: bool,
        context: &mut Context<'_>,
    ) -> Polled {
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                if is_last || frame.is_trailers() {
                    self.release();
                }
            }
            Poll::Ready(None) => self.release(),
            Poll::Ready(Some(Err(_))) => {}
            Poll::Pending if self.poll_silence(context).is_ready() => {
                return Poll::Ready(Some(Err(BodyError::Stalled)));
            }
            Poll::Pending => {}
        }
        polled
    }

    /// Ends when the upstream has been silent for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let deadline = self.deadline.get_or_insert_with(|| self.timers.after(idle));
        if !std::mem::replace(&mut self.waiting, true) {
            deadline.reset(idle);
        }
        Pin::new(deadline).poll(context)
    }
}

impl Download {
    pub(super) fn new(exchange: Rc<Exchange>, origin: Option<Origin>, ended: bool) -> Self {
        let mut this = Self { exchange, origin, failed: None };
        if ended {
            this.complete();
        }
        this
    }

    fn complete(&mut self) {
        self.exchange.response_complete();
        self.origin = None;
    }

    /// The error by which it ended. It is held back once: a connection that meets it throws away
    /// what it has not sent yet, which may be the head.
    pub(super) fn take_failure(&mut self) -> Option<BodyError> {
        self.failed.take()
    }

    pub(super) fn observe(
        &mut self,
        polled: Polled,
        is_last: bool,
        context: &mut Context<'_>,
    ) -> Polled {
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.client_is_next(true);
                if let Some(origin) = &mut self.origin {
                    origin.waiting = false;
                }
                if let Some(data) = frame.data_ref() {
                    self.exchange.count_download(data.len());
                }
                if is_last || frame.is_trailers() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.fail(broken(&error));
                self.failed = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => {
                self.exchange.client_is_next(false);
                self.out_of_time(context)
            }
        }
    }

    fn out_of_time(&mut self, context: &mut Context<'_>) -> Polled {
        if let Some(origin) = &mut self.origin
            && origin.poll_silence(context).is_ready()
        {
            self.exchange.fail(broken(&BodyError::Stalled));
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        }
        let mut limit = self.exchange.time_limit();
        let Some(deadline) = limit.as_mut() else {
            return Poll::Pending;
        };
        if Pin::new(deadline).poll(context).is_pending() {
            return Poll::Pending;
        }
        drop(limit);
        self.exchange.fail(Failure::RequestTimeout);
        Poll::Ready(Some(Err(BodyError::OutOfTime)))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.exchange.response_gone();
    }
}

/// Whose fault it is that a response body broke off.
pub(crate) fn broken(error: &BodyError) -> Failure {
    match error {
        BodyError::Plugin(plugin) => Failure::PluginFailed {
            plugin: plugin.to_string(),
            source: "it failed at the body, or cut it off".into(),
        },
        BodyError::Component { component, cause } => {
            Failure::Component { component: component.clone(), source: cause.clone() }
        }
        BodyError::OutOfTime => Failure::RequestTimeout,
        BodyError::Broken(_) | BodyError::TooLarge(_) | BodyError::Stalled => {
            Failure::UpstreamBroken(error_cause(error))
        }
    }
}

/// The causes of an error, flattened: the error itself goes on to the connection.
fn error_cause(error: &BodyError) -> crate::error::Cause {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.into()
}
