//! The second level of a cache: what several gateways store, in a server that they share.
//!
//! Owns that a request waits for it no longer than for its store, that what is written waits in a bounded queue, and
//! that a purge holds on all gateways: a value is of a generation, and a purge begins a new one. Must not fail a
//! request: without an answer there is nothing stored.

mod value;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::{Cache, Entry, lock};
use crate::config::SecondLevel as Settings;
use crate::state::limits::wall;
use crate::state::redis::Redis;
use crate::state::redis::responses::{Purged, SharedResponses, Stored};
use crate::telemetry::metrics::{CacheCounts, SecondResult};

/// Bytes of what waits to be written.
const QUEUE: u64 = 32 << 20;
/// How many are written at the same time.
const WRITERS: usize = 2;
/// How often it is asked what others have purged.
const EVERY: Duration = Duration::from_secs(1);
/// The same, as long as nothing is known.
const AT_FIRST: Duration = Duration::from_millis(50);
/// Purges that wait to be sent, one by one; more are one of everything.
const MAX_WAITING: usize = 10_000;
/// Those that are sent at once.
const AT_ONCE: usize = 500;
/// How long who purges waits until the others can hear of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Second {
    responses: SharedResponses,
    max_object: u64,
    /// Nanoseconds for which something is kept there, at most.
    ttl: u64,
    counts: Arc<CacheCounts>,
    /// The last one that is known; 0 is none.
    generation: AtomicU64,
    /// Nanoseconds that the server's clock is ahead.
    ahead: AtomicI64,
    /// The server could not be asked before anything was known.
    has_missed: AtomicBool,
    waiting: Mutex<Waiting>,
    is_sent: Condvar,
    /// Whether something is in `waiting`.
    is_behind: AtomicBool,
    wake: Arc<Notify>,
    is_kept: AtomicBool,
    /// Bytes that wait to be written.
    queued: AtomicU64,
    turns: Semaphore,
}

/// Purges that the server does not know of yet.
#[derive(Debug, Default)]
struct Waiting {
    /// How many of them are of everything; those before them are in it.
    all: u64,
    some: Vec<Purged>,
}

/// What is sent of them at once.
#[derive(Debug)]
enum Sent {
    /// One of everything stands for so many.
    All(u64),
    Some(Vec<Purged>),
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.all == 0 && self.some.is_empty()
    }

    /// One more.
    fn add(&mut self, purged: Option<Purged>) {
        match purged {
            Some(purged) if self.all == 0 && self.some.len() < MAX_WAITING => {
                self.some.push(purged)
            }
            // Also while another one of everything is under way: the server may have done that already.
            _ => {
                self.all += 1;
                self.some.clear();
            }
        }
    }

    /// What is to be sent next.
    fn next(&self) -> Option<Sent> {
        match self.all {
            0 if self.some.is_empty() => None,
            0 => Some(Sent::Some(self.some[..self.some.len().min(AT_ONCE)].to_vec())),
            all => Some(Sent::All(all)),
        }
    }

    /// The server knows of these.
    fn is_told(&mut self, sent: &Sent) {
        match sent {
            Sent::All(all) => self.all -= all,
            // If they are not there any more, one of everything waits in their place.
            Sent::Some(some) => {
                self.some.drain(..some.len().min(self.some.len()));
            }
        }
    }
}

impl Second {
    pub(super) fn new(
        cache: &str,
        settings: &Settings,
        store: &Arc<Redis>,
        counts: &Arc<CacheCounts>,
    ) -> Arc<Self> {
        Arc::new(Self {
            responses: SharedResponses::new(store, cache),
            max_object: settings.max_object,
            ttl: u64::try_from(settings.ttl.as_nanos()).unwrap_or(u64::MAX),
            counts: Arc::clone(counts),
            generation: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            has_missed: AtomicBool::new(false),
            waiting: Mutex::default(),
            is_sent: Condvar::new(),
            is_behind: AtomicBool::new(false),
            wake: Arc::default(),
            is_kept: AtomicBool::new(false),
            queued: AtomicU64::new(0),
            turns: Semaphore::new(WRITERS),
        })
    }

