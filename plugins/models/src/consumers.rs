//! Which consumers have metrics of their own.
//!
//! Owns that there are not more of them than the configuration says, the same ones in all instances: whoever comes first
//! is written down where all instances see it. All others are counted together. Must not know what is counted.

use std::cell::RefCell;
use std::collections::HashMap;

use gateway_plugin_sdk::key_value;

/// The label of all consumers that have none of their own.
const OTHERS: &str = "other";

/// Where it is written down how many there are, and before the name of each.
const COUNT: &str = "metric-consumers";
const NAMED: &str = "metric-consumer:";

/// How many consumers without a label of their own an instance remembers, before it asks again.
const MOST_OTHERS: usize = 1024;

/// A consumer, as an instance knows it: nobody, all others, or one with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Consumer(u32);

const NOBODY: Consumer = Consumer(0);
const OTHER: Consumer = Consumer(1);
/// The number of the first one with a name.
const FIRST: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Consumers {
    /// How many have a label of their own. With 0 there is no label.
    most: u32,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<String, Consumer>,
    names: Vec<String>,
    others: usize,
}

impl Consumers {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, known: RefCell::default() }
    }

    /// The consumer of this name; an empty one is nobody's.
    pub(crate) fn of(&self, name: &str) -> Consumer {
        if self.most == 0 || name.is_empty() { NOBODY } else { self.named(name) }
    }

    /// The value of its label, if it has one.
    pub(crate) fn name(&self, consumer: Consumer) -> Option<String> {
        match consumer {
            NOBODY => None,
            OTHER => Some(OTHERS.to_owned()),
            Consumer(number) => self.known.borrow().names.get((number - FIRST) as usize).cloned(),
        }
    }

    fn named(&self, name: &str) -> Consumer {
        let known = &mut *self.known.borrow_mut();
        if let Some(number) = known.numbers.get(name) {
            return *number;
        }
        let name = name.to_owned();
        if self.has_label(&name) {
            let number = Consumer(u32::try_from(known.names.len()).unwrap_or(0) + FIRST);
            known.names.push(name.clone());
            known.numbers.insert(name, number);
            return number;
        }
        if known.others >= MOST_OTHERS {
            known.numbers.retain(|_, number| *number != OTHER);
            known.others = 0;
        }
        known.others += 1;
        known.numbers.insert(name, OTHER);
        OTHER
    }

    /// Whether it has a label of its own, as one of the first who came.
    fn has_label(&self, name: &str) -> bool {
        let key = [NAMED, name].concat();
        let most = i64::from(self.most);
        if key_value::get(&key).is_some() {
            return true;
        }
        // Without a store that answers, and for a name that is too long, nobody has.
        let count = |by| key_value::increment(COUNT, by, None);
        if !count(0).is_ok_and(|count| count < most) {
            return false;
        }
        let is_room = count(1).is_ok_and(|count| count <= most);
        let is_first = is_room && key_value::set_if_absent(&key, b"", None) == Ok(true);
        if !is_first {
            // Somebody else has just written it down, or there was no room.
            let _is_counted = count(-1);
        }
        is_first || key_value::get(&key).is_some()
    }
}
