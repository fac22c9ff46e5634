//! How much there is, and how it comes back.
//!
//! Owns what makes a limit with its window valid, and the names of the buckets that have it: a changed rate begins
//! with new buckets. Must not know whose rate it is.

use std::time::Duration;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::limiter::{self, CalendarUnit, Charge, Quota, Window};
use gateway_plugin_sdk::prelude::ConfigError;

use crate::config::{Algorithm, PolicySpec};
use crate::key;

/// The largest integer of a structured field (RFC 9651 section 3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// The longest window, and the longest time to fill an empty bucket.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The windows of the calendar, with the nanoseconds of the shortest: a limit is at most one for each.
const UNITS: [(&str, CalendarUnit, u64); 5] = [
    ("hour", CalendarUnit::Hour, HOUR / 2),
    ("day", CalendarUnit::Day, 22 * HOUR),
    ("week", CalendarUnit::Week, 166 * HOUR),
    ("month", CalendarUnit::Month, 670 * HOUR),
    ("year", CalendarUnit::Year, 8_758 * HOUR),
];
const HOUR: u64 = 3_600_000_000_000;

/// A checked window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    Bucket(Duration),
    Fixed(Duration),
    Sliding(Duration),
    Calendar(CalendarUnit, &'static str, String),
}

/// A checked limit in a window.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Tokens per window.
    pub(crate) limit: u64,
    pub(crate) span: Span,
    pub(crate) burst: u64,
    /// What the keys of all its buckets begin with.
    pub(crate) prefix: String,
}

impl Span {
    /// Checks the window of a policy; `at` makes the places of its keys. A window that is known is given whatever else is
    /// wrong, so that what stands beside it can be checked.
    pub(crate) fn new(
        spec: &PolicySpec,
        at: impl Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let unit = UNITS.iter().find(|(name, ..)| *name == spec.window);
        let mut refuse =
            |key: &str, message: String| errors.push(ConfigError::at(at(key), message));
        match (unit, duration::parse(&spec.window)) {
            (Some((name, unit, _)), _) => {
                if spec.algorithm.is_some() {
                    let message = format!("a window of the calendar (`{name}`) has no algorithm");
                    refuse("algorithm", message);
                }
                let zone = spec.time_zone.as_deref().unwrap_or("UTC");
                if let Err(nearest) = limiter::check_time_zone(zone) {
                    let nearest = nearest.map(|name| format!("; did you mean `{name}`?"));
                    let nearest = nearest.unwrap_or_default();
                    refuse("time_zone", format!("there is no time zone `{zone}`{nearest}"));
                }
                Some(Self::Calendar(*unit, name, zone.to_owned()))
            }
            (None, Err(error)) => {
                let window = &spec.window;
                refuse("window", format!("`{window}` is not a duration: {error}"));
                None
            }
            (None, Ok(Duration::ZERO)) => {
                refuse("window", "a window cannot be empty".to_owned());
                None
            }
            (None, Ok(length)) if length > LONGEST => {
                refuse("window", "a window has at most 366d".to_owned());
                None
            }
            (None, Ok(length)) => {
                if spec.time_zone.is_some() {
                    let message = "only a window of the calendar has a time zone: `\"hour\"`, \
                                   `\"day\"`, `\"week\"`, `\"month\"` or `\"year\"`";
                    refuse("time_zone", message.to_owned());
                }
                let algorithm = spec.algorithm.unwrap_or_default();
                if algorithm != Algorithm::Bucket && length.subsec_nanos() % 1_000_000 > 0 {
                    let message = "a window that is not a bucket's is whole milliseconds";
                    refuse("window", message.to_owned());
                }
                Some(match algorithm {
                    Algorithm::Bucket => Self::Bucket(length),
                    Algorithm::Fixed => Self::Fixed(length),
                    Algorithm::Sliding => Self::Sliding(length),
                })
            }
        }
    }

    /// The nanoseconds of the shortest window.
    fn shortest(&self) -> u128 {
        match self {
            Self::Bucket(length) | Self::Fixed(length) | Self::Sliding(length) => length.as_nanos(),
            Self::Calendar(unit, ..) => {
                let of = UNITS.iter().find(|(_, other, _)| other == unit);
                of.map_or(1, |(_, _, shortest)| u128::from(*shortest))
            }
        }
    }
}

