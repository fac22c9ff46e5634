//! Instances of plugins, made ready beside the workers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway::{BindErrors, Gateway};
use gateway_tests::client::{request, request2};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Http2, Running, Setup, Upstream, log, until, within};
use http::Response;
use tokio::task::JoinSet;

/// A plugin that takes its time to be configured, and a neighbour.
const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[plugins.slow]
component = "./slow-start.wasm"
isolation = "${env:ISOLATION}"
config = { milliseconds = 1000 }
limits = { configure = "10s", instances = 3 }

[[routes]]
name = "slow"
paths = ["/slow"]
plugins = ["slow"]
respond = { body = "at last" }

[[routes]]
name = "quick"
paths = ["/quick"]
respond = { body = "at once" }
"#;

fn start(isolation: &str) -> Running {
    Setup::toml(TEXT, &[("ISOLATION", &isolation)]).start()
}

/// Asks the plugin that is slow to start, on its own connection.
async fn slow(address: SocketAddr, todo: &str) -> Answer {
    let mut client = Http1::connect(address).await;
    client.send(request("GET", "/slow", &[("x-do", todo)], "")).await
}

async fn slow_at_once(address: SocketAddr, count: usize, todo: &'static str) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(slow(address, todo));
    }
    tasks.join_all().await
}

/// How many requests the neighbour is answered until something else is done.
async fn served_until(address: SocketAddr, done: impl Future<Output = Answer>) -> (u32, Answer) {
    let (mut one, mut two) = (Http1::connect(address).await, Http2::connect(address).await);
    let mut done = std::pin::pin!(done);
    let mut served = 0;
    loop {
        let neighbour = async {
            let first = one.send(request("GET", "/quick", &[], "")).await;
            let second = two.send(request2("GET", "/quick", &[], "")).await;
            [first.status(), second.status()]
        };
        tokio::select! {
            biased;
            answer = &mut done => return (served, answer),
            statuses = neighbour => {
                assert_eq!(statuses, [200, 200]);
                served += 2;
            }
        }
    }
}

/// Those that count what is served meanwhile, and those that have much computed, take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Far fewer than there can be in a second, and more than there are where one worker configures: two
/// that are answered before that or behind it.
const MANY: u32 = 4;

#[tokio::test]
async fn others_are_served_while_an_instance_is_configured() {
    let _turn = TURN.lock().await;
    for isolation in ["pooled", "fresh"] {
        let gateway = start(isolation);
        for (todo, status) in [("", 200), ("trap", 500), ("trap", 500), ("", 200)] {
            let began = Instant::now();
            let (served, answer) = served_until(gateway.address, slow(gateway.address, todo)).await;
            assert_eq!(answer.status(), status, "{isolation} {todo}");
            // Not one that was ready, or half made, already.
            let has_waited = began.elapsed() > Duration::from_millis(900);
            if isolation == "pooled" && has_waited && answer.header("x-calls") == Some("1") {
                assert!(served >= MANY, "{todo}: {served}");
            }
        }
    }
}

#[tokio::test]
async fn a_plugin_that_traps_on_each_request_holds_nobody_up() {
    let _turn = TURN.lock().await;
    let gateway = start("pooled");
    let address = gateway.address;
    let traps = async {
        let mut answers = slow_at_once(address, 6, "trap").await;
        assert!(answers.iter().all(|answer| answer.status() == 500));
        answers.remove(0)
    };
    let (served, _) = served_until(address, traps).await;
    // At least three are configured one after the other, since there may be three at a time.
    assert!(served >= 2 * MANY, "{served}");
}

#[tokio::test]
async fn requests_wait_for_as_many_instances_as_there_may_be() {
    let _turn = TURN.lock().await;
    for isolation in ["pooled", "fresh"] {
        let gateway = start(isolation);
        let answers = within(slow_at_once(gateway.address, 8, "")).await;
        assert!(answers.iter().all(|answer| answer.status() == 200), "{isolation}");
        // This plugin asks for the time while it is configured, so that none is put back.
        let made = made(&gateway).await;
        assert!(if isolation == "fresh" { made >= 8 } else { made <= 3 }, "{isolation}: {made}");
    }
}

