//! What the gateway counts of its traffic, as a scrape sees it, and what is made of it: the alert rules and
//! the dashboard under `docs/monitoring`.

mod exemplars;
mod reasons;
mod scrape;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use gateway_tests::client::{request, to};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Http2, Raw, Running, Setup, Upstream, within};
use http::Response;

const ROUTES: &str = "[admin]\naddress = \"127.0.0.1:0\"\n\
    [upstreams.service]\ntargets = [\"http://${env:UPSTREAM}\"]\n\
    [upstreams.gone]\ntargets = [\"http://127.0.0.1:1\"]\n\
    [[routes]]\nname = \"api\"\npaths = [\"/api/{*rest}\"]\nupstream = \"service\"\n\
    [[routes]]\nname = \"fixed\"\npaths = [\"/fixed\"]\nrespond = { status = 418, body = \"tea\" }\n\
    [[routes]]\nname = \"gone\"\npaths = [\"/gone\"]\nupstream = \"gone\"\n\
    [[routes]]\nname = \"quiet\"\npaths = [\"/quiet\"]\nrespond = { status = 200 }\n";

/// A route whose consumer has a group.
const KEYED: &str = "[plugins.keys]\ncomponent = \"auth\"\n[[plugins.keys.config.api_key.keys]]\nid = \"k\"\n\
    digest = \"sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8\"\ngroup = \"gold\"\n\
    [[routes]]\nname = \"keyed\"\npaths = [\"/keyed\"]\nplugins = [\"keys\"]\nrespond = { status = 200 }\n";

/// A route that splits, and has copies made.
const SPLIT: &str = "[[routes]]\nname = \"split\"\npaths = [\"/split\"]\n\
    split = { variants = [{ name = \"a\", upstream = \"service\", weight = 1 }, { name = \"b\", upstream = \"gone\", weight = 0 }] }\n\
    mirror = { upstream = \"gone\" }\n";

async fn page(gateway: &Running) -> String {
    Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().to_owned()
}

/// Each series with its value.
async fn series(gateway: &Running) -> HashMap<String, f64> {
    let page = page(gateway).await;
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a series and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(read).collect()
}

