//! A response body on its way to the client.
//!
//! Owns the count of its bytes, the idle timeout of the upstream, the return of its connection to the
//! pool, the time limit of the whole exchange if there is one, what is sent while it is silent, and the
//! notice of how the body ended. A body that broke off stays an error all the way to the client:
//! a part must never look like the whole.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::keep_alive::Silence;
use super::{BodyError, KeepAlive, Observer, TrailerForm};
use crate::error::Failure;
use crate::timer::{Deadline, Timers};
use crate::upstream::{Lease, write_fields};

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// Monitors a response body.
pub(crate) struct ResponseBodyMonitor {
    observer: Rc<dyn Observer>,
    /// Where it comes from; `None` for what the gateway makes itself.
    origin: Origin,
    /// What is held back until the next look at it.
    held: Option<Box<Held>>,
    /// What is sent while it is silent, if anything is.
    silence: Option<Box<Silence>>,
}

/// What watches the upstream, until the last byte has come.
type Origin = Option<Box<UpstreamBodyMonitor>>;

/// What the connection is given only when it has sent everything before.
pub(super) enum Held {
    /// Why the body broke off: a connection that meets an error throws away what it has not sent yet,
    /// which may be the head.
    Failure(BodyError),
    /// Trailers as the lines of HTTP/1.1, and how often the connection had been flushed.
    Trailers(Vec<u8>, u64),
}

/// Monitors the upstream of a response body.
pub(crate) struct UpstreamBodyMonitor {
    /// Dropped when the last byte has come, so that the connection can serve again.
    lease: Option<Lease>,
    timers: Timers,
    idle: Duration,
    /// Made when the upstream is first waited for.
    deadline: Option<Deadline>,
    waiting: bool,
}

impl UpstreamBodyMonitor {
    /// At most `idle` between two bytes; the connection goes back when the last one has come.
    pub(crate) fn new(lease: Lease, timers: Timers, idle: Duration) -> Self {
        Self { lease: Some(lease), timers, idle, deadline: None, waiting: false }
    }

    /// Returns the connection: the body has ended.
    pub(super) fn release(&mut self) {
        self.lease = None;
    }

    /// Whether the gateway ended its connection, on which a PING was not answered.
    fn is_silent(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_silent)
    }

    /// Watches a body that something else is behind.
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

impl ResponseBodyMonitor {
    pub(super) fn new(
        observer: Rc<dyn Observer>,
        origin: Origin,
        keep_alive: Option<Box<KeepAlive>>,
        ended: bool,
    ) -> Self {
        let silence = keep_alive.map(|wanted| Box::new(Silence::of(wanted)));
        let mut this = Self { observer, origin, held: None, silence };
        if ended {
            this.complete();
        }
        this
    }

    /// Who wants to have read what is left, if anybody does, and what watches the upstream.
    pub(super) fn rest(&mut self) -> Option<(Rc<dyn Observer>, Origin)> {
        if self.held.is_some() || !self.observer.wants_rest() {
            return None;
        }
        Some((Rc::clone(&self.observer), self.origin.take()))
    }

    /// The client has all of it, if not its end.
    pub(super) fn is_whole(&self) {
        self.observer.download_ended();
    }

    fn complete(&mut self) {
        self.observer.download_ended();
        self.origin = None;
    }

    pub(super) fn take_held(&mut self) -> Option<Box<Held>> {
        self.held.take()
    }

    /// Gives what was held back, if it is time. Trailers go past hyper, which sends none but those that
    /// the head announced: the connection puts them in front of the end that hyper writes.
    pub(super) fn let_go(&mut self, held: Held, context: &mut Context<'_>) -> Polled {
        match held {
            Held::Failure(error) => Poll::Ready(Some(Err(error))),
            Held::Trailers(lines, flushed) if self.observer.downstream().flushes() == flushed => {
                self.observer.downstream().wake_when_flushed(context.waker());
                self.held = Some(Box::new(Held::Trailers(lines, flushed)));
                Poll::Pending
            }
            Held::Trailers(lines, _) => {
                self.observer.downstream().end_with_trailers(lines);
                self.complete();
                Poll::Ready(None)
            }
        }
    }

    /// Sends the trailers that the client may have.
    fn trailers(&mut self, mut trailers: HeaderMap, context: &mut Context<'_>) -> Polled {
        let form = self.observer.filter_download_trailers(&mut trailers);
        match form {
            TrailerForm::Lines if !trailers.is_empty() => {
                let mut lines = Vec::new();
                write_fields(&mut lines, &trailers);
                let flushed = self.observer.downstream().flushes();
                self.let_go(Held::Trailers(lines, flushed), context)
            }
            TrailerForm::Frame if !trailers.is_empty() => {
                self.complete();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            _ => {
                self.complete();
                Poll::Ready(None)
            }
        }
    }

    pub(super) fn observe(
        &mut self,
        polled: Polled,
        is_last: bool,
        context: &mut Context<'_>,
    ) -> Polled {
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
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
                self.observer.download_data(data.len());
                if let Some(silence) = &mut self.silence {
                    silence.sent(&data);
                }
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
                let is_silent = self.origin.as_ref().is_some_and(|origin| origin.is_silent());
                self.observer.download_failed(if is_silent { silent() } else { broken(&error) });
                self.held = Some(Box::new(Held::Failure(error)));
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => {
                self.observer.download_waits();
                self.out_of_time(context)
            }
        }
    }

    fn out_of_time(&mut self, context: &mut Context<'_>) -> Polled {
        if let Some(origin) = &mut self.origin
            && origin.poll_silence(context).is_ready()
        {
            self.observer.download_failed(broken(&BodyError::Stalled));
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        }
        if self.observer.poll_time_limit(context).is_pending() {
            return self.silent(context);
        }
        self.observer.download_failed(Failure::RequestTimeout);
        Poll::Ready(Some(Err(BodyError::OutOfTime)))
    }
}

impl ResponseBodyMonitor {
    /// What is sent while nothing comes, if it is time for it.
    fn silent(&mut self, context: &mut Context<'_>) -> Polled {
        let Some(silence) = &mut self.silence else { return Poll::Pending };
        let text = std::task::ready!(silence.poll(self.observer.timers(), context));
        self.observer.kept_alive(text.len());
        Poll::Ready(Some(Ok(Frame::data(text))))
    }
}

impl Drop for ResponseBodyMonitor {
    fn drop(&mut self) {
        self.observer.download_gone();
    }
}

/// The target did not answer a PING in the middle of its response.
fn silent() -> Failure {
    let cause = "the target did not answer a PING in time (`keep_alive.ping_timeout`)";
    Failure::UpstreamBroken(cause.into())
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
        BodyError::Stored(_) => Failure::Internal("a stored response could not be read to its end"),
        BodyError::OutOfTime => Failure::RequestTimeout,
        BodyError::Stalled => Failure::UpstreamStalled(error_cause(error)),
        BodyError::Broken(_) | BodyError::TooLarge(_) | BodyError::Late(..) => {
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