#[tokio::test]
async fn what_waits_for_an_instance_outlives_a_reload() {
    let gateway = start("pooled");
    let waiting = tokio::spawn(slow(gateway.address, ""));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let next = "[admin]\naddress = \"127.0.0.1:0\"\n[[routes]]\nname = \"a\"\npaths = [\"/{*rest}\"]\n\
                respond = {}";
    gateway.handle.reload(Setup::toml(next, &[]).config).unwrap();
    assert_eq!(Http1::get(gateway.address, "/slow").await.body, "");
    let answer = within(waiting).await.unwrap();
    assert_eq!((answer.status(), answer.header("x-calls")), (200, Some("1")));
}

#[tokio::test]
async fn a_gateway_ends_while_an_instance_is_made() {
    let mut gateway = start("pooled");
    let waiting = tokio::spawn(slow(gateway.address, ""));
    tokio::time::sleep(Duration::from_millis(50)).await;
    gateway.stop();
    until(|| gateway.has_ended()).await;
    waiting.abort();
}

#[tokio::test]
async fn a_client_that_leaves_leaves_the_instance_to_others() {
    let gateway = start("pooled");
    let left = tokio::spawn(slow(gateway.address, ""));
    tokio::time::sleep(Duration::from_millis(50)).await;
    left.abort();
    // Waits for the instance that was begun for the other.
    let answer = slow(gateway.address, "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(made(&gateway).await, 1);
}

fn refused(limits: &str) -> String {
    let text = format!(
        "[plugins.slow]\ncomponent = \"./slow-start.wasm\"\nconfig = {{ milliseconds = 60000 }}\n\
         limits = {{ {limits} }}\n[[routes]]\nname = \"a\"\npaths = [\"/\"]\nplugins = [\"slow\"]\n\
         respond = {{}}"
    );
    let errors: BindErrors = Gateway::bind(Setup::toml(&text, &[]).config).unwrap_err();
    assert_eq!(errors.len(), 1);
    errors[0].to_string()
}

#[test]
fn the_bound_of_configure_is_one_of_its_own() {
    for (limits, bound) in [("configure = \"60ms\", deadline = \"10s\"", "60ms"), ("", "500ms")] {
        let said = refused(limits);
        let wanted = format!("computed for longer than its bound of {bound} (`limits.configure`)");
        assert!(said.contains(&wanted), "{said}");
    }
}

/// Instances that were made of the plugin so far.
async fn made(gateway: &Running) -> u32 {
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let name = "gateway_plugin_instances_created_total{plugin=\"slow\"} ";
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    line.parse().unwrap()
}

#[tokio::test]
async fn an_instance_of_its_own_knows_nothing_of_another_request() {
    let text = TEXT.replace("milliseconds = 1000", "milliseconds = 0");
    let gateway = Setup::toml(&text, &[("ISOLATION", &"fresh")]).start();
    let todo = ["a secret", "another", "a third", "grow", "grow", "trap", "after the trap", "last"];
    let mut before = 0;
    for (turn, todo) in todo.into_iter().enumerate() {
        let answer = slow(gateway.address, todo).await;
        if todo == "trap" {
            assert_eq!(answer.status(), 500);
            continue;
        }
        assert_eq!(answer.header("x-calls"), Some("1"), "{todo}");
        assert_eq!(answer.header("x-remembered"), Some(""), "{todo}");
        let now = made(&gateway).await;
        if turn == 2 {
            // Where the system tells what a hook wrote to, the first is put back and used again.
            println!("{before} instances, then {now}");
            assert_eq!(now, before);
        }
        before = now;
    }
    let lines = log::lines(|line| line.message.contains("no instance"));
    assert_eq!(lines.len(), 0, "{lines:?}");
}

/// The count of failures of this kind.
async fn failures(gateway: &Running, plugin: &str, kind: &str) -> u32 {
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let name = format!("gateway_plugin_failures_total{{plugin=\"{plugin}\",kind=\"{kind}\"}} ");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(&*name)).unwrap();
    line.parse().unwrap()
}

