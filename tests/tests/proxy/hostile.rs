//! Plugins that fail in every way: each costs the request that it failed on, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_tests::client::{self, request};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Raw, Running, Setup, Upstream, log, until, within};
use http::Response;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Level;

/// One guest in front of one upstream; `plugin` is the rest of its table.
fn through(guest: &str, plugin: &str, upstream: &Upstream) -> Running {
    let text = format!(
        r#"
[plugins.{guest}]
component = "./{guest}.wasm"
{plugin}

[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]

[[routes]]
name = "all"
paths = ["/{{*rest}}"]
plugins = ["{guest}"]
upstream = "orders"
"#
    );
    Setup::toml(&text, &[("ORDERS", &upstream.address)]).start()
}

async fn ask(gateway: &Running, field: (&str, &str)) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", "/", &[field], "")).await
}

/// The gateway's own line about a plugin that failed on a request.
async fn verdict(id: &str) -> log::Line {
    let line = || log::of_request(id).into_iter().find(|line| !line.field("hook").is_empty());
    until(|| line().is_some()).await;
    line().unwrap()
}

/// With 200 other requests in flight through the same plugin, the field makes it fail with these
/// words in the log, and costs that request alone; with `on_error = "open"` not even that.
async fn costs_one_request(guest: &str, field: (&str, &str), words: &str) {
    // Longer than the machine holds a thread up that only does its work.
    costs_one_request_within(guest, "100ms", field, words).await;
}