    /// The generation of what is stored now.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Nanoseconds since 1970, by the server's clock.
    fn time(&self) -> u64 {
        wall().saturating_add_signed(self.ahead.load(Relaxed))
    }

    /// Serves it on this thread, whose runtime keeps it current if no other does.
    pub(super) fn connect_here(self: &Arc<Self>, cache: &Arc<Cache>) {
        self.responses.connect_here();
        if !self.is_kept.swap(true, Relaxed) {
            tokio::spawn(keep(Arc::downgrade(cache), Arc::clone(&self.wake)));
        }
    }

    /// What is stored from now on is of another generation than this.
    pub(super) fn purge(&self, purged: Option<Purged>) {
        let mut waiting = lock(&self.waiting);
        waiting.add(purged);
        self.is_behind.store(true, Release);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Waits until the server knows of all purges; whether it does.
    pub(super) fn settle(&self) -> bool {
        let waiting = lock(&self.waiting);
        let late = self.is_sent.wait_timeout_while(waiting, PATIENCE, |it| !it.is_empty());
        let (waiting, _) = late.unwrap_or_else(PoisonError::into_inner);
        waiting.is_empty()
    }

    /// Writes an entry, behind others and not now.
    pub(super) fn write(self: &Arc<Self>, entry: &Arc<Entry>) {
        // Unknown to the server, or in a file.
        let length = entry.bytes().map(|bytes| bytes.len() as u64);
        if entry.generation == 0 || length.is_none_or(|length| length > self.max_object) {
            return;
        }
        let size = entry.size();
        let Ok(runtime) = Handle::try_current() else { return };
        if self.queued.fetch_add(size, Relaxed) + size > QUEUE {
            self.queued.fetch_sub(size, Relaxed);
            self.counts.second_dropped();
            return;
        }
        let (second, entry) = (Arc::clone(self), Arc::clone(entry));
        runtime.spawn(async move {
            let turn = second.turns.acquire().await;
            if let Some(sent) = value::of(&entry, &second) {
                let value::Sent { variant, value, milliseconds } = &sent;
                let (key, milliseconds) = (entry.key(), *milliseconds);
                let stored = Stored { key, variant, value, milliseconds };
                match second.responses.store(&stored).await {
                    Ok(true) => second.counts.second_stored(),
                    Ok(false) | Err(_) => second.counts.second_dropped(),
                }
            }
            drop(turn);
            second.queued.fetch_sub(size, Relaxed);
        });
    }

    /// Sends the purges that wait; whether the server knows of all.
    async fn tell(&self) -> bool {
        loop {
            let Some(sent) = lock(&self.waiting).next() else { return true };
            let purged = match &sent {
                Sent::All(_) => self.responses.purge(None).await,
                Sent::Some(some) => self.responses.purge(Some(some)).await,
            };
            let Ok([before, now]) = purged else { return false };
            // Nobody else has purged anything since.
            if before == self.generation() {
                self.generation.store(now, Release);
            }
            let mut waiting = lock(&self.waiting);
            waiting.is_told(&sent);
            if waiting.is_empty() {
                self.is_behind.store(false, Release);
                self.is_sent.notify_all();
            }
        }
    }

    /// Does here what others have purged.
    async fn learn(&self, cache: &Cache) {
        let known = self.generation();
        let Ok(learned) = self.responses.learn(known).await else {
            self.has_missed.store(true, Relaxed);
            return;
        };
        let ahead = i128::from(learned.time) - i128::from(wall());
        self.ahead.store(i64::try_from(ahead).unwrap_or_default(), Relaxed);
        let is_first = known == 0;
        let has_missed = self.has_missed.swap(false, Relaxed) && is_first;
        // The server has lost what was purged, or does not remember all of it.
        let is_lost = !is_first && (learned.generation < known || learned.floor > known);
        if has_missed || is_lost {
            cache.drop_all();
        } else {
            for purged in learned.purged {
                match purged {
                    Purged::Key(key) => cache.drop_key(key),
                    Purged::Tag(tag) => cache.drop_tag(tag),
                };
            }
        }
        // Last: what is of it must be asked for later than what was purged.
        self.generation.store(learned.generation, Release);
    }
}

/// Tells the server what is purged here, and asks what others have purged, for as long as there is the cache.
async fn keep(cache: Weak<Cache>, wake: Arc<Notify>) {
    while let Some(cache) = cache.upgrade() {
        let Some(second) = cache.second.clone() else { return };
        if second.tell().await {
            second.learn(&cache).await;
        }
        drop(cache);
        let pause = if second.generation() == 0 { AT_FIRST } else { EVERY };
        drop(second);
        let _time = tokio::time::timeout(pause, wake.notified()).await;
    }
}

impl Cache {
    /// Whether there is a second level.
    pub(crate) fn has_second(&self) -> bool {
        self.second.is_some()
    }

