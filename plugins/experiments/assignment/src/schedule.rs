//! Which share takes part when.

use std::time::Duration;

/// From when to when, and how it begins. Times are since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedule {
    /// Before this, nobody takes part.
    pub from: Option<Duration>,
    /// From this on, nobody takes part.
    pub to: Option<Duration>,
    /// For how long after `from` the share grows evenly from nothing.
    pub ramp: Duration,
}

impl Schedule {
    /// How much of the share takes part at a time: from 0 to 1.
    #[must_use]
    pub fn part(&self, now: Duration) -> f64 {
        if self.to.is_some_and(|to| now >= to) {
            return 0.0;
        }
        let Some(from) = self.from else { return 1.0 };
        match now.checked_sub(from) {
            None => 0.0,
            Some(_) if self.ramp.is_zero() => 1.0,
            Some(passed) => (passed.as_secs_f64() / self.ramp.as_secs_f64()).min(1.0),
        }
    }

    /// Whether the part depends on the time.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}
