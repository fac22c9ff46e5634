//! Windows that slide, against a model that counts each of the two.

use super::*;

const MINUTE: u64 = 60 * SECOND;
/// The begin of a minute.
const BEGIN: u64 = NOW / MINUTE * MINUTE;

fn ten(cost: u64) -> Quota<'static> {
    Quota { key: "a", limit: 10, window: Window::Sliding(MINUTE), cost }
}

fn settle(quotas: &Quotas, taken: u64, by: i64, now: u64) {
    quotas.settle_at(&[Settlement { quota: ten(0), taken, by }], times(now), 1);
}

#[test]
fn what_was_used_counts_less_and_less_in_the_next_window() {
    let quotas = quotas(1 << 20);
    let first = one(&quotas, ten(10), BEGIN + 59 * SECOND);
    assert_eq!((first.verdict.remaining, first.length), (0, MINUTE));
    assert_eq!(first.verdict.reset, SECOND + MINUTE);
    let refused = one(&quotas, ten(1), BEGIN + 59 * SECOND).verdict;
    // A tenth of the next window: then nine of ten count.
    assert_eq!(refused.retry_after, Some(SECOND + 6 * SECOND));
    assert!(!one(&quotas, ten(1), BEGIN + MINUTE + 6 * SECOND - 1).verdict.allowed);
    let next = one(&quotas, ten(1), BEGIN + MINUTE + 6 * SECOND).verdict;
    assert_eq!((next.allowed, next.remaining), (true, 0));
    let refused = one(&quotas, ten(4), BEGIN + MINUTE + 6 * SECOND).verdict;
    assert_eq!(refused.retry_after, Some(24 * SECOND), "five of ten count then, and one");
    assert!(one(&quotas, ten(4), BEGIN + MINUTE + 30 * SECOND).verdict.allowed);
    assert_eq!(one(&quotas, ten(0), BEGIN + 2 * MINUTE).verdict.remaining, 5);
    assert_eq!(one(&quotas, ten(0), BEGIN + 3 * MINUTE - 1).verdict.reset, 1);
    assert_eq!(one(&quotas, ten(0), BEGIN + 3 * MINUTE).verdict.reset, 0);
    assert_eq!(one(&quotas, ten(11), BEGIN + 3 * MINUTE).verdict.retry_after, None);
}

#[test]
fn an_estimate_is_put_right_while_its_window_counts() {
    let quotas = quotas(1 << 20);
    let left = |now| one(&quotas, ten(0), now).verdict.remaining;
    let taken = one(&quotas, ten(8), BEGIN).taken;
    settle(&quotas, taken, -2, BEGIN);
    assert_eq!(left(BEGIN), 4);
    // At the middle of the next window half of six counts, then of ten, then of one.
    let later = BEGIN + MINUTE + MINUTE / 2;
    assert_eq!(left(later), 7);
    settle(&quotas, taken, 100, later);
    assert_eq!(left(later), 5);
    settle(&quotas, taken, -10, later);
    assert_eq!(left(later), 5, "what is owed is paid first");
    settle(&quotas, taken, -9, later);
    assert_eq!(left(later), 9);
    let over = BEGIN + 2 * MINUTE;
    let now = one(&quotas, ten(3), over).taken;
    for by in [-3, 3] {
        settle(&quotas, taken, by, over);
        assert_eq!(left(over), 7, "that window is over");
        settle(&quotas, taken, by, later);
        assert_eq!(left(over), 7, "also for one that was on its way");
    }
    settle(&quotas, now, -3, over);
    assert_eq!(left(over), 10);
}

#[test]
fn a_clock_that_is_set_back_admits_nothing_twice() {
    let quotas = quotas(1 << 20);
    assert!(one(&quotas, ten(10), BEGIN).verdict.allowed);
    for back in [1, MINUTE, MINUTE + 1, 2 * MINUTE, 59 * SECOND] {
        assert!(!one(&quotas, ten(1), BEGIN - back).verdict.allowed, "{back}");
    }
}

/// In both tables at once: it has keys of its own, and is charged with others or not at all.
#[test]
fn it_is_charged_together_with_others_or_not_at_all() {
    let quotas = quotas(1 << 20);
    let fixed = Quota { window: Window::Fixed(MINUTE), limit: 3, ..ten(1) };
    let left = |now| {
        let all = quotas.reserve_at(&[ten(1), fixed, ten(1)], times(now), 1).0;
        all.iter().map(|it| (it.verdict.allowed, it.verdict.remaining)).collect::<Vec<_>>()
    };
    assert_eq!(left(BEGIN), [(true, 9), (true, 2), (true, 8)]);
    assert_eq!(left(BEGIN), [(true, 7), (true, 1), (true, 6)]);
    assert_eq!(left(BEGIN), [(true, 5), (true, 0), (true, 4)]);
    assert_eq!(left(BEGIN), [(true, 4), (false, 0), (true, 4)]);
}

