//! Whether as many units were assigned to each variant as the weights say: Pearson's chi-square test.

/// The probability of counts at least as far from the weights as these, if units are assigned by the weights. `None` with
/// fewer than 5 expected in a variant, where the test says nothing.
#[must_use]
pub fn sample_ratio(counts: &[u64], weights: &[f64]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let sum: f64 = weights.iter().sum();
    let (mut statistic, mut variants) = (0.0, 0_u32);
    for (count, weight) in counts.iter().zip(weights) {
        let expected = total as f64 * weight / sum;
        if expected == 0.0 {
            // Units with a variant that nobody should have.
            if *count > 0 {
                return Some(0.0);
            }
            continue;
        }
        if expected < 5.0 {
            return None;
        }
        statistic += (*count as f64 - expected).powi(2) / expected;
        variants += 1;
    }
    (variants > 1).then(|| tail(statistic, variants - 1))
}

/// The upper tail of the chi-square distribution: the regularised incomplete gamma function Q (Press et al., Numerical
/// Recipes, section 6.2).
#[must_use]
pub fn tail(statistic: f64, degrees: u32) -> f64 {
    let (shape, at) = (f64::from(degrees) / 2.0, statistic / 2.0);
    if at <= 0.0 {
        return 1.0;
    }
    let scale = (-at + shape * at.ln() - ln_gamma(shape)).exp();
    if at < shape + 1.0 {
        let (mut term, mut sum, mut next) = (1.0 / shape, 1.0 / shape, shape);
        for _ in 0..1000 {
            next += 1.0;
            term *= at / next;
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return (1.0 - sum * scale).clamp(0.0, 1.0);
    }
    // By a continued fraction (Lentz).
    let tiny = 1e-300;
    let mut b = at + 1.0 - shape;
    let (mut c, mut d) = (1.0 / tiny, 1.0 / b);
    let mut fraction = d;
    for step in 1..1000 {
        let step = f64::from(step);
        let a = -step * (step - shape);
        b += 2.0;
        let inverse = a * d + b;
        d = 1.0 / if inverse.abs() < tiny { tiny } else { inverse };
        c = b + a / c;
        if c.abs() < tiny {
            c = tiny;
        }
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (fraction * scale).clamp(0.0, 1.0)
}

/// Of a half or a whole number.
fn ln_gamma(number: f64) -> f64 {
    let (mut at, mut sum) =
        if number.fract() == 0.0 { (1.0, 0.0) } else { (0.5, std::f64::consts::PI.ln() / 2.0) };
    while at < number {
        sum += f64::ln(at);
        at += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{sample_ratio, tail};

    /// Values of the usual tables.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (statistic, degrees, probability) in [
            (3.841_459, 1, 0.05),
            (6.634_897, 1, 0.01),
            (5.991_465, 2, 0.05),
            (16.918_98, 9, 0.05),
            (29.588_30, 10, 0.001),
            (0.454_936, 1, 0.5),
        ] {
            assert!(
                (tail(statistic, degrees) - probability).abs() < 1e-6,
                "{statistic} {degrees}: {}",
                tail(statistic, degrees)
            );
        }
        assert_eq!((tail(0.0, 3), sample_ratio(&[4, 4], &[1.0, 1.0])), (1.0, None));
        assert_eq!(sample_ratio(&[500, 1], &[1.0, 0.0]), Some(0.0));
        assert!(sample_ratio(&[5_050, 4_950], &[1.0, 1.0]).unwrap_or_default() > 0.3);
        assert!(sample_ratio(&[5_300, 4_700], &[1.0, 1.0]).unwrap_or(1.0) < 1e-8);
    }
}