async fn costs_one_request_within(guest: &str, deadline: &str, field: (&str, &str), words: &str) {
    const NEIGHBOURS: u32 = 200;
    let (arrived, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (counter, gate) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let upstream = Upstream::http1(move |request| {
        let (counter, gate) = (Arc::clone(&counter), Arc::clone(&gate));
        async move {
            if request.uri().path() == "/neighbour" {
                counter.add_permits(1);
                gate.acquire().await.unwrap().forget();
            }
            Response::new(full("fine"))
        }
    })
    .await;
    let limits = format!("limits = {{ deadline = \"{deadline}\" }}");
    let gateway = through(guest, &limits, &upstream);
    let mut neighbours = JoinSet::new();
    for _ in 0..NEIGHBOURS {
        let address = gateway.address;
        neighbours.spawn(async move { Http1::get(address, "/neighbour").await });
    }
    within(arrived.acquire_many(NEIGHBOURS)).await.unwrap().forget();

    let answer = ask(&gateway, field).await;
    assert_eq!(answer.status(), 500, "{answer:?}");
    assert_eq!(answer.problem()["detail"], "A plugin on this route failed.");
    assert_eq!(answer.problem()["instance"], answer.id());
    let line = verdict(answer.id()).await;
    assert!(line.message.contains(words), "{}", line.message);
    assert_eq!((line.level, line.field("plugin")), (Level::ERROR, guest));
    assert_eq!(line.field("fault"), "plugin");

    // The plugin serves the next request, while the neighbours are still there.
    assert_eq!(Http1::get(gateway.address, "/after").await.text(), "fine");
    go_on.add_permits(NEIGHBOURS as usize);
    while let Some(neighbour) = within(neighbours.join_next()).await {
        assert_eq!(neighbour.unwrap().text(), "fine");
    }
    assert!(!upstream.requests().iter().any(|seen| seen.headers.contains_key(field.0)));
    drop(gateway);

    let gateway = through(guest, &format!("{limits}\non_error = \"open\""), &upstream);
    let answer = ask(&gateway, field).await;
    assert_eq!((answer.status(), answer.text()), (200, "fine"));
    let line = verdict(answer.id()).await;
    assert!(line.message.contains(words), "{}", line.message);
    assert_eq!(line.level, Level::WARN);
    let seen = upstream.requests().pop().unwrap().headers;
    assert_eq!(seen[field.0], field.1);
    let touched = format!("x-{guest}");
    assert!(!seen.contains_key(&touched), "it goes on as if the plugin were not there");
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    costs_one_request("panics", ("x-panic", "now"), "the guest panicked on purpose").await;
}

#[tokio::test]
async fn a_loop_without_end_costs_one_request() {
    costs_one_request("loops", ("x-loop", "1"), "deadline of 100ms").await;
}

#[tokio::test]
async fn memory_without_end_costs_one_request() {
    // Writing to 16 MiB takes more than 20 ms where nothing is optimised.
    let words = "16777216 bytes of memory";
    costs_one_request_within("allocates", "1s", ("x-allocate", "all"), words).await;
}

#[tokio::test]
async fn recursion_without_end_costs_one_request() {
    costs_one_request("recurses", ("x-recurse", "1"), "recurses::descend").await;
}

#[tokio::test]
async fn a_sleep_costs_one_request() {
    costs_one_request("sleeps", ("x-sleep", "1"), "the plugin wanted to sleep").await;
}

#[tokio::test]
async fn a_breach_of_the_contract_costs_one_request() {
    costs_one_request("bad-header", ("x-bad", "value"), "not a valid field value").await;
}

#[tokio::test]
async fn waiting_without_end_costs_one_request() {
    let upstream = Upstream::echo().await;
    let plugin = "grants = [\"password\"]\nlimits = { deadline = \"50ms\" }";
    let gateway = through("waits", plugin, &upstream);
    let answer = ask(&gateway, ("x-wait", "1")).await;
    assert_eq!(answer.status(), 500);
    assert!(verdict(answer.id()).await.message.contains("deadline of 50ms"));
    assert_eq!(ask(&gateway, ("x-other", "1")).await.status(), 200);
}

#[tokio::test]
async fn a_store_without_room_refuses_at_once() {
    let upstream = Upstream::echo().await;
    let plugin = "grants = [\"key-value\"]\nlimits = { deadline = \"1m\", key_value = \"4MiB\" }";
    let gateway = through("hoards", plugin, &upstream);
    // Looking through a full store at each write would take hours.
    let answer = ask(&gateway, ("x-hoard", "300000")).await;
    assert_eq!(answer.status(), 200);
    let kept = upstream.request().headers["x-hoarded"].to_str().unwrap().parse::<usize>().unwrap();
    // An empty value counts 128 bytes and its key, of 1 to 6.
    let most = (4 << 20) / 128;
    assert!((most / 2..=most).contains(&kept), "{kept} of {most}");
}

#[tokio::test]
async fn the_log_has_what_a_panicking_guest_said_and_where_it_fell() {
    let upstream = Upstream::echo().await;
    let gateway = through("panics", "", &upstream);
    for when in ["request", "response"] {
        let answer = ask(&gateway, ("x-panic", when)).await;
        assert_eq!(answer.status(), 500);
        assert!(!answer.text().contains("on purpose"), "that is for the operator alone");
        let line = verdict(answer.id()).await;
        assert!(line.message.contains("the guest panicked on purpose"), "{}", line.message);
        assert!(line.message.contains("panics::fall"), "a backtrace: {}", line.message);
        assert_eq!(line.field("hook"), format!("on-{when}"));
        let said = log::said(answer.id());
        assert!(said.iter().any(|line| line.contains("on purpose")), "{said:?}");
    }
    // Nobody waits for an answer any more when a plugin fails at the end.
    let answer = ask(&gateway, ("x-panic", "complete")).await;
    assert_eq!((answer.status(), answer.header("x-panics")), (200, Some("survived")));
    assert_eq!(verdict(answer.id()).await.field("hook"), "on-complete");
}

#[tokio::test]
async fn a_hook_that_waits_against_its_promise_costs_one_request() {
    let upstream = Upstream::echo().await;
    let gateway = through("breaks-promise", "grants = [\"password\"]", &upstream);
    let answer = ask(&gateway, ("x-break", "1")).await;
    assert_eq!(answer.status(), 500);
    let line = verdict(answer.id()).await;
    assert!(line.message.contains("its interest says `never-waits`"), "{}", line.message);
    assert_eq!(ask(&gateway, ("x-other", "1")).await.status(), 200);
    assert_eq!(upstream.request().headers["x-breaks-promise"], "survived");
}

/// What `bad-header` can do wrong on the way in, in an answer, and on the way out.
const BREACHES: [&str; 29] = [
    "name",
    "value",
    "framing",
    "transfer",
    "path",
    "path-space",
    "query",
    "method",
    "many",
    "huge",
    "huge-name",
    "upstream",
    "attribute",
    "attributes",
    "early-name",
    "early-framing",
    "early-many",
    "context",
    "status",
    "status-high",
    "informational",
    "answer-name",
    "answer-value",
    "answer-framing",
    "answer-huge",
    "response-name",
    "response-value",
    "response-framing",
    "response-status",
];

#[tokio::test]
async fn no_breach_of_the_contract_reaches_a_client_or_an_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = through("bad-header", "", &upstream);
    let mut client = Http1::connect(gateway.address).await;
    for breach in BREACHES.into_iter().chain(["random"]) {
        let before = upstream.requests().len();
        // The same connection all along: it never gets out of step.
        let answer = client.send(request("GET", "/", &[("x-bad", breach)], "")).await;
        assert_eq!(answer.status(), 500, "{breach}: {answer:?}");
        assert!(answer.header("x-smuggled").is_none() && answer.problem().is_object(), "{breach}");
        let asked = upstream.requests().len() - before;
        assert_eq!(asked, usize::from(breach.starts_with("response-")), "{breach}");
        let line = verdict(answer.id()).await;
        assert_eq!(line.field("fault"), "plugin", "{breach}");
    }
    let answer = client.send(request("GET", "/", &[("x-bad", "none of these")], "")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.requests().pop().unwrap().headers["x-bad-header"], "survived");
}

