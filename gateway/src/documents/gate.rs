//! When a fetch may be asked for.
//!
//! Owns that all who ask share one fetch, and that asking in vain costs one fetch in a while. A fetch
//! that was asked for and brought something new says that asking is right: only a moment has to pass
//! until the next one.

use std::time::{Duration, Instant};

/// How long it takes at least from one fetch that was asked for to the next.
const MOMENT: Duration = Duration::from_secs(1);

/// Numbers of fetches, from 1 on.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The last one that began.
    began: u64,
    /// The last one that ended.
    ended: u64,
    /// The last one that somebody asked for.
    asked: u64,
    /// Before which none is asked for again.
    until: Option<Instant>,
}

/// What becomes of asking for a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// This one is asked for already.
    Join(u64),
    /// This one begins as soon as it can.
    Begin(u64),
    /// One that was asked for brought nothing, a short time ago.
    TooSoon,
}

impl Gate {
    pub(super) fn ask(&mut self, now: Instant) -> Asked {
        if self.asked > self.ended {
            return Asked::Join(self.asked);
        }
        if self.until.is_some_and(|until| now < until) {
            return Asked::TooSoon;
        }
        // One that is under way by itself may have begun before there was what is asked for.
        self.asked = self.began + 1;
        Asked::Begin(self.asked)
    }

    pub(super) fn is_asked_for(&self) -> bool {
        self.asked > self.began
    }

    pub(super) fn begins(&mut self) {
        self.began += 1;
    }

    /// The fetch that began has ended. Returns its number.
    pub(super) fn ends(&mut self, now: Instant, is_new: bool, pause: Duration) -> u64 {
        self.ended = self.began;
        if self.asked == self.ended {
            self.until = Some(now + if is_new { MOMENT.min(pause) } else { pause });
        }
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn all_that_ask_share_one_fetch_and_then_have_to_wait() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.begins();
        assert_eq!(gate.ends(now, true, PAUSE), 1);
        assert_eq!(gate.ask(now), Asked::Begin(2));
        assert_eq!(gate.ask(now), Asked::Join(2));
        assert!(gate.is_asked_for());
        gate.begins();
        assert!(!gate.is_asked_for());
        assert_eq!(gate.ask(now), Asked::Join(2));
        assert_eq!(gate.ends(now, false, PAUSE), 2);
        assert_eq!(gate.ask(now + PAUSE / 2), Asked::TooSoon);
        assert_eq!(gate.ask(now + PAUSE), Asked::Begin(3));
    }

    #[test]
    fn one_that_is_under_way_by_itself_is_followed_by_another() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.begins();
        assert_eq!(gate.ask(now), Asked::Begin(2));
        assert_eq!(gate.ends(now, false, PAUSE), 1);
        assert!(gate.is_asked_for(), "the one that ended was another");
        assert_eq!(gate.ask(now), Asked::Join(2));
    }

    #[test]
    fn after_one_that_brought_something_new_the_next_is_near() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.ask(now);
        gate.begins();
        gate.ends(now, true, PAUSE);
        assert_eq!(gate.ask(now), Asked::TooSoon);
        assert_eq!(gate.ask(now + MOMENT), Asked::Begin(2));
    }

    #[test]
    fn one_that_nobody_asked_for_makes_nobody_wait() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.begins();
        gate.ends(now, false, PAUSE);
        assert_eq!(gate.ask(now), Asked::Begin(2));
    }
}
