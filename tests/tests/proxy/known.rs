//! What the gateway does for a plugin without calling it: changes of every head, and changes that
//! the plugin allows to be made again.

use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream};
use http::HeaderMap;

const CONFIG: &str = r#"
[admin]
address = "127.0.0.1:0"
[plugins.every]
component = "./remembers.wasm"
config = { every = "always", idle = true }
grants = ["limiter", "key-value", "metrics"]

[plugins.turns]
component = "./remembers.wasm"
config = { allow = 600000, every = "both" }
grants = ["limiter", "key-value", "metrics"]

[plugins.short]
component = "./remembers.wasm"
config = { allow = 300 }
grants = ["limiter", "key-value", "metrics"]

[plugins.never]
component = "./remembers.wasm"
config = {}
grants = ["limiter", "key-value", "metrics"]

[plugins.fresh]
component = "./remembers.wasm"
config = { allow = 600000 }
grants = ["limiter", "key-value", "metrics"]
isolation = "fresh"

[plugins.shown]
component = "transform"
config.response.headers.set = { "x-shown" = "${attribute.turn}" }

[plugins.tagger]
component = "./tagger.wasm"
config = { name = "tagger" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "every"
paths = ["/every/{*rest}"]
plugins = ["every", "tagger"]
upstream = "orders"

[[routes]]
name = "turns"
paths = ["/turns/{*rest}"]
plugins = ["turns", "shown"]
upstream = "orders"

[[routes]]
name = "short"
paths = ["/short"]
plugins = ["short"]
upstream = "orders"

[[routes]]
name = "never"
paths = ["/never"]
plugins = ["never"]
upstream = "orders"

[[routes]]
name = "fresh"
paths = ["/fresh"]
plugins = ["fresh"]
upstream = "orders"
"#;

fn start(upstream: &Upstream) -> Running {
    Setup::toml(CONFIG, &[("ORDERS", &upstream.address)]).start()
}

async fn ask(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", path, fields, "")).await
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Which call of the hook wrote into the response.
async fn turn(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = ask(gateway, path, fields).await;
    assert_eq!(answer.status(), 200);
    lines(&answer.head.headers, "x-turn").join(" ")
}

#[tokio::test]
async fn what_is_in_every_head_needs_no_hook() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    let sent = [("x-every", "client"), ("x-more", "client"), ("x-less", "client")];
    let answer = ask(&gateway, "/every/a", &sent).await;
    assert_eq!(answer.status(), 200);
    let seen = upstream.request();
    assert_eq!(lines(&seen.headers, "x-every"), ["always"]);
    assert_eq!(lines(&seen.headers, "x-more"), ["client", "one"]);
    assert!(!seen.headers.contains_key("x-less"));
    assert_eq!(lines(&answer.head.headers, "x-every"), ["always"]);
    assert_eq!(lines(&answer.head.headers, "x-more"), ["one"]);
}

#[tokio::test]
async fn every_response_is_changed_whoever_made_it() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    let answer = ask(&gateway, "/every/a", &[("x-answer", "tagger")]).await;
    assert_eq!(answer.body, "answered by tagger");
    assert_eq!(lines(&answer.head.headers, "x-every"), ["always"]);
    let address = upstream.address;
    drop(upstream);
    let _closed = gateway_tests::ClosedPort::at(address).await;
    let answer = ask(&gateway, "/every/a", &[]).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(lines(&answer.head.headers, "x-every"), ["always"]);
}

#[tokio::test]
async fn a_hook_sees_what_is_in_every_request() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    ask(&gateway, "/turns/a", &[("x-every", "client")]).await;
    assert_eq!(lines(&upstream.request().headers, "x-seen"), ["both"]);
}

