//! Changes that a plugin lets the gateway make again without calling it, and answers from a cache.
//!
//! Owns what counts as the same request: all that would arrive with the call, byte by byte. A new
//! change replaces the old one in its slot, so that neither many keys nor long keys can fill the memory.
//! Belongs to one worker. Must not decide whether a change may be kept.
//!
//! The input may be a credential. So the slot of a change is a keyed hash of it, and the bytes are
//! compared in constant time.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::KnownHit;
use super::bindings::RequestChange;
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Places, of eight bytes each; a power of two.
const SLOTS: usize = 4096;
/// Bytes of what arrives with a call, of what a change writes, and of the answer that comes with it.
const MAX_KEY: usize = 4 << 10;
const MAX_CHANGE: usize = 4 << 10;
const MAX_HIT: usize = 8 << 10;
/// For how long a change is made again at most, even if the plugin allows more.
const MAX_TIME: Duration = Duration::from_hours(1);

/// The key of a reusable change: the full input of an `on-request` call, in a canonical form.
///
/// Each call of one plugin has the same number of values. So a length before each is enough for no two inputs to have one
/// form.
#[derive(Debug, Default)]
pub(crate) struct ReuseKey {
    bytes: Vec<u8>,
    is_too_long: bool,
}

/// In place of a length, which is one byte where that is enough, and two behind [`LONG`] where it is not.
const ABSENT: u8 = u8::MAX;
const LONG: u8 = ABSENT - 1;

impl ReuseKey {
    /// The key that this writes; `None` for what is too long to be kept.
    pub(crate) fn of(write: impl FnOnce(&mut Self)) -> Option<Self> {
        let mut key = Self::default();
        write(&mut key);
        (!key.is_too_long).then_some(key)
    }

