//! Keys whose responses were not stored: requests for them do not wait for each other.
//!
//! Each instance remembers its own, a few hundred, for a few seconds. To forget one costs a wait, and no more.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gateway_cache_policy::Millis;

const PLACES: u64 = 512;

/// For how long a key is remembered.
const FOR: Millis = 10_000;

/// Keys whose responses were not stored.
#[derive(Debug, Default)]
pub(crate) struct Useless(RefCell<Vec<(u64, Millis)>>);

impl Useless {
    /// Remembers a key.
    pub(crate) fn add(&self, key: &[u8], now: Millis) {
        self.put(key, now + FOR);
    }

    /// Forgets a key.
    pub(crate) fn remove(&self, key: &[u8]) {
        if !self.0.borrow().is_empty() {
            self.put(key, 0);
        }
    }

    /// Whether a key is remembered.
    pub(crate) fn has(&self, key: &[u8], now: Millis) -> bool {
        let (place, hash) = place(key);
        self.0.borrow().get(place).is_some_and(|(kept, until)| *kept == hash && *until > now)
    }

    fn put(&self, key: &[u8], until: Millis) {
        let (place, hash) = place(key);
        let mut places = self.0.borrow_mut();
        places.resize(usize::try_from(PLACES).unwrap_or_default(), (0, 0));
        places[place] = (hash, until);
    }
}

fn place(key: &[u8]) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let hash = hasher.finish();
    (usize::try_from(hash % PLACES).unwrap_or_default(), hash)
}
