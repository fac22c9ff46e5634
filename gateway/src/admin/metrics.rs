//! `GET /metrics`.
//!
//! Owns the choice between the two formats. The page is that of `telemetry::metrics`.

use http::HeaderMap;
use http::header::ACCEPT;

use super::Admin;
use super::call::{Answer, Call, Reply};
use crate::telemetry::metrics;

#[expect(clippy::unnecessary_wraps, reason = "all endpoints answer so")]
pub(super) fn metrics(admin: &Admin, call: &Call) -> Answer {
    Ok(match takes_open_metrics(&call.headers) {
        true => Reply::text(metrics::OPEN_METRICS, admin.0.metrics.open_metrics()),
        false => Reply::text(metrics::CONTENT_TYPE, admin.0.metrics.text()),
    })
}

/// Whether a scrape asks for OpenMetrics: Prometheus names it first, with the highest weight.
fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut ranges = lines.flat_map(|line| line.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it =
            parts.next().is_some_and(|it| it.eq_ignore_ascii_case("application/openmetrics-text"));
        is_it && parts.all(|part| !matches!(part, "q=0" | "q=0.0" | "version=0.0.1"))
    })
}
