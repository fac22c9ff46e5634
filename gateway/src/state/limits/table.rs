//! Buckets by key, in a bounded table.
//!
//! Owns where a bucket is kept, how the table grows, and what gives way when it may not grow. Each
//! bucket is a key, hashed to 128 bits with a secret of the table's own, and the moment when it is full
//! again. One that is full equals one that is not there, so that its place is simply taken: nothing
//! is ever swept. Must not know rates.
//!
//! A key has two homes among the sets of its shard. When all places of both are taken by buckets that
//! are not full, and the shard may not grow, the one that is full first gives way, be it the new one
//! itself. The set remembers the latest moment at which a bucket that gave way would have been full
//! ([`Set::floor`]), and a key that is not held counts as full no sooner than that: nobody gains
//! anything by being forgotten.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use siphasher::sip128::SipHasher13;

/// Parts of the table with a lock each; a power of two. Many, since a shard grows as a whole.
const SHARDS: usize = 64;
/// Buckets of a set: with the set's own two words they fill four cache lines.
const WAYS: usize = 10;

/// See the module.
pub(super) struct Table {
    hasher: SipHasher13,
    /// Made with the first bucket: most plugins have none.
    shards: OnceLock<Box<[Shard]>>,
    /// Sets of a shard, at most; a power of two.
    most: AtomicUsize,
}

/// A key, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(in crate::state) struct Key(pub(in crate::state) [u64; 2]);

impl Key {
    /// One of two keys in the same shard that differ from it and from each other: those of even and of odd numbers.
    pub(super) fn beside(self, number: u64) -> Self {
        let Self([one, other]) = self;
        Self([one, other ^ (1 + (number & 1))])
    }

    /// Another key in the same shard, of what is owed beyond what this one holds.
    pub(super) fn owed(self) -> Self {
        let Self([one, other]) = self;
        Self([one, other ^ 4])
    }
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<Sets>);

/// The sets of a shard: none at first, then a power of two.
#[derive(Default)]
struct Sets {
    list: Box<[Set]>,
    /// Buckets that were put in since it was last asked how many of them are full.
    put: usize,
}

#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// The latest moment at which a bucket would be full that gave way here.
    floor: u64,
    /// When the last one did.
    gave_way: u64,
    /// The keys, apart from each other by half: looking for one reads as little memory as possible.
    keys: [[u64; WAYS]; 2],
    full_at: [AtomicU64; WAYS],
}

