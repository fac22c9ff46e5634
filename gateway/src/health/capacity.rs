//! How many requests an upstream has at a time, and how many wait for a place among them.
//!
//! Owns the places, which all workers share, and the queue: who came first is first, on whichever worker.
//! How many there are may follow from how long responses take ([`Limit`]). The deadline of those who wait is the caller's.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::adaptive::Limit;
use super::lock;
use crate::config::Capacity;

/// The places of one upstream. Lives as long as the process.
#[derive(Debug)]
pub(crate) struct Places {
    upstream: Box<str>,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Places that are taken away as soon as they are free, since the bound became lower.
    debt: AtomicUsize,
    bound: Mutex<Bound>,
    queue: AtomicUsize,
    is_adaptive: AtomicBool,
    /// By the place in [`NoPlace::WORDS`].
    shed: [AtomicU64; NoPlace::WORDS.len()],
}

/// How many places there are.
#[derive(Debug)]
struct Bound {
    capacity: Capacity,
    /// Places, of which some may be owed.
    requests: usize,
    limit: Option<Limit>,
    /// What the log was told last.
    told: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
    /// Since when it is taken, while it matters how long the response takes.
    began: Option<Instant>,
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
    pub(super) fn new(upstream: &str, capacity: Capacity) -> Arc<Self> {
        let limit = capacity.adaptive.map(|it| Limit::new(it, capacity.requests, Instant::now()));
        let requests = limit.as_ref().map_or(capacity.requests, Limit::requests);
        Arc::new(Self {
            upstream: upstream.into(),
            free: Arc::new(Semaphore::new(requests)),
            waiting: AtomicUsize::new(0),
            debt: AtomicUsize::new(0),
            queue: AtomicUsize::new(capacity.queue),
            is_adaptive: AtomicBool::new(limit.is_some()),
            bound: Mutex::new(Bound { capacity, requests, limit, told: requests }),
            shed: Default::default(),
        })
    }

    /// What the configuration in force says. Requests that have a place keep it.
    pub(super) fn set(&self, capacity: Capacity) {
        let mut bound = lock(&self.bound);
        match (&mut bound.limit, capacity.adaptive) {
            (Some(limit), Some(policy)) => limit.set(policy, capacity.requests),
            (limit, policy) => {
                *limit = policy.map(|it| Limit::new(it, capacity.requests, Instant::now()));
            }
        }
        self.is_adaptive.store(bound.limit.is_some(), Relaxed);
        self.queue.store(capacity.queue, Relaxed);
        bound.capacity = capacity;
        let requests = bound.limit.as_ref().map_or(capacity.requests, Limit::requests);
        self.resize(&mut bound, requests);
    }

    fn resize(&self, bound: &mut Bound, requests: usize) {
        let before = std::mem::replace(&mut bound.requests, requests);
        if requests > before {
            let mut more = requests - before;
            while more > 0 && self.pay() {
                more -= 1;
            }
            self.free.add_permits(more);
        } else {
            let less = before - requests;
            self.debt.fetch_add(less - self.free.forget_permits(less), Relaxed);
        }
    }

    /// A request has ended its wait for a response, with one or without.
    fn observe(&self, began: Instant, is_answered: bool) {
        let now = Instant::now();
        let taken = now.saturating_duration_since(began);
        let mut bound = lock(&self.bound);
        let open = self.open(&bound);
        let Some(limit) = &mut bound.limit else { return };
        match is_answered {
            true => limit.answered(began, taken, open, now),
            false => limit.failed(began, taken, open, now),
        }
        let (requests, least) = (limit.requests(), limit.least());
        if requests != bound.requests {
            self.tell(&mut bound, requests, least);
            self.resize(&mut bound, requests);
        }
    }

    /// A request has begun to wait.
    fn observe_wait(&self) {
        let mut bound = lock(&self.bound);
        let Some(limit) = &mut bound.limit else { return };
        limit.waits(Instant::now());
        let requests = limit.requests();
        if requests != bound.requests {
            self.resize(&mut bound, requests);
        }
    }

    /// Not each step: the limit never rests.
    fn tell(&self, bound: &mut Bound, requests: usize, least: Option<Duration>) {
        let is_measuring = bound.limit.as_ref().is_some_and(Limit::is_measuring);
        if is_measuring || (requests < bound.told * 2 && bound.told < requests * 2) {
            return;
        }
        tracing::info!(
            upstream = &*self.upstream,
            requests,
            before = bound.told,
            least_seconds = least.unwrap_or_default().as_secs_f64(),
            "the upstream gets another number of requests at a time, by how long it takes \
             (`capacity.adaptive`)"
        );
        bound.told = requests;
    }

    fn pay(&self) -> bool {
        self.debt.fetch_update(Relaxed, Relaxed, |debt| debt.checked_sub(1)).is_ok()
    }

    /// A place, if one is free. Who waits is served first.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.placed(Some(permit)))
    }

    fn placed(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Place {
        let began = self.is_adaptive.load(Relaxed).then(Instant::now);
        Place { permit, places: Arc::clone(self), began }
    }

    /// Waits for a place; at once without one if as many wait as may.
    pub(crate) async fn wait(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let queue = self.queue.load(Relaxed);
        let _waits = Waits(self);
        if self.waiting.fetch_add(1, Relaxed) >= queue {
            self.shed[0].fetch_add(1, Relaxed);
            let requests = lock(&self.bound).requests;
            return Err(NoPlace::Full { requests, queue });
        }
        if self.is_adaptive.load(Relaxed) {
            self.observe_wait();
        }
        // It is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        Ok(self.placed(permit))
    }

    /// A request waited for as long as it may.
    pub(crate) fn gives_up(&self, time: Duration) -> NoPlace {
        self.shed[1].fetch_add(1, Relaxed);
        NoPlace::Late { requests: lock(&self.bound).requests, time }
    }

    /// How many requests have a place, and how many wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.open(&lock(&self.bound)), self.waiting.load(Relaxed))
    }

    fn open(&self, bound: &Bound) -> usize {
        let all = bound.requests + self.debt.load(Relaxed);
        all.saturating_sub(self.free.available_permits())
    }

    /// How many there may be, and how long responses take when there are few, where the bound follows from that.
    pub(crate) fn limit(&self) -> (usize, Option<Duration>) {
        let bound = lock(&self.bound);
        (bound.requests, bound.limit.as_ref().and_then(Limit::least))
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

impl Place {
    /// The head of the response is there. One that says that the upstream failed may be there sooner than others.
    pub(crate) fn is_answered(&mut self, status: StatusCode) {
        if let Some(began) = self.began.take() {
            self.places.observe(began, !status.is_server_error());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(began) = self.began.take() {
            self.places.observe(began, false);
        }
        if self.places.debt.load(Relaxed) > 0
            && self.places.pay()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}
