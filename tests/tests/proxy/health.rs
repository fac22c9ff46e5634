//! Which targets of an upstream get requests: those at which requests failed, or whose health checks do, are
//! left out, for all workers, and come back by themselves.

mod balancing;
mod chaos;
mod outliers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use gateway_tests::client::{get, request, to};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Running, Setup, Upstream, log, until, within};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

/// Three targets behind one route, with more keys of the upstream.
fn start(name: &str, targets: [String; 3], more: &str, workers: usize) -> Running {
    let targets = targets.map(|target| format!("\"http://{target}\"")).join(", ");
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.{name}]\ntargets = [{targets}]\n{more}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"{name}\"\n"
    );
    Setup::toml(&text, &[]).workers(workers).start()
}

async fn echo() -> (Upstream, String) {
    let upstream = Upstream::echo().await;
    let address = upstream.address.to_string();
    (upstream, address)
}

/// Where nobody listens.
fn nowhere() -> String {
    // To the end of the program.
    Box::leak(Box::new(gateway_tests::ClosedPort::new())).to_string()
}

/// Statuses of so many requests one after the other, each over a connection of its own, so that workers
/// share them.
async fn statuses(gateway: &Running, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(Http1::get(gateway.address, "/").await.status());
    }
    statuses
}

/// What the admin API says of a target.
pub(crate) async fn shown(gateway: &Running, upstream: &str, target: &str) -> Value {
    let path = format!("/upstreams/{upstream}");
    let answer = Http1::admin(gateway.admin.unwrap(), &path).await;
    let shown: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut targets = shown["targets"].as_array().unwrap().iter();
    targets.find(|it| it["target"] == target).unwrap()["health"].clone()
}

