//! The metrics of calls: their names, their bounds, and the series that an instance has asked the gateway for.
//!
//! Owns that a call finds all of its series by one look-up: to ask the gateway for one costs more than to count. Must not
//! know what is counted: `meter` does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use gateway_plugin_sdk::metrics::{self, Counter, Histogram};
use gateway_plugin_sdk::usage;

use crate::consumers::{Consumer, Consumers};
use crate::outcome::ErrorType;

/// Places in [`COUNTERS`]: requests by how they ended, costs, and tokens.
pub(crate) const OK: usize = 0;
pub(crate) const REFUSED: usize = 1;
pub(crate) const CLIENT_LEFT: usize = 2;
pub(crate) const UPSTREAM_FAILED: usize = 3;
pub(crate) const GATEWAY_FAILED: usize = 4;
pub(crate) const COST: usize = 5;
pub(crate) const INPUT: usize = 6;
pub(crate) const OUTPUT: usize = 7;
pub(crate) const CACHE_READ: usize = 8;
pub(crate) const CACHE_WRITE: usize = 9;
pub(crate) const REASONING: usize = 10;
pub(crate) const AUDIO_SECONDS: usize = 11;

/// A label that some series of a metric have besides.
type Extra = Option<(&'static str, &'static str)>;

const COUNTERS: [(&str, Extra); 12] = [
    ("gen_ai_requests", Some(("outcome", "ok"))),
    ("gen_ai_requests", Some(("outcome", "refused"))),
    ("gen_ai_requests", Some(("outcome", "client_left"))),
    ("gen_ai_requests", Some(("outcome", "upstream_failed"))),
    ("gen_ai_requests", Some(("outcome", "gateway_failed"))),
    ("gen_ai_cost_usd_nanos", None),
    ("gen_ai_client_inference_usage_input_tokens", None),
    ("gen_ai_client_inference_usage_output_tokens", None),
    ("gen_ai_client_inference_usage_cache_read_input_tokens", None),
    ("gen_ai_client_inference_usage_cache_write_input_tokens", None),
    ("gen_ai_client_inference_usage_reasoning_output_tokens", None),
    ("gen_ai_audio_seconds", None),
];

/// Places in [`HISTOGRAMS`].
pub(crate) const REQUEST_DURATION: usize = 0;
pub(crate) const INFERENCE_DURATION: usize = 1;
pub(crate) const OPERATION_DURATION: usize = 2;
pub(crate) const FIRST_TOKEN: usize = 3;
pub(crate) const INFERENCE_FIRST_CHUNK: usize = 4;
pub(crate) const OPERATION_FIRST_CHUNK: usize = 5;
pub(crate) const EACH_TOKEN: usize = 6;
pub(crate) const QUEUE_DURATION: usize = 7;
pub(crate) const INPUT_USAGE: usize = 8;
pub(crate) const OUTPUT_USAGE: usize = 9;

const HISTOGRAMS: [(&str, Extra, &[f64]); 10] = [
    ("gen_ai_server_request_duration_seconds", None, &SECONDS),
    ("gen_ai_client_inference_duration_seconds", None, &SECONDS),
    ("gen_ai_client_operation_duration_seconds", None, &SECONDS),
    ("gen_ai_server_time_to_first_token_seconds", None, &FIRST),
    ("gen_ai_client_inference_time_to_first_chunk_seconds", None, &FIRST),
    ("gen_ai_client_operation_time_to_first_chunk_seconds", None, &FIRST),
    ("gen_ai_server_time_per_output_token_seconds", None, &EACH),
    ("gen_ai_queue_duration_seconds", None, &FIRST),
    ("gen_ai_client_token_usage", Some(("gen_ai_token_type", "input")), &TOKENS),
    ("gen_ai_client_token_usage", Some(("gen_ai_token_type", "output")), &TOKENS),
];

/// Bounds of OpenTelemetry's conventions: seconds, seconds to the first token, and seconds for a token.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST: [f64; 18] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0,
];
const EACH: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The most rows that an instance remembers.
const MOST_ROWS: usize = 4096;

