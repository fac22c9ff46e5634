//! Counters, gauges and histograms, shown with the gateway's own metrics as `plugin_NAME` with the
//! label `plugin`, the name under which the plugin is configured. Granted as `metrics`.
//!
//! All instances on all workers add to the same numbers, and a reload does not set them back. Ask
//! for a metric when the plugin is configured and keep it: recording is then one cheap call. A
//! metric whose labels are known only with the request is asked for in the hook.
//!
//! ```
//! use gateway_plugin_sdk::metrics::{self, Counter, Histogram};
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Count {
//!     requests: Counter,
//!     length: Histogram,
//! }
//!
//! impl Plugin for Count {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         let length = metrics::histogram("path_bytes", &[16.0, 64.0, 256.0]);
//!         Ok(Self { requests: metrics::counter("requests"), length })
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().method().path()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         self.requests.increment();
//!         self.length.observe(request.path().len() as f64);
//!         metrics::counter_with("methods", &[("method", request.method())]).increment();
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Count>::new(NoConfig {}).unwrap();
//! harness.request(testing::request().path("/orders"));
//! assert_eq!(harness.counter("requests", &[]), 1);
//! assert_eq!(harness.counter("methods", &[("method", "GET")]), 1);
//! assert_eq!(harness.observations("path_bytes", &[]), [7.0]);
//! ```
//!
//! # Names
//!
//! The name of a metric and of a label is letters, digits and `_`, not a digit first, at most 64
//! bytes. A label is not `le`, not `plugin` and does not begin with `__`; a metric has at most 8.
//! Gauges and histograms do not end in `_total`, `_bucket`, `_sum` or `_count`. A name that breaks
//! these rules, or that is also the name of another kind of metric, fails the hook.
//!
//! # Bounds
//!
//! The value of a label is cut at 128 bytes. A configured plugin has at most 5,000 series, each a
//! metric with values for its labels. What is recorded for more is dropped, and the gateway's log
//! says so once. So do not make a label of what a client can choose.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{context, host};

/// A number that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(u32);

/// A number that goes up and down. All instances set the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge(u32);

/// Values, counted by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram(u32);

/// What is recorded of the end of an exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct End<'a> {
    /// Counters that have 1 more.
    pub counters: &'a [Counter],
    /// Histograms of the duration, in seconds.
    pub durations: &'a [Histogram],
    /// Histograms of its square, of which the sum tells how sure a mean is.
    pub squares: &'a [Histogram],
}

/// In `on_complete`: records the end of this exchange, and says that this is all the hook does for exchanges that end alike.
///
/// Those have the same context, the same status and the same [`Ending`](crate::Ending), and nothing was added to
/// [`usage`](crate::usage), but for what [`record_amount`] records. The gateway may then record others without calling the hook, which costs next to nothing. It does
/// so where the hook called nothing else of the gateway but [`usage::added`](crate::usage::added) and [`counted`]: ask for each metric once,
/// and keep it. Do not call it in a hook whose work depends on more, such as the bytes of the [`Summary`](crate::Summary).
///
/// ```
/// use gateway_plugin_sdk::metrics::{self, Counter, End, Histogram};
/// use gateway_plugin_sdk::prelude::*;
/// use gateway_plugin_sdk::testing::{self, Harness};
///
/// struct Count {
///     requests: Counter,
///     duration: Histogram,
/// }
///
/// impl Plugin for Count {
///     type Config = NoConfig;
///     type Context = ();
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         let duration = metrics::histogram("duration_seconds", &[]);
///         Ok(Self { requests: metrics::counter("requests"), duration })
///     }
///
///     fn interest(&self) -> Interest {
///         Interest::on_request().and_on_complete()
///     }
///
///     fn on_request(&self, _: &mut Request, _: &mut ()) -> Outcome {
///         Outcome::Next
///     }
///
///     fn on_complete(&self, _: &Summary, _: &()) {
///         let (counters, durations) = (&[self.requests], &[self.duration]);
///         metrics::record_end(&End { counters, durations, squares: &[] });
///     }
/// }
///
/// let harness = Harness::<Count>::new(NoConfig {}).unwrap();
/// let mut exchange = harness.request(testing::request());
/// exchange.response(testing::response());
/// let summary = exchange.complete();
/// assert_eq!(harness.counter("requests", &[]), 1);
/// assert_eq!(harness.observations("duration_seconds", &[]), [summary.duration.as_secs_f64()]);
/// ```
///
/// # Panics
/// In any other hook.
pub fn record_end(end: &End<'_>) {
    let counters: Vec<_> = end.counters.iter().map(|counter| counter.0).collect();
    let of = |histograms: &[Histogram]| histograms.iter().map(|it| it.0).collect::<Vec<_>>();
    host::metrics_record_end(&counters, &of(end.durations), &of(end.squares));
}

/// In `on_complete`, beside [`record_end`]: counts what was added to [`usage`](crate::usage) under this name, and the square of it, in
/// histograms. Exchanges then end alike where something was added under the same names, however much.
///
/// # Panics
/// In any other hook.
pub fn record_amount(name: &str, amounts: Histogram, squares: Histogram) {
    host::metrics_record_amount(name, amounts.0, squares.0);
}

