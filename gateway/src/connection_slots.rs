//! The connections of a listener, counted for all and for each client.
//!
//! Owns the limits: for the listener, and for one address, so that one client cannot take all slots.
//! Shared by all workers; used when a connection is accepted and closed, never by a request.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use rustix::process::{Resource, getrlimit};

use crate::config::ListenerLimits;
use crate::tls::{HandshakeFailure, RefusedClient};

/// The interval between two log lines about refused connections.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Lines about refused certificates in that time.
const MOST_LINES: u32 = 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    pub(crate) listener: Arc<str>,
    open: AtomicUsize,
    accepted: AtomicU64,
    /// By the place in [`PROTOCOLS`].
    by_protocol: [AtomicUsize; PROTOCOLS.len()],
    by_address: Mutex<HashMap<IpAddr, usize, RandomState>>,
    /// By the place in [`BOUNDS`].
    refused: [AtomicU64; BOUNDS.len()],
    last_logged: Mutex<Option<Instant>>,
    /// By the place in [`HandshakeFailure::WORDS`]; there once somebody spoke TLS.
    handshakes: OnceLock<[AtomicU64; HandshakeFailure::COUNT]>,
    /// Lines about refused certificates since the first of them.
    told: Mutex<(Option<Instant>, u32)>,
}

/// The limit that a connection reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitKind {
    Connections,
    PerAddress,
}

/// What is spoken on a connection, once that is known: before, it is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

const PROTOCOLS: [&str; 2] = ["http1", "http2"];

/// The settings of the limits.
pub(crate) const BOUNDS: [&str; 2] = ["connections", "connections_per_address"];

/// The slot of a connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    /// The client, if its connections are counted.
    client: Option<IpAddr>,
    protocol: Cell<Option<Protocol>>,
}

impl ConnectionSlot {
    /// This is spoken on the connection.
    pub(crate) fn speaks(&self, protocol: Protocol) {
        if self.protocol.replace(Some(protocol)).is_none() {
            self.slots.by_protocol[protocol as usize].fetch_add(1, Relaxed);
        }
    }

    /// A TLS handshake begins.
    pub(crate) fn handshake_begins(&self) {
        self.slots.handshakes.get_or_init(Default::default);
    }

    /// It failed. What is said of the certificate that was refused, if one was, is in the log.
    pub(crate) fn handshake_failed(
        &self,
        failure: HandshakeFailure,
        peer: IpAddr,
        refused: Option<RefusedClient>,
        error: &dyn std::fmt::Display,
    ) {
        let counts = self.slots.handshakes.get_or_init(Default::default);
        counts[failure as usize].fetch_add(1, Relaxed);
        if !failure.is_about_certificate() || !self.slots.may_tell() {
            return;
        }
        let listener = &*self.slots.listener;
        let reason = failure.words().map_or_else(|| error.to_string(), str::to_owned);
        match refused {
            Some(RefusedClient { subject, issuer, fingerprint }) => tracing::info!(listener,
                client = %peer, subject, issuer, fingerprint, reason,
                "the certificate of a client is refused"),
            None => tracing::info!(listener, client = %peer, reason, "a client is refused"),
        }
    }
}

impl ConnectionSlots {
    pub(crate) fn new(listener: &str) -> Self {
        Self {
            listener: listener.into(),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            by_protocol: Default::default(),
            by_address: Mutex::default(),
            refused: Default::default(),
            last_logged: Mutex::default(),
            handshakes: OnceLock::new(),
            told: Mutex::default(),
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many are open, by what is spoken on them.
    pub(crate) fn open_by_protocol(&self) -> [(&'static str, usize); 3] {
        let [http1, http2] = self.by_protocol.each_ref().map(|count| count.load(Relaxed));
        let unknown = self.open().saturating_sub(http1 + http2);
        [(PROTOCOLS[0], http1), (PROTOCOLS[1], http2), ("unknown", unknown)]
    }

    /// How many were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// How many were refused, by the limit that they reached.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        BOUNDS.into_iter().zip(self.refused.iter().map(|count| count.load(Relaxed)))
    }

    /// How many handshakes failed, by the reason, where there is TLS.
    pub(crate) fn failed_handshakes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.handshakes.get().into_iter().flatten();
        HandshakeFailure::WORDS.into_iter().zip(counts.map(|count| count.load(Relaxed)))
    }

    /// Whether there is room for a line about a certificate: strangers must not fill the log.
    fn may_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0.is_none_or(|since| since.elapsed() >= LOG_EVERY) {
            *told = (Some(Instant::now()), 0);
        }
        told.1 += 1;
        if told.1 == MOST_LINES + 1 {
            tracing::info!(
                listener = &*self.listener,
                "there are more such clients: not all are in the \
                 log, and `gateway_tls_handshakes_failed_total` counts on"
            );
        }
        told.1 <= MOST_LINES
    }

