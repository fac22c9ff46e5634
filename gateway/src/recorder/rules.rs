//! Which exchanges are kept, and who may ask for one to be.
//!
//! Owns the rules of a configuration: errors and slow ones always, refusals up to so many a second, the
//! rest by ratio. Must not look at a clock.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use super::Recorder;
use crate::config;

/// Refusals (4xx) that a worker keeps in a second: attackers send many, and each is alike.
const MOST_REFUSED: u32 = 100;

/// Why an exchange is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kept {
    /// Its caller holds the debug secret.
    Debug,
    /// It failed, or was answered 5xx.
    Error,
    /// Its client did not wait for its end.
    Left,
    /// It took long.
    Slow,
    /// It was answered 4xx.
    Refused,
    /// It was drawn.
    Sampled,
}

/// What decides whether an exchange is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// 0 if there is none.
    pub(crate) status: u16,
    /// It failed by somebody else than the client.
    pub(crate) is_fault: bool,
    /// The client left, or was cut off, before it had the whole answer.
    pub(crate) is_left: bool,
    pub(crate) is_debug: bool,
    pub(crate) duration: Duration,
    pub(crate) now: Instant,
}

/// The rules of one configuration, and the recorder that they are for.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) recorder: Arc<Recorder>,
    /// Records of a kind that a worker keeps.
    pub(crate) size: usize,
    slow: Duration,
    /// Of 2^32.
    sample: u64,
    /// SHA-256 of the debug secret, so that comparing takes as long whatever is sent.
    secret: Option<Box<[u8]>>,
}

/// What a worker remembers for the rules.
#[derive(Debug)]
pub(crate) struct Dice {
    state: Cell<u64>,
    second: Cell<Option<Instant>>,
    refused: Cell<u32>,
}

impl Default for Dice {
    fn default() -> Self {
        // Where there is no randomness all workers draw alike: worse samples, and no harm.
        let seed = getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15);
        Self { state: Cell::new(seed | 1), second: Cell::new(None), refused: Cell::new(0) }
    }
}

impl Dice {
    /// 32 bits (xorshift).
    fn draw(&self) -> u64 {
        let mut state = self.state.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.state.set(state);
        state >> 32
    }

    /// Whether one more refusal has a place in this second.
    fn has_place(&self, now: Instant) -> bool {
        let is_new = self
            .second
            .get()
            .is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1));
        if is_new {
            self.second.set(Some(now));
            self.refused.set(0);
        }
        let refused = self.refused.get() + 1;
        self.refused.set(refused.min(MOST_REFUSED + 1));
        refused <= MOST_REFUSED
    }
}

impl Rules {
    /// Those of a configuration, if it has the recorder on.
    pub(crate) fn of(config: &config::Config, recorder: &Arc<Recorder>) -> Option<Self> {
        let settings = config.recorder.as_ref()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the ratio is from 0 to 1"
        )]
        let sample = (settings.sample * 4_294_967_296.0) as u64;
        let hash = |secret: &String| digest(&SHA256, secret.as_bytes()).as_ref().into();
        Some(Self {
            recorder: Arc::clone(recorder),
            size: settings.size,
            slow: settings.slow,
            sample,
            secret: settings.debug_secret.as_ref().map(hash),
        })
    }

    /// Whether there is a debug secret, so that the field of this name is the gateway's.
    pub(crate) fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether this is the debug secret.
    pub(crate) fn is_secret(&self, sent: &[u8]) -> bool {
        let is =
            |secret: &[u8]| verify_slices_are_equal(secret, digest(&SHA256, sent).as_ref()).is_ok();
        self.secret.as_deref().is_some_and(is)
    }

    /// Why an exchange is kept, if it is.
    pub(crate) fn judge(&self, ended: &Ended, dice: &Dice) -> Option<Kept> {
        if ended.is_debug {
            return Some(Kept::Debug);
        }
        if ended.is_fault || ended.status >= 500 {
            return Some(Kept::Error);
        }
        if ended.is_left {
            return Some(Kept::Left);
        }
        if ended.duration >= self.slow {
            return Some(Kept::Slow);
        }
        if ended.status >= 400 && dice.has_place(ended.now) {
            return Some(Kept::Refused);
        }
        (dice.draw() < self.sample).then_some(Kept::Sampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sample: f64) -> Rules {
        let recorder = Arc::new(Recorder::new(1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let sample = (sample * 4_294_967_296.0) as u64;
        let hash = digest(&SHA256, b"a secret of 22 letters").as_ref().into();
        let slow = Duration::from_millis(500);
        Rules { recorder, size: 1, slow, sample, secret: Some(hash) }
    }

    fn ended(status: u16) -> Ended {
        Ended {
            status,
            is_fault: false,
            is_left: false,
            is_debug: false,
            duration: Duration::from_millis(1),
            now: Instant::now(),
        }
    }

    #[test]
    fn errors_and_slow_ones_are_kept_always_and_the_rest_by_ratio() {
        let (none, dice) = (rules(0.0), Dice::default());
        let judge = |ended: Ended| none.judge(&ended, &dice);
        assert_eq!(judge(ended(200)), None);
        assert_eq!(judge(ended(503)), Some(Kept::Error));
        assert_eq!(judge(Ended { is_fault: true, ..ended(0) }), Some(Kept::Error));
        assert_eq!(judge(Ended { is_left: true, ..ended(200) }), Some(Kept::Left));
        let slow = Duration::from_millis(500);
        assert_eq!(judge(Ended { duration: slow, ..ended(200) }), Some(Kept::Slow));
        assert_eq!(judge(Ended { is_debug: true, ..ended(200) }), Some(Kept::Debug));
        let half = rules(0.5);
        let kept = (0..10_000).filter(|_| half.judge(&ended(200), &dice).is_some()).count();
        assert!((4_700..5_300).contains(&kept), "{kept}");
        assert_eq!(rules(1.0).judge(&ended(200), &dice), Some(Kept::Sampled));
    }

    #[test]
    fn refusals_are_kept_up_to_a_rate() {
        let (rules, dice) = (rules(0.0), Dice::default());
        let now = Instant::now();
        let kept = |now| {
            let refused = Ended { now, ..ended(401) };
            (0..1_000).filter(|_| rules.judge(&refused, &dice) == Some(Kept::Refused)).count()
        };
        assert_eq!(kept(now), 100);
        assert_eq!(kept(now + Duration::from_secs(2)), 100);
    }

    #[test]
    fn knows_the_secret_and_nothing_else() {
        let rules = rules(0.0);
        assert!(rules.is_secret(b"a secret of 22 letters"));
        for wrong in ["", "a secret of 22 letter", "a secret of 22 letters "] {
            assert!(!rules.is_secret(wrong.as_bytes()));
        }
    }
}
