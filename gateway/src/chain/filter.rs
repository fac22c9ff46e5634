//! A body that passes through a plugin chunk by chunk.
//!
//! Owns the order: each chunk is given to the hook when the receiver asks for more, and the next
//! one is read only when this one is on its way, so that backpressure holds from end to end. No
//! instance is held between two chunks.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::Run;
use super::held::{self, Decided, Decisions};
use super::keep::{Left, split};
use super::record::{Watched, returned};
use crate::body::{Body, BodyError};
use crate::plugin::bindings::{BodyChunk, ChunkOutcome};
use crate::plugin::instance::{Called, OnRequestChunk, OnResponseChunk};
use crate::plugin::{Alike, Asked, Failure};
use crate::recorder::Hook;

/// Which body of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Lets a body pass through the chunk hook of a plugin.
pub(super) fn wrap(run: &Rc<Run>, index: usize, side: Side, inner: Body) -> Body {
    Filter::new(run, index, side, inner, None).into_body()
}

/// A body on its way through the chunk hook of a plugin.
pub(super) struct Filter {
    plugin: Rc<Stage>,
    inner: Body,
    state: FilterState,
    /// Whether the hook is called where the body breaks off, once it is passed on.
    pub(super) calls_broken: bool,
}

struct Stage {
    run: Rc<Run>,
    index: usize,
    side: Side,
    /// What the hook decides of a response that it holds back, while it does.
    held: RefCell<Option<Box<Decisions>>>,
    /// Chunks that pass without a call, if there are any.
    alike: RefCell<Option<Passing>>,
}

/// Chunks that pass until the next call, and how much has passed since the last one.
struct Passing {
    alike: Box<Alike>,
    bytes: u64,
}

/// What is passed on in a chunk's place.
type Passed = Result<Bytes, BodyError>;

enum FilterState {
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
    /// It broke off, and the hook may end it.
    Broken(BodyError),
}

