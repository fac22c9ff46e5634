//! `ejection`, `health` and weights of an upstream.

use std::time::Duration;

use super::*;
use crate::config::{Balance, CheckKind, Ejection};

fn with(keys: &str) -> String {
    in_upstream(&format!("{TARGETS}\n{keys}"))
}

#[test]
fn reads_when_a_target_is_left_out() {
    let read = |keys: &str| check(&with(keys)).unwrap().config.upstreams.remove(0);
    let plain = read("");
    assert_eq!(
        (plain.ejection, plain.health, plain.balance),
        (Ejection::default(), None, Balance::RoundRobin)
    );
    let full = read(
        "balance = \"least_requests\"\n\
         ejection = { consecutive_failures = 2, time = \"1s\", max_time = \"2s\", max_share = 0.25, statuses = [500], \
         panic_threshold = 0.5 }\n\
         health = { path = \"/up?x\", interval = \"3s\", timeout = \"4s\", unhealthy = 5, healthy = 6, statuses = [204] }",
    );
    let ejection = Ejection {
        consecutive_failures: 2,
        time: Duration::from_secs(1),
        max_time: Duration::from_secs(2),
        max_share: 250,
        statuses: vec![500],
        panic_threshold: 500,
    };
    assert_eq!((full.ejection, full.balance), (ejection, Balance::LeastRequests));
    let health = full.health.unwrap();
    let kind = CheckKind::Http { path: "/up?x".parse().unwrap(), statuses: Some(vec![204]) };
    assert_eq!((health.kind, health.unhealthy, health.healthy), (kind, 5, 6));
    let grpc = read("health = { kind = \"grpc\", service = \"a.B\" }").health.unwrap();
    assert_eq!(grpc.kind, CheckKind::Grpc { service: "a.B".to_owned() });
    assert_eq!((grpc.interval, grpc.timeout), (Duration::from_secs(10), Duration::from_secs(2)));
    assert_eq!(read("health = { kind = \"tcp\" }").health.unwrap().kind, CheckKind::Tcp);
}

#[test]
fn refuses_checks_that_cannot_be_made() {
    refuses(
        &with("health = { interval = \"1s\" }"),
        "a check by `http` needs a `path`",
        "{ interval = \"1s\" }",
        "add `path = \"/healthz\"`, or `kind = \"tcp\"` if a connection is enough",
    );
    refuses(&with("health.path = \"up\""), "a path begins with `/`", "up", "write `/up`");
    refuses(
        &with("health = { kind = \"tcp\", path = \"/up\" }"),
        "`path` is not for a check by `tcp`",
        "\"/up\"",
        "leave it out, or choose another `kind`",
    );
    refuses(
        &with("health = { path = \"/up\", service = \"s\" }"),
        "`service` is not for a check by `http`",
        "\"s\"",
        "leave it out, or choose another `kind`",
    );
    refuses(
        &with("protocol = \"http1\"\nhealth.kind = \"grpc\""),
        "a check by `grpc` needs HTTP/2, and `protocol` is `http1`",
        "\"grpc\"",
        "write `protocol = \"http2\"`, or choose another `kind`",
    );
    refuses(&with("ejection.statuses = [404]"), "this is no status that can be here", "404", "");
    refuses(
        &with("ejection.statuses = [\"5xx\"]"),
        "a status must be an integer, but this is a string",
        "\"5xx\"",
        "",
    );
}

#[test]
fn refuses_weights_that_leave_no_target() {
    let targets = "[{ url = \"http://a\", weight = 0 }, { url = \"http://b\", weight = 0 }]";
    refuses(
        &in_upstream(&format!("targets = {targets}")),
        "no target gets a request: each has the weight 0",
        targets,
        "leave `weight` out where a target shall get its share",
    );
}

#[test]
fn warns_of_a_time_that_the_longest_cuts() {
    warns(
        &with("ejection.time = \"10m\""),
        "`time` is over `max_time`, which is what counts",
        "time",
    );
}
