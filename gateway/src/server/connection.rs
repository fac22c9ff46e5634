//! What is known of one client connection.
//!
//! Owns the phase it is in, from which its timeouts follow; the bytes of the request head that is
//! being read; and values that are the same for each of its requests. Shared by the byte stream,
//! the service and the task that drives both, all on one thread. Must not read or write.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::Tunnel;
use super::stream::StreamSlot;
use super::worker::Worker;
use crate::config::ListenerTimeouts;
use crate::proxy::ForwardedCache;
use crate::snapshot::ListenerState;

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
}

/// What the connection waits for that must not take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A request.
    Request,
    /// The rest of a request head.
    Head,
    /// The client, to take what was written.
    Reader,
    /// Nothing that the client owes.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<ListenerState>,
    /// The peer's address; an IPv4 address where it was mapped into IPv6.
    pub(crate) peer: SocketAddr,
    pub(crate) peer_address: IpAddr,
    pub(crate) peer_is_trusted: bool,
    pub(crate) is_tls: bool,
    pub(crate) forwarded: ForwardedCache,
    is_http2: Cell<bool>,
    phase: Cell<Phase>,
    /// Changes whenever a timeout starts anew.
    stamp: Cell<u64>,
    /// What was read since the connection was idle, up to the header limit.
    window: RefCell<Vec<u8>>,
    write_is_blocked: Cell<bool>,
    at_eof: Cell<bool>,
    refused: Cell<bool>,
    uploading: Cell<bool>,
    tunnel: RefCell<Option<Tunnel>>,
    streams: Cell<usize>,
    new_stream: RefCell<Option<Rc<StreamSlot>>>,
    driver: RefCell<Option<Waker>>,
}

impl Connection {
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<ListenerState>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Self {
        let peer_address = peer.ip().to_canonical();
        let is_tls = listener.tls.is_some();
        Self {
            peer_is_trusted: listener.trusts(peer_address),
            forwarded: ForwardedCache::new(peer_address, local.port(), is_tls),
            worker,
            listener,
            peer,
            peer_address,
            is_tls,
            is_http2: Cell::new(false),
            phase: Cell::new(Phase::Idle),
            stamp: Cell::new(0),
            window: RefCell::default(),
            write_is_blocked: Cell::new(false),
            at_eof: Cell::new(false),
            refused: Cell::new(false),
            uploading: Cell::new(false),
            tunnel: RefCell::new(None),
            streams: Cell::new(0),
            new_stream: RefCell::new(None),
            driver: RefCell::new(None),
        }
    }

    pub(crate) fn timeouts(&self) -> &ListenerTimeouts {
        &self.listener.config.timeouts
    }

    pub(crate) fn speaks_http2(&self) {
        self.is_http2.set(true);
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.stamp.set(self.stamp.get() + 1);
    }

    /// What it waits for, and a number that changes when the wait starts anew.
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
            }
        };
        (wait, self.stamp.get())
    }

    /// How long it may wait for that.
    pub(super) fn patience(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::Request => Some(self.timeouts().keep_alive),
            Wait::Head => Some(self.timeouts().header),
            Wait::Reader => Some(self.timeouts().idle),
            Wait::Nothing => None,
        }
    }

    /// Bytes came; none at all at the end of the stream.
    pub(super) fn received(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.at_eof.set(true);
        }
        if self.is_http2.get() || bytes.is_empty() {
            return;
        }
        match self.phase.get() {
            Phase::Idle => {
                self.window.borrow_mut().clear();
                self.keep(bytes);
                self.enter(Phase::Head);
            }
            Phase::Head => self.keep(bytes),
            Phase::Exchange | Phase::Finishing => {}
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut window = self.window.borrow_mut();
        let room = self.listener.config.limits.header_size.saturating_sub(window.len());
        window.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Hands out the raw bytes in which the head of the current request stands, if it began on an
    /// idle connection.
    pub(crate) fn with_window<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.window.borrow())
    }

    /// Whether a response that is written now can only be hyper's own, to a head that it could
    /// not read.
    pub(super) fn is_between_requests(&self) -> bool {
        !self.is_http2.get() && matches!(self.phase.get(), Phase::Idle | Phase::Head)
    }

    /// Nothing is asked for a while: what only a request needs is let go of.
    pub(super) fn rests(&self) {
        self.window.take();
        self.worker.memory.was_freed();
    }

    /// A request begins.
    pub(super) fn request_begins(&self) {
        self.enter(Phase::Exchange);
    }

    /// The response body is gone.
    pub(crate) fn response_gone(&self) {
        if self.phase.get() == Phase::Exchange {
            self.enter(Phase::Finishing);
        }
    }

    /// Everything is written.
    pub(super) fn flushed(&self) {
        if self.phase.get() == Phase::Finishing {
            self.enter(Phase::Idle);
        }
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

    /// The gateway ends the connection although the client may still be sending.
    pub(crate) fn refuse(&self) {
        self.refused.set(true);
    }

    /// Whether a request body is on its way.
    pub(crate) fn uploading(&self, is: bool) {
        self.uploading.set(is);
    }

    /// Whether closing at once could take the response from a client that is still sending.
    pub(super) fn should_linger(&self) -> bool {
        !self.at_eof.get() && (self.refused.get() || self.uploading.get())
    }

    /// After this response the connection carries another protocol.
    pub(crate) fn switch_to(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// An HTTP/2 stream opens.
    pub(super) fn open_stream(self: &Rc<Self>) -> Rc<StreamSlot> {
        self.streams.set(self.streams.get() + 1);
        self.stamp.set(self.stamp.get() + 1);
        let slot = Rc::new(StreamSlot::new(Rc::clone(self)));
        self.new_stream.replace(Some(Rc::clone(&slot)));
        slot
    }

    /// The stream that was opened last, for the task that will run it.
    pub(super) fn take_new_stream(&self) -> Option<Rc<StreamSlot>> {
        self.new_stream.take()
    }

    pub(super) fn stream_closed(&self) {
        self.streams.set(self.streams.get() - 1);
        if self.streams.get() == 0 {
            self.stamp.set(self.stamp.get() + 1);
            if let Some(driver) = self.driver.take() {
                driver.wake();
            }
        }
    }

    /// Who is to be woken when the last stream closes.
    pub(super) fn driven_by(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        match &*driver {
            Some(known) if known.will_wake(waker) => {}
            _ => *driver = Some(waker.clone()),
        }
    }
}
