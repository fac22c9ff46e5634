//! Names that usage is kept under, as small numbers.
//!
//! Owns the names of routes and upstreams, and those of the numbers that plugins add, for the life of
//! the process: a reload changes no number. Must not know which of them are configured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Names of numbers that plugins may add, on one gateway.
pub(super) const MAX_NAMES: usize = 64;
/// Bytes of such a name.
const MAX_NAME: usize = 64;

/// Columns of the gateway's own.
const OWN: [&str; 13] = [
    "minute",
    "hour",
    "day",
    "time",
    "route",
    "consumer",
    "status",
    "upstream",
    "requests",
    "request_bytes",
    "response_bytes",
    "duration_ms",
    "duration_us",
];

/// Routes and upstreams by number; 0 means none.
#[derive(Debug)]
pub(super) struct Directory(Mutex<Interned>);

#[derive(Debug)]
struct Interned {
    by_name: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Default for Directory {
    fn default() -> Self {
        let none: Arc<str> = "".into();
        let by_name = HashMap::from([(Arc::clone(&none), 0)]);
        Self(Mutex::new(Interned { by_name, names: vec![none] }))
    }
}

impl Directory {
    /// The number of a name, for as long as the process lives.
    pub(super) fn number(&self, name: &str) -> u32 {
        let mut interned = self.lock();
        if let Some(known) = interned.by_name.get(name) {
            return *known;
        }
        // Configured names: there are never so many.
        let number = u32::try_from(interned.names.len()).unwrap_or(0);
        let name: Arc<str> = name.into();
        interned.by_name.insert(Arc::clone(&name), number);
        interned.names.push(name);
        number
    }

    /// All names, by their numbers.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.lock().names.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Interned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a name that plugins add under.
pub(crate) type CounterId = u8;

/// Names that plugins add under, by number.
#[derive(Debug, Default)]
pub(super) struct Counters(RwLock<Vec<Arc<str>>>);

impl Counters {
    /// The number of a name that is one; `None` if it is new and there is no room for it, or it may not
    /// be new.
    pub(super) fn number(&self, name: &str, may_be_new: bool) -> Option<CounterId> {
        let find = |names: &[Arc<str>]| names.iter().position(|known| **known == *name);
        let known = find(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let number = known.or_else(|| {
            if !may_be_new {
                return None;
            }
            let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
            // Another worker may have been here meanwhile.
            find(&names).or_else(|| {
                (names.len() < MAX_NAMES).then(|| {
                    names.push(name.into());
                    names.len() - 1
                })
            })
        });
        number.and_then(|number| u8::try_from(number).ok())
    }

    /// The name of a number.
    pub(super) fn name(&self, number: CounterId) -> Option<Arc<str>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.get(usize::from(number)).cloned()
    }

    /// All names, by their numbers.
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a plugin may add under this name.
///
/// # Errors
/// Why not, in words that follow "the name".
pub(crate) fn check(name: &str) -> Result<(), String> {
    let shown = &name[..name.floor_char_boundary(MAX_NAME)];
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("{shown:?} has not 1 to {MAX_NAME} bytes"));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(inner) {
        return Err(format!("{shown:?} is not a-z, then a-z, 0-9 and _"));
    }
    if OWN.contains(&name) {
        return Err(format!("{shown:?} is the gateway's own"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let directory = Directory::default();
        assert_eq!((directory.number(""), directory.number("a"), directory.number("b")), (0, 1, 2));
        assert_eq!(directory.number("a"), 1);
        assert_eq!(&*directory.all()[2], "b");
    }

    #[test]
    fn counters_are_bounded_and_the_old_ones_go_on() {
        let counters = Counters::default();
        for number in 0..MAX_NAMES {
            assert_eq!(counters.number(&format!("n{number}"), true), u8::try_from(number).ok());
        }
        assert_eq!(counters.number("one_more", true), None);
        assert_eq!(counters.number("n7", false), Some(7));
    }

    #[test]
    fn names_are_those_of_columns() {
        for name in ["input_tokens", "x", "cost_usd_nanos", &"a".repeat(64)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "A",
            "1a",
            "_a",
            "a-b",
            "a.b",
            "é",
            "requests",
            "consumer",
            "hour",
            &"a".repeat(65),
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
