//! Rows as a store takes them.
//!
//! Owns their order, which is that of the primary key, so that two gateways that write the same rows
//! never wait for each other in a circle; and the rows by day, which are added up from those by minute.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::amounts::bounded;
use super::table::{Sums, Table};

/// Minutes of a day.
pub(super) const DAY: i64 = 24 * 60;

/// The primary key of a row, besides its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) consumer: Arc<str>,
    pub(super) route: Arc<str>,
    pub(super) status: i16,
    pub(super) upstream: Arc<str>,
}

/// What is added to a row of the gateway's own numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) requests: i64,
    pub(super) request_bytes: i64,
    pub(super) response_bytes: i64,
    pub(super) duration_us: i64,
}

/// Numbers by time and key.
pub(super) type Sized<T> = BTreeMap<(i64, Key), T>;
/// Amounts by time, key and name.
pub(super) type Named = BTreeMap<((i64, Key), Arc<str>), i64>;

/// Rows that are written together.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By minutes since 1970.
    pub(super) minutes: Sized<Numbers>,
    /// By days since 1970.
    pub(super) days: Sized<Numbers>,
    pub(super) minute_counters: Named,
    pub(super) day_counters: Named,
}

impl Rows {
    /// The rows of a table. `names` are those of routes and upstreams, `counters` those that plugins add
    /// under, each by number.
    pub(super) fn new(table: &Table, names: &[Arc<str>], counters: &[Arc<str>]) -> Self {
        let mut rows = Self::default();
        let name = |number: u32| names.get(number as usize).cloned().unwrap_or_else(|| "".into());
        for (place, consumer, sums) in table.rows() {
            let key = Key {
                consumer: storable(consumer),
                route: name(place.route),
                status: i16::from(place.status),
                upstream: name(place.upstream),
            };
            let (minute, day) = (i64::from(place.minute), i64::from(place.minute) / DAY);
            for (number, amount) in &sums.amounts {
                let Some(name) = counters.get(usize::from(*number)) else { continue };
                let minute = ((minute, key.clone()), Arc::clone(name));
                let day = ((day, key.clone()), Arc::clone(name));
                add_amount(rows.minute_counters.entry(minute).or_default(), *amount);
                add_amount(rows.day_counters.entry(day).or_default(), *amount);
            }
            rows.days.entry((day, key.clone())).or_default().add(sums);
            rows.minutes.entry((minute, key)).or_default().add(sums);
        }
        rows
    }
}

impl Numbers {
    fn add(&mut self, sums: &Sums) {
        let add = |sum: &mut i64, more: u64| {
            *sum = bounded(sum.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)));
        };
        add(&mut self.requests, sums.requests);
        add(&mut self.request_bytes, sums.request_bytes);
        add(&mut self.response_bytes, sums.response_bytes);
        add(&mut self.duration_us, sums.duration);
    }
}

fn add_amount(sum: &mut i64, amount: i64) {
    *sum = bounded(sum.saturating_add(amount));
}

/// A consumer as every store and every terminal takes it: PostgreSQL has no NUL, and one row that it
/// refuses would hold up all others.
fn storable(consumer: &Arc<str>) -> Arc<str> {
    if consumer.chars().any(char::is_control) {
        return consumer.replace(char::is_control, "\u{fffd}").into();
    }
    Arc::clone(consumer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::table::{Bound, Dimensions};
    use super::*;

    #[test]
    fn minutes_add_up_to_days_and_no_text_can_hold_up_the_others() {
        let mut table = Table::default();
        let bound = Bound { rows: 100, others: 10 };
        let sums =
            || Sums { amounts: vec![(0, 7)], ..Sums::of_one(1, 2, Duration::from_micros(3)) };
        for (minute, consumer) in [(1440, "a\0"), (1441, "a\n"), (2880, "a")] {
            let place = Dimensions { minute, route: 1, upstream: 0, status: 5 };
            table.add(place, consumer, sums(), bound);
        }
        let names = ["".into(), "orders".into()];
        let rows = Rows::new(&table, &names, &["tokens".into()]);
        let days: Vec<_> =
            rows.days.iter().map(|((day, key), n)| (*day, key, n.requests)).collect();
        assert_eq!((days.len(), rows.minutes.len()), (2, 3));
        assert_eq!((days[0].0, &*days[0].1.consumer, days[0].2), (1, "a\u{fffd}", 2));
        assert_eq!((&*days[0].1.route, &*days[0].1.upstream, days[0].1.status), ("orders", "", 5));
        let amounts: Vec<_> = rows.day_counters.values().copied().collect();
        assert_eq!((amounts, rows.minute_counters.len()), (vec![14, 7], 3));
    }
}