impl Table {
    /// An empty table that may take as many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let random = RandomState::new();
        Self::keyed(bytes, [random.hash_one(0_u8), random.hash_one(1_u8)])
    }

    fn keyed(bytes: usize, secret: [u64; 2]) -> Self {
        Self {
            hasher: SipHasher13::new_with_keys(secret[0], secret[1]),
            shards: OnceLock::new(),
            most: AtomicUsize::new(sets(bytes)),
        }
    }

    /// This one, which is empty, with keys hashed with a secret that another process may have had.
    pub(super) fn keyed_anew(self, secret: [u64; 2]) -> Self {
        Self { hasher: SipHasher13::new_with_keys(secret[0], secret[1]), ..self }
    }

    /// The form of a key in which it is looked for.
    pub(super) fn key(&self, text: &str) -> Key {
        let hash = self.hasher.hash(text.as_bytes());
        Key([hash.h1, hash.h2])
    }

    /// Looks at, and charges, the bucket of a key, if it is held.
    pub(super) fn held<T>(&self, key: Key, charge: impl FnOnce(&AtomicU64) -> T) -> Option<T> {
        let sets = self.shard(key).read();
        sets.find(key).map(charge)
    }

    /// When a bucket that is not held is full, at the latest. It never holds more than `depth`.
    pub(super) fn unheld(&self, key: Key, depth: u64) -> u64 {
        self.shard(key).read().unheld(key, depth)
    }

    /// Charges a bucket, and holds it from then on if it is not full. Returns also how many gave
    /// way for it.
    pub(super) fn put<T>(
        &self,
        key: Key,
        depth: u64,
        now: u64,
        charge: impl FnOnce(&AtomicU64) -> T,
    ) -> (T, u64) {
        let mut sets = self.shard(key).write();
        sets.charge(key, depth, now, self.most.load(Relaxed), charge)
    }

    /// As [`put`](Self::put), and tells the charge when the bucket of a key [`beside`](Key::beside) it is full, and
    /// whether it is held: nobody charges either meanwhile.
    pub(super) fn put_beside<T>(
        &self,
        key: Key,
        other: Key,
        depth: u64,
        now: u64,
        charge: impl FnOnce(&AtomicU64, (u64, bool)) -> T,
    ) -> (T, u64) {
        let mut sets = self.shard(key).write();
        let beside = sets.find(other).map(|full_at| full_at.load(Relaxed));
        let beside = (beside.unwrap_or_else(|| sets.unheld(other, depth)), beside.is_some());
        let most = self.most.load(Relaxed);
        sets.charge(key, depth, now, most, |full_at| charge(full_at, beside))
    }

    /// No bucket that is not held is full sooner than that.
    pub(super) fn raise_floor(&self, floor: u64, now: u64) {
        for index in 0..SHARDS as u64 {
            let mut sets = self.shard(Key([index << 58, 0])).write();
            if sets.list.is_empty() {
                sets.list = sets_of(1);
            }
            for set in &mut sets.list {
                set.floor = set.floor.max(floor);
                set.gave_way = set.gave_way.max(now);
            }
        }
    }

    /// The latest moment at which a bucket that gave way would have been full.
    pub(super) fn floor(&self) -> u64 {
        let shards = self.shards.get().into_iter().flatten();
        let of = |shard: &Shard| shard.read().list.iter().map(|set| set.floor).max().unwrap_or(0);
        shards.map(of).max().unwrap_or(0)
    }

    /// The buckets that are not full, with when they are.
    pub(super) fn all(&self, now: u64) -> Vec<(Key, u64)> {
        let mut all = Vec::new();
        for shard in self.shards.get().into_iter().flatten() {
            for set in &shard.read().list {
                for (index, full_at) in set.full_at.iter().enumerate() {
                    let full_at = full_at.load(Relaxed);
                    if full_at > now {
                        all.push((Key([set.keys[0][index], set.keys[1][index]]), full_at));
                    }
                }
            }
        }
        all
    }

    /// Lets the table take as many bytes from now on. Returns how many buckets gave way.
    pub(super) fn bound(&self, bytes: usize, now: u64) -> u64 {
        let (most, mut displaced) = (sets(bytes), 0);
        self.most.store(most, Relaxed);
        for shard in self.shards.get().into_iter().flatten() {
            let mut sets = shard.write();
            if sets.list.len() > most {
                displaced += sets.rebuild(most, now);
            }
        }
        displaced
    }

    fn shard(&self, Key([hash, _]): Key) -> &Shard {
        let shards = self.shards.get_or_init(|| (0..SHARDS).map(|_| Shard::default()).collect());
        // The upper bits: the lower ones choose the set.
        &shards[(hash >> 58) as usize % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let shards = self.shards.get().into_iter().flatten();
        shards.map(|shard| size_of_val(&*shard.read().list)).sum()
    }
}

/// How many sets a shard of a table of this size may have.
fn sets(bytes: usize) -> usize {
    let sets = bytes / SHARDS / size_of::<Set>();
    1 << sets.max(1).ilog2()
}

impl Shard {
    fn read(&self) -> RwLockReadGuard<'_, Sets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sets> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    /// The two sets in which a key may be.
    fn homes(&self, Key([one, other]): Key) -> [usize; 2] {
        let mask = self.list.len() - 1;
        [one as usize & mask, other as usize & mask]
    }

    fn find(&self, key: Key) -> Option<&AtomicU64> {
        if self.list.is_empty() {
            return None;
        }
        let [one, other] = self.homes(key);
        self.list[one].find(key).or_else(|| self.list[other].find(key))
    }

    fn unheld(&self, key: Key, depth: u64) -> u64 {
        if self.list.is_empty() {
            return 0;
        }
        let of = |home: usize| {
            let Set { floor, gave_way, .. } = self.list[home];
            floor.min(gave_way.saturating_add(depth))
        };
        let [one, other] = self.homes(key).map(of);
        one.max(other)
    }

