//! How many requests an upstream has at a time, by how long its responses take.
//!
//! Owns the limit and what it follows from: how long responses take when there are few requests, which is measured
//! again now and then, and how long they take now. Takes and gives no places: see [`Places`](super::Places).

use std::time::{Duration, Instant};

use crate::config::Adaptive;

/// Of so many responses at least the median is taken.
const FEWEST: usize = 10;

/// Of so many at most: the last ones.
const MOST: usize = 100;

/// How much of itself the limit loses at once, at most.
const LEAST_GRADIENT: f64 = 0.5;

/// A measurement with few requests ends after this time, with the responses that have come.
const LONGEST: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Limit {
    policy: Adaptive,
    /// What it is at most.
    most: usize,
    limit: f64,
    /// How long responses take when there are few requests.
    least: Option<Duration>,
    /// How long those of this stretch took, and since when it is.
    taken: Vec<Duration>,
    since: Instant,
    /// The most requests at a time within it.
    peak: usize,
    /// Only few requests are let through, to measure.
    is_measuring: bool,
    measures_at: Instant,
}

impl Limit {
    /// The first thing is to measure.
    pub(super) fn new(policy: Adaptive, most: usize, now: Instant) -> Self {
        Self {
            policy,
            most,
            limit: policy.min as f64,
            least: None,
            taken: Vec::with_capacity(MOST),
            since: now,
            peak: 0,
            is_measuring: true,
            measures_at: now,
        }
    }

    /// The configuration in force says so.
    pub(super) fn set(&mut self, policy: Adaptive, most: usize) {
        (self.policy, self.most) = (policy, most);
        self.limit = self.clamped(self.limit);
    }

    /// Requests at a time.
    pub(super) fn requests(&self) -> usize {
        if self.is_measuring { self.policy.min } else { self.limit as usize }
    }

    /// Whether it is low only to measure.
    pub(super) fn is_measuring(&self) -> bool {
        self.is_measuring
    }

    /// How long responses take when there are few requests, if that is known.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least
    }

    /// A response took so long, for a request that `began` then, while so many were open.
    pub(super) fn answered(&mut self, began: Instant, taken: Duration, open: usize, now: Instant) {
        // Those from before say nothing of few requests.
        if self.is_measuring && began < self.since {
            return;
        }
        self.peak = self.peak.max(open);
        if self.taken.len() == MOST {
            self.taken.remove(0);
        }
        self.taken.push(taken);
        self.moves_on(now);
    }

    /// There was no response for so long. That counts if it is longer than usual, and else says nothing of load.
    pub(super) fn failed(&mut self, began: Instant, taken: Duration, open: usize, now: Instant) {
        let usual = self.least.unwrap_or_default() * self.policy.latency / 100;
        if !self.is_measuring && taken > usual {
            self.answered(began, taken, open, now);
        }
    }

    /// A request waits. Where long responses have all of the few places, no measurement comes to an end by itself: what was
    /// known before goes on to count.
    pub(super) fn waits(&mut self, now: Instant) {
        let is_late = now.saturating_duration_since(self.since) >= LONGEST;
        if !self.is_measuring || !is_late {
            return;
        }
        if !self.taken.is_empty() {
            self.moves_on(now);
        } else if self.least.is_some() {
            self.has_measured(now);
            (self.since, self.peak) = (now, 0);
        }
    }

    fn has_measured(&mut self, now: Instant) {
        self.is_measuring = false;
        // Gateways that were started together do not measure together.
        let random = getrandom::u32().unwrap_or(0) % 1024;
        self.measures_at = now + self.policy.remeasure - self.policy.remeasure / 10 * random / 1024;
    }

    fn moves_on(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        let is_over = match self.is_measuring {
            true => self.taken.len() >= FEWEST || age >= LONGEST,
            false => self.taken.len() >= FEWEST && age >= self.policy.interval,
        };
        if !is_over {
            return;
        }
        let median = median(&mut self.taken);
        if self.is_measuring {
            self.least = Some(median);
            self.has_measured(now);
        } else {
            self.follows(median);
            self.is_measuring = now >= self.measures_at;
        }
        self.taken.clear();
        (self.since, self.peak) = (now, 0);
    }

    /// The limit shrinks by how much longer responses take than they may, and always has room to find out whether
    /// more would do.
    fn follows(&mut self, median: Duration) {
        let Some(least) = self.least else { return };
        let may = least.as_secs_f64() * f64::from(self.policy.latency) / 100.0;
        let gradient = (may / median.as_secs_f64().max(1e-9)).clamp(LEAST_GRADIENT, 1.0);
        let room = self.limit.sqrt();
        // What was not used says nothing of whether more would do.
        let is_used = self.peak as f64 >= self.limit - room;
        if gradient < 1.0 || is_used {
            self.limit = self.clamped(self.limit * gradient + room);
        }
    }

    fn clamped(&self, limit: f64) -> f64 {
        limit.clamp(self.policy.min as f64, self.most as f64)
    }
}

