//! One server of an upstream.
//!
//! Owns its connections: takes one from the pool or opens one, and takes it back. Sends nothing.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use tokio::sync::Notify;

use super::care::Wants;
use super::connect::{Connected, Endpoint};
use super::error::{ConnectError, SetupError};
use super::gauge::PoolGauge;
use super::head::Name;
use super::http1::Http1Connection;
use super::http2::{self, Stream};
use super::peers::Peers;
use super::pool::{Http1Pool, Http2Pool};
use super::queue::Queue;
use super::tls::{self, Tls};
use crate::config::{self, UpstreamLimits, UpstreamProtocol};
use crate::health::{Connections, Known};
use crate::names::Name as DnsName;
use crate::timer::Timers;

/// See the module.
pub(super) struct Target {
    pub(super) name: Name,
    pub(super) authority: Arc<str>,
    endpoint: Endpoint,
    connect_timeout: Duration,
    known_protocol: Cell<KnownProtocol>,
    http1: RefCell<Http1Pool>,
    http2: RefCell<Http2Pool>,
    /// The connect that everybody waits for whose connection can be shared.
    shared_connect: RefCell<Option<Rc<SharedConnect>>>,
    /// Those who wait for a connection on this worker.
    pub(super) queue: Queue,
    timers: Timers,
}

/// The protocol that a new connection to the target will use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownProtocol {
    /// Decided by ALPN, and there was no connection yet.
    Unknown,
    Http1,
    Http2,
}

/// A connection that is ready for one request.
pub(super) struct Ready {
    pub(super) channel: Channel,
    /// Whether it has served before; if so, it may have been closed in the meantime.
    pub(super) reused: bool,
    /// How long it took to connect, if this request waited for that.
    pub(super) connect: Option<Duration>,
}

/// What a request is sent through.
pub(super) enum Channel {
    Http1(Rc<Http1Connection>),
    Http2(Stream),
}

impl Target {
    pub(super) fn new(
        upstream: &config::Upstream,
        target: &config::Target,
        tls: Option<&Tls>,
        dns_name: Option<Arc<DnsName>>,
        known: Known,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        let server = match (target.tls, tls) {
            (true, Some(tls)) => Some((tls.clone(), tls::server_name(upstream, target)?)),
            _ => None,
        };
        let known_protocol = match upstream.protocol {
            UpstreamProtocol::Http2 => KnownProtocol::Http2,
            UpstreamProtocol::Auto if target.tls => KnownProtocol::Unknown,
            UpstreamProtocol::Auto | UpstreamProtocol::Http1 => KnownProtocol::Http1,
        };
        let endpoint = Endpoint {
            host: Arc::from(&*target.host),
            port: target.port,
            address: target.address(),
            name: dns_name,
            peers: Peers::default(),
            tls: server,
            http2_only: upstream.protocol == UpstreamProtocol::Http2,
            ping: upstream.ping,
            ping_timeout: upstream.ping_timeout,
            max_age: upstream.max_age,
            limits: upstream.limits,
            timers: timers.clone(),
            gauge: Arc::default(),
            bound: known.connections,
        };
        let authority = Arc::from(&*target.authority);
        let (most, timeout) = (upstream.idle_connections, upstream.idle_timeout);
        let http1 = Http1Pool::new(Arc::clone(&authority), most, timeout, known.sends_unasked);
        Ok(Self {
            name: name(upstream, target)?,
            authority,
            endpoint,
            connect_timeout: upstream.timeouts.connect,
            known_protocol: Cell::new(known_protocol),
            http1: RefCell::new(http1),
            http2: RefCell::new(Http2Pool::new(upstream.idle_timeout)),
            shared_connect: RefCell::new(None),
            queue: Queue::default(),
            timers: timers.clone(),
        })
    }

    /// A connection from the pool.
    pub(super) fn pooled(&self, wants: Wants) -> Option<Ready> {
        if wants.tunnel && self.known_protocol.get() == KnownProtocol::Http2 {
            // Which connection will do shows when what its target announces is known.
            return None;
        }
        let shared = !wants.http1 && self.known_protocol.get() != KnownProtocol::Http1;
        if shared && let Some(stream) = self.http2.borrow_mut().take(None) {
            let reused = stream.reused;
            return Some(Ready { channel: Channel::Http2(stream), reused, connect: None });
        }
        // A worker that was held up has a clock that was held up too.
        let now = if wants.care { self.timers.refresh() } else { self.timers.now() };
        let connection = self.http1.borrow_mut().take(now, wants.care)?;
        Some(Ready { channel: Channel::Http1(connection), reused: true, connect: None })
    }

