//! What calls used, as attributes, metrics and rows of usage.
//!
//! Owns their names. Attributes are set while the response passes, so that plugins behind this one can settle by them;
//! metrics and rows are counted once, at the end.

use std::cell::RefCell;
use std::collections::HashMap;

use gateway_model_protocols::usage::Usage;
use gateway_plugin_sdk::metrics::{Counter, Histogram};
use gateway_plugin_sdk::{Ending, Summary};
use gateway_plugin_sdk::{attributes, log, metrics, usage as rows};

use crate::api::operation;
use crate::catalog::{Deployment, Model};
use crate::config::MetricNames;
use crate::state::Call;

/// Names of attributes.
pub(crate) const MODEL: &str = "model.name";
pub(crate) const DEPLOYMENT: &str = "model.deployment";
pub(crate) const ESTIMATE: &str = "model.tokens.estimate";
pub(crate) const COST_ESTIMATE: &str = "model.cost.estimate";
const INPUT: &str = "model.tokens.input";
const OUTPUT: &str = "model.tokens.output";
pub(crate) const TOTAL: &str = "model.tokens.total";
pub(crate) const COST: &str = "model.cost";

/// Bounds of OpenTelemetry's conventions, v1.41: seconds, and seconds for a token.
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

/// Which series: a metric with values for its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    /// The value of a label that not all have.
    extra: &'static str,
    model: usize,
    deployment: usize,
    operation: &'static str,
}

/// The series that an instance has asked the gateway for: to ask costs more than to count.
#[derive(Debug, Default)]
pub(crate) struct Series {
    counters: RefCell<HashMap<Key, Counter>>,
    histograms: RefCell<HashMap<Key, Histogram>>,
}

impl Series {
    fn counter(&self, key: Key, labels: &[(&str, &str)]) -> Counter {
        let known = &mut *self.counters.borrow_mut();
        *known.entry(key).or_insert_with(|| metrics::counter_with(key.name, labels))
    }

    fn histogram(&self, key: Key, labels: &[(&str, &str)], bounds: &[f64]) -> Histogram {
        let known = &mut *self.histograms.borrow_mut();
        *known.entry(key).or_insert_with(|| metrics::histogram_with(key.name, labels, bounds))
    }
}

/// Says how far the usage of a call has come.
pub(crate) fn tell(usage: &Usage, cost: Option<u64>) {
    let numbers = [(INPUT, usage.input), (OUTPUT, usage.output), (TOTAL, usage.total())];
    for (name, number) in numbers.into_iter().chain(cost.map(|cost| (COST, cost))) {
        set(name, &number.to_string());
    }
}

/// Sets an attribute at once.
pub(crate) fn set(name: &str, value: &str) {
    if let Err(error) = attributes::set(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}

/// A call that is over.
pub(crate) struct Ended<'a> {
    pub(crate) call: &'a Call,
    pub(crate) model: &'a Model,
    pub(crate) deployment: &'a Deployment,
    /// The usage, an estimate perhaps; `None` where the call was not answered.
    pub(crate) usage: Option<Usage>,
    /// In billionths of a US dollar.
    pub(crate) cost: Option<u64>,
    /// The time now, of the monotonic clock in nanoseconds.
    pub(crate) now: u64,
}

