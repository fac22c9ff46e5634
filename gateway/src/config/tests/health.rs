//! `ejection`, `health` and weights of an upstream.

use std::time::Duration;

use super::*;
use crate::config::{Balance, CheckKind, Ejection, Outliers, StickyKey};

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
        outliers: None,
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
fn reads_when_targets_are_compared() {
    let read =
        |keys: &str| check(&with(keys)).unwrap().config.upstreams.remove(0).ejection.outliers;
    assert_eq!(read(""), None);
    assert_eq!(read("ejection.outliers = {}"), Some(Outliers::default()));
    let outliers =
        Outliers { min_targets: 3, success_rate: 0, latency: 250, ..Outliers::default() };
    let keys = "ejection.outliers = { min_targets = 3, success_rate = 0, latency = 250 }";
    assert_eq!(read(keys), Some(outliers));
    warns(
        &with("ejection.outliers = { success_rate = 0 }"),
        "`outliers` has no effect: `success_rate` and `latency` are 0",
        "{ success_rate = 0 }",
    );
    warns(
        &with("ejection.outliers = { min_targets = 4 }"),
        "of 4 targets none is below the mean by so many standard deviations",
        "min_targets",
    );
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
fn reads_what_requests_are_hashed_by_and_priorities() {
    let read = |keys: &str| check(&in_upstream(keys)).unwrap().config.upstreams.remove(0);
    let hash = |by: &str| {
        let keys = format!("{TARGETS}\nbalance = \"consistent_hash\"\nhash_by = \"{by}\"");
        read(&keys).hash_by
    };
    assert_eq!(hash("client.address"), StickyKey::ClientAddress);
    assert_eq!(hash("header:X-Tenant"), StickyKey::Header("x-tenant".parse().unwrap()));
    assert_eq!(hash("cookie:sid"), StickyKey::Cookie("sid".to_owned()));
    assert_eq!(hash("consumer.id"), StickyKey::Attribute("consumer.id".to_owned()));
    let plain = read(TARGETS);
    assert_eq!((plain.slow_start, plain.overprovisioning), (Duration::ZERO, 140));
    let levels = read(
        "targets = [\"http://a\", { url = \"http://b\", priority = 1 }]\nslow_start = \"30s\"\n\
         overprovisioning = 200",
    );
    let priorities: Vec<_> = levels.targets.iter().map(|target| target.priority).collect();
    assert_eq!((priorities, levels.slow_start), (vec![0, 1], Duration::from_secs(30)));
}

#[test]
fn refuses_keys_that_are_none_and_warns_of_what_has_no_effect() {
    for (by, told_of) in [
        ("header:a b", "no name of a header field"),
        ("cookie:", "no name of a cookie"),
        ("request.path", "no request has this attribute"),
    ] {
        let keys = format!("balance = \"consistent_hash\"\nhash_by = \"{by}\"");
        let told = check(&with(&keys)).unwrap_err().render(false);
        assert!(told.contains(told_of), "{told}");
    }
    warns(
        &with("hash_by = \"header:a\""),
        "`hash_by` has no effect: `balance` is not `consistent_hash`",
        "\"header:a\"",
    );
    warns(
        &with("balance = \"consistent_hash\"\nslow_start = \"1s\""),
        "`slow_start` has no effect with `consistent_hash`: keys would move twice",
        "slow_start",
    );
    warns(
        &with("overprovisioning = 150"),
        "`overprovisioning` has no effect: all targets have one priority",
        "overprovisioning",
    );
    let far = in_upstream("targets = [{ url = \"http://a\", priority = 16 }]");
    let told = check(&far).unwrap_err().render(false);
    assert!(told.contains("`priority`") && told.contains("0 to 15"), "{told}");
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
    // The default of one that is wrong is nobody's time.
    let told = check(&with("ejection = { time = \"soon\", max_time = \"10s\" }")).unwrap_err();
    let told = told.render(false);
    assert!(told.contains("`soon`") && !told.contains("which is what counts"), "{told}");
}
