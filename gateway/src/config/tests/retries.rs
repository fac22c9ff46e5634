//! `retries` of a route, `retry_budget` and `capacity` of an upstream.

use std::time::Duration;

use http::Method;

use super::*;
use crate::config::{Adaptive, Capacity, ConnectionBound, RetryBudget, RetryOn};

fn with(keys: &str) -> String {
    in_route(&format!("{FORWARD}\n{keys}"))
}

#[test]
fn reads_when_a_request_is_sent_again() {
    let read = |keys: &str| check(&with(keys)).unwrap().config.routes.pop().unwrap().retries;
    assert_eq!(read(""), None);
    let plain = read("retries = {}").unwrap();
    assert_eq!((plain.attempts, plain.body, plain.attempt_timeout), (3, 1 << 20, None));
    assert_eq!(plain.on, RetryOn { connect: true, reset: true, timeout: true });
    assert_eq!(plain.statuses, [502, 503, 504]);
    assert!(plain.methods.iter().all(Method::is_idempotent) && plain.methods.len() == 6);
    let full = read(
        "retries = { attempts = 2, on = [\"connect\", \"timeout\"], statuses = [429], methods = [\"POST\"], \
         attempt_timeout = \"2s\", backoff = \"1ms\", max_backoff = \"2ms\", retry_after = \"0s\", body = \"8KiB\", \
         hedge_after = \"95ms\" }",
    )
    .unwrap();
    assert_eq!(full.on, RetryOn { connect: true, reset: false, timeout: true });
    assert_eq!((full.statuses, full.methods), (vec![429], vec![Method::POST]));
    assert_eq!((full.attempts, full.body), (2, 8 << 10));
    assert_eq!(read("retries.methods = []").unwrap().methods, [Method::GET; 0]);
    let ms = Duration::from_millis;
    assert_eq!((full.backoff, full.max_backoff, full.retry_after), (ms(1), ms(2), ms(0)));
    assert_eq!((full.attempt_timeout, full.hedge_after), (Some(ms(2000)), Some(ms(95))));
    let budget = |keys: &str| {
        let text = in_upstream(&format!("{TARGETS}\n{keys}"));
        check(&text).unwrap().config.upstreams.remove(0).retry_budget
    };
    assert_eq!(budget(""), RetryBudget::default());
    let given = budget("retry_budget = { share = 0.5, min_per_second = 0 }");
    assert_eq!(given, RetryBudget { share: 500, min_per_second: 0 });
}

#[test]
fn refuses_retries_that_never_happen_or_cannot_be() {
    refuses(
        &with("retries = { on = [], statuses = [] }"),
        "no request is ever sent again: `on` and `statuses` are empty",
        "on",
        "name a failure or a status, or leave `retries` out",
    );
    refuses(
        &with("retries.on = [\"conect\"]"),
        "`conect` is no value of `on`",
        "\"conect\"",
        "did you mean `connect`?",
    );
    refuses(
        &with(
            "retries = { attempts = 2, on = [\"conect\"], statuses = [], attempt_timeout = \"1s\" }",
        ),
        "`conect` is no value of `on`",
        "\"conect\"",
        "did you mean `connect`?",
    );
    refuses(
        &with("retries = { attempts = 2, on = [], statuses = [200] }"),
        "this is no status that can be here",
        "200",
        "",
    );
    refuses(&with("retries.statuses = [200]"), "this is no status that can be here", "200", "");
    refuses(
        &with("retries.methods = [\"post\"]"),
        "`post` is not a method",
        "post",
        "methods are case-sensitive: write `POST`",
    );
    refuses(&with("retries.attempts = 1"), "`attempts` is out of range: 1", "1", "");
    refuses(
        &with("attempts = 2"),
        "unknown key `attempts` in `[[routes]]`",
        "attempts",
        "`attempts` belongs in `retries`: `retries.attempts = ...`",
    );
}

