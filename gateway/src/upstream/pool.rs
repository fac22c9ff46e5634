//! Connections to one target that wait for their next request.
//!
//! Owns when a connection is used again and when it is given up; opens none. HTTP/1.1 connections
//! serve one request at a time and are kept last in, first out, so that those beyond the need grow
//! old and go. HTTP/2 connections are shared.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::http2;

use super::http1::Connection;
use super::progress::Outgoing;

/// HTTP/1.1 connections without a request.
pub(super) struct Http1Pool {
    /// By `since`, the youngest last.
    idle: Vec<Idle>,
    /// Those whose last request is still being sent, though its response is read. They become
    /// ready or closed by themselves.
    finishing: Vec<Idle>,
    capacity: usize,
    timeout: Duration,
}

struct Idle {
    connection: Rc<Connection>,
    since: Instant,
}

/// Whoever keeps a connection no longer says so to its peer.
impl Drop for Http1Pool {
    fn drop(&mut self) {
        self.idle.drain(..).for_each(|idle| idle.connection.close());
    }
}

impl Http1Pool {
    pub(super) fn new(capacity: usize, timeout: Duration) -> Self {
        Self { idle: Vec::new(), finishing: Vec::new(), capacity, timeout }
    }

    /// The connection that was used last, if one is alive.
    pub(super) fn take(&mut self, now: Instant) -> Option<Rc<Connection>> {
        while let Some(Idle { connection, since }) = self.idle.pop() {
            if now.saturating_duration_since(since) >= self.timeout {
                connection.close();
                self.idle.drain(..).for_each(|idle| idle.connection.close());
                break;
            }
            if connection.is_ready() {
                return Some(connection);
            }
        }
        if self.finishing.is_empty() {
            return None;
        }
        self.finishing.retain(|idle| idle.connection.will_be_ready() || idle.connection.is_ready());
        let ready = self.finishing.iter().position(|idle| idle.connection.is_ready())?;
        Some(self.finishing.swap_remove(ready).connection)
    }

    /// Keeps the connection for the next request, unless it cannot serve one or there are enough.
    pub(super) fn put(&mut self, connection: Rc<Connection>, now: Instant) {
        let list = match () {
            () if self.len() >= self.capacity => return connection.close(),
            () if connection.is_ready() => &mut self.idle,
            () if connection.will_be_ready() => &mut self.finishing,
            () => return connection.close(),
        };
        list.push(Idle { connection, since: now });
    }

    /// Gives up what is closed or too old.
    pub(super) fn sweep(&mut self, now: Instant) {
        let timeout = self.timeout;
        let stays = |idle: &Idle| {
            let young = now.saturating_duration_since(idle.since) < timeout;
            let alive = idle.connection.will_be_ready() || idle.connection.is_ready();
            if !(young && alive) {
                idle.connection.close();
            }
            young && alive
        };
        self.idle.retain(stays);
        self.finishing.retain(stays);
    }

    pub(super) fn len(&self) -> usize {
        self.idle.len() + self.finishing.len()
    }
}

/// HTTP/2 connections of a target.
pub(super) struct Http2Pool<B: Body> {
    connections: Vec<Rc<Http2Connection<B>>>,
    timeout: Duration,
}

/// An HTTP/2 connection and how much of it is in use.
pub(super) struct Http2Connection<B: Body> {
    sender: RefCell<http2::SendRequest<Outgoing<B>>>,
    /// Streams that the peer allows; kept up to date by the connection's task.
    limit: Rc<Cell<usize>>,
    active: Cell<usize>,
    used: Cell<bool>,
    idle_since: Cell<Instant>,
}

impl<B: Body> Http2Pool<B> {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { connections: Vec::new(), timeout }
    }

    /// A place on the first connection that has one.
    pub(super) fn take(&mut self) -> Option<Stream<B>> {
        // Closed ones, and those that the peer said GOAWAY to.
        self.connections.retain(|connection| !connection.is_closed());
        self.connections.iter().find(|connection| connection.has_room()).map(Stream::open)
    }

    pub(super) fn put(&mut self, connection: Rc<Http2Connection<B>>) {
        self.connections.push(connection);
    }

    /// Gives up what is closed or was without a stream for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        let timeout = self.timeout;
        self.connections.retain(|connection| {
            let age = now.saturating_duration_since(connection.idle_since.get());
            !connection.is_closed() && (connection.active.get() > 0 || age < timeout)
        });
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }
}

impl<B: Body> Http2Connection<B> {
    pub(super) fn new(
        sender: http2::SendRequest<Outgoing<B>>,
        limit: Rc<Cell<usize>>,
        now: Instant,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(sender),
            limit,
            active: Cell::new(0),
            used: Cell::new(false),
            idle_since: Cell::new(now),
        })
    }

    fn is_closed(&self) -> bool {
        self.sender.borrow().is_closed()
    }

    /// A peer that allows no stream at all, for now, still gets one: it waits inside.
    fn has_room(&self) -> bool {
        self.active.get() < self.limit.get().max(1)
    }
}

/// A place on an HTTP/2 connection, for one exchange.
pub(super) struct Stream<B: Body> {
    connection: Rc<Http2Connection<B>>,
    /// Whether the connection has served before.
    pub(super) reused: bool,
}

impl<B: Body> Stream<B> {
    fn open(connection: &Rc<Http2Connection<B>>) -> Self {
        connection.active.set(connection.active.get() + 1);
        let reused = connection.used.replace(true);
        Self { connection: Rc::clone(connection), reused }
    }

    /// Marks the moment from which the connection is idle, if this was its last stream.
    pub(super) fn close(self, now: Instant) {
        self.connection.idle_since.set(now);
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Stream<B> {
    pub(super) fn send(
        &self,
        request: http::Request<Outgoing<B>>,
    ) -> impl Future<Output = super::Answer<B>> + use<B> {
        self.connection.sender.borrow_mut().try_send_request(request)
    }
}

impl<B: Body> Drop for Stream<B> {
    fn drop(&mut self) {
        self.connection.active.set(self.connection.active.get() - 1);
    }
}
