//! HTTP/1.1 connections (RFC 9112).
//!
//! Owns how hyper is set up for them, what follows when one ends (a 408 for a head that did not
//! come, a tunnel after 101, a lingering close), and idle connections between requests (parked).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connection::ClientConnection;
use super::drive::{self, Drive, End};
use super::lingering_close::lingering_close;
use super::monitored_io::MonitoredIo;
use super::{Transport, tunnel};
use crate::body::{Body, FromClient};
use crate::conn::Downstream as _;
use crate::error::Failure;
use crate::exchange::Application;
use crate::respond;

/// hyper's own number of fields; setting it makes hyper allocate for each request.
const DEFAULT_FIELDS: usize = 100;

/// Bytes buffered for reading and for writing, at least.
const BUFFER: usize = 64 << 10;

/// How long hyper keeps an idle connection: with its buffers, it is twenty times as
/// large as one that only waits for a byte.
const PARK_AFTER: Duration = Duration::from_secs(1);

/// Serves the connection to its end.
pub(super) async fn serve<A: Application>(
    application: A,
    transport: Transport,
    replay: Bytes,
    connection: Rc<ClientConnection>,
) {
    let mut next = Some((transport, replay));
    while let Some((transport, replay)) = next {
        // Boxed, so that there is none of it while the connection rests.
        let resting =
            Box::pin(serve_busy(application, transport, replay, Rc::clone(&connection))).await;
        next = match resting {
            Some((transport, read)) if read.is_empty() && connection.is_idle() => {
                park(transport, &connection).await
            }
            busy => busy,
        };
    }
}

/// Serves requests until the connection ends, or `Some` if it only waits for another one or continues
/// with a new hyper, with what was read of the next request.
async fn serve_busy<A: Application>(
    application: A,
    transport: Transport,
    replay: Bytes,
    connection: Rc<ClientConnection>,
) -> Option<(Transport, Bytes)> {
    let io = MonitoredIo::new(transport, &replay, Rc::clone(&connection));
    drop(replay);
    let is_old = Cell::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        is_old.set(request.version() == Version::HTTP_10);
        connection.request_begins(request.body());
        let worker = Rc::clone(&connection.worker.state);
        application.handle(worker, connection.clone(), request.map(FromClient::Http1))
    });
    let mut driven = builder(&connection).serve_connection(TokioIo::new(io), service);
    let parks = connection.timeouts().keep_alive > PARK_AFTER;
    let end = drive::drive(Pin::new(&mut driven), &connection, parks.then_some(PARK_AFTER)).await;
    let parts = driven.into_parts();
    let mut transport = parts.io.into_inner().into_transport();
    // The end of such a connection may be that of a body: a client must not take half of one for all of it.
    let is_half = match &end {
        End::Done(result) => result.as_ref().is_err_and(hyper::Error::is_user),
        End::Stalled => true,
        End::Leftover | End::HeadTimeout | End::Idle | End::Hidden => false,
    };
    if is_half && is_old.get() {
        transport.resets();
    }
    match end {
        End::Done(result) => {
            if let Some(tunnel) = connection.take_tunnel().filter(|_| result.is_ok()) {
                let early = early(parts.read_buf, &connection);
                let broken = std::future::pending();
                tunnel::run(tunnel, transport, early, broken, &connection).await;
            } else if connection.should_linger() {
                lingering_close(&mut transport, &connection.worker.state.timers).await;
            }
        }
        End::HeadTimeout => refuse_late(&mut transport, &connection).await,
        // The client may not have read its response yet.
        End::Leftover if connection.should_linger() => {
            lingering_close(&mut transport, &connection.worker.state.timers).await;
        }
        End::Stalled | End::Leftover => {}
        End::Idle => {
            connection.parks();
            return Some((transport, parts.read_buf));
        }
        End::Hidden => return Some((transport, parts.read_buf)),
    }
    None
}

/// Waits for the first bytes of another request; `None` when the connection has ended instead.
async fn park(
    mut transport: Transport,
    connection: &ClientConnection,
) -> Option<(Transport, Bytes)> {
    let drain = &connection.drain;
    let mut first = [0; 16];
    let timeout = connection.timeouts().keep_alive.saturating_sub(PARK_AFTER);
    let read = tokio::select! {
        biased;
        () = std::future::ready(()), if drain.is_draining() => 0,
        read = transport.read(&mut first) => read.unwrap_or(0),
        () = connection.worker.state.timers.after(timeout) => 0,
        () = drain.started() => 0,
    };
    if read > 0 {
        return Some((transport, Bytes::copy_from_slice(&first[..read])));
    }
    let _ends_either_way = transport.shutdown().await;
    None
}

/// What was read behind the request that changes the protocol: it is the new protocol's.
fn early(read: Bytes, connection: &ClientConnection) -> Bytes {
    let ahead = connection.inbound.borrow_mut().ahead.take();
    match (read.is_empty(), ahead.is_empty()) {
        (_, true) => read,
        (true, false) => ahead.into(),
        (false, false) => [&read[..], &ahead].concat().into(),
    }
}

fn builder(connection: &ClientConnection) -> http1::Builder {
    let limits = &connection.facts.listener.config.limits;
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_size)
        .max_buf_size(BUFFER.max(limits.header_size));
    if limits.header_count != DEFAULT_FIELDS {
        builder.max_headers(limits.header_count);
    }
    builder
}

/// Answers 408 (RFC 9110 section 15.5.9), unless a response is stuck half-way, or what has come is
/// no part of a head.
async fn refuse_late(transport: &mut Transport, connection: &ClientConnection) {
    let is_no_head = connection.raw_head_has(|head| head.trim_ascii().is_empty());
    if is_no_head || connection.is_blocked() {
        return;
    }
    let failure = Failure::HeadTimeout;
    let id = connection.worker.state.ids.next();
    let id = id.to_str().unwrap_or_default();
    connection.worker.state.snapshot().log_headless(&connection.facts, id, &failure);
    let raw = respond::raw_problem(&failure, id);
    let timers = &connection.worker.state.timers;
    let written = tokio::select! {
        written = transport.write_all(&raw) => written.is_ok(),
        () = timers.after(connection.timeouts().idle) => false,
    };
    if written {
        lingering_close(transport, timers).await;
    }
}

impl<S> Drive for http1::Connection<TokioIo<MonitoredIo>, S>
where
    S: HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Error = hyper::Error;

    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