/// Each takes its own instance, and there are far more than can be made in the time that a hook
/// waits for one.
#[tokio::test]
async fn where_no_instance_is_ready_in_time_the_client_may_come_again() {
    const MANY: usize = 60;
    let _turn = TURN.lock().await;
    let limits = "limits = { configure = \"2s\", instances = 3 }";
    let slow = TEXT.replace("limits = { configure = \"10s\", instances = 3 }", limits);
    let text = slow
        + &format!(
            r#"
[plugins.open]
component = "./slow-start.wasm"
isolation = "fresh"
config = {{ milliseconds = 1000 }}
on_error = "open"
{limits}

[[routes]]
name = "open"
paths = ["/open"]
plugins = ["open"]
respond = {{ body = "all the same" }}
"#
        );
    let gateway = Setup::toml(&text, &[("ISOLATION", &"fresh")]).start();
    let address = gateway.address;
    let closed = tokio::spawn(slow_at_once(address, MANY, ""));
    let open = tokio::spawn(async move {
        let mut tasks = JoinSet::new();
        for _ in 0..MANY {
            tasks.spawn(Http1::get(address, "/open"));
        }
        tasks.join_all().await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // More than can be made in that time, no matter who of all is served.
    let client = Http2::connect(address).await;
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let mut client = client.clone();
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        let call = request2("POST", "/slow", &fields, "");
        calls.spawn(async move { client.send(call).await });
    }
    let calls = within(calls.join_all()).await;
    let refused = calls.iter().find(|call| call.header("grpc-status").is_some());
    let refused = refused.map(|call| (call.status(), call.header("grpc-status")));
    assert_eq!(refused, Some((200, Some("14"))), "{calls:?}");

    let answers = within(closed).await.unwrap();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() != 200).collect();
    assert!(refused.len() > MANY / 4 && refused.len() < MANY, "{}", refused.len());
    for answer in &refused {
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
        let detail = "A plugin on this route has more requests than it can serve at the moment.";
        assert_eq!(answer.problem()["detail"], detail);
    }
    let id = refused[0].id();
    let cause = |line: &log::Line| line.field("cause").contains("no instance of it was ready");
    let told =
        || log::of_request(id).iter().any(|line| line.target == "gateway::access" && cause(line));
    until(told).await;
    assert!(failures(&gateway, "slow", "exhausted").await > 0);

    // An optional plugin is done without.
    let answers = within(open).await.unwrap();
    assert!(answers.iter().all(|answer| answer.status() == 200), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.header("x-calls").is_none()));
}

#[tokio::test]
async fn where_all_instances_wait_the_client_may_come_again() {
    let upstream = Upstream::http1(|_| async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        Response::new(full("late"))
    })
    .await;
    let text = format!(
        r#"
[admin]
address = "127.0.0.1:0"

[upstreams.service]
targets = ["http://{}"]

[plugins.calls]
component = "./calls-out.wasm"
upstreams = ["service"]
limits = {{ instances = 1 }}

[[routes]]
name = "calls"
paths = ["/{{*rest}}"]
plugins = ["calls"]
respond = {{ body = "fine" }}
"#,
        upstream.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    let call = |address| async move {
        let fields = [("x-call", "service"), ("x-timeout", "15000")];
        Http1::connect(address).await.send(request("GET", "/", &fields, "")).await
    };
    let first = tokio::spawn(call(gateway.address));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = call(gateway.address).await;
    assert_eq!((second.status(), second.header("retry-after")), (503, Some("1")), "{second:?}");
    assert_eq!(failures(&gateway, "calls", "exhausted").await, 1);
    assert_eq!(within(first).await.unwrap().status(), 200);
}
