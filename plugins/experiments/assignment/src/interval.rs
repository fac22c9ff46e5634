//! How sure what was measured of a variant is: intervals of 95 %, of rates, of means, and of differences to the control.
//!
//! Requests are taken for independent of each other.

use crate::Proportion;

/// The 97.5 % quantile of the normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// The fewest values of which a mean has an interval.
const LEAST: u64 = 5;

/// What was measured, and between which bounds it is in 95 of 100 measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// What was measured.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// A rate with its interval (Wilson 1927). `None` of nothing.
#[must_use]
pub fn rate(of: Proportion) -> Option<Interval> {
    if of.all == 0 {
        return None;
    }
    let (all, value) = (of.all as f64, of.bad.min(of.all) as f64 / of.all as f64);
    let square = NORMAL * NORMAL;
    let scale = 1.0 / (1.0 + square / all);
    let middle = scale * (value + square / (2.0 * all));
    let half = scale * NORMAL * (value * (1.0 - value) / all + square / (4.0 * all * all)).sqrt();
    // Rounding must not put the value outside of its bounds.
    Some(Interval {
        value,
        low: (middle - half).clamp(0.0, value),
        high: (middle + half).clamp(value, 1.0),
    })
}

/// How much more the rate of a variant is than that of the control (Newcombe 1998, method 10).
#[must_use]
pub fn rate_difference(variant: Proportion, control: Proportion) -> Option<Interval> {
    let (variant, control) = (rate(variant)?, rate(control)?);
    let distance = |one: f64, other: f64| (one * one + other * other).sqrt();
    let value = variant.value - control.value;
    let down = distance(variant.value - variant.low, control.high - control.value);
    let up = distance(variant.high - variant.value, control.value - control.low);
    Some(Interval { value, low: value - down, high: value + up })
}

/// What is kept of values to tell their mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// How many there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Moments {
    fn mean(self) -> f64 {
        self.sum / self.count as f64
    }

    /// The variance of the mean.
    fn variance(self) -> f64 {
        let count = self.count as f64;
        // What rounding leaves of equal values may be below zero.
        let of_values = (self.squares - self.sum * self.sum / count).max(0.0) / (count - 1.0);
        of_values / count
    }

    fn degrees(self) -> f64 {
        self.count as f64 - 1.0
    }
}

/// A mean with its interval, by the t distribution. `None` of fewer than 5 values.
#[must_use]
pub fn mean(of: Moments) -> Option<Interval> {
    if of.count < LEAST {
        return None;
    }
    Some(around(of.mean(), of.variance(), of.degrees()))
}

/// How much more the mean of a variant is than that of the control (Welch 1947).
#[must_use]
pub fn mean_difference(variant: Moments, control: Moments) -> Option<Interval> {
    if variant.count < LEAST || control.count < LEAST {
        return None;
    }
    let (one, other) = (variant.variance(), control.variance());
    let variance = one + other;
    let degrees = match variance > 0.0 {
        true => {
            variance * variance
                / (one * one / variant.degrees() + other * other / control.degrees())
        }
        false => variant.degrees() + control.degrees(),
    };
    Some(around(variant.mean() - control.mean(), variance, degrees))
}

fn around(value: f64, variance: f64, degrees: f64) -> Interval {
    let half = quantile(degrees) * variance.sqrt();
    Interval { value, low: value - half, high: value + half }
}

/// The 97.5 % quantile of the t distribution, by its expansion around the normal one (Abramowitz and Stegun, 26.7.5): within
/// half a percent from 4 degrees of freedom on.
fn quantile(degrees: f64) -> f64 {
    let z = NORMAL;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5)
            - 1920.0 * z.powi(3)
            - 945.0 * z)
            / 92_160.0,
    ];
    let powers = terms.iter().zip(1..);
    z + powers.map(|(term, power)| term / degrees.powi(power)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<Interval>, low: f64, high: f64) {
        let found = found.unwrap_or(Interval { value: 0.0, low: f64::NAN, high: f64::NAN });
        let is_near = |one: f64, other: f64| (one - other).abs() < 6e-4;
        assert!(is_near(found.low, low) && is_near(found.high, high), "{found:?}, {low} to {high}");
    }

    /// The examples of Newcombe (1998), "Two-sided confidence intervals for the single proportion" and "Interval
    /// estimation for the difference between independent proportions".
    #[test]
    fn rates_are_those_of_the_literature() {
        let of = |bad, all| Proportion { bad, all };
        near(rate(of(81, 263)), 0.2553, 0.3662);
        near(rate(of(15, 148)), 0.0624, 0.1605);
        near(rate(of(0, 20)), 0.0, 0.1611);
        near(rate(of(1, 29)), 0.0061, 0.1718);
        near(rate_difference(of(56, 70), of(48, 80)), 0.0524, 0.3339);
        near(rate_difference(of(9, 10), of(3, 10)), 0.1705, 0.8090);
        near(rate_difference(of(5, 56), of(0, 29)), -0.0381, 0.1926);
        assert_eq!((rate(of(0, 0)), rate_difference(of(1, 2), of(0, 0))), (None, None));
        let all = rate(of(7, 7)).map(|it| it.high);
        assert_eq!(all, Some(1.0));
    }

    #[test]
    fn means_are_those_of_the_t_distribution() {
        for (degrees, wanted) in
            [(4.0, 2.776), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (1e9, 1.960)]
        {
            assert!(
                (quantile(degrees) - wanted).abs() < wanted * 0.005,
                "{degrees}: {}",
                quantile(degrees)
            );
        }
        let of = |values: &[f64]| Moments {
            count: values.len() as u64,
            sum: values.iter().sum(),
            squares: values.iter().map(|value| value * value).sum(),
        };
        // By hand: 3 ± 2.776 · √(2.5 / 5).
        let found = mean(of(&[1.0, 2.0, 3.0, 4.0, 5.0])).map(|it| [it.value, it.low, it.high]);
        let [value, low, high] = found.unwrap_or_default();
        assert!(
            (value - 3.0).abs() < 1e-9 && (low - 1.037).abs() < 0.01 && (high - 4.963).abs() < 0.01
        );
        // Welch's test of two samples with variances 2.5 and 10: 5.88 degrees, quantile 2.459.
        let two = mean_difference(of(&[2.0, 4.0, 6.0, 8.0, 10.0]), of(&[1.0, 2.0, 3.0, 4.0, 5.0]));
        let [value, low] = two.map(|it| [it.value, it.low]).unwrap_or_default();
        assert!(
            (value - 3.0).abs() < 1e-9 && (low - (3.0 - 2.459 * 2.5_f64.sqrt())).abs() < 0.02,
            "{low}"
        );
        assert_eq!(mean(of(&[1.0; 4])), None);
        let same = mean(of(&[0.1; 1000]));
        assert!(same.is_some_and(|it| (it.high - it.low).abs() < 1e-6));
    }
}
