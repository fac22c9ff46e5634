//! Token buckets against a model without a bound, and what becomes of them under pressure.

use super::*;
use crate::telemetry::metrics::Metrics;

/// Bytes, for tests that are not about them.
const PLENTY: usize = 1 << 20;
const SECOND: u64 = 1_000_000_000;

fn limits(bytes: usize) -> Limits {
    Limits::new(Metrics::default().of(&"p".into()), bytes)
}

fn displaced(limits: &Limits) -> u64 {
    limits.metrics.displaced()
}

fn ten_a_minute(key: &str) -> Charge<'_> {
    Charge { key, limit: 10, period: 60 * SECOND, burst: 10, cost: 1 }
}

fn one(limits: &Limits, charge: Charge<'_>, now: u64) -> Verdict {
    limits.take_at(&[charge], now).0[0]
}

#[test]
fn admits_the_burst_then_one_for_each_token_that_flows_in() {
    let limits = limits(PLENTY);
    for left in (0..10).rev() {
        let verdict = one(&limits, ten_a_minute("a"), SECOND);
        assert!(verdict.allowed);
        assert_eq!(verdict.remaining, left);
    }
    let refused = one(&limits, ten_a_minute("a"), SECOND);
    assert!(!refused.allowed);
    assert_eq!(refused.retry_after, Some(6 * SECOND));
    assert_eq!(refused.reset, 60 * SECOND);
    assert!(!one(&limits, ten_a_minute("a"), 7 * SECOND - 1).allowed);
    assert!(one(&limits, ten_a_minute("a"), 7 * SECOND).allowed);
}

#[test]
fn keys_do_not_share_a_bucket() {
    let limits = limits(PLENTY);
    for _ in 0..10 {
        one(&limits, ten_a_minute("a"), SECOND);
    }
    assert!(one(&limits, ten_a_minute("b"), SECOND).allowed);
}

#[test]
fn takes_nothing_from_any_bucket_when_one_refuses() {
    let limits = limits(PLENTY);
    let tight = Charge { key: "tight", limit: 1, period: 60 * SECOND, burst: 1, cost: 1 };
    let both = [ten_a_minute("wide"), tight];
    let first = limits.take_at(&both, SECOND).0;
    assert!(first.iter().all(|verdict| verdict.allowed));
    for _ in 0..5 {
        let verdicts = limits.take_at(&both, SECOND).0;
        assert!(!verdicts[1].allowed);
        assert_eq!(verdicts[0].remaining, 9, "the wide bucket keeps its tokens");
    }
}

#[test]
fn a_cost_over_the_burst_is_never_allowed() {
    let limits = limits(PLENTY);
    let charge = Charge { cost: 11, ..ten_a_minute("a") };
    let verdict = one(&limits, charge, SECOND);
    assert_eq!((verdict.allowed, verdict.retry_after), (false, None));
}

#[test]
fn a_cost_of_zero_looks_without_taking() {
    let limits = limits(PLENTY);
    let look = Charge { cost: 0, ..ten_a_minute("a") };
    assert_eq!(one(&limits, look.clone(), SECOND).remaining, 10);
    one(&limits, ten_a_minute("a"), SECOND);
    assert_eq!(one(&limits, look, SECOND).remaining, 9);
}

#[test]
fn many_threads_together_admit_exactly_the_limit() {
    let limits = limits(PLENTY);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let charge = Charge {
                        key: "k",
                        limit: 1000,
                        period: 3600 * SECOND,
                        burst: 1000,
                        cost: 1,
                    };
                    if one(&limits, charge, SECOND).allowed {
                        admitted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.load(Relaxed), 1000);
}

/// The least that a table takes: 64 shards of one set of ten buckets.
const TINY: usize = 16 << 10;

#[test]
fn full_buckets_make_room_without_anything_giving_way() {
    let limits = limits(TINY);
    for key in 0..70_000u64 {
        let name = key.to_string();
        let charge = Charge { key: &name, limit: 1, period: 1, burst: 1, cost: 1 };
        assert!(one(&limits, charge, SECOND * (key + 1)).allowed);
    }
    assert_eq!(displaced(&limits), 0);
    assert!(limits.buckets.bytes() <= TINY);
}

#[test]
fn a_table_grows_to_its_bound_and_not_beyond_and_shrinks_when_it_rests() {
    let limits = limits(PLENTY);
    let bytes = || limits.buckets.bytes();
    let mut now = SECOND;
    let flood = |count: u64, now: u64| {
        for key in 0..count {
            one(&limits, ten_a_minute(&format!("{now}/{key}")), now);
        }
    };
    flood(100, now);
    assert!(bytes() < PLENTY / 16, "{}", bytes());
    // Two homes for each key: nearly all places are taken before any bucket gives way.
    let capacity = (PLENTY / 256 * 10) as u64;
    flood(capacity * 7 / 10, now);
    // Keys are hashed with a secret of the table's own: hardly ever both homes of a key are full.
    assert!(displaced(&limits) <= capacity / 1_000, "{}", displaced(&limits));
    flood(capacity * 2, now);
    assert!(displaced(&limits) > 0);
    assert_eq!(bytes(), PLENTY);
    for _ in 0..500 {
        now += 3600 * SECOND;
        flood(500, now);
    }
    assert!(bytes() <= PLENTY / 8, "{}", bytes());
    limits.bound_at(TINY, now);
    assert!(bytes() <= TINY);
}

