//! Sums of whole days, for questions about many days.
//!
//! Owns which sums there are and which of them answer a question, each day of it counted once. A day is added
//! to all sums in one step after its end, so that a request costs no more for them; what comes for such a day
//! later is added by triggers in the store, whoever writes it. Must not know SQL.

use super::query::{By, Query};
use super::rows::DAY;
use super::time::{day_of_month, first_of_month, first_of_next_month};

/// A time that sums are over: whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Day,
    /// Of a month: it begins on its 1st, 11th and 21st.
    Third,
    Month,
}

impl Unit {
    /// The first day of the unit that a day is in.
    pub(super) fn first(self, day: i64) -> i64 {
        match self {
            Self::Day => day,
            Self::Third => first_of_month(day) + ((day_of_month(day) - 1) / 10).min(2) * 10,
            Self::Month => first_of_month(day),
        }
    }

    /// The first day after the unit that a day is in.
    fn end(self, day: i64) -> i64 {
        match self {
            Self::Day => day + 1,
            Self::Third if day_of_month(day) <= 20 => self.first(day) + 10,
            Self::Third | Self::Month => first_of_next_month(day),
        }
    }
}

/// Sums over a unit of time, and over all of what they are not by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// In the store.
    pub(super) code: i16,
    pub(super) unit: Unit,
    pub(super) by_consumer: bool,
    /// By route, status and upstream.
    pub(super) by_place: bool,
}

const CONSUMER_DAYS: Sum = Sum { code: 1, unit: Unit::Day, by_consumer: true, by_place: false };
const CONSUMER_THIRDS: Sum = Sum { code: 2, unit: Unit::Third, by_consumer: true, by_place: false };
const CONSUMER_MONTHS: Sum = Sum { code: 3, unit: Unit::Month, by_consumer: true, by_place: false };
const PLACE_DAYS: Sum = Sum { code: 4, unit: Unit::Day, by_consumer: false, by_place: true };
const MONTHS: Sum = Sum { code: 5, unit: Unit::Month, by_consumer: true, by_place: true };

/// All of them.
pub(super) const SUMS: [&Sum; 5] =
    [&CONSUMER_DAYS, &CONSUMER_THIRDS, &CONSUMER_MONTHS, &PLACE_DAYS, &MONTHS];

/// Sums have the days since 1970 from `removed` on and before `end`, whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summed {
    /// Days before it were removed: sums that began before it are not whole.
    pub(super) removed: i64,
    pub(super) end: i64,
}

/// The last day that may be summed by this minute: a while after its end, when what is on its way is there.
pub(super) fn last_closed(minute: i64) -> i64 {
    const AFTER: i64 = 15;
    (minute - AFTER) / DAY - 1
}

/// What rows are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Minutes,
    Days,
    Sums(&'static Sum),
}

/// Rows that belong to an answer: those from a time on and before another, in minutes or in days. Rows of sums
/// have the first day of their unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) source: Source,
    pub(super) from: Option<i64>,
    pub(super) end: Option<i64>,
}

/// The fewest rows that answer a question: together they count each day once.
pub(super) fn plan(query: &Query, summed: Summed) -> Vec<Slice> {
    if !query.is_by_day() {
        return vec![Slice { source: Source::Minutes, from: query.from, end: query.to }];
    }
    let (from, end) = (query.from.map(|minute| minute / DAY), query.to.map(|minute| minute / DAY));
    let first = from.unwrap_or(0).max(summed.removed);
    let last = end.unwrap_or(i64::MAX).min(summed.end);
    let sums = coarsest_first(query);
    if sums.is_empty() || first >= last {
        return vec![Slice { source: Source::Days, from, end }];
    }
    let mut slices = Vec::new();
    if from.unwrap_or(0) < first {
        slices.push(Slice { source: Source::Days, from, end: Some(first) });
    }
    let mut day = first;
    while day < last {
        // A unit of which some days are not summed yet is whole as well, if the answer has all that are.
        let is_whole =
            |unit: Unit| unit.first(day) == day && (unit.end(day) <= last || last == summed.end);
        let (source, next) = match sums.iter().find(|sum| is_whole(sum.unit)) {
            Some(sum) => (Source::Sums(sum), sum.unit.end(day).min(last)),
            None => (Source::Days, day + 1),
        };
        match slices.last_mut() {
            Some(slice) if slice.source == source => slice.end = Some(next),
            _ => slices.push(Slice { source, from: Some(day), end: Some(next) }),
        }
        day = next;
    }
    if end.is_none_or(|end| last < end) {
        match slices.last_mut() {
            Some(slice) if slice.source == Source::Days => slice.end = end,
            _ => slices.push(Slice { source: Source::Days, from: Some(last), end }),
        }
    }
    slices
}

