//! Requests in numbers: attributes while they pass, metrics at their end.
//!
//! Owns names, and which names of tools a metric may have: a client that makes names up must not make series.

use std::cell::RefCell;
use std::collections::HashMap;

use gateway_json_rpc::Said;
use gateway_plugin_sdk::metrics::{self, Counter, Histogram};
use gateway_plugin_sdk::{ConfigError, Ending, Summary, attributes, log};

use crate::rules::{Pattern, Rules};
use crate::state::Call;

/// Methods of all revisions.
const METHODS: [&str; 30] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/cancel",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "response",
    "batch",
    "stream",
    "end",
];

/// Bounds in seconds, those of OpenTelemetry's conventions for MCP.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// What an instance has asked the gateway for.
#[derive(Debug)]
pub(crate) struct Meter {
    names: Vec<Pattern>,
    counters: RefCell<HashMap<(String, String, &'static str), Counter>>,
    histograms: RefCell<HashMap<(String, String), Histogram>>,
}

impl Meter {
    pub(crate) fn new(rules: &Rules, names: &[String]) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut patterns: Vec<_> = rules.names().cloned().collect();
        for (at, name) in names.iter().enumerate() {
            match Pattern::new(name, &format!("/metric_names/{at}")) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => errors.push(error),
            }
        }
        ConfigError::collect(errors)?;
        Ok(Self { names: patterns, counters: RefCell::default(), histograms: RefCell::default() })
    }

    /// The label for a method.
    pub(crate) fn method(method: &str) -> String {
        METHODS.iter().find(|known| **known == method).map_or("other", |known| known).to_owned()
    }

    /// The label for a tool or a prompt.
    pub(crate) fn name(&self, name: &str) -> String {
        if name.is_empty() || self.names.iter().any(|pattern| pattern.fits(name)) {
            return name.to_owned();
        }
        "other".to_owned()
    }

    /// Counts a request that was refused here.
    pub(crate) fn refused(&self, method: &str, name: &str) {
        self.count(&Self::method(method), &self.name(name), "refused");
    }

    /// Counts a request that is over.
    pub(crate) fn ended(&self, call: &Call, summary: &Summary) {
        self.count(&call.method, &call.name, outcome(call, summary));
        if call.is_timed && summary.upstream.is_some() {
            let histograms = &mut *self.histograms.borrow_mut();
            let key = (call.method.clone(), call.name.clone());
            let histogram = histograms.entry(key).or_insert_with(|| {
                let labels = [("method", &*call.method), ("name", &*call.name)];
                metrics::histogram_with("mcp_request_duration_seconds", &labels, &SECONDS)
            });
            histogram.observe(summary.duration.as_secs_f64());
        }
    }

    fn count(&self, method: &str, name: &str, outcome: &'static str) {
        let counters = &mut *self.counters.borrow_mut();
        let key = (method.to_owned(), name.to_owned(), outcome);
        let counter = counters.entry(key).or_insert_with(|| {
            let labels = [("method", method), ("name", name), ("outcome", outcome)];
            metrics::counter_with("mcp_requests", &labels)
        });
        counter.increment();
    }
}

/// What became of a request.
fn outcome(call: &Call, summary: &Summary) -> &'static str {
    match (summary.ending, call.said) {
        (_, Said::Error(_)) => "error",
        (_, Said::ToolError) => "tool_error",
        (Ending::ClientLeft, Said::Nothing) => "client_left",
        (Ending::Complete, _) if summary.upstream.is_none() && summary.status >= 400 => "refused",
        (Ending::Complete, _) if summary.status < 400 => "ok",
        (Ending::ClientLeft, Said::Result) => "ok",
        _ => "failed",
    }
}

/// What a message said, for logs.
pub(crate) fn tell(said: Said) {
    let (outcome, code) = match said {
        Said::Nothing => return,
        Said::Result => ("ok", None),
        Said::ToolError => ("tool_error", None),
        Said::Error(code) => ("error", Some(code)),
    };
    set("mcp.outcome", outcome);
    if let Some(code) = code {
        set("mcp.error", &code.to_string());
    }
}

/// Sets an attribute at once.
pub(crate) fn set(name: &str, value: &str) {
    if let Err(error) = attributes::set(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}
