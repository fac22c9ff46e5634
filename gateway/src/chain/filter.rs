//! A body that passes through a plugin chunk by chunk.
//!
//! Owns the order: each chunk is given to the hook when the receiver asks for more, and the next
//! one is read only when this one is on its way, so that backpressure holds from end to end. No
//! instance is held between two chunks.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::Run;
use super::record::{Watched, returned};
use crate::body::{Body, BodyError};
use crate::plugin::Failure;
use crate::plugin::bindings::{BodyChunk, ChunkOutcome};
use crate::plugin::instance::{Called, OnRequestChunk, OnResponseChunk};

/// Which body of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Lets a body pass through the chunk hook of a plugin.
pub(super) fn wrap(run: &Rc<Run>, index: usize, side: Side, inner: Body) -> Body {
    let filter = Filter {
        plugin: Rc::new(Stage { run: run.clone(), index, side }),
        inner,
        state: State::Reading,
    };
    Body::filtered(Box::pin(filter))
}

struct Filter {
    plugin: Rc<Stage>,
    inner: Body,
    state: State,
}

struct Stage {
    run: Rc<Run>,
    index: usize,
    side: Side,
}

/// What goes on in a chunk's place.
type Passed = Result<Bytes, BodyError>;

enum State {
    /// The next chunk is to be read.
    Reading,
    /// The hook waits for something.
    Waiting(Pin<Box<dyn Future<Output = Passed>>>, Next),
    /// The hook is done.
    Seen(Passed, Next),
    /// The last chunk is on its way, and these come behind it.
    Trailers(HeaderMap),
    /// Nothing comes any more.
    Ended,
}

/// What follows on a chunk.
enum Next {
    More,
    Trailers(HeaderMap),
    Nothing,
}

impl From<Next> for State {
    fn from(next: Next) -> Self {
        match next {
            Next::More => Self::Reading,
            Next::Trailers(trailers) => Self::Trailers(trailers),
            Next::Nothing => Self::Ended,
        }
    }
}

impl http_body::Body for Filter {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Trailers(trailers) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                State::Reading => {
                    let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
                        this.state = State::Reading;
                        return Poll::Pending;
                    };
                    let (data, next) = match frame.transpose() {
                        Ok(frame) => this.split(frame),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    this.state = this.plugin.clone().see(data, next);
                }
                State::Waiting(mut hook, next) => {
                    let Poll::Ready(passed) = hook.as_mut().poll(context) else {
                        this.state = State::Waiting(hook, next);
                        return Poll::Pending;
                    };
                    this.state = State::Seen(passed, next);
                }
                State::Seen(Err(error), _) => return Poll::Ready(Some(Err(error))),
                State::Seen(Ok(data), next) => {
                    this.state = next.into();
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Filter {
    /// A frame as a chunk, and what follows on it.
    fn split(&self, frame: Option<Frame<Bytes>>) -> (Bytes, Next) {
        let Some(frame) = frame else { return (Bytes::new(), Next::Nothing) };
        match frame.into_data() {
            Ok(data) if self.inner.is_end_stream() => (data, Next::Nothing),
            Ok(data) => (data, Next::More),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => (Bytes::new(), Next::Trailers(trailers)),
                Err(_) => (Bytes::new(), Next::More),
            },
        }
    }
}

impl Stage {
    /// Gives a chunk to the hook. A hook that does not wait has its outcome at once.
    fn see(self: Rc<Self>, data: Bytes, next: Next) -> State {
        let last = !matches!(next, Next::More);
        if self.run.pool(self.index).plugin().may_wait() {
            return State::Waiting(Box::pin(async move { self.call(data, last).await }), next);
        }
        let mut call = pin!(self.call(data, last));
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(passed) => State::Seen(passed, next),
            // Only a plugin without a single instance of its own could come here.
            Poll::Pending => State::Seen(Err(BodyError::Plugin(self.name())), next),
        }
    }

    fn name(&self) -> Arc<str> {
        self.run.pool(self.index).plugin().name.clone()
    }

    fn hook(&self) -> &'static str {
        match self.side {
            Side::Request => "on-request-chunk",
            Side::Response => "on-response-chunk",
        }
    }

    async fn call(&self, data: Bytes, last: bool) -> Passed {
        let (run, pool) = (&self.run, self.run.pool(self.index));
        let context = run.context(self.index);
        let chunk = BodyChunk { data: &data, last };
        let mut watched = run.watch(self.index, self.hook());
        let heads = run.heads();
        let called = match self.side {
            Side::Request => pool.call::<OnRequestChunk>(heads, (chunk, &context)).await,
            Side::Response => pool.call::<OnResponseChunk>(heads, (chunk, &context)).await,
        };
        returned(&mut watched);
        match called {
            Ok(called) => self.apply(called, data, watched),
            Err(failure) => {
                run.note_end(self.index, watched, None, Err(&failure));
                self.fail(failure).map(|()| data)
            }
        }
    }

    fn apply(
        &self,
        called: Called<(ChunkOutcome,)>,
        data: Bytes,
        watched: Option<Watched>,
    ) -> Passed {
        self.run.keep_attributes(called.attributes);
        match called.results.0 {
            ChunkOutcome::Next => {
                self.run.note_end(self.index, watched, None, Ok(()));
                Ok(data)
            }
            ChunkOutcome::Change(change) => {
                let body = change.data.as_ref().map(|new| (data.len(), new.len()));
                self.run.note_end(self.index, watched, body, Ok(()));
                self.run.keep_context(self.index, change.context);
                Ok(change.data.map_or(data, Bytes::from))
            }
            ChunkOutcome::Abort(why) => {
                self.run.note_cut(self.index, watched, &why);
                let plugin = self.name();
                let heads = self.run.heads();
                tracing::warn!(%plugin, request_id = heads.facts.request_id(), fault = "plugin",
                    "the plugin cut the body off: {why}");
                Err(BodyError::Plugin(plugin))
            }
        }
    }

    fn fail(&self, failure: Failure) -> Result<(), BodyError> {
        let judged = self.run.judge(self.index, self.hook(), failure);
        judged.map_err(|failed| BodyError::Plugin(failed.plugin))
    }
}
