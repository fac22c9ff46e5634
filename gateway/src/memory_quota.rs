//! Memory that plugins hold in the gateway outside of their instances, counted in bytes.
//!
//! Owns the counters: each byte is released exactly once, however an exchange ends. A reservation over a
//! limit is refused here; callers write the message. Must not know what the bytes are.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes in use in the whole process, and their limit.
#[derive(Debug)]
pub(crate) struct MemoryQuota {
    held: AtomicUsize,
    limit: AtomicUsize,
}

impl MemoryQuota {
    /// At most so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// At most so many bytes from now on. What is held stays.
    pub(crate) fn set(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// How many bytes may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether so many bytes more would find room at the moment.
    fn has_room(&self, bytes: u64) -> bool {
        self.limit().saturating_sub(self.held()) as u64 >= bytes
    }

    /// Holds so many bytes more, or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let limit = self.limit();
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= limit);
        self.held.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Holds so many bytes more of what the gateway can do without: half of the room is for what it needs.
    pub(crate) fn take_spare(&self, bytes: usize) -> bool {
        let limit = self.limit() / 2;
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= limit);
        self.held.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Holds so many bytes less.
    pub(crate) fn give(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }
}

/// Bytes that a worker has in hand at most without holding anything with them, for a large bound.
const IN_HAND: usize = 64 << 10;

/// One worker's part of a bound. It takes a little more than it needs, so that most exchanges touch
/// no counter of other workers.
#[derive(Debug)]
pub(crate) struct LocalQuota {
    bound: Arc<MemoryQuota>,
    held: Cell<usize>,
    taken: Cell<usize>,
}

impl LocalQuota {
    /// A part that holds nothing.
    pub(crate) fn new(bound: &Arc<MemoryQuota>) -> Self {
        Self { bound: Arc::clone(bound), held: Cell::new(0), taken: Cell::new(0) }
    }

    /// How many bytes may be held on all workers together.
    pub(crate) fn limit(&self) -> usize {
        self.bound.limit()
    }

    /// Holds so many bytes more, or none.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        let held = self.held.get().saturating_add(bytes);
        if held > self.taken.get() && !self.take(held - self.taken.get()) {
            return false;
        }
        self.held.set(held);
        true
    }

    /// Holds so many bytes less.
    pub(crate) fn release(&self, bytes: usize) {
        let held = self.held.get().saturating_sub(bytes);
        self.held.set(held);
        if self.taken.get() - held > self.in_hand() {
            self.bound.give(self.taken.replace(held) - held);
        }
    }

    /// A thousandth of a small bound, or other workers would be refused without need.
    fn in_hand(&self) -> usize {
        (self.bound.limit() / 1024).min(IN_HAND)
    }

    #[cold]
    fn take(&self, lacks: usize) -> bool {
        let ample = lacks.saturating_add(self.in_hand() / 2);
        let taken = [ample, lacks].into_iter().find(|bytes| self.bound.take(*bytes));
        taken.inspect(|bytes| self.taken.set(self.taken.get() + bytes)).is_some()
    }
}

impl Drop for LocalQuota {
    fn drop(&mut self) {
        self.bound.give(self.taken.get());
    }
}

/// The minimum that one body counts: for smaller bodies the overhead is larger than the body.
const LEAST: usize = 4 << 10;

/// A body that is held for a plugin, or that a plugin made. Its bytes count for the plugin and for the
/// process until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    plugin: Arc<MemoryQuota>,
    process: Arc<MemoryQuota>,
    held: usize,
}

/// Which bound is reached, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaExceeded {
    /// That of the plugin.
    Plugin(usize),
    /// That of the process.
    Process(usize),
}

impl Reservation {
    /// Holds nothing yet.
    pub(crate) fn new(plugin: &Arc<MemoryQuota>, process: &Arc<MemoryQuota>) -> Self {
        Self { plugin: Arc::clone(plugin), process: Arc::clone(process), held: 0 }
    }

    /// The same, of a body that is held for no plugin.
    pub(crate) fn of_process(process: &Arc<MemoryQuota>) -> Self {
        Self::new(&Arc::new(MemoryQuota::new(usize::MAX)), process)
    }

