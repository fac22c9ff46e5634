//! Requests in numbers.

use std::cell::RefCell;
use std::collections::HashMap;

use gateway_json_rpc::Said;
use gateway_plugin_sdk::metrics::{self, Counter, Histogram};
use gateway_plugin_sdk::{Ending, Summary};

use crate::operation::Operation;

/// Bounds in seconds: agents think for long.
const SECONDS: [f64; 13] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// What an instance has asked the gateway for.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    counters: RefCell<HashMap<(&'static str, &'static str), Counter>>,
    histograms: RefCell<HashMap<&'static str, Histogram>>,
}

impl Meter {
    /// Counts a request that is over.
    pub(crate) fn ended(&self, operation: Operation, said: Said, summary: &Summary) {
        let (name, outcome) = (operation.name(), outcome(said, summary));
        let counters = &mut *self.counters.borrow_mut();
        let counter = counters.entry((name, outcome)).or_insert_with(|| {
            metrics::counter_with("a2a_requests", &[("operation", name), ("outcome", outcome)])
        });
        counter.increment();
        if summary.upstream.is_some() && !operation.is_subscription() {
            let histograms = &mut *self.histograms.borrow_mut();
            let histogram = histograms.entry(name).or_insert_with(|| {
                let labels = [("operation", name)];
                metrics::histogram_with("a2a_request_duration_seconds", &labels, &SECONDS)
            });
            histogram.observe(summary.duration.as_secs_f64());
        }
    }
}

fn outcome(said: Said, summary: &Summary) -> &'static str {
    match (summary.ending, said) {
        (_, Said::Error(_)) => "error",
        (Ending::ClientLeft, _) => "client_left",
        (Ending::Complete, _) if summary.upstream.is_none() && summary.status >= 400 => "refused",
        (Ending::Complete, _) if summary.status < 400 => "ok",
        _ => "failed",
    }
}
