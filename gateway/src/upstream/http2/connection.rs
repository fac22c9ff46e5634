//! One connection over HTTP/2 and the places on it.
//!
//! Owns how it is set up, its task, how much of it is in use, and whether it can be used again: a peer
//! that said GOAWAY, or does not answer a PING, gets no further request.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::super::connect::Ends;
use super::super::gauge::Counted;
use super::super::pool::SUSPICIOUS;
use super::send::Remainder;
use crate::timer::Timers;

/// How much of one response may wait in the gateway for its client.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all responses of a connection. Large against the stream's, since slow clients that
/// fill it together would stop everybody else on the connection.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// How much of one request's body may wait for a slow target.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams that a target may have open before it has said how many it allows: as many as each should
/// (RFC 9113 section 6.5.2).
const FIRST_STREAMS: usize = 100;

/// What a connection is begun with.
pub(in super::super) struct Settings<'a> {
    /// Bytes of a response head, as HTTP/2 counts them.
    pub(in super::super) header_list: u32,
    /// After how long a silence a PING is sent, and how long it may take.
    pub(in super::super) ping: Duration,
    pub(in super::super) ping_timeout: Duration,
    pub(in super::super) timers: &'a Timers,
    /// As one of those to its target.
    pub(in super::super) counted: Counted,
    /// When it takes no further request.
    pub(in super::super) ends: Ends,
}

/// See the module.
pub(in super::super) struct Connection {
    sender: RefCell<SendRequest<Bytes>>,
    pulse: Rc<Pulse>,
    active: Cell<usize>,
    used: Cell<bool>,
    idle_since: Cell<Instant>,
    /// It takes no further request.
    is_retired: Cell<bool>,
    counted: Counted,
    ends: Ends,
    timers: Timers,
}

/// What the connection's task knows of the peer.
struct Pulse {
    /// When something last came from it.
    heard: Cell<Instant>,
    /// It has not answered a PING.
    is_silent: Cell<bool>,
    timers: Timers,
    /// What came of its first frame, which says what it allows.
    first_frame: Cell<FirstFrame>,
    /// That frame is here, or never comes.
    settled: Notify,
}

/// The SETTINGS with which a peer begins (RFC 9113 section 3.4).
#[derive(Debug, Clone, Copy)]
enum FirstFrame {
    /// So many bytes have come, and its length as far as they tell it.
    Comes(usize, usize),
    /// It is here, or the connection has ended before.
    Over,
}

impl FirstFrame {
    const HEADER: usize = 9;
    const LENGTH: usize = 3;

    fn and(self, bytes: &[u8]) -> Self {
        let Self::Comes(before, mut length) = self else { return self };
        let of_length = bytes.iter().take(Self::LENGTH.saturating_sub(before));
        for byte in of_length {
            length = length << 8 | usize::from(*byte);
        }
        let here = before + bytes.len();
        match here >= Self::HEADER + length {
            true => Self::Over,
            false => Self::Comes(here, length),
        }
    }
}

impl Connection {
    /// Begins a connection, and its task.
    pub(in super::super) async fn begin<T>(
        io: T,
        settings: Settings<'_>,
    ) -> Result<Rc<Self>, h2::Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let timers = settings.timers.clone();
        let now = timers.now();
        let pulse = Rc::new(Pulse {
            heard: Cell::new(now),
            is_silent: Cell::new(false),
            timers: timers.clone(),
            first_frame: Cell::new(FirstFrame::Comes(0, 0)),
            settled: Notify::new(),
        });
        let (sender, mut connection) = client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(FIRST_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(settings.header_list)
            .handshake(Heard { io, pulse: Rc::clone(&pulse) })
            .await?;
        let pings = connection.ping_pong();
        let (ping, timeout) = (settings.ping, settings.ping_timeout);
        let watched = Rc::clone(&pulse);
        tokio::task::spawn_local(async move {
            let silence = pin!(watched.silence(pings, ping, timeout));
            tokio::select! {
                biased;
                // The waiter for a response gets the error there.
                ended = &mut connection => if let Err(error) = ended {
                    tracing::debug!(%error, "an upstream connection ended");
                },
                // Dropping the connection ends its streams.
                () = silence => {
                    watched.is_silent.set(true);
                    tracing::debug!(?timeout, "an upstream did not answer a PING");
                }
            }
            watched.first_frame.set(FirstFrame::Over);
            watched.settled.notify_waiters();
        });
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            pulse,
            active: Cell::new(0),
            used: Cell::new(false),
            idle_since: Cell::new(now),
            is_retired: Cell::new(false),
            counted: settings.counted,
            ends: settings.ends,
            timers,
        }))
    }

    pub(in super::super) fn is_usable(&self) -> bool {
        let is_too_old = self.ends.has_come(self.timers.now());
        !self.is_retired.get() && !is_too_old && self.failure().is_none()
    }

    /// Ends when the peer's first frame is here, which says what it allows, or the connection has ended.
    pub(in super::super) async fn settled(&self) {
        while matches!(self.pulse.first_frame.get(), FirstFrame::Comes(..)) {
            self.pulse.settled.notified().await;
        }
    }

    /// Whether the peer takes extended CONNECT (RFC 8441 section 3). Waits for its first frame, which says so.
    pub(in super::super) async fn takes_tunnels(&self) -> bool {
        self.settled().await;
        self.sender.borrow().is_extended_connect_protocol_enabled()
    }

    /// Why it takes no request, if its peer has ended it.
    pub(in super::super) fn failure(&self) -> Option<h2::Error> {
        // It waits for nothing: a stream for which there is no room yet waits by itself.
        let mut context = Context::from_waker(Waker::noop());
        match self.sender.borrow_mut().poll_ready(&mut context) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// A peer that allows no stream, for now, still gets one: it waits inside.
    pub(in super::super) fn has_room(&self) -> bool {
        self.active.get() < self.sender.borrow().current_max_send_streams().max(1)
    }

    /// Whether it has no stream.
    pub(in super::super) fn is_free(&self) -> bool {
        self.active.get() == 0
    }

    /// Whether it was without a stream for so long.
    pub(in super::super) fn is_idle(&self, now: Instant, timeout: Duration) -> bool {
        let idle = now.saturating_duration_since(self.idle_since.get());
        self.active.get() == 0 && idle >= timeout
    }

    pub(super) fn leave(&self) {
        self.active.set(self.active.get() - 1);
        // It counts where it was the last.
        self.idle_since.set(self.timers.now());
        self.counted.is_idle(self.active.get() == 0);
    }
}

