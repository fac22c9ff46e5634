//! The state of one client connection.
//!
//! Owns the phase it is in, from which its timeouts follow, and which ends only when both the
//! response and the request are over; what was read and not yet used; and values that are the same
//! for each of its requests. Shared by the byte stream, the service and the task that drives both,
//! all on one thread. Must not read or write.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http_body::Body as _;
use hyper::body::Incoming;

use super::drain::Drain;
use super::inbound::{Cutter, Inbound, News};
use super::inserts::Inserts;
use super::leftover::{self, Leftover, Progress};
use super::stream::StreamSlot;
use super::worker::Worker;
use crate::config::ListenerTimeouts;
use crate::conn::{ConnectionFacts, ListenerState, Tunnel};
use crate::error::Cut;

/// Where an HTTP/1.1 connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No byte of a request has come.
    Idle,
    /// A part of a request head has come.
    Head,
    /// A request is being served.
    Exchange,
    /// The response is complete, but perhaps not all of it is written.
    Finishing,
    /// The response is written, but the request has not end.
    Sent,
}

/// What the connection waits for that must not take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A request.
    Request,
    /// The rest of a request head.
    Head,
    /// The rest of a request body, for somebody who still wants it.
    Body,
    /// The rest of a request body that nobody wants.
    Leftover,
    /// The client, to take what was written.
    Reader,
    /// Nothing that the client owes.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) worker: Rc<Worker>,
    /// The end of its listener.
    pub(super) drain: Rc<Drain>,
    pub(super) facts: ConnectionFacts,
    is_http2: Cell<bool>,
    phase: Cell<Phase>,
    /// Changes whenever a timeout starts again.
    stamp: Cell<u64>,
    pub(super) inbound: RefCell<Inbound>,
    write_is_blocked: Cell<bool>,
    pub(super) at_eof: Cell<bool>,
    pub(super) refused: Cell<bool>,
    /// Why the gateway ended it, if it did.
    pub(super) cut: Cell<Option<Cut>>,
    /// Somebody holds a request body of which not all has come.
    pub(super) has_body: Cell<bool>,
    /// The head of the current response is made.
    pub(super) is_answered: Cell<bool>,
    /// The current response is the last.
    pub(super) is_last: Cell<bool>,
    pub(super) leftover: RefCell<Option<Leftover<Incoming>>>,
    /// hyper keeps the end of the request body to itself.
    is_end_hidden: Cell<bool>,
    /// hyper was released for that, which it takes for a broken connection.
    pub(super) was_let_go: Cell<bool>,
    pub(super) tunnel: RefCell<Option<Tunnel>>,
    streams: Cell<usize>,
    driver: RefCell<Option<Waker>>,
    /// What goes into the stream of bytes past hyper.
    inserts: Inserts,
}

impl ClientConnection {
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<ListenerState>,
        drain: Rc<Drain>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Self {
        Self {
            worker,
            drain,
            facts: ConnectionFacts::new(listener, peer, local),
            is_http2: Cell::new(false),
            phase: Cell::new(Phase::Idle),
            stamp: Cell::new(0),
            inbound: RefCell::default(),
            write_is_blocked: Cell::new(false),
            at_eof: Cell::new(false),
            refused: Cell::new(false),
            cut: Cell::new(None),
            has_body: Cell::new(false),
            is_answered: Cell::new(false),
            is_last: Cell::new(false),
            leftover: RefCell::new(None),
            is_end_hidden: Cell::new(false),
            was_let_go: Cell::new(false),
            tunnel: RefCell::new(None),
            streams: Cell::new(0),
            driver: RefCell::new(None),
            inserts: Inserts::default(),
        }
    }

    pub(crate) fn timeouts(&self) -> &ListenerTimeouts {
        &self.facts.listener.config.timeouts
    }

    pub(crate) fn speaks_http2(&self) {
        self.is_http2.set(true);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.get()
    }

    pub(super) fn max_head(&self) -> usize {
        self.facts.listener.config.limits.header_size
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.stamp.set(self.stamp.get() + 1);
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The time that it may wait starts again.
    pub(super) fn begin_wait(&self) {
        self.stamp.set(self.stamp.get() + 1);
    }

    /// What it waits for, and a number that changes when the wait starts again.
    pub(super) fn wait(&self) -> (Wait, u64) {
        let wait = if self.write_is_blocked.get() {
            Wait::Reader
        } else if self.is_http2.get() {
            if self.streams.get() == 0 { Wait::Request } else { Wait::Nothing }
        } else {
            match self.phase.get() {
                Phase::Idle => Wait::Request,
                Phase::Head => Wait::Head,
                Phase::Exchange | Phase::Finishing => Wait::Nothing,
                Phase::Sent if self.leftover.borrow().is_some() => Wait::Leftover,
                Phase::Sent => Wait::Body,
            }
        };
        (wait, self.stamp.get())
    }

    /// How long it may wait for that.
    pub(super) fn timeout(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::Request => Some(self.timeouts().keep_alive),
            Wait::Head => Some(self.timeouts().header),
            Wait::Body | Wait::Reader => Some(self.timeouts().idle),
            Wait::Leftover => Some(leftover::TIME),
            Wait::Nothing => None,
        }
    }

    /// Something of a request came.
    pub(super) fn received(&self, news: News) {
        match news {
            News::Nothing => {}
            News::HeadBegan => self.enter(Phase::Head),
            News::NoHead => self.enter(Phase::Idle),
            News::BodyMoved | News::BodyEnded => {
                if self.phase.get() == Phase::Sent && self.leftover.borrow().is_none() {
                    self.stamp.set(self.stamp.get() + 1);
                }
                self.settle();
            }
        }
    }

