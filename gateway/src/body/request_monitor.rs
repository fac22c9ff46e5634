//! A request body on its way from the client to the upstream.
//!
//! Owns the size limit, the idle timeout of the client and the count of its bytes. A body that
//! breaks a rule ends in an error here, which aborts the request to the upstream, and leaves the
//! reason with the exchange, which answers the client.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;

use super::{BodyError, Observer};
use crate::config::ListenerLimits;
use crate::error::{Failure, Malformed};
use crate::timer::Deadline;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// Monitors a request body.
pub(crate) struct RequestBodyMonitor {
    observer: Rc<dyn Observer>,
    limit: Option<u64>,
    idle: Duration,
    rate: Option<Rate>,
    /// Made when the client is first waited for.
    deadline: Option<Deadline>,
    waiting: bool,
}

/// How fast a client must send. Only the time counts in which the gateway waits for it.
struct Rate {
    /// Bytes a second, not zero.
    least: u64,
    grace: Duration,
    waited: Duration,
    waits_since: Instant,
    /// The deadline is that of the rate, and not that of silence.
    is_next: bool,
}

/// What a body that gives its length must come up to, where nothing else is said: no network is so
/// slow, and a slower client holds a connection for long at no cost. A body without a length may be a
/// stream that has nothing to say for a while.
const DEFAULT_RATE: u64 = 240;

impl Rate {
    fn new(
        limits: &ListenerLimits,
        grace: Duration,
        gives_length: bool,
        now: Instant,
    ) -> Option<Self> {
        let least = limits.body_rate.unwrap_or(if gives_length { DEFAULT_RATE } else { 0 });
        let rate = Self { least, grace, waited: Duration::ZERO, waits_since: now, is_next: false };
        (least > 0).then_some(rate)
    }

    /// How long the client may still be waited for after so many bytes.
    fn timeout(&self, sent: u64) -> Duration {
        let earned = Duration::from_millis(sent.saturating_mul(1000) / self.least);
        self.grace.saturating_add(earned).saturating_sub(self.waited)
    }
}

impl RequestBodyMonitor {
    /// At most `limit` bytes, in the time that the listener gives for them.
    pub(crate) fn new(observer: Rc<dyn Observer>, limit: Option<u64>, gives_length: bool) -> Self {
        let listener = &observer.downstream().facts().listener.config;
        let (idle, grace) = (listener.timeouts.idle, listener.timeouts.body_grace);
        let rate = Rate::new(&listener.limits, grace, gives_length, observer.timers().now());
        Self { observer, limit, idle, rate, deadline: None, waiting: false }
    }

    pub(super) fn observe(
        &mut self,
        polled: Polled,
        is_last: bool,
        context: &mut Context<'_>,
    ) -> Polled {
        self.observer.upload_polled();
        match polled {
            Poll::Pending => self.wait(context),
            Poll::Ready(Some(Ok(mut frame))) => {
                self.waited();
                if let Some(trailers) = frame.trailers_mut() {
                    self.observer.filter_upload_trailers(trailers);
                    if trailers.is_empty() {
                        self.observer.upload_ended();
                        return Poll::Ready(None);
                    }
                }
                if is_last || frame.is_trailers() {
                    self.observer.upload_ended();
                }
                Poll::Ready(Some(self.admit(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.waiting = false;
                let failure = match is_malformed(&error) {
                    true => Failure::Malformed(Malformed::Chunks),
                    false => Failure::ClientLeft(Some(Box::new(Broken))),
                };
                self.observer.upload_failed(failure);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.observer.upload_ended();
                Poll::Ready(None)
            }
        }
    }

    fn admit(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let Some(data) = frame.data_ref() else {
            return Ok(frame);
        };
        let total = self.observer.upload_data(data);
        match self.limit {
            Some(limit) if total > limit => {
                self.observer.upload_failed(Failure::BodyTooLarge { limit });
                Err(BodyError::TooLarge(limit))
            }
            _ => Ok(frame),
        }
    }

    /// The client is not waited for any more.
    fn waited(&mut self) {
        if std::mem::replace(&mut self.waiting, false)
            && let Some(rate) = &mut self.rate
        {
            let now = self.observer.timers().now();
            rate.waited += now.saturating_duration_since(rate.waits_since);
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Polled {
        let mut timeout = self.idle;
        let timers = self.observer.timers();
        if !self.waiting
            && let Some(rate) = &mut self.rate
        {
            let left = rate.timeout(self.observer.upload_bytes());
            rate.waits_since = timers.now();
            rate.is_next = left < timeout;
            timeout = timeout.min(left);
        }
        let deadline = self.deadline.get_or_insert_with(|| timers.after(timeout));
        if !std::mem::replace(&mut self.waiting, true) {
            deadline.reset(timeout);
        }
        loop {
            if Pin::new(&mut *deadline).poll(context).is_pending() {
                return Poll::Pending;
            }
            match &mut self.rate {
                // What is answered already may go both ways at its own pace.
                Some(rate) if rate.is_next && self.observer.is_answered() => {
                    self.rate = None;
                    deadline.reset(self.idle);
                }
                Some(rate) if rate.is_next => {
                    self.observer.upload_failed(Failure::UploadTooSlow { least: rate.least });
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
                _ => {
                    self.observer.upload_failed(Failure::UploadStalled);
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
            }
        }
    }
}

/// Whether the client sent something else than a body, rather than nothing.
fn is_malformed(error: &BodyError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput);
        }
        cause = error.source();
    }
    false
}

/// The cause of a failure in the client's own body: hyper's words for it add nothing.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
struct Broken;
