//! How much is asked of one upstream beyond what its clients ask.
//!
//! Owns the retry budget, which all workers share: so many attempts more in a stretch of ten seconds, as a
//! share of the requests that may be sent again. Only such requests are counted. One line in the log says
//! that the budget is spent, and one that it is not any more.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::capacity::Places;
use super::now;
use crate::config::{RetryBudget, Upstream};

/// See the module. Lives as long as the process, by the name of the upstream.
#[derive(Debug)]
pub(crate) struct UpstreamLoad {
    upstream: Box<str>,
    /// In thousandths.
    share: AtomicU32,
    min_per_second: AtomicU32,
    requests: Window,
    retries: Window,
    is_spent: AtomicBool,
    /// By the place in [`NoRetry::ALL`].
    refused: [AtomicU64; NoRetry::ALL.len()],
    /// Once there is a bound.
    places: OnceLock<Arc<Places>>,
}

/// Why a request was not sent again that would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRetry {
    /// The budget is spent.
    Budget,
    /// Its body is larger than what is kept, or there was no room for it.
    Body,
}

impl NoRetry {
    pub(crate) const ALL: [Self; 2] = [Self::Budget, Self::Body];

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Body => "body",
        }
    }
}

impl UpstreamLoad {
    pub(super) fn new(upstream: &Upstream) -> Self {
        let RetryBudget { share, min_per_second } = upstream.retry_budget;
        Self {
            upstream: upstream.name.as_str().into(),
            share: AtomicU32::new(share),
            min_per_second: AtomicU32::new(min_per_second),
            requests: Window::default(),
            retries: Window::default(),
            is_spent: AtomicBool::new(false),
            refused: Default::default(),
            places: OnceLock::new(),
        }
    }

    /// The name of the upstream.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// What the configuration in force says.
    pub(super) fn set(&self, budget: RetryBudget) {
        self.share.store(budget.share, Relaxed);
        self.min_per_second.store(budget.min_per_second, Relaxed);
    }

    /// Its places, if the configuration bounds them.
    pub(crate) fn places(&self, upstream: &Upstream) -> Option<Arc<Places>> {
        let capacity = upstream.capacity?;
        let places = self.places.get_or_init(|| Places::new(&self.upstream, capacity));
        places.set(capacity);
        Some(Arc::clone(places))
    }

    /// Its places, if they were ever bounded.
    pub(crate) fn known_places(&self) -> Option<&Arc<Places>> {
        self.places.get()
    }

    /// A request begins that may be sent again.
    pub(crate) fn begins(&self) {
        self.begins_at(second());
    }

    pub(super) fn begins_at(&self, second: u32) {
        self.requests.add(second);
    }

    /// Whether one more attempt may be made, which then counts. Workers that ask at the same moment may
    /// exceed the budget by one each.
    pub(crate) fn may_retry(&self) -> bool {
        self.may_retry_at(second())
    }

    pub(super) fn may_retry_at(&self, second: u32) -> bool {
        let (budget, used) = self.room(second);
        if used >= budget {
            self.is_refused(NoRetry::Budget);
            if !self.is_spent.swap(true, Relaxed) {
                tracing::warn!(
                    upstream = &*self.upstream,
                    attempts = used,
                    "the retry budget is spent: requests that fail are not sent again for now"
                );
            }
            return false;
        }
        self.retries.add(second);
        self.notes_room(budget, used);
        true
    }

    /// The budget, and what is used of it.
    fn room(&self, second: u32) -> (u64, u64) {
        let share = u64::from(self.share.load(Relaxed)) * self.requests.sum(second) / 1000;
        let least = u64::from(self.min_per_second.load(Relaxed)) * SECONDS as u64;
        (share + least, self.retries.sum(second))
    }

    fn notes_room(&self, budget: u64, used: u64) {
        // Not at once: at the bound, it would change with each request.
        if self.is_spent.load(Relaxed) && used * 2 <= budget && self.is_spent.swap(false, Relaxed) {
            tracing::info!(
                upstream = &*self.upstream,
                "the retry budget has room: requests that fail are sent again"
            );
        }
    }

    /// A request is not sent again for this reason.
    pub(crate) fn is_refused(&self, why: NoRetry) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Whether the budget is spent.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent_at(second())
    }

    /// Time alone makes room, though no request fails.
    pub(super) fn is_spent_at(&self, second: u32) -> bool {
        let (budget, used) = self.room(second);
        self.notes_room(budget, used);
        self.is_spent.load(Relaxed)
    }

    /// How many requests were not sent again, by the place in [`NoRetry::ALL`].
    pub(crate) fn refused(&self) -> [u64; NoRetry::ALL.len()] {
        self.refused.each_ref().map(|count| count.load(Relaxed))
    }
}

/// The stretch over which is counted.
const SECONDS: usize = 10;

/// Counts of the last seconds, each with the second that it is of.
#[derive(Debug, Default)]
struct Window([AtomicU64; SECONDS]);

impl Window {
    fn add(&self, second: u32) {
        let more = |known: u64| match (known >> 32) as u32 == second {
            true => Some(known + 1),
            false => Some((u64::from(second) << 32) | 1),
        };
        // It gives a new value for each.
        let _counted = self.0[second as usize % SECONDS].fetch_update(Relaxed, Relaxed, more);
    }

    fn sum(&self, second: u32) -> u64 {
        let counts = self.0.iter().map(|known| known.load(Relaxed));
        let recent = |known: &u64| second.wrapping_sub((known >> 32) as u32) < SECONDS as u32;
        counts.filter(recent).map(|known| known & u64::from(u32::MAX)).sum()
    }
}

/// Seconds since the process began, and a whole stretch: what was never counted is not recent.
fn second() -> u32 {
    (now() / 1_000_000_000) as u32 + SECONDS as u32
}
