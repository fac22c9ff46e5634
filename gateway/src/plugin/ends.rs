//! What a plugin has recorded of exchanges that end alike, without a call for each.
//!
//! Owns what "alike" means, and the bounds on what is kept. Belongs to one worker. Must not decide whether a hook that
//! said so depended on anything else: that is told by its call.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::bindings::Ending;
use crate::telemetry::metrics::Series;
use crate::usage::{CounterId, OfExchange};

/// Contexts that are longer are not kept.
const MAX_CONTEXT: usize = 124;

/// Bytes that one worker keeps for a plugin, about.
const MAX_BYTES: usize = 256 << 10;

/// For how long exchanges are counted without a call.
const COUNTED: Duration = Duration::from_secs(1);

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
    /// What was added to usage under this name.
    Amount(CounterId),
    /// The square of that.
    SquareOfAmount(CounterId),
}

/// How exchanges that end alike are counted, for a hook that has to hear of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counting {
    /// After how many it is called again.
    pub(crate) most: u32,
    /// The longest that the head of one of them took, in nanoseconds.
    pub(crate) time_to_head: u64,
}

/// Exchanges that were counted, all alike.
#[derive(Debug, Clone)]
pub(crate) struct Alike {
    pub(crate) context: Box<[u8]>,
    pub(crate) status: u16,
    pub(crate) count: u32,
}

/// What is recorded of the end of an exchange.
#[derive(Debug, Default)]
pub(crate) struct RecordedEnd {
    series: Vec<(Arc<Series>, Of)>,
    /// Whether there was no room for one of the series, which is counted with each call.
    has_dropped: bool,
    counting: Option<Counting>,
    /// With which context and status, and how many were counted.
    counted: (Box<[u8]>, u16, Cell<u32>),
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

    /// Those that are alike are counted.
    pub(crate) fn is_counted(&mut self, counting: Counting) {
        self.counting = Some(counting);
    }

    /// Whether exchanges that end alike are those to which something was added under the same names.
    fn has_amounts(&self) -> bool {
        self.series.iter().any(|(_, of)| matches!(of, Of::Amount(_)))
    }

    /// Records an exchange that took so many nanoseconds, and to which this was added.
    pub(crate) fn record(&self, duration: u64, usage: &OfExchange) {
        let seconds = Duration::from_nanos(duration).as_secs_f64();
        for (series, of) in &self.series {
            match (&**series, of) {
                (Series::Counter(counter), _) => counter.add(1),
                (Series::Histogram(histogram), Of::Square) => histogram.observe(seconds * seconds),
                (Series::Histogram(histogram), Of::Amount(name)) => {
                    usage.amount(*name).inspect(|amount| histogram.observe(float(*amount)));
                }
                (Series::Histogram(histogram), Of::SquareOfAmount(name)) => {
                    let square = |amount| float(amount) * float(amount);
                    usage.amount(*name).inspect(|amount| histogram.observe(square(*amount)));
                }
                (Series::Histogram(histogram), _) => histogram.observe(seconds),
                (Series::Gauge(_), _) => {}
            }
        }
    }
}

/// Amounts are within 2^53, so that it is exact.
fn float(amount: i64) -> f64 {
    amount as f64
}

/// What exchanges that end alike have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// How long the context is, and then the context.
    context: [u8; MAX_CONTEXT + 1],
    ending: u8,
    status: u16,
    /// Under which names something was added to usage, one bit for each.
    names: u64,
}

impl Key {
    /// `None` for a context that is too long.
    pub(crate) fn new(context: &[u8], status: u16, ending: Ending, names: u64) -> Option<Self> {
        let mut padded = [0; MAX_CONTEXT + 1];
        padded[0] = u8::try_from(context.len()).ok()?;
        padded.get_mut(1..=context.len())?.copy_from_slice(context);
        Some(Self { context: padded, ending: ending as u8, status, names })
    }

    fn context(&self) -> &[u8] {
        self.context.get(1..=usize::from(self.context[0])).unwrap_or_default()
    }
}

/// What was recorded, by what exchanges have in common.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    kept: RefCell<HashMap<Key, Rc<RecordedEnd>, RandomState>>,
    bytes: Cell<usize>,
    /// Those of which some were counted.
    counted: RefCell<Vec<Rc<RecordedEnd>>>,
    /// How many were counted in all.
    count: Cell<u32>,
    /// When the hook was called last, if ends are counted.
    called: Cell<Option<Instant>>,
}

