//! API keys of native tests: those that the test added.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::keys::{Key, KeyError};

/// Keys by digest.
type Set = Vec<([u8; 32], Key)>;

/// The sets that a plugin was granted; none where one has not been read.
#[derive(Default)]
pub(crate) struct Keys(RefCell<BTreeMap<String, Option<Set>>>);

impl Keys {
    /// Grants a set, without keys or before they were read.
    pub(crate) fn grant(&self, set: &str, is_read: bool) {
        self.0.borrow_mut().insert(set.to_owned(), is_read.then(Vec::new));
    }

    /// There is this key from now on; also in a set that was not granted or read.
    pub(crate) fn add(&self, set: &str, digest: [u8; 32], key: Key) {
        let mut sets = self.0.borrow_mut();
        let keys = sets.entry(set.to_owned()).or_default().get_or_insert_default();
        keys.retain(|(known, it)| *known != digest && it.id != key.id);
        keys.push((digest, key));
    }

    pub(crate) fn revoke(&self, set: &str, id: &str) -> bool {
        let mut sets = self.0.borrow_mut();
        let Some(Some(keys)) = sets.get_mut(set) else { return false };
        let before = keys.len();
        keys.retain(|(_, key)| key.id != id);
        keys.len() < before
    }

    pub(crate) fn find(
        &self,
        set: &str,
        digest: &[u8],
        now: Duration,
    ) -> Result<Option<Key>, KeyError> {
        let sets = self.0.borrow();
        let keys = sets.get(set).ok_or(KeyError::NotGranted)?;
        if digest.len() != 32 {
            return Err(KeyError::Invalid);
        }
        let keys = keys.as_ref().ok_or(KeyError::Unavailable)?;
        let found = keys.iter().find(|(known, _)| known == digest).map(|(_, key)| key);
        match found {
            Some(key) if key.expires.is_some_and(|end| end <= now) => Err(KeyError::Expired),
            found => Ok(found.cloned()),
        }
    }
}