/// Exactly what the two counts say; never more than the limit at once or in a window, nor than the limit times
/// `1 + d / length` in any time `d` up to a window.
#[test]
fn windows_that_slide_agree_with_two_counts_and_keep_what_is_promised() {
    let rules = [
        (10, MINUTE),
        (1, SECOND),
        (999_999_999_999_999, 300 * DAY),
        (1_000_000, SECOND / 1_000),
        (7, 3 * SECOND),
    ];
    for seed in 1..=10 {
        let (mut random, mut now) = (Random(seed), NOW);
        let quotas = quotas(1 << 20);
        let mut used = HashMap::<(u64, u64), u64>::new();
        let mut admitted: Vec<Vec<(u64, u64)>> = vec![Vec::new(); rules.len()];
        let mut reserved = Vec::new();
        for step in 0..4_000 {
            now += [0, 0, 1, SECOND / 900, SECOND, 20 * SECOND, 70 * SECOND, 50 * DAY]
                [random.below(if step % 50 == 0 { 8 } else { 7 }) as usize];
            let number = random.below(rules.len() as u64);
            let (limit, length) = rules[number as usize];
            let cost = [0, limit, limit / 3, random.below(limit) + 1, 1][random.below(5) as usize];
            let key = format!("key {number}");
            let end = now / length * length + length;
            let quota = Quota { key: &key, limit, window: Window::Sliding(length), cost };
            let got = one(&quotas, quota, now);
            let before = used.get(&(number, end - length)).copied().unwrap_or(0);
            let before = u128::from(before.min(limit)) * u128::from(end - now);
            let before = before.div_ceil(u128::from(length)) as u64;
            let count = used.entry((number, end)).or_default();
            let fits = (*count).min(limit) + before + cost <= limit;
            *count += if fits { cost } else { 0 };
            let left = limit.saturating_sub(*count + before);
            let seen = (got.verdict.allowed, got.verdict.remaining, got.taken);
            assert_eq!(seen, (fits, left, end | SLIDING), "seed {seed} step {step}: {quota:?}");
            if let (false, Some(wait)) = (fits, got.verdict.retry_after) {
                let at = |time| one(&quotas, Quota { cost: 0, ..quota }, time).verdict.remaining;
                assert!(at(now + wait) >= cost && at(now + wait - 1) < cost, "{quota:?} {wait}");
            }
            if fits {
                reserved.push((number, end, cost));
                admitted[number as usize].push((now, cost));
            }
            if seed > 5 && random.below(3) == 0 && !reserved.is_empty() {
                let index = random.below(reserved.len() as u64) as usize;
                let (number, end, cost) = reserved.swap_remove(index);
                let (limit, length) = rules[number as usize];
                let by = [-(cost as i64), -1, 1, cost as i64 / 2][random.below(4) as usize];
                let key = format!("key {number}");
                let quota = Quota { key: &key, limit, window: Window::Sliding(length), cost: 0 };
                let taken = end | SLIDING;
                quotas.settle_at(&[Settlement { quota, taken, by }], times(now), 1);
                if end + length > now {
                    let count = used.entry((number, end)).or_default();
                    *count = count.saturating_add_signed(by).min(2 * limit);
                }
            }
        }
        for (admitted, (limit, length)) in admitted.iter().zip(rules).filter(|_| seed <= 5) {
            for (index, (from, _)) in admitted.iter().enumerate() {
                let mut sum = 0_u128;
                for (time, cost) in &admitted[index..] {
                    let time = u128::from(time - from);
                    sum += u128::from(*cost);
                    if time > u128::from(length) {
                        break;
                    }
                    let most = u128::from(limit) * (u128::from(length) + time);
                    assert!(
                        sum * u128::from(length) <= most,
                        "{limit} in {length}: {sum} in {time}"
                    );
                }
            }
        }
    }
}

#[test]
fn many_threads_admit_no_more_than_what_counts_over_a_border() {
    let quotas = quotas(1 << 20);
    let clock = AtomicU64::new(BEGIN + 30 * SECOND);
    let admitted = AtomicU64::new(0);
    let quota = Quota { limit: 1_000, ..ten(1) };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let now = clock.fetch_add(SECOND / 400, Relaxed);
                    let reservation = one(&quotas, quota, now);
                    admitted.fetch_add(u64::from(reservation.verdict.allowed), Relaxed);
                }
            });
        }
    });
    // 16,000 questions in 40 seconds, of which 30 are before the border: a full window, and what a sixth of the
    // next one frees. A question with an earlier time than another's may be asked after it.
    let admitted = admitted.into_inner();
    assert!((1_100..=1_168).contains(&admitted), "{admitted}");
}

#[test]
fn a_flood_of_keys_frees_nobody_who_has_used_all() {
    let quotas = quotas(TINY);
    assert!(one(&quotas, ten(10), BEGIN).verdict.allowed);
    for key in 0..20_000_u64 {
        let name = format!("flood/{key}");
        one(&quotas, Quota { key: &name, ..ten(1 + key % 10) }, BEGIN + key);
        assert!(!one(&quotas, ten(1), BEGIN + key).verdict.allowed, "after {key}");
    }
    assert!(!one(&quotas, ten(1), BEGIN + MINUTE).verdict.allowed, "all of it counts");
    assert_eq!(one(&quotas, ten(1), BEGIN + 3 * MINUTE).verdict.remaining, 9);
}

#[test]
fn it_is_made_whole_and_written() {
    let file = [1, 2];
    let limits = || Limits::of_windows(Metrics::default().of(&"p".into()), 1 << 20);
    let durable =
        |written| Quotas { windows: Arc::new(limits().durable(file, written)), ..quotas(1 << 20) };
    let nothing = super::super::super::Written::default();
    let first = durable(&nothing);
    let now = super::super::super::wall();
    let day = |cost| Quota { window: Window::Sliding(300 * DAY), ..ten(cost) };
    one(&first, day(4), now - 300 * DAY);
    one(&first, day(2), now);
    let left = one(&first, day(0), now).verdict.remaining;
    let written = first.windows.changes();
    let again = durable(&written);
    assert_eq!(one(&again, day(0), now).verdict.remaining, left);
    let bucket = Bucket { key: "a".into(), limit: 10, window: Window::Sliding(300 * DAY) };
    assert!(again.reset(&bucket) && !again.reset(&bucket));
    assert_eq!(one(&again, day(0), now).verdict.remaining, 10);
}
