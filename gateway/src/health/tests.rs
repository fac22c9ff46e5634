//! The health of targets: what takes one out, what lets it in again, and for how long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::*;
use crate::config::{CheckKind, HealthCheck, RetryBudget, Target};
use crate::upstream::tests::support::config as upstream;

const WAIT: Duration = Duration::from_secs(20);

fn health(targets: usize, ejection: Ejection) -> Arc<UpstreamHealth> {
    Health::default().of(&configured(targets, ejection))
}

fn configured(targets: usize, ejection: Ejection) -> Upstream {
    let targets = (1..=targets as u16).map(|port| Target {
        tls: false,
        host: "a".to_owned(),
        port,
        authority: format!("a:{port}"),
        weight: 1,
        priority: 0,
        origin: crate::config::Origin::Url,
        place: crate::config::Place::default(),
    });
    Upstream { ejection, ..upstream(targets.collect()) }
}

fn brief(consecutive_failures: u32) -> Ejection {
    let time = Duration::from_millis(50);
    Ejection { consecutive_failures, time, ..Ejection::default() }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_target_is_ejected_after_failures_in_a_row_and_a_single_request_brings_it_back() {
    let health = health(3, brief(3));
    for _ in 0..2 {
        health.failed(0, Reason::NoResponse);
    }
    health.answered(0, StatusCode::OK, None);
    for _ in 0..2 {
        health.failed(0, Reason::NoResponse);
    }
    assert!(health.may_take(0), "they were not in a row");
    health.failed(0, Reason::NoResponse);
    assert!(!health.may_take(0) && health.may_take(1));
    wait_until("it is not asked again", || health.may_take(0));
    assert!(health.takes(0), "one request sees whether it is back");
    assert!(!health.may_take(0) && !health.takes(0), "and no other");
    health.answered(0, StatusCode::OK, None);
    assert!(health.may_take(0) && health.takes(0) && health.takes(0));
}

#[test]
fn the_log_does_not_say_of_a_target_that_it_takes_no_requests_where_it_does() {
    let known = Health::default();
    let words = |targets| known.of(&configured(targets, brief(1))).targets[0].down_words();
    let of_many = "the target takes no requests: its health checks fail";
    assert_eq!(words(2), of_many);
    let alone = words(1);
    assert!(alone.contains("gets requests all the same, as its upstream has no other"), "{alone}");
    assert_eq!(words(2), of_many, "after a reload it has others");
    known.keep(&[configured(2, brief(1))]);
    assert_eq!(words(2), of_many, "and when nobody uses it yet");
    // Below the threshold all get requests, and where none takes any.
    let health = health(3, Ejection { panic_threshold: 500, ..brief(1) });
    let said = |index: usize| health.targets[index].ejected_words(Reason::Connect);
    health.failed(0, Reason::Connect);
    assert_eq!(said(0), "the target takes no requests for a while: too many failed in a row");
    health.failed(1, Reason::Connect);
    let few = "gets requests all the same, as too few targets of its upstream take any";
    assert!(said(1).contains(few), "{}", said(1));
    let health = self::health(2, brief(1));
    health.failed(0, Reason::Connect);
    assert!(!health.targets[0].down_words().contains(few));
    health.targets[1].drain(true);
    assert!(health.targets[0].down_words().contains(few));
}

#[test]
fn a_request_that_fails_where_it_was_to_be_seen_ejects_for_longer() {
    let health = health(2, brief(1));
    health.failed(0, Reason::Connect);
    let first = health.targets[0].show().until.unwrap();
    wait_until("it is not asked again", || health.takes(0));
    health.failed(0, Reason::Connect);
    let shown = health.targets[0].show();
    assert!(shown.until.unwrap() - first >= Duration::from_millis(100), "twice as long");
    assert_eq!((shown.state, shown.reason), (State::Ejected, Some(Reason::Connect)));
    assert_eq!(shown.ejections, [2, 0, 0, 0, 0]);
    // A late failure of a request from before is not held against it again.
    health.failed(0, Reason::NoResponse);
    assert_eq!(health.targets[0].show().ejections, [2, 0, 0, 0, 0]);
}

#[test]
fn the_last_target_stays_and_no_more_than_the_share_is_ejected_for_its_responses() {
    let health = health(4, Ejection { max_share: 500, ..brief(1) });
    let bad = StatusCode::BAD_GATEWAY;
    (0..4).for_each(|index| health.answered(index, bad, None));
    let open = |health: &UpstreamHealth| (0..4).filter(|index| health.may_take(*index)).count();
    assert_eq!(open(&health), 2, "half of them");
    (0..4).for_each(|index| health.failed(index, Reason::Connect));
    assert_eq!(open(&health), 1, "who cannot be connected to is of no use, but one stays");
}

#[test]
fn other_statuses_and_a_count_of_zero_eject_nobody() {
    let never = health(2, brief(0));
    (0..99).for_each(|_| never.failed(0, Reason::Connect));
    assert!(never.takes(0));
    let health = health(2, brief(1));
    for status in [500, 501, 429, 404] {
        health.answered(0, StatusCode::from_u16(status).unwrap(), None);
        assert!(health.takes(0), "{status}");
    }
}

#[test]
fn all_get_requests_while_too_few_take_them() {
    let health = health(4, Ejection { panic_threshold: 500, ..brief(1) });
    health.failed(0, Reason::Connect);
    health.failed(1, Reason::Connect);
    assert!(!health.is_ignored(), "half of them are there");
    health.failed(2, Reason::Connect);
    assert!(health.is_ignored());
}

#[test]
fn checks_take_a_target_out_and_let_it_in_again() {
    let kind = CheckKind::Tcp;
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let check = HealthCheck { kind, interval, timeout, unhealthy: 2, healthy: 2 };
    let health = health(2, Ejection::default());
    let target = &health.targets[0];
    let fails = || target.checked(&check, Err("refused".to_owned()));
    fails();
    target.checked(&check, Ok(()));
    fails();
    assert!(health.takes(0), "they were not in a row");
    fails();
    assert!(!health.may_take(0));
    assert_eq!(target.show().check_error.as_deref(), Some("refused"));
    target.checked(&check, Ok(()));
    assert!(!health.may_take(0));
    target.checked(&check, Ok(()));
    assert!(health.takes(0));
    assert_eq!(target.show().checks, [3, 3]);
}

#[test]
fn health_outlives_a_reload_for_as_long_as_the_target_is_there() {
    let known = Health::default();
    let config = configured(2, brief(1));
    known.of(&config).failed(0, Reason::Connect);
    let changed = Upstream { host: crate::config::HostPolicy::Target, ..config.clone() };
    assert!(!known.of(&changed).may_take(0), "it is the same target");
    known.keep(&[configured(1, brief(1))]);
    assert_eq!(known.all().len(), 1);
    assert!(known.of(&config).may_take(1), "a target that is new");
}

#[test]
fn who_is_drained_takes_nothing_until_it_is_enabled() {
    let health = health(2, brief(1));
    health.targets[0].drain(true);
    health.answered(0, StatusCode::OK, None);
    assert!(!health.may_take(0) && health.is_drained(0));
    health.targets[0].drain(false);
    assert!(health.takes(0));
}

#[test]
fn a_success_that_was_under_way_does_not_bring_an_outlier_back() {
    let policy = Ejection { time: Duration::from_millis(50), ..Ejection::default() };
    let health = health(2, policy.clone());
    health.targets[0].eject(&policy, Reason::Latency, 0);
    health.answered(0, StatusCode::OK, None);
    assert!(!health.is_open(0) && !health.may_take(0));
    while !health.may_take(0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(health.takes(0), "one request sees whether it is back");
    health.answered(0, StatusCode::OK, None);
    assert!(health.is_open(0));
}

fn load(share: u32, min_per_second: u32) -> UpstreamLoad {
    let retry_budget = RetryBudget { share, min_per_second };
    UpstreamLoad::new(&Upstream { retry_budget, ..configured(1, Ejection::default()) })
}

fn granted(load: &UpstreamLoad, second: u32, asked: usize) -> usize {
    (0..asked).filter(|_| load.may_retry_at(second)).count()
}

#[test]
fn a_share_of_the_requests_of_the_last_seconds_may_be_sent_again_and_a_minimum() {
    let load = load(200, 1);
    (0..100).for_each(|_| load.begins_at(20));
    assert_eq!(granted(&load, 20, 50), 20 + 10);
    assert_eq!((load.is_spent_at(20), load.refused()), (true, [20, 0]));
    assert_eq!(granted(&load, 29, 1), 0, "all of it is of the last ten seconds");
    // The requests are as old as the attempts.
    assert_eq!(granted(&load, 30, 50), 10);
    assert_eq!(granted(&self::load(0, 0), 11, 3), 0);
}

#[test]
fn a_retry_budget_that_was_spent_has_room_when_half_of_it_is_free() {
    let load = load(0, 1);
    assert_eq!(granted(&load, 11, 6) + granted(&load, 15, 6), 10);
    assert!(load.is_spent_at(15));
    // Four of the ten are still of the last ten seconds.
    assert_eq!(granted(&load, 21, 1), 1);
    assert!(!load.is_spent_at(21));
}
