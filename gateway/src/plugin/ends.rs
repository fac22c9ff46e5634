//! What a plugin has recorded of exchanges that end alike, without a call for each.
//!
//! Owns what "alike" means, and the bounds on what is kept. Belongs to one worker. Must not decide whether a hook that
//! said so depended on anything else: that is told by its call.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::bindings::Ending;
use crate::telemetry::metrics::Series;

/// Contexts that are longer are not kept.
const MAX_CONTEXT: usize = 124;

/// Bytes that one worker keeps for a plugin, about.
const MAX_BYTES: usize = 256 << 10;

/// What an entry takes besides its series.
const ENTRY: usize = size_of::<(Key, Rc<RecordedEnd>)>() + size_of::<RecordedEnd>() + 32;

/// What a number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// The exchange: 1.
    Count,
    /// Its duration, in seconds.
    Duration,
    /// The square of that.
    Square,
}

/// What is recorded of the end of an exchange.
#[derive(Debug, Default)]
pub(crate) struct RecordedEnd {
    series: Vec<(Arc<Series>, Of)>,
    /// Whether there was no room for one of the series, which is counted with each call.
    has_dropped: bool,
}

impl RecordedEnd {
    /// One more number.
    pub(crate) fn add(&mut self, series: Arc<Series>, of: Of) {
        self.series.push((series, of));
    }

    /// There was no room for a series.
    pub(crate) fn has_dropped(&mut self) {
        self.has_dropped = true;
    }

    /// Records an exchange that took so many nanoseconds.
    pub(crate) fn record(&self, duration: u64) {
        let seconds = Duration::from_nanos(duration).as_secs_f64();
        for (series, of) in &self.series {
            match (&**series, of) {
                (Series::Counter(counter), _) => counter.add(1),
                (Series::Histogram(histogram), Of::Square) => histogram.observe(seconds * seconds),
                (Series::Histogram(histogram), _) => histogram.observe(seconds),
                (Series::Gauge(_), _) => {}
            }
        }
    }
}

/// What exchanges that end alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// How long the context is, and then the context.
    context: [u8; MAX_CONTEXT + 1],
    ending: u8,
    status: u16,
}

impl Key {
    /// `None` for a context that is too long.
    pub(crate) fn new(context: &[u8], status: u16, ending: Ending) -> Option<Self> {
        let mut padded = [0; MAX_CONTEXT + 1];
        padded[0] = u8::try_from(context.len()).ok()?;
        padded.get_mut(1..=context.len())?.copy_from_slice(context);
        Some(Self { context: padded, ending: ending as u8, status })
    }
}

/// What was recorded, by what exchanges have in common.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    kept: RefCell<HashMap<Key, Rc<RecordedEnd>, RandomState>>,
    bytes: Cell<usize>,
}

impl Ends {
    /// Whether nothing is kept: most plugins have nothing recorded so.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.get() == 0
    }

    /// What is recorded of an exchange.
    pub(crate) fn get(&self, key: &Key) -> Option<Rc<RecordedEnd>> {
        self.kept.borrow().get(key).cloned()
    }

    /// Keeps it. If there is too much, all of the others are forgotten.
    pub(crate) fn keep(&self, key: Key, end: Box<RecordedEnd>) {
        let more = ENTRY + size_of_val(&*end.series);
        if end.has_dropped || more > MAX_BYTES {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        if self.bytes.get() + more > MAX_BYTES {
            *kept = HashMap::default();
            self.bytes.set(0);
        }
        if kept.insert(key, Rc::from(end)).is_none() {
            self.bytes.set(self.bytes.get() + more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Counter, Histogram};

    fn key(context: &[u8]) -> Key {
        Key::new(context, 200, Ending::Complete).expect("short")
    }

    #[test]
    fn ends_are_alike_by_context_status_and_ending() {
        let ends = Ends::default();
        assert!(ends.is_empty());
        ends.keep(key(&[1]), Box::default());
        assert!(!ends.is_empty() && ends.get(&key(&[1])).is_some());
        for other in [&[][..], &[1, 0], &[2], &[0]] {
            assert!(ends.get(&key(other)).is_none(), "{other:?}");
        }
        for (status, ending) in [(201, Ending::Complete), (200, Ending::ClientLeft)] {
            assert!(ends.get(&Key::new(&[1], status, ending).expect("short")).is_none());
        }
        assert!(Key::new(&[1; MAX_CONTEXT + 1], 200, Ending::Complete).is_none());
    }

    #[test]
    fn each_number_is_recorded_as_what_it_is_of() {
        let counter = Arc::new(Series::Counter(Counter::default()));
        let histogram = || Arc::new(Series::Histogram(Histogram::new(&[1.0])));
        let (durations, squares) = (histogram(), histogram());
        let mut end = RecordedEnd::default();
        end.add(Arc::clone(&counter), Of::Count);
        end.add(Arc::clone(&durations), Of::Duration);
        end.add(Arc::clone(&squares), Of::Square);
        end.record(2_000_000_000);
        end.record(500_000_000);
        let Series::Counter(counter) = &*counter else { panic!("a counter") };
        assert_eq!(counter.sum(), 2);
        for (series, sum) in [(durations, 2.5), (squares, 4.25)] {
            let Series::Histogram(histogram) = &*series else { panic!("a histogram") };
            let shown = histogram.sum();
            assert_eq!((shown.sum, shown.cumulated), (sum, vec![1, 2]));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let ends = Ends::default();
        for number in 0..20_000_u32 {
            ends.keep(key(&number.to_le_bytes()), Box::default());
            assert!(
                ends.bytes.get() <= MAX_BYTES && ends.get(&key(&number.to_le_bytes())).is_some()
            );
        }
        assert!(ends.kept.borrow().len() <= MAX_BYTES / ENTRY);
        let mut dropped = RecordedEnd::default();
        dropped.has_dropped();
        ends.keep(key(b"dropped"), Box::new(dropped));
        assert!(ends.get(&key(b"dropped")).is_none());
    }
}