impl Ends {
    /// Whether nothing is kept: most plugins have nothing recorded so.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.get() == 0
    }

    /// What is recorded of an exchange whose head took so long; `None` where the hook has to be called.
    pub(crate) fn get(&self, key: &Key, time_to_head: u64) -> Option<Rc<RecordedEnd>> {
        let kept = self.kept.borrow();
        let end = kept.get(key)?;
        let is_in_time = || self.called.get().is_some_and(|at| at.elapsed() < COUNTED);
        let stands = end.counting.is_none_or(|counting| {
            time_to_head <= counting.time_to_head
                && self.count.get() < counting.most
                && is_in_time()
        });
        stands.then(|| Rc::clone(end))
    }

    /// Records another exchange that ended so.
    pub(crate) fn record(&self, end: &Rc<RecordedEnd>, duration: u64, usage: &OfExchange) {
        end.record(duration, usage);
        if end.counting.is_some() {
            let count = &end.counted.2;
            if count.get() == 0 {
                self.counted.borrow_mut().push(Rc::clone(end));
            }
            count.set(count.get() + 1);
            self.count.set(self.count.get() + 1);
        }
    }

    /// The hook is called. Returns what was counted since it was called last.
    pub(crate) fn called(&self) -> Vec<Alike> {
        if self.called.get().is_none() {
            return Vec::new();
        }
        self.called.set(Some(Instant::now()));
        self.count.set(0);
        let counted = std::mem::take(&mut *self.counted.borrow_mut());
        let alike = |end: Rc<RecordedEnd>| {
            let (context, status, count) = &end.counted;
            Alike { context: context.clone(), status: *status, count: count.take() }
        };
        counted.into_iter().map(alike).collect()
    }

    /// Keeps it. If there is too much, all of the others are forgotten.
    pub(crate) fn keep(&self, key: Key, time_to_head: u64, mut end: Box<RecordedEnd>) {
        let more = ENTRY + size_of_val(&*end.series);
        let stands = end.counting.is_none_or(|counting| {
            time_to_head <= counting.time_to_head && key.ending == Ending::Complete as u8
        });
        if end.has_dropped || more > MAX_BYTES || !stands {
            return;
        }
        if key.names != 0 && !end.has_amounts() {
            return;
        }
        if end.counting.is_some() {
            end.counted = (key.context().into(), key.status, Cell::default());
            self.called.set(Some(Instant::now()));
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
        Key::new(context, 200, Ending::Complete, 0).expect("short")
    }

    #[test]
    fn ends_are_alike_by_context_status_and_ending() {
        let ends = Ends::default();
        assert!(ends.is_empty());
        ends.keep(key(&[1]), 0, Box::default());
        assert!(!ends.is_empty() && ends.get(&key(&[1]), 0).is_some());
        for other in [&[][..], &[1, 0], &[2], &[0]] {
            assert!(ends.get(&key(other), 0).is_none(), "{other:?}");
        }
        for (status, ending) in [(201, Ending::Complete), (200, Ending::ClientLeft)] {
            assert!(ends.get(&Key::new(&[1], status, ending, 0).expect("short"), 0).is_none());
        }
        assert!(Key::new(&[1; MAX_CONTEXT + 1], 200, Ending::Complete, 0).is_none());
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
        let usage = OfExchange::default();
        end.record(2_000_000_000, &usage);
        end.record(500_000_000, &usage);
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
            ends.keep(key(&number.to_le_bytes()), 0, Box::default());
            assert!(
                ends.bytes.get() <= MAX_BYTES && ends.get(&key(&number.to_le_bytes()), 0).is_some()
            );
        }
        assert!(ends.kept.borrow().len() <= MAX_BYTES / ENTRY);
        let mut dropped = RecordedEnd::default();
        dropped.has_dropped();
        ends.keep(key(b"dropped"), 0, Box::new(dropped));
        assert!(ends.get(&key(b"dropped"), 0).is_none());
    }

    #[test]
    fn what_is_counted_is_told_with_the_next_call_which_comes_soon() {
        let (ends, usage) = (Ends::default(), OfExchange::default());
        let counted = |most| {
            let mut end = Box::<RecordedEnd>::default();
            end.is_counted(Counting { most, time_to_head: 100 });
            end
        };
        ends.keep(key(&[1]), 101, counted(3));
        assert!(ends.is_empty(), "the head took too long");
        assert!(ends.called().is_empty());
        ends.keep(key(&[1]), 100, counted(3));
        ends.keep(key(&[2]), 5, counted(3));
        assert!(ends.get(&key(&[1]), 101).is_none());
        for context in [&[1], &[2], &[1]] {
            let end = ends.get(&key(context), 100).expect("it is kept");
            ends.record(&end, 1, &usage);
        }
        assert!(ends.get(&key(&[2]), 0).is_none(), "as many as may are counted");
        let told = ends.called();
        let told: Vec<_> = told.iter().map(|it| (&*it.context, it.status, it.count)).collect();
        assert_eq!(told, [(&[1][..], 200, 2), (&[2][..], 200, 1)]);
        assert!(ends.called().is_empty() && ends.get(&key(&[2]), 0).is_some());
        ends.called.set(Instant::now().checked_sub(COUNTED));
        assert!(ends.get(&key(&[2]), 0).is_none(), "the last call is too long ago");
    }

    #[test]
    fn with_usage_only_those_are_alike_of_which_amounts_are_recorded() {
        let ends = Ends::default();
        let named = |names| Key::new(&[], 200, Ending::Complete, names).expect("short");
        ends.keep(named(2), 0, Box::default());
        assert!(ends.is_empty());
        let mut end = Box::<RecordedEnd>::default();
        end.add(Arc::new(Series::Histogram(Histogram::new(&[1.0]))), Of::Amount(1));
        ends.keep(named(2), 0, end);
        assert!(ends.get(&named(2), 0).is_some() && ends.get(&named(6), 0).is_none());
    }
}