/// The sums that are by all that a question is by.
fn coarsest_first(query: &Query) -> &'static [&'static Sum] {
    let is_by_consumer = query.by.contains(&By::Consumer);
    let is_by_place = query.by.iter().any(|by| matches!(by, By::Route | By::Status | By::Upstream));
    let is_by_each_day = query.by.contains(&By::Day);
    match (is_by_consumer, is_by_place, is_by_each_day) {
        (true, false, false) => &[&CONSUMER_MONTHS, &CONSUMER_THIRDS, &CONSUMER_DAYS],
        (true, false, true) => &[&CONSUMER_DAYS],
        (true, true, false) => &[&MONTHS],
        (true, true, true) => &[],
        (false, _, _) => &[&PLACE_DAYS],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::time;

    fn day(text: &str) -> i64 {
        time::parse(text).expect("it is a date") / DAY
    }

    fn slices(by: &str, from: Option<&str>, to: Option<&str>, summed: (&str, &str)) -> Vec<String> {
        let query = Query::parse(by, from, to).expect("it is a question");
        let summed = Summed { removed: day(summed.0), end: day(summed.1) };
        let show = |day: Option<i64>| day.map_or("..".to_owned(), time::show_day);
        let slices = plan(&query, summed);
        let name = |source| match source {
            Source::Minutes => "minutes",
            Source::Days => "days",
            Source::Sums(sum) => match sum.code {
                1 => "consumer-days",
                2 => "consumer-thirds",
                3 => "consumer-months",
                4 => "place-days",
                _ => "months",
            },
        };
        let show = |it: &Slice| format!("{} {} {}", name(it.source), show(it.from), show(it.end));
        slices.iter().map(show).collect()
    }

    #[test]
    fn takes_the_coarsest_sums_that_are_whole() {
        let all = ("2026-01-01", "2026-11-29");
        let found = slices("consumer", Some("2026-09-01"), Some("2026-11-01"), all);
        assert_eq!(found, ["consumer-months 2026-09-01 2026-11-01"]);
        let found = slices("consumer", Some("2026-10-16"), Some("2026-11-15"), all);
        let expected = [
            "consumer-days 2026-10-16 2026-10-21",
            "consumer-thirds 2026-10-21 2026-11-11",
            "consumer-days 2026-11-11 2026-11-15",
        ];
        assert_eq!(found, expected);
        // This month has what is summed, and today comes from the rows by day.
        let found = slices("consumer", Some("2026-10-30"), None, all);
        let expected = [
            "consumer-days 2026-10-30 2026-11-01",
            "consumer-months 2026-11-01 2026-11-29",
            "days 2026-11-29 ..",
        ];
        assert_eq!(found, expected);
        let found = slices("consumer,status", Some("2026-09-30"), Some("2026-11-02"), all);
        let expected = [
            "days 2026-09-30 2026-10-01",
            "months 2026-10-01 2026-11-01",
            "days 2026-11-01 2026-11-02",
        ];
        assert_eq!(found, expected);
        let found = slices("day,route", Some("2026-10-01"), Some("2026-11-01"), all);
        assert_eq!(found, ["place-days 2026-10-01 2026-11-01"]);
        let found = slices("consumer", Some("2026-10-01T10:00"), Some("2026-10-02"), all);
        assert!(found[0].starts_with("minutes") && found.len() == 1, "{found:?}");
    }

    #[test]
    fn what_is_not_summed_and_what_was_removed_in_part_comes_from_the_days() {
        let found = slices("consumer,route", None, None, ("2026-10-05", "2026-11-29"));
        let expected = ["days .. 2026-11-01", "months 2026-11-01 2026-11-29", "days 2026-11-29 .."];
        assert_eq!(found, expected);
        let none = ("1970-01-01", "1970-01-01");
        assert_eq!(slices("consumer", None, None, none), ["days .. .."]);
        let later = slices("consumer", Some("2026-11-29"), None, ("2026-01-01", "2026-11-29"));
        assert_eq!(later, ["days 2026-11-29 .."]);
    }

    /// Every range within fifteen months, with sums of several stretches: each day is counted once.
    #[test]
    fn each_day_of_every_range_is_counted_once() {
        let begin = day("2023-12-20");
        for by in ["consumer", "route", "consumer,route", "day,consumer", "month,consumer"] {
            for (removed, end) in [(0, 0), (0, 3), (0, 430), (40, 300), (13, 67), (68, 430)] {
                let summed = Summed { removed: begin + removed, end: begin + end };
                for from in (0..430).step_by(3) {
                    for to in (from + 1..=450).step_by(7) {
                        check(by, summed, begin + from, begin + to);
                    }
                }
            }
        }
    }

    fn check(by: &str, summed: Summed, from: i64, to: i64) {
        let mut query = Query::parse(by, None, None).expect("it is a question");
        (query.from, query.to) = (Some(from * DAY), Some(to * DAY));
        let mut counted = Vec::new();
        for slice in plan(&query, summed) {
            let (first, end) = (slice.from.expect("it has one"), slice.end.expect("it has one"));
            let Source::Sums(sum) = slice.source else {
                counted.extend(first..end);
                continue;
            };
            // As a store has them: each unit with those of its days that are summed.
            let is_read = |day: &i64| (first..end).contains(&sum.unit.first(*day));
            let days = summed.removed..summed.end;
            assert!(first >= summed.removed, "a unit that is not whole");
            counted.extend(days.filter(is_read));
        }
        counted.sort_unstable();
        assert_eq!(counted, (from..to).collect::<Vec<_>>(), "{by} {summed:?} {from} {to}");
    }
}