    /// Whether a body of so many bytes would find room at the moment. None is kept for it.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), QuotaExceeded> {
        if !self.plugin.has_room(bytes) {
            return Err(QuotaExceeded::Plugin(self.plugin.limit()));
        }
        if !self.process.has_room(bytes) {
            return Err(QuotaExceeded::Process(self.process.limit()));
        }
        Ok(())
    }

    /// The body has so many bytes now; it never has fewer.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), QuotaExceeded> {
        let more = bytes.max(LEAST).saturating_sub(self.held);
        if !self.plugin.take(more) {
            return Err(QuotaExceeded::Plugin(self.plugin.limit()));
        }
        if !self.process.take(more) {
            self.plugin.give(more);
            return Err(QuotaExceeded::Process(self.process.limit()));
        }
        self.held += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.plugin.give(self.held);
        self.process.give(self.held);
    }
}

/// Bytes that count for as long as anybody holds them.
pub(crate) struct Reserved<T> {
    bytes: T,
    _reservation: Reservation,
}

impl<T: AsRef<[u8]> + Send + 'static> Reserved<T> {
    /// These bytes, which are counted already.
    pub(crate) fn bytes(bytes: T, reservation: Reservation) -> bytes::Bytes {
        bytes::Bytes::from_owner(Self { bytes, _reservation: reservation })
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Reserved<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_no_more_than_the_bound_together_and_give_everything_back() {
        let bound = Arc::new(MemoryQuota::new(1 << 20));
        let (one, other) = (LocalQuota::new(&bound), LocalQuota::new(&bound));
        assert!(one.hold(600_000) && !other.hold(600_000) && other.hold(400_000));
        assert!(bound.held() >= 1_000_000 && bound.held() <= 1 << 20);
        assert!(!one.hold(60_000));
        one.release(600_000);
        assert!(bound.held() < 400_000 + 2 * (1 << 10));
        assert!(one.hold(640_000), "what a worker has in hand is little");
        drop(one);
        other.release(400_000);
        drop(other);
        assert_eq!(bound.held(), 0);
    }

    #[test]
    fn what_can_be_done_without_takes_half_of_the_room() {
        let quota = MemoryQuota::new(100);
        assert!(quota.take_spare(50) && !quota.take_spare(1));
        assert!(quota.take(50) && !quota.take(1));
        quota.give(50);
        assert!(!quota.take_spare(1), "others have taken it");
    }

    #[test]
    fn a_lower_bound_lets_go_of_nothing_and_refuses_more() {
        let bound = Arc::new(MemoryQuota::new(100_000));
        let part = LocalQuota::new(&bound);
        assert!(part.hold(90_000));
        bound.set(50_000);
        assert!(!part.hold(20_000));
        part.release(90_000);
        assert!(part.hold(50_000) && !part.hold(1));
    }

    #[test]
    fn a_body_counts_for_its_plugin_and_the_process_until_its_bytes_are_gone() {
        let process = Arc::new(MemoryQuota::new(20_000));
        let plugins = [Arc::new(MemoryQuota::new(12_000)), Arc::new(MemoryQuota::new(12_000))];
        let mut first = Reservation::new(&plugins[0], &process);
        first.grow(1).expect("there is room");
        assert_eq!(plugins[0].held(), 4096);
        first.grow(10_000).expect("there is room");
        assert_eq!((plugins[0].held(), process.held()), (10_000, 10_000));
        assert_eq!(first.grow(13_000), Err(QuotaExceeded::Plugin(12_000)));
        let mut second = Reservation::new(&plugins[1], &process);
        assert_eq!(second.check(11_000), Err(QuotaExceeded::Process(20_000)));
        assert_eq!(second.grow(11_000), Err(QuotaExceeded::Process(20_000)));
        assert_eq!((plugins[1].held(), process.held()), (0, 10_000));
        let bytes = Reserved::bytes(vec![1; 10_000], first);
        let rest = bytes.slice(9_999..);
        drop(bytes);
        assert_eq!(process.held(), 10_000);
        drop(rest);
        assert_eq!((plugins[0].held(), process.held()), (0, 0));
        second.grow(11_000).expect("there is room");
    }
}
