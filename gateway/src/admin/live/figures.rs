//! Numbers for people, out of counts.
//!
//! Owns how a percentile is read out of buckets, and how many digits a number has.

use serde_json::{Value, json};

/// The time that this share of the values did not exceed, by straight lines within buckets, as
/// Prometheus does it; none without values. What is over the last bound counts as that bound.
pub(super) fn percentile(bounds: &[f64], counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a short time")]
    let wanted = share * all as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds.iter().zip(counts) {
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(lower + (bound - lower) * ((wanted - below) / count).clamp(0.0, 1.0));
        }
        below += count;
        lower = *bound;
    }
    bounds.last().copied()
}

/// Half of the values, and those that nearly all do not exceed.
pub(in crate::admin) fn percentiles(bounds: &[f64], counts: &[u64]) -> Value {
    let of = |share| percentile(bounds, counts, share).map(rounded);
    json!({ "p50": of(0.5), "p95": of(0.95), "p99": of(0.99) })
}

/// A number of four significant digits: more would say what nobody measured.
pub(in crate::admin) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent of a 64-bit number")]
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.abs());
    if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_on_straight_lines_within_buckets() {
        let bounds = [1.0, 2.0, 4.0];
        let of = |counts: [u64; 4], share| percentile(&bounds, &counts, share);
        assert_eq!(of([0, 0, 0, 0], 0.5), None);
        assert_eq!(of([10, 0, 0, 0], 0.5), Some(0.5));
        assert_eq!(of([0, 10, 0, 0], 0.5), Some(1.5));
        assert_eq!(of([5, 0, 5, 0], 0.5), Some(1.0));
        assert_eq!(of([5, 0, 5, 0], 0.75), Some(3.0));
        assert_eq!(of([0, 0, 0, 3], 0.5), Some(4.0), "over the last bound");
        assert_eq!(of([0, 1, 0, 0], 1.0), Some(2.0));
    }

    #[test]
    fn numbers_have_four_digits() {
        let read: Vec<f64> =
            [0.0, 0.000_123_456, 1.23456, 123_456.0, f64::NAN].into_iter().map(rounded).collect();
        assert_eq!(read, [0.0, 0.000_123_5, 1.235, 123_500.0, 0.0]);
    }
}
