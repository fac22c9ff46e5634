//! Caches of responses: `[caches.NAME]`, shared by all workers.
//!
//! Owns what is stored under which key, its bounds in bytes, and how it is purged. Which responses may be stored,
//! and who may be served them, is for plugins to say. Must not know HTTP semantics beyond heads and bodies.

mod block;
mod content;
mod disk;
mod entry;
mod fill;
mod flight;
mod head;
mod index;
mod owner;
mod packed;
mod recent;
mod second;
mod seen;
mod texts;
mod tier;

use std::collections::{HashMap, HashSet};
use std::hash::Hasher as _;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use quick_cache::sync::Cache as Map;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

pub(crate) use self::block::Block;
use self::content::Content;
use self::disk::Disk;
pub(crate) use self::disk::{DiskReader, OpenError, Piece, StoredBody, try_folder};
pub(crate) use self::entry::{Entry, Freshened, Wanted};
pub(crate) use self::fill::{Fill, Polled, Reader, STALLED};
pub(crate) use self::flight::{Collapse, Flight, Lead, Waiting};
use self::index::Index;
use self::owner::{Home, Partition};
use self::recent::{Purge, Recent};
use self::second::Second;
pub(crate) use self::seen::Seen;
use self::texts::Texts;
use super::named::Named;
use super::redis::responses::Purged;
use crate::config::Cache as Settings;
use crate::telemetry::metrics::{CacheCounts, Metrics};

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

/// The caches that are in use.
#[derive(Debug)]
pub(crate) struct Caches {
    open: Mutex<HashMap<Box<str>, Arc<Cache>>>,
    /// Plugins that can use one.
    users: Mutex<HashSet<Arc<str>>>,
    metrics: Arc<Metrics>,
    /// Where second levels are.
    stores: Arc<Named>,
}

impl Caches {
    pub(super) fn new(metrics: &Arc<Metrics>, stores: &Arc<Named>) -> Self {
        let (open, users) = (Mutex::default(), Mutex::default());
        Self { open, users, metrics: Arc::clone(metrics), stores: Arc::clone(stores) }
    }

    /// The second level of a cache with these settings.
    fn second(&self, settings: &Settings, counts: &Arc<CacheCounts>) -> Option<Arc<Second>> {
        let used = settings.second_level.as_ref()?;
        let store = self.stores.redis(Some(&used.store))?;
        Some(Second::new(&settings.name, used, &store, counts))
    }

    /// The cache with these settings: the one that is there, or a new and empty one.
    pub(crate) fn of(&self, settings: &Arc<Settings>) -> Arc<Cache> {
        let mut open = self.open();
        if let Some(cache) = open.get(&*settings.name)
            && cache.settings.is_same(settings)
        {
            return Arc::clone(cache);
        }
        // One cache at a time has a folder: what is in it comes along.
        open.values().filter(|cache| cache.shares_folder(settings)).for_each(|cache| cache.close());
        let counts = self.metrics.of_cache(&settings.name);
        let second = self.second(settings, &counts);
        let opened = Cache::open(settings, Arc::clone(&counts), second);
        let cache = opened.unwrap_or_else(|error| {
            let name = &settings.name;
            tracing::error!(cache = name, "the cache `{name}` has no folder: {error}");
            Arc::new(Cache::new(settings, counts, None, None))
        });
        open.insert(settings.name.as_str().into(), Arc::clone(&cache));
        cache
    }

    /// The cache with these settings, if there is one.
    fn existing(&self, settings: &Settings) -> Option<Arc<Cache>> {
        let open = self.open();
        open.get(&*settings.name).filter(|cache| cache.settings.is_same(settings)).cloned()
    }

    /// Opens a cache that has a folder, before it is used.
    ///
    /// # Errors
    /// If its folder cannot be used.
    pub(super) fn prepare(&self, settings: &Arc<Settings>) -> Result<(), OpenError> {
        let mut open = self.open();
        let is_open = open.values().any(|cache| cache.shares_folder(settings));
        if settings.folder.is_none() || is_open {
            return Ok(());
        }
        let cache = Cache::open(settings, self.metrics.of_cache(&settings.name), None)?;
        open.insert(settings.name.as_str().into(), cache);
        Ok(())
    }

    /// A plugin can use its cache, or cannot.
    pub(crate) fn has_user(&self, plugin: &Arc<str>, uses: bool) {
        let mut users = lock(&self.users);
        if uses {
            users.insert(Arc::clone(plugin))
        } else {
            users.remove(plugin)
        };
    }

