//! What became of requests, counted by variant, and by whether they are held out.
//!
//! Owns the metrics. Squares are summed up too, so that who reads them can tell how sure a mean is.

use gateway_plugin_sdk::prelude::Summary;
use gateway_plugin_sdk::{metrics, usage};

use crate::exposure::USAGE_PREFIX;

/// Squares have one bucket: it is their sum that counts.
const ONE_BUCKET: [f64; 1] = [1.0];

/// Amounts of usage: tokens, documents, billionths of a dollar.
const AMOUNTS: [f64; 12] = [0.0, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// What plugins behind have added to the usage of the exchange, but for what tells of exposures.
pub(crate) fn used() -> Vec<(String, i64)> {
    let mut used = usage::added();
    used.retain(|(name, _)| !name.starts_with(USAGE_PREFIX));
    used
}

/// Counts a request that had a variant by the rules.
pub(crate) fn of_variant(
    experiment: &str,
    variant: &str,
    summary: &Summary,
    used: &[(String, i64)],
) {
    let status = class(summary);
    let labels = [("experiment", experiment), ("variant", variant), ("status", status)];
    metrics::counter_with("experiment_requests_total", &labels).increment();
    let (labels, seconds) = (&labels[..2], summary.duration.as_secs_f64());
    metrics::histogram_with("experiment_request_duration_seconds", labels, &[]).observe(seconds);
    let squared = "experiment_request_duration_squared_seconds";
    metrics::histogram_with(squared, labels, &ONE_BUCKET).observe(seconds * seconds);
    for (counter, amount) in used {
        let labels = [labels[0], labels[1], ("counter", counter.as_str())];
        // Within 2^53, so that it is exact.
        let amount = *amount as f64;
        metrics::histogram_with("experiment_usage", &labels, &AMOUNTS).observe(amount);
        metrics::histogram_with("experiment_usage_squared", &labels, &ONE_BUCKET)
            .observe(amount * amount);
    }
}

/// Counts a request whose unit takes part in nothing, or might take part in something.
pub(crate) fn of_holdout(is_held_out: bool, summary: &Summary) {
    let labels =
        [("held_out", if is_held_out { "true" } else { "false" }), ("status", class(summary))];
    metrics::counter_with("experiment_holdout_requests_total", &labels).increment();
    let (labels, seconds) = (&labels[..1], summary.duration.as_secs_f64());
    metrics::histogram_with("experiment_holdout_request_duration_seconds", labels, &[])
        .observe(seconds);
    let squared = "experiment_holdout_request_duration_squared_seconds";
    metrics::histogram_with(squared, labels, &ONE_BUCKET).observe(seconds * seconds);
}

fn class(summary: &Summary) -> &'static str {
    let class = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    class.get(usize::from(summary.status / 100)).copied().unwrap_or("none")
}
