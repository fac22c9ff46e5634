//! State that plugins share: between workers, not between plugins, and across a reload.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateway::{ReloadError, config::Config};
use gateway_tests::client::{self, request};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, log, until, within};
use http::Response;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const COUNTERS: &str = r#"
[plugins.one]
component = "./counter.wasm"
grants = ["key-value"]

[plugins.other]
component = "./counter.wasm"
grants = ["key-value"]

[plugins.brief]
component = "./counter.wasm"
grants = ["key-value"]
config = { ttl = 1000 }

[[routes]]
name = "one"
paths = ["/one"]
plugins = ["one"]
respond = { body = "${env:WORD}" }

[[routes]]
name = "other"
paths = ["/other"]
plugins = ["other"]
respond = { body = "fine" }

[[routes]]
name = "brief"
paths = ["/brief"]
plugins = ["brief"]
respond = { body = "fine" }
"#;

fn counters(word: &str) -> Setup {
    Setup::toml(COUNTERS, &[("WORD", &word)]).workers(2)
}

/// Sends this many requests at the same time, each on its own connection, so that the workers
/// share them.
async fn at_once(gateway: &Running, path: &'static str, count: usize) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let address = gateway.address;
        tasks.spawn(async move { Http1::get(address, path).await });
    }
    within(tasks.join_all()).await
}

