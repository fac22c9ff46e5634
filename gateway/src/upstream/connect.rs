//! New connections to a target.
//!
//! Owns name resolution, TCP, TLS and the beginning of HTTP, and starts the task that drives an
//! HTTP/2 connection. Bounds nothing in time and keeps nothing: its callers do.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::http2;
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::error::{Cause, ConnectError};
use super::http1::{Connection, Io};
use super::pool::Http2Connection;
use super::tls::{self, Tls};
use crate::tcp::Socket;
use crate::timer::Timers;

/// How long an address may take before the next one is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Bytes of a response head over HTTP/2, at most.
const MAX_HEAD: usize = 64 * 1024;

/// How much of one response over HTTP/2 may wait in the gateway for its client.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all responses of a connection. Large against the stream's, since slow clients that
/// fill it together would stop everybody else on the connection.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// How much of one request's body over HTTP/2 may wait for a slow target.
const SEND_BUFFER: usize = 256 * 1024;

/// Where and how to connect.
pub(super) struct Endpoint {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// The host, if it is an address and no name.
    pub(super) address: Option<IpAddr>,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    /// HTTP/2 or nothing.
    pub(super) http2_only: bool,
    pub(super) timers: Timers,
}

/// A new connection; where it has a task, that runs.
pub(super) enum Connected<B: Body> {
    Http1(Rc<Connection>),
    Http2(Rc<Http2Connection<B>>),
}

impl Endpoint {
    /// Connects; with `http1`, for HTTP/1.1 even if the target would speak HTTP/2.
    pub(super) async fn connect<B>(&self, http1: bool) -> Result<Connected<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let tcp = Socket::new(self.tcp().await?);
        let Some((tls, name)) = &self.tls else {
            return match self.http2_only && !http1 {
                true => self.begin_http2(TokioIo::new(tcp)).await,
                false => Ok(Connected::Http1(Connection::new(Io::Plain(tcp)))),
            };
        };
        let connector = if http1 { &tls.http1 } else { &tls.by_protocol };
        let stream = connector.connect(name.clone(), tcp).await;
        let stream = stream.map_err(|error| ConnectError::Tls(Arc::new(error)))?;
        let http2 = tls::chose_http2(stream.get_ref().1);
        if self.http2_only && !http1 && !http2 {
            return Err(ConnectError::NoHttp2);
        }
        if http2 {
            return self.begin_http2(TokioIo::new(stream)).await;
        }
        Ok(Connected::Http1(Connection::new(Io::Tls(Box::new(stream)))))
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let stream = match self.address {
            Some(address) => TcpStream::connect((address, self.port)).await,
            None => race(self.resolve().await?, &self.timers).await,
        };
        let stream = stream.map_err(ConnectError::from_tcp)?;
        stream.set_nodelay(true).map_err(ConnectError::from_tcp)?;
        Ok(stream)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let failed =
            |error| ConnectError::Dns { host: Arc::clone(&self.host), cause: Arc::new(error) };
        let found = tokio::net::lookup_host((&*self.host, self.port)).await.map_err(failed)?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
        }
        Ok(addresses)
    }

    async fn begin_http2<B, T>(&self, io: T) -> Result<Connected<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Cause>,
        T: Read + Write + Unpin + 'static,
    {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEAD as u32)
            .handshake(io)
            .await
            .map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
        let limit = Rc::new(Cell::new(connection.current_max_send_streams()));
        let told = Rc::clone(&limit);
        tokio::task::spawn_local(async move {
            let mut connection = pin!(connection);
            let ended = std::future::poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                told.set(connection.current_max_send_streams());
                polled
            });
            log_end(ended.await);
        });
        Ok(Connected::Http2(Http2Connection::new(sender, limit, self.timers.now())))
    }
}

/// Whoever waits for a response learns of it there; this is for a connection that waits.
fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an upstream connection ended");
    }
}

/// The first address that answers. They are tried in the resolver's order, each one
/// [`HEAD_START`] after the last or as soon as one before it has failed.
async fn race(addresses: Vec<SocketAddr>, timers: &Timers) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = Running(Vec::new());
    let mut failure = None;
    let mut head_start = timers.after(HEAD_START);
    loop {
        match waiting.next() {
            Some(address) => running.0.push(Box::pin(TcpStream::connect(address))),
            None if running.0.is_empty() => {
                return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
        head_start.reset(HEAD_START);
        let is_last = waiting.len() == 0;
        tokio::select! {
            biased;
            finished = &mut running => match finished {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            },
            () = &mut head_start, if !is_last => {}
        }
    }
}

/// The next of several connects to come to an end.
struct Running<F>(Vec<Pin<Box<F>>>);

impl<F: Future> Future for Running<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let done = |connect: &mut Pin<Box<F>>| match connect.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        };
        let found = self.0.iter_mut().map(done).enumerate().find_map(|(i, out)| Some((i, out?)));
        let (index, output) = ready!(found.map_or(Poll::Pending, Poll::Ready));
        drop(self.0.swap_remove(index));
        Poll::Ready(output)
    }
}

/// Runs hyper's own tasks on the worker.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
