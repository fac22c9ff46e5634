//! One series: a number, or a histogram, that all workers add to.
//!
//! Owns its cells. Each thread adds to cells of its own as long as there are enough, so that workers
//! do not wait for each other's caches; whoever reads sums them up. Must not know names.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::Kind;

/// Cells of one number, at most. Threads past it share them.
const MAX_CELLS: usize = 16;

/// What is recorded under a name and labels.
#[derive(Debug)]
pub(crate) enum Series {
    /// A sum.
    Counter(Counter),
    /// The bits of a 64-bit floating-point number.
    Gauge(AtomicU64),
    /// Values by size.
    Histogram(Histogram),
}

impl Series {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

impl Series {
    /// Bytes of its cells.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Counter(counter) => size_of_val(&*counter.0),
            Self::Gauge(_) => size_of::<AtomicU64>(),
            Self::Histogram(histogram) => {
                let counts = histogram.cells.iter().map(|it| size_of_val(&*it.counts));
                size_of_val(&*histogram.bounds)
                    + size_of_val(&*histogram.cells)
                    + counts.sum::<usize>()
            }
        }
    }
}

/// A sum that only grows.
#[derive(Debug)]
pub(crate) struct Counter(Box<[Cell]>);

/// A number on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

/// Values, counted by the smallest bound that they do not exceed.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Box<[f64]>,
    cells: Box<[Buckets]>,
}

/// One count a bound, one for the rest, and the bits of the sum.
#[derive(Debug)]
#[repr(align(64))]
struct Buckets {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// Times of known bounds, in whole nanoseconds: for what is measured with nearly every request.
#[derive(Debug)]
pub(super) struct Times<const N: usize> {
    /// In seconds, as they are shown.
    bounds: &'static [f64; N],
    nanos: [u64; N],
    cells: Box<[TimeCells<N>]>,
}

/// One count a bound, one for the rest, and the sum.
#[derive(Debug)]
#[repr(align(64))]
struct TimeCells<const N: usize> {
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// A histogram, summed up.
#[derive(Debug, PartialEq)]
pub(crate) struct Distribution<'a> {
    /// The upper bounds of the buckets.
    pub(crate) bounds: &'a [f64],
    /// How many values did not exceed each bound, and last, how many there were.
    pub(crate) cumulated: Vec<u64>,
    /// The sum of all values.
    pub(crate) sum: f64,
}

static CELLS: LazyLock<usize> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.next_power_of_two().min(MAX_CELLS)
});
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);
}

/// The cell of this thread, of as many.
fn own(cells: usize) -> usize {
    // Their number is a power of two.
    THREAD.with(|thread| thread & (cells - 1))
}

impl Default for Counter {
    fn default() -> Self {
        Self((0..*CELLS).map(|_| Cell::default()).collect())
    }
}

impl Counter {
    /// Adds.
    pub(crate) fn add(&self, amount: u64) {
        self.0[own(self.0.len())].0.fetch_add(amount, Relaxed);
    }

    /// The sum.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, cell| sum.wrapping_add(cell.0.load(Relaxed)))
    }
}

impl Histogram {
    /// No values yet; the bounds rise.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        let buckets = || Buckets {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        };
        Self { bounds: bounds.into(), cells: (0..*CELLS).map(|_| buckets()).collect() }
    }

    /// Counts a value.
    pub(crate) fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let own = &self.cells[own(self.cells.len())];
        own.counts[bucket].fetch_add(1, Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // It never declines.
        let _ = own.sum.fetch_update(Relaxed, Relaxed, add);
    }

    /// All values so far.
    pub(crate) fn sum(&self) -> Distribution<'_> {
        let mut cumulated = vec![0; self.bounds.len() + 1];
        let mut sum = 0.0;
        for cell in &self.cells {
            sum += f64::from_bits(cell.sum.load(Relaxed));
            for (total, count) in cumulated.iter_mut().zip(&cell.counts) {
                *total += count.load(Relaxed);
            }
        }
        let mut below = 0;
        for count in &mut cumulated {
            below += *count;
            *count = below;
        }
        Distribution { bounds: &self.bounds, cumulated, sum }
    }
}

impl<const N: usize> Times<N> {
    /// No times yet; the bounds rise, and are in seconds.
    pub(super) fn new(bounds: &'static [f64; N]) -> Self {
        let cells = || TimeCells {
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        };
        let nanos = bounds.map(|seconds| nanos(Duration::from_secs_f64(seconds)));
        Self { bounds, nanos, cells: (0..*CELLS).map(|_| cells()).collect() }
    }

    /// Counts a time.
    pub(super) fn observe(&self, time: Duration) {
        let time = nanos(time);
        let own = &self.cells[own(self.cells.len())];
        let bucket = self.nanos.iter().position(|bound| time <= *bound);
        bucket.map_or(&own.above, |bucket| &own.counts[bucket]).fetch_add(1, Relaxed);
        own.sum.fetch_add(time, Relaxed);
    }

    /// All times so far.
    pub(super) fn sum(&self) -> Distribution<'_> {
        let mut cumulated = vec![0; N + 1];
        let mut sum = 0;
        for cell in &self.cells {
            sum += cell.sum.load(Relaxed);
            let counts = cell.counts.iter().chain([&cell.above]);
            for (total, count) in cumulated.iter_mut().zip(counts) {
                *total += count.load(Relaxed);
            }
        }
        let mut below = 0;
        for count in &mut cumulated {
            below += *count;
            *count = below;
        }
        Distribution {
            bounds: self.bounds,
            cumulated,
            sum: Duration::from_nanos(sum).as_secs_f64(),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_add_is_summed_up() {
        let (counter, histogram) = (Counter::default(), Histogram::new(&[1.0, 2.0]));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        counter.add(2);
                        histogram.observe(1.5);
                    }
                });
            }
        });
        assert_eq!(counter.sum(), 20_000);
        assert_eq!(histogram.sum().cumulated, [0, 10_000, 10_000]);
        assert!((histogram.sum().sum - 15_000.0).abs() < 1e-6);
    }

    #[test]
    fn times_are_counted_like_values() {
        static BOUNDS: [f64; 3] = [0.000_002, 0.001, 2.5];
        let (times, values) = (Times::new(&BOUNDS), Histogram::new(&BOUNDS));
        for nanos in [0, 1_999, 2_000, 2_001, 1_000_000, 1_000_001, 2_500_000_000, 9_000_000_000] {
            let time = Duration::from_nanos(nanos);
            times.observe(time);
            values.observe(time.as_secs_f64());
        }
        assert_eq!(times.sum(), values.sum());
        assert_eq!(times.sum().cumulated, [3, 5, 7, 8]);
    }

    #[test]
    fn a_value_that_is_a_bound_counts_below_it() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [1.0, 1.1, 2.0, 3.0, -5.0, f64::INFINITY] {
            histogram.observe(value);
        }
        assert_eq!(histogram.sum().cumulated, [2, 4, 6]);
    }
}
