//! Windows against a model that counts, with a clock that is given.

mod sliding;

use std::collections::HashMap;

use super::*;
use crate::telemetry::metrics::Metrics;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
/// 2026-11-29T06:00:00Z.
const NOW: u64 = 1_795_932_000 * SECOND;

fn quotas(bytes: usize) -> Quotas {
    let metrics = Metrics::default().of(&"p".into());
    Quotas {
        buckets: Arc::new(Limits::new(Arc::clone(&metrics), bytes)),
        windows: Arc::new(Limits::of_windows(metrics, bytes)),
    }
}

fn times(wall: u64) -> Times {
    Times { process: wall, wall }
}

fn one(quotas: &Quotas, quota: Quota<'_>, now: u64) -> Reservation {
    quotas.reserve_at(&[quota], times(now), 1).0[0]
}

fn utc(unit: Unit) -> Window {
    Window::Calendar(unit, Zone::of("UTC").expect("it is there"))
}

fn month(key: &str, cost: u64) -> Quota<'_> {
    Quota { key, limit: 10, window: utc(Unit::Month), cost }
}

#[test]
fn a_month_admits_its_limit_and_the_next_one_all_of_it_again() {
    let quotas = quotas(1 << 20);
    for left in (0..10).rev() {
        let reservation = one(&quotas, month("a", 1), NOW);
        assert!(reservation.verdict.allowed);
        assert_eq!(reservation.verdict.remaining, left);
        assert_eq!(reservation.length, 30 * DAY);
    }
    let refused = one(&quotas, month("a", 1), NOW).verdict;
    assert!(!refused.allowed);
    let december = 1_796_083_200 * SECOND;
    assert_eq!(refused.retry_after, Some(december - NOW));
    assert_eq!(refused.reset, december - NOW);
    assert_eq!(one(&quotas, month("a", 11), NOW).verdict.retry_after, None);
    assert!(!one(&quotas, month("a", 1), december - 1).verdict.allowed);
    assert_eq!(one(&quotas, month("a", 10), december).verdict.remaining, 0);
    assert!(!one(&quotas, month("a", 1), december).verdict.allowed);
}

#[test]
fn a_clock_that_is_set_back_admits_nothing_twice() {
    let quotas = quotas(1 << 20);
    let minute = |cost| Quota { key: "a", limit: 5, window: Window::Fixed(60 * SECOND), cost };
    assert!(one(&quotas, minute(5), NOW).verdict.allowed);
    assert!(one(&quotas, minute(1), NOW + 60 * SECOND).verdict.allowed);
    for back in [1, 60, 3_600] {
        assert!(!one(&quotas, minute(1), NOW + 60 * SECOND - back * SECOND).verdict.allowed);
    }
    assert_eq!(one(&quotas, minute(1), NOW + 60 * SECOND).verdict.remaining, 3);
}

#[test]
fn an_estimate_is_put_right_in_its_window_alone() {
    let quotas = quotas(1 << 20);
    let left = |now| one(&quotas, month("a", 0), now).verdict.remaining;
    let settle = |taken, by, now| {
        quotas.settle_at(&[Settlement { quota: month("a", 0), taken, by }], times(now), 1);
    };
    let reserved = one(&quotas, month("a", 4), NOW);
    settle(reserved.taken, -3, NOW);
    assert_eq!(left(NOW), 9);
    settle(reserved.taken, 100, NOW);
    assert_eq!(left(NOW), 0, "what is left is taken");
    assert!(!one(&quotas, month("a", 1), NOW).verdict.allowed);
    settle(reserved.taken, -10, NOW);
    assert_eq!(left(NOW), 0, "what is owed is paid first: up to the limit once more");
    settle(reserved.taken, -3, NOW);
    assert_eq!(left(NOW), 3);
    settle(reserved.taken, -100, NOW);
    assert_eq!(left(NOW), 10, "no more goes back than there is");
    let later = NOW + 5 * DAY;
    assert!(one(&quotas, month("a", 4), later).verdict.allowed);
    for by in [-3, 3] {
        settle(reserved.taken, by, later);
        assert_eq!(left(later), 6, "that window is over");
        // A settlement that was on its way when the window ended.
        settle(reserved.taken, by, NOW);
        assert_eq!(left(later), 6);
    }
    let first = Quota { key: "new", ..month("new", 0) };
    quotas.settle_at(&[Settlement { quota: first, taken: reserved.taken, by: 7 }], times(NOW), 1);
    assert_eq!(one(&quotas, first, NOW).verdict.remaining, 3, "also of a key that is not held");
}

