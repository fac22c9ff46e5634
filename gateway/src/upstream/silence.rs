//! Which targets have fallen silent, as one worker sees it.
//!
//! Owns what is needed to say so: how many requests wait at a target, since when none of them was answered, and how
//! long the target takes otherwise. A request that cannot be sent again goes to a silent target only if there is no
//! other; what makes a target take no requests at all is [`crate::health`]. Chooses nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// No target is silent before this, however fast it is otherwise: schedulers and collectors of garbage take as long.
const LEAST: Duration = Duration::from_millis(50);

/// So many times as long as it takes otherwise.
const FACTOR: u32 = 4;

/// A silent target that had no request for so long gets the next one, whatever it is: its silence may be that of a
/// single slow request.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// How long a slow response counts: after so many that are faster, about a third of it does.
const FADES: u32 = 64;

/// What is known of one target.
#[derive(Debug)]
pub(super) struct Silence {
    waiting: Cell<u32>,
    /// The last response, or the first request that waits.
    since: Cell<Instant>,
    /// The last request.
    asked: Cell<Instant>,
    /// How long responses take, up to their heads: a peak that fades.
    usual: Cell<Duration>,
}

/// A request that waits for its response.
#[derive(Debug)]
pub(super) struct Waits<'a> {
    silence: &'a Silence,
    began: Instant,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: Cell::new(0),
            since: Cell::new(now),
            asked: Cell::new(now),
            usual: Cell::new(Duration::ZERO),
        }
    }

    /// A request is sent to it.
    pub(super) fn begin(&self, now: Instant) -> Waits<'_> {
        if self.waiting.get() == 0 {
            self.since.set(now);
        }
        self.waiting.set(self.waiting.get() + 1);
        self.asked.set(now);
        Waits { silence: self, began: now }
    }

    /// Whether requests wait that should have been answered, and it was asked lately.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since.get());
        self.waiting.get() > 0
            && waited > LEAST.max(self.usual.get() * FACTOR)
            && now.saturating_duration_since(self.asked.get()) < ASKED_AGAIN
    }
}

impl Waits<'_> {
    /// The head of its response is there.
    pub(super) fn is_answered(&self, now: Instant) {
        let Silence { since, usual, .. } = self.silence;
        since.set(now);
        let (known, taken) = (usual.get(), now.saturating_duration_since(self.began));
        usual.set(if taken >= known { taken } else { known - (known - taken) / FADES });
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.silence.waiting.set(self.silence.waiting.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_silent_once_requests_wait_for_much_longer_than_others_did() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let silence = Silence::new(begin);
        assert!(!silence.is_silent(at(900)), "nobody waits");
        let first = silence.begin(at(1_000));
        assert!(!silence.is_silent(at(1_050)));
        assert!(silence.is_silent(at(1_051)));
        let second = silence.begin(at(1_060));
        second.is_answered(at(1_100));
        drop(second);
        assert!(!silence.is_silent(at(1_260)), "it answers, and has taken 40 ms");
        assert!(silence.is_silent(at(1_261)));
        assert!(!silence.is_silent(at(2_060)), "it had no request for a second");
        drop(first);
        let _third = silence.begin(at(2_070));
        assert!(!silence.is_silent(at(2_200)));
        assert!(silence.is_silent(at(2_300)));
    }

    #[test]
    fn what_was_slow_once_fades() {
        let begin = Instant::now();
        let silence = Silence::new(begin);
        let after = |milliseconds| {
            silence.begin(begin).is_answered(begin + Duration::from_millis(milliseconds));
        };
        after(1_000);
        (0..64).for_each(|_| after(10));
        let usual = silence.usual.get().as_millis();
        assert!((300..450).contains(&usual), "{usual}");
    }
}