async fn count(gateway: &Running, path: &str) -> u64 {
    let answer = Http1::get(gateway.address, path).await;
    answer.header("x-count").unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_hundred_increments_on_two_workers_add_up_and_none_is_seen_twice() {
    let gateway = counters("fine").start();
    let answers = at_once(&gateway, "/one", 200).await;
    let sums: BTreeSet<u64> =
        answers.iter().map(|answer| answer.header("x-count").unwrap().parse().unwrap()).collect();
    assert_eq!(sums, (1..=200).collect());
}

#[tokio::test]
async fn keys_of_two_configured_plugins_do_not_meet_though_the_component_is_the_same() {
    let gateway = counters("fine").start();
    for sum in 1..=3 {
        assert_eq!(count(&gateway, "/one").await, sum);
    }
    assert_eq!(count(&gateway, "/other").await, 1);
    assert_eq!(count(&gateway, "/one").await, 4);
}

#[tokio::test]
async fn a_value_past_its_time_is_gone_and_one_without_stays() {
    let gateway = counters("fine").start();
    assert_eq!((count(&gateway, "/brief").await, count(&gateway, "/one").await), (1, 1));
    let mut before = count(&gateway, "/brief").await;
    assert_eq!(before, 2);
    within(async {
        loop {
            let now = count(&gateway, "/brief").await;
            if now == 1 {
                break;
            }
            assert_eq!(now, before + 1, "until then it only grows");
            before = now;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(count(&gateway, "/one").await, 2);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_told_to_the_plugin_and_no_trap() {
    let gateway = counters("fine").start();
    let key = "k".repeat(2 << 10);
    let fields = [("x-count-key", key.as_str())];
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/one", &fields, "")).await;
    assert_eq!((answer.status(), answer.header("x-count")), (200, Some("TooLarge")));
    let fields = [("x-count-by", "9223372036854775807")];
    client.send(request("GET", "/one", &fields, "")).await;
    let answer = client.send(request("GET", "/one", &fields, "")).await;
    assert_eq!((answer.status(), answer.header("x-count")), (200, Some("NotANumber")));
}

const LIMITED: &str = r#"
[plugins.limit]
component = "rate-limit"
config = { policies = [{ name = "all", limit = 50, window = "1d", key = [] }] }

[[routes]]
name = "limited"
paths = ["/{*rest}"]
plugins = ["limit"]
respond = { body = "fine" }
"#;

#[tokio::test]
async fn two_workers_admit_exactly_the_limit_together() {
    let gateway = Setup::toml(LIMITED, &[]).workers(2).start();
    let answers = at_once(&gateway, "/", 200).await;
    let with = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((with(200), with(429)), (50, 150));
}

#[tokio::test]
async fn state_outlives_a_reload() {
    let gateway = counters("old").start();
    assert_eq!(count(&gateway, "/one").await, 1);
    gateway.handle.reload(counters("new").config).unwrap();
    // Each worker takes the new configuration when it comes to it, so several connections ask.
    let mut last = 1;
    within(async {
        let mut new_in_a_row = 0;
        while new_in_a_row < 20 {
            let answer = Http1::get(gateway.address, "/one").await;
            last += 1;
            assert_eq!(answer.header("x-count"), Some(last.to_string().as_str()));
            new_in_a_row = if answer.text() == "new" { new_in_a_row + 1 } else { 0 };
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_plugin_keeps_goes_with_it_and_that_of_others_stays() {
    let gateway = counters("fine").start();
    for sum in 1..=2 {
        assert_eq!((count(&gateway, "/one").await, count(&gateway, "/other").await), (sum, sum));
    }
    let without = COUNTERS
        .replace("plugins = [\"other\"]", "")
        .replace("[plugins.other]\ncomponent = \"./counter.wasm\"\ngrants = [\"key-value\"]\n", "");
    let without = Setup::toml(&without, &[("WORD", &"fine")]).workers(2).config;
    assert_eq!(without.plugins.len(), 2);
    gateway.handle.reload(without).unwrap();
    assert_eq!(count(&gateway, "/one").await, 3);
    gateway.handle.reload(counters("fine").config).unwrap();
    assert_eq!((count(&gateway, "/one").await, count(&gateway, "/other").await), (4, 1));
}

const INLINE: &str = r#"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = [${env:BEFORE}{ component = "./counter.wasm", grants = ["key-value"] }]
respond = { body = "fine" }
"#;

#[tokio::test]
async fn what_a_plugin_keeps_does_not_fall_to_another_that_takes_its_place_in_a_route() {
    let config = |before: &str| Setup::toml(&INLINE.replace("${env:BEFORE}", before), &[]).config;
    let counter = r#"{ component = "./counter.wasm", grants = ["key-value"] }, "#;
    let tagger = r#"{ component = "./tagger.wasm", config = { name = "first" } }, "#;
    let setup = Setup { config: config("") };
    let gateway = setup.start();
    assert_eq!((count(&gateway, "/").await, count(&gateway, "/").await), (1, 2));
    // The same component at the same place is the same plugin.
    gateway.handle.reload(config(counter)).unwrap();
    Http1::get(gateway.address, "/").await;
    gateway.handle.reload(config(tagger)).unwrap();
    assert_eq!(count(&gateway, "/").await, 2, "the second counter goes on, and the first is gone");
    gateway.handle.reload(config("")).unwrap();
    assert_eq!(count(&gateway, "/").await, 1);
}

const FLOODED: &str = r#"
[plugins.limit]
component = "rate-limit"
config = { policies = [{ name = "each", limit = 3, window = "1h", key = ["header:x-key"] }] }
limits = { limiter = "64KiB" }

[[routes]]
name = "limited"
paths = ["/{*rest}"]
plugins = ["limit"]
respond = { body = "fine" }
"#;

#[tokio::test]
async fn a_flood_of_keys_turns_no_limit_off() {
    let gateway = Setup::toml(FLOODED, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    let mut status =
        async |key: &str| client.send(request("GET", "/", &[("x-key", key)], "")).await.status();
    for expected in [200, 200, 200, 429] {
        assert_eq!(status("known").await, expected);
    }
    // Room is for 2,560 keys.
    for number in 0..4_000 {
        let key = format!("flood/{number}");
        assert_eq!(status(&key).await, 200, "{number}");
        if number % 100 == 0 {
            assert_eq!(status("known").await, 429);
        }
    }
    assert_eq!(status("known").await, 429);
    let mut admitted = 0;
    while status("new").await == 200 {
        admitted += 1;
    }
    assert!((1..=3).contains(&admitted), "{admitted}");
    let told = log::lines(|line| line.message.contains("`limits.limiter`"));
    assert_eq!(told.len(), 1, "{told:?}");
}

const NAMED: &str = r#"
[plugins.tagger]
component = "./tagger.wasm"
config = { name = "${env:NAME}" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["tagger"]
upstream = "orders"
"#;

#[tokio::test]
async fn an_exchange_ends_with_the_plugins_that_it_began_with() {
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::http1(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            if request.uri().path() == "/slow" {
                gate.acquire().await.unwrap().forget();
            }
            Response::new(full("fine"))
        }
    })
    .await;
    let config = |name: &str| -> Setup {
        Setup::toml(NAMED, &[("NAME", &name), ("ORDERS", &upstream.address)])
    };
    let gateway = config("old").start();
    let address = gateway.address;
    let slow = tokio::spawn(async move { Http1::get(address, "/slow").await });
    until(|| upstream.requests().len() == 1).await;
    gateway.handle.reload(config("new").config).unwrap();
    let mut client = Http1::connect(address).await;
    within(async {
        while client.send(client::get("/")).await.header("x-trace-response") != Some("new") {}
    })
    .await;
    go_on.add_permits(1);
    let answer = within(slow).await.unwrap();
    assert_eq!((answer.status(), answer.header("x-trace-response")), (200, Some("old")));
    until(|| log::said(answer.id()).iter().any(|line| line.starts_with("old saw the end"))).await;
    assert_eq!(Http1::get(address, "/").await.header("x-trace-response"), Some("new"));
}

#[tokio::test]
async fn a_reload_with_a_plugin_that_does_not_load_changes_nothing() {
    let upstream = Upstream::echo().await;
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("NAME", &"kept"), ("ORDERS", &upstream.address)];
    let gateway = Setup::toml(NAMED, &values).start();
    let broken: Config = {
        let text = NAMED.replace("tagger.wasm", "fails-configure.wasm");
        let text = text.replace("config = { name = \"${env:NAME}\" }", "");
        Setup::toml(&text, &values).config
    };
    let error = gateway.handle.reload(broken).unwrap_err();
    let ReloadError::Refused(errors) = error else { panic!("{error}") };
    assert!(errors[0].to_string().contains("panicked in configure on purpose"), "{errors:?}");
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!(answer.header("x-trace-response"), Some("kept"));
}

#[tokio::test]
async fn a_fresh_instance_knows_nothing_of_the_hook_before() {
    let text = r#"
[plugins.swelling]
component = "./allocates.wasm"
isolation = "${env:ISOLATION}"
limits = { deadline = "1s" }

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["swelling"]
respond = { body = "fine" }
"#;
    // 9 of 16 MiB fit into an instance once.
    for (isolation, second) in [("pooled", 500), ("fresh", 200)] {
        let gateway = Setup::toml(text, &[("ISOLATION", &isolation)]).start();
        let mut client = Http1::connect(gateway.address).await;
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let answer = client.send(request("GET", "/", &[("x-allocate", "9")], "")).await;
            statuses.push(answer.status());
        }
        assert_eq!(statuses, [200, second], "{isolation}");
    }
}
