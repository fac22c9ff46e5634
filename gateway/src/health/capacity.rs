//! How many requests an upstream has at a time, and how many wait for a place among them.
//!
//! Owns the places, which all workers share, and the queue: who came first is first, on whichever worker.
//! The deadline of those who wait is the caller's.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;
use crate::config::Capacity;

/// The places of one upstream. Lives as long as the process.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Places that are taken away as soon as they are free, since the bound became lower.
    debt: AtomicUsize,
    capacity: Mutex<Capacity>,
    queue: AtomicUsize,
    /// By the place in [`NoPlace::WORDS`].
    shed: [AtomicU64; NoPlace::WORDS.len()],
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
}

/// Why a request got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// As many wait as may.
    #[error(
        "it has {requests} requests (`capacity.requests`), and {queue} wait (`capacity.queue`)"
    )]
    Full {
        /// `requests`
        requests: usize,
        /// `queue`
        queue: usize,
    },
    /// A target has as many connections as it may have, and as many requests wait for one as may.
    #[error(
        "it has {max} connections (`connections.max`), and {queue} requests wait \
         (`connections.queue`)"
    )]
    NoConnection {
        /// `max`
        max: usize,
        /// `queue`
        queue: usize,
    },
    /// It waited for a connection for as long as it may.
    #[error("none of its {max} connections was free within {time:?} (`connections.queue_time`)")]
    LateConnection {
        /// `max`
        max: usize,
        /// `queue_time`
        time: Duration,
    },
    /// It waited for as long as it may.
    #[error("none of its {requests} requests ended within {time:?} (`capacity.queue_time`)")]
    Late {
        /// `requests`
        requests: usize,
        /// `queue_time`
        time: Duration,
    },
}

impl NoPlace {
    /// In a word each.
    pub(crate) const WORDS: [&str; 2] = ["full", "late"];
}

impl Places {
    pub(super) fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(capacity.requests)),
            waiting: AtomicUsize::new(0),
            debt: AtomicUsize::new(0),
            queue: AtomicUsize::new(capacity.queue),
            capacity: Mutex::new(capacity),
            shed: Default::default(),
        })
    }

    /// What the configuration in force says. Requests that have a place keep it.
    pub(super) fn set(&self, capacity: Capacity) {
        let mut known = lock(&self.capacity);
        let (before, now) = (known.requests, capacity.requests);
        if now > before {
            let mut more = now - before;
            while more > 0 && self.pay() {
                more -= 1;
            }
            self.free.add_permits(more);
        } else {
            let less = before - now;
            self.debt.fetch_add(less - self.free.forget_permits(less), Relaxed);
        }
        self.queue.store(capacity.queue, Relaxed);
        *known = capacity;
    }

    fn pay(&self) -> bool {
        self.debt.fetch_update(Relaxed, Relaxed, |debt| debt.checked_sub(1)).is_ok()
    }

    /// A place, if one is free. Who waits is served first.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { permit: Some(permit), places: Arc::clone(self) })
    }

    /// Waits for a place; at once without one if as many wait as may.
    pub(crate) async fn wait(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let queue = self.queue.load(Relaxed);
        let _waits = Waits(self);
        if self.waiting.fetch_add(1, Relaxed) >= queue {
            self.shed[0].fetch_add(1, Relaxed);
            let requests = lock(&self.capacity).requests;
            return Err(NoPlace::Full { requests, queue });
        }
        // It is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        Ok(Place { permit, places: Arc::clone(self) })
    }

    /// A request waited for as long as it may.
    pub(crate) fn gives_up(&self, time: Duration) -> NoPlace {
        self.shed[1].fetch_add(1, Relaxed);
        NoPlace::Late { requests: lock(&self.capacity).requests, time }
    }

    /// How many requests have a place, and how many wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = lock(&self.capacity).requests + self.debt.load(Relaxed);
        (all.saturating_sub(self.free.available_permits()), self.waiting.load(Relaxed))
    }

    /// How many got no place, by the place in [`NoPlace::WORDS`].
    pub(crate) fn shed(&self) -> [u64; NoPlace::WORDS.len()] {
        self.shed.each_ref().map(|count| count.load(Relaxed))
    }
}

/// Counts one that waits.
struct Waits<'a>(&'a Places);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.places.debt.load(Relaxed) > 0
            && self.places.pay()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}
