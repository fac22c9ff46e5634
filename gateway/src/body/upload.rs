//! A request body on its way from the client to the upstream.
//!
//! Owns the size limit, the idle timeout of the client and the count of its bytes. A body that
//! breaks a rule ends in an error here, which aborts the request to the upstream, and leaves the
//! reason with the exchange, which answers the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;

use super::BodyError;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::timer::Deadline;
use crate::trace::Trace;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What is watched of a request body.
pub(crate) struct Upload {
    exchange: Rc<Exchange>,
    limit: Option<u64>,
    idle: Duration,
    /// Made when the client is first waited for.
    deadline: Option<Deadline>,
    waiting: bool,
}

impl Upload {
    /// At most `limit` bytes, with at most `idle` between two of them.
    pub(crate) fn new(exchange: Rc<Exchange>, limit: Option<u64>, idle: Duration) -> Self {
        Self { exchange, limit, idle, deadline: None, waiting: false }
    }

    pub(super) fn observe(
        &mut self,
        polled: Polled,
        is_last: bool,
        context: &mut Context<'_>,
    ) -> Polled {
        match polled {
            Poll::Pending => self.wait(context),
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                if is_last || frame.is_trailers() {
                    self.ended();
                }
                Poll::Ready(Some(self.admit(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.waiting = false;
                self.exchange.upload_failed(Failure::ClientLeft(Some(Box::new(Broken))));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.ended();
                Poll::Ready(None)
            }
        }
    }

    fn ended(&self) {
        self.exchange.connection.uploading(false);
        if let Some(recording) = &self.exchange.recording {
            recording.write(Trace::body_complete);
        }
    }

    fn admit(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let Some(data) = frame.data_ref() else {
            return Ok(frame);
        };
        if let Some(recording) = &self.exchange.recording {
            recording.write(|trace| trace.body_piece(data));
        }
        let total = self.exchange.count_upload(data.len());
        match self.limit {
            Some(limit) if total > limit => {
                self.exchange.upload_failed(Failure::BodyTooLarge { limit });
                Err(BodyError::TooLarge(limit))
            }
            _ => Ok(frame),
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Polled {
        let idle = self.idle;
        let timers = self.exchange.timers();
        let deadline = self.deadline.get_or_insert_with(|| timers.after(idle));
        if !std::mem::replace(&mut self.waiting, true) {
            deadline.reset(idle);
        }
        if Pin::new(deadline).poll(context).is_pending() {
            return Poll::Pending;
        }
        self.exchange.upload_failed(Failure::UploadStalled);
        Poll::Ready(Some(Err(BodyError::Stalled)))
    }
}

/// The cause of a failure in the client's own body: hyper's words for it add nothing.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
struct Broken;
