//! What became of requests, counted by variant, and by whether they are held out.
//!
//! Owns the metrics. Each is asked for by its name once in an instance and kept. The gateway is told what is recorded, and does
//! so without a call for requests that end alike. Squares are summed up too, so that who reads them can tell how sure a mean is.

use std::cell::{Cell, RefCell};

use std::time::Duration;

use gateway_plugin_sdk::metrics::{self, Counter, End, Histogram};
use gateway_plugin_sdk::prelude::Summary;
use gateway_plugin_sdk::usage;

use crate::exposure::USAGE_PREFIX;

/// Squares have one bucket: it is their sum that counts.
const ONE_BUCKET: [f64; 1] = [1.0];

/// Amounts of usage: tokens, documents, billionths of a dollar.
const AMOUNTS: [f64; 12] = [0.0, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// How many requests a guardrail hears of later, at most.
const HEARD_LATER: u32 = 64;

/// The values of the label `status`.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one variant, as far as this instance has asked for them.
#[derive(Debug, Default)]
pub(crate) struct OfVariant {
    requests: Requests,
    durations: Cell<Option<WithSquares>>,
    usage: RefCell<Vec<(String, WithSquares)>>,
}

/// The metrics of those who are held out, or of those who are not.
#[derive(Debug, Default)]
pub(crate) struct OfHoldout {
    requests: Requests,
    durations: Cell<Option<WithSquares>>,
}

/// The counters of requests, by class of status.
type Requests = [Cell<Option<Counter>>; CLASSES.len()];

/// A histogram, and that of the squares of its values.
#[derive(Debug, Clone, Copy)]
struct WithSquares {
    values: Histogram,
    squares: Histogram,
}

/// What is recorded of one request.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    counters: Vec<Counter>,
    durations: Vec<Histogram>,
    squares: Vec<Histogram>,
    /// Names of usage, each with what counts its amounts.
    amounts: Vec<(String, WithSquares)>,
}

impl Recorded {
    fn add(&mut self, requests: Counter, durations: WithSquares) {
        self.counters.push(requests);
        self.durations.push(durations.values);
        self.squares.push(durations.squares);
    }

    /// Records it. Guardrails hear of each request, of others later; where `slow` is, one whose head took longer is not like this.
    pub(crate) fn record(&self, is_judged: bool, slow: Duration) {
        let Self { counters, durations, squares, amounts } = self;
        metrics::record_end(&End { counters, durations, squares });
        for (name, WithSquares { values, squares }) in amounts {
            metrics::record_amount(name, *values, *squares);
        }
        if is_judged {
            metrics::count_alike(HEARD_LATER, slow);
        }
    }
}

/// The names under which plugins behind have added to the usage of the exchange, but for those that tell of exposures.
pub(crate) fn used() -> Vec<String> {
    let names = usage::added().into_iter().map(|(name, _)| name);
    names.filter(|name| !name.starts_with(USAGE_PREFIX)).collect()
}

impl OfVariant {
    /// Counts a request that had this variant by the rules.
    pub(crate) fn count(
        &self,
        experiment: &str,
        variant: &str,
        summary: &Summary,
        used: &[String],
        recorded: &mut Recorded,
    ) {
        let labels = [("experiment", experiment), ("variant", variant)];
        let requests = of_class(&self.requests, summary, |status| {
            let labels = [labels[0], labels[1], ("status", status)];
            metrics::counter_with("experiment_requests_total", &labels)
        });
        let durations = kept(&self.durations, || WithSquares {
            values: metrics::histogram_with("experiment_request_duration_seconds", &labels, &[]),
            squares: metrics::histogram_with(
                "experiment_request_duration_squared_seconds",
                &labels,
                &ONE_BUCKET,
            ),
        });
        recorded.add(requests, durations);
        for counter in used {
            recorded.amounts.push((counter.clone(), self.usage(labels, counter)));
        }
    }

    fn usage(&self, labels: [(&str, &str); 2], counter: &str) -> WithSquares {
        let mut kept = self.usage.borrow_mut();
        if let Some((_, metrics)) = kept.iter().find(|(name, _)| name == counter) {
            return *metrics;
        }
        let labels = [labels[0], labels[1], ("counter", counter)];
        let metrics = WithSquares {
            values: metrics::histogram_with("experiment_usage", &labels, &AMOUNTS),
            squares: metrics::histogram_with("experiment_usage_squared", &labels, &ONE_BUCKET),
        };
        // A gateway has no more than 64 names.
        kept.push((counter.to_owned(), metrics));
        metrics
    }
}

impl OfHoldout {
    /// Counts a request whose unit takes part in nothing, or might take part in something.
    pub(crate) fn count(&self, is_held_out: bool, summary: &Summary, recorded: &mut Recorded) {
        let labels = [("held_out", if is_held_out { "true" } else { "false" })];
        let requests = of_class(&self.requests, summary, |status| {
            let labels = [labels[0], ("status", status)];
            metrics::counter_with("experiment_holdout_requests_total", &labels)
        });
        let durations = kept(&self.durations, || WithSquares {
            values: metrics::histogram_with(
                "experiment_holdout_request_duration_seconds",
                &labels,
                &[],
            ),
            squares: metrics::histogram_with(
                "experiment_holdout_request_duration_squared_seconds",
                &labels,
                &ONE_BUCKET,
            ),
        });
        recorded.add(requests, durations);
    }
}

/// The counter of requests with the class of this status.
fn of_class(requests: &Requests, summary: &Summary, ask: impl FnOnce(&str) -> Counter) -> Counter {
    let class = usize::from(summary.status / 100);
    let class = if class < CLASSES.len() { class } else { 0 };
    kept(&requests[class], || ask(CLASSES[class]))
}

/// What is kept, asked for if it is not yet.
fn kept<T: Copy>(place: &Cell<Option<T>>, ask: impl FnOnce() -> T) -> T {
    place.get().unwrap_or_else(|| {
        let asked = ask();
        place.set(Some(asked));
        asked
    })
}