#[tokio::test]
async fn an_exchange_goes_on_without_a_trace_of_a_plugin_that_broke_the_contract() {
    let upstream = Upstream::echo().await;
    let gateway = through("bad-header", "on_error = \"open\"", &upstream);
    let mut client = Http1::connect(gateway.address).await;
    let plain = client.send(request("GET", "/a?b", &[], "")).await;
    let untouched = upstream.request();
    for breach in BREACHES {
        let answer = client.send(request("GET", "/a?b", &[("x-bad", breach)], "")).await;
        assert_eq!(answer.status(), 200, "{breach}: {answer:?}");
        assert_eq!(answer.head.headers.len(), plain.head.headers.len(), "{breach}: {answer:?}");
        let mut seen = upstream.requests().pop().unwrap();
        assert_eq!((&seen.method, &seen.uri), (&untouched.method, &untouched.uri), "{breach}");
        seen.headers.remove("x-bad");
        if breach.starts_with("response-") {
            // Here it was well until the response came.
            assert_eq!(seen.headers.remove("x-bad-header").unwrap(), "survived");
        }
        let names = |headers: &http::HeaderMap| -> BTreeSet<_> {
            headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(&seen.headers), names(&untouched.headers), "{breach}");
    }
}

#[tokio::test]
async fn the_sandbox_shows_no_file_no_environment_and_no_argument() {
    let upstream = Upstream::echo().await;
    let gateway = through("reads-files", "", &upstream);
    let answer = ask(&gateway, ("x-read", "/etc/passwd")).await;
    let nothing = serde_json::json!({
        "file": null, "folder": [], "written": false, "environment": [], "arguments": []
    });
    let found: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status(), found), (200, nothing));
    assert!(!std::path::Path::new("/tmp/reads-files").exists());
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_what_was_dropped_is_counted() {
    let upstream = Upstream::echo().await;
    let gateway = through("floods-log", "", &upstream);
    let answer = ask(&gateway, ("x-flood", "1000")).await;
    assert_eq!(answer.status(), 200);
    let said = log::said(answer.id());
    assert_eq!((said.len(), said[99].as_str()), (100, "flood line 99"));
    let lines = log::of_request(answer.id());
    let dropped: Vec<_> = lines.iter().map(|line| line.field("dropped")).collect();
    assert_eq!(dropped.last(), Some(&"900"), "{dropped:?}");
    let answer = ask(&gateway, ("x-flood", "long")).await;
    assert_eq!(log::said(answer.id())[0].len(), 8 << 10);
}

