//! Watching a request's body on its way out.
//!
//! Owns the knowledge of how far a request body is, which the bound on the response's first byte
//! needs, and of the error by which it failed, which hyper would turn into one of its own. A
//! request without a body is not watched and costs nothing.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::timer::Timers;

/// A request's body as the connection gets it.
pub(super) struct Outgoing<B: Body> {
    /// `None` once somebody else sends the rest of it.
    body: Option<B>,
    watch: Option<Rc<Progress<B::Error>>>,
}

/// How far a request's body is.
#[derive(Debug)]
pub(super) struct Progress<E> {
    timers: Timers,
    /// When the connection last took a frame of it, or came to its end.
    last: Cell<Instant>,
    /// Whether the connection would take more and the body has none yet.
    starved: Cell<bool>,
    failure: RefCell<Option<E>>,
}

impl<E> Progress<E> {
    /// When the target became the one that is waited for, or `None` while it still waits for the
    /// client, who is somebody else's business.
    pub(super) fn waiting_for_target_since(&self) -> Option<Instant> {
        (!self.starved.get()).then(|| self.last.get())
    }

    /// The error by which the body failed, once.
    pub(super) fn take_failure(&self) -> Option<E> {
        self.failure.take()
    }

    fn advance(&self) {
        self.last.set(self.timers.now());
    }
}

impl<B: Body> Outgoing<B> {
    pub(super) fn new(body: B, timers: &Timers) -> Self {
        let watch = (!body.is_end_stream()).then(|| {
            Rc::new(Progress {
                timers: timers.clone(),
                last: Cell::new(timers.now()),
                starved: Cell::new(false),
                failure: RefCell::new(None),
            })
        });
        Self { body: Some(body), watch }
    }

    /// The rest of it, to be sent by somebody else.
    pub(super) fn take(&mut self) -> Self {
        Self { body: self.body.take(), watch: self.watch.clone() }
    }

    /// Whether there was anything to send.
    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// How far it is; `None` when there is nothing to send.
    pub(super) fn progress(&self) -> Option<Rc<Progress<B::Error>>> {
        self.watch.clone()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        let Some(progress) = &self.watch else {
            return polled.map_err(|_| BodyFailed);
        };
        progress.starved.set(polled.is_pending());
        polled.map(|frame| {
            progress.advance();
            frame.map(|result| {
                result.map_err(|error| {
                    progress.failure.replace(Some(error));
                    BodyFailed
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Stands for the body's error, which [`Progress`] keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyFailed;

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body failed")
    }
}

impl Error for BodyFailed {}