#[test]
fn a_bucket_goes_below_empty_by_its_burst_at_most() {
    let quotas = quotas(1 << 20);
    let window = Window::Bucket { period: 60 * SECOND, burst: 10 };
    let bucket = |cost| Quota { key: "a", limit: 10, window, cost };
    let reserved = one(&quotas, bucket(5), NOW);
    let settle = |by, now| {
        let settlement = Settlement { quota: bucket(0), taken: reserved.taken, by };
        quotas.settle_at(&[settlement], times(now), 1);
    };
    settle(-2, NOW);
    assert_eq!(one(&quotas, bucket(0), NOW).verdict.remaining, 7);
    settle(1_000, NOW);
    let refused = one(&quotas, bucket(1), NOW).verdict;
    assert_eq!(refused.retry_after, Some(66 * SECOND), "the debt, and one token");
    assert!(one(&quotas, bucket(1), NOW + 66 * SECOND).verdict.allowed);
}

#[test]
fn buckets_and_windows_are_charged_together_or_not_at_all() {
    let quotas = quotas(1 << 20);
    let window = Window::Bucket { period: DAY, burst: 100 };
    let both = [
        Quota { key: "a", limit: 100, window, cost: 1 },
        month("a", 4),
        Quota { key: "b", limit: 1_000, window: Window::Fixed(DAY), cost: 1 },
        month("a", 4),
    ];
    let left = |all: &[Reservation]| all.iter().map(|it| it.verdict.remaining).collect::<Vec<_>>();
    assert_eq!(left(&quotas.reserve_at(&both, times(NOW), 1).0), [99, 6, 999, 2]);
    for _ in 0..3 {
        let refused = quotas.reserve_at(&both, times(NOW), 1).0;
        assert_eq!(left(&refused), [99, 2, 999, 2]);
        let allowed: Vec<_> = refused.iter().map(|it| it.verdict.allowed).collect();
        assert_eq!(allowed, [true, false, true, false]);
    }
}

/// A generator of numbers that are good enough for a test: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// No token more and none less, for limits from one to a billion a millisecond, over years.
#[test]
fn windows_agree_with_a_count() {
    let berlin = Zone::of("Europe/Berlin").expect("it is there");
    let rules = [
        (10, utc(Unit::Month)),
        (1, utc(Unit::Year)),
        (1_000_000_000_000, utc(Unit::Month)),
        (999_999_999_999_999, Window::Calendar(Unit::Month, berlin)),
        (7, Window::Calendar(Unit::Day, berlin)),
        (24, Window::Calendar(Unit::Week, berlin)),
        (1_799_999_999_999, utc(Unit::Hour)),
        (3, Window::Fixed(SECOND)),
        (1_000_000, Window::Fixed(SECOND / 1_000)),
        (999_999_937, Window::Fixed(SECOND)),
    ];
    for seed in 1..=10 {
        let (mut random, mut now) = (Random(seed), NOW);
        let quotas = quotas(1 << 20);
        let mut used = HashMap::<(u64, u64), u64>::new();
        let mut reserved = Vec::new();
        for step in 0..4_000 {
            now += [0, 0, 1, SECOND / 900, SECOND, 7_000 * SECOND, DAY, 20 * DAY]
                [random.below(8) as usize];
            let number = random.below(rules.len() as u64);
            let (limit, window) = rules[number as usize];
            let key = format!("key {number}");
            let cost = match random.below(5) {
                0 => 0,
                1 => limit,
                2 => limit / 3,
                3 => random.below(limit) + 1,
                _ => 1,
            };
            let end = window.span(now).expect("it is a window").end;
            let quota = Quota { key: &key, limit, window, cost };
            let got = one(&quotas, quota, now);
            let count = used.entry((number, end)).or_default();
            let fits = (*count).min(limit) + cost <= limit;
            *count += if fits { cost } else { 0 };
            let expected = (fits, limit.saturating_sub(*count), end - now, end);
            let Reservation { verdict, taken, .. } = got;
            let seen = (verdict.allowed, verdict.remaining, verdict.reset, taken);
            assert_eq!(seen, expected, "seed {seed} step {step}: {quota:?}");
            if fits {
                reserved.push((number, end, cost));
            }
            if random.below(3) == 0 && !reserved.is_empty() {
                let index = random.below(reserved.len() as u64) as usize;
                let (number, end, cost) = reserved.swap_remove(index);
                let (limit, window) = rules[number as usize];
                let by = [-(cost as i64), -1, 1, cost as i64 / 2][random.below(4) as usize];
                let key = format!("key {number}");
                let quota = Quota { key: &key, limit, window, cost: 0 };
                quotas.settle_at(&[Settlement { quota, taken: end, by }], times(now), 1);
                if end > now {
                    let count = used.entry((number, end)).or_default();
                    *count = count.saturating_add_signed(by).min(2 * limit);
                }
            }
        }
    }
}

