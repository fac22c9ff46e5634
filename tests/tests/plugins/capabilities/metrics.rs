//! What plugins record, as the one who asks `[admin]` sees it.

use std::collections::HashMap;

use gateway::{ReloadError, config::Config};
use gateway_tests::client::{get, request, to};
use gateway_tests::{Answer, Http1, Raw, Running, Setup, log, until, within};
use tokio::task::JoinSet;

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// A gateway with `[admin]` in which `records` runs under these names, each on its own route.
fn recorded(names: &[&str]) -> Setup {
    let plugin = |name: &&str| {
        format!(
            "[plugins.{name}]\ncomponent = \"./records.wasm\"\ngrants = [\"metrics\"]\n\
             limits = {{ deadline = \"1s\" }}\n[[routes]]\nname = \"{name}\"\npaths = [\"/{name}/{{*rest}}\"]\n\
             plugins = [\"{name}\"]\nrespond = {{ body = \"fine\" }}\n"
        )
    };
    Setup::toml(&(ADMIN.to_owned() + &names.iter().map(plugin).collect::<String>()), &[])
}

async fn page(gateway: &Running) -> Answer {
    Http1::admin(gateway.admin.unwrap(), "/metrics").await
}

/// Each series with its value. The page is in order: no line that the format does not know.
async fn series(gateway: &Running) -> HashMap<String, f64> {
    let answer = page(gateway).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a series and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(read).collect()
}

async fn ask(gateway: &Running, path: &str, field: (&str, &str)) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", path, &[field], "")).await
}

#[tokio::test]
async fn what_a_plugin_records_on_all_workers_adds_up_under_its_name() {
    let gateway = recorded(&["one", "two"]).workers(2).start();
    let mut clients = JoinSet::new();
    for number in 0..100 {
        let path = if number % 4 == 0 { "/one/1234567" } else { "/one/a" };
        let address = gateway.address;
        clients.spawn(async move { Http1::get(address, path).await });
    }
    assert!(within(clients.join_all()).await.iter().all(|answer| answer.status() == 200));
    let seen = series(&gateway).await;
    assert_eq!(seen["plugin_requests_total{plugin=\"one\"}"], 100.0);
    // A plugin that nobody came by is there, at zero.
    assert_eq!(seen["plugin_requests_total{plugin=\"two\"}"], 0.0);
    assert_eq!(seen["plugin_by_path_total{plugin=\"one\",path=\"/one/a\"}"], 150.0);
    assert_eq!(seen["plugin_path_bytes_bucket{plugin=\"one\",le=\"4\"}"], 0.0);
    assert_eq!(seen["plugin_path_bytes_bucket{plugin=\"one\",le=\"8\"}"], 75.0);
    assert_eq!(seen["plugin_path_bytes_bucket{plugin=\"one\",le=\"+Inf\"}"], 100.0);
    assert_eq!(seen["plugin_path_bytes_count{plugin=\"one\"}"], 100.0);
    assert_eq!(seen["plugin_path_bytes_sum{plugin=\"one\"}"], 25.0 * 12.0 + 75.0 * 6.0);
    let last = seen["plugin_last_path_bytes{plugin=\"one\"}"];
    assert!([6.0, 12.0].contains(&last), "{last}");
    assert!(seen["gateway_plugin_instances{plugin=\"one\"}"] >= 1.0);
    // Each hook that was called is timed.
    let hook = "gateway_plugin_hook_duration_seconds_count{plugin=\"one\",hook=\"on-request\"}";
    assert_eq!(seen[hook], 100.0);
    assert!(!seen.contains_key(&hook.replace("on-request", "on-response-chunk")));
    assert_eq!(seen["gateway_plugin_answers_total{plugin=\"one\",status=\"4xx\"}"], 0.0);
}

#[tokio::test]
async fn the_time_that_hooks_compute_and_wait_for_their_turn_is_counted() {
    let gateway = Setup::toml(
        &format!(
            "{ADMIN}[plugins.spins]\ncomponent = \"./spins.wasm\"\nlimits = {{ deadline = \"10s\" }}\n\
             [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\n\
             plugins = [\"spins\"]\nrespond = {{ body = \"fine\" }}\n"
        ),
        &[],
    );
    let gateway = gateway.start();
    // The first one says that the plugin takes long; the others come at the same time.
    for _ in 0..2 {
        let mut clients = JoinSet::new();
        for _ in 0..6 {
            let address = gateway.address;
            clients.spawn(async move {
                let spin = request("GET", "/", &[("x-spin", "20000000")], "");
                Http1::connect(address).await.send(spin).await
            });
        }
        assert!(within(clients.join_all()).await.iter().all(|answer| answer.status() == 200));
    }
    let seen = series(&gateway).await;
    let of = |name: &str| seen[&format!("gateway_plugin_{name}{{plugin=\"spins\"}}")];
    assert!(of("computing_seconds_total") > 0.02, "{seen:?}");
    assert!(of("waiting_seconds_total") > 0.005, "{seen:?}");
    assert_eq!(of("calls_waiting"), 0.0);
}

