//! The windows of native tests: a count for each key and window, as the gateway's.
//!
//! Time zones are those of the gateway, from the same database.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

use super::limiter::{Buckets, is_valid};
use crate::limiter::{
    CalendarUnit, Charge, LimiterError, Quota, Reservation, Settlement, Verdict, Window,
    nanoseconds,
};

const HOUR: u64 = 3_600_000_000_000;
const DAY: u64 = 24 * HOUR;

/// What is used of each window, by its key, whether it slides, and its end.
#[derive(Default)]
pub(crate) struct Windows(BTreeMap<(String, bool, u64), u64>);

/// In `taken` of a window that slides: times are whole milliseconds.
const SLIDING: u64 = 4;

impl Windows {
    /// `times`: of the monotonic clock, in which buckets are, and of the wall.
    pub(crate) fn reserve(
        &mut self,
        quotas: &[Quota<'_>],
        buckets: &mut Buckets,
        times: (u64, u64),
    ) -> Result<Vec<Reservation>, LimiterError> {
        if quotas.len() > 16 {
            return Err(LimiterError::Invalid);
        }
        let spans =
            quotas.iter().map(|quota| span(quota, times.1)).collect::<Result<Vec<_>, _>>()?;
        let charges: Vec<_> = quotas.iter().filter_map(charge).collect();
        // Two charges of one window add up.
        let mut after = self.0.clone();
        let mut all = true;
        let mut judged = Vec::with_capacity(quotas.len());
        for (quota, span) in quotas.iter().zip(&spans) {
            let Some((begin, end)) = span else {
                judged.push(true);
                continue;
            };
            let before = self.before(quota, (*begin, *end), times.1);
            let used = after.entry(place(quota, *end)).or_default();
            let counted = (*used).min(quota.limit);
            let fits = counted.saturating_add(before).saturating_add(quota.cost) <= quota.limit;
            if fits {
                *used += quota.cost;
            }
            judged.push(fits);
            all &= fits;
        }
        let mut verdicts = match all {
            true => buckets.take(&charges, times.0)?,
            false => charges.iter().map(|charge| buckets.look(charge, times.0)).collect(),
        }
        .into_iter();
        if all && verdicts.as_slice().iter().all(|verdict| verdict.allowed) {
            self.0 = after;
        }
        let mut reservations = Vec::with_capacity(quotas.len());
        for ((quota, span), fits) in quotas.iter().zip(&spans).zip(judged) {
            reservations.push(match span {
                Some(span) => self.of_window(quota, *span, fits, times.1),
                None => of_bucket(quota, verdicts.next().expect("one for each bucket")),
            });
        }
        Ok(reservations)
    }

    fn of_window(
        &self,
        quota: &Quota<'_>,
        (begin, end): (u64, u64),
        allowed: bool,
        now: u64,
    ) -> Reservation {
        let used = self.0.get(&place(quota, end)).copied().unwrap_or(0);
        let left = Duration::from_nanos(end - now);
        if slides(quota) {
            return self.of_sliding(quota, (begin, end), allowed, now);
        }
        Reservation {
            allowed,
            remaining: quota.limit.saturating_sub(used),
            reset: left,
            retry_after: match allowed {
                true => Some(Duration::ZERO),
                false => (quota.cost <= quota.limit).then_some(left),
            },
            length: Duration::from_nanos(end - begin),
            taken: end,
        }
    }

    /// What counts of the window before one that slides.
    fn before(&self, quota: &Quota<'_>, (begin, end): (u64, u64), now: u64) -> u64 {
        let used = self.0.get(&place(quota, begin)).filter(|_| slides(quota));
        share(used.copied().unwrap_or(0).min(quota.limit), end - now, end - begin)
    }

    fn of_sliding(
        &self,
        quota: &Quota<'_>,
        (begin, end): (u64, u64),
        allowed: bool,
        now: u64,
    ) -> Reservation {
        let (length, left) = (end - begin, end - now);
        let of = |end| {
            let used = self.0.get(&place(quota, end)).copied().unwrap_or(0);
            used.min(quota.limit)
        };
        let (used, last) = (of(end), of(begin));
        let room = quota.limit.checked_sub(quota.cost);
        // By when so much of an amount is left that it fits.
        let fits = |room: u64, amount: u64| {
            let time = u128::from(room) * u128::from(length) / u128::from(amount.max(1));
            u64::try_from(time).unwrap_or(u64::MAX)
        };
        let wait = room.map(|room| match room.checked_sub(used) {
            Some(room) => left.saturating_sub(fits(room, last)),
            None => (left + length).saturating_sub(fits(room, used)),
        });
        let counted = used.saturating_add(share(last, left, length));
        let reset = match (used, last) {
            (0, 0) => 0,
            (0, _) => left,
            _ => left + length,
        };
        Reservation {
            allowed,
            remaining: quota.limit.saturating_sub(counted),
            reset: Duration::from_nanos(reset),
            retry_after: match allowed {
                true => Some(Duration::ZERO),
                false => wait.map(Duration::from_nanos),
            },
            length: Duration::from_nanos(length),
            taken: end | SLIDING,
        }
    }

    pub(crate) fn settle(
        &mut self,
        settlements: &[Settlement<'_>],
        buckets: &mut Buckets,
        (process, wall): (u64, u64),
    ) -> Result<(), LimiterError> {
        if settlements.len() > 16 {
            return Err(LimiterError::Invalid);
        }
        for Settlement { quota, taken, by } in settlements {
            let end = taken & !SLIDING;
            let Some((begin, next)) = span(quota, wall)? else {
                charge(quota).iter().for_each(|charge| buckets.settle(charge, *by, process));
                continue;
            };
            if end > wall || (slides(quota) && end + (next - begin) > wall) {
                let used = self.0.entry(place(quota, end)).or_default();
                // Beyond the limit it is owed, up to as much again.
                let most = quota.limit.saturating_mul(2);
                *used = used.saturating_add_signed(*by).min(most);
            }
        }
        Ok(())
    }
}

fn slides(quota: &Quota<'_>) -> bool {
    matches!(quota.window, Window::Sliding(_))
}

fn place(quota: &Quota<'_>, end: u64) -> (String, bool, u64) {
    (quota.key.to_owned(), slides(quota), end)
}

/// An amount times a part of a length, rounded up.
fn share(amount: u64, part: u64, length: u64) -> u64 {
    let product = u128::from(amount) * u128::from(part);
    u64::try_from(product.div_ceil(u128::from(length.max(1)))).unwrap_or(u64::MAX)
}

fn charge<'a>(quota: &Quota<'a>) -> Option<Charge<'a>> {
    let Quota { key, limit, window, cost } = *quota;
    match window {
        Window::Bucket { period, burst } => Some(Charge { key, limit, period, burst, cost }),
        Window::Fixed(_) | Window::Sliding(_) | Window::Calendar { .. } => None,
    }
}

