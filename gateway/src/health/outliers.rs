//! Targets that do worse than the others of their upstream.
//!
//! Owns what of a stretch of time is counted for each target, and which of them stand out: by the share of requests that
//! fail, or by how long responses take. Counts are of all workers together. Must not eject anything.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Reason;
use crate::config::Outliers;

/// So much longer than the others a response takes at least, whatever the proportion: below it is noise.
const LEAST_LONGER: f64 = 0.001;

/// What happened at one target since the last look.
#[derive(Debug, Default)]
pub(super) struct Tally {
    answered: AtomicU32,
    failed: AtomicU32,
    /// Of those that were answered, until the head of the response.
    micros: AtomicU64,
}

/// The same, taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tallied {
    pub(super) answered: u32,
    pub(super) failed: u32,
    pub(super) micros: u64,
}

impl Tally {
    pub(super) fn answered(&self, took: Duration) {
        self.answered.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn take(&self) -> Tallied {
        Tallied {
            answered: self.answered.swap(0, Relaxed),
            failed: self.failed.swap(0, Relaxed),
            micros: self.micros.swap(0, Relaxed),
        }
    }
}

impl Tallied {
    fn requests(self) -> u32 {
        self.answered.saturating_add(self.failed)
    }

    fn success(self) -> f64 {
        f64::from(self.answered) / f64::from(self.requests())
    }

    /// Seconds that a response took on average.
    fn latency(self) -> Option<f64> {
        (self.answered > 0).then(|| self.micros as f64 / 1e6 / f64::from(self.answered))
    }
}

/// Those that stand out among the targets that had enough requests, the worst first.
pub(super) fn found(policy: &Outliers, tallies: &[Tallied]) -> Vec<(usize, Reason)> {
    let enough = tallies.iter().copied().enumerate();
    let enough = enough.filter(|(_, it)| it.requests() >= policy.min_requests.max(1));
    let enough: Vec<_> = enough.collect();
    if enough.len() < policy.min_targets as usize {
        return Vec::new();
    }
    let mut found = by_success(policy, &enough);
    for (index, reason) in by_latency(policy, &enough) {
        if found.iter().all(|(known, _)| *known != index) {
            found.push((index, reason));
        }
    }
    found
}

/// Those whose share of successes is below the mean by so many standard deviations.
fn by_success(policy: &Outliers, tallies: &[(usize, Tallied)]) -> Vec<(usize, Reason)> {
    if policy.success_rate == 0 {
        return Vec::new();
    }
    let count = tallies.len() as f64;
    let mean = tallies.iter().map(|(_, it)| it.success()).sum::<f64>() / count;
    let square = |(_, it): &(usize, Tallied)| (it.success() - mean).powi(2);
    let deviation = (tallies.iter().map(square).sum::<f64>() / count).sqrt();
    let least = mean - deviation * f64::from(policy.success_rate) / 100.0;
    let mut worse: Vec<_> =
        tallies.iter().filter(|(_, it)| deviation > 0.0 && it.success() < least).collect();
    worse.sort_by(|(_, one), (_, other)| one.success().total_cmp(&other.success()));
    worse.into_iter().map(|(index, _)| (*index, Reason::SuccessRate)).collect()
}

/// Those whose responses take so many times as long as the median of the others.
fn by_latency(policy: &Outliers, tallies: &[(usize, Tallied)]) -> Vec<(usize, Reason)> {
    if policy.latency == 0 {
        return Vec::new();
    }
    let known = tallies.iter().filter_map(|(index, it)| Some((*index, it.latency()?)));
    let mut known: Vec<_> = known.collect();
    known.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let latencies: Vec<f64> = known.iter().map(|(_, seconds)| *seconds).collect();
    let is_longer = |place: usize| {
        let mut others = latencies.clone();
        let own = others.remove(place);
        let Some(median) = others.get(others.len().saturating_sub(1) / 2) else { return false };
        own > median * f64::from(policy.latency) / 100.0 && own - median >= LEAST_LONGER
    };
    let longer = (0..known.len()).rev().filter(|place| is_longer(*place));
    longer.map(|place| (known[place].0, Reason::Latency)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Outliers {
        Outliers { min_requests: 10, min_targets: 3, latency: 300, ..Outliers::default() }
    }

    /// Of a hundred requests each: failures, and milliseconds that a response took.
    fn tallies(list: &[(u32, u64)]) -> Vec<Tallied> {
        let of = |(failed, milliseconds): &(u32, u64)| {
            let answered = 100 - failed;
            Tallied { answered, failed: *failed, micros: u64::from(answered) * milliseconds * 1000 }
        };
        list.iter().map(of).collect()
    }

    #[test]
    fn a_target_whose_requests_fail_more_often_stands_out() {
        let of = |list: &[(u32, u64)]| found(&policy(), &tallies(list));
        let well = [(0, 5), (1, 5), (0, 5), (2, 5)];
        assert!(of(&well).is_empty(), "of few any may be the worst");
        let one = [(0, 5), (1, 5), (30, 5), (0, 5), (2, 5)];
        assert_eq!(of(&one), [(2, Reason::SuccessRate)]);
        assert!(of(&[(40, 5); 6]).is_empty(), "where all fail the fault is elsewhere");
        let none = Outliers { success_rate: 0, ..policy() };
        assert!(found(&none, &tallies(&one)).is_empty());
    }

    #[test]
    fn a_target_whose_responses_take_longer_stands_out() {
        let of = |list: &[(u32, u64)]| found(&policy(), &tallies(list));
        assert_eq!(of(&[(0, 5), (0, 50), (0, 6)]), [(1, Reason::Latency)]);
        assert!(of(&[(0, 5), (0, 14), (0, 6)]).is_empty(), "not three times as long");
        assert!(of(&[(0, 50), (0, 60), (0, 70)]).is_empty());
        assert_eq!(of(&[(0, 5), (0, 50), (0, 6), (0, 90), (0, 5)])[0], (3, Reason::Latency));
        let brief =
            [100, 900, 100].map(|micros| Tallied { answered: 10, failed: 0, micros: micros * 10 });
        assert!(found(&policy(), &brief).is_empty(), "less than a millisecond longer");
    }

    #[test]
    fn too_few_requests_or_targets_say_nothing() {
        let mut few = tallies(&[(0, 5), (0, 50), (0, 6)]);
        few[0].answered = 9;
        assert!(found(&policy(), &few).is_empty());
        let many = Outliers { min_targets: 4, ..policy() };
        assert!(found(&many, &tallies(&[(0, 5), (0, 50), (0, 6)])).is_empty());
        assert!(found(&policy(), &[Tallied::default(); 5]).is_empty());
    }
}