/// Model, deployment, group, and the operation.
pub(crate) type Key = (usize, usize, Option<usize>, &'static str);

/// Names and values of labels.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// All rows, by model, deployment, group, operation and consumer.
#[derive(Debug)]
pub(crate) struct Series {
    consumers: Consumers,
    rows: RefCell<HashMap<(u64, Consumer), Rc<Row>>>,
}

/// The series of calls that have the same labels. Each is asked for when it is needed first.
#[derive(Debug)]
pub(crate) struct Row {
    labels: Labels,
    counters: [Cell<Option<Counter>>; COUNTERS.len()],
    histograms: [Cell<Option<Histogram>>; HISTOGRAMS.len()],
}

impl Series {
    /// With a label for so many consumers.
    pub(crate) fn new(consumers: u32) -> Self {
        Self { consumers: Consumers::new(consumers), rows: RefCell::default() }
    }

    /// The row of calls of this consumer, or of those that failed so.
    pub(crate) fn of(
        &self,
        key: Key,
        error: Option<ErrorType>,
        consumer: &str,
        labels: impl FnOnce() -> Labels,
    ) -> Rc<Row> {
        let consumer = self.consumers.of(consumer);
        let (model, deployment, group, operation) = key;
        // There are at most 1,024 models, 64 deployments and 64 groups, and operations differ in length or in the first letter.
        let operation = (operation.len() as u64) << 8 | u64::from(operation.as_bytes()[0]);
        let group = group.map_or(0, |group| group as u64 + 1);
        let error = error.map_or(0, |error| error as u64 + 1);
        let key = error << 56
            | group << 48
            | (model as u64) << 32
            | (deployment as u64) << 16
            | operation;
        let key = (key, consumer);
        let rows = &mut *self.rows.borrow_mut();
        if let Some(known) = rows.get(&key) {
            return Rc::clone(known);
        }
        if rows.len() >= MOST_ROWS {
            rows.clear();
        }
        let mut labels = labels();
        if let Some(name) = self.consumers.name(consumer) {
            labels.push(("consumer", name));
        }
        let row = Rc::new(Row {
            labels,
            counters: [const { Cell::new(None) }; COUNTERS.len()],
            histograms: [const { Cell::new(None) }; HISTOGRAMS.len()],
        });
        rows.insert(key, Rc::clone(&row));
        row
    }
}

impl Row {
    /// One of [`COUNTERS`].
    fn counter(&self, place: usize) -> Counter {
        self.counters[place].get().unwrap_or_else(|| {
            let (name, extra) = COUNTERS[place];
            let counter = metrics::counter_with(name, &self.labels(extra));
            self.counters[place].set(Some(counter));
            counter
        })
    }

    /// One of [`HISTOGRAMS`].
    fn histogram(&self, place: usize) -> Histogram {
        self.histograms[place].get().unwrap_or_else(|| {
            let (name, extra, bounds) = HISTOGRAMS[place];
            let histogram = metrics::histogram_with(name, &self.labels(extra), bounds);
            self.histograms[place].set(Some(histogram));
            histogram
        })
    }

    fn labels(&self, extra: Extra) -> Vec<(&str, &str)> {
        let own = self.labels.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain(extra).collect()
    }
}

/// What is recorded of a call, handed over in one piece.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    row: &'a Row,
    /// That of its end.
    end: &'a Row,
    amounts: Vec<(Counter, u64)>,
    values: Vec<(Histogram, f64)>,
    usage: Vec<(&'static str, i64)>,
}

impl<'a> Record<'a> {
    pub(crate) fn of(row: &'a Row, end: &'a Row) -> Self {
        let (amounts, values) = (Vec::with_capacity(8), Vec::with_capacity(8));
        Self { row, end, amounts, values, usage: Vec::with_capacity(8) }
    }

    /// Adds to one of [`COUNTERS`] of ends.
    pub(crate) fn end(&mut self, place: usize, amount: u64) {
        self.amounts.push((self.end.counter(place), amount));
    }

    /// Counts a value in one of [`HISTOGRAMS`] of ends.
    pub(crate) fn observe_end(&mut self, place: usize, value: f64) {
        self.values.push((self.end.histogram(place), value));
    }

    /// Adds to one of [`COUNTERS`].
    pub(crate) fn add(&mut self, place: usize, amount: u64) {
        self.amounts.push((self.row.counter(place), amount));
    }

    /// Counts a value in one of [`HISTOGRAMS`].
    pub(crate) fn observe(&mut self, place: usize, value: f64) {
        self.values.push((self.row.histogram(place), value));
    }

    /// Adds to a number of the usage of the exchange.
    pub(crate) fn row(&mut self, name: &'static str, amount: u64) {
        self.usage.push((name, i64::try_from(amount).unwrap_or(i64::MAX)));
    }

    pub(crate) fn finish(self) {
        metrics::record_all(&self.amounts, &self.values);
        if !self.usage.is_empty() {
            usage::add_all(&self.usage);
        }
    }
}
