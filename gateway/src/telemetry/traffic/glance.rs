//! What passed on one route, as plain numbers: those of two moments are subtracted from each other.
//!
//! Owns the sums over all workers, without names and without allocations, since all routes are looked at
//! once a second. Must not know who looks.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BYTES, Buckets, CLASSES, Cells, FAULTS, OVERHEAD, RouteTraffic, SECONDS, STATUSES};
use super::{RESULTS, TargetTraffic, Traffic};

/// Upper bounds of times, in seconds; one more bucket has the rest.
pub(crate) const DURATION_BOUNDS: [f64; SECONDS.len()] = SECONDS;
/// The same of what the gateway itself takes.
pub(crate) const OVERHEAD_BOUNDS: [f64; OVERHEAD.len()] = OVERHEAD;
/// Requests without a response, and the classes of statuses.
pub(crate) const STATUS_CLASSES: [&str; CLASSES.len()] = CLASSES;

/// Counts since the process began, or between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RouteGlance {
    /// By the place in [`STATUS_CLASSES`].
    pub(crate) classes: [u64; CLASSES.len()],
    /// By the place in [`FAULTS`].
    pub(crate) faults: [u64; FAULTS.len()],
    pub(crate) duration: [u64; SECONDS.len() + 1],
    pub(crate) upstream: [u64; SECONDS.len() + 1],
    pub(crate) overhead: [u64; OVERHEAD.len() + 1],
    /// Bytes of bodies.
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
}

impl RouteGlance {
    /// Requests that ended.
    pub(crate) fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Requests that failed, by anybody's fault.
    pub(crate) fn failed(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// What came since an earlier moment. Numbers that began anew count from zero.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        let parts = difference.parts().into_iter().zip(earlier.parts_read());
        for (now, before) in parts.flat_map(|(now, before)| now.iter_mut().zip(before)) {
            *now = now.checked_sub(*before).unwrap_or(*now);
        }
        difference
    }

    fn parts(&mut self) -> [&mut [u64]; 7] {
        [
            &mut self.classes,
            &mut self.faults,
            &mut self.duration,
            &mut self.upstream,
            &mut self.overhead,
            std::slice::from_mut(&mut self.uploaded),
            std::slice::from_mut(&mut self.downloaded),
        ]
    }

    fn parts_read(&self) -> [&[u64]; 7] {
        [
            &self.classes,
            &self.faults,
            &self.duration,
            &self.upstream,
            &self.overhead,
            std::slice::from_ref(&self.uploaded),
            std::slice::from_ref(&self.downloaded),
        ]
    }
}

impl AddAssign<&Self> for RouteGlance {
    fn add_assign(&mut self, other: &Self) {
        let parts = self.parts().into_iter().zip(other.parts_read());
        for (sum, count) in parts.flat_map(|(sum, count)| sum.iter_mut().zip(count)) {
            *sum += count;
        }
    }
}

/// How tries at a target ended, since the process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetGlance {
    pub(crate) answered: u64,
    /// Tries that ended in any other way.
    pub(crate) failed: u64,
    /// Tries for which a connection was opened.
    pub(crate) opened: u64,
}

impl Traffic {
    /// Every route that has served a request.
    pub(crate) fn each_route(&self, mut see: impl FnMut(&Arc<RouteTraffic>)) {
        for known in &self.routes {
            see(known.value());
        }
    }

    /// Every target that was tried, with its upstream and its own name.
    pub(crate) fn each_target(&self, mut see: impl FnMut(&str, &str, TargetGlance)) {
        for known in &self.targets {
            if known.cells.iter().next().is_some() {
                see(&known.upstream, &known.target, known.glance());
            }
        }
    }
}

