//! Slots: how many exchanges are past a plugin at the same time, for each key of it.
//!
//! Owns who holds a slot and who waits for one. A slot is a value, [`Held`]: dropped, it is given to the next
//! one who waits, so that none is lost however its exchange ends. One who waits is a value too, [`Waiting`]:
//! dropped, it waits no more, and gives back what it was given meanwhile. How long slots of a key are held is
//! remembered, so that one who is refused can be told when to come again. A key is known for as long as a slot of it is
//! held, and up to [`REMEMBERED`] of them longer. Must not know what a key means.

#[cfg(test)]
mod tests;
mod turns;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::oneshot;

use self::turns::{Place, Rank, Turns};
use crate::telemetry::metrics::{PluginMetrics, SlotCounts, SlotResult};

/// Keys that are known though none of their slots is held: for most plugins all.
const REMEMBERED: usize = 1024;

/// The weight of one more time that a slot was held is the inverse of this.
const MEMORY: u64 = 8;

/// The slots of one plugin.
#[derive(Debug)]
pub(crate) struct Slots {
    lines: DashMap<Arc<str>, Line>,
    /// How many lines there are.
    known: AtomicUsize,
    metrics: Arc<PluginMetrics>,
    counts: OnceLock<Arc<SlotCounts>>,
}

/// The slots under one key.
#[derive(Debug, Default)]
struct Line {
    /// Those that are held.
    held: u32,
    /// How many there are, as the last one said who asked.
    limit: u32,
    /// How long slots were held lately, in nanoseconds; 0 while none was given back.
    time: u64,
    turns: Turns<oneshot::Sender<Held>>,
}

/// How the slots under a key are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Occupancy {
    /// Slots that are held.
    pub(crate) held: u32,
    /// Exchanges that wait for one.
    pub(crate) waiting: u32,
}

/// What is asked for by one who would wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) key: &'a str,
    /// Slots there are.
    pub(crate) limit: u32,
    /// Exchanges that may wait.
    pub(crate) queue: u32,
    /// How long this one may.
    pub(crate) time: Duration,
    pub(crate) turn: Turn<'a>,
}

/// When it is the turn of one who waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) priority: u8,
    pub(crate) share: &'a str,
    /// How many turns its share has for one of others, at least 1.
    pub(crate) weight: u16,
}

impl<'a> Turn<'a> {
    fn rank(self) -> Rank<'a> {
        Rank { priority: self.priority, share: self.share, weight: self.weight }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Queued {
    Taken(Held),
    Waits(Waiting),
    Full,
}

/// A slot; free again when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    slots: Arc<Slots>,
    key: Arc<str>,
    since: Instant,
}

/// A place among those who wait; given up when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    slots: Arc<Slots>,
    key: Arc<str>,
    place: Place,
    given: oneshot::Receiver<Held>,
    time: Duration,
    since: Instant,
    /// What came of it, once that is known.
    is_over: bool,
}

impl Slots {
    /// The slots of the plugin with these metrics: none is held.
    pub(crate) fn new(metrics: Arc<PluginMetrics>) -> Self {
        Self { lines: DashMap::new(), known: AtomicUsize::new(0), metrics, counts: OnceLock::new() }
    }

    /// Takes a slot, if one is free and nobody waits for it.
    pub(crate) fn take(self: &Arc<Self>, key: &str, limit: u32) -> (Option<Held>, Occupancy) {
        let (given, (held, occupancy)) = self.at(key, limit, |line, key| {
            let held = line.take().then(|| self.held(key));
            (held, line.occupancy())
        });
        Self::give(given);
        if held.is_some() {
            self.counts().asked(SlotResult::Taken);
        }
        (held, occupancy)
    }

    /// Takes a slot, or a place among those who wait.
    pub(crate) fn queue(self: &Arc<Self>, wait: Wait<'_>) -> (Queued, Occupancy) {
        let (given, (queued, occupancy)) = self.at(wait.key, wait.limit, |line, key| {
            let queued = if line.take() {
                Queued::Taken(self.held(key))
            } else if line.turns.len() >= wait.queue as usize {
                Queued::Full
            } else {
                let (give, given) = oneshot::channel();
                let place = line.turns.push(wait.turn.rank(), give);
                self.counts().waits(1);
                Queued::Waits(Waiting {
                    slots: Arc::clone(self),
                    key: Arc::clone(key),
                    place,
                    given,
                    time: wait.time,
                    since: Instant::now(),
                    is_over: false,
                })
            };
            (queued, line.occupancy())
        });
        Self::give(given);
        match queued {
            Queued::Taken(_) => self.counts().asked(SlotResult::Taken),
            Queued::Full => self.counts().asked(SlotResult::Full),
            Queued::Waits(_) => {}
        }
        (queued, occupancy)
    }

    /// How the slots under a key are used.
    pub(crate) fn look(&self, key: &str) -> Occupancy {
        self.lines.get(key).map(|line| line.occupancy()).unwrap_or_default()
    }

    /// How long one who came now would wait for a slot under a key, behind all others, if slots are held on as they were
    /// lately. `None` where that is not known.
    pub(crate) fn expected_wait(&self, key: &str) -> Option<Duration> {
        let line = self.lines.get(key)?;
        line.expected_wait(line.turns.len() as u64)
    }

    /// The same of one with this turn, if nobody came after it.
    pub(crate) fn expected_turn(&self, key: &str, turn: Turn<'_>) -> Option<Duration> {
        let line = self.lines.get(key)?;
        line.expected_wait(line.turns.before(turn.rank()))
    }

