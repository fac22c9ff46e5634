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

/// A request's body for a connection that has a task of its own.
pub(super) struct Outgoing<B: Body> {
    body: B,
    watch: Option<Watch<B>>,
}

/// Who looks on while a body is sent; nobody, if there is none.
pub(super) type Watch<B> = Rc<Progress<<B as Body>::Error>>;

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

/// Looks on while this body is sent.
pub(super) fn watch<B: Body>(body: &B, timers: &Timers) -> Option<Watch<B>> {
    (!body.is_end_stream()).then(|| {
        Rc::new(Progress {
            timers: timers.clone(),
            last: Cell::new(timers.now()),
            starved: Cell::new(false),
            failure: RefCell::new(None),
        })
    })
}

/// The next frame of a body, under the eyes of its watch.
pub(super) fn poll_frame<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    watch: Option<&Watch<B>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
    let polled = Pin::new(body).poll_frame(context);
    let Some(progress) = watch else {
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
    pub(super) fn new(body: B, watch: Option<Watch<B>>) -> Self {
        Self { body, watch }
    }

    /// The body, which was not begun.
    pub(super) fn into_inner(self) -> B {
        self.body
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        let this = self.get_mut();
        poll_frame(&mut this.body, this.watch.as_ref(), context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