    /// See [`Table::put`].
    fn charge<T>(
        &mut self,
        key: Key,
        depth: u64,
        now: u64,
        most: usize,
        charge: impl FnOnce(&AtomicU64) -> T,
    ) -> (T, u64) {
        if let Some(full_at) = self.find(key) {
            return (charge(full_at), 0);
        }
        let before = self.unheld(key, depth);
        let full_at = AtomicU64::new(before);
        let charged = charge(&full_at);
        let after = full_at.into_inner();
        if after == before || after <= now {
            return (charged, 0);
        }
        (charged, self.put(key, after, now, most))
    }

    /// Puts a bucket in, and says how many gave way for it.
    fn put(&mut self, key: Key, full_at: u64, now: u64, most: usize) -> u64 {
        let mut displaced = 0;
        if self.list.is_empty() {
            self.list = sets_of(1);
        }
        self.put += 1;
        if self.put >= self.list.len() * WAYS {
            self.put = 0;
            if self.list.len() > 1 && self.live(now) * 8 < self.list.len() * WAYS {
                displaced += self.rebuild(self.list.len() / 2, now);
            }
        }
        while !self.has_place(key, now) && self.list.len() < most {
            displaced += self.rebuild(self.list.len() * 2, now);
        }
        displaced + self.place(key, full_at, now)
    }

    fn has_place(&self, key: Key, now: u64) -> bool {
        self.homes(key).into_iter().any(|home| self.list[home].free(now) > 0)
    }

    /// Holds a bucket in the home with more room; without any, what is full first gives way.
    fn place(&mut self, key: Key, full_at: u64, now: u64) -> u64 {
        let [one, other] = self.homes(key);
        let emptier =
            if self.list[other].free(now) > self.list[one].free(now) { other } else { one };
        let first = |set: &mut Set| set.first().1;
        let home = match self.list[emptier].free(now) {
            0 if first(&mut self.list[other]) < first(&mut self.list[one]) => other,
            0 => one,
            _ => emptier,
        };
        let set = &mut self.list[home];
        let (index, first) = set.first();
        if first <= now {
            set.hold(index, key, full_at);
            return 0;
        }
        set.floor = set.floor.max(first.min(full_at));
        set.gave_way = now;
        if first < full_at {
            set.hold(index, key, full_at);
        }
        1
    }

    /// Buckets that are not full.
    fn live(&mut self, now: u64) -> usize {
        self.list.iter().map(|set| WAYS - set.free(now)).sum()
    }

    /// Moves all buckets that are not full into as many sets, a power of two.
    fn rebuild(&mut self, count: usize, now: u64) -> u64 {
        let old = std::mem::replace(&mut self.list, sets_of(count));
        for index in 0..count.max(old.len()) {
            let (from, to) = (&old[index & (old.len() - 1)], &mut self.list[index & (count - 1)]);
            to.floor = to.floor.max(from.floor);
            to.gave_way = to.gave_way.max(from.gave_way);
        }
        let mut displaced = 0;
        for set in old {
            for (index, full_at) in set.full_at.into_iter().enumerate() {
                let full_at = full_at.into_inner();
                if full_at > now {
                    let key = Key([set.keys[0][index], set.keys[1][index]]);
                    displaced += self.place(key, full_at, now);
                }
            }
        }
        displaced
    }
}

fn sets_of(count: usize) -> Box<[Set]> {
    (0..count).map(|_| Set::default()).collect()
}

impl Set {
    fn find(&self, Key([one, other]): Key) -> Option<&AtomicU64> {
        let halves = self.keys[0].iter().enumerate();
        let index = halves.filter(|(_, half)| **half == one).map(|(index, _)| index);
        index.into_iter().find(|index| self.keys[1][*index] == other).map(|it| &self.full_at[it])
    }

    fn hold(&mut self, index: usize, Key([one, other]): Key, full_at: u64) {
        (self.keys[0][index], self.keys[1][index]) = (one, other);
        *self.full_at[index].get_mut() = full_at;
    }

    /// Places that can be taken.
    fn free(&self, now: u64) -> usize {
        self.full_at.iter().filter(|full_at| full_at.load(Relaxed) <= now).count()
    }

    /// The bucket that is full first, and when.
    fn first(&mut self) -> (usize, u64) {
        let full_at = self.full_at.iter_mut().map(|full_at| *full_at.get_mut()).enumerate();
        full_at.min_by_key(|(_, full_at)| *full_at).unwrap_or_default()
    }
}