    /// Adds the next value, in the order in which a call has them. Most are absent.
    #[inline]
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.bytes.push(ABSENT),
            Some(value) => self.add(value),
        }
    }

    fn add(&mut self, value: &[u8]) {
        // What is longer than can be kept is not copied.
        if self.bytes.len() + value.len() > MAX_KEY {
            self.is_too_long = true;
            return;
        }
        match u8::try_from(value.len()) {
            Ok(short) if short < LONG => self.bytes.push(short),
            _ => {
                self.bytes.push(LONG);
                self.bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(value);
    }
}

/// The cache of one plugin's reusable changes.
#[derive(Debug)]
pub(crate) struct ChangeCache {
    secret: RandomState,
    places: RefCell<Vec<Option<Box<CacheEntry>>>>,
    /// The key that was last looked for, whose room the next one takes.
    last: RefCell<ReuseKey>,
    /// What all that is kept takes, and may take.
    bytes: Cell<usize>,
    limit: usize,
}

#[derive(Debug)]
struct CacheEntry {
    hash: u64,
    arrived: Box<[u8]>,
    until: Instant,
    change: RequestChange,
    hit: Option<Rc<KnownHit>>,
}

/// Bytes that a place takes, and what a part of a change takes besides its bytes.
const SLOT: usize = size_of::<Option<Box<CacheEntry>>>();
const PART: usize = 64;

impl CacheEntry {
    fn bytes(&self) -> usize {
        let hit = self.hit.as_ref().map_or(0, |hit| hit.bytes());
        let change = self.change.bytes() + PART * self.change.parts();
        size_of::<Self>() + self.arrived.len() + change + hit
    }
}

impl ChangeCache {
    /// Nothing is kept yet; all of it may take so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let (secret, places) = (RandomState::default(), RefCell::default());
        Self { secret, places, last: RefCell::default(), bytes: Cell::new(0), limit }
    }

    /// Whether nothing was ever kept: most plugins allow it for no change.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.borrow().is_empty()
    }

    /// The change for a request whose key this writes, and the answer if there is one.
    pub(crate) fn change(
        &self,
        write: impl FnOnce(&mut ReuseKey),
    ) -> Option<(RequestChange, Option<Rc<KnownHit>>)> {
        let mut key = self.last.borrow_mut();
        key.bytes.clear();
        key.is_too_long = false;
        write(&mut key);
        if key.is_too_long { None } else { self.find(&key.bytes) }
    }

    fn find(&self, arrived: &[u8]) -> Option<(RequestChange, Option<Rc<KnownHit>>)> {
        let hash = self.hash(arrived);
        let places = self.places.borrow();
        let known = places.get(place(hash))?.as_ref()?;
        let is_same =
            known.hash == hash && verify_slices_are_equal(&known.arrived, arrived).is_ok();
        let is_it = is_same && Instant::now() < known.until;
        is_it.then(|| (known.change.clone(), known.hit.clone()))
    }

    /// Keeps a change for as long as the plugin allows, unless it is too long.
    pub(crate) fn keep(
        &self,
        ReuseKey { bytes: arrived, .. }: &ReuseKey,
        (change, hit): (RequestChange, Option<Rc<KnownHit>>),
        time: Duration,
    ) {
        if change.bytes() > MAX_CHANGE || hit.as_ref().is_some_and(|hit| hit.bytes() > MAX_HIT) {
            return;
        }
        let hash = self.hash(arrived);
        let (arrived, until) = (arrived[..].into(), Instant::now() + time.min(MAX_TIME));
        let known = Box::new(CacheEntry { hash, arrived, until, change, hit });
        let more = known.bytes();
        if more + SLOTS * SLOT > self.limit {
            return;
        }
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            places.resize_with(SLOTS, || None);
            self.bytes.set(SLOTS * SLOT);
        }
        self.let_go(&mut places[place(hash)]);
        if self.bytes.get() + more > self.limit {
            self.make_room(&mut places, more);
        }
        self.bytes.set(self.bytes.get() + more);
        places[place(hash)] = Some(known);
    }

    fn hash(&self, arrived: &[u8]) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write(arrived);
        hasher.finish()
    }

    /// Lets go of everything.
    #[cold]
    pub(crate) fn forget(&self) {
        self.places.borrow_mut().iter_mut().for_each(|place| self.let_go(place));
    }

    fn let_go(&self, place: &mut Option<Box<CacheEntry>>) {
        if let Some(known) = place.take() {
            self.bytes.set(self.bytes.get() - known.bytes());
        }
    }

    /// Lets go of what is past its time, and if that is not enough, of everything.
    #[cold]
    fn make_room(&self, places: &mut [Option<Box<CacheEntry>>], more: usize) {
        let now = Instant::now();
        let is_over =
            |place: &Option<Box<CacheEntry>>| place.as_ref().is_some_and(|it| it.until <= now);
        places.iter_mut().filter(|place| is_over(place)).for_each(|place| self.let_go(place));
        if self.bytes.get() + more > self.limit {
            places.iter_mut().for_each(|place| self.let_go(place));
        }
    }
}

