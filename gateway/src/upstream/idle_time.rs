//! For how long a connection without a request cannot be about to close.
//!
//! Owns what one worker knows of that for a target, which is two times: the longest for which a connection was seen
//! open, and the shortest after which one was closed; and what the target says. Asks no kernel and closes nothing.

use std::time::Duration;

use crate::timer::TICK;

/// Known of every target. A close sooner than this has another reason: a number of requests is over, or the target leaves.
const LEAST: Duration = TICK.saturating_mul(2);

/// What a target says is precise to a second at best.
const MOST_MARGIN: Duration = Duration::from_secs(1);

/// So many connections that are open for longer than the shortest time, without another close after it, show that such a close had
/// a reason of its own. Some servers look at their connections now and then, and close them at very different ages.
const CONTRARY: u32 = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct IdleTime {
    seen: Duration,
    closed: Option<Duration>,
    /// For how long the target says that they are open.
    said: Option<Duration>,
    /// Connections that were seen open for longer, since the last close that was as early.
    contrary: u32,
}

impl IdleTime {
    /// The target says that it keeps them for so long.
    pub(super) fn is_said(&mut self, time: Duration) {
        self.said = Some(time);
    }

    /// A connection that was idle for so long is open.
    pub(super) fn is_open(&mut self, after: Duration) {
        self.seen = self.seen.max(after);
        if self.closed.is_some_and(|closed| after > closed + closed / 4) {
            self.contrary += 1;
            if self.contrary >= CONTRARY {
                self.closed = None;
            }
        }
    }

    /// The target closed a connection that was idle for so long.
    pub(super) fn was_closed(&mut self, after: Duration) {
        if after < LEAST {
            return;
        }
        match self.closed {
            Some(closed) if after > closed + closed / 4 => {}
            closed => {
                self.closed = Some(closed.map_or(after, |closed| closed.min(after)));
                self.contrary = 0;
            }
        }
    }

    /// For how long. Half of what is known: many servers look at their connections at intervals, such as once in a second
    /// for a time of one second, so that one is closed at any age from its time to the double of it. What a target says
    /// needs no such margin; but clocks here tick, and the target's may be early by a little.
    pub(super) fn safe(&self) -> Duration {
        let seen = self.closed.map_or(self.seen, |closed| closed.min(self.seen)) / 2;
        let said = self.said.filter(|said| self.closed.is_none_or(|closed| closed > *said));
        let said = said.map_or(Duration::ZERO, |said| {
            said.saturating_sub((said / 8).clamp(LEAST, MOST_MARGIN))
        });
        seen.max(said).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn what_was_seen_open_is_safe_and_the_earliest_close_bounds_it() {
        let mut time = IdleTime::default();
        assert_eq!(time.safe(), LEAST);
        time.is_open(ms(50));
        assert_eq!(time.safe(), ms(25));
        time.is_open(ms(8_000));
        time.is_open(ms(100));
        assert_eq!(time.safe(), ms(4_000));
        time.was_closed(ms(9_000));
        time.was_closed(ms(3));
        assert_eq!(time.safe(), ms(4_000), "that is later, or has another reason");
        time.was_closed(ms(4_000));
        time.was_closed(ms(6_000));
        assert_eq!(time.safe(), ms(2_000));
    }

    #[test]
    fn what_the_target_says_is_believed_until_it_closes_sooner() {
        let mut time = IdleTime::default();
        time.is_said(ms(4_000));
        assert_eq!(time.safe(), ms(3_500));
        time.was_closed(ms(5_000));
        assert_eq!(time.safe(), ms(3_500));
        time.is_open(ms(3_000));
        time.was_closed(ms(1_000));
        assert_eq!(time.safe(), ms(500));
    }

    #[test]
    fn a_close_that_others_contradict_is_forgotten_unless_it_is_seen_again() {
        let mut time = IdleTime::default();
        time.was_closed(ms(800));
        for _ in 1..CONTRARY {
            time.is_open(ms(1_600));
        }
        time.was_closed(ms(900));
        for _ in 1..CONTRARY {
            time.is_open(ms(1_600));
        }
        assert_eq!(time.safe(), ms(400));
        time.is_open(ms(1_600));
        assert_eq!(time.safe(), ms(800));
    }
}
