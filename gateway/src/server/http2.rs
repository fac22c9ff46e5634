//! HTTP/2 connections (RFC 9113).
//!
//! Owns how a connection is set up: windows, streams, and how many resets of streams a client may
//! cause before it is ended; and its loop, which gives each request a task. The framing is that of the
//! `h2` crate.

mod connect;
mod date;
mod task;

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, Builder, Handshake, SendResponse};
use http::header::EXPECT;
use http::{HeaderMap, Request};
use http_body::Body as _;

use super::Transport;
use super::connection::ClientConnection;
use super::drive::{self, Drive};
use super::monitored_io::MonitoredIo;
use crate::body::FromClient;
use crate::exchange::Application;
use crate::http2::Received;

const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of one stream that wait to be written.
const SEND_BUFFER: usize = 64 << 10;

/// Streams that the client reset before they were served.
const PENDING_RESETS: usize = 20;

/// Streams that were reset because the client broke a rule.
const ERROR_RESETS: usize = 100;

/// Serves the connection to its end.
pub(super) async fn serve<A: Application>(
    application: A,
    transport: Transport,
    replay: Bytes,
    connection: Rc<ClientConnection>,
) {
    connection.speaks_http2();
    let io = MonitoredIo::new(transport, &replay, Rc::clone(&connection));
    drop(replay);
    let state = ServeState::Begins(builder(&connection).handshake(io));
    let served =
        Served { application, state, connection: Rc::clone(&connection), is_finishing: false };
    let _ended = drive::drive(pin!(served), &connection, None).await;
}

fn builder(connection: &ClientConnection) -> Builder {
    let limits = &connection.facts.listener.config.limits;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.concurrent_streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .enable_connect_protocol();
    builder
}

/// A connection that is served.
struct Served<A> {
    application: A,
    state: ServeState,
    connection: Rc<ClientConnection>,
    is_finishing: bool,
}

enum ServeState {
    Begins(Handshake<MonitoredIo, Bytes>),
    Open(server::Connection<MonitoredIo, Bytes>),
}

impl<A: Application> Served<A> {
    /// Gives a request to its own task.
    fn accept(&self, request: Request<RecvStream>, reply: SendResponse<Bytes>) {
        let (mut head, stream) = request.into_parts();
        if connect::translate(&mut head) {
            let slot = self.connection.open_stream(reply, false, false);
            slot.asks_for_tunnel(stream);
            let request = Request::from_parts(head, FromClient::Connect(slot.clone()));
            tokio::task::spawn_local(task::run(self.application, slot, request));
            return;
        }
        let body = Received::new(stream, &head.headers);
        let has_body = !body.is_end_stream();
        let expects = has_body && expects_continue(&head.headers);
        let slot = self.connection.open_stream(reply, has_body, expects);
        let body = FromClient::Http2(body, slot.clone());
        tokio::task::spawn_local(task::run(
            self.application,
            slot,
            Request::from_parts(head, body),
        ));
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl<A: Application> Future for Served<A> {
    type Output = Result<(), h2::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                ServeState::Begins(handshake) => {
                    let mut open = ready!(Pin::new(handshake).poll(context))?;
                    if this.is_finishing {
                        open.graceful_shutdown();
                    }
                    this.state = ServeState::Open(open);
                }
                ServeState::Open(open) => match ready!(open.poll_accept(context)).transpose()? {
                    Some((request, reply)) => this.accept(request, reply),
                    None => return Poll::Ready(Ok(())),
                },
            }
        }
    }
}

impl<A: Application> Drive for Served<A> {
    type Error = h2::Error;

    fn graceful_shutdown(self: Pin<&mut Self>) {
        let this = self.get_mut();
        this.is_finishing = true;
        if let ServeState::Open(open) = &mut this.state {
            open.graceful_shutdown();
        }
    }
}
