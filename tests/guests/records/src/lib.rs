//! Records metrics, for the tests of what becomes of them: the counter `requests`, the gauge
//! `last_path_bytes`, the histogram `path_bytes`, and the counter `by_path` with a label of the
//! request's path. The request's `x-flood` makes it record as many series of the counter `flood`;
//! `x-breach` is a name that it asks for as a counter.

use gateway_plugin_sdk::metrics::{self, Counter, Gauge, Histogram};
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Records {
    requests: Counter,
    last: Gauge,
    length: Histogram,
}

impl Plugin for Records {
    type Config = NoConfig;
    type Context = ();

    fn configure(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            requests: metrics::counter("requests"),
            last: metrics::gauge("last_path_bytes"),
            length: metrics::histogram("path_bytes", &[4.0, 8.0]),
        })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().path().header("x-flood").header("x-breach")
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        let bytes = request.path().len() as f64;
        self.last.set(bytes);
        metrics::record_all(
            &[(self.requests, 1)],
            &[(self.length, bytes), (self.length, f64::NAN)],
        );
        metrics::counter_with("by_path", &[("path", request.path())]).add(2);
        let flood = request.header("x-flood").and_then(|count| count.parse::<u32>().ok());
        for number in 0..flood.unwrap_or(0) {
            metrics::counter_with("flood", &[("number", &number.to_string())]).increment();
        }
        if let Some(name) = request.header("x-breach") {
            metrics::counter(name).increment();
        }
        Outcome::Next
    }
}

register_plugin!(Records);
