//! What calls used, as attributes, metrics and rows of usage.
//!
//! Owns their names. Attributes are set while the response passes, so that plugins behind this one can settle by them;
//! metrics and rows are counted once, at the end.

use gateway_model_protocols::usage::Usage;
use gateway_plugin_sdk::{Ending, Summary};
use gateway_plugin_sdk::{attributes, log, metrics};

use crate::api::operation;
use crate::catalog::{Deployment, Model};
use crate::config::MetricNames;
use crate::outcome::{self, ErrorType};
use crate::series::{self, Record, Series};
use crate::state::Call;

/// Names of attributes.
pub(crate) const MODEL: &str = "model.name";
pub(crate) const DEPLOYMENT: &str = "model.deployment";
pub(crate) const GROUP: &str = "model.group";
pub(crate) const ESTIMATE: &str = "model.tokens.estimate";
pub(crate) const COST_ESTIMATE: &str = "model.cost.estimate";
const INPUT: &str = "model.tokens.input";
const OUTPUT: &str = "model.tokens.output";
pub(crate) const TOTAL: &str = "model.tokens.total";
pub(crate) const COST: &str = "model.cost";
const CACHED: &str = "model.tokens.cached";
const CACHE_WRITE: &str = "model.tokens.cache-write";
const REASONING: &str = "model.tokens.reasoning";
const TOOL_CALLS: &str = "model.tool-calls";
/// Milliseconds that the exchange waited for places; the gateway's.
const WAITED: &str = "request.waited-ms";

/// The label of the model that was asked for.
const MODEL_LABEL: &str = "gen_ai_request_model";

/// Says how far the usage of a call has come.
pub(crate) fn tell(usage: &Usage, cost: Option<u64>) {
    let numbers = [usage.input, usage.output, usage.total(), cost.unwrap_or_default()];
    let [input, output, total, dollars] = numbers.map(|number| number.to_string());
    let all = [(INPUT, &*input), (OUTPUT, &output), (TOTAL, &total), (COST, &dollars)];
    let known = if cost.is_some() { &all[..] } else { &all[..3] };
    if let Err(error) = attributes::set_all(known) {
        log::warn!("the attributes of a usage cannot be set: {error}");
    }
}

/// Says what is known only when a response is whole.
pub(crate) fn tell_end(call: &Call, usage: &Usage) {
    let writes = usage.cache_write + usage.cache_write_1h;
    let calls = call.tool_calls;
    let numbers = [usage.cached_input, writes, usage.reasoning, calls.unwrap_or_default()];
    let [cached, writes, reasoning, tools] = numbers.map(|number| number.to_string());
    let all =
        [(CACHED, &*cached), (CACHE_WRITE, &writes), (REASONING, &reasoning), (TOOL_CALLS, &tools)];
    let known = if calls.is_some() { &all[..] } else { &all[..3] };
    if let Err(error) = attributes::set_all(known) {
        log::warn!("the attributes of a usage cannot be set: {error}");
    }
}

/// Sets an attribute at once.
pub(crate) fn set(name: &str, value: &str) {
    if let Err(error) = attributes::set(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}

/// A call failed, for good.
pub(crate) fn fails(call: &mut Call, error: ErrorType) {
    call.error = Some(error);
    set(outcome::ATTRIBUTE, error.name());
}

/// How long the exchange waited for a place at a deployment that may have some wait, in nanoseconds.
pub(crate) fn waited(deployment: &Deployment) -> Option<u64> {
    deployment.concurrency.as_ref().filter(|places| places.queue > 0)?;
    let milliseconds: f64 = attributes::value(WAITED)?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the gateway's number, which is a time and less than an hour"
    )]
    let nanoseconds = (milliseconds * 1e6) as u64;
    Some(nanoseconds)
}