#[test]
fn many_threads_together_admit_exactly_the_limit_and_what_comes_back() {
    let quotas = quotas(1 << 20);
    let admitted = AtomicU64::new(0);
    let quota = |cost| Quota { key: "k", limit: 1_000, window: utc(Unit::Month), cost };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..500 {
                    let reservation = one(&quotas, quota(2), NOW);
                    if !reservation.verdict.allowed {
                        continue;
                    }
                    // Each other one did cost half.
                    let by = -i64::from(turn % 2);
                    let settlement = Settlement { quota: quota(0), taken: reservation.taken, by };
                    quotas.settle_at(&[settlement], times(NOW), 1);
                    admitted.fetch_add(2_u64.saturating_add_signed(by), Relaxed);
                }
            });
        }
    });
    let left = one(&quotas, quota(0), NOW).verdict.remaining;
    assert_eq!(admitted.load(Relaxed), 1_000 - left);
    assert!(left < 2, "{left}");
}

/// 64 shards of one set of ten.
const TINY: usize = 16 << 10;

#[test]
fn a_flood_of_keys_frees_nobody_who_has_used_all() {
    let quotas = quotas(TINY);
    assert!(one(&quotas, month("a", 10), NOW).verdict.allowed);
    for key in 0..20_000_u64 {
        let name = format!("flood/{key}");
        one(&quotas, month(&name, 1 + key % 10), NOW + key);
        assert!(!one(&quotas, month("a", 1), NOW + key).verdict.allowed, "after {key}");
    }
    let december = NOW + 2 * DAY;
    assert_eq!(one(&quotas, month("a", 1), december).verdict.remaining, 9);
}

/// What a bound refuses may be too much, and what it admits never is.
#[test]
fn nothing_is_admitted_that_a_count_would_refuse_however_little_room_there_is() {
    for seed in 1..=10 {
        let (mut random, mut now) = (Random(seed), NOW);
        let quotas = quotas(TINY);
        let mut used = HashMap::<(u64, u64), u64>::new();
        let mut admitted = 0;
        for _ in 0..20_000 {
            now += random.below(SECOND * 20);
            let number = random.below(100).min(random.below(4_000)) * 40 + random.below(40);
            let (limit, window) = [
                (3, utc(Unit::Month)),
                (5, utc(Unit::Hour)),
                (2, utc(Unit::Day)),
                (9, Window::Fixed(60 * SECOND)),
            ][number as usize % 4];
            let (key, cost) = (format!("key/{number}"), 1 + random.below(2));
            let end = window.span(now).expect("it is a window").end;
            if one(&quotas, Quota { key: &key, limit, window, cost }, now).verdict.allowed {
                let count = used.entry((number, end)).or_default();
                *count += cost;
                assert!(*count <= limit, "seed {seed}: {key} was admitted beyond its limit");
                admitted += 1;
            }
        }
        assert!(admitted > 1_000, "{admitted}");
    }
}

#[test]
fn what_was_written_is_there_again() {
    let first = quotas(1 << 20);
    let limits = Limits::of_windows(Metrics::default().of(&"p".into()), 1 << 20);
    let windows = Arc::new(limits.durable([1, 2], &super::super::Written::default()));
    let first = Quotas { windows, ..first };
    let now = super::super::wall();
    one(&first, month("a", 7), now);
    let written = first.windows.changes();
    let limits = Limits::of_windows(Metrics::default().of(&"p".into()), 1 << 20);
    let windows = Arc::new(limits.durable([1, 2], &written));
    let again = Quotas { windows, ..quotas(1 << 20) };
    let span = utc(Unit::Month).span(now).expect("it is a window");
    if utc(Unit::Month).span(super::super::wall()) == Some(span) {
        assert_eq!(one(&again, month("a", 0), now).verdict.remaining, 3);
    }
}

#[test]
fn what_cannot_be_counted_is_not_valid() {
    assert!(Window::Fixed(SECOND).is_valid(SECOND));
    for (window, limit) in [
        (Window::Fixed(SECOND), 0),
        (Window::Fixed(SECOND), SECOND + 1),
        (Window::Fixed(0), 1),
        (Window::Fixed(SECOND + 1), 1),
        (Window::Fixed(367 * DAY), 1),
        (utc(Unit::Year), 1_000_000_000_000_001),
        (utc(Unit::Hour), 3_600 * SECOND),
    ] {
        assert!(!window.is_valid(limit), "{window:?} {limit}");
    }
}
