//! The rate limiter of native tests: GCRA, as the gateway's.
//!
//! A bucket is one number, its theoretical arrival time: the moment at which it is full again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limiter::{Charge, LimiterError, Verdict, nanoseconds};

#[derive(Default)]
pub(crate) struct Buckets {
    /// When each bucket is full again, in tokens' worth of time: nanoseconds times `limit`, so
    /// that no rate is rounded.
    full: BTreeMap<String, u128>,
}

impl Buckets {
    pub(crate) fn take(
        &mut self,
        charges: &[Charge<'_>],
        now: u64,
    ) -> Result<Vec<Verdict>, LimiterError> {
        if charges.len() > 16 || !charges.iter().all(is_valid) {
            return Err(LimiterError::Invalid);
        }
        // Two charges of one bucket add up, so each is judged on what those before it leave.
        let mut after: BTreeMap<&str, u128> = BTreeMap::new();
        let mut verdicts = Vec::with_capacity(charges.len());
        for charge in charges {
            let before = after.get(charge.key).or_else(|| self.full.get(charge.key));
            let (verdict, full) = judge(charge, before.copied().unwrap_or(0), now);
            if verdict.allowed {
                after.insert(charge.key, full);
            }
            verdicts.push(verdict);
        }
        if verdicts.iter().all(|verdict| verdict.allowed) {
            for (key, full) in after {
                self.full.insert(key.to_owned(), full);
            }
            return Ok(verdicts);
        }
        Ok(charges
            .iter()
            .zip(verdicts)
            .map(|(charge, verdict)| self.refused(charge, verdict, now))
            .collect())
    }

    /// How a charge would go, by itself.
    pub(crate) fn look(&self, charge: &Charge<'_>, now: u64) -> Verdict {
        let full = self.full.get(charge.key).copied().unwrap_or(0);
        self.refused(charge, judge(charge, full, now).0, now)
    }

    /// Takes more, down to a burst below empty, or gives back.
    pub(crate) fn settle(&mut self, charge: &Charge<'_>, by: i64, now: u64) {
        let now = u128::from(now) * u128::from(charge.limit);
        let period = u128::from(nanoseconds(charge.period));
        let amount = period * u128::from(by.unsigned_abs());
        let most = now + 2 * period * u128::from(charge.burst);
        let full = self.full.entry(charge.key.to_owned()).or_default();
        *full = match by < 0 {
            true => full.saturating_sub(amount),
            false => ((*full).max(now) + amount).min(most.max(*full)),
        };
    }

    /// The verdict of a charge when nothing is charged: what is left is what was there.
    fn refused(&self, charge: &Charge<'_>, verdict: Verdict, now: u64) -> Verdict {
        let full = self.full.get(charge.key).copied().unwrap_or(0);
        let (look, _) = judge(&Charge { cost: 0, ..*charge }, full, now);
        Verdict { remaining: look.remaining, reset: look.reset, ..verdict }
    }
}

pub(crate) fn is_valid(charge: &Charge<'_>) -> bool {
    charge.key.len() <= 1024 && charge.limit > 0 && !charge.period.is_zero() && charge.burst > 0
}

/// The verdict of one charge, and when its bucket is full again if it is allowed.
fn judge(charge: &Charge<'_>, full: u128, now: u64) -> (Verdict, u128) {
    let limit = u128::from(charge.limit);
    let period = u128::from(nanoseconds(charge.period));
    let now = u128::from(now) * limit;
    let tolerance = period * u128::from(charge.burst);
    let full = full.max(now);
    let after = full + period * u128::from(charge.cost);
    let allowed = after - now <= tolerance;
    let left = if allowed { after } else { full };
    let verdict = Verdict {
        allowed,
        remaining: u64::try_from(tolerance.saturating_sub(left - now) / period).unwrap_or(u64::MAX),
        reset: span((left - now).div_ceil(limit)),
        retry_after: match allowed {
            true => Some(Duration::ZERO),
            false if charge.cost > charge.burst => None,
            false => Some(span((after - now - tolerance).div_ceil(limit))),
        },
    };
    (verdict, after)
}

fn span(nanoseconds: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ten_a_second(key: &str) -> Charge<'_> {
        Charge::new(key, 10, Duration::from_secs(1))
    }

    #[test]
    fn lets_a_burst_through_and_then_the_rate() {
        let mut buckets = Buckets::default();
        for left in (0..10).rev() {
            let verdict = buckets.take(&[ten_a_second("a")], 0).unwrap()[0];
            assert!(verdict.allowed);
            assert_eq!(verdict.remaining, left);
        }
        let verdict = buckets.take(&[ten_a_second("a")], 0).unwrap()[0];
        assert!(!verdict.allowed);
        assert_eq!(verdict.reset, Duration::from_secs(1));
        assert_eq!(verdict.retry_after, Some(Duration::from_millis(100)));
        assert!(!buckets.take(&[ten_a_second("a")], SECOND / 10 - 1).unwrap()[0].allowed);
        assert!(buckets.take(&[ten_a_second("a")], SECOND / 10).unwrap()[0].allowed);
    }

    #[test]
    fn charges_no_bucket_unless_each_has_enough() {
        let mut buckets = Buckets::default();
        let small = Charge { burst: 1, ..ten_a_second("small") };
        assert!(buckets.take(&[small], 0).unwrap()[0].allowed);
        let verdicts = buckets.take(&[ten_a_second("large"), small], 0).unwrap();
        assert!(verdicts[0].allowed && !verdicts[1].allowed);
        assert_eq!(verdicts[0].remaining, 10);
        assert_eq!(buckets.take(&[ten_a_second("large")], 0).unwrap()[0].remaining, 9);
    }

    #[test]
    fn looks_without_taking_and_never_allows_more_than_the_burst() {
        let mut buckets = Buckets::default();
        let look = Charge { cost: 0, ..ten_a_second("a") };
        assert_eq!(buckets.take(&[look], 0).unwrap()[0].remaining, 10);
        let huge = Charge { cost: 11, ..ten_a_second("a") };
        let verdict = buckets.take(&[huge], 0).unwrap()[0];
        assert_eq!((verdict.allowed, verdict.retry_after), (false, None));
    }

    #[test]
    fn refuses_charges_that_are_not_valid() {
        let mut buckets = Buckets::default();
        let zero = Charge { limit: 0, ..ten_a_second("a") };
        assert_eq!(buckets.take(&[zero], 0), Err(LimiterError::Invalid));
        assert_eq!(buckets.take(&[ten_a_second("a"); 17], 0), Err(LimiterError::Invalid));
    }
}