    /// Connects the worker of this thread to the second level, if there is one.
    pub(crate) fn connect_here(self: &Arc<Self>) {
        if let Some(second) = &self.second {
            second.connect_here(self);
        }
    }

    /// Looks for keys in the second level; whether there is something under them that was not here.
    pub(crate) async fn ask_second(&self, keys: &[u128]) -> bool {
        let Some(second) = &self.second else { return false };
        // What was purged here would be found there.
        if second.is_behind.load(Acquire) || second.generation() == 0 {
            self.counts.second_asked(SecondResult::Away);
            return false;
        }
        let purges = self.purges.load(Acquire);
        let Ok(found) = second.responses.lookup(keys).await else {
            self.counts.second_asked(SecondResult::Away);
            return false;
        };
        let mut is_new = false;
        for value in found {
            match value::entry(self, second, value, keys) {
                Some(entry) => is_new |= self.promote(entry, purges),
                None => self.counts.second_asked(SecondResult::Damaged),
            }
        }
        self.counts.second_asked(if is_new { SecondResult::Hit } else { SecondResult::Miss });
        is_new
    }

    /// Puts an entry here that came from the second level, unless there is a newer one, or one that may be it was purged
    /// meanwhile.
    fn promote(&self, entry: Entry, purges: u64) -> bool {
        let (spot, id) = (entry.spot(), entry.id);
        let is_older = |known: &Arc<Entry>| {
            known.stored >= entry.stored
                && known.key() == entry.key()
                && known.block().variant() == entry.block().variant()
        };
        let group = self.map.peek(&spot);
        if group.is_some_and(|group| group.entries().iter().any(is_older)) {
            return false;
        }
        self.put(entry);
        if self.purges.load(Acquire) != purges {
            self.take_out(spot, |entry| entry.id == id);
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_that_comes_while_another_is_sent_is_sent_too() {
        let mut waiting = Waiting::default();
        waiting.add(None);
        let sent = waiting.next().expect("it waits");
        waiting.add(Some(Purged::Tag(1)));
        waiting.is_told(&sent);
        assert!(matches!(waiting.next(), Some(Sent::All(1))), "{waiting:?}");
        waiting.is_told(&Sent::All(1));
        assert!(waiting.is_empty() && waiting.next().is_none());
    }

    #[test]
    fn those_that_are_too_many_become_one_of_everything() {
        let mut waiting = Waiting::default();
        (0..MAX_WAITING as u64).for_each(|tag| waiting.add(Some(Purged::Tag(tag))));
        let sent = waiting.next().expect("they wait");
        assert!(matches!(&sent, Sent::Some(some) if some.len() == AT_ONCE), "{sent:?}");
        waiting.add(Some(Purged::Key(1)));
        waiting.is_told(&sent);
        assert!(waiting.some.is_empty() && matches!(waiting.next(), Some(Sent::All(1))));
    }
}