#[test]
fn a_flood_of_keys_frees_nobody_who_has_used_all() {
    let limits = limits(TINY);
    let used_up = |key: &str| {
        for _ in 0..10 {
            assert!(one(&limits, ten_a_minute(key), SECOND).allowed);
        }
    };
    used_up("a");
    let mut admitted = 0;
    for key in 0..20_000u64 {
        let name = format!("flood/{key}");
        admitted += u32::from(one(&limits, ten_a_minute(&name), SECOND).allowed);
        assert!(!one(&limits, ten_a_minute("a"), SECOND).allowed, "after {key}");
    }
    assert!(displaced(&limits) > 3_000);
    // It is held against those who come after, and no longer than it lasts.
    assert!(admitted < 20_000, "{admitted}");
    let newcomer = one(&limits, ten_a_minute("new"), SECOND);
    assert!(!newcomer.allowed && newcomer.retry_after.is_some_and(|wait| wait <= 6 * SECOND));
    assert_eq!(one(&limits, ten_a_minute("newer"), 61 * SECOND).remaining, 9);
}

#[test]
fn a_flood_of_long_windows_holds_short_ones_up_for_their_own_time_only() {
    let limits = limits(TINY);
    fn daily(key: &str) -> Charge<'_> {
        Charge { key, limit: 1, period: 86_400 * SECOND, burst: 1, cost: 1 }
    }
    let brief = |key| Charge { key, limit: 5, period: SECOND, burst: 5, cost: 1 };
    for key in 0..5_000u64 {
        one(&limits, daily(&format!("daily/{key}")), SECOND);
    }
    assert!(!one(&limits, daily("new"), 3600 * SECOND).allowed);
    assert_eq!(one(&limits, brief("new"), 2 * SECOND + 1).remaining, 4);
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

/// The charges that were admitted are admitted by buckets without any bound, too. The other way round
/// does not hold: a bound may refuse too early.
#[test]
fn nothing_is_admitted_that_a_table_without_bound_would_refuse() {
    for seed in 1..=20 {
        let (mut random, mut now) = (Random(seed), SECOND);
        let limits = limits(TINY);
        let mut unbounded = std::collections::HashMap::<String, u64>::new();
        let (mut admitted, mut refused_early) = (0, 0);
        for _ in 0..20_000 {
            now += random.below(SECOND / 50);
            // Few keys come often, most once; each key has its own rule.
            let number = random.below(100).min(random.below(4_000)) * 40 + random.below(40);
            let (limit, window) = [(1, 60), (5, 1), (100, 3600), (3, 10)][number as usize % 4];
            let key = format!("key/{number}");
            let (period, cost) = (window * SECOND, 1 + random.below(2));
            let charge = Charge { key: &key, limit, period, burst: limit, cost };
            let verdict = one(&limits, charge.clone(), now);
            let exact = AtomicU64::new(unbounded.get(&key).copied().unwrap_or(0));
            let would = settle(&exact, &Rule::of(&charge), now, verdict.allowed);
            if verdict.allowed {
                assert!(would.allowed, "seed {seed}: {key} was admitted beyond its limit");
                unbounded.insert(key, exact.into_inner());
                admitted += 1;
            } else {
                refused_early += u32::from(would.allowed);
            }
        }
        assert!(displaced(&limits) > 100 && admitted > 1_000, "{admitted} {refused_early}");
    }
}

#[test]
fn many_threads_admit_no_more_than_the_limit_while_others_flood_and_the_table_grows_and_shrinks() {
    let limits = limits(256 << 10);
    let admitted: Vec<AtomicU64> = (0..20).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..6u64 {
            let (limits, admitted) = (&limits, &admitted);
            scope.spawn(move || {
                let mut random = Random(thread + 1);
                for turn in 0..20_000u64 {
                    let flood = format!("{thread}/{turn}");
                    let charge = Charge { period: 3600 * SECOND, ..ten_a_minute(&flood) };
                    one(limits, charge, SECOND);
                    let number = random.below(20);
                    let key = format!("watched/{number}");
                    let charge = Charge { period: 3600 * SECOND, ..ten_a_minute(&key) };
                    let allowed = one(limits, charge, SECOND).allowed;
                    admitted[number as usize].fetch_add(u64::from(allowed), Relaxed);
                    if thread == 0 && turn % 4_000 == 3_999 {
                        limits.bound_at([TINY, 256 << 10][turn as usize / 4_000 % 2], SECOND);
                    }
                }
            });
        }
    });
    let admitted: Vec<u64> = admitted.iter().map(|count| count.load(Relaxed)).collect();
    assert!(admitted.iter().all(|count| *count <= 10), "{admitted:?}");
    assert!(admitted.iter().sum::<u64>() > 0 && displaced(&limits) > 0);
}

#[test]
fn a_consumer_can_be_looked_up_and_begins_again() {
    let limits = Arc::new(limits(PLENTY));
    let quotas = quotas::Quotas { buckets: Arc::clone(&limits), windows: Arc::clone(&limits) };
    let other = Charge { key: "b", limit: 5, period: SECOND * 60, burst: 5, cost: 2 };
    for _ in 0..3 {
        limits.take_for(&[ten_a_minute("a")], || Some("acme".to_owned()));
    }
    limits.take_for(&[ten_a_minute("a"), other], || Some("acme".to_owned()));
    limits.take_for(&[ten_a_minute("z")], || None);
    let left = |consumer: &str| -> Vec<(String, u64)> {
        let buckets = limits.of_consumer(consumer).into_iter();
        buckets.map(|it| (it.key.to_string(), quotas.look(&it).verdict.remaining)).collect()
    };
    let both = |a, b| [("a".to_owned(), a), ("b".to_owned(), b)];
    assert_eq!(left("acme"), both(6, 3));
    assert!(left("zenith").is_empty());
    let reset = limits.of_consumer("acme").iter().filter(|it| quotas.reset(it)).count();
    assert_eq!(reset, 2);
    assert_eq!(left("acme"), both(10, 5));
    assert!(!quotas.reset(&limits.of_consumer("acme")[0]));
}