    /// Whether a plugin that is loaded can use its cache.
    pub(crate) fn is_user(&self, plugin: &str) -> bool {
        lock(&self.users).contains(plugin)
    }

    /// Lets all folders go.
    pub(crate) fn finish(&self) {
        self.all().iter().for_each(|cache| cache.close());
    }

    /// These are configured, and no others.
    pub(super) fn keep(&self, settings: &[Arc<Settings>]) {
        let is_kept = |name: &str| settings.iter().any(|it| it.name == name);
        let gone: Vec<_> = {
            let mut open = self.open();
            let gone = open.iter().filter(|(name, _)| !is_kept(name));
            let gone = gone.map(|(_, cache)| Arc::clone(cache)).collect();
            open.retain(|name, _| is_kept(name));
            gone
        };
        gone.iter().for_each(|cache| cache.close());
        // Here, and not on the worker that asks first.
        settings.iter().filter(|it| it.folder.is_some()).for_each(|it| drop(self.of(it)));
        self.metrics.keep_caches(&is_kept);
    }

    /// All that are in use, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Cache>> {
        let mut all: Vec<_> = self.open().values().cloned().collect();
        all.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
        all
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Cache>>> {
        lock(&self.open)
    }
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

/// The keys and tags of one plugin.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) plugin: Arc<str>,
    hasher: SipHasher13,
    /// Its keys and tags are the same on other gateways.
    is_shared: bool,
}

/// The entries under one key, the last one that was stored first.
#[derive(Debug, Clone)]
pub(crate) enum Group {
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

impl Group {
    fn of(mut entries: Vec<Arc<Entry>>) -> Option<Self> {
        match entries.len() {
            0 => None,
            1 => entries.pop().map(Self::One),
            _ => Some(Self::Many(entries.into())),
        }
    }

    fn entries(&self) -> &[Arc<Entry>] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<u64, Group> for Weigh {
    fn weight(&self, _: &u64, group: &Group) -> u64 {
        group.entries().iter().map(|entry| entry.size()).sum()
    }
}

/// Hands over what is evicted or replaced, which is dropped outside of the shard's lock.
#[derive(Debug, Clone)]
struct Evicted;

impl Lifecycle<u64, Group> for Evicted {
    type RequestState = Vec<(u64, Group)>;

    fn on_evict(&self, state: &mut Vec<(u64, Group)>, key: u64, group: Group) {
        state.push((key, group));
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

    /// Removes the entries under a key of this plugin.
    pub(crate) fn purge_key(&self, space: &Space, key: &[u8]) -> usize {
        let key = space.key(key);
        self.tell(Some(Purged::Key(key)));
        self.drop_key(key)
    }

    /// Removes the entries under a key, here.
    fn drop_key(&self, key: u128) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(Some(Purge::Key(key)));
        self.discard(|fill| fill.head.key() == key);
        self.take_out(spot(key), |entry| entry.key() == key)
    }

    /// Removes the entries of this plugin that have a tag.
    pub(crate) fn purge_tag(&self, space: &Space, tag: &str) -> usize {
        self.purge_hashed(space.tag(tag))
    }

    fn purge_hashed(&self, tag: u64) -> usize {
        self.tell(Some(Purged::Tag(tag)));
        self.drop_tag(tag)
    }

    /// Removes what has a tag, here.
    fn drop_tag(&self, tag: u64) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(Some(Purge::Tag(tag)));
        self.discard(|fill| fill.head.has_tag(tag));
        let spots = self.home.index.tagged(tag);
        // By the tag, since an entry that is freshened meanwhile has another number.
        spots.into_iter().map(|spot| self.take_out(spot, |entry| entry.has_tag(tag))).sum()
    }

    /// Removes what all plugins have under a key.
    pub(crate) fn purge_keys(&self, key: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_key(space, key.as_bytes())).sum()
    }

