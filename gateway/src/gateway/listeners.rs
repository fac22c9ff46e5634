//! The addresses on which the gateway listens.
//!
//! Owns which of them a new configuration keeps, opens and gives up. A listener that is told apart by its
//! address is the same under another name, and with other settings: its sockets and its connections stay.
//! On port 0 it is told apart by its name. Owns as well which worker accepts from which socket. There are as many sockets as
//! there ever were workers: one that is closed would take those with it that wait in its queue.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BindError;
use crate::config::{Config, Listener, ListenerId};
use crate::conn::ListenerKey;
use crate::connection_slots::ConnectionSlots;
use crate::server::socket;
use crate::server::worker::{Part, SocketKey};
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
    /// By number. Workers have them too; these keep them open while no worker does.
    sockets: Vec<Arc<TcpListener>>,
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
    /// Sockets of listeners that are there already, which take no connections yet.
    added: Vec<Arc<TcpListener>>,
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
        let mut plan = Plan::default();
        for (index, listener) in config.listeners.iter().enumerate() {
            let place = Place::of(config, listener);
            let (name, address) = (listener.name.clone(), listener.address);
            let same = known.iter().find(|one| one.place == place);
            let bound = match same {
                Some(same) => same.with_sockets(workers).map(|one| {
                    plan.added.extend(one.sockets[same.sockets.len()..].iter().cloned());
                    One { name: name.clone(), ..one }
                }),
                None => self.bind(place, name.clone(), address, workers, &known),
            };
            match bound {
                Ok(one) => plan.listeners.push(one),
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

    fn bind(
        &self,
        place: Place,
        name: String,
        address: SocketAddr,
        workers: usize,
        known: &[One],
    ) -> io::Result<One> {
        let port = address.port();
        let shares = port != 0 && known.iter().any(|one| one.local.port() == port);
        let bound = socket::bind(address, place.takes_ipv4, workers, shares)?;
        let (local, sockets) = (bound[0].local_addr()?, bound.into_iter().map(Arc::new).collect());
        let key = ListenerKey(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(One { key, place, name, local, sockets })
    }

    /// What changes for each worker when those of `after` accept, and those of `before` did. Each has as many sockets as
    /// the others; those that are left over are accepted from by all.
    ///
    /// # Errors
    /// Those of the system, which may have no room for more descriptors.
    pub(super) fn deal(
        &self,
        plan: &Plan,
        before: &[usize],
        after: &[usize],
    ) -> io::Result<HashMap<usize, Part>> {
        let known = self.known();
        let mut parts = HashMap::<usize, Part>::new();
        for one in &plan.listeners {
            let of_before = known.iter().find(|known| known.key == one.key);
            let of_before = of_before.map_or(0, |known| known.sockets.len());
            for (number, socket) in one.sockets.iter().enumerate() {
                let had = if number < of_before { whose(number, of_before, before) } else { &[] };
                let has = whose(number, one.sockets.len(), after);
                let key = SocketKey { listener: one.key, number };
                for worker in has.iter().filter(|worker| !had.contains(worker)) {
                    let socket = socket.try_clone()?;
                    parts.entry(*worker).or_default().opens.push((key, socket));
                }
                for worker in had.iter().filter(|worker| !has.contains(worker)) {
                    parts.entry(*worker).or_default().closes.push(key);
                }
            }
        }
        Ok(parts)
    }

    /// The plan comes into force: from now on workers alone have the sockets of listeners that are gone, and connections
    /// come to those that were added.
    pub(super) fn switch(&self, plan: &mut Plan) {
        for one in &mut *self.known() {
            if plan.listeners.iter().all(|kept| kept.key != one.key) {
                one.sockets.clear();
            }
        }
        for added in plan.added.drain(..) {
            if let Err(error) = socket::begin(&added) {
                tracing::error!(%error, "a worker has no socket of its own for a listener");
            }
        }
    }

    /// From now on workers alone have the sockets.
    pub(super) fn close(&self) {
        self.known().iter_mut().for_each(|one| one.sockets.clear());
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
}

impl One {
    /// The same with a socket for each worker at least.
    fn with_sockets(&self, workers: usize) -> io::Result<Self> {
        let mut more = self.clone();
        for _ in self.sockets.len()..workers {
            more.sockets.push(Arc::new(socket::add(self.local, self.place.takes_ipv4)?));
        }
        Ok(more)
    }
}

/// The workers that accept from a socket of so many.
fn whose(number: usize, sockets: usize, workers: &[usize]) -> &[usize] {
    let each = sockets / workers.len().max(1);
    if number >= each * workers.len() {
        return workers;
    }
    let place = number % workers.len();
    &workers[place..=place]
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
}

impl Place {
    fn of(config: &Config, listener: &Listener) -> Self {
        let address = listener.address;
        let name = (address.port() == 0).then(|| listener.name.clone());
        Self { address, takes_ipv4: config.takes_ipv4(address), name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_as_many_sockets_as_the_others_and_all_share_the_rest() {
        let of = |sockets, workers: &[usize]| -> Vec<Vec<usize>> {
            (0..sockets).map(|number| whose(number, sockets, workers).to_vec()).collect()
        };
        assert_eq!(of(2, &[0, 1]), [[0], [1]]);
        assert_eq!(of(4, &[0, 5]), [[0], [5], [0], [5]]);
        assert_eq!(of(3, &[0, 5]), [vec![0], vec![5], vec![0, 5]]);
        assert_eq!(of(3, &[7]), [[7], [7], [7]]);
    }
}
