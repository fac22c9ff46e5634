//! The bodies of a request to a component and of its response.
//!
//! Owns the way of the client's bytes into the guest, and of the guest's to the client: the guest
//! runs while its response is polled. A response that the guest did not finish never looks whole.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use send_wrapper::SendWrapper;
use wasmtime_wasi_http::WasiBody;

use super::Component;
use super::answer::kind;
use super::running::{Remainders, Running};
use crate::body::{Body, BodyError};
use crate::error::ComponentError;
use crate::timer::{Deadline, Timers};

/// A request body that stays on the worker's thread, no matter what the types of the host's functions say.
pub(super) struct RequestBody(SendWrapper<Watched>);

struct Watched {
    body: Body,
    progress: Rc<Progress>,
}

/// How far the request has come, for the bound on the response's first byte.
#[derive(Debug)]
pub(super) struct Progress {
    timers: Timers,
    client_is_next: Cell<bool>,
    since: Cell<Instant>,
}

impl RequestBody {
    pub(super) fn new(body: Body, timers: &Timers) -> (Self, Rc<Progress>) {
        let since = Cell::new(timers.now());
        let timers = timers.clone();
        let progress = Rc::new(Progress { timers, client_is_next: Cell::new(false), since });
        (Self(SendWrapper::new(Watched { body, progress: Rc::clone(&progress) })), progress)
    }
}

impl Progress {
    /// What is left of the time for the first byte, since the client's last one was handed over.
    pub(super) fn left(&self, timeout: Duration) -> Duration {
        if self.client_is_next.get() {
            return timeout;
        }
        timeout.saturating_sub(self.timers.now().saturating_duration_since(self.since.get()))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Watched { body, progress } = &mut *self.get_mut().0;
        let polled = Pin::new(body).poll_frame(context);
        progress.client_is_next.set(polled.is_pending());
        if polled.is_ready() {
            progress.since.set(progress.timers.now());
        }
        polled.map_err(|error| match error {
            BodyError::TooLarge(limit) => Self::Error::HttpRequestBodySize(Some(limit)),
            _ => Self::Error::ConnectionTerminated,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.body.is_end_stream()
    }
}

/// A response body, with the guest that makes it.
pub(super) struct ResponseBody {
    pub(super) component: Arc<Component>,
    pub(super) body: WasiBody,
    /// `None` when the guest has returned.
    pub(super) guest: Option<Running>,
    /// For a guest that continues when its response has ended.
    pub(super) remainders: Remainders,
    /// What is left of the length in the head.
    pub(super) length: Option<u64>,
    pub(super) silence: Silence,
}

/// Bounds the time between two bytes of a response.
pub(super) struct Silence {
    pub(super) timers: Timers,
    pub(super) idle: Duration,
    /// Made when the guest is first waited for.
    pub(super) deadline: Option<Deadline>,
    pub(super) waiting: bool,
}

impl Silence {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let deadline = self.deadline.get_or_insert_with(|| self.timers.after(idle));
        if !std::mem::replace(&mut self.waiting, true) {
            deadline.reset(idle);
        }
        Pin::new(deadline).poll(context)
    }
}

impl ResponseBody {
    fn poll_guest(&mut self, context: &mut Context<'_>) -> Result<(), ComponentError> {
        let Some(guest) = &mut self.guest else { return Ok(()) };
        if let Poll::Ready(ended) = Pin::new(guest).poll(context) {
            self.guest = None;
            ended?;
        }
        Ok(())
    }

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ComponentError>>> {
        self.poll_guest(context)?;
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silence.waiting = false;
                Poll::Ready(Some(self.pass(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(ComponentError::Invalid(
                "its body is not as long as its content-length says",
            )))),
            Poll::Ready(None) if self.length.is_some_and(|left| left > 0) => Poll::Ready(Some(
                Err(ComponentError::Invalid("its body is shorter than its content-length says")),
            )),
            Poll::Ready(None) => {
                self.let_go();
                Poll::Ready(None)
            }
            Poll::Pending => match self.silence.poll(context) {
                Poll::Ready(()) => {
                    Poll::Ready(Some(Err(ComponentError::Stalled(self.silence.idle))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, ComponentError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(left) = &mut self.length {
            *left = left.checked_sub(bytes).ok_or(ComponentError::Invalid(
                "its body is longer than its content-length says",
            ))?;
        }
        if frame.is_trailers() {
            self.let_go();
        }
        Ok(frame)
    }

    /// The response is complete; the guest may continue for a while.
    fn let_go(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.remainders.take_over(guest);
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = this.poll_data(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            this.guest = None;
            this.component.metrics.failed(kind(error));
        }
        polled.map_err(|cause| BodyError::Component {
            component: Arc::clone(&this.component.name),
            cause: Arc::new(cause),
        })
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body of a known length is not asked for its end.
        if self.length == Some(0) {
            self.let_go();
        }
    }
}