/// The series when so many requests have ended: the client has its answer a moment before.
async fn after(gateway: &Running, requests: f64) -> HashMap<String, f64> {
    within(async {
        loop {
            let seen = series(gateway).await;
            if sum(&seen, "gateway_requests_total", &[]) >= requests {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// Answers what the path asks for: `/api/404`, `/api/slow`.
async fn service() -> Upstream {
    Upstream::http1(|request| async move {
        let wanted = request.uri().path().rsplit('/').next().unwrap().to_owned();
        if wanted == "slow" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let status = wanted.parse().unwrap_or(200_u16);
        Response::builder().status(status).body(full("0123456789")).unwrap()
    })
    .await
}

fn sum(seen: &HashMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let fits = |key: &str| {
        key.split('{').next() == Some(name) && labels.iter().all(|label| key.contains(label))
    };
    seen.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status_on_all_workers() {
    let service = service().await;
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]).workers(2).start();
    for _ in 0..10 {
        Http1::get(gateway.address, "/api/a").await;
    }
    let mut http2 = Http2::connect(gateway.address).await;
    http2.send(gateway_tests::client::get2("/api/404")).await;
    let posted = request("POST", "/api/201", &[], "a body of 18 bytes");
    Http1::connect(gateway.address).await.send(posted).await;
    Http1::get(gateway.address, "/fixed").await;
    Http1::get(gateway.address, "/gone").await;
    Http1::get(gateway.address, "/nowhere").await;
    Raw::ask(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;

    let seen = after(&gateway, 16.0).await;
    let requests = |route: &str, status: &str| {
        let key = format!("gateway_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        seen.get(&key).copied()
    };
    assert_eq!(requests("api", "200"), Some(10.0));
    assert_eq!(requests("api", "404"), Some(1.0));
    assert_eq!(requests("api", "201"), Some(1.0));
    assert_eq!(requests("fixed", "4xx"), Some(1.0), "418 has no series of its own");
    assert_eq!(requests("gone", "502"), Some(1.0));
    assert_eq!(requests("", "404"), Some(1.0));
    assert_eq!(requests("", "400"), Some(1.0));
    assert_eq!(sum(&seen, "gateway_requests_total", &["route=\"quiet\""]), 0.0);
    assert_eq!(sum(&seen, "gateway_requests_total", &[]), 16.0, "and no other");
    let failed = |route: &str, fault: &str| {
        let (route, fault) = (format!("route=\"{route}\""), format!("fault=\"{fault}\""));
        sum(&seen, "gateway_requests_failed_total", &[&route, &fault])
    };
    assert_eq!(failed("gone", "upstream"), 1.0);
    assert_eq!(failed("", "client"), 2.0);
    assert_eq!(failed("api", "upstream"), 0.0);

    let of_api = |name: &str| seen[&format!("{name}{{route=\"api\"}}")];
    assert_eq!(of_api("gateway_request_duration_seconds_count"), 12.0);
    assert_eq!(of_api("gateway_upstream_duration_seconds_count"), 12.0);
    assert_eq!(of_api("gateway_overhead_duration_seconds_count"), 12.0);
    assert_eq!(of_api("gateway_request_body_bytes_sum"), 18.0);
    assert_eq!(of_api("gateway_response_body_bytes_sum"), 120.0);
    assert!(!seen.contains_key("gateway_upstream_duration_seconds_count{route=\"fixed\"}"));

    let target = format!("upstream=\"service\",target=\"{}\"", service.address);
    let attempts = |target: &str, result: &str| {
        let key = format!("gateway_upstream_attempts_total{{{target},result=\"{result}\"}}");
        seen.get(&key).copied()
    };
    assert_eq!(attempts(&target, "answered"), Some(12.0));
    let gone = "upstream=\"gone\",target=\"127.0.0.1:1\"";
    assert_eq!((attempts(gone, "answered"), attempts(gone, "refused")), (Some(0.0), Some(1.0)));
    let opened = seen[&format!("gateway_upstream_connections_opened_total{{{target}}}")];
    assert!((1.0..=12.0).contains(&opened), "{opened}");
    assert!(seen["process_resident_memory_bytes"] > 1e6);
    assert!(seen["gateway_worker_cpu_seconds_total{worker=\"1\"}"] >= 0.0);
}

#[tokio::test]
async fn time_is_told_apart_by_who_took_it_and_a_request_is_in_flight_until_it_ends() {
    let service = service().await;
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]).workers(1).start();
    let slow = tokio::spawn({
        let address = gateway.address;
        async move { Http1::get(address, "/api/slow").await }
    });
    let in_flight = || async {
        let seen = series(&gateway).await;
        seen.get("gateway_requests_in_flight{route=\"api\"}").copied()
    };
    within(async {
        while in_flight().await != Some(1.0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(within(slow).await.unwrap().status(), 200);
    let seen = after(&gateway, 1.0).await;
    assert_eq!(in_flight().await, Some(0.0));
    let of = |name: &str| seen[&format!("{name}{{route=\"api\"}}")];
    let (all, upstream) =
        (of("gateway_request_duration_seconds_sum"), of("gateway_upstream_duration_seconds_sum"));
    let overhead = of("gateway_overhead_duration_seconds_sum");
    assert!(upstream >= 0.3 && all >= upstream, "{all} {upstream}");
    assert!(overhead < 0.2, "{overhead}");
    let below = |le: &str| {
        seen[&format!("gateway_upstream_duration_seconds_bucket{{route=\"api\",le=\"{le}\"}}")]
    };
    assert_eq!((below("0.25"), below("+Inf")), (0.0, 1.0));
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_without_a_status() {
    let service = service().await;
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]).start();
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /api/slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.reset();
    let key = "gateway_requests_total{route=\"api\",status=\"none\"}";
    within(async {
        while series(&gateway).await.get(key) != Some(&1.0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reload_keeps_the_numbers_and_forgets_routes_that_are_gone() {
    let service = service().await;
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]).start();
    Http1::get(gateway.address, "/api/a").await;
    Http1::get(gateway.address, "/fixed").await;
    let loaded = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]);
    let mut config = loaded.config;
    config.routes.retain(|route| route.name != "fixed");
    after(&gateway, 2.0).await;
    gateway.handle.reload(config).unwrap();
    Http1::get(gateway.address, "/api/a").await;
    let seen = after(&gateway, 2.0).await;
    assert_eq!(seen["gateway_requests_total{route=\"api\",status=\"200\"}"], 2.0);
    assert_eq!(sum(&seen, "gateway_requests_total", &["route=\"fixed\""]), 0.0);
}

#[tokio::test]
async fn open_metrics_is_for_who_asks_for_it() {
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &"127.0.0.1:1")]).start();
    Http1::get(gateway.address, "/fixed").await;
    after(&gateway, 1.0).await;
    let scrape = async |accept: &str| {
        let asked = request("GET", "/metrics", &[("accept", accept)], "");
        let admin = gateway.admin.unwrap();
        Http1::connect(admin).await.send(to(admin, asked)).await
    };
    // As Prometheus 2.42 asks.
    let accept = "application/openmetrics-text;version=1.0.0,\
                  application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let open = scrape(accept).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(kind));
    assert!(open.text().ends_with("\n# EOF\n"));
    assert!(
        open.text()
            .contains("\n# TYPE gateway_requests counter\ngateway_requests_total{route=\"fixed\"")
    );
    for accept in ["text/plain", "*/*", "application/openmetrics-text;version=1.0.0;q=0, */*"] {
        let plain = scrape(accept).await;
        assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert!(plain.text().contains("\n# TYPE gateway_requests_total counter\n"), "{accept}");
    }
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring")
}

/// The metrics that an expression names.
fn named(expression: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_part(c));
    let is_metric = |word: &&str| word.starts_with("gateway_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_rules_and_the_dashboard_name_metrics_that_there_are() {
    let service = service().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let routes = format!(
        "access_log = \"x\"\n[access_logs.x]\nfile = {log:?}\n\
         [traces]\nendpoint = \"http://127.0.0.1:1\"\n{ROUTES}{KEYED}{SPLIT}"
    );
    let gateway = Setup::toml(&routes, &[("UPSTREAM", &service.address)]).start();
    Http1::get(gateway.address, "/api/a").await;
    Http1::get(gateway.address, "/gone").await;
    let keyed = request("GET", "/keyed", &[("x-api-key", "quickstart-key")], "");
    assert_eq!(Http1::connect(gateway.address).await.send(keyed).await.status(), 200);
    Http1::get(gateway.address, "/split").await;
    after(&gateway, 4.0).await;
    let page = page(&gateway).await;
    let rules = fs::read_to_string(monitoring().join("alerts.yml")).unwrap();
    let dashboard = fs::read_to_string(monitoring().join("dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let mut names = named(&rules);
    names.extend(expressions.iter().flat_map(|expression| named(expression)));
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        // Those of plugins and certificates, which this gateway has none of.
        if name.starts_with("gateway_plugin_") || name.starts_with("gateway_certificate_") {
            continue;
        }
        assert!(
            page.contains(&format!("\n{name}{{")) || page.contains(&format!("\n{name} ")),
            "{name}"
        );
    }
}

fn fine(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_the_rules_and_their_tests() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        fine(&Command::new("promtool").args(arguments).current_dir(monitoring()).output().unwrap());
    }
}

#[tokio::test]
#[ignore = "needs promtool and Prometheus"]
async fn a_real_prometheus_reads_what_is_served() {
    let service = service().await;
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &service.address)]).start();
    for path in ["/api/a", "/api/404", "/gone", "/nowhere"] {
        Http1::get(gateway.address, path).await;
    }
    after(&gateway, 4.0).await;
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("page");
    fs::write(&text, page(&gateway).await).unwrap();
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&text).unwrap())
        .output()
        .unwrap();
    fine(&checked);
    assert!(checked.stdout.is_empty() && checked.stderr.is_empty(), "nothing to complain about");

    let query =
        "/api/v1/query?query=sum%20by(route)(gateway_requests_total%7Bstatus%3D%22200%22%7D)";
    let found = exemplars::Prometheus::start(&gateway).ask(query).await;
    assert_eq!(found[0]["metric"]["route"], "api");
    assert_eq!(found[0]["value"][1], "1");
}
