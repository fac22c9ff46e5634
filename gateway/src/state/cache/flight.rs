//! Requests for one key that wait for the response of one.
//!
//! Owns who leads, who waits, and what those who wait learn. Must not know requests.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::mapref::entry::Entry as Slot;
use tokio::sync::Notify;

use super::{Cache, Fill, lock};

/// A request that others wait for.
#[derive(Debug)]
pub(crate) struct Flight {
    phase: Mutex<Phase>,
    changed: Notify,
    waiting: AtomicU32,
}

/// How far it is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// There is no response yet.
    Asks,
    /// Its response arrives, and is being stored.
    Arrives(Arc<Fill>),
    /// Who led is gone, and nobody knows of a response.
    Left,
    /// It has its response.
    Over,
}

/// What comes of asking for a key.
#[derive(Debug)]
pub(crate) enum Collapse {
    Leads(Lead),
    Waits(Waiting),
    Joins(Arc<Fill>),
    Alone,
}

/// Who asks the upstream for a key. Dropped before it is settled, it has left.
#[derive(Debug)]
pub(crate) struct Lead {
    cache: Arc<Cache>,
    key: u128,
    flight: Option<Arc<Flight>>,
}

/// A place among those who wait.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Flight>);

impl Waiting {
    /// Waits for the response, or for the end of this time; says for whose response it was.
    pub(crate) async fn wait(&self, time: Duration) -> Arc<Flight> {
        let changed = async {
            loop {
                let mut notified = std::pin::pin!(self.0.changed.notified());
                // Before the look at it, so that no change is missed.
                notified.as_mut().enable();
                if !matches!(*lock(&self.0.phase), Phase::Asks) {
                    return;
                }
                notified.await;
            }
        };
        let _late = tokio::time::timeout(time, changed).await;
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl Cache {
    /// Asks for a key: `waited` is whose response it has waited for, `is_late` whether it may wait no longer.
    pub(crate) fn collapse(
        self: &Arc<Self>,
        key: u128,
        waiters: u32,
        waited: Option<&Arc<Flight>>,
        is_late: bool,
    ) -> Collapse {
        if let Some(flight) = waited {
            let phase = lock(&flight.phase).clone();
            match phase {
                Phase::Arrives(fill) if fill.can_be_joined() => return Collapse::Joins(fill),
                Phase::Left => {}
                Phase::Asks | Phase::Over | Phase::Arrives(_) => return Collapse::Alone,
            }
        }
        let slot = self.flights.entry(key);
        let flight = match &slot {
            Slot::Vacant(_) => None,
            Slot::Occupied(known) => Some(Arc::clone(known.get())),
        };
        let Some(flight) = flight else {
            let flight = Arc::new(Flight {
                phase: Mutex::new(Phase::Asks),
                changed: Notify::new(),
                waiting: AtomicU32::new(0),
            });
            slot.insert(Arc::clone(&flight));
            return Collapse::Leads(Lead { cache: Arc::clone(self), key, flight: Some(flight) });
        };
        drop(slot);
        let phase = lock(&flight.phase).clone();
        match phase {
            Phase::Arrives(fill) if fill.can_be_joined() => Collapse::Joins(fill),
            Phase::Asks if !is_late => {
                if flight.waiting.fetch_add(1, Relaxed) >= waiters {
                    flight.waiting.fetch_sub(1, Relaxed);
                    return Collapse::Alone;
                }
                Collapse::Waits(Waiting(flight))
            }
            _ => Collapse::Alone,
        }
    }
}

impl Lead {
    /// Its response arrives, and those who wait can have it.
    pub(super) fn arrives(&self, fill: &Arc<Fill>) {
        if let Some(flight) = &self.flight {
            *lock(&flight.phase) = Phase::Arrives(Arc::clone(fill));
            flight.changed.notify_waiters();
        }
    }

    /// There is a response, and nothing more to wait for.
    pub(crate) fn settle(mut self) {
        self.end(Phase::Over);
    }

    fn end(&mut self, phase: Phase) {
        let Some(flight) = self.flight.take() else { return };
        *lock(&flight.phase) = phase;
        self.cache.flights.remove_if(&self.key, |_, known| Arc::ptr_eq(known, &flight));
        flight.changed.notify_waiters();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(Phase::Left);
    }
}