fn place(hash: u64) -> usize {
    hash as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::edits::{Attributes, Edits};

    /// What arrives, as a call has it.
    fn head<'a>(
        path: Option<&'a str>,
        fields: &'a [Option<&'a [u8]>],
    ) -> impl Fn(&mut ReuseKey) + 'a {
        move |key| {
            key.push(path.map(str::as_bytes));
            fields.iter().for_each(|field| key.push(*field));
        }
    }

    fn change(path: &str) -> RequestChange {
        RequestChange {
            method: None,
            path: Some(path.to_owned()),
            query: None,
            fields: Edits::none(),
            attributes: Attributes::none(),
            response_fields: Edits::none(),
            upstream: None,
            request_body: None,
            response_body: None,
            context: None,
            reuse_for: None,
        }
    }

    fn known(reuse: &ChangeCache, head: &impl Fn(&mut ReuseKey)) -> Option<String> {
        reuse.change(head)?.0.path
    }

    #[test]
    fn only_the_very_same_arrival_finds_a_change() {
        let reuse = ChangeCache::new(1 << 30);
        let fields: [Option<&[u8]>; 2] = [Some(b"ab"), Some(b"c")];
        let arrived = head(None, &fields);
        assert!(reuse.is_empty() && known(&reuse, &arrived).is_none());
        let time = Duration::from_secs(60);
        reuse.keep(&ReuseKey::of(&arrived).expect("short"), (change("/a"), None), time);
        assert_eq!(known(&reuse, &arrived).as_deref(), Some("/a"));
        let others: [[Option<&[u8]>; 2]; 5] = [
            [Some(b"a"), Some(b"bc")],
            [Some(b"abc"), Some(b"")],
            [Some(b"abc"), None],
            [None, Some(b"ab")],
            [Some(b"ab"), Some(b"d")],
        ];
        for other in &others {
            assert_eq!(known(&reuse, &head(None, other)), None, "{other:?}");
        }
        assert_eq!(known(&reuse, &head(Some("/"), &fields)), None);
    }

    #[test]
    fn each_length_has_a_form_of_its_own() {
        let long = [b'a'; 512];
        let mut seen = std::collections::HashSet::new();
        let lengths = [0, 1, 252, 253, 254, 255, 256, 257, 509, 510, 511, 512];
        for first in lengths.map(|it| Some(&long[..it])).into_iter().chain([None]) {
            for second in lengths.map(|it| Some(&long[..it])).into_iter().chain([None]) {
                let key = ReuseKey::of(head(None, &[first, second])).expect("short");
                assert!(seen.insert(key.bytes), "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn a_change_ends_with_its_time() {
        let reuse = ChangeCache::new(1 << 30);
        let arrived = head(Some("/"), &[]);
        let key = ReuseKey::of(&arrived).expect("short");
        reuse.keep(&key, (change("/a"), None), Duration::ZERO);
        assert_eq!(known(&reuse, &arrived), None);
        reuse.keep(&key, (change("/b"), None), Duration::MAX);
        assert_eq!(known(&reuse, &arrived).as_deref(), Some("/b"));
    }

    #[test]
    fn more_changes_than_there_are_places_take_no_more_room() {
        let reuse = ChangeCache::new(1 << 30);
        for number in 0..3 * SLOTS {
            let path = format!("/{number}");
            let arrived = head(Some(&path), &[]);
            let key = ReuseKey::of(&arrived).expect("short");
            reuse.keep(&key, (change(&path), None), Duration::from_secs(60));
            assert_eq!(known(&reuse, &arrived).as_ref(), Some(&path));
        }
        assert_eq!(reuse.places.borrow().len(), SLOTS);
    }

    #[test]
    fn what_is_kept_takes_no_more_than_it_may() {
        let reuse = ChangeCache::new(64 << 10);
        for number in 0..SLOTS {
            let path = format!("/{number}");
            let arrived = head(Some(&path), &[]);
            let key = ReuseKey::of(&arrived).expect("short");
            reuse.keep(&key, (change(&"a".repeat(1000)), None), Duration::from_secs(60));
            assert!(known(&reuse, &arrived).is_some());
            assert!(reuse.bytes.get() <= 64 << 10, "{}", reuse.bytes.get());
        }
        let places = reuse.places.borrow();
        let sum: usize = places.iter().flatten().map(|known| known.bytes()).sum();
        assert_eq!(sum + SLOTS * SLOT, reuse.bytes.get());
    }

    #[test]
    fn a_change_that_writes_too_much_is_not_kept() {
        let reuse = ChangeCache::new(1 << 30);
        let arrived = head(Some("/"), &[]);
        let key = ReuseKey::of(&arrived).expect("short");
        let (longest, time) = ("a".repeat(MAX_CHANGE), Duration::from_secs(60));
        reuse.keep(&key, (change(&format!("{longest}a")), None), time);
        assert!(reuse.is_empty());
        reuse.keep(&key, (change(&longest), None), time);
        assert!(!reuse.is_empty());
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let long = "a".repeat(MAX_KEY);
        assert!(ReuseKey::of(head(Some(&format!("{long}a")), &[])).is_none());
        assert!(ReuseKey::of(head(Some(&long), &[])).is_some());
    }
}