    /// Takes a slot for a connection from this address, if one is free.
    pub(crate) fn take(
        self: &Arc<Self>,
        limits: &ListenerLimits,
        address: IpAddr,
        is_proxy: bool,
    ) -> Option<ConnectionSlot> {
        let most = limits.connections.unwrap_or_else(default_connections);
        if self.open.fetch_add(1, Relaxed) >= most {
            self.open.fetch_sub(1, Relaxed);
            self.refuse(LimitKind::Connections, address, most);
            return None;
        }
        let mut slot =
            ConnectionSlot { slots: Arc::clone(self), client: None, protocol: Cell::new(None) };
        let Some(most) = limits.connections_per_address.filter(|_| !is_proxy) else {
            self.accepted.fetch_add(1, Relaxed);
            return Some(slot);
        };
        let client = client_of(address);
        let mut clients = self.clients();
        let count = clients.entry(client).or_insert(0);
        if *count >= most {
            drop(clients);
            self.refuse(LimitKind::PerAddress, address, most);
            return None;
        }
        *count += 1;
        drop(clients);
        self.accepted.fetch_add(1, Relaxed);
        slot.client = Some(client);
        Some(slot)
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, usize, RandomState>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, bound: LimitKind, address: IpAddr, most: usize) {
        let refused = self.refused[bound as usize].fetch_add(1, Relaxed) + 1;
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if last_logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return;
        }
        *last_logged = Some(Instant::now());
        drop(last_logged);
        let (listener, setting) = (&*self.listener, BOUNDS[bound as usize]);
        tracing::warn!(listener, client = %address, limit = most, refused,
            "a connection was closed at once: `limits.{setting}` of the listener is reached. This is logged \
             every 10 seconds at most; `gateway_connections_refused_total` counts on");
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.open.fetch_sub(1, Relaxed);
        if let Some(protocol) = self.protocol.get() {
            self.slots.by_protocol[protocol as usize].fetch_sub(1, Relaxed);
        }
        let Some(client) = self.client else { return };
        if let Entry::Occupied(mut count) = self.slots.clients().entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The client that an address belongs to: with IPv6 a customer has a network of 2^64 addresses at least.
fn client_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Three quarters of the files that the process may have open: the rest is for upstreams.
fn default_connections() -> usize {
    static FILES: OnceLock<usize> = OnceLock::new();
    *FILES.get_or_init(|| {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(files / 4 * 3).unwrap_or(usize::MAX).max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: Option<usize>, per_address: Option<usize>) -> ListenerLimits {
        ListenerLimits {
            header_count: 100,
            header_size: 32 << 10,
            body_size: None,
            body_rate: None,
            concurrent_streams: 100,
            connections,
            connections_per_address: per_address,
        }
    }

    fn refused(slots: &ConnectionSlots) -> Vec<u64> {
        slots.refused().map(|(_, count)| count).collect()
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let slots = Arc::new(ConnectionSlots::new("public"));
        let limits = limits(Some(2), None);
        let take = || slots.take(&limits, "192.0.2.1".parse().unwrap(), false);
        let (first, second) = (take(), take());
        assert!(first.is_some() && second.is_some() && take().is_none());
        assert_eq!((slots.open(), refused(&slots)), (2, vec![1, 0]));
        drop(first);
        assert!(take().is_some());
        drop(second);
        assert_eq!(slots.open(), 0);
    }

    #[test]
    fn one_client_cannot_take_every_place() {
        let slots = Arc::new(ConnectionSlots::new("public"));
        let limits = limits(Some(10), Some(2));
        let take = |address: &str, proxy| slots.take(&limits, address.parse().unwrap(), proxy);
        let held: Vec<_> = (0..2).map(|_| take("192.0.2.1", false).unwrap()).collect();
        assert!(take("192.0.2.1", false).is_none());
        assert!(take("192.0.2.2", false).is_some());
        let network = ["2001:db8::1", "2001:db8::2"].map(|it| take(it, false).unwrap());
        assert!(take("2001:db8::3", false).is_none());
        assert!(take("2001:db8:0:1::3", false).is_some());
        let proxies: Vec<_> = (0..3).map(|_| take("10.0.0.1", true).unwrap()).collect();
        assert_eq!((slots.open(), refused(&slots)), (7, vec![0, 2]));
        drop((held, network, proxies));
        assert_eq!(slots.open(), 0);
        assert!(slots.clients().is_empty());
    }
}
