//! A request body that may be sent more than once.
//!
//! Owns the pieces that were read of it, up to a bound of its own and within that of the process. They are
//! shared with what is sent, and not copied. Over a bound they are let go: the body then passes once, as if
//! nobody had kept it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError};
use crate::memory_quota::MemoryQuota;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// See the module. Dropped, it keeps nothing more.
#[derive(Debug)]
pub(crate) struct Replay(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    source: Body,
    /// Whether its length was known.
    is_sized: bool,
    kept: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// What is kept counts here.
    quota: Arc<MemoryQuota>,
    held: usize,
    limit: usize,
    keeps: bool,
    /// All that was read is kept.
    is_whole: bool,
    /// Its end was read.
    is_over: bool,
    /// The client is waited for.
    is_starved: bool,
    /// Which of those who read it may still do so.
    turn: usize,
    waker: Option<Waker>,
}

/// The body, from its beginning.
struct Reader {
    state: Rc<RefCell<State>>,
    turn: usize,
    next: usize,
}

impl Replay {
    /// Keeps up to so many bytes.
    pub(crate) fn new(source: Body, limit: usize, quota: &Arc<MemoryQuota>) -> Self {
        let hint = source.size_hint();
        let fits = hint.lower() <= limit as u64;
        Self(Rc::new(RefCell::new(State {
            source,
            is_sized: hint.exact().is_some(),
            kept: Vec::new(),
            trailers: None,
            quota: Arc::clone(quota),
            held: 0,
            limit,
            keeps: fits,
            is_whole: fits,
            is_over: false,
            is_starved: false,
            turn: 0,
            waker: None,
        })))
    }

    /// The body from its beginning; whoever reads it so far is cut off. Only the first time it need not be
    /// [whole](Self::is_whole).
    pub(crate) fn read(&self) -> Body {
        let mut state = self.0.borrow_mut();
        state.turn += 1;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Body::filtered(Box::pin(Reader { state: Rc::clone(&self.0), turn: state.turn, next: 0 }))
    }

    /// Whether it can be read once more.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.borrow().is_whole
    }

    /// Whether all of it was read, and is kept: to read it once more waits for nobody.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.0.borrow();
        state.is_whole && (state.is_over || state.source.is_end_stream())
    }

    /// Whether whoever reads it waits for the client.
    pub(crate) fn is_starved(&self) -> bool {
        self.0.borrow().is_starved
    }

    /// Nothing more is kept: it is read for the last time.
    pub(crate) fn settle(&self) {
        self.0.borrow_mut().keeps = false;
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.settle();
    }
}

impl State {
    /// Keeps a piece that was read, if there is room for it.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if !self.keeps {
            return self.let_go();
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        let Some(data) = frame.data_ref() else { return };
        if self.held + data.len() > self.limit || !self.quota.take_spare(data.len()) {
            self.keeps = false;
            tracing::debug!(limit = self.limit, "the request body is not kept for another attempt");
            return self.let_go();
        }
        self.held += data.len();
        self.kept.push(data.clone());
    }

    fn let_go(&mut self) {
        self.is_whole = false;
        self.kept = Vec::new();
        self.quota.give(std::mem::take(&mut self.held));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.quota.give(self.held);
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let state = &mut *this.state.borrow_mut();
        if state.turn != this.turn {
            return Poll::Ready(Some(Err(BodyError::Broken("it is sent again".into()))));
        }
        if let Some(data) = state.kept.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if let Some(trailers) = &state.trailers {
            let trailers = (this.next == state.kept.len()).then(|| trailers.clone());
            this.next = state.kept.len() + 1;
            return Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))));
        }
        let polled = Pin::new(&mut state.source).poll_frame(context);
        state.is_starved = polled.is_pending();
        match &polled {
            Poll::Pending => state.waker = Some(context.waker().clone()),
            Poll::Ready(Some(Ok(frame))) => {
                state.keep(frame);
                this.next = state.kept.len() + usize::from(frame.is_trailers());
            }
            Poll::Ready(Some(Err(_))) => state.let_go(),
            Poll::Ready(None) => state.is_over = true,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.borrow();
        let has_trailers = state.trailers.is_some() && self.next <= state.kept.len();
        self.next >= state.kept.len() && !has_trailers && state.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.borrow();
        let left = state.kept.iter().skip(self.next).map(Bytes::len).sum::<usize>() as u64;
        let rest = state.source.size_hint();
        match rest.exact() {
            Some(rest) if state.is_sized => SizeHint::with_exact(rest + left),
            _ => {
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + left);
                hint
            }
        }
    }
}