fn of_bucket(quota: &Quota<'_>, verdict: Verdict) -> Reservation {
    let Verdict { allowed, remaining, reset, retry_after } = verdict;
    let length = match quota.window {
        Window::Bucket { period, .. } => period,
        Window::Fixed(_) | Window::Sliding(_) | Window::Calendar { .. } => Duration::ZERO,
    };
    Reservation { allowed, remaining, reset, retry_after, length, taken: 0 }
}

/// Begin and end of the window in which a moment is; `None` for a bucket.
fn span(quota: &Quota<'_>, now: u64) -> Result<Option<(u64, u64)>, LimiterError> {
    let (span, shortest) = match quota.window {
        Window::Bucket { .. } => {
            let is_valid = charge(quota).as_ref().is_some_and(is_valid);
            return if is_valid { Ok(None) } else { Err(LimiterError::Invalid) };
        }
        Window::Fixed(length) | Window::Sliding(length) => {
            let length = nanoseconds(length);
            if length == 0 || !length.is_multiple_of(1_000_000) || length > 366 * DAY {
                return Err(LimiterError::Invalid);
            }
            let begin = now / length * length;
            ((begin, begin + length), length)
        }
        Window::Calendar { unit, time_zone } => {
            let zone = zone(time_zone).ok_or(LimiterError::Invalid)?;
            let shortest = match unit {
                CalendarUnit::Hour => HOUR / 2,
                CalendarUnit::Day => DAY - 2 * HOUR,
                CalendarUnit::Week => 7 * DAY - 2 * HOUR,
                CalendarUnit::Month => 28 * DAY - 2 * HOUR,
                CalendarUnit::Year => 365 * DAY - 2 * HOUR,
            };
            (calendar(unit, zone, now).ok_or(LimiterError::Invalid)?, shortest)
        }
    };
    let most = shortest.min(1_000_000_000_000_000);
    match quota.key.len() <= 1024 && (1..=most).contains(&quota.limit) {
        true => Ok(Some(span)),
        false => Err(LimiterError::Invalid),
    }
}

fn calendar(unit: CalendarUnit, zone: TimeZone, now: u64) -> Option<(u64, u64)> {
    let now = Timestamp::from_nanosecond(now.into()).ok()?.to_zoned(zone.clone());
    let nanoseconds = |time: Timestamp| u64::try_from(time.as_nanosecond()).ok();
    if unit == CalendarUnit::Hour {
        let offset = now.offset().seconds().rem_euclid(3_600).unsigned_abs();
        let offset = u64::from(offset) * 1_000_000_000;
        let begin = (nanoseconds(now.timestamp())? + offset) / HOUR * HOUR - offset;
        return Some((begin, begin + HOUR));
    }
    let today = now.date();
    let (first, step) = match unit {
        CalendarUnit::Hour | CalendarUnit::Day => (today, 1.day()),
        CalendarUnit::Week => {
            let passed = i64::from(today.weekday().since(Weekday::Monday));
            (today.checked_sub(passed.days()).ok()?, 1.week())
        }
        CalendarUnit::Month => (today.first_of_month(), 1.month()),
        CalendarUnit::Year => (today.first_of_year(), 1.year()),
    };
    let next = first.checked_add(step).ok()?;
    let start = |date: jiff::civil::Date| date.to_zoned(zone.clone()).ok();
    Some((nanoseconds(start(first)?.timestamp())?, nanoseconds(start(next)?.timestamp())?))
}

fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    (name == "UTC" || zone.iana_name() == Some(name)).then_some(zone)
}

pub(crate) fn check_time_zone(name: &str) -> Result<(), Option<String>> {
    if zone(name).is_some() {
        return Ok(());
    }
    let database = TimeZoneDatabase::bundled();
    let city = |name: &str| name.to_lowercase().rsplit('/').next().unwrap_or_default().to_owned();
    let mut names = database.available().map(|known| known.as_str().to_owned());
    // The gateway also knows what is only nearly right.
    Err(names.find(|known| city(known) == city(name)))
}
