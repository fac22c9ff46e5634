//! Watching a request's body on its way out.
//!
//! Owns the knowledge of how far a request body is, which the bound on the response's first byte
//! needs, and of the error by which it failed, which its connection knows nothing of. A
//! request without a body is not watched and costs nothing.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::timer::{Deadline, Timers};

/// A request's body for a connection that has its own task.
pub(super) struct TrackedBody<B: Body> {
    body: B,
    watch: Option<Watch<B>>,
    /// Until when it is held back.
    timeout: Option<Deadline>,
    kept: Kept,
}

/// What was taken out of a body, as long as it can be put back.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    One(Bytes),
    More(Vec<Bytes>, usize),
    TooMuch,
}

/// Bytes of a body that are kept until there is a response, at most. A target that says goodbye may not
/// have processed what was on its way to it.
const MOST_KEPT: usize = 64 << 10;

impl Kept {
    fn push(&mut self, frame: &Frame<Bytes>) {
        if matches!(self, Self::TooMuch) {
            return;
        }
        let Some(data) = frame.data_ref() else {
            *self = Self::TooMuch;
            return;
        };
        *self = match std::mem::take(self) {
            Self::Nothing if data.len() <= MOST_KEPT => Self::One(data.clone()),
            Self::One(first) if first.len() + data.len() <= MOST_KEPT => {
                let length = first.len() + data.len();
                Self::More(vec![first, data.clone()], length)
            }
            Self::More(mut list, length) if length + data.len() <= MOST_KEPT => {
                list.push(data.clone());
                Self::More(list, length + data.len())
            }
            _ => Self::TooMuch,
        };
    }

    fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Nothing => Some(Bytes::new()),
            Self::One(data) => Some(data),
            Self::More(list, _) => Some(list.concat().into()),
            Self::TooMuch => None,
        }
    }
}

/// A body that can be made of what was read of it and the rest.
pub trait Resume: Body + Sized {
    /// See the trait.
    #[must_use]
    fn resumed(read: Bytes, rest: Self) -> Self;
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
    /// What was taken out of the body, for a connection that may turn out to be closed.
    kept: RefCell<Kept>,
}

/// Looks on while this body is sent.
pub(super) fn watch<B: Body>(body: &B, timers: &Timers) -> Option<Watch<B>> {
    (!body.is_end_stream()).then(|| {
        Rc::new(Progress {
            timers: timers.clone(),
            last: Cell::new(timers.now()),
            starved: Cell::new(false),
            failure: RefCell::new(None),
            kept: RefCell::new(Kept::TooMuch),
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
        if let Some(Ok(frame)) = &frame {
            progress.kept.borrow_mut().push(frame);
        }
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

    /// How long the target has been the one that is waited for.
    pub(super) fn waited_for_target(&self) -> Option<Duration> {
        let since = self.waiting_for_target_since()?;
        Some(self.timers.now().saturating_duration_since(since))
    }

    /// The error by which the body failed, once.
    pub(super) fn take_failure(&self) -> Option<E> {
        self.failure.take()
    }

    /// Keeps what is taken out of the body from now on.
    pub(super) fn keep(&self) {
        self.kept.replace(Kept::Nothing);
    }

    /// Keeps nothing any more.
    pub(super) fn keep_no_more(&self) {
        self.kept.replace(Kept::TooMuch);
    }

    /// Puts back what was taken out of the body. Whether that was possible.
    pub(super) fn put_back<B: Resume + Default>(&self, body: &mut B) -> bool {
        let kept = self.kept.replace(Kept::TooMuch).into_bytes();
        if let Some(read) = kept.as_ref().filter(|read| !read.is_empty()) {
            *body = B::resumed(read.clone(), std::mem::take(body));
        }
        kept.is_some()
    }

    /// A deadline on the same clock.
    pub(super) fn after(&self, duration: Duration) -> Deadline {
        self.timers.after(duration)
    }

    fn advance(&self) {
        self.last.set(self.timers.now());
    }
}

impl<B: Body> TrackedBody<B> {
    pub(super) fn new(body: B, watch: Option<Watch<B>>, timeout: Option<Deadline>) -> Self {
        Self { body, watch, timeout, kept: Kept::Nothing }
    }

    /// Whether the body waits for the target to ask for it.
    pub(super) fn is_held(&self) -> bool {
        self.timeout.is_some()
    }

    /// The target asks for the body.
    pub(super) fn go_on(&mut self) {
        self.timeout = None;
    }

    /// There is a response: nothing is put back any more.
    pub(super) fn keep_no_more(&mut self) {
        self.kept = Kept::TooMuch;
    }

    /// The body as it was before anything was taken out of it, unless that was too much.
    pub(super) fn put_back(self) -> Option<B>
    where
        B: Resume,
    {
        let read = self.kept.into_bytes()?;
        Some(if read.is_empty() { self.body } else { B::resumed(read, self.body) })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        let this = self.get_mut();
        if let Some(timeout) = &mut this.timeout {
            ready!(Pin::new(timeout).poll(context));
            this.timeout = None;
        }
        let polled = poll_frame(&mut this.body, this.watch.as_ref(), context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.kept.push(frame);
        }
        polled
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
