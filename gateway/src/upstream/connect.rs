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

use super::addresses::in_turns;
use super::error::ConnectError;
use super::gauge::{Counted, PoolGauge};
use super::http1::{Http1Connection, Io};
use super::http2;
use super::peers::{IsGone, Peers};
use super::tls::{self, Tls};
use crate::config::UpstreamLimits;
use crate::health::{Connections, Permit};
use crate::names::Name;
use crate::tcp::Socket;
use crate::timer::Timers;

/// How long an address may take before the next one is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// TCP keep-alive probes without an answer until a connection counts as broken.
const PROBES: u32 = 3;

/// How long a target over HTTP/2 may take to say what it allows, until it is taken to allow what is usual.
const SETTINGS_WITHIN: Duration = Duration::from_secs(1);

/// Where and how to connect.
pub(super) struct Endpoint {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// Where it is, if that is known without a look-up.
    pub(super) address: Option<IpAddr>,
    /// Else what is looked up.
    pub(super) name: Option<Arc<Name>>,
    /// Where its connections go to.
    pub(super) peers: Peers,
    pub(super) tls: Option<(Tls, ServerName<'static>)>,
    /// HTTP/2 or nothing.
    pub(super) http2_only: bool,
    pub(super) ping: Duration,
    pub(super) ping_timeout: Duration,
    /// How old a connection becomes; zero is no bound.
    pub(super) max_age: Duration,
    pub(super) limits: UpstreamLimits,
    pub(super) timers: Timers,
    /// How many there may be, if that is bounded.
    pub(super) bound: Option<Arc<Connections>>,
    /// Where its connections are counted.
    pub(super) gauge: Arc<PoolGauge>,
}

/// When a connection takes no further request.
#[derive(Debug)]
pub(super) struct Ends {
    at: Option<Instant>,
    is_gone: IsGone,
}

impl Ends {
    pub(super) fn has_come(&self, now: Instant) -> bool {
        self.is_gone.get() || self.at.is_some_and(|at| at <= now)
    }
}

/// What belongs to a connection that is being opened.
struct Begun {
    is_gone: IsGone,
    permit: Option<Permit>,
}

/// A new connection; where it has a task, that runs.
pub(super) enum Connected {
    Http1(Rc<Http1Connection>),
    Http2(Rc<http2::Connection>),
}

impl Endpoint {
    /// Connects; with `http1`, for HTTP/1.1 even if the target would speak HTTP/2.
    pub(super) async fn connect(&self, http1: bool) -> Result<Connected, ConnectError> {
        let permit = match &self.bound {
            Some(bound) => Some(bound.take().ok_or(ConnectError::Full)?),
            None => None,
        };
        let (tcp, is_gone) = self.tcp().await?;
        let begun = Begun { is_gone, permit };
        let tcp = Socket::new(tcp);
        let Some((tls, name)) = &self.tls else {
            return match self.http2_only && !http1 {
                true => self.begin_http2(tcp, begun).await,
                false => Ok(self.begin_http1(Io::Plain(tcp), begun)),
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
            return self.begin_http2(stream, begun).await;
        }
        Ok(self.begin_http1(Io::Tls(Box::new(stream)), begun))
    }

    fn begin_http1(&self, io: Io, begun: Begun) -> Connected {
        let Begun { is_gone, permit } = begun;
        let counted = Counted::new(&self.gauge, permit);
        let ends = Ends { at: self.ends(), is_gone };
        Connected::Http1(Http1Connection::new(io, self.limits, counted, ends))
    }

    /// When a connection that is new takes no further request. Those that were opened together do not end together.
    fn ends(&self) -> Option<Instant> {
        let random = || getrandom::u32().unwrap_or(0);
        let early = || self.max_age / 10 * (random() % 1024) / 1024;
        (!self.max_age.is_zero()).then(|| self.timers.now() + self.max_age - early())
    }

    /// Whether no connection can be one over which the protocol changes.
    pub(super) fn has_no_http1(&self) -> bool {
        self.http2_only && self.tls.is_none()
    }

    /// A connection, and whether the address that it goes to is gone.
    pub(super) async fn tcp(&self) -> Result<(TcpStream, IsGone), ConnectError> {
        let stream = match (&self.address, &self.name) {
            (Some(address), _) => TcpStream::connect((*address, self.port)).await,
            (None, Some(name)) => {
                let stream = race(&self.addresses(name).await?, &self.timers).await;
                stream.inspect_err(|_| name.ask_again())
            }
            (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let stream = stream.map_err(ConnectError::from_tcp)?;
        stream.set_nodelay(true).map_err(ConnectError::from_tcp)?;
        self.keep_alive(&stream).map_err(ConnectError::from_tcp)?;
        let peer = stream.peer_addr().map_err(ConnectError::from_tcp)?;
        Ok((stream, self.peers.of(peer.ip())))
    }

    /// Makes the kernel detect connections whose target is gone without notice.
    fn keep_alive(&self, stream: &TcpStream) -> io::Result<()> {
        let between = (self.ping_timeout / PROBES).max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(stream, self.ping)?;
        sockopt::set_tcp_keepintvl(stream, between)?;
        sockopt::set_tcp_keepcnt(stream, PROBES)?;
        Ok(sockopt::set_socket_keepalive(stream, true)?)
    }

    /// The host's addresses: those that were found last.
    async fn addresses(&self, name: &Name) -> Result<Rc<[SocketAddr]>, ConnectError> {
        let found = name.addresses().await.map_err(|reason| ConnectError::Dns {
            host: Arc::clone(&self.host),
            cause: Arc::new(io::Error::other(reason)),
        })?;
        Ok(in_turns(found.iter().map(|address| SocketAddr::new(*address, self.port))))
    }

    async fn begin_http2<T>(&self, io: T, begun: Begun) -> Result<Connected, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Begun { is_gone, permit } = begun;
        let settings = http2::Settings {
            header_list: self.header_list(),
            ping: self.ping,
            ping_timeout: self.ping_timeout,
            timers: &self.timers,
            counted: Counted::new(&self.gauge, permit),
            ends: Ends { at: self.ends(), is_gone },
        };
        let failed = |error| ConnectError::Handshake(Arc::new(error));
        let connection = http2::Connection::begin(io, settings).await.map_err(failed)?;
        // The requests that wait for it go out together: more than the target allows would be refused.
        tokio::select! {
            biased;
            () = connection.settled() => {}
            () = self.timers.after(SETTINGS_WITHIN) => {}
        }
        match connection.failure() {
            Some(error) => Err(failed(error)),
            None => Ok(Connected::Http2(connection)),
        }
    }

    /// What `h2` lets through of a response head. Above the limit, so that we can say which it is;
    /// HTTP/2 adds 32 bytes for each field (RFC 9113 section 6.5.2).
    fn header_list(&self) -> u32 {
        let most = 4 * self.limits.header_size + 32 * self.limits.header_count;
        u32::try_from(most).unwrap_or(u32::MAX)
    }
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
