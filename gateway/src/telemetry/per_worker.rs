//! What each worker has of its own, and others read.
//!
//! Owns that there is one for each worker, whatever its number: reloads add workers. A worker finds its own without a
//! lock; what was made stays.

use std::sync::OnceLock;

/// See the module.
#[derive(Debug)]
pub(crate) struct PerWorker<T> {
    own: Box<[OnceLock<Box<T>>]>,
    /// Of workers beyond those.
    more: OnceLock<Box<Self>>,
}

impl<T: Default> PerWorker<T> {
    /// As many are expected.
    pub(crate) fn new(workers: usize) -> Self {
        let own = (0..workers.max(1)).map(|_| OnceLock::new()).collect();
        Self { own, more: OnceLock::new() }
    }

    /// What a worker has, made when it first needs it.
    pub(crate) fn of(&self, worker: usize) -> &T {
        match self.own.get(worker) {
            Some(own) => own.get_or_init(Box::default),
            None => self.beyond(worker - self.own.len()),
        }
    }

    #[cold]
    fn beyond(&self, worker: usize) -> &T {
        self.more.get_or_init(|| Box::new(Self::new(self.own.len() * 2))).of(worker)
    }
}

impl<T> PerWorker<T> {
    /// All that was made, by worker.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let all = std::iter::successors(Some(self), |it| it.more.get().map(|more| &**more));
        all.flat_map(|it| it.own.iter().filter_map(OnceLock::get).map(|own| &**own))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn each_worker_has_its_own_also_beyond_those_that_were_expected() {
        let all = PerWorker::<AtomicUsize>::new(2);
        assert_eq!(all.iter().count(), 0);
        for worker in [1, 0, 40, 2, 7, 1] {
            all.of(worker).fetch_add(worker + 1, Relaxed);
        }
        let found: Vec<_> = all.iter().map(|it| it.load(Relaxed)).collect();
        assert_eq!(found, [1, 4, 3, 8, 41]);
        assert!(std::ptr::eq(all.of(7), all.of(7)));
    }
}