impl Rate {
    /// Checks a limit; `pointer` is where it and its burst stand, `plan` whose it is.
    pub(crate) fn new(
        spec: &PolicySpec,
        span: &Span,
        (limit, burst): (u64, Option<u64>),
        plan: Option<&str>,
        pointer: &str,
    ) -> Result<Self, Vec<ConfigError>> {
        let at = |key: &str, message: String| ConfigError::at(format!("{pointer}/{key}"), message);
        let amounts = [("limit", Some(limit)), ("burst", burst)].into_iter();
        let wrong = amounts.filter_map(|(key, amount)| {
            // A limit of 0 lets nothing through.
            let least = u64::from(key == "burst");
            let amount = amount.filter(|amount| !(least..=MOST).contains(amount))?;
            Some(at(key, format!("{amount} is not between {least} and {MOST}")))
        });
        let mut errors: Vec<_> = wrong.collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut refuse = |key: &str, message: String| errors.push(at(key, message));
        let tokens = u128::from(burst.unwrap_or(limit));
        match span {
            _ if limit == 0 && burst.is_some() => {
                refuse("burst", "a limit of 0 lets nothing through, and has no burst".to_owned());
            }
            _ if limit == 0 => {}
            // Rates that a clock of nanoseconds cannot tell.
            _ if u128::from(limit) > span.shortest() => {
                refuse("limit", "the limit is over one for each nanosecond of the window".into());
            }
            // At most 10^15 by 3.2 * 10^16, so nothing overflows.
            Span::Bucket(length)
                if tokens * length.as_nanos() / u128::from(limit) > LONGEST.as_nanos() =>
            {
                let message = "at this rate it takes over 366d until the burst is there again";
                refuse("burst", message.to_owned());
            }
            Span::Fixed(_) | Span::Sliding(_) | Span::Calendar(..) if burst.is_some() => {
                let message = "only a bucket has a burst: of a window all may be used at once";
                refuse("burst", message.to_owned());
            }
            Span::Bucket(_) | Span::Fixed(_) | Span::Sliding(_) | Span::Calendar(..) => {}
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let burst = burst.unwrap_or(limit);
        let prefix = prefix(spec, span, (limit, burst), plan);
        Ok(Self { limit, span: span.clone(), burst, prefix })
    }

    /// A charge of its bucket; `None` if it has none.
    pub(crate) fn charge<'a>(&self, key: &'a str, cost: u64) -> Option<Charge<'a>> {
        let (limit, burst, cost) = self.amounts(cost);
        match self.span {
            Span::Bucket(period) => Some(Charge { key, limit, period, burst, cost }),
            Span::Fixed(_) | Span::Sliding(_) | Span::Calendar(..) => None,
        }
    }

    /// The quota of the same.
    pub(crate) fn quota<'a>(&'a self, key: &'a str, cost: u64) -> Quota<'a> {
        let (limit, burst, cost) = self.amounts(cost);
        let window = match &self.span {
            Span::Bucket(period) => Window::Bucket { period: *period, burst },
            Span::Fixed(length) => Window::Fixed(*length),
            Span::Sliding(length) => Window::Sliding(*length),
            Span::Calendar(unit, _, zone) => Window::Calendar { unit: *unit, time_zone: zone },
        };
        Quota { key, limit, window, cost }
    }

    /// Limit, burst and cost as the limiter is told them. It knows no limit of 0: what costs more than there ever is
    /// is never admitted either.
    fn amounts(&self, cost: u64) -> (u64, u64, u64) {
        match self.limit {
            0 => (1, 1, 2),
            limit => (limit, self.burst, cost),
        }
    }

    /// How long its window is, unless that differs from one to the next.
    pub(crate) fn length(&self) -> Option<Duration> {
        match self.span {
            Span::Bucket(length) | Span::Fixed(length) | Span::Sliding(length) => Some(length),
            Span::Calendar(..) => None,
        }
    }
}

fn prefix(
    spec: &PolicySpec,
    span: &Span,
    (limit, burst): (u64, u64),
    plan: Option<&str>,
) -> String {
    let mut prefix = String::new();
    let number = |prefix: &mut String, number: u128| {
        prefix.push('/');
        prefix.push_str(itoa::Buffer::new().format(number));
    };
    key::push_text(&mut prefix, spec.name.as_bytes());
    number(&mut prefix, u128::from(limit));
    match span {
        Span::Bucket(length) => {
            number(&mut prefix, length.as_nanos());
            number(&mut prefix, u128::from(burst));
        }
        Span::Fixed(length) => {
            number(&mut prefix, length.as_nanos());
            prefix.push_str("/fixed");
        }
        Span::Sliding(length) => {
            number(&mut prefix, length.as_nanos());
            prefix.push_str("/sliding");
        }
        Span::Calendar(_, name, zone) => {
            prefix.push('/');
            prefix.push_str(name);
            prefix.push('/');
            prefix.push_str(zone);
        }
    }
    // Without its length before it: it is no part of the key, which a consumer's name could be.
    if let Some(plan) = plan {
        prefix.push_str("/plan=");
        prefix.push_str(plan);
    }
    prefix.push('/');
    key::push_text(&mut prefix, spec.key.join(" ").as_bytes());
    prefix.push('/');
    prefix
}
