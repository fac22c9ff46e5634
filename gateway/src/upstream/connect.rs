//! New connections to a target.
//!
//! Owns name resolution, TCP, TLS and the choice of the protocol. Bounds nothing in time and keeps
//! nothing: its callers do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::addresses::{Addresses, Found, in_turns};
use super::error::ConnectError;
use super::gauge::{Counted, PoolGauge};
use super::http1::{Http1Connection, Io};
use super::http2;
use super::shared::Shared;
use super::tls::{self, Tls};
use crate::config::UpstreamLimits;
use crate::tcp::Socket;
use crate::timer::Timers;

/// How long an address may take before the next one is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How long a look-up may take where other addresses are known.
const LOOK_UP: Duration = Duration::from_secs(1);

/// TCP keep-alive probes without an answer until a connection counts as broken.
const PROBES: u32 = 3;

/// Where and how to connect.
pub(super) struct Endpoint {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// The host, if it is an address and no name.
    pub(super) address: Option<IpAddr>,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    /// HTTP/2 or nothing.
    pub(super) http2_only: bool,
    pub(super) ping: Duration,
    pub(super) ping_timeout: Duration,
    /// How old a connection becomes; zero is no bound.
    pub(super) max_age: Duration,
    pub(super) limits: UpstreamLimits,
    pub(super) timers: Timers,
    /// Where its connections are counted.
    pub(super) gauge: Arc<PoolGauge>,
    /// The host's addresses, as long as they are being looked up.
    pub(super) lookups: Shared<Found>,
    /// Those that were found last.
    pub(super) addresses: Addresses,
}

/// A new connection; where it has a task, that runs.
pub(super) enum Connected {
    Http1(Rc<Http1Connection>),
    Http2(Rc<http2::Connection>),
}

impl Endpoint {
    /// Connects; with `http1`, for HTTP/1.1 even if the target would speak HTTP/2.
    pub(super) async fn connect(&self, http1: bool) -> Result<Connected, ConnectError> {
        let tcp = Socket::new(self.tcp().await?);
        let Some((tls, name)) = &self.tls else {
            return match self.http2_only && !http1 {
                true => self.begin_http2(tcp).await,
                false => Ok(self.begin_http1(Io::Plain(tcp))),
            };
        };
        let connector = if http1 { &tls.http1 } else { &tls.by_protocol };
        let stream = connector.connect(name.clone(), tcp).await;
        let stream = stream.map_err(|error| ConnectError::Tls(Arc::new(tls::told(error))))?;
        let http2 = tls::chose_http2(stream.get_ref().1);
        if self.http2_only && !http1 && !http2 {
            return Err(ConnectError::NoHttp2);
        }
        if http2 {
            return self.begin_http2(stream).await;
        }
        Ok(self.begin_http1(Io::Tls(Box::new(stream))))
    }

    fn begin_http1(&self, io: Io) -> Connected {
        let (counted, ends) = (self.counted(), self.ends());
        Connected::Http1(Http1Connection::new(io, self.limits, counted, ends))
    }

    /// When a connection that is new takes no further request. Those that were opened together do not end together.
    fn ends(&self) -> Option<Instant> {
        let random = || getrandom::u32().unwrap_or(0);
        let early = || self.max_age / 10 * (random() % 1024) / 1024;
        (!self.max_age.is_zero()).then(|| self.timers.now() + self.max_age - early())
    }

    fn counted(&self) -> Counted {
        Counted::new(&self.gauge)
    }

    /// Whether no connection can be one over which the protocol changes.
    pub(super) fn has_no_http1(&self) -> bool {
        self.http2_only && self.tls.is_none()
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let stream = match self.address {
            Some(address) => TcpStream::connect((address, self.port)).await,
            None => race(&self.resolve().await?, &self.timers).await,
        };
        let stream = stream.map_err(ConnectError::from_tcp)?;
        stream.set_nodelay(true).map_err(ConnectError::from_tcp)?;
        self.keep_alive(&stream).map_err(ConnectError::from_tcp)?;
        Ok(stream)
    }

    /// Makes the kernel detect connections whose target is gone without notice.
    fn keep_alive(&self, stream: &TcpStream) -> io::Result<()> {
        let between = (self.ping_timeout / PROBES).max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(stream, self.ping)?;
        sockopt::set_tcp_keepintvl(stream, between)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        Ok(sockopt::set_socket_keepalive(stream, true)?)
    }

    /// The host's addresses. The system looks a name up on a thread, which continues when the request
    /// has been abandoned: later requests wait for the same look-up, or requests would pile threads
    /// up while a name server is silent.
    /// While none is found, or takes long, the last addresses serve.
    async fn resolve(&self) -> Found {
        let found = self.lookups.get(|| look_up(Arc::clone(&self.host), self.port));
        let Some(known) = self.addresses.known() else {
            return self.addresses.or_known(&self.host, found.await);
        };
        tokio::select! {
            biased;
            found = found => self.addresses.or_known(&self.host, found),
            () = self.timers.after(LOOK_UP) => Ok(known),
        }
    }

    async fn begin_http2<T>(&self, io: T) -> Result<Connected, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let settings = http2::Settings {
            header_list: self.header_list(),
            ping: self.ping,
            ping_timeout: self.ping_timeout,
            timers: &self.timers,
            gauge: &self.gauge,
            ends: self.ends(),
        };
        let begun = http2::Connection::begin(io, settings).await;
        begun.map(Connected::Http2).map_err(|error| ConnectError::Handshake(Arc::new(error)))
    }

    /// What `h2` lets through of a response head. Above the limit, so that we can say which it is;
    /// HTTP/2 adds 32 bytes for each field (RFC 9113 section 6.5.2).
    fn header_list(&self) -> u32 {
        let most = 4 * self.limits.header_size + 32 * self.limits.header_count;
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

async fn look_up(host: Arc<str>, port: u16) -> Found {
    let found = tokio::net::lookup_host((&*host, port)).await;
    let failed = |error| ConnectError::Dns { host: Arc::clone(&host), cause: Arc::new(error) };
    let addresses = in_turns(found.map_err(failed)?);
    if addresses.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(addresses)
}

/// The first address that answers. They are tried in the resolver's order, each one
/// [`HEAD_START`] after the last or as soon as one before it has failed.
async fn race(addresses: &[SocketAddr], timers: &Timers) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().copied();
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

/// The next of several connects to end.
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
