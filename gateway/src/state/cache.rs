//! Caches of responses: `[caches.NAME]`, shared by all workers.
//!
//! Owns what is stored under which key, its bounds in bytes, and how it is purged. Which responses may be stored,
//! and who may be served them, is for plugins to say. Must not know HTTP semantics beyond heads and bodies.

mod block;
mod caches;
mod content;
mod disk;
mod entry;
mod fill;
mod flight;
mod group;
mod head;
mod index;
mod of_plugin;
mod owner;
mod packed;
mod purge;
mod recent;
mod second;
mod seen;
mod space;
mod texts;
mod tier;

use std::hash::Hasher as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use quick_cache::OptionsBuilder;
use quick_cache::sync::Cache as Map;
use siphasher::sip128::SipHasher13;

pub(crate) use self::block::Block;
pub(crate) use self::caches::Caches;
use self::content::Content;
use self::disk::Disk;
pub(crate) use self::disk::{DiskReader, OpenError, Piece, StoredBody, try_folder};
pub(crate) use self::entry::{Entry, Freshened, Wanted};
pub(crate) use self::fill::{Fill, Polled, Reader, STALLED};
pub(crate) use self::flight::{Collapse, Flight, Lead, Waiting};
use self::group::{Evicted, Group, Weigh};
use self::index::Index;
pub(crate) use self::of_plugin::{Cached, OfPlugin, Waited};
use self::owner::{Home, Partition};
use self::recent::{Purge, Recent};
use self::second::Second;
pub(crate) use self::seen::Seen;
pub(crate) use self::space::Space;
use self::space::digest;
use self::texts::Texts;
use crate::config::Cache as Settings;
use crate::telemetry::metrics::CacheCounts;

/// Entries under one key, at most.
const MAX_VARIANTS: usize = 64;
/// Locks for changes of what is under a key.
const LOCKS: usize = 64;
/// Sharding ends where a shard would have room for fewer of the largest objects than this.
const LARGEST_IN_SHARD: u64 = 4;
const MAX_SHARDS: u64 = 64;
/// What an object takes at least, for the memory of what was evicted: it is as long as the list of what is kept.
const LEAST_SIZE: u64 = 1 << 10;

/// The time when the process asked for it first: late enough that what was stored before has a time too.
const BEGAN_AT: u64 = 1 << 61;

/// Nanoseconds of a clock that is not set.
pub(crate) fn now() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    BEGAN_AT + u64::try_from(began.elapsed().as_nanos()).unwrap_or(BEGAN_AT)
}