/// Of at least one.
fn median(taken: &mut [Duration]) -> Duration {
    let middle = taken.len() / 2;
    *taken.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that works on so many requests at a time, 10 ms on each; more share its time. For so long, with as many
    /// requests as the limit lets through. What the limit was at each step.
    fn served(
        limit: &mut Limit,
        clock: &mut Instant,
        at_a_time: usize,
        seconds: u64,
    ) -> Vec<usize> {
        let end = *clock + Duration::from_secs(seconds);
        let mut limits = Vec::new();
        while *clock < end {
            let open = limit.requests();
            let taken = Duration::from_millis(10) * open.max(at_a_time) as u32 / at_a_time as u32;
            let began = *clock;
            *clock += taken;
            for _ in 0..open {
                limit.answered(began, taken, open, *clock);
            }
            limits.push(limit.requests());
        }
        limits
    }

    fn policy() -> Adaptive {
        Adaptive {
            min: 4,
            latency: 150,
            interval: Duration::from_millis(100),
            remeasure: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_limit_is_where_responses_begin_to_take_longer_and_follows_the_server() {
        let mut clock = Instant::now();
        let mut limit = Limit::new(policy(), 1_000, clock);
        assert_eq!(limit.requests(), 4);
        served(&mut limit, &mut clock, 20, 10);
        let settled = served(&mut limit, &mut clock, 20, 10);
        assert!(settled.iter().all(|it| (25..=45).contains(it)), "{settled:?}");
        served(&mut limit, &mut clock, 5, 5);
        let slower = limit.requests();
        assert!((5..=14).contains(&slower), "{slower}");
        served(&mut limit, &mut clock, 100, 5);
        let faster = limit.requests();
        assert!((100..=200).contains(&faster), "{faster}");
        // Now and then it measures again.
        let again = served(&mut limit, &mut clock, 100, 60);
        assert!(again.contains(&4) && limit.requests() > 100, "{again:?}");
    }

    #[test]
    fn long_responses_do_not_keep_a_measurement_from_its_end() {
        let mut clock = Instant::now();
        let mut limit = Limit::new(policy(), 30, clock);
        limit.waits(clock + LONGEST);
        assert_eq!(limit.requests(), 4, "nothing is known yet");
        served(&mut limit, &mut clock, 1_000, 5);
        assert_eq!(limit.requests(), 30);
        while limit.requests() > 4 {
            let (began, taken) = (clock, Duration::from_millis(10));
            clock += taken;
            (0..30).for_each(|_| limit.answered(began, taken, 30, clock));
        }
        limit.waits(clock);
        assert_eq!(limit.requests(), 4);
        limit.waits(clock + LONGEST);
        assert_eq!(limit.requests(), 30);
    }

    #[test]
    fn it_does_not_grow_unused_and_stays_within_its_bounds() {
        let mut clock = Instant::now();
        let mut limit = Limit::new(policy(), 30, clock);
        let mut alone = |limit: &mut Limit, taken: u64| {
            for _ in 0..500 {
                let (began, taken) = (clock, Duration::from_millis(taken));
                clock += taken;
                limit.answered(began, taken, 1, clock);
            }
            limit.requests()
        };
        assert_eq!(alone(&mut limit, 10), 4);
        served(&mut limit, &mut clock, 1_000, 5);
        assert_eq!(limit.requests(), 30);
        limit.set(policy(), 10);
        assert_eq!(limit.requests(), 10);
        for _ in 0..500 {
            let began = clock;
            clock += Duration::from_secs(1);
            limit.failed(began, Duration::from_secs(1), 10, clock);
        }
        assert_eq!(limit.requests(), 4);
    }
}