    /// The client sends no more.
    pub(super) fn input_ended(&self) {
        self.at_eof.set(true);
    }

    pub(super) fn is_at_eof(&self) -> bool {
        self.at_eof.get()
    }

    /// Whether a response that is written now can only be hyper's own, to a head that it could
    /// not read.
    pub(super) fn is_between_requests(&self) -> bool {
        !self.is_http2.get() && matches!(self.phase.get(), Phase::Idle | Phase::Head)
    }

    /// Idle: frees the per-request buffers.
    pub(super) fn parks(&self) {
        self.inbound.borrow_mut().cut.shrink();
        self.worker.memory.was_freed();
    }

    /// A request begins, and this is its body.
    pub(super) fn request_begins(&self, body: &Incoming) {
        self.is_answered.set(false);
        if !body.is_end_stream() {
            self.has_body.set(true);
            self.was_let_go.set(false);
            self.inbound.borrow_mut().cut.expect_body(body.size_hint().exact());
        }
        self.enter(Phase::Exchange);
    }

    /// Everything is written. Whether there is more to read that is not the kernel's to announce.
    pub(super) fn flushed(&self) -> bool {
        self.inserts.flushed();
        if self.phase.get() != Phase::Finishing {
            return false;
        }
        self.phase.set(Phase::Sent);
        self.settle() && (self.at_eof.get() || !self.inbound.borrow().ahead.is_empty())
    }

    /// hyper asks for the next request. Behind a response it hands out the end of a body that has
    /// trailers only then, or when it is gone.
    pub(super) fn next_is_asked_for(&self, cut: &mut Cutter) {
        if self.phase.get() == Phase::Sent && self.has_body.get() && cut.take_trailers() {
            self.is_end_hidden.set(true);
        }
    }

    /// Whether hyper must be released, so that the reader of the request body learns of its end.
    pub(super) fn take_hidden_end(&self) -> bool {
        let is_hidden = self.is_end_hidden.take();
        if is_hidden {
            self.was_let_go.set(true);
        }
        is_hidden
    }

    /// Whether no request is under way, and nothing of another one has come.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle && self.inbound.borrow().ahead.is_empty()
    }

    /// A connection is idle when the response is written, the request has ended, and
    /// nobody holds its body: only then can what comes next be another request (RFC 9112 section
    /// 9.3). `true` if it is now.
    pub(super) fn settle(&self) -> bool {
        if self.phase.get() != Phase::Sent || self.has_body.get() {
            return false;
        }
        let mut inbound = self.inbound.borrow_mut();
        if !inbound.cut.is_over() {
            return false;
        }
        inbound.cut.begin_anew();
        self.enter(Phase::Idle);
        true
    }

    /// A write went through, or was blocked.
    pub(super) fn wrote(&self, blocked: bool) {
        if blocked != self.write_is_blocked.replace(blocked) || blocked {
            self.stamp.set(self.stamp.get() + u64::from(!blocked));
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.write_is_blocked.get()
    }

    /// The gateway ends the connection in the middle of an exchange.
    pub(super) fn cut_off(&self, cut: Cut) {
        self.cut.set(Some(cut));
    }

    /// Reads what nobody wants. `true` when there is none left.
    pub(super) fn poll_leftover(&self, context: &mut Context<'_>) -> bool {
        // Before there is a head, reading would make hyper ask the client for the body.
        if !self.is_answered.get() {
            return false;
        }
        let mut slot = self.leftover.borrow_mut();
        let progress = match &mut *slot {
            None => return false,
            Some(leftover) if leftover.is_too_large() => Progress::Over,
            Some(leftover) => leftover.poll(context),
        };
        if progress == Progress::Pending {
            return false;
        }
        *slot = None;
        drop(slot);
        self.has_body.set(false);
        self.settle();
        true
    }

    /// Gives up what is left of a body: hyper closes then.
    pub(super) fn forget_leftover(&self) {
        self.leftover.take();
        self.has_body.set(false);
    }

    /// Whether closing at once could take the response from a client that is still sending.
    pub(super) fn should_linger(&self) -> bool {
        let inbound = self.inbound.borrow();
        let is_sending =
            matches!(self.phase.get(), Phase::Exchange | Phase::Finishing | Phase::Sent)
                && !inbound.cut.is_over();
        !self.at_eof.get() && (self.refused.get() || is_sending || !inbound.ahead.is_empty())
    }

    /// See [`Inserts`].
    pub(super) fn inserts(&self) -> &Inserts {
        &self.inserts
    }

    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// An HTTP/2 stream opens.
    pub(super) fn open_stream(
        self: &Rc<Self>,
        reply: SendResponse<Bytes>,
        has_body: bool,
        expects: bool,
    ) -> Rc<StreamSlot> {
        self.streams.set(self.streams.get() + 1);
        self.stamp.set(self.stamp.get() + 1);
        Rc::new(StreamSlot::new(Rc::clone(self), reply, has_body, expects))
    }

    pub(super) fn stream_closed(&self) {
        self.streams.set(self.streams.get() - 1);
        if self.streams.get() == 0 {
            self.stamp.set(self.stamp.get() + 1);
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Who is to be woken when something changes without a read or a write.
    pub(super) fn driven_by(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        match &*driver {
            Some(known) if known.will_wake(waker) => {}
            _ => *driver = Some(waker.clone()),
        }
    }
}
