//! How many connections a target has at a time, and how many requests wait for one.
//!
//! Owns the bound, which all workers share, and who is woken when there is room. A connection belongs to its worker: so
//! whoever waits asks the others to close one that is idle ([`wanted`](Connections::wanted)). Opens and closes none
//! itself; the deadline of those who wait is the caller's.
//!
//! Who waits says so before it looks for room, and who closes one makes room before it looks whether anybody waits. Both
//! do so with `SeqCst`, so that at least one of them sees the other: with less, a processor may do either the other way
//! round, and a request would wait beside a free place until its time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::NoPlace;
use crate::config::ConnectionBound;

/// Those of one target. Lives as long as the process.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: AtomicUsize,
    /// Of them, those that wait for a request.
    idle: AtomicUsize,
    max: AtomicUsize,
    waiting: AtomicUsize,
    queue: AtomicUsize,
    /// One has been closed.
    freed: Notify,
    /// Somebody has begun to wait.
    wanted: Notify,
    /// By the place in [`NoPlace::WORDS`].
    shed: [AtomicU64; NoPlace::WORDS.len()],
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Connections>);

/// Counts one that waits.
#[derive(Debug)]
pub(crate) struct Waits<'a>(&'a Connections);

impl Connections {
    /// What the configuration in force says. Connections that are open stay.
    pub(super) fn set(&self, bound: Option<ConnectionBound>) {
        self.max.store(bound.map_or(usize::MAX, |bound| bound.max), Relaxed);
        self.queue.store(bound.map_or(usize::MAX, |bound| bound.queue), Relaxed);
        self.freed.notify_waiters();
        // Those that give up idle ones see whether they still have a target.
        self.wanted.notify_waiters();
    }

    /// One more, if there is room.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let more = |open| (open < self.max.load(Relaxed)).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, more).ok()?;
        Some(Permit(Arc::clone(self)))
    }

    /// How many requests wait, on whichever worker.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// A request waits from now on, unless as many do as may. One for which a worker gives up an idle connection does not
    /// count: it waits for that alone.
    pub(crate) fn wait(&self) -> Result<Waits<'_>, NoPlace> {
        let waits = Waits(self);
        let queue = self.queue.load(Relaxed);
        let most = queue.saturating_add(self.idle.load(Relaxed));
        if self.waiting.fetch_add(1, SeqCst) >= most {
            self.shed[0].fetch_add(1, Relaxed);
            return Err(NoPlace::NoConnection { max: self.max.load(Relaxed), queue });
        }
        self.wanted.notify_waiters();
        Ok(waits)
    }

    /// A request waited for as long as it may.
    pub(crate) fn gives_up(&self, time: std::time::Duration) -> NoPlace {
        self.shed[1].fetch_add(1, Relaxed);
        NoPlace::LateConnection { max: self.max.load(Relaxed), time }
    }

    /// Ends when one has been closed.
    pub(crate) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Ends when somebody begins to wait.
    pub(crate) fn wanted(&self) -> Notified<'_> {
        self.wanted.notified()
    }

    /// How many are open, and how many requests wait for one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.open.load(Relaxed), self.waiting.load(Relaxed))
    }

    /// How many requests got none, by the place in [`NoPlace::WORDS`].
    pub(crate) fn shed(&self) -> [u64; NoPlace::WORDS.len()] {
        self.shed.each_ref().map(|count| count.load(Relaxed))
    }
}

impl Permit {
    /// Whether the connection waits for a request from now on.
    pub(crate) fn is_idle(&self, is_idle: bool) {
        match is_idle {
            true => self.0.idle.fetch_add(1, Relaxed),
            false => self.0.idle.fetch_sub(1, Relaxed),
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // Who leaves may have been woken for one that another waits for.
        if self.0.waiting.fetch_sub(1, Relaxed) > 1 {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_are_open_and_so_many_wait() {
        let all = Arc::new(Connections::default());
        let bound =
            |max, queue| Some(ConnectionBound { max, queue, queue_time: Duration::from_secs(1) });
        all.set(bound(2, 1));
        let (one, other) = (all.take().unwrap(), all.take().unwrap());
        assert!(all.take().is_none());
        let first = all.wait().unwrap();
        let refused = all.wait().map(drop).unwrap_err();
        assert_eq!(refused, NoPlace::NoConnection { max: 2, queue: 1 });
        assert_eq!((all.counts(), all.shed()), ((2, 1), [1, 0]));
        one.is_idle(true);
        drop(all.wait().unwrap());
        one.is_idle(false);
        assert!(all.wait().is_err());
        drop(one);
        let third = all.take().unwrap();
        drop((first, other, third));
        assert_eq!(all.counts(), (0, 0));
        // What is open over a bound that has become lower stays.
        let many: Vec<_> = (0..2).map(|_| all.take().unwrap()).collect();
        all.set(bound(1, 1));
        assert!(all.take().is_none());
        drop(many);
        assert!(all.take().is_some_and(|_| all.take().is_none()));
        all.set(None);
        assert!((0..9).map(|_| all.take()).all(|it| it.is_some()));
    }
}
