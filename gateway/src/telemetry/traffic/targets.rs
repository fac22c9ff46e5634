//! What becomes of requests at the targets of upstreams, and the connections to them.
//!
//! Owns the cells of each worker. The gauges of pools are their targets'; one that is gone has none.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::add;
use crate::telemetry::per_worker::PerWorker;
use crate::upstream::PoolGauge;

/// What became of requests at one target.
#[derive(Debug)]
pub(crate) struct TargetTraffic {
    pub(in crate::telemetry) upstream: Box<str>,
    pub(in crate::telemetry) target: Box<str>,
    pub(super) cells: PerWorker<TargetCells>,
    /// Of workers.
    pub(super) pools: Mutex<Vec<Weak<PoolGauge>>>,
}

/// How a try at a target ends, in the words of the access log.
pub(crate) const RESULTS: [&str; 20] = [
    "answered",
    "unresolved",
    "full",
    "refused",
    "unreachable",
    "no-tls",
    "no-http2",
    "connect-timeout",
    "first-byte-timeout",
    "attempt-timeout",
    "status",
    "cancelled",
    "closed",
    "reset",
    "malformed",
    "too-large",
    "no-upgrade",
    "request-body-failed",
    "protocol-error",
    "unanswered",
];

#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct TargetCells {
    results: [AtomicU64; RESULTS.len()],
    opened: AtomicU64,
    retries: AtomicU64,
}

/// One try at a target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    /// How it ended.
    pub(crate) result: &'static str,
    /// Over a new connection.
    pub(crate) is_new: bool,
    /// Another try for the same request went before it.
    pub(crate) is_retry: bool,
}

impl TargetTraffic {
    /// A try has ended on this worker.
    pub(crate) fn tried(&self, worker: usize, tried: Tried) {
        let own = self.cells.of(worker);
        let is_status = tried.result.starts_with("status-");
        let result = if is_status { "status" } else { tried.result };
        // What has no word of its own is a request without an answer.
        let index = RESULTS.iter().position(|known| *known == result);
        add(&own.results[index.unwrap_or(RESULTS.len() - 1)], 1);
        if tried.is_new {
            add(&own.opened, 1);
        }
        if tried.is_retry {
            add(&own.retries, 1);
        }
    }

    /// A worker's pool of connections to it.
    pub(crate) fn has_pool(&self, pool: &Arc<PoolGauge>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|known| known.strong_count() > 0 && known.as_ptr() != Arc::as_ptr(pool));
        pools.push(Arc::downgrade(pool));
    }

    /// By the place in [`RESULTS`], and how many connections were opened.
    pub(in crate::telemetry) fn totals(&self) -> ([u64; RESULTS.len()], u64) {
        let (mut results, mut opened) = ([0; RESULTS.len()], 0);
        for cells in self.cells.iter() {
            for (sum, cell) in results.iter_mut().zip(&cells.results) {
                *sum += cell.load(Relaxed);
            }
            opened += cells.opened.load(Relaxed);
        }
        (results, opened)
    }

    /// Tries that followed another one.
    pub(in crate::telemetry) fn retries(&self) -> u64 {
        self.cells.iter().map(|cells| cells.retries.load(Relaxed)).sum()
    }

    /// Connections that are in use, and those that wait for a request.
    pub(in crate::telemetry) fn connections(&self) -> (usize, usize) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = pools.iter().filter_map(Weak::upgrade).map(|pool| pool.counts());
        counts.fold((0, 0), |(in_use, idle), (open, waiting)| {
            let waiting = waiting.min(open);
            (in_use + open - waiting, idle + waiting)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Traffic;
    use super::*;

    #[test]
    fn tries_are_counted_by_their_result() {
        let target = Traffic::default().of_target("u", "127.0.0.1:1", 1);
        let tried = |result, is_new, is_retry| {
            target.tried(0, Tried { result, is_new, is_retry });
        };
        tried("answered", true, false);
        tried("answered", false, true);
        tried("what nobody knows", false, false);
        let ((results, opened), last) = (target.totals(), RESULTS.len() - 1);
        assert_eq!((results[0], results[last], opened, target.retries()), (2, 1, 1, 1));
    }
}