#[tokio::test]
async fn nobody_forges_lines_of_the_log() {
    let upstream = Upstream::echo().await;
    let gateway = through("floods-log", "", &upstream);
    let answer = ask(&gateway, ("x-flood", "lines")).await;
    let said = log::said(answer.id());
    assert_eq!(said, [r"first\nsecond\r\n\u{1b}[31mthird\u{7}"]);
}

#[tokio::test]
async fn what_a_plugin_prints_is_logged_under_its_name_and_the_request() {
    let upstream = Upstream::echo().await;
    let gateway = through("prints", "", &upstream);
    let find = async |text: &str, words: &str| {
        let answer = ask(&gateway, ("x-print", text)).await;
        let lines = log::of_request(answer.id());
        let line = lines.into_iter().find(|line| line.message == words).unwrap();
        assert_eq!((line.target.as_str(), line.field("plugin")), ("plugin", "prints"));
        line.level
    };
    assert_eq!(find("hello", "out: hello").await, Level::INFO);
    assert_eq!(find("hello", "err: hello").await, Level::ERROR);
    // A line that nobody ended ends with the hook.
    assert_eq!(find("no-newline", "err: no-newline").await, Level::ERROR);
}

#[tokio::test]
async fn what_a_guest_says_of_its_failure_is_one_record_with_message_and_place_first() {
    let upstream = Upstream::echo().await;
    let gateway = through("prints", "", &upstream);
    let traceback = "abort an earlier line|Traceback (most recent call last):|  \
        File \"/0/orders.py\", line 3, in on_request|ValueError: no tenant|";
    let stack = "abort no tenant|Stack:|  onRequest@orders.js:3:7||\
        Redirecting call to abort() to mozalloc_abort||";
    let panic = "abort |thread 'main' (1) panicked at src/lib.rs:3:5:|no tenant|note: run with|";
    for (fails, first, own) in [
        (traceback, "it trapped: ValueError: no tenant (orders.py:3)", &["an earlier line"][..]),
        (stack, "it trapped: no tenant (orders.js:3:7)", &[]),
        (panic, "it trapped: no tenant (src/lib.rs:3:5)", &[]),
    ] {
        let answer = ask(&gateway, ("x-fail", fails)).await;
        assert_eq!(answer.status(), 500);
        let line = verdict(answer.id()).await;
        assert_eq!(line.message.lines().next().unwrap().split_once("closed: ").unwrap().1, first);
        assert_eq!(log::said(answer.id()), own, "the rest is in the gateway's record");
        let all = || log::of_request(answer.id());
        until(|| all().iter().any(|line| !line.field("cause").is_empty())).await;
        let cause = all().iter().map(|line| line.field("cause").to_owned()).collect::<String>();
        assert_eq!(cause, format!("plugin prints failed: {first}"));
    }
}

#[tokio::test]
async fn an_exit_is_named_as_such() {
    let upstream = Upstream::echo().await;
    let gateway = through("prints", "", &upstream);
    let answer = ask(&gateway, ("x-fail", "exit the table is missing")).await;
    let line = verdict(answer.id()).await;
    assert!(line.message.contains("the plugin called exit"), "{}", line.message);
    assert!(line.message.contains(": the table is missing"), "{}", line.message);
    assert_eq!(ask(&gateway, ("x-print", "fine")).await.status(), 200);
}

