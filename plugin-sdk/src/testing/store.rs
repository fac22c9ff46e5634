//! The key-value store of native tests, with the limits of the gateway's.

use std::collections::BTreeMap;

use crate::key_value::KeyValueError;

const BYTES: usize = 64 * 1024 * 1024;
/// What a key takes besides itself and its value.
const ENTRY_BYTES: usize = 128;
const KEY_BYTES: usize = 1024;
const VALUE_BYTES: usize = 1024 * 1024;

#[derive(Default)]
pub(crate) struct Store {
    entries: BTreeMap<String, Entry>,
    bytes: usize,
    now: u64,
}

struct Entry {
    value: Vec<u8>,
    expires: Option<u64>,
}

impl Store {
    /// Moves the store's clock, and drops what has outlived its time.
    pub(crate) fn expire(&mut self, now: u64) {
        self.now = now;
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let lives = entry.expires.is_none_or(|expires| now < expires);
            if !lives {
                *bytes -= size(key, &entry.value);
            }
            lives
        });
    }

    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.get(key).map(|entry| entry.value.clone())
    }

    pub(crate) fn set(
        &mut self,
        key: &str,
        value: &[u8],
        ttl: Option<u64>,
    ) -> Result<(), KeyValueError> {
        let expires = ttl.map(|ttl| self.now.saturating_add(ttl));
        self.write(key, value.to_vec(), expires)
    }

    pub(crate) fn set_if_absent(
        &mut self,
        key: &str,
        value: &[u8],
        ttl: Option<u64>,
    ) -> Result<bool, KeyValueError> {
        if self.entries.contains_key(key) {
            return Ok(false);
        }
        self.set(key, value, ttl).map(|()| true)
    }

    pub(crate) fn delete(&mut self, key: &str) -> bool {
        let Some(entry) = self.entries.remove(key) else {
            return false;
        };
        self.bytes -= size(key, &entry.value);
        true
    }

    pub(crate) fn increment(
        &mut self,
        key: &str,
        by: i64,
        ttl: Option<u64>,
    ) -> Result<i64, KeyValueError> {
        let (number, expires) = match self.entries.get(key) {
            Some(entry) => (number(&entry.value)?, entry.expires),
            None => (0, ttl.map(|ttl| self.now.saturating_add(ttl))),
        };
        let sum = number.checked_add(by).ok_or(KeyValueError::NotANumber)?;
        self.write(key, sum.to_string().into_bytes(), expires)?;
        Ok(sum)
    }

    fn write(
        &mut self,
        key: &str,
        value: Vec<u8>,
        expires: Option<u64>,
    ) -> Result<(), KeyValueError> {
        if key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
            return Err(KeyValueError::TooLarge);
        }
        let former = self.entries.get(key).map_or(0, |entry| size(key, &entry.value));
        let bytes = self.bytes - former + size(key, &value);
        if bytes > BYTES {
            return Err(KeyValueError::Full);
        }
        self.bytes = bytes;
        self.entries.insert(key.to_owned(), Entry { value, expires });
        Ok(())
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

fn number(value: &[u8]) -> Result<i64, KeyValueError> {
    let text = std::str::from_utf8(value).map_err(|_| KeyValueError::NotANumber)?;
    text.parse().map_err(|_| KeyValueError::NotANumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_a_value_at_the_end_of_its_time() {
        let mut store = Store::default();
        store.set("a", b"1", Some(10)).unwrap();
        store.expire(9);
        assert_eq!(store.value("a"), Some(b"1".to_vec()));
        store.expire(10);
        assert_eq!(store.value("a"), None);
        assert_eq!(store.bytes, 0);
    }

    #[test]
    fn an_increment_keeps_the_time_of_what_is_there() {
        let mut store = Store::default();
        assert_eq!(store.increment("n", 1, Some(10)), Ok(1));
        store.expire(5);
        assert_eq!(store.increment("n", 1, Some(10)), Ok(2));
        store.expire(10);
        assert_eq!(store.increment("n", -1, None), Ok(-1));
    }

    #[test]
    fn refuses_what_is_not_a_number_or_too_large() {
        let mut store = Store::default();
        store.set("n", b"one", None).unwrap();
        assert_eq!(store.increment("n", 1, None), Err(KeyValueError::NotANumber));
        store.set("n", i64::MAX.to_string().as_bytes(), None).unwrap();
        assert_eq!(store.increment("n", 1, None), Err(KeyValueError::NotANumber));
        assert_eq!(store.set(&"k".repeat(1025), b"", None), Err(KeyValueError::TooLarge));
    }

    #[test]
    fn refuses_a_new_value_when_the_share_is_used_up() {
        let mut store = Store::default();
        for index in 0..63 {
            store.set(&format!("{index:04}"), &vec![0; VALUE_BYTES], None).unwrap();
        }
        assert_eq!(store.set("last", &vec![0; VALUE_BYTES], None), Err(KeyValueError::Full));
        assert!(store.delete("0000"));
        assert_eq!(store.set("last", &vec![0; VALUE_BYTES], None), Ok(()));
    }
}