/// A place on a connection, for one exchange.
pub(in super::super) struct Stream {
    connection: Rc<Connection>,
    /// Whether the connection has served before.
    pub(in super::super) reused: bool,
    opened: Instant,
    is_answered: Cell<bool>,
    /// The rest of the request, which keeps the stream open.
    remainder: RefCell<Option<Rc<Remainder>>>,
}

impl Stream {
    pub(in super::super) fn open(connection: &Rc<Connection>) -> Self {
        connection.active.set(connection.active.get() + 1);
        connection.counted.is_idle(false);
        Self {
            reused: connection.used.replace(true),
            opened: connection.timers.now(),
            is_answered: Cell::new(false),
            remainder: RefCell::new(None),
            connection: Rc::clone(connection),
        }
    }

    pub(in super::super) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    pub(super) fn send(
        &self,
        head: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        // One that was cloned is never kept from sending by a stream that waits for its turn.
        let mut sender = self.connection.sender.borrow().clone();
        sender.send_request(head, is_whole)
    }

    /// The head of the response is there, and this of the request is not sent yet.
    pub(super) fn answered(&self, remainder: Option<&Rc<Remainder>>) {
        self.is_answered.set(true);
        self.remainder.replace(remainder.cloned());
    }

    /// The connection is not to be trusted with another request. Those that are open continue.
    pub(in super::super) fn retire(&self) {
        self.connection.is_retired.set(true);
    }

    /// Whether the connection was ended because the peer did not answer a PING.
    pub(in super::super) fn is_silent(&self) -> bool {
        self.connection.pulse.is_silent.get()
    }

    /// Whether the peer has said nothing since the stream was opened, for some time.
    fn met_silence(&self) -> bool {
        let connection = &self.connection;
        let waited = connection.timers.now().saturating_duration_since(self.opened);
        waited >= SUSPICIOUS && connection.pulse.heard.get() <= self.opened
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_answered.get() && self.met_silence() {
            self.retire();
        }
        match self.remainder.take() {
            Some(remainder) if remainder.takes_over(&self.connection) => {}
            _ => self.connection.leave(),
        }
    }
}

impl Pulse {
    /// Ends when the peer does not answer a PING, of which one is sent after each silence of `every`.
    /// Whatever it says is an answer: its PONG may wait behind a large response.
    async fn silence(&self, pings: Option<PingPong>, every: Duration, timeout: Duration) {
        let Some(mut pings) = pings else { return std::future::pending().await };
        loop {
            let quiet = self.timers.now().saturating_duration_since(self.heard.get());
            if let Some(left) = every.checked_sub(quiet).filter(|left| !left.is_zero()) {
                self.timers.after(left).await;
                continue;
            }
            let mut answered = pin!(pings.ping(Ping::opaque()));
            loop {
                let asked = self.timers.now();
                tokio::select! {
                    biased;
                    pong = &mut answered => match pong {
                        Ok(_) => break,
                        Err(_closed) => return std::future::pending().await,
                    },
                    () = self.timers.after(timeout) => {
                        if self.heard.get() <= asked {
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// Notes when something was last heard from the peer.
struct Heard<T> {
    io: T,
    pulse: Rc<Pulse>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_ready() {
            this.pulse.heard.set(this.pulse.timers.now());
            if let first @ FirstFrame::Comes(..) = this.pulse.first_frame.get() {
                this.pulse.first_frame.set(first.and(&buffer.filled()[before..]));
                // Whoever waits runs when the frame has been read.
                this.pulse.settled.notify_waiters();
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