impl RouteTraffic {
    /// Its name; empty for requests without a route.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many requests began and ended; none before the first.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        let mut made = self.cells.iter().peekable();
        made.peek()?;
        let (mut began, mut ended) = (0, 0);
        for cells in made {
            // What ended is read first, so that the difference is never below zero.
            ended += cells.ended.load(Relaxed);
            began += cells.began.load(Relaxed);
        }
        Some((began, ended))
    }

    /// All cells, summed up.
    pub(crate) fn glance(&self) -> RouteGlance {
        let mut sum = RouteGlance::default();
        for cells in self.cells.iter() {
            sum.take(cells);
        }
        sum
    }
}

impl RouteGlance {
    fn take(&mut self, cells: &Cells) {
        for (status, count) in STATUSES.iter().zip(&cells.statuses) {
            self.classes[usize::from(status / 100)] += count.load(Relaxed);
        }
        add(&mut self.classes, &cells.classes);
        add(&mut self.faults, &cells.faults);
        add(&mut self.duration, &cells.duration.counts);
        add(&mut self.upstream, &cells.upstream.counts);
        add(&mut self.overhead, &cells.overhead.counts);
        let sum = |buckets: &Buckets<{ BYTES.len() + 1 }>| buckets.sum.load(Relaxed);
        self.uploaded += sum(&cells.uploaded);
        self.downloaded += sum(&cells.downloaded);
    }
}

fn add<const N: usize>(sums: &mut [u64; N], cells: &[AtomicU64; N]) {
    for (sum, cell) in sums.iter_mut().zip(cells) {
        *sum += cell.load(Relaxed);
    }
}

impl TargetTraffic {
    fn glance(&self) -> TargetGlance {
        let (results, opened) = self.totals();
        let answered = results[0];
        TargetGlance { answered, failed: results[1..RESULTS.len()].iter().sum(), opened }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Sample, Tried};
    use super::*;

    fn sample(status: u16, millis: u64) -> Sample<'static> {
        Sample {
            status: Some(status),
            fault: (status == 502).then_some(1),
            reason: None,
            candidate: None,
            duration: Duration::from_millis(millis),
            upstream: None,
            overhead: Some(Duration::from_micros(40)),
            uploaded: 5,
            downloaded: 7,
        }
    }

    #[test]
    fn two_moments_are_subtracted() {
        let traffic = Traffic::default();
        let route = traffic.of_route("r", 2);
        assert_eq!(route.progress(), None, "no request yet");
        for status in [200, 418, 502] {
            route.begin(1);
            route.end(1, &sample(status, 3));
        }
        let before = route.glance();
        assert_eq!((before.classes, before.failed()), ([0, 0, 1, 0, 1, 1], 1));
        route.begin(0);
        route.begin(0);
        route.end(0, &sample(204, 700));
        let since = route.glance().since(&before);
        assert_eq!((since.requests(), since.classes[2], since.failed()), (1, 1, 0));
        assert_eq!(since.duration.iter().position(|count| *count == 1), Some(10), "up to 1 s");
        assert_eq!((since.overhead[1], since.uploaded, since.downloaded), (1, 5, 7));
        assert_eq!(route.progress(), Some((5, 4)));
        let mut sum = before.clone();
        sum += &since;
        assert_eq!(sum, route.glance());
        // A name that was forgotten and came back begins at zero.
        assert_eq!(since.since(&before).classes[2], 0);
        assert_eq!(RouteGlance::default().since(&before), RouteGlance::default());
    }

    #[test]
    fn targets_are_seen_once_they_were_tried() {
        let traffic = Traffic::default();
        let target = traffic.of_target("u", "a:1", 1);
        let seen = || {
            let mut seen = Vec::new();
            traffic.each_target(|upstream, target, glance| {
                seen.push((upstream.to_owned(), target.to_owned(), glance));
            });
            seen
        };
        assert_eq!(seen(), []);
        target.tried(0, Tried { result: "answered", is_new: true, is_retry: false });
        target.tried(0, Tried { result: "reset", is_new: false, is_retry: false });
        let glance = TargetGlance { answered: 1, failed: 1, opened: 1 };
        assert_eq!(seen(), [("u".to_owned(), "a:1".to_owned(), glance)]);
    }
}