#[tokio::test]
async fn a_reload_sets_nothing_back_and_is_counted() {
    let gateway = recorded(&["one", "two"]).start();
    for _ in 0..3 {
        Http1::get(gateway.address, "/one/a").await;
    }
    gateway.handle.reload(recorded(&["one"]).config).unwrap();
    // The worker takes the new configuration over in its own time.
    until_async(&gateway, |seen| seen["gateway_plugin_instances{plugin=\"one\"}"] == 0.0).await;
    Http1::get(gateway.address, "/one/a").await;
    let seen = series(&gateway).await;
    assert_eq!(seen["plugin_requests_total{plugin=\"one\"}"], 4.0);
    assert!(!seen.keys().any(|key| key.contains("plugin=\"two\"")), "it is gone");
    assert_eq!(seen["gateway_config_reloads_total{result=\"in_force\"}"], 1.0);
    assert_eq!(seen["gateway_config_reloads_total{result=\"refused\"}"], 0.0);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let broken: Config = recorded(&["one"]).listen(|listener| listener.address = address).config;
    assert!(matches!(gateway.handle.reload(broken), Err(ReloadError::Refused(_))));
    let seen = series(&gateway).await;
    assert_eq!(seen["gateway_config_reloads_total{result=\"refused\"}"], 1.0);
    assert_eq!(seen["gateway_config_last_reload_successful"], 0.0);
    assert_eq!(seen["plugin_requests_total{plugin=\"one\"}"], 4.0);
}

async fn until_async(gateway: &Running, is: impl Fn(&HashMap<String, f64>) -> bool) {
    within(async {
        while !is(&series(gateway).await) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_series_is_bounded_and_told_once() {
    let gateway = recorded(&["flood"]).start();
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "/flood/a", ("x-flood", "5500")).await.status(), 200);
    }
    let seen = series(&gateway).await;
    let own = seen.keys().filter(|key| key.starts_with("plugin_")).count();
    // Six lines are one histogram.
    assert_eq!(own, 5_000 + 4);
    assert_eq!(seen["plugin_flood_total{plugin=\"flood\",number=\"0\"}"], 2.0);
    let dropped = seen["gateway_plugin_metrics_dropped_total{plugin=\"flood\"}"];
    assert_eq!(dropped, 2.0 * (5_500.0 - 4_996.0));
    let told = log::of_plugin("flood");
    let told: Vec<_> = told.iter().filter(|line| line.message.contains("is dropped")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message.contains("it has 5000 series already"), "{}", told[0].message);
    // What was there before continues.
    assert_eq!(seen["plugin_requests_total{plugin=\"flood\"}"], 2.0);
}

#[tokio::test]
async fn a_name_that_is_none_costs_one_request_and_is_counted_as_a_failure() {
    let gateway = recorded(&["breach"]).start();
    // A counter's name is another than a gauge's, by its end.
    let answer = ask(&gateway, "/breach/a", ("x-breach", "last_path_bytes")).await;
    assert_eq!(answer.status(), 200);
    let answer = ask(&gateway, "/breach/a", ("x-breach", "not-a-name")).await;
    assert_eq!(answer.status(), 500);
    let words = "\"not-a-name\" is no name of a metric";
    until(|| log::of_request(answer.id()).iter().any(|line| line.message.contains(words))).await;
    let seen = series(&gateway).await;
    assert_eq!(seen["gateway_plugin_failures_total{plugin=\"breach\",kind=\"trap\"}"], 1.0);
    assert_eq!(seen["gateway_plugin_failures_total{plugin=\"breach\",kind=\"memory\"}"], 0.0);
    assert_eq!(ask(&gateway, "/breach/a", ("x", "y")).await.status(), 200);
}

#[tokio::test]
async fn the_admin_listener_tells_metrics_and_health_and_nothing_else() {
    let mut gateway = recorded(&["one"]).start();
    let admin = gateway.admin.unwrap();
    let health = Http1::admin(admin, "/healthz").await;
    assert_eq!((health.status(), health.text()), (200, "ok\n"));
    let root = Http1::admin(admin, "/").await;
    assert_eq!((root.status(), root.header("location")), (302, Some("/dashboard/")));
    assert_eq!(Http1::admin(admin, "/none").await.status(), 404);
    assert_eq!(Http1::admin(admin, "/one/a").await.status(), 404);
    let posted =
        Http1::connect(admin).await.send(to(admin, request("POST", "/metrics", &[], "x"))).await;
    assert_eq!((posted.status(), posted.header("allow")), (405, Some("GET, HEAD")));
    let mut head = get("/metrics");
    *head.method_mut() = http::Method::HEAD;
    let head = Http1::connect(admin).await.send(to(admin, head)).await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    // What is no HTTP harms nobody.
    let mut raw = Raw::connect(admin).await;
    raw.send("\0\0\0\0\r\n\r\n").await;
    assert_eq!(Http1::admin(admin, "/healthz").await.status(), 200);
    // Clients do not reach it.
    assert_eq!(Http1::get(gateway.address, "/metrics").await.status(), 404);
    gateway.stop();
}

#[tokio::test]
async fn nothing_is_served_without_the_table() {
    let gateway =
        Setup::toml("[[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"x\"", &[]);
    assert_eq!(gateway.start().admin, None);
}
