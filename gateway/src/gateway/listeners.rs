//! The addresses on which the gateway listens.
//!
//! Owns which of them a new configuration keeps, opens and gives up. A listener that is told apart by its
//! address is the same under another name, and with other settings: its sockets and its connections stay.
//! On port 0 it is told apart by its name.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BindError;
use crate::config::{Config, Listener, ListenerId};
use crate::conn::ListenerKey;
use crate::connection_slots::ConnectionSlots;
use crate::server::socket;
use crate::server::worker::Sockets;
use crate::telemetry::metrics::Metrics;

/// What is bound.
#[derive(Debug, Default)]
pub(super) struct Bound {
    listeners: Mutex<Vec<One>>,
    next: AtomicU64,
}

/// A listener that is bound.
#[derive(Debug, Clone)]
struct One {
    key: ListenerKey,
    place: Place,
    name: String,
    local: SocketAddr,
}

/// What tells listeners apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    address: SocketAddr,
    takes_ipv4: bool,
    /// Where the system chooses the port.
    name: Option<String>,
}

/// What a configuration needs. What is new in it is bound already, and given up if it is dropped.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order of the configuration.
    listeners: Vec<One>,
    /// For each worker, the sockets of what is new.
    pub(super) sockets: Vec<Sockets>,
}

impl Bound {
    /// Binds what is new in a configuration, once for each worker.
    pub(super) fn plan(
        &self,
        config: &Config,
        workers: usize,
        errors: &mut Vec<BindError>,
    ) -> Plan {
        let known = self.known().clone();
        let mut plan =
            Plan { listeners: Vec::new(), sockets: (0..workers).map(|_| Sockets::new()).collect() };
        for (index, listener) in config.listeners.iter().enumerate() {
            let place = Place::of(config, listener);
            let name = listener.name.clone();
            if let Some(same) = known.iter().find(|one| one.place == place) {
                plan.listeners.push(One { name, ..same.clone() });
                continue;
            }
            let address = listener.address;
            let port = address.port();
            let shares = port != 0 && known.iter().any(|one| one.local.port() == port);
            let bound = socket::bind(address, place.takes_ipv4, workers, shares);
            match bound.and_then(|bound| Ok((bound[0].local_addr()?, bound))) {
                Ok((local, bound)) => plan.opens(self.key(), One::new(place, name, local), bound),
                Err(source) => {
                    errors.push(BindError::Listen {
                        listener: ListenerId(index),
                        name,
                        address,
                        source,
                    });
                }
            }
        }
        plan
    }

    /// The plan is in force.
    pub(super) fn apply(&self, plan: Plan) {
        let mut known = self.known();
        for one in &plan.listeners {
            if known.iter().all(|known| known.key != one.key) {
                tracing::info!(listener = one.name, address = %one.local, "listening");
            }
        }
        for one in &*known {
            if plan.listeners.iter().all(|kept| kept.key != one.key) {
                tracing::info!(listener = one.name, address = %one.local,
                    "not listening any more: open exchanges may finish");
            }
        }
        *known = plan.listeners;
    }

    /// The same, where nothing was bound before.
    pub(super) fn begin(&self, plan: &mut Plan) {
        *self.known() = std::mem::take(&mut plan.listeners);
    }

    /// The address of each listener, by its name; with the port that the system chose for 0.
    pub(super) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.known().iter().map(|one| (one.name.clone(), one.local)).collect()
    }

    fn known(&self) -> MutexGuard<'_, Vec<One>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> ListenerKey {
        ListenerKey(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl One {
    /// The key is given when it is known to be bound.
    fn new(place: Place, name: String, local: SocketAddr) -> Self {
        Self { key: ListenerKey(u64::MAX), place, name, local }
    }
}

impl Plan {
    /// For each listener of the configuration which one it is, with its connections.
    pub(super) fn listeners(
        &self,
        config: &Config,
        metrics: &Metrics,
    ) -> Vec<(ListenerKey, Arc<ConnectionSlots>)> {
        let names = config.listeners.iter().map(|listener| listener.name.as_str());
        self.listeners.iter().map(|one| one.key).zip(metrics.listeners(names)).collect()
    }

    /// As [`Bound::addresses`], once it is in force.
    pub(super) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.listeners.iter().map(|one| (one.name.clone(), one.local)).collect()
    }

    fn opens(&mut self, key: ListenerKey, one: One, bound: Vec<TcpListener>) {
        self.listeners.push(One { key, ..one });
        for (sockets, socket) in self.sockets.iter_mut().zip(bound) {
            sockets.push((key, socket));
        }
    }
}

impl Place {
    fn of(config: &Config, listener: &Listener) -> Self {
        let address = listener.address;
        let name = (address.port() == 0).then(|| listener.name.clone());
        Self { address, takes_ipv4: config.takes_ipv4(address), name }
    }
}
