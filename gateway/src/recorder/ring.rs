//! Where records are kept: for each worker, rings that a worker alone writes to.
//!
//! Owns their bounds, and the numbers by which a reader goes on where it was. A ring is locked for as
//! long as a pointer is pushed or pointers are copied, and only by a worker that keeps a record. It lives
//! as long as the process: a reload changes how much is kept, and forgets nothing that has a place.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Filter, Kept, Record};
use crate::telemetry::per_worker::PerWorker;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Of the last record, of all workers.
    last: AtomicU64,
    /// One for each worker.
    workers: PerWorker<Mutex<Rings>>,
}

/// By kind, so that many of one displace none of another.
#[derive(Debug, Default)]
struct Rings {
    notable: VecDeque<Arc<Record>>,
    /// What clients did.
    clients: VecDeque<Arc<Record>>,
    sampled: VecDeque<Arc<Record>>,
}

impl Rings {
    fn of(&mut self, kept: Kept) -> &mut VecDeque<Arc<Record>> {
        match kept {
            Kept::Debug | Kept::Error | Kept::Slow => &mut self.notable,
            Kept::Left | Kept::Refused => &mut self.clients,
            Kept::Sampled => &mut self.sampled,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.notable.iter().chain(&self.clients).chain(&self.sampled)
    }
}

impl Recorder {
    pub(crate) fn new(workers: usize) -> Self {
        Self { last: AtomicU64::new(0), workers: PerWorker::new(workers) }
    }

    /// Keeps a record of this worker, among at most `size` of its kind.
    pub(crate) fn keep(&self, worker: usize, size: usize, mut record: Record) {
        let mut rings = self.workers.of(worker).lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: who has read a number, and waited for each ring, has all up to it.
        record.sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let ring = rings.of(record.kept);
        let too_many = (ring.len() + 1).saturating_sub(size);
        let displaced: Vec<_> = ring.drain(..too_many.min(ring.len())).collect();
        ring.push_back(Arc::new(record));
        // They are freed when nobody waits for it.
        drop(rings);
        drop(displaced);
    }

    /// Records that fit, newest first, and the number after which newer ones come.
    pub(crate) fn list(&self, filter: &Filter) -> (Vec<Arc<Record>>, u64) {
        let last = self.last.load(Ordering::Relaxed);
        let mut found = Vec::new();
        for rings in self.workers.iter() {
            let rings = rings.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |record: &&Arc<Record>| record.sequence <= last && filter.fits(record);
            found.extend(rings.all().filter(fits).cloned());
        }
        found.sort_by_key(|record| std::cmp::Reverse(record.sequence));
        found.truncate(filter.limit);
        (found, last)
    }

    /// The newest record of a request of this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Record>> {
        let newest = |rings: &Mutex<Rings>| {
            let rings = rings.lock().unwrap_or_else(PoisonError::into_inner);
            let of_id = rings.all().filter(|record| record.id == id);
            of_id.max_by_key(|record| record.sequence).cloned()
        };
        self.workers.iter().filter_map(newest).max_by_key(|record| record.sequence)
    }
}