    /// All keys of which slots are held or waited for: each with how many there are, and how they are used.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, u32, Occupancy)> {
        let lines = self.lines.iter().filter(|line| !line.is_idle());
        let mut all: Vec<_> =
            lines.map(|line| (Arc::clone(line.key()), line.limit, line.occupancy())).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Does something with the line of a key, of which there are so many slots. Those who have one by that are
    /// to be [given](Self::give) it without the lock.
    fn at<T>(
        self: &Arc<Self>,
        key: &str,
        limit: u32,
        act: impl FnOnce(&mut Line, &Arc<str>) -> T,
    ) -> (Vec<(oneshot::Sender<Held>, Held)>, T) {
        let mut entry = match self.lines.get_mut(key) {
            Some(entry) => entry,
            None => self.lines.entry(key.into()).or_insert_with(|| {
                self.known.fetch_add(1, Relaxed);
                Line::default()
            }),
        };
        let (key, line) = entry.pair_mut();
        line.limit = limit;
        let key = Arc::clone(key);
        // A limit that was raised lets in who waits, before who comes.
        let given = self.next(line, &key);
        let done = act(line, &key);
        let is_idle = line.is_idle();
        drop(entry);
        if is_idle {
            self.forget(&key);
        }
        (given, done)
    }

    /// A slot that was counted already.
    fn held(self: &Arc<Self>, key: &Arc<str>) -> Held {
        self.counts().holds(1);
        Held { slots: Arc::clone(self), key: Arc::clone(key), since: Instant::now() }
    }

    /// Those whose turn it is, with their slots.
    fn next(
        self: &Arc<Self>,
        line: &mut Line,
        key: &Arc<str>,
    ) -> Vec<(oneshot::Sender<Held>, Held)> {
        let mut given = Vec::new();
        while line.held < line.limit
            && let Some(give) = line.turns.pop()
        {
            line.held += 1;
            given.push((give, self.held(key)));
        }
        given
    }

    /// Hands over what was taken for others. One who left meanwhile gives it back by that.
    fn give(given: Vec<(oneshot::Sender<Held>, Held)>) {
        for (give, held) in given {
            drop(give.send(held));
        }
    }

    /// A slot is free, which was held for so long.
    fn give_back(self: &Arc<Self>, key: &Arc<str>, time: Duration) {
        self.counts().holds(-1);
        let Some(mut line) = self.lines.get_mut(key) else { return };
        line.held = line.held.saturating_sub(1);
        line.learn(time);
        let given = self.next(&mut line, key);
        let is_idle = line.is_idle();
        drop(line);
        if is_idle {
            self.forget(key);
        }
        Self::give(given);
    }

    /// Waits no more. `false` if it was given a slot before.
    fn leave(&self, key: &Arc<str>, place: &Place) -> bool {
        let Some(mut line) = self.lines.get_mut(key) else { return false };
        line.turns.remove(place)
    }

    /// Forgets a key, if more are known than are remembered.
    fn forget(&self, key: &Arc<str>) {
        if self.known.load(Relaxed) > REMEMBERED
            && self.lines.remove_if(key, |_, line| line.is_idle()).is_some()
        {
            self.known.fetch_sub(1, Relaxed);
        }
    }

    fn counts(&self) -> &SlotCounts {
        self.counts.get_or_init(|| self.metrics.slots())
    }
}

impl Line {
    /// Counts a slot more as held, if there is one and nobody waits.
    fn take(&mut self) -> bool {
        let is_free = self.held < self.limit && self.turns.len() == 0;
        self.held += u32::from(is_free);
        is_free
    }

    fn is_idle(&self) -> bool {
        self.held == 0 && self.turns.len() == 0
    }

    fn occupancy(&self) -> Occupancy {
        let waiting = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
        Occupancy { held: self.held, waiting }
    }

    /// One more was given back. What was long ago counts less and less.
    fn learn(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.time = match self.time {
            0 => time,
            mean => mean - mean / MEMORY + (time / MEMORY).max(1),
        };
    }

    /// How long one waits whom so many are before: as many slots as there are become free in the time for which one is held.
    fn expected_wait(&self, before: u64) -> Option<Duration> {
        if self.held < self.limit && self.turns.len() == 0 {
            return Some(Duration::ZERO);
        }
        let turns = u128::from(before) + 1;
        let nanos = (self.time > 0).then(|| u128::from(self.time) * turns)?;
        let nanos = nanos / u128::from(self.limit.max(1));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

impl Held {
    /// Whether it is one of these.
    pub(crate) fn is_of(&self, slots: &Arc<Slots>, key: &str) -> bool {
        self.is_under(key) && Arc::ptr_eq(&self.slots, slots)
    }

    /// Whether this is its key.
    pub(crate) fn is_under(&self, key: &str) -> bool {
        &*self.key == key
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slots.give_back(&self.key, self.since.elapsed());
    }
}

impl Waiting {
    /// Whether this is the key that it waits for.
    pub(crate) fn is_under(&self, key: &str) -> bool {
        &*self.key == key
    }

    /// When it began to wait.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Waits for the slot; `None` if the time is over.
    pub(crate) async fn held(mut self) -> Option<Held> {
        let left = self.time.saturating_sub(self.since.elapsed());
        let given = tokio::time::timeout(left, &mut self.given).await;
        let held = match given {
            Ok(given) => given.ok(),
            Err(_) => {
                // It may have been given while the time ran out.
                self.given.close();
                self.given.try_recv().ok()
            }
        };
        let result = if held.is_some() { SlotResult::Waited } else { SlotResult::Late };
        self.slots.counts().waited(self.since.elapsed(), result);
        self.is_over = true;
        held
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.slots.leave(&self.key, &self.place);
        let counts = self.slots.counts();
        counts.waits(-1);
        if !self.is_over {
            counts.waited(self.since.elapsed(), SlotResult::Left);
        }
        // A slot that it was given and never took is in `given`, and is dropped with that.
    }
}