#[tokio::test]
async fn a_change_is_made_again_where_the_same_arrives() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    let mut client = Http1::connect(gateway.address).await;
    // What the plugin did not declare may be another: the path and other fields.
    for path in ["/turns/a", "/turns/b?c=d"] {
        for other in ["1", "2"] {
            let fields = [("x-key", "one"), ("x-other", other)];
            let answer = client.send(request("GET", path, &fields, "")).await;
            assert_eq!(lines(&answer.head.headers, "x-turn"), ["1"]);
            assert_eq!(lines(&answer.head.headers, "x-shown"), ["1"], "the attribute is set");
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(lines(&seen.headers, "x-turn"), ["1"]);
            assert_eq!(seen.uri.path(), path.split('?').next().unwrap());
        }
    }
    assert_eq!(turn(&gateway, "/turns/a", &[("x-key", "two")]).await, "2");
    assert_eq!(turn(&gateway, "/turns/a", &[("x-key", "")]).await, "3");
    assert_eq!(turn(&gateway, "/turns/a", &[]).await, "4");
    for (key, turns) in [("one", "1"), ("two", "2"), ("", "3")] {
        assert_eq!(turn(&gateway, "/turns/a", &[("x-key", key)]).await, turns);
    }
    assert_eq!(turn(&gateway, "/turns/a", &[]).await, "4");
}

#[tokio::test]
async fn a_change_is_not_made_again_where_something_else_may_have_decided() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    let mut turns = 0;
    for what in [
        "read a field",
        "read the path",
        "read an attribute",
        "set an attribute",
        "take",
        "store",
        "log",
        "print",
        "draw",
        "count",
        "ask the log",
        "ask the system's clock",
    ] {
        for _ in 0..2 {
            turns += 1;
            let turn = turn(&gateway, "/turns/a", &[("x-do", what)]).await;
            assert_eq!(turn, turns.to_string(), "{what}");
        }
    }
    for what in ["nothing", "ask the time", "digest"] {
        turns += 1;
        for _ in 0..2 {
            let turn = turn(&gateway, "/turns/a", &[("x-do", what)]).await;
            assert_eq!(turn, turns.to_string(), "{what}");
        }
    }
}

#[tokio::test]
async fn what_a_runtime_keeps_decides_for_as_long_as_the_instance_lives() {
    let upstream = Upstream::echo().await;
    for what in ["hash", "read the environment"] {
        let gateway = start(&upstream);
        // The runtime asks once, and what it was told decides in the calls behind.
        for turns in ["1", "2", "3"] {
            assert_eq!(turn(&gateway, "/turns/a", &[("x-do", what)]).await, turns, "{what}");
        }
        for turns in ["4", "5"] {
            assert_eq!(turn(&gateway, "/turns/a", &[]).await, turns, "{what}");
        }
        assert_eq!(reused(&gateway, "turns").await, 0, "{what}");
    }
}

#[tokio::test]
async fn a_change_is_made_again_only_where_that_is_allowed_and_for_as_long() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    assert_eq!(turn(&gateway, "/never", &[]).await, "1");
    assert_eq!(turn(&gateway, "/never", &[]).await, "2");
    // Each instance begins at one, so that its calls are told by what is counted.
    assert_eq!(turn(&gateway, "/fresh", &[]).await, "1");
    assert_eq!(turn(&gateway, "/fresh", &[]).await, "1");
    assert_eq!(turn(&gateway, "/short", &[]).await, "1");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(turn(&gateway, "/short", &[]).await, "2");
    for _ in 0..3 {
        assert_eq!(turn(&gateway, "/turns/a", &[]).await, "1");
    }
    for (plugin, times) in [("never", 0), ("fresh", 0), ("short", 0), ("turns", 2)] {
        assert_eq!(reused(&gateway, plugin).await, times, "{plugin}");
    }
}

/// How often a change of the plugin was made again, as the one who asks `[admin]` sees it.
async fn reused(gateway: &Running, plugin: &str) -> u32 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let series = format!("gateway_plugin_changes_reused_total{{plugin=\"{plugin}\"}} ");
    let found = page.text().lines().find_map(|line| line.strip_prefix(series.as_str()));
    found.unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_answer_is_never_made_again() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    for _ in 0..2 {
        let answer = ask(&gateway, "/turns/a", &[("x-do", "refuse")]).await;
        assert_eq!(answer.status(), 403);
    }
    assert_eq!(turn(&gateway, "/turns/a", &[]).await, "1");
}