pub(crate) async fn becomes(gateway: &Running, upstream: &str, target: &str, state: &str) {
    within(async {
        while shown(gateway, upstream, target).await["state"] != state {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// As [`becomes`], with requests meanwhile.
async fn becomes_by(gateway: &Running, upstream: &str, target: &str, state: &str) {
    within(async {
        while shown(gateway, upstream, target).await["state"] != state {
            Http1::get(gateway.address, "/").await;
        }
    })
    .await;
}

fn lines(upstream: &str) -> Vec<String> {
    let own = log::lines(|line| {
        line.field("upstream") == upstream && line.message.contains("the target")
    });
    own.into_iter().map(|line| line.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_never_answers_costs_a_few_requests_and_not_its_share() {
    let silent = Upstream::script(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let ((one, first), (two, second)) = (echo().await, echo().await);
    let more = "timeouts = { first_byte = \"3s\" }\nejection = { consecutive_failures = 2, time = \"1h\", max_time = \"1h\" }";
    let target = silent.address.to_string();
    let gateway = start("silent", [target.clone(), first, second], more, 2);
    let statuses = statuses(&gateway, 60).await;
    let late = statuses.iter().filter(|status| **status == 504).count();
    // Of both workers together.
    assert_eq!(late, 2, "{statuses:?}");
    assert!(statuses[30..].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(one.requests().len() + two.requests().len(), 58);
    let health = shown(&gateway, "silent", &target).await;
    assert_eq!((&health["state"], &health["reason"]), (&"ejected".into(), &"no_response".into()));
    assert_eq!(health["ejections"]["no_response"], 1);
    assert_eq!(lines("silent").len(), 1, "one line a change");
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let up = format!("gateway_upstream_target_up{{upstream=\"silent\",target=\"{target}\"}} 0");
    assert!(metrics.text().contains(&up), "{up}");
    // The state is the target's, and no reload changes it.
    let config = Setup::toml(
        &format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.silent]\ntargets = [\"http://{target}\", \"http://{}\"]\n\
             {more}\n[[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"silent\"\n",
            one.address
        ),
        &[],
    )
    .workers(2)
    .config;
    let handle = gateway.handle.clone();
    tokio::task::spawn_blocking(move || handle.reload(config).unwrap()).await.unwrap();
    assert_eq!(self::statuses(&gateway, 10).await, [200; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_where_nobody_listens_is_asked_no_more_and_no_request_fails() {
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let gone = nowhere();
    let more = "ejection = { time = \"1h\", max_time = \"1h\" }";
    let gateway = start("refusing", [gone.clone(), first, second], more, 1);
    assert_eq!(statuses(&gateway, 60).await, [200; 60]);
    let health = shown(&gateway, "refusing", &gone).await;
    assert_eq!((&health["state"], &health["consecutive_failures"]), (&"ejected".into(), &5.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_finds_out_that_a_target_is_back() {
    let is_well = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicUsize::new(0));
    let (well, count) = (Arc::clone(&is_well), Arc::clone(&seen));
    let sick = Upstream::http1(move |_| {
        count.fetch_add(1, SeqCst);
        let status = if well.load(SeqCst) { 200 } else { 503 };
        async move { Response::builder().status(status).body(full("")).unwrap() }
    })
    .await;
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let target = sick.address.to_string();
    let more = "ejection = { consecutive_failures = 2, time = \"300ms\" }";
    let gateway = start("sick", [target.clone(), first, second], more, 1);
    within(async {
        while shown(&gateway, "sick", &target).await["state"] != "ejected" {
            statuses(&gateway, 1).await;
        }
    })
    .await;
    assert!(seen.load(SeqCst) >= 2);
    is_well.store(true, SeqCst);
    // Requests go on, and one of them is the one that finds out.
    let before = seen.load(SeqCst);
    within(async {
        while seen.load(SeqCst) < before + 3 {
            assert_eq!(statuses(&gateway, 1).await, [200]);
        }
    })
    .await;
    assert_eq!(shown(&gateway, "sick", &target).await["state"], "up");
    assert_eq!(lines("sick").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_target_is_well_all_are_asked() {
    let gone = [nowhere(), nowhere(), nowhere()];
    let gateway = start("none", gone.clone(), "ejection = { consecutive_failures = 1 }", 1);
    assert_eq!(statuses(&gateway, 12).await, [502; 12]);
    let mut up = 0;
    for target in &gone {
        up += usize::from(shown(&gateway, "none", target).await["state"] == "up");
    }
    assert_eq!(up, 1, "the last one stays");
}

/// Answers health checks as it is told.
async fn checked(is_well: &Arc<AtomicBool>) -> Upstream {
    let well = Arc::clone(is_well);
    Upstream::http1(move |request| {
        let is_check = request.uri().path() == "/healthz";
        let status = if is_check && !well.load(SeqCst) { 500 } else { 200 };
        async move { Response::builder().status(status).body(full("")).unwrap() }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_take_a_target_out_before_a_request_fails_and_let_it_in_again() {
    let is_well = Arc::new(AtomicBool::new(true));
    let target = checked(&is_well).await;
    let (other, always) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (one, two) = (checked(&other).await, checked(&always).await);
    let more = "health = { path = \"/healthz\", interval = \"100ms\", timeout = \"15s\", unhealthy = 2, healthy = 2 }";
    let all = [&target, &one, &two].map(|upstream| upstream.address.to_string());
    let gateway = start("checked", all.clone(), more, 2);
    until(|| target.requests().iter().any(|it| it.uri.path() == "/healthz")).await;
    is_well.store(false, SeqCst);
    becomes(&gateway, "checked", &all[0], "down").await;
    assert_eq!(shown(&gateway, "checked", &all[0]).await["check_error"], "the status is 500");
    let requests =
        |upstream: &Upstream| upstream.requests().iter().filter(|it| it.uri.path() == "/").count();
    let before = requests(&target);
    assert_eq!(statuses(&gateway, 12).await, [200; 12]);
    assert_eq!(requests(&target), before);
    is_well.store(true, SeqCst);
    becomes(&gateway, "checked", &all[0], "up").await;
    assert_eq!(statuses(&gateway, 12).await, [200; 12]);
    assert!(requests(&target) > before);
    assert_eq!(lines("checked").len(), 2);
    let checks = target
        .requests()
        .iter()
        .filter(|it| it.uri.path() == "/healthz")
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(checks[0].headers["host"], all[0].as_str());
    assert!(checks[0].headers["user-agent"].to_str().unwrap().starts_with("gateway-health/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_from_the_start_is_told_at_once_and_once() {
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let gone = nowhere();
    // The second check is far off, and so is what three in a row lead to.
    let more = "health = { kind = \"tcp\", interval = \"1h\" }";
    let gateway = start("never-there", [gone.clone(), first, second], more, 2);
    let told = || log::lines(|it| it.field("upstream") == "never-there");
    until(|| !told().is_empty()).await;
    let lines = told();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].message.starts_with("the first health check of the target failed"));
    assert_eq!(lines[0].field("target"), gone);
    assert!(lines[0].field("why").starts_with("cannot connect"), "{}", lines[0].field("why"));
    assert_eq!(shown(&gateway, "never-there", &gone).await["state"], "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_enough_where_the_check_is_by_tcp() {
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let gone = nowhere();
    let more = "health = { kind = \"tcp\", interval = \"100ms\", unhealthy = 1 }";
    let gateway = start("tcp", [gone.clone(), first.clone(), second], more, 1);
    becomes(&gateway, "tcp", &gone, "down").await;
    let why = shown(&gateway, "tcp", &gone).await["check_error"].as_str().unwrap().to_owned();
    assert!(why.starts_with("cannot connect"), "{why}");
    within(async {
        while shown(&gateway, "tcp", &first).await["checks"]["passed"] == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A server of `grpc.health.v1`, which says this of a service.
pub(super) async fn grpc(service: &'static str, status: Arc<AtomicUsize>) -> Upstream {
    Upstream::http2(move |request| {
        let status = Arc::clone(&status);
        async move {
            let path = request.uri().path().to_owned();
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            let name = [&[0x0a, service.len() as u8], service.as_bytes()].concat();
            let knows = path == "/grpc.health.v1.Health/Check" && asked.ends_with(&name);
            let said = status.load(SeqCst) as u8;
            let mut trailers = HeaderMap::new();
            let code = if knows { "0" } else { "5" };
            trailers.insert("grpc-status", HeaderValue::from_static(code));
            let message = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, said]);
            let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
            let body: BoxBody = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
            Response::builder().header("content-type", "application/grpc").body(body).unwrap()
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_grpc_are_asked_in_their_own_protocol() {
    let status = Arc::new(AtomicUsize::new(1));
    let server = grpc("orders", Arc::clone(&status)).await;
    let target = server.address.to_string();
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let more = "health = { kind = \"grpc\", service = \"orders\", interval = \"100ms\", unhealthy = 1, healthy = 1 }";
    let gateway = start("grpc", [target.clone(), first.clone(), second], more, 1);
    within(async {
        while shown(&gateway, "grpc", &target).await["checks"]["passed"] == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    status.store(2, SeqCst);
    becomes(&gateway, "grpc", &target, "down").await;
    assert_eq!(shown(&gateway, "grpc", &target).await["check_error"], "it says NOT_SERVING");
    status.store(1, SeqCst);
    becomes(&gateway, "grpc", &target, "up").await;
    // Who speaks no HTTP/2 does not pass.
    becomes(&gateway, "grpc", &first, "down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_drained_and_enabled_by_hand() {
    let ((one, first), (_two, second), (_three, third)) =
        (echo().await, echo().await, echo().await);
    let gateway = start("byhand", [first.clone(), second, third], "", 2);
    let admin = gateway.admin.unwrap();
    let ask = |verb: &str, target: &str| {
        let path = format!("/upstreams/byhand/{verb}?target={target}");
        async move {
            let mut client = Http1::connect(admin).await;
            client.send(to(admin, request("POST", &path, &[], ""))).await
        }
    };
    assert_eq!(ask("drain", &first).await.status(), 200);
    assert_eq!(shown(&gateway, "byhand", &first).await["state"], "drained");
    assert_eq!(statuses(&gateway, 9).await, [200; 9]);
    assert!(one.requests().is_empty());
    assert_eq!(ask("enable", &first).await.status(), 200);
    assert_eq!(statuses(&gateway, 9).await, [200; 9]);
    assert!(!one.requests().is_empty());
    assert_eq!(ask("drain", "127.0.0.1:1").await.status(), 404);
    let path = "/upstreams/byhand/drain";
    let mut client = Http1::connect(admin).await;
    assert_eq!(client.send(to(admin, request("POST", path, &[], ""))).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_with_fewer_open_requests_is_preferred() {
    let slow = Upstream::http1(|_| async {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        Response::new(full(""))
    })
    .await;
    let ((_one, first), (_two, second)) = (echo().await, echo().await);
    let targets = [slow.address.to_string(), first, second];
    let gateway = start("least", targets, "balance = \"least_requests\"", 1);
    let ask = |_| async {
        let mut client = Http1::connect(gateway.address).await;
        for _ in 0..20 {
            assert_eq!(client.send(get("/")).await.status(), 200);
        }
    };
    futures_util::future::join_all((0..8).map(ask)).await;
    let share = slow.requests().len();
    assert!(share < 40, "{share} of 160: by turns it is 53");
}
