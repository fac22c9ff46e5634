//! What was measured, and its form.

use std::time::Duration;

/// Latencies from the intended moment, how late this program itself came to send, and what went
/// wrong.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) delays: Vec<Duration>,
    pub(crate) refused: usize,
    pub(crate) unanswered: usize,
    /// Connections that the proxy opened to the service.
    pub(crate) accepted: usize,
}

impl Figures {
    pub(crate) fn json(mut self) -> String {
        self.latencies.sort_unstable();
        self.delays.sort_unstable();
        format!(
            concat!(
                r#"{{"requests": {}, "non_2xx": {}, "unanswered": {}, "p50_us": {}, "p99_us": {}, "#,
                r#""p999_us": {}, "max_us": {}, "late_p99_us": {}, "accepted": {}}}"#
            ),
            self.latencies.len(),
            self.refused,
            self.unanswered,
            micros(&self.latencies, 0.5),
            micros(&self.latencies, 0.99),
            micros(&self.latencies, 0.999),
            micros(&self.latencies, 1.0),
            micros(&self.delays, 0.99),
            self.accepted,
        )
    }
}

/// The nearest-rank percentile in microseconds.
fn micros(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let found = sorted.get(rank.saturating_sub(1));
    found.map_or(0.0, |it| it.as_nanos() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::micros;
    use std::time::Duration;

    #[test]
    fn takes_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(micros(&sorted, 0.5), 50.0);
        assert_eq!(micros(&sorted, 0.99), 99.0);
        assert_eq!(micros(&sorted, 1.0), 100.0);
        assert_eq!(micros(&[], 0.5), 0.0);
    }
}