    /// Removes what all plugins have with a tag.
    pub(crate) fn purge_tags(&self, tag: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_tag(space, tag)).sum()
    }

    /// Removes what all plugins have of an owner.
    pub(crate) fn purge_partition(&self, name: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_hashed(space.owner(name))).sum()
    }

    /// Removes everything.
    pub(crate) fn purge_all(&self) -> usize {
        self.tell(None);
        self.drop_all()
    }

    /// What is purged here is for other gateways too.
    fn tell(&self, purged: Option<Purged>) {
        if let Some(second) = &self.second {
            second.purge(purged);
        }
    }

    /// Of what is stored now, for the second level.
    fn generation(&self) -> u64 {
        self.second.as_ref().map_or(0, |second| second.generation())
    }

    /// Removes everything, here.
    fn drop_all(&self) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(None);
        self.discard(|_| true);
        let mut objects = 0;
        for (_, group) in self.map.drain() {
            objects += group.entries().len();
            self.leave_disk(group.entries(), None);
        }
        objects
    }

    /// What arrives is not stored.
    fn discard(&self, is_it: impl Fn(&Fill) -> bool) {
        // The last who holds one takes it out of the map, which must not happen while the map is read.
        let arriving: Vec<_> = self.arriving.iter().filter_map(|known| known.upgrade()).collect();
        arriving.iter().filter(|fill| is_it(fill)).for_each(|fill| fill.discard());
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

impl Space {
    /// The key in the map: secret, so that nobody finds two texts with the same.
    pub(crate) fn key(&self, key: &[u8]) -> u128 {
        self.hash(b'k', key)
    }

    /// A tag in the index.
    pub(crate) fn tag(&self, tag: &str) -> u64 {
        self.hash(b't', tag.as_bytes()) as u64
    }

    /// An owner in the index.
    pub(crate) fn owner(&self, name: &str) -> u64 {
        self.hash(b'o', name.as_bytes()) as u64
    }

    fn hash(&self, kind: u8, text: &[u8]) -> u128 {
        if self.is_shared {
            let length = (self.plugin.len() as u64).to_be_bytes();
            return digest(&[&length, self.plugin.as_bytes(), &[kind], text]);
        }
        let mut hasher = self.hasher;
        hasher.write(&[kind]);
        hasher.write(text);
        hasher.finish128().as_u128()
    }
}

/// What gateways share has no secret: the beginning of a SHA-256 of these texts, one behind the other.
fn digest(texts: &[&[u8]]) -> u128 {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    texts.iter().for_each(|text| context.update(text));
    let digest = context.finish();
    let first = digest.as_ref().first_chunk();
    first.map_or(0, |first| u128::from_be_bytes(*first))
}

/// What a plugin has of the cache in an exchange, for its hooks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cached {
    /// The entry that it keeps.
    pub(crate) kept: Option<Arc<Entry>>,
    /// Whose response it waited for.
    pub(crate) waited: Option<Waited>,
    /// The response that is being stored.
    pub(crate) fill: Option<Arc<Fill>>,
    /// Whether the request is sent without a client.
    pub(crate) is_background: bool,
    /// When it was sent on, by [`now`]; 0 if the plugin has looked for nothing.
    pub(crate) asked: u64,
}

/// A wait for the response of another.
#[derive(Debug, Clone)]
pub(crate) struct Waited {
    pub(crate) flight: Arc<Flight>,
    /// Until when it may wait, by [`now`].
    pub(crate) until: u64,
}

/// The cache of one configured plugin, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct OfPlugin {
    caches: Arc<Caches>,
    settings: Arc<Settings>,
    plugin: Box<str>,
    made: std::sync::OnceLock<(Arc<Cache>, Space)>,
}

impl OfPlugin {
    pub(super) fn new(caches: &Arc<Caches>, settings: &Arc<Settings>, plugin: &str) -> Self {
        let (caches, settings) = (Arc::clone(caches), Arc::clone(settings));
        let made = std::sync::OnceLock::new();
        // So that one of before is not made again, for which the folder would be taken from the one of now.
        if settings.folder.is_some()
            && let Some(cache) = caches.existing(&settings)
        {
            let space = cache.space(plugin);
            let _new = made.set((cache, space));
        }
        Self { caches, settings, plugin: plugin.into(), made }
    }

    /// The cache, and the plugin's keys in it.
    pub(crate) fn get(&self) -> (Arc<Cache>, Space) {
        let make = || {
            let cache = self.caches.of(&self.settings);
            let space = cache.space(&self.plugin);
            (cache, space)
        };
        let (cache, space) = self.made.get_or_init(make);
        (Arc::clone(cache), space.clone())
    }

    /// Connects the worker of this thread to its second level, if it has one.
    pub(crate) fn connect_here(&self) {
        if self.settings.second_level.is_some() {
            self.get().0.connect_here();
        }
    }
}

#[cfg(test)]
mod tests;