#[test]
fn warns_of_retries_without_effect() {
    let split = "split = { variants = [{ name = \"a\", upstream = \"u\" }, { name = \"b\", upstream = \"u\" }] }";
    assert_eq!(findings(&in_route(&format!("paths = [\"/\"]\n{split}\nretries = {{}}"))), []);
    warns(
        &in_route("paths = [\"/\"]\nrespond = {}\nretries = {}"),
        "`retries` has no effect: the route forwards to no upstream",
        "retries",
    );
    warns(
        &with("retries = { on = [\"reset\"], attempt_timeout = \"1s\" }"),
        "an attempt that takes as long is ended, and no other follows",
        "attempt_timeout",
    );
    warns(
        &with("retries.backoff = \"5s\""),
        "`backoff` is over `max_backoff`, which is what counts",
        "backoff",
    );
}

#[test]
fn reads_how_many_requests_an_upstream_has_at_a_time() {
    let with = |keys: &str| in_upstream(&format!("{TARGETS}\n{keys}"));
    let read = |keys: &str| check(&with(keys)).unwrap().config.upstreams.remove(0).capacity;
    assert_eq!(read(""), None);
    let queue_time = Duration::from_secs(1);
    assert_eq!(
        read("capacity.requests = 5"),
        Some(Capacity { requests: 5, queue: 100, queue_time, adaptive: None })
    );
    let policy = Adaptive {
        min: 2,
        latency: 150,
        interval: Duration::from_millis(500),
        remeasure: Duration::from_secs(60),
    };
    let adaptive = read("capacity = { requests = 5, adaptive = { min = 2 } }").unwrap().adaptive;
    assert_eq!(adaptive, Some(policy));
    refuses(
        &with("capacity = { requests = 5, adaptive = true }"),
        "`adaptive` of a capacity must be a table, but this is a boolean",
        "true",
        "write `adaptive = { latency = 200 }`",
    );
    warns(
        &with("capacity = { requests = 5, adaptive = { interval = \"5m\", remeasure = \"1s\" } }"),
        "`remeasure` is shorter than `interval`: it is measured after every interval, and no sooner",
        "remeasure",
    );
    refuses(
        &with("capacity = { requests = 3, adaptive = {} }"),
        "`min` is 4, which is over `requests` (3)",
        "requests",
        "`requests` is the upper bound, and `min` the lower one",
    );
    refuses(
        &with("capacity = { queue = 5 }"),
        "`capacity` of an upstream has no `requests`",
        "{ queue = 5 }",
        "add `requests = 100`",
    );
    warns(
        &with("capacity = { requests = 5, queue = 0, queue_time = \"2s\" }"),
        "`queue_time` has no effect: `queue` is 0, and no request waits",
        "queue_time",
    );
}

#[test]
fn reads_how_many_connections_a_target_has_at_a_time() {
    let with = |keys: &str| in_upstream(&format!("{TARGETS}\n{keys}"));
    let read = |keys: &str| check(&with(keys)).unwrap().config.upstreams.remove(0).connections;
    assert_eq!(read(""), None);
    let queue_time = Duration::from_secs(1);
    let bound = ConnectionBound { max: 5, queue: 100, queue_time };
    assert_eq!(read("connections.max = 5"), Some(bound));
    refuses(
        &with("connections = 5"),
        "`connections` of an upstream must be a table, but this is an integer",
        "5",
        "write `connections = { max = 100 }`",
    );
    refuses(
        &with("connections = { queue = 5 }"),
        "`connections` of an upstream has no `max`",
        "{ queue = 5 }",
        "add `max = 100`",
    );
    warns(
        &with("connections = { max = 5, queue = 0, queue_time = \"2s\" }"),
        "`queue_time` has no effect: `queue` is 0, and no request waits",
        "queue_time",
    );
}

#[test]
fn refuses_bodies_that_are_read_first_and_can_have_no_room() {
    let with = |room: &str, limit: &str| {
        file(room, &format!("{TARGETS}\nbuffer_request_bodies = \"{limit}\""), "", FORWARD)
    };
    let error = |room: u64| {
        format!(
            "a body may be larger than the {room} bytes that all bodies have together (`buffered_bodies` of `[gateway]`)"
        )
    };
    let help = "raise `buffered_bodies` of `[gateway]`, or lower `buffer_request_bodies`";
    let small = "[gateway]\nbuffered_bodies = \"64KiB\"";
    refuses(&with(small, "65KiB"), &error(64 << 10), "\"65KiB\"", help);
    refuses(&with("", "257MiB"), &error(256 << 20), "\"257MiB\"", help);
    assert_eq!(findings(&with(small, "64KiB")), []);
}
