//! HTTP/1.1 to a target: one request at a time over one connection.
//!
//! Owns the connection, what was read of it and not yet used, and whether it can serve again.
//! The caller that waits for the response drives the connection: there is no task and no channel between
//! them, which were a fifth of what a proxied request cost. Only a request whose response begins
//! before it has ended goes on in its own task. Must not know of pools, timeouts or retries.

mod chunked;
mod encode;
#[cfg(test)]
mod fuzz;
mod io;
mod parse;
mod response;
mod send;
mod switched;
mod upload;

use std::cell::{RefCell, RefMut};
use std::io::{Error as IoError, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::task::AbortHandle;

pub(super) use self::io::Io;
use self::io::News;
pub(crate) use self::response::ResponseBody;
pub(super) use self::send::{Sent, head_of, send};
pub(crate) use self::switched::Switched;
use super::connect::Ends;
use super::error::Excess;
use super::gauge::Counted;
use crate::config::UpstreamLimits;
use crate::timer::TICK;

/// Bytes of the trailers of a response, at most.
const MAX_TRAILER_BYTES: usize = 64 * 1024;

/// Who closes an idle connection over a request does so within this. One that takes longer has begun to serve it, mostly.
const MOST_DELAY: Duration = Duration::from_secs(1);

/// A connection to a target. Its pool, its exchange and the body of its response share it.
#[derive(Debug)]
pub(super) struct Http1Connection {
    state: RefCell<ConnectionState>,
    counted: Counted,
    /// When it takes no further request.
    ends: Ends,
}

#[derive(Debug)]
struct ConnectionState {
    io: Io,
    /// What was read and is not used yet.
    input: Bytes,
    limits: UpstreamLimits,
    /// A response is expected, or not read to its end.
    is_reading: bool,
    /// The task that sends what is left of a request whose response has begun.
    upload: Option<AbortHandle>,
    /// The upload has moved since somebody looked.
    moves: bool,
    /// Whether another request may follow.
    is_reusable: bool,
    /// The last response has no body by its kind, and some servers send one anyway.
    is_doubtful: bool,
    /// So had one before it.
    was_doubtful: bool,
    /// The head of the last one says that there is a body, or may be.
    has_promised: bool,
    /// Something came that nobody asked for.
    has_spoken: bool,
    /// The target has ended it while it was idle.
    has_ended: bool,
    /// What was written before the request that is on its way, in bytes.
    begins_at: u64,
    /// How long the target keeps it idle, in seconds, where it has said so.
    idle: Option<u32>,
    /// The request broke off behind its response's back: the response is not to be trusted.
    is_broken: bool,
    /// Who waits for the response while the request is still sent.
    reader: Option<Waker>,
}

/// Why an exchange over HTTP/1.1 failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The connection ended before the head, or within it.
    #[error("the connection was closed before the end of the response's head")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What came is no response.
    #[error("{0}")]
    Malformed(&'static str),
    /// The head is larger than it may be.
    #[error("{0}")]
    TooLarge(Excess),
    /// The beginning of the body, which came with the head, is none.
    #[error(transparent)]
    Body(Box<BodyError>),
    /// The request's own body failed; it knows why.
    #[error("the request's body failed")]
    RequestBody,
}

/// Why a response body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the connection was closed before the end of the body")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] IoError),
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the request it answers broke off")]
    RequestBroke,
}

impl Http1Connection {
    pub(super) fn new(io: Io, limits: UpstreamLimits, counted: Counted, ends: Ends) -> Rc<Self> {
        let state = ConnectionState {
            io,
            input: Bytes::new(),
            limits,
            is_reading: false,
            upload: None,
            moves: false,
            is_reusable: true,
            is_doubtful: false,
            was_doubtful: false,
            has_promised: false,
            has_spoken: false,
            has_ended: false,
            begins_at: 0,
            idle: None,
            is_broken: false,
            reader: None,
        };
        Rc::new(Self { state: RefCell::new(state), counted, ends })
    }

    /// Whether it waits for a request from now on, for who counts that.
    pub(super) fn waits(&self, waits: bool) {
        self.counted.is_idle(waits);
    }

    /// Whether it is as old as it may become, or goes to an address that is gone.
    pub(super) fn is_too_old(&self, now: Instant) -> bool {
        self.ends.has_come(now)
    }

    /// Whether a request can be sent: the last exchange is over, and nothing has come since; a
    /// target that closes, or says more than it was asked, is found out here. Costs a system call
    /// only if there is news.
    pub(super) fn is_ready(&self) -> bool {
        let mut state = self.state();
        let at_rest = !state.is_reading && state.upload.is_none();
        at_rest && state.is_reusable && state.input.is_empty() && state.is_open()
    }

    /// Whether it is ready by the kernel's word, which costs a system call: the runtime may not know yet that the target
    /// has closed.
    pub(super) fn is_still_ready(&self) -> bool {
        let mut state = self.state();
        let news = state.io.news();
        state.has_ended |= news == Some(News::End);
        state.has_spoken |= news == Some(News::Bytes);
        state.is_reusable &= news.is_none();
        news.is_none()
    }

    /// For how long it is idle by the kernel's word: the response may have been there for a while when this worker got to
    /// read it.
    pub(super) fn idle_for(&self) -> Duration {
        let state = self.state();
        state.io.socket().info().map_or(Duration::ZERO, |info| info.since_received)
    }

