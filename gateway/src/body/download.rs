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
use http::{HeaderMap, Version};
use http_body::Frame;

use super::BodyError;
use crate::chain::Side;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::respond;
use crate::timer::{Deadline, Timers};
use crate::upstream::Lease;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What is watched of a response body.
pub(crate) struct Download {
    exchange: Rc<Exchange>,
    /// Where it comes from; `None` for what the gateway makes itself.
    origin: Option<Origin>,
    /// What is held back until the next look at it.
    held: Option<Held>,
}

/// What the connection is given only when it has sent everything before.
pub(super) enum Held {
    /// Why the body broke off: a connection that meets an error throws away what it has not sent yet,
    /// which may be the head.
    Failure(BodyError),
    /// Trailers as the lines of HTTP/1.1, and how often the connection had been flushed.
    Trailers(Vec<u8>, u64),
}

/// The upstream behind a response body.
pub(crate) struct Origin {
    /// Dropped when the last byte has come, so that the connection can serve again.
    lease: Option<Lease>,
    timers: Timers,
    idle: Duration,
    /// Made when the upstream is first waited for.
    deadline: Option<Deadline>,
    waiting: bool,
}

impl Origin {
    /// At most `idle` between two bytes; the connection goes back when the last one has come.
    pub(crate) fn new(lease: Lease, timers: Timers, idle: Duration) -> Self {
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
        let silent = Pin::new(deadline).poll(context);
        if let (Poll::Ready(()), Some(lease)) = (silent, &self.lease) {
            lease.fell_silent();
        }
        silent
    }
}

impl Download {
    pub(super) fn new(exchange: Rc<Exchange>, origin: Option<Origin>, ended: bool) -> Self {
        let mut this = Self { exchange, origin, held: None };
        if ended {
            this.complete();
        }
        this
    }

    /// The client has all of it, if not its end.
    pub(super) fn is_whole(&self) {
        self.exchange.response_complete();
    }

    fn complete(&mut self) {
        self.exchange.response_complete();
        self.origin = None;
    }

    pub(super) fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// Gives what was held back, if it is time. Trailers go past hyper, which sends none but those that
    /// the head announced: the connection puts them in front of the end that hyper writes.
    pub(super) fn let_go(&mut self, held: Held, context: &mut Context<'_>) -> Polled {
        match held {
            Held::Failure(error) => Poll::Ready(Some(Err(error))),
            Held::Trailers(lines, flushed) if self.exchange.connection.flushes() == flushed => {
                self.exchange.connection.wake_when_flushed(context.waker());
                self.held = Some(Held::Trailers(lines, flushed));
                Poll::Pending
            }
            Held::Trailers(lines, _) => {
                self.exchange.connection.end_with(lines);
                self.complete();
                Poll::Ready(None)
            }
        }
    }

    /// Trailers that the client may have: all of them over HTTP/2, over HTTP/1.1 if it said that it
    /// takes them (RFC 9110 section 6.5.1).
    fn trailers(&mut self, mut trailers: HeaderMap, context: &mut Context<'_>) -> Polled {
        self.exchange.filter_trailers(Side::Response, &mut trailers);
        let is_http2 = self.exchange.version >= Version::HTTP_2;
        // HTTP/1.0 has no chunks to put them behind.
        let is_taken = self.exchange.version == Version::HTTP_11 && self.exchange.takes_trailers();
        if trailers.is_empty() || !(is_http2 || is_taken) {
            self.complete();
            return Poll::Ready(None);
        }
        if is_http2 {
            self.complete();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let mut lines = Vec::new();
        respond::write_fields(&mut lines, &trailers);
        let flushed = self.exchange.connection.flushes();
        self.let_go(Held::Trailers(lines, flushed), context)
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
                let data = match frame.into_data() {
                    Ok(data) => data,
                    Err(frame) => {
                        return match frame.into_trailers() {
                            Ok(trailers) => self.trailers(trailers, context),
                            Err(frame) => Poll::Ready(Some(Ok(frame))),
                        };
                    }
                };
                self.exchange.count_download(data.len());
                if is_last {
                    self.complete();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.fail(broken(&error));
                self.held = Some(Held::Failure(error));
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
        BodyError::Broken(_)
        | BodyError::TooLarge(_)
        | BodyError::Stalled
        | BodyError::Late(..) => Failure::UpstreamBroken(error_cause(error)),
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