/// Exchanges that ended alike and were recorded without a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike<C> {
    /// The context with which they ended.
    pub context: C,
    /// The status of their responses, 0 without one.
    pub status: u16,
    /// How many.
    pub count: u32,
}

/// In `on_complete`, beside [`record_end`]: has those that end alike counted, for a hook that has to [hear](counted) of each, though
/// later. It is called again after so many of whatever kind, and with the first that ends more than a second after the last call. Only
/// those that ended [`Complete`](crate::Ending::Complete), and whose heads took no longer than this, end alike then.
///
/// # Panics
/// In any other hook.
pub fn count_alike(most: u32, time_to_head: Duration) {
    let nanoseconds = u64::try_from(time_to_head.as_nanos()).unwrap_or(u64::MAX);
    host::metrics_count_alike(most, nanoseconds);
}

/// In `on_complete`: the exchanges that were [counted](count_alike) since the hook was called last. Each is told once. Native tests call the
/// hook for each exchange, and have none.
///
/// # Panics
/// If contexts are not of this type.
#[must_use]
pub fn counted<C: DeserializeOwned + Default>() -> Vec<Alike<C>> {
    let counted = host::metrics_counted().into_iter();
    let read = |(bytes, status, count): (Vec<u8>, u16, u32)| {
        let context = context::decode(&bytes);
        Alike { context, status, count }
    };
    counted.map(read).collect()
}

/// Adds to counters, and counts values in histograms, in one call of the gateway: for hooks that record several.
///
/// ```
/// use gateway_plugin_sdk::metrics::{self, Counter, Histogram};
/// use gateway_plugin_sdk::prelude::*;
/// use gateway_plugin_sdk::testing::{self, Harness};
///
/// struct Count {
///     requests: Counter,
///     length: Histogram,
/// }
///
/// impl Plugin for Count {
///     type Config = NoConfig;
///     type Context = ();
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         let length = metrics::histogram("path_bytes", &[16.0, 64.0, 256.0]);
///         Ok(Self { requests: metrics::counter("requests"), length })
///     }
///
///     fn interest(&self) -> Interest {
///         Interest::on_request().path()
///     }
///
///     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
///         let length = request.path().len() as f64;
///         metrics::record_all(&[(self.requests, 1)], &[(self.length, length)]);
///         Outcome::Next
///     }
/// }
///
/// let harness = Harness::<Count>::new(NoConfig {}).unwrap();
/// harness.request(testing::request().path("/orders"));
/// assert_eq!(harness.counter("requests", &[]), 1);
/// assert_eq!(harness.observations("path_bytes", &[]), [7.0]);
/// ```
pub fn record_all(amounts: &[(Counter, u64)], values: &[(Histogram, f64)]) {
    let amounts: Vec<_> = amounts.iter().map(|(counter, amount)| (counter.0, *amount)).collect();
    let values: Vec<_> = values.iter().map(|(histogram, value)| (histogram.0, *value)).collect();
    host::metrics_record(&amounts, &values);
}

/// The counter of this name. `_total` is added to a name that does not end so.
///
/// # Panics
/// If the name breaks the rules.
pub fn counter(name: &str) -> Counter {
    counter_with(name, &[])
}

/// The counter of this name with these labels, each a name and a value.
///
/// # Panics
/// If a name breaks the rules.
pub fn counter_with(name: &str, labels: &[(&str, &str)]) -> Counter {
    Counter(host::metrics_counter(name, labels))
}

/// The gauge of this name.
///
/// # Panics
/// If the name breaks the rules.
pub fn gauge(name: &str) -> Gauge {
    gauge_with(name, &[])
}

/// The gauge of this name with these labels, each a name and a value.
///
/// # Panics
/// If a name breaks the rules.
pub fn gauge_with(name: &str, labels: &[(&str, &str)]) -> Gauge {
    Gauge(host::metrics_gauge(name, labels))
}

/// The histogram of this name. `bounds` are the upper bounds of its buckets, rising, at most 32;
/// without any, those for seconds: 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10.
/// Those of the first who asked hold.
///
/// # Panics
/// If the name breaks the rules, or the bounds do not rise.
pub fn histogram(name: &str, bounds: &[f64]) -> Histogram {
    histogram_with(name, &[], bounds)
}

/// The histogram of this name with these labels, each a name and a value.
///
/// # Panics
/// If a name breaks the rules, or the bounds do not rise.
pub fn histogram_with(name: &str, labels: &[(&str, &str)], bounds: &[f64]) -> Histogram {
    Histogram(host::metrics_histogram(name, labels, bounds))
}

impl Counter {
    /// Adds one.
    pub fn increment(self) {
        self.add(1);
    }

    /// Adds this much.
    pub fn add(self, amount: u64) {
        host::metrics_add(self.0, amount);
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(self, value: f64) {
        host::metrics_set(self.0, value);
    }
}

impl Histogram {
    /// Counts a value; one that is not a number is left out.
    pub fn observe(self, value: f64) {
        host::metrics_observe(self.0, value);
    }
}