#[tokio::test]
async fn the_level_that_python_writes_before_a_line_is_that_of_the_record() {
    let upstream = Upstream::echo().await;
    let gateway = through("prints", "", &upstream);
    for (text, level) in [("WARNING:app:a", Level::WARN), ("ERROR:app:a", Level::ERROR)] {
        let answer = ask(&gateway, ("x-fail", &format!("not {text}|"))).await;
        let lines = log::of_request(answer.id());
        let line = lines.iter().find(|line| line.message == text);
        assert_eq!(line.map(|line| line.level), Some(level), "{lines:?}");
    }
}

#[tokio::test]
async fn an_instance_that_is_worn_at_once_is_told_once() {
    let text = r#"
[plugins.swelling]
component = "./allocates.wasm"
limits = { deadline = "1s" }
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["swelling"]
respond = {}
"#;
    let gateway = Setup::toml(text, &[]).start();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, ("x-allocate", "12")).await.status(), 200);
    }
    let told = log::of_plugin("swelling");
    let told: Vec<_> = told.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("over three quarters of its limit of 16.0 MiB"), "{told:?}");
    assert!(told[0].contains("`limits = { memory = \"32MiB\" }`"), "{told:?}");
}

#[tokio::test]
async fn an_instance_that_has_swollen_is_replaced_and_its_memory_given_back() {
    let upstream = Upstream::echo().await;
    // 12 of 16 MiB: a second time would not fit into the same instance.
    let gateway = through("allocates", "limits = { instances = 1, deadline = \"1s\" }", &upstream);
    for _ in 0..5 {
        assert_eq!(ask(&gateway, ("x-allocate", "12")).await.status(), 200);
    }
    assert_eq!(upstream.requests()[4].headers["x-allocated"], "12");
}

#[tokio::test]
async fn a_deadline_and_a_memory_limit_are_what_the_configuration_says() {
    let upstream = Upstream::echo().await;
    let limits = "limits = { memory = \"4MiB\", deadline = \"1s\" }";
    let gateway = through("allocates", limits, &upstream);
    assert_eq!(ask(&gateway, ("x-allocate", "1")).await.status(), 200);
    let answer = ask(&gateway, ("x-allocate", "6")).await;
    assert_eq!(answer.status(), 500);
    let line = verdict(answer.id()).await;
    assert!(line.message.contains("4194304 bytes of memory"), "{}", line.message);
    drop(gateway);
    let gateway = through("loops", "limits = { deadline = \"50ms\" }", &upstream);
    let answer = ask(&gateway, ("x-loop", "1")).await;
    assert!(verdict(answer.id()).await.message.contains("50ms"));
}

#[tokio::test]
async fn a_gateway_stops_while_a_guest_loops() {
    let upstream = Upstream::echo().await;
    let mut gateway = through("loops", "limits = { deadline = \"200ms\" }", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nx-loop: 1\r\n\r\n").await;
    gateway.stop();
    until(|| gateway.has_ended()).await;
}

#[tokio::test]
async fn every_worker_survives_every_kind_of_trap_at_once() {
    let upstream = Upstream::echo().await;
    let text = r#"
[plugins.panicking]
component = "./panics.wasm"
[plugins.looping]
component = "./loops.wasm"
limits = { deadline = "50ms" }
[plugins.recursing]
component = "./recurses.wasm"
[upstreams.orders]
targets = ["http://${env:ORDERS}"]
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["panicking", "looping", "recursing"]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).workers(2).start();
    let mut tasks = JoinSet::new();
    for index in 0..80 {
        let address = gateway.address;
        tasks.spawn(async move {
            let field = match index % 4 {
                0 => ("x-panic", "1"),
                1 => ("x-loop", "1"),
                2 => ("x-recurse", "1"),
                _ => ("x-fine", "1"),
            };
            let mut client = Http1::connect(address).await;
            let answer = client.send(request("GET", "/", &[field], "")).await;
            let next = client.send(client::get("/")).await;
            (field.0, answer.status(), next.status())
        });
    }
    while let Some(done) = within(tasks.join_next()).await {
        let (field, status, next) = done.unwrap();
        assert_eq!((status, next), (if field == "x-fine" { 200 } else { 500 }, 200), "{field}");
    }
}