impl From<Next> for FilterState {
    fn from(next: Next) -> Self {
        match next {
            Next::More => Self::Reading,
            Next::Trailers(trailers) => Self::Trailers(trailers),
            Next::Nothing | Next::Broken(_) => Self::Ended,
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
            match std::mem::replace(&mut this.state, FilterState::Ended) {
                FilterState::Ended => return Poll::Ready(None),
                FilterState::Trailers(trailers) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                FilterState::Reading => {
                    let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
                        this.state = FilterState::Reading;
                        return Poll::Pending;
                    };
                    let (data, next) = match frame.transpose() {
                        Ok(frame) => this.split(frame),
                        Err(error) if this.takes_break() => (Bytes::new(), Next::Broken(error)),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    // A hook is shown no empty chunk but the last, and one that it asked for.
                    if data.is_empty() && matches!(next, Next::More) {
                        this.state = FilterState::Reading;
                        continue;
                    }
                    this.state = this.plugin.clone().see(data, next);
                }
                FilterState::Waiting(mut hook, next) => {
                    let Poll::Ready(passed) = hook.as_mut().poll(context) else {
                        this.state = FilterState::Waiting(hook, next);
                        return Poll::Pending;
                    };
                    this.state = FilterState::Seen(passed, next);
                }
                FilterState::Seen(Err(error), _) => return Poll::Ready(Some(Err(error))),
                FilterState::Seen(Ok(data), Next::Broken(error)) => {
                    if data.is_empty() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    this.plugin.ended(&error);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                FilterState::Seen(Ok(data), next) => {
                    this.state = next.into();
                    // Who holds a response back looks at each decision.
                    if !data.is_empty() || this.is_held() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, FilterState::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Filter {
    /// `held`: what the hook decides is wanted.
    pub(super) fn new(
        run: &Rc<Run>,
        index: usize,
        side: Side,
        inner: Body,
        held: Option<Box<Decisions>>,
    ) -> Self {
        let (held, alike) = (RefCell::new(held), RefCell::default());
        let stage = Stage { run: run.clone(), index, side, held, alike };
        let state = FilterState::Reading;
        Self { plugin: Rc::new(stage), inner, state, calls_broken: false }
    }

    pub(super) fn into_body(self) -> Body {
        Body::filtered(Box::pin(self))
    }

    /// Calls the hook while nothing has come, with a chunk that is empty. It runs if it is not running.
    pub(super) fn call_late(&mut self) {
        if let FilterState::Reading = self.state {
            self.state = self.plugin.clone().see(Bytes::new(), Next::More);
        }
    }

    /// Whether the hook has begun and waits for something.
    pub(super) fn is_in_hook(&self) -> bool {
        matches!(self.state, FilterState::Waiting(..))
    }

    /// Whether the hook is called for a body that has broken off now.
    fn takes_break(&mut self) -> bool {
        !self.is_held() && std::mem::take(&mut self.calls_broken)
    }

    fn is_held(&self) -> bool {
        self.plugin.held.borrow().is_some()
    }

    /// What the hook decided last of a response that it holds back.
    pub(super) fn decided(&self) -> Option<Decided> {
        self.plugin.held.borrow_mut().as_mut()?.last.take()
    }

    /// The response is held back no longer.
    pub(super) fn let_go(&self) {
        self.plugin.held.take();
    }

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

impl Run {
    /// Has the plugin that is called next see how much has passed it.
    pub(super) fn note_passed(&self, index: usize) {
        let passed = self.plugin_states.borrow()[index].passed;
        if self.heads.borrow().facts.passed != passed {
            self.change(|heads| heads.facts.passed = passed);
        }
    }
}

impl Stage {
    /// Gives a chunk to the hook. A hook that does not wait, and has an instance, has its outcome at
    /// once.
    fn see(self: Rc<Self>, data: Bytes, next: Next) -> FilterState {
        let last = !matches!(next, Next::More | Next::Broken(_));
        // The last one is never among them.
        if matches!(next, Next::More) && self.passes(&data) {
            return FilterState::Seen(Ok(data), next);
        }
        self.run.note_passed(self.index);
        let Some(ready) = self.run.pool(self.index).ready(self.run.flow(self.index)) else {
            return FilterState::Waiting(
                Box::pin(async move { self.call_later(data, last).await }),
                next,
            );
        };
        let (run, context) = (&self.run, self.run.context(self.index));
        let chunk = BodyChunk { data: &data, last };
        let mut watched = run.watch(self.index, self.hook());
        let called = match self.side {
            Side::Request => {
                ready.call::<OnRequestChunk>(run.heads_of(self.index), (chunk, &context))
            }
            Side::Response => {
                ready.call::<OnResponseChunk>(run.heads_of(self.index), (chunk, &context))
            }
        };
        returned(&mut watched);
        FilterState::Seen(self.finish(called, data, watched), next)
    }

    /// Whether a chunk is one that needs no call. A trace shows each call, and so has all of them made.
    fn passes(&self, data: &[u8]) -> bool {
        let mut alike = self.alike.borrow_mut();
        let Some(passing) = alike.as_mut() else { return false };
        let may_pass = self.held.borrow().is_none() && self.run.recording.is_none();
        let bytes = passing.alike.count(data).filter(|_| may_pass);
        let bytes = bytes.filter(|bytes| passing.bytes + bytes <= passing.alike.bytes);
        let Some(bytes) = bytes else {
            // The hook is called, and says anew what passes.
            *alike = None;
            return false;
        };
        passing.bytes += bytes;
        self.run.plugin_states.borrow_mut()[self.index].passed += bytes;
        true
    }

    /// The hook has ended a body that broke off: the exchange does not fail, and so the log has it from here.
    #[cold]
    fn ended(&self, error: &BodyError) {
        let heads = self.run.heads();
        let (plugin, request_id) = (self.name(), heads.facts.request_id());
        tracing::warn!(%plugin, request_id, fault = "upstream",
            "the response broke off, and the plugin has told the client so: {error}");
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

    fn span_hook(&self) -> Hook {
        match self.side {
            Side::Request => Hook::OnRequestChunk,
            Side::Response => Hook::OnResponseChunk,
        }
    }

    async fn call_later(&self, data: Bytes, last: bool) -> Passed {
        let (run, pool) = (&self.run, self.run.pool(self.index));
        let flow = run.flow(self.index);
        let context = run.context(self.index);
        let chunk = BodyChunk { data: &data, last };
        let mut watched = run.watch(self.index, self.hook());
        run.timeline.waits_in(self.index, self.span_hook());
        let heads = run.heads_of(self.index);
        let called = match self.side {
            Side::Request => pool.call::<OnRequestChunk>(flow, heads, (chunk, &context)).await,
            Side::Response => pool.call::<OnResponseChunk>(flow, heads, (chunk, &context)).await,
        };
        returned(&mut watched);
        self.finish(called, data, watched)
    }

    fn finish(
        &self,
        called: Result<Called<(ChunkOutcome,)>, Failure>,
        data: Bytes,
        watched: Option<Watched>,
    ) -> Passed {
        match called {
            Ok(called) => self.apply(called, data, watched),
            Err(failure) => {
                self.run.span_end(self.index, self.span_hook(), Err(&failure));
                self.run.note_end(self.index, watched, None, Err(&failure));
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
        let ((outcome,), mut left) = split(called);
        let decided = match left.slots.take() {
            None => Ok(()),
            Some(asked) => self.decide(asked, &outcome),
        };
        match outcome {
            ChunkOutcome::Next => self.pass(decided, (None, None), left, data, watched),
            ChunkOutcome::Change(change) => {
                self.pass(decided, (change.data, change.context), left, data, watched)
            }
            ChunkOutcome::Abort(why) => {
                self.put(Decided::Failed);
                self.run.span_cut(self.index, self.span_hook(), &why);
                self.run.note_cut(self.index, watched, &why);
                // The body ends either way.
                let _if_there_is_room = self.run.keep(self.index, left);
                let plugin = self.name();
                if let Some(why) = self.run.pool(self.index).plugin().record(self.hook(), &why) {
                    let heads = self.run.heads();
                    tracing::warn!(%plugin, request_id = heads.facts.request_id(),
                        fault = "plugin", "the plugin cut the body off: {why}");
                }
                Err(BodyError::Plugin(plugin))
            }
        }
    }

    /// What is passed on instead of a chunk, if what the hook leaves can be kept.
    fn pass(
        &self,
        decided: Result<(), Failure>,
        (new, context): (Option<Vec<u8>>, Option<Vec<u8>>),
        left: Left,
        data: Bytes,
        watched: Option<Watched>,
    ) -> Passed {
        let (run, index) = (&self.run, self.index);
        let length = new.as_ref().map(|new| (data.len(), new.len()));
        let kept = decided.and_then(|()| {
            let new = new.map(|new| run.pool(index).plugin().counted(new)).transpose()?;
            run.count(index, context.as_deref(), &left, &[], 0).map(|()| new)
        });
        match kept {
            Ok(new) => {
                run.timeline.changes(|changes| changes.body = new.is_some());
                run.span_end(index, self.span_hook(), Ok(()));
                run.note_end(index, watched, length, Ok(()));
                run.put(index, context, left, Vec::new());
                Ok(new.unwrap_or(data))
            }
            Err(failure) => {
                run.span_end(index, self.span_hook(), Err(&failure));
                run.note_end(index, watched, None, Err(&failure));
                self.fail(failure).map(|()| data)
            }
        }
    }

    fn fail(&self, failure: Failure) -> Result<(), BodyError> {
        let judged = self.run.apply_on_error(self.index, self.hook(), failure);
        self.put(if judged.is_ok() { Decided::LetGo } else { Decided::Failed });
        judged.map_err(|failed| BodyError::Plugin(failed.plugin))
    }

    /// Notes a decision, if one is wanted.
    fn put(&self, decided: Decided) {
        if let Some(held) = self.held.borrow_mut().as_mut() {
            held.last = Some(decided);
        }
    }

    /// What the hook wants of the response that it holds back.
    #[cold]
    fn decide(&self, mut asked: Box<Asked>, outcome: &ChunkOutcome) -> Result<(), Failure> {
        if let Some(alike) = asked.alike.take() {
            *self.alike.borrow_mut() = Some(Passing { alike, bytes: 0 });
        }
        let is_held = self.held.borrow().is_some();
        if !is_held || matches!(outcome, ChunkOutcome::Abort(_)) {
            return Ok(());
        }
        let (of_held, settled) = (asked.response.take().unwrap_or_default(), asked.settled());
        let decided = held::decide(&self.run, self.index, *of_held, asked)?;
        self.run.settle(self.index, settled);
        if let Some(decided) = decided {
            self.put(decided);
        }
        Ok(())
    }
}