    /// Takes a connection back after an exchange.
    pub(super) fn release(&self, channel: Channel) {
        match channel {
            Channel::Http1(connection) => {
                self.http1.borrow_mut().put(connection, self.timers.now());
            }
            Channel::Http2(stream) => drop(stream),
        }
        if let Some(bound) = self.endpoint.bound.as_deref().filter(|bound| bound.waiting() > 0) {
            self.queue.has_room(bound, || self.gives_one_up());
        }
    }

    /// Closes an idle connection, for whom waits for one on another worker; `false` if there is none.
    pub(super) fn gives_one_up(&self) -> bool {
        self.http1.borrow_mut().give_one_up() || self.http2.borrow_mut().give_one_up()
    }

    /// How many connections it may have, if that is bounded.
    pub(super) fn bound(&self) -> Option<&Arc<Connections>> {
        self.endpoint.bound.as_ref()
    }

    /// Closes what has been idle since `then`: a request that began then was not answered, and
    /// a target that is silent on one connection may be gone for all.
    pub(super) fn distrust_idle_since(&self, then: Instant) {
        self.http1.borrow_mut().close_older(then);
    }

    /// A connection that had served before has failed a request without a response, or with what `is_foreign` to it.
    #[cold]
    pub(super) fn learns_from(&self, connection: &Http1Connection, is_foreign: bool) {
        self.http1.borrow_mut().learns_from_failure(connection, is_foreign);
    }

    /// Whether no connection to it can change its protocol, but a stream for a WebSocket perhaps.
    pub(super) fn has_no_upgrade(&self) -> bool {
        self.endpoint.has_no_http1()
    }

    pub(super) fn now(&self) -> Instant {
        self.timers.now()
    }

    /// What a response head may hold.
    pub(super) fn limits(&self) -> UpstreamLimits {
        self.endpoint.limits
    }

    /// Opens a connection, and closes it.
    pub(super) async fn reach(&self) -> Result<(), ConnectError> {
        self.endpoint.tcp().await.map(drop)
    }

    /// It is no target any more: its connections take no further request.
    pub(super) fn retire(&self) {
        self.endpoint.peers.retire(|_| false);
        self.sweep(self.timers.now());
    }

    /// Closes what has been idle for too long, or is to an address that the name has no more.
    pub(super) fn sweep(&self, now: Instant) {
        if let Some(name) = &self.endpoint.name {
            self.endpoint.peers.retire(|address| name.stays(address));
        }
        self.http1.borrow_mut().sweep(now);
        self.http2.borrow_mut().sweep(now);
    }

    /// Where its connections are counted.
    pub(super) fn gauge(&self) -> &Arc<PoolGauge> {
        &self.endpoint.gauge
    }

    /// Open connections that wait for a request or are shared.
    pub(super) fn pool_size(&self) -> usize {
        self.http1.borrow().len() + self.http2.borrow().len()
    }
}

impl Target {
    /// A connection that has not served before, or a place on one that is shared. Where there are as many as there may
    /// be, an idle one of this worker makes room: it was not taken since it will not do for this request, and would
    /// keep it waiting for nothing.
    pub(super) async fn connected(self: &Rc<Self>, wants: Wants) -> Result<Ready, ConnectError> {
        loop {
            match self.connected_anew(wants, None).await {
                Err(ConnectError::Full) if self.gives_one_up() => {}
                other => return other,
            }
        }
    }

    /// The same after a request was not processed: on another HTTP/2 connection than this.
    pub(super) async fn elsewhere(
        self: &Rc<Self>,
        avoid: &Rc<http2::Connection>,
    ) -> Result<Ready, ConnectError> {
        let pooled = self.http2.borrow_mut().take(Some(avoid));
        if let Some(stream) = pooled {
            let reused = stream.reused;
            return Ok(Ready { channel: Channel::Http2(stream), reused, connect: None });
        }
        self.connected_anew(Wants::default(), Some(avoid)).await
    }

    async fn connected_anew(
        self: &Rc<Self>,
        wants: Wants,
        avoid: Option<&Rc<http2::Connection>>,
    ) -> Result<Ready, ConnectError> {
        let began = self.timers.refresh();
        let timed = |channel, reused| {
            let connect = Some(self.timers.refresh().saturating_duration_since(began));
            Ready { channel, reused, connect }
        };
        if wants.tunnel && self.known_protocol.get() == KnownProtocol::Http2 {
            // Boxed, so that others do not carry its state around.
            match Box::pin(self.tunnel()).await? {
                Some((channel, reused)) => return Ok(timed(channel, reused)),
                None if self.has_no_upgrade() => return Err(ConnectError::NoTunnel),
                None => {}
            }
        }
        loop {
            if wants.http1 || self.known_protocol.get() == KnownProtocol::Http1 {
                let connection = self.connect_http1(wants.http1).await?;
                return Ok(timed(Channel::Http1(connection), false));
            }
            let shared_connect = self.join_attempt();
            shared_connect.wait().await?;
            if let Some(connection) = shared_connect.connection.take() {
                return Ok(timed(Channel::Http1(connection), false));
            }
            let stream = self.http2.borrow_mut().take(avoid);
            if let Some(stream) = stream {
                let reused = stream.reused;
                return Ok(timed(Channel::Http2(stream), reused));
            }
        }
    }