/// A call that is over.
pub(crate) struct Ended<'a> {
    pub(crate) call: &'a Call,
    pub(crate) model: &'a Model,
    pub(crate) deployment: &'a Deployment,
    /// Why it failed, if it did.
    pub(crate) error: Option<ErrorType>,
    /// The group by which the consumer has the model.
    pub(crate) group: Option<&'a str>,
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
        let operation = operation(self.call.protocol(), self.call.action());
        let key = (self.call.model, self.call.deployment, self.call.group, operation);
        let labels = || {
            let group = self.group.map(|group| ("model_group", group.to_owned()));
            let labels = [
                (MODEL_LABEL, self.model.name.clone()),
                ("deployment", self.deployment.name.clone()),
                ("gen_ai_provider_name", self.deployment.provider.name().to_owned()),
                ("gen_ai_operation_name", operation.to_owned()),
            ];
            labels.into_iter().chain(group).collect::<Vec<_>>()
        };
        let row = series.of(key, None, &self.call.consumer, labels);
        // How it ended, and how long it took, is counted apart for each kind of error.
        let error = self.error.map(|error| {
            series.of(key, Some(error), &self.call.consumer, || {
                [labels(), vec![("error_type", error.name().to_owned())]].concat()
            })
        });
        let mut record = Record::of(&row, error.as_deref().unwrap_or(&row));
        record.end(self.ended(summary), 1);
        let began = self.call.began;
        let waited = waited(self.deployment);
        // Another attempt noted when it was sent; the first was when its turn had come.
        let sent = self.call.sent.unwrap_or_else(|| began.saturating_add(waited.unwrap_or(0)));
        let since = |from: u64, to: u64| seconds(to.saturating_sub(from));
        let (whole, own) = (since(began, self.now), since(sent, self.now));
        record.observe_end(series::REQUEST_DURATION, whole);
        if let Some(waited) = waited {
            record.observe(series::QUEUE_DURATION, seconds(waited));
        }
        if names != MetricNames::Old {
            record.observe_end(series::INFERENCE_DURATION, own);
        }
        if names != MetricNames::New {
            record.observe_end(series::OPERATION_DURATION, own);
        }
        if let Some(first) = self.call.first {
            record.observe(series::FIRST_TOKEN, since(began, first));
            if names != MetricNames::Old {
                record.observe(series::INFERENCE_FIRST_CHUNK, since(sent, first));
            }
            if names != MetricNames::New {
                record.observe(series::OPERATION_FIRST_CHUNK, since(sent, first));
            }
            let more = self.usage.map_or(0, |usage| usage.output.saturating_sub(1));
            if more > 0 && self.call.is_complete {
                #[expect(clippy::cast_precision_loss, reason = "tokens of a response are few")]
                let each = since(first, self.now) / more as f64;
                record.observe(series::EACH_TOKEN, each);
            }
        }
        if let Some(usage) = &self.usage {
            self.count_usage(usage, names, &mut record);
        }
        record.finish();
    }

    /// Which of the counters of requests it is.
    fn ended(&self, summary: &Summary) -> usize {
        match summary.ending {
            Ending::Complete if summary.status >= 400 => series::REFUSED,
            // The status was sent before it failed.
            _ if self.call.error.is_some() => series::UPSTREAM_FAILED,
            Ending::Complete => series::OK,
            Ending::ClientLeft => series::CLIENT_LEFT,
            Ending::UpstreamFailed => series::UPSTREAM_FAILED,
            Ending::PluginFailed | Ending::GatewayFailed => series::GATEWAY_FAILED,
        }
    }

    fn count_usage(&self, usage: &Usage, names: MetricNames, record: &mut Record<'_>) {
        let kinds = [
            ("input_tokens", series::INPUT, usage.input),
            ("output_tokens", series::OUTPUT, usage.output),
            ("cached_input_tokens", series::CACHE_READ, usage.cached_input),
            ("cache_write_tokens", series::CACHE_WRITE, usage.cache_write + usage.cache_write_1h),
            ("reasoning_tokens", series::REASONING, usage.reasoning),
        ];
        for (name, counter, amount) in kinds.into_iter().filter(|(.., amount)| *amount > 0) {
            record.row(name, amount);
            if names != MetricNames::Old {
                record.add(counter, amount);
            }
        }
        let audio = [
            ("audio_input_tokens", usage.audio_input),
            ("audio_output_tokens", usage.audio_output),
            ("audio_seconds", usage.audio_seconds),
        ];
        for (name, amount) in audio.into_iter().filter(|(_, amount)| *amount > 0) {
            record.row(name, amount);
        }
        if usage.estimated {
            record.row("estimated_calls", 1);
        }
        if let Some(cost) = self.cost.filter(|cost| *cost > 0) {
            record.row("cost_usd_nanos", cost);
            record.add(series::COST, cost);
        }
        if usage.audio_seconds > 0 {
            record.add(series::AUDIO_SECONDS, usage.audio_seconds);
        }
        if names != MetricNames::New {
            #[expect(clippy::cast_precision_loss, reason = "tokens of a call are few")]
            let tokens = [usage.input as f64, usage.output as f64];
            record.observe(series::INPUT_USAGE, tokens[0]);
            record.observe(series::OUTPUT_USAGE, tokens[1]);
        }
    }
}

/// An attempt at a deployment failed. `next` is the deployment that is asked instead, if there is one.
pub(crate) fn failed(model: &Model, deployment: &Deployment, class: &str, next: Option<&str>) {
    let labels = [
        (MODEL_LABEL, model.name.as_str()),
        ("deployment", &deployment.name),
        ("error_type", class),
        ("next", next.unwrap_or_default()),
    ];
    metrics::counter_with("gen_ai_failed_attempts", &labels).increment();
}

/// A deployment is passed over until then, in seconds since 1970.
pub(crate) fn cools_down(deployment: &Deployment, until: f64) {
    let labels = [("deployment", deployment.name.as_str())];
    metrics::gauge_with("gen_ai_cool_down_end_timestamp_seconds", &labels).set(until);
}

/// A request was refused before any deployment was asked. Without a model, the client named one that there is not.
pub(crate) fn refused(model: Option<&Model>, reason: &str) {
    let model = model.map_or("", |model| &model.name);
    let labels = [(MODEL_LABEL, model), ("reason", reason)];
    metrics::counter_with("gen_ai_refused_requests", &labels).increment();
}

#[expect(clippy::cast_precision_loss, reason = "a duration of an exchange is short")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