impl Ended<'_> {
    /// Counts it.
    pub(crate) fn count(&self, summary: &Summary, names: MetricNames, series: &Series) {
        let labels = self.labels();
        let of = |name, extra| self.key(name, extra);
        let duration = seconds(self.now.saturating_sub(self.call.began));
        let outcome = outcome(summary);
        let with_outcome = [&labels[..], &[("outcome", outcome)]].concat();
        series.counter(of("gen_ai_requests", outcome), &with_outcome).increment();
        let name = "gen_ai_client_inference_duration_seconds";
        series.histogram(of(name, ""), &labels, &SECONDS).observe(duration);
        if let Some(first) = self.call.first {
            let first = seconds(first.saturating_sub(self.call.began));
            let name = "gen_ai_server_time_to_first_token_seconds";
            series.histogram(of(name, ""), &labels, &FIRST).observe(first);
            let more = self.usage.map_or(0, |usage| usage.output.saturating_sub(1));
            if more > 0 && self.call.is_complete {
                #[expect(clippy::cast_precision_loss, reason = "tokens of a response are few")]
                let each = (duration - first) / more as f64;
                let name = "gen_ai_server_time_per_output_token_seconds";
                series.histogram(of(name, ""), &labels, &EACH).observe(each);
            }
        }
        if let Some(usage) = &self.usage {
            self.count_usage(usage, names, series);
        }
    }

    fn count_usage(&self, usage: &Usage, names: MetricNames, series: &Series) {
        let labels = self.labels();
        let of = |name, extra| self.key(name, extra);
        let kinds = [
            ("input_tokens", usage.input),
            ("output_tokens", usage.output),
            ("cached_input_tokens", usage.cached_input),
            ("cache_write_tokens", usage.cache_write + usage.cache_write_1h),
            ("reasoning_tokens", usage.reasoning),
            ("audio_input_tokens", usage.audio_input),
            ("audio_output_tokens", usage.audio_output),
            ("audio_seconds", usage.audio_seconds),
        ];
        for (name, amount) in kinds.into_iter().filter(|(_, amount)| *amount > 0) {
            rows::add(name, i64::try_from(amount).unwrap_or(i64::MAX));
        }
        if usage.estimated {
            rows::add("estimated_calls", 1);
        }
        if let Some(cost) = self.cost.filter(|cost| *cost > 0) {
            rows::add("cost_usd_nanos", i64::try_from(cost).unwrap_or(i64::MAX));
            series.counter(of("gen_ai_cost_usd_nanos", ""), &labels).add(cost);
        }
        if usage.audio_seconds > 0 {
            series.counter(of("gen_ai_audio_seconds", ""), &labels).add(usage.audio_seconds);
        }
        if names != MetricNames::Old {
            let kinds = [
                ("gen_ai_client_inference_usage_input_tokens", usage.input),
                ("gen_ai_client_inference_usage_output_tokens", usage.output),
                ("gen_ai_client_inference_usage_cache_read_input_tokens", usage.cached_input),
                (
                    "gen_ai_client_inference_usage_cache_write_input_tokens",
                    usage.cache_write + usage.cache_write_1h,
                ),
                ("gen_ai_client_inference_usage_reasoning_output_tokens", usage.reasoning),
            ];
            for (name, amount) in kinds.into_iter().filter(|(_, amount)| *amount > 0) {
                series.counter(of(name, ""), &labels).add(amount);
            }
        }
        if names != MetricNames::New {
            for (kind, amount) in [("input", usage.input), ("output", usage.output)] {
                let labels = [&labels[..], &[("gen_ai_token_type", kind)]].concat();
                #[expect(clippy::cast_precision_loss, reason = "tokens of a call are few")]
                series
                    .histogram(of("gen_ai_client_token_usage", kind), &labels, &TOKENS)
                    .observe(amount as f64);
            }
        }
    }

    fn key(&self, name: &'static str, extra: &'static str) -> Key {
        let operation = operation(self.call.protocol(), self.call.action());
        Key { name, extra, model: self.call.model, deployment: self.call.deployment, operation }
    }

    fn labels(&self) -> [(&str, &str); 4] {
        [
            ("gen_ai_request_model", &self.model.name),
            ("deployment", &self.deployment.name),
            ("gen_ai_provider_name", self.deployment.provider.name()),
            ("gen_ai_operation_name", operation(self.call.protocol(), self.call.action())),
        ]
    }
}

fn outcome(summary: &Summary) -> &'static str {
    match summary.ending {
        Ending::Complete if summary.status < 400 => "ok",
        Ending::Complete => "refused",
        Ending::ClientLeft => "client_left",
        Ending::UpstreamFailed => "upstream_failed",
        Ending::PluginFailed | Ending::GatewayFailed => "gateway_failed",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration of an exchange is short")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