    /// A place on an HTTP/2 connection on which a stream can be a tunnel, and whether that has served before;
    /// `None` where the target does not say that it takes them.
    async fn tunnel(self: &Rc<Self>) -> Result<Option<(Channel, bool)>, ConnectError> {
        loop {
            let stream = self.http2.borrow_mut().take(None);
            if let Some(stream) = stream {
                let takes = tokio::select! {
                    biased;
                    takes = stream.connection().takes_tunnels() => takes,
                    () = self.timers.after(self.connect_timeout) => false,
                };
                let reused = stream.reused;
                return Ok(takes.then_some((Channel::Http2(stream), reused)));
            }
            let shared_connect = self.join_attempt();
            shared_connect.wait().await?;
            if let Some(connection) = shared_connect.connection.take() {
                return Ok(Some((Channel::Http1(connection), false)));
            }
        }
    }

    async fn connect_http1(&self, required: bool) -> Result<Rc<Http1Connection>, ConnectError> {
        match self.connect_in_time(required || self.endpoint.tls.is_none()).await? {
            Connected::Http1(connection) => Ok(connection),
            // The target has learned HTTP/2 since: this connection is for the next ones.
            Connected::Http2(connection) => {
                self.known_protocol.set(KnownProtocol::Http2);
                self.http2.borrow_mut().put(connection);
                match self.connect_in_time(true).await? {
                    Connected::Http1(connection) => Ok(connection),
                    Connected::Http2(_) => Err(ConnectError::NoHttp2),
                }
            }
        }
    }

    async fn connect_in_time(&self, http1: bool) -> Result<Connected, ConnectError> {
        tokio::select! {
            biased;
            connected = self.endpoint.connect(http1) => connected,
            () = self.timers.after(self.connect_timeout) => {
                Err(ConnectError::Timeout(self.connect_timeout))
            }
        }
    }

    /// The connect that is under way, or a new one. It has its own task, so that it continues
    /// for the others when the request that began it is abandoned.
    fn join_attempt(self: &Rc<Self>) -> Rc<SharedConnect> {
        if let Some(shared_connect) = &*self.shared_connect.borrow() {
            return Rc::clone(shared_connect);
        }
        let shared_connect = Rc::new(SharedConnect::new());
        self.shared_connect.replace(Some(Rc::clone(&shared_connect)));
        let (target, mine) = (Rc::clone(self), Rc::clone(&shared_connect));
        tokio::task::spawn_local(async move {
            let connected = target.connect_in_time(false).await;
            target.shared_connect.replace(None);
            mine.finish(connected.map(|connection| target.adopt(connection, &mine)));
        });
        shared_connect
    }

    fn adopt(&self, connection: Connected, shared_connect: &SharedConnect) {
        match connection {
            Connected::Http1(connection) => {
                self.known_protocol.set(KnownProtocol::Http1);
                shared_connect.connection.replace(Some(connection));
            }
            Connected::Http2(connection) => {
                self.known_protocol.set(KnownProtocol::Http2);
                self.http2.borrow_mut().put(connection);
            }
        }
    }
}

/// A connection attempt that several requests wait for.
struct SharedConnect {
    result: OnceCell<Result<(), ConnectError>>,
    /// The connection, if it turned out to be for one request at a time: the first to ask has it.
    connection: RefCell<Option<Rc<Http1Connection>>>,
    finished: Notify,
}

impl SharedConnect {
    fn new() -> Self {
        Self { result: OnceCell::new(), connection: RefCell::new(None), finished: Notify::new() }
    }

    fn finish(&self, result: Result<(), ConnectError>) {
        let _first = self.result.set(result);
        self.finished.notify_waiters();
    }

    async fn wait(&self) -> Result<(), ConnectError> {
        loop {
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            self.finished.notified().await;
        }
    }
}

/// Whether a target's names can be used.
pub(super) fn check(
    upstream: &config::Upstream,
    target: &config::Target,
) -> Result<(), SetupError> {
    if target.tls {
        tls::server_name(upstream, target)?;
    }
    name(upstream, target).map(drop)
}

fn name(upstream: &config::Upstream, target: &config::Target) -> Result<Name, SetupError> {
    let failed = || SetupError::Authority {
        upstream: upstream.name.clone(),
        authority: target.authority.clone(),
    };
    Ok(Name {
        scheme: if target.tls { Scheme::HTTPS } else { Scheme::HTTP },
        authority: Authority::try_from(target.host_field()).map_err(|_| failed())?,
        host: HeaderValue::from_str(target.host_field()).map_err(|_| failed())?,
    })
}
