//! Shares of many requests.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::health::{Health, Reason};
use crate::upstream::tests::support;

const ROUND_ROBIN: config::Balance = config::Balance::RoundRobin;

fn upstream(weights: &[u32], kind: config::Balance) -> config::Upstream {
    let target = |(index, weight): (usize, &u32)| config::Target {
        tls: false,
        host: format!("t{index}"),
        port: 80,
        authority: format!("t{index}"),
        weight: *weight,
        priority: 0,
        origin: config::Origin::Url,
        place: config::Place::default(),
    };
    let targets = weights.iter().enumerate().map(target).collect();
    config::Upstream { balance: kind, ..support::config(targets) }
}

fn balanced(weights: &[u32], kind: config::Balance, skip: u32) -> Balance {
    Balance::new(&upstream(weights, kind), skip)
}

fn choose(balance: &Balance, may: impl Fn(usize) -> bool) -> Option<usize> {
    balance.choose(None, None, may)
}

fn not(tried: &[usize]) -> impl Fn(usize) -> bool {
    move |index| !tried.contains(&index)
}

fn turns(balance: &Balance, count: usize) -> Vec<usize> {
    (0..count).map(|_| choose(balance, |_| true).unwrap()).collect()
}

#[test]
fn gives_each_target_its_share_and_spreads_the_turns_of_a_heavy_one() {
    let balance = balanced(&[5, 1, 1], ROUND_ROBIN, 0);
    assert_eq!(turns(&balance, 7), [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn workers_that_skip_different_turns_start_at_different_targets() {
    let starts: Vec<_> = (0..3).map(|skip| balanced(&[1, 1, 1], ROUND_ROBIN, skip)).collect();
    let first: Vec<_> = starts.iter().map(|balance| turns(balance, 1)[0]).collect();
    assert_eq!(first, [0, 1, 2]);
}

#[test]
fn passes_over_the_targets_that_were_tried() {
    let balance = balanced(&[1, 9, 1], ROUND_ROBIN, 0);
    assert_ne!(choose(&balance, not(&[1])), Some(1));
    assert_eq!(choose(&balance, not(&[0, 1])), Some(2));
    assert_eq!(choose(&balance, not(&[0, 1, 2])), None);
    let single = balanced(&[4], ROUND_ROBIN, 0);
    assert_eq!(choose(&single, not(&[])), Some(0));
    assert_eq!(choose(&single, not(&[0])), None);
}

#[test]
fn a_detour_does_not_change_the_shares_in_the_long_run() {
    let balance = balanced(&[3, 1], ROUND_ROBIN, 0);
    for _ in 0..10 {
        let _detour = choose(&balance, not(&[0]));
    }
    let turns = turns(&balance, 400);
    let heavy = turns.iter().filter(|&&target| target == 0).count();
    assert!(heavy.abs_diff(300) <= 10, "{heavy} of 400");
}

#[test]
fn of_two_the_one_with_fewer_open_requests_for_its_weight_is_chosen() {
    let least = config::Balance::LeastRequests;
    let balance = balanced(&[1, 1, 2], least, 0);
    let slow: Vec<_> = (0..10).filter_map(|_| balance.begin(0)).collect();
    let turns = turns(&balance, 400);
    // It is both of the two at random never: the other one is always less busy.
    assert!(!turns.contains(&0), "{turns:?}");
    drop(slow);
    let even = turns_of(&balance, 400, 0);
    assert!(even.abs_diff(100) <= 10, "{even} of 400: weights hold where none is busy");
    // With as many open as its weight says, the heavy one is no busier than the others.
    let _open: Vec<_> = [0, 1, 2, 2].map(|target| balance.begin(target)).into();
    assert!(turns_of(&balance, 400, 2) >= 190);
}

fn turns_of(balance: &Balance, count: usize, target: usize) -> usize {
    turns(balance, count).into_iter().filter(|chosen| *chosen == target).count()
}

#[test]
fn targets_that_may_not_be_chosen_are_left_out_whatever_they_are_busy_with() {
    for kind in [ROUND_ROBIN, config::Balance::LeastRequests] {
        let balance = balanced(&[1, 1, 1], kind, 0);
        let _open: Vec<_> = (0..9).map(|_| balance.begin(2)).collect();
        assert!((0..50).all(|_| choose(&balance, |index| index == 2) == Some(2)));
        assert_eq!(choose(&balance, |_| false), None);
    }
}

fn share_of(
    balance: &Balance,
    health: Option<&UpstreamHealth>,
    target: usize,
    count: usize,
) -> usize {
    let draws = (0..count).filter_map(|_| {
        balance.choose(None, health, |index| health.is_none_or(|it| it.may_take(index)))
    });
    draws.filter(|chosen| *chosen == target).count()
}

#[test]
fn a_slow_target_gets_fewer_requests_by_peak_ewma() {
    let balance = balanced(&[1, 1, 1], config::Balance::PeakEwma, 0);
    let mut counts = [0; 3];
    for _ in 0..600 {
        let index = choose(&balance, |_| true).unwrap();
        counts[index] += 1;
        let mut open = balance.begin(index).unwrap();
        if index == 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        open.is_answered();
    }
    assert!(counts[1] < 60, "{counts:?}");
    assert!(counts[0] > 100 && counts[2] > 100, "{counts:?}");
}

#[test]
fn a_key_goes_to_its_target_and_without_one_targets_have_their_turns() {
    let balance = balanced(&[1, 1, 1, 1], config::Balance::ConsistentHash, 0);
    for number in 0..200_u32 {
        let key = Some(maglev::hash(&number.to_be_bytes()));
        let first = balance.choose(key, None, |_| true).unwrap();
        assert_eq!(balance.choose(key, None, |_| true), Some(first));
        let other = balance.choose(key, None, |index| index != first).unwrap();
        assert_ne!(other, first);
        assert_eq!(balance.choose(key, None, |index| index != first), Some(other));
    }
    let counts = (0..4).map(|target| turns_of(&balance, 400, target));
    assert!(counts.into_iter().all(|count| count == 100));
}

/// Two targets of priority 0 and two of 1, of which targets are ejected.
fn in_levels(kind: config::Balance, ejected: &[usize]) -> (Balance, Arc<UpstreamHealth>) {
    let mut upstream = upstream(&[1, 1, 1, 1], kind);
    upstream.targets[2].priority = 1;
    upstream.targets[3].priority = 1;
    upstream.ejection.consecutive_failures = 1;
    let health = Health::default().of(&upstream);
    ejected.iter().for_each(|index| health.failed(*index, Reason::Connect));
    (Balance::new(&upstream, 0), health)
}

#[test]
fn the_next_priority_gets_what_the_first_cannot_take() {
    for kind in [ROUND_ROBIN, config::Balance::LeastRequests, config::Balance::PeakEwma] {
        let shares = |ejected: &[usize]| {
            let (balance, health) = in_levels(kind, ejected);
            let mut shares = [0_usize; 4];
            for _ in 0..4_000 {
                let may = |index: usize| health.may_take(index);
                shares[balance.choose(None, Some(&health), may).unwrap()] += 1;
            }
            shares
        };
        assert_eq!(shares(&[]), [2_000, 2_000, 0, 0], "{kind:?}");
        // One of two is 50 %, and can take 70 % with 140 % of overprovisioning.
        let [gone, stays, next, other] = shares(&[0]);
        assert_eq!(gone, 0);
        assert!(stays.abs_diff(2_800) < 200, "{kind:?}: {stays}");
        assert!(next.abs_diff(600) < 120 && other.abs_diff(600) < 120, "{kind:?}: {next} {other}");
        let [.., next, other] = shares(&[0, 1]);
        assert_eq!(next + other, 4_000, "{kind:?}");
        // Of both levels one half is left: 70 % and 30 %.
        let [_, stays, _, next] = shares(&[0, 2]);
        assert!(stays.abs_diff(2_800) < 200 && stays + next == 4_000, "{kind:?}: {stays} {next}");
    }
}

#[test]
fn a_request_that_was_refused_stays_in_its_priority_while_another_is_there() {
    let (balance, health) = in_levels(ROUND_ROBIN, &[]);
    assert_eq!(balance.choose(None, Some(&health), |index| index != 0), Some(1));
    let next = balance.choose(None, Some(&health), |index| index > 1);
    assert!(matches!(next, Some(2 | 3)), "{next:?}");
    let (balance, health) = in_levels(config::Balance::ConsistentHash, &[0, 1]);
    let key = Some(maglev::hash(b"a"));
    let may = |index: usize| health.may_take(index);
    let first = balance.choose(key, Some(&health), may).unwrap();
    assert!(first > 1 && (0..50).all(|_| balance.choose(key, Some(&health), may) == Some(first)));
}

#[test]
fn a_target_that_is_back_begins_slowly() {
    let mut upstream = upstream(&[1, 1], ROUND_ROBIN);
    upstream.slow_start = Duration::from_secs(3600);
    upstream.ejection.consecutive_failures = 1;
    upstream.ejection.time = Duration::from_millis(1);
    let known = Health::default();
    let health = known.of(&upstream);
    let balance = Balance::new(&upstream, 0);
    assert_eq!(share_of(&balance, Some(&health), 1, 2_000), 1_000, "not at the start of all");
    health.failed(1, Reason::Connect);
    while !health.may_take(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    health.answered(1, http::StatusCode::OK, None);
    // A tenth of its weight beside a whole one.
    let share = share_of(&balance, Some(&health), 1, 2_200);
    assert!(share.abs_diff(200) < 20, "{share}");
    // One that a reload adds begins slowly too; when the time is over, each has its weight.
    let added = config::Target { authority: "new".to_owned(), ..upstream.targets[0].clone() };
    upstream.targets[1] = added;
    let health = known.of(&upstream);
    assert_eq!((health.share(0), health.share(1) / 10), (WHOLE, 10));
    upstream.slow_start = Duration::from_millis(1);
    let health = known.of(&upstream);
    while health.share(1) < WHOLE {
        std::thread::sleep(Duration::from_millis(1));
    }
}
