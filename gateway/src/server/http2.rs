//! HTTP/2 connections (RFC 9113).
//!
//! Owns how hyper is set up for them: windows, streams, and how many resets of streams a client
//! may cause before the connection is ended.

use std::pin::{Pin, pin};
use std::rc::Rc;

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;

use super::Transport;
use super::connection::Connection;
use super::drive::{self, Drive};
use super::guard::Guard;
use super::stream::Streams;
use crate::body::Body;
use crate::proxy;

const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of one stream that wait to be written.
const SEND_BUFFER: usize = 64 << 10;

/// Streams that the client reset before they were served.
const PENDING_RESETS: usize = 20;

/// Streams that were reset because the client broke a rule.
const ERROR_RESETS: usize = 100;

/// Serves the connection to its end.
pub(super) async fn serve(transport: Transport, replay: Bytes, connection: Rc<Connection>) {
    connection.speaks_http2();
    let guard = Guard::new(transport, replay, Rc::clone(&connection));
    let service = service_fn(|request| {
        let stream = connection.open_stream();
        proxy::handle(Rc::clone(&connection), Some(stream), request)
    });
    let driven = pin!(builder(&connection).serve_connection(TokioIo::new(guard), service));
    let _ended = drive::drive(driven, &connection, None).await;
}

fn builder(connection: &Rc<Connection>) -> http2::Builder<Streams> {
    let limits = &connection.listener.config.limits;
    let mut builder = http2::Builder::new(Streams(Rc::clone(connection)));
    builder
        .max_concurrent_streams(limits.concurrent_streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS);
    builder
}

impl<S> Drive for http2::Connection<TokioIo<Guard>, S, Streams>
where
    S: HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
