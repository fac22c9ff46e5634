//! What a target is busy with, as one worker sees it.
//!
//! Owns the counting of open requests, and how long a target takes: a peak that fades (peak EWMA). A response that is
//! slower than what was known counts at once, one that is faster little by little, so that one fast answer of a target
//! that hangs is not taken for its recovery.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// Seconds after which what was known of a target counts for about a third.
const FADES: f64 = 10.0;

/// What a target costs of which nothing is known, while the first request to it is open: more than any that answers.
const UNKNOWN: f64 = 1e9;

#[derive(Debug, Default)]
pub(super) struct Load {
    open: Cell<u32>,
    /// Seconds until the head of a response; 0 while nothing is known.
    latency: Cell<f64>,
    /// When that was known.
    since: Cell<Option<Instant>>,
}

/// Counts a request at its target until it has ended.
#[derive(Debug)]
pub(in crate::upstream) struct Open {
    loads: Rc<[Load]>,
    target: usize,
    /// When it began, where that counts.
    began: Option<Instant>,
}

pub(super) fn now() -> Instant {
    Instant::now()
}

impl Load {
    pub(super) fn open(&self) -> f64 {
        f64::from(self.open.get())
    }

    /// How long one more request would take, as far as anybody knows.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        let open = self.open();
        let latency = self.faded(now);
        if latency == 0.0 && open > 0.0 { UNKNOWN + open } else { latency * (open + 1.0) }
    }

    /// What is known, and less so with time: a target that nobody asks is asked again.
    fn faded(&self, now: Instant) -> f64 {
        let Some(since) = self.since.get() else { return 0.0 };
        self.latency.get() * (-now.saturating_duration_since(since).as_secs_f64() / FADES).exp()
    }

    fn learn(&self, seconds: f64, now: Instant) {
        let age = self.since.get().map(|since| now.saturating_duration_since(since).as_secs_f64());
        let kept = age.map_or(0.0, |age| (-age / FADES).exp());
        let known = self.latency.get() * kept;
        let latency = if seconds > known { seconds } else { known + seconds * (1.0 - kept) };
        self.latency.set(latency.max(1e-9));
        self.since.set(Some(now));
    }
}

impl Open {
    pub(super) fn begin(loads: &Rc<[Load]>, target: usize, is_timed: bool) -> Self {
        loads[target].open.set(loads[target].open.get() + 1);
        Self { loads: Rc::clone(loads), target, began: is_timed.then(now) }
    }

    /// The head of the response is there.
    pub(in crate::upstream) fn is_answered(&mut self) {
        if let Some(began) = self.began.take() {
            let now = now();
            self.loads[self.target].learn((now - began).as_secs_f64(), now);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let load = &self.loads[self.target];
        load.open.set(load.open.get() - 1);
        // One that failed says nothing good of its target, however fast it did.
        if let Some(began) = self.began {
            let now = now();
            let seconds = (now - began).as_secs_f64();
            if seconds > load.faded(now) {
                load.learn(seconds, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let load = Load::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(load.cost(begin).abs() < 1e-12, "nothing is known");
        load.learn(0.010, at(0));
        load.learn(1.0, at(1));
        assert!((load.cost(at(1)) - 1.0).abs() < 1e-6);
        load.learn(0.010, at(2));
        let known = load.cost(at(2));
        assert!((0.8..1.0).contains(&known), "one fast answer: {known}");
        for second in 3..60 {
            load.learn(0.010, at(second));
        }
        let known = load.cost(at(60));
        assert!((0.009..0.02).contains(&known), "many of them: {known}");
        assert!(load.cost(at(120)) < 0.001, "nobody asked for a minute");
    }

    #[test]
    fn open_requests_multiply_what_one_costs() {
        let loads: Rc<[Load]> = [Load::default(), Load::default()].into();
        let first = Open::begin(&loads, 0, true);
        assert!(loads[0].cost(now()) > UNKNOWN, "a first request is open");
        drop(first);
        loads[0].learn(0.1, now());
        let _open: Vec<_> = (0..3).map(|_| Open::begin(&loads, 0, true)).collect();
        let cost = loads[0].cost(now());
        assert!((0.39..=0.4).contains(&cost), "{cost}");
        assert!(loads[1].cost(now()).abs() < 1e-12);
    }
}
