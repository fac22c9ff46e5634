//! Where the hours, days, weeks, months and years of a place begin and end.
//!
//! Owns the time zones, which come with the gateway and are found by name once, and the borders of the windows
//! in them. Times are nanoseconds since 1970. Must not know what is counted.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A time zone that is known.
#[derive(Clone, Copy)]
pub(crate) struct Zone(&'static Named);

struct Named {
    name: Box<str>,
    zone: TimeZone,
    is_utc: bool,
}

/// A window, and the end of the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct Span {
    pub(in crate::state) begin: u64,
    pub(in crate::state) end: u64,
    pub(in crate::state) next: u64,
}

static ZONES: Mutex<Vec<Zone>> = Mutex::new(Vec::new());

thread_local! {
    /// The last window of each unit in each zone.
    static SPANS: RefCell<Vec<(Zone, Unit, Span)>> = const { RefCell::new(Vec::new()) };
    static FOUND: RefCell<HashMap<Box<str>, Zone>> = RefCell::default();
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Zone {}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl Zone {
    /// The zone of a name, in the letters of the database: `europe/berlin` is not one.
    pub(crate) fn of(name: &str) -> Option<Self> {
        if let Some(zone) = FOUND.with_borrow(|found| found.get(name).copied()) {
            return Some(zone);
        }
        let zone = Self::find(name)?;
        FOUND.with_borrow_mut(|found| found.insert(name.into(), zone));
        Some(zone)
    }

    fn find(name: &str) -> Option<Self> {
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.iter().find(|zone| zone.name() == name) {
            return Some(*zone);
        }
        let zone = match name {
            "UTC" => TimeZone::UTC,
            _ => TimeZoneDatabase::bundled().get(name).ok()?,
        };
        if zone.iana_name() != Some(name) {
            return None;
        }
        // As many as the database has names, for as long as the process lives.
        let named = Box::leak(Box::new(Named { name: name.into(), zone, is_utc: name == "UTC" }));
        zones.push(Self(named));
        Some(Self(named))
    }

    /// The nearest name to one that there is not.
    pub(crate) fn nearest(name: &str) -> Option<String> {
        let database = TimeZoneDatabase::bundled();
        let names = database.available().map(|known| known.as_str().to_owned());
        let city =
            |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase().replace(' ', "_");
        let wanted = name.to_lowercase().replace(' ', "_");
        let score = |known: &str| {
            let whole = strsim::jaro_winkler(&wanted, &known.to_lowercase());
            // `Berlin` means `Europe/Berlin`.
            whole.max(strsim::jaro_winkler(&city(&wanted), &city(known)) - 0.02)
        };
        let scored = names.map(|known| (score(&known), known));
        let (score, nearest) = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
        (score > 0.85).then_some(nearest)
    }

    pub(crate) fn name(&self) -> &'static str {
        &self.0.name
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// No window of it is shorter. Clocks are put forward by up to two hours, and by half an hour in some places.
    pub(in crate::state) fn shortest(self) -> u64 {
        match self {
            Self::Hour => HOUR / 2,
            Self::Day => DAY - 2 * HOUR,
            Self::Week => 7 * DAY - 2 * HOUR,
            Self::Month => 28 * DAY - 2 * HOUR,
            Self::Year => 365 * DAY - 2 * HOUR,
        }
    }

    /// No window of it is longer.
    pub(in crate::state) fn longest(self) -> u64 {
        2 * HOUR
            + match self {
                Self::Hour => HOUR,
                Self::Day => DAY,
                Self::Week => 7 * DAY,
                Self::Month => 31 * DAY,
                Self::Year => 366 * DAY,
            }
    }

    /// The window in which a moment is.
    pub(in crate::state) fn span(self, zone: Zone, now: u64) -> Span {
        SPANS.with_borrow_mut(|spans| {
            let known = spans.iter_mut().find(|(of, unit, _)| (*of, *unit) == (zone, self));
            match known {
                Some((_, _, span)) if span.begin <= now && now < span.end => *span,
                Some((_, _, span)) => {
                    *span = self.new_span(zone, now);
                    *span
                }
                None => {
                    let span = self.new_span(zone, now);
                    spans.push((zone, self, span));
                    span
                }
            }
        })
    }

    #[cold]
    fn new_span(self, zone: Zone, now: u64) -> Span {
        let days = |begin, length| (begin, begin + length, begin + 2 * length);
        let (begin, end, next) = match self {
            Self::Hour => {
                let end = hour_end(zone, now);
                let begin = hour_end(zone, end.saturating_sub(HOUR).saturating_sub(1)).min(now);
                (begin, end, hour_end(zone, end))
            }
            Self::Day if zone.0.is_utc => days(now / DAY * DAY, DAY),
            Self::Day | Self::Week | Self::Month | Self::Year => {
                self.dates(zone, now).unwrap_or_else(|| days(now / DAY * DAY, self.shortest()))
            }
        };
        Span { begin, end, next }
    }

    /// `None` past the year 9999.
    fn dates(self, zone: Zone, now: u64) -> Option<(u64, u64, u64)> {
        let zone = &zone.0.zone;
        let now = Timestamp::from_nanosecond(i128::from(now)).ok()?;
        let today = now.to_zoned(zone.clone()).date();
        let (first, step) = match self {
            Self::Hour | Self::Day => (today, 1.day()),
            Self::Week => {
                let passed = today.weekday().since(Weekday::Monday);
                (today.checked_sub(i64::from(passed).days()).ok()?, 1.week())
            }
            Self::Month => (today.first_of_month(), 1.month()),
            Self::Year => (today.first_of_year(), 1.year()),
        };
        let start = |date: Date| {
            let start = date.to_zoned(zone.clone()).ok()?.timestamp().as_nanosecond();
            u64::try_from(start.max(0)).ok()
        };
        let second = first.checked_add(step).ok()?;
        Some((start(first)?, start(second)?, start(second.checked_add(step).ok()?)?))
    }
}

/// When the hour ends that a clock of this zone shows: also where it is ahead of UTC by half an hour.
fn hour_end(zone: Zone, now: u64) -> u64 {
    let offset = || {
        let now = Timestamp::from_nanosecond(i128::from(now)).ok()?;
        Some(zone.0.zone.to_offset(now).seconds())
    };
    // Of a positive number of whole hours more or less, nothing changes.
    let offset = i64::from(offset().unwrap_or(0)).rem_euclid(3_600).unsigned_abs() * SECOND;
    (now + offset) / HOUR * HOUR + HOUR - offset
}