/// Where what is under a key is in the map.
fn spot(key: u128) -> u64 {
    key as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One cache.
pub(crate) struct Cache {
    pub(crate) settings: Arc<Settings>,
    /// By half of a key, since what is here a million times is as small as it can be: each entry knows the whole of it.
    map: Map<u64, Group, Weigh, RandomState, Evicted>,
    hasher: SipHasher13,
    home: Arc<Home>,
    /// Has what no owner is bounded for.
    nobody: Arc<Partition>,
    /// Where large bodies are, if it has a folder.
    disk: Option<Disk>,
    /// What other gateways store too, if that is shared.
    second: Option<Arc<Second>>,
    /// How often something was purged.
    purges: AtomicU64,
    /// What was purged lately.
    recent: Recent,
    flights: DashMap<u128, Arc<Flight>, RandomState>,
    /// What arrives at the moment.
    arriving: DashMap<u64, Weak<Fill>, RandomState>,
    /// Bytes of it.
    arriving_bytes: AtomicUsize,
    partitions: DashMap<Box<str>, Arc<Partition>, RandomState>,
    /// Who keeps something here.
    spaces: Mutex<Vec<Space>>,
    locks: Box<[Mutex<()>]>,
    last: AtomicU64,
    pub(crate) counts: Arc<CacheCounts>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl Cache {
    fn new(
        settings: &Arc<Settings>,
        counts: Arc<CacheCounts>,
        disk: Option<Disk>,
        second: Option<Arc<Second>>,
    ) -> Self {
        let memory = settings.memory;
        let shards = memory / settings.max_object.saturating_mul(LARGEST_IN_SHARD).max(1);
        let shards = shards.clamp(1, MAX_SHARDS);
        // The power of two below.
        let shards = 1_u64 << shards.ilog2();
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            .estimated_items_capacity((memory / LEAST_SIZE).max(32 * shards) as usize)
            .weight_capacity(memory)
            .ghost_allocation(1.0)
            .build();
        let map = match options {
            Ok(options) => Map::with_options(options, Weigh, RandomState::default(), Evicted),
            // All that it needs is given.
            Err(_) => Map::with(32, memory, Weigh, RandomState::default(), Evicted),
        };
        let home = Arc::new(Home { index: Index::new(&counts), texts: Texts::new() });
        let random = || getrandom::u64().unwrap_or(0x6361_6368_6573);
        let [one, other] = match &disk {
            Some(disk) => disk.secret(),
            None => [random(), random()],
        };
        Self {
            map,
            hasher: SipHasher13::new_with_keys(one, other),
            nobody: Partition::new(Box::default(), &home),
            home,
            disk,
            second,
            purges: AtomicU64::new(0),
            recent: Recent::default(),
            flights: DashMap::default(),
            arriving: DashMap::default(),
            arriving_bytes: AtomicUsize::new(0),
            partitions: DashMap::default(),
            spaces: Mutex::default(),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            last: AtomicU64::new(0),
            counts,
            settings: Arc::clone(settings),
        }
    }

    /// The keys and tags of a plugin.
    pub(crate) fn space(&self, plugin: &str) -> Space {
        let mut spaces = lock(&self.spaces);
        if let Some(space) = spaces.iter().find(|space| *space.plugin == *plugin) {
            return space.clone();
        }
        let mut hasher = self.hasher;
        hasher.write_usize(plugin.len());
        hasher.write(plugin.as_bytes());
        let is_shared = self.second.is_some();
        let space = Space { plugin: plugin.into(), hasher, is_shared };
        spaces.push(space.clone());
        if let Some(disk) = &self.disk {
            disk.has_space(&space.plugin);
        }
        space
    }

    /// All whose keys were ever asked for.
    fn spaces(&self) -> Vec<Space> {
        lock(&self.spaces).clone()
    }

    /// Another number for an entry.
    pub(crate) fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }

    /// The entries under a key that are not over.
    pub(crate) fn lookup(&self, key: u128, mut each: impl FnMut(&Arc<Entry>)) {
        let spot = spot(key);
        let Some(group) = self.map.get(&spot) else { return };
        let now = now();
        let mut is_over = true;
        for entry in group.entries().iter().filter(|entry| entry.until > now) {
            is_over = false;
            // Another key may have the same half.
            if entry.key() == key {
                each(entry);
            }
        }
        if is_over {
            let is_over = |it: &Group| it.entries().iter().all(|entry| entry.until <= now);
            if let Some((_, group)) = self.map.remove_if(&spot, is_over) {
                self.leave_disk(group.entries(), None);
            }
        }
    }

    fn lock_for(&self, spot: u64) -> MutexGuard<'_, ()> {
        lock(&self.locks[(spot % LOCKS as u64) as usize])
    }

    /// Puts an entry in place of the one of its variant.
    fn put(&self, entry: Entry) -> Arc<Entry> {
        let spot = entry.spot();
        let now = now();
        let entry = Arc::new(entry.counted());
        {
            let _changes = self.lock_for(spot);
            let before = self.map.peek(&spot);
            let others = before.iter().flat_map(Group::entries);
            // One of another key with the same half gives way.
            let others = others.filter(|it| it.until > now && it.key() == entry.key());
            let others = others.filter(|it| it.block().variant() != entry.block().variant());
            let mut all: Vec<_> = std::iter::once(&entry).chain(others).cloned().collect();
            if all.len() > MAX_VARIANTS {
                self.counts.evicted((all.len() - MAX_VARIANTS) as u64);
                all.truncate(MAX_VARIANTS);
            }
            if let Some(group) = Group::of(all) {
                self.place(spot, group);
            }
        }
        self.bound_partition(&entry);
        self.to_disk(&entry);
        entry
    }

    /// Puts an entry there, and where other gateways find it, unless it may be what was purged since it was asked for.
    fn store(&self, entry: Entry, asked: u64) {
        let entry = self.put(entry);
        // Behind it: who purges from now on finds it there.
        if self.is_purged(&entry, asked) {
            self.take_out(entry.spot(), |it| it.id == entry.id);
            return;
        }
        if let Some(second) = &self.second {
            second.write(&entry);
        }
    }

    /// Whether a response was purged after it was asked for.
    fn is_purged(&self, entry: &Entry, asked: u64) -> bool {
        let tags = entry.tags().map(Purge::Tag);
        self.recent.has(asked, tags.chain([Purge::Key(entry.key())]))
    }

    /// Puts a group into its place, which is locked, and counts what gives way to it.
    fn place(&self, spot: u64, group: Group) {
        let (mut out, entries) = (Vec::new(), group.entries().len() as u64);
        self.map.insert_with_lifecycle(spot, group, &mut out);
        let stays = self.map.peek(&spot);
        for (place, group) in &out {
            if *place != spot {
                self.counts.evicted(group.entries().len() as u64);
                self.leave_disk(group.entries(), None);
            } else {
                self.leave_disk(group.entries(), stays.as_ref());
            }
        }
        // More than its shard takes.
        if stays.is_none() {
            self.counts.evicted(entries);
        }
    }

    /// The oldest entries of an owner who has too much with this one give way.
    fn bound_partition(&self, entry: &Entry) {
        let (owner, Some(limit)) = (entry.owner(), self.settings.partition) else { return };
        if !owner.is_bounded() {
            return;
        }
        let mut gone = Vec::new();
        {
            let mut order = lock(&owner.order);
            order.push_back((entry.spot(), entry.id));
            let live = owner.objects.load(Relaxed) as usize;
            if order.len() > 2 * live + 64 {
                order.retain(|(spot, id)| self.has(*spot, *id));
            }
            let mut bytes = owner.bytes.load(Relaxed);
            while bytes > limit
                && let Some((spot, id)) = order.pop_front()
            {
                let Some(entry) = self.find(spot, id) else { continue };
                bytes = bytes.saturating_sub(entry.owned());
                gone.push((spot, id));
            }
        }
        for (spot, id) in gone {
            if self.take_out(spot, |entry| entry.id == id) > 0 {
                self.counts.evicted(1);
            }
        }
    }

    fn has(&self, spot: u64, id: u64) -> bool {
        self.find(spot, id).is_some()
    }

    fn find(&self, spot: u64, id: u64) -> Option<Arc<Entry>> {
        let group = self.map.peek(&spot)?;
        group.entries().iter().find(|entry| entry.id == id).cloned()
    }

    /// Takes entries out of a place, and says how many.
    fn take_out(&self, spot: u64, is_it: impl Fn(&Entry) -> bool) -> usize {
        let _changes = self.lock_for(spot);
        let Some(group) = self.map.peek(&spot) else { return 0 };
        let (gone, stay): (Vec<_>, Vec<_>) =
            group.entries().iter().cloned().partition(|entry| is_it(entry));
        if gone.is_empty() {
            return 0;
        }
        match Group::of(stay) {
            Some(group) => self.place(spot, group),
            None => {
                self.map.remove(&spot);
                self.leave_disk(&gone, None);
            }
        }
        gone.len()
    }

    /// Changes an entry: the new one takes its place, if it is still there.
    pub(crate) fn freshen(&self, old: &Arc<Entry>, freshened: Freshened) -> Arc<Entry> {
        let new = old.freshened(freshened, self.next_id(), self.generation());
        let spot = old.spot();
        let _changes = self.lock_for(spot);
        let group = self.map.peek(&spot);
        let Some(group) = group.filter(|it| it.entries().iter().any(|it| it.id == old.id)) else {
            return Arc::new(new);
        };
        let new = Arc::new(new.counted());
        let others = group.entries().iter().filter(|it| it.id != old.id);
        let all = std::iter::once(&new).chain(others).cloned().collect();
        if let Some(group) = Group::of(all) {
            self.place(spot, group);
        }
        if new.owner().is_bounded() {
            lock(&new.owner().order).push_back((spot, new.id));
        }
        match (new.on_disk(), &self.disk) {
            (Some(_), Some(disk)) => disk.freshened(&new),
            _ => self.to_disk(&new),
        }
        if let Some(second) = &self.second {
            second.write(&new);
        }
        new
    }

    /// The owner of this name, if there is a bound for each.
    fn partition(&self, space: &Space, name: &str) -> Arc<Partition> {
        match name.is_empty() || self.settings.partition.is_none() {
            true => Arc::clone(&self.nobody),
            false => self.partition_named(format!("{}\0{name}", space.plugin)),
        }
    }

    /// The owner of this name, which is as [`partition`](Self::partition) has made it.
    fn partition_named(&self, name: String) -> Arc<Partition> {
        if name.is_empty() || self.settings.partition.is_none() {
            return Arc::clone(&self.nobody);
        }
        if let Some(known) = self.partitions.get(name.as_str()) {
            return Arc::clone(&known);
        }
        if self.partitions.len() >= 10_000 {
            self.partitions.retain(|_, it| it.objects.load(Relaxed) > 0);
        }
        let name = Box::<str>::from(name);
        let new = || Partition::new(name.clone(), &self.home);
        self.partitions.entry(name.clone()).or_insert_with(new).clone()
    }

    /// How many entries there are.
    pub(crate) fn objects(&self) -> usize {
        self.home.index.objects()
    }

    /// Bytes that count for the bound.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.weight()
    }

    /// Owners who have something here, if they are bounded.
    pub(crate) fn owners(&self) -> usize {
        self.partitions.iter().filter(|it| it.objects.load(Relaxed) > 0).count()
    }

    /// Responses that are being stored.
    pub(crate) fn arriving(&self) -> usize {
        self.arriving.len()
    }
}

#[cfg(test)]
mod tests;