    /// Whether its request is still being sent, behind its response.
    pub(super) fn is_sending(&self) -> bool {
        let state = self.state();
        !state.is_reading && state.upload.is_some() && state.is_reusable
    }

    /// For how long it was idle when the target closed it, if it did, where it is idle `since`.
    pub(super) fn was_closed_after(&self, since: Instant) -> Option<Duration> {
        let state = self.state();
        let info = state.io.socket().info().filter(|_| state.has_ended)?;
        let ago = info.since_confirmed + info.round_trip + TICK;
        Instant::now().saturating_duration_since(since).checked_sub(ago)
    }

    /// For how long it was idle when the request was written that has failed on it, by the kernel's word; `None` where
    /// that was too long ago for the target to have closed it as an idle one.
    pub(super) fn was_idle_for(&self) -> Option<Duration> {
        let info = self.state().io.socket().info()?;
        let idle = info.since_received.checked_sub(info.since_sent)?;
        (info.since_sent < MOST_DELAY).then_some(idle)
    }

    /// A request begins of which it may be asked later whether it has arrived.
    pub(super) fn notes_where_it_begins(&self) {
        let mut state = self.state();
        state.begins_at = state.io.socket().written();
    }

    /// Whether the target, which has ended the connection, did so before any of the request had reached its system.
    pub(super) fn was_closed_before_it_began(&self) -> bool {
        let state = self.state();
        state.io.socket().is_unconfirmed(state.begins_at)
    }

    /// Whether the target has ended the connection behind what was read of it, by the kernel's word.
    pub(super) fn ends_here(&self) -> bool {
        self.state().io.news() == Some(News::End)
    }

    /// Whether something may come that is no part of the next response: the last one had no body by
    /// its kind.
    pub(super) fn is_doubtful(&self) -> bool {
        self.state().is_doubtful
    }

    /// Whether the head of such a response promises a body, or answers `HEAD` without saying that there is none.
    pub(super) fn has_promised(&self) -> bool {
        self.state().has_promised
    }

    /// How long the target keeps it idle, in seconds, where it has said so.
    pub(super) fn idle(&self) -> Option<u32> {
        self.state().idle
    }

    /// Whether it has nothing to do and nothing was read too much. What has come since is not asked.
    pub(super) fn can_rest(&self) -> bool {
        let state = self.state();
        let at_rest = !state.is_reading && state.upload.is_none();
        at_rest && state.is_reusable && state.input.is_empty()
    }

    /// Whether something came that nobody asked for, as far as [`is_ready`](Self::is_ready) found, on a connection that had a
    /// response without a body by its kind. What a target says of an idle connection that it closes is no body.
    pub(super) fn has_spoken(&self) -> bool {
        let state = self.state();
        let came = state.has_spoken || !state.input.is_empty() && !parse::is_timeout(&state.input);
        came && (state.is_doubtful || state.was_doubtful)
    }

    /// Whether its request was sent on since the last call.
    pub(super) fn take_progress(&self) -> bool {
        std::mem::take(&mut self.state().moves)
    }

    /// Abandons it; over TLS the target is notified that nothing follows.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_reusable = false;
        if let Some(upload) = state.upload.take() {
            upload.abort();
        }
        state.io.say_goodbye();
    }

    fn state(&self) -> RefMut<'_, ConnectionState> {
        self.state.borrow_mut()
    }

    /// The task that sent the rest of the request is done.
    fn upload_ended(&self, result: &Result<(), upload::Failed>) {
        let mut state = self.state();
        state.upload = None;
        match result {
            Ok(()) if state.is_reading => {}
            // The target answered first: it may not have read the request, and may close yet.
            Ok(()) => state.is_reusable = false,
            // The target need not listen to the end to answer.
            Err(upload::Failed::Io(_)) => state.is_reusable = false,
            Err(upload::Failed::Body) => {
                state.is_reusable = false;
                state.is_broken = true;
            }
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl ConnectionState {
    /// Whether what was read came before a byte of the request had reached the target's system, so that it is part of an
    /// earlier response: an answer confirms the request. Asked only behind a response that had no body by its kind.
    fn is_unasked(&self) -> bool {
        self.is_doubtful && self.io.socket().is_unconfirmed(self.begins_at)
    }

    fn is_open(&mut self) -> bool {
        if self.io.is_quiet() {
            let news = if self.is_doubtful { self.io.news() } else { None };
            self.has_spoken |= news == Some(News::Bytes);
            self.has_ended |= news == Some(News::End);
            self.is_reusable &= news.is_none();
            return news.is_none();
        }
        let filled = self.poll_fill(&mut Context::from_waker(Waker::noop()), 0);
        self.has_ended |= match &filled {
            Poll::Ready(Ok(length)) => *length == 0,
            Poll::Ready(Err(error)) => error.kind() == ErrorKind::UnexpectedEof,
            Poll::Pending => false,
        };
        self.is_reusable &= filled.is_pending();
        filled.is_pending()
    }

    /// Reads more into the input; `expected` is how much of a body is still to come. The end is
    /// zero bytes.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        expected: u64,
    ) -> Poll<std::io::Result<usize>> {
        self.io.poll_fill(&mut self.input, expected, context)
    }
}

/// Puts bytes behind those that are there. Almost always nothing is.
fn append(input: &mut Bytes, more: &[u8]) {
    if input.is_empty() {
        *input = Bytes::copy_from_slice(more);
        return;
    }
    let whole = std::mem::take(input).try_into_mut();
    let mut whole = whole.unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    whole.extend_from_slice(more);
    *input = whole.freeze();
}
