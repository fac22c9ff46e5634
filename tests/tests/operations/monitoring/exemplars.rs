//! Requests that stand for the others of their bucket, as OpenMetrics and Prometheus have them.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway_tests::client::{request, to};
use gateway_tests::{Http1, Running, Setup};

use super::{ROUTES, after, page, service};

const TRACE: &str = "12345678901234567890123456789012";

async fn open_page(gateway: &Running) -> String {
    let accept = ("accept", "application/openmetrics-text;version=1.0.0");
    let admin = gateway.admin.unwrap();
    let asked = request("GET", "/metrics", &[accept], "");
    Http1::connect(admin).await.send(to(admin, asked)).await.text().to_owned()
}

/// The exemplars of a page, each with its series.
fn exemplars(page: &str) -> Vec<(&str, &str)> {
    page.lines().filter_map(|line| line.split_once(" # ")).collect()
}

#[tokio::test]
async fn a_bucket_names_a_sampled_trace_and_its_request() {
    let service = service().await;
    let text = format!("[traces]\nsample = 0.0\n{ROUTES}");
    let gateway = Setup::toml(&text, &[("UPSTREAM", &service.address)]).start();
    let sampled = format!("00-{TRACE}-1234567890123456-01");
    let mut client = Http1::connect(gateway.address).await;
    client.send(request("GET", "/fixed", &[], "")).await;
    client.send(request("GET", "/api/a", &[], "")).await;
    let answer = client.send(request("GET", "/api/a", &[("traceparent", &sampled)], "")).await;
    let failed = client.send(request("GET", "/gone", &[("traceparent", &sampled)], "")).await;
    after(&gateway, 4.0).await;
    let page = open_page(&gateway).await;
    let found = exemplars(&page);
    let of = |id: &str| format!("{{trace_id=\"{TRACE}\",request_id=\"{id}\"}} ");
    let one = |series: &str, id: &str| {
        let is = |it: &&(&str, &str)| it.0.starts_with(series) && it.1.starts_with(&of(id));
        *found.iter().find(is).unwrap_or_else(|| panic!("no {series} {id} in {found:#?}"))
    };
    let (series, exemplar) =
        one("gateway_request_duration_seconds_bucket{route=\"api\",le=\"", answer.id());
    let value: f64 = exemplar.split(' ').nth(1).unwrap().parse().unwrap();
    let bound = series.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(
        value > 0.0 && value <= bound.replace("+Inf", "inf").parse().unwrap(),
        "{series} {exemplar}"
    );
    one("gateway_request_duration_seconds_bucket{route=\"gone\"", failed.id());
    one(
        "gateway_requests_failed_total{route=\"gone\",fault=\"upstream\",reason=\"connect\"}",
        failed.id(),
    );
    assert!(found.iter().all(|(_, it)| it.contains(TRACE)), "others are not sampled: {found:#?}");
    // The older format has none.
    assert!(!super::page(&gateway).await.contains(" # {"));
}

#[tokio::test]
async fn without_traces_a_bucket_names_a_request() {
    let gateway = Setup::toml(ROUTES, &[("UPSTREAM", &"127.0.0.1:1")]).start();
    let answer = Http1::get(gateway.address, "/fixed").await;
    after(&gateway, 1.0).await;
    let page = open_page(&gateway).await;
    let found = exemplars(&page);
    let wanted = format!("{{request_id=\"{}\"}} ", answer.id());
    assert!(found.iter().any(|(_, exemplar)| exemplar.starts_with(&wanted)), "{found:#?}");
}

/// A real Prometheus that reads one gateway, until it is dropped.
pub(super) struct Prometheus {
    child: std::process::Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(super) fn start(gateway: &Running) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = super::monitoring().join("alerts.yml").canonicalize().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n  - job_name: gateway\n    \
             static_configs: [{{targets: ['{}']}}]\n",
            rules.display(),
            gateway.admin.unwrap()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    /// The answer to a question of its API, as soon as there is one.
    pub(super) async fn ask(&self, path: &str) -> Vec<serde_json::Value> {
        let asked = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let address = ([127, 0, 0, 1], self.port).into();
                if tokio::net::TcpStream::connect(address).await.is_err() {
                    continue;
                }
                let answer = Http1::get(address, path).await;
                let answer: serde_json::Value =
                    serde_json::from_str(answer.text()).unwrap_or_default();
                let data = &answer["data"];
                let found = data["result"].as_array().or(data.as_array()).cloned();
                match found.unwrap_or_default() {
                    found if found.is_empty() => {}
                    found => break found,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("an answer in a minute")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "needs promtool and Prometheus"]
async fn a_real_prometheus_stores_exemplars() {
    let service = service().await;
    let text = format!("[traces]\n{ROUTES}");
    let gateway = Setup::toml(&text, &[("UPSTREAM", &service.address)]).start();
    let sampled = format!("00-{TRACE}-1234567890123456-01");
    let mut client = Http1::connect(gateway.address).await;
    let fields = [("traceparent", &*sampled)];
    let answer = client.send(request("GET", "/api/a", &fields, "")).await;
    let failed = client.send(request("GET", "/gone", &fields, "")).await;
    after(&gateway, 2.0).await;
    let _ = page(&gateway).await;
    let prometheus = Prometheus::start(&gateway);
    for (query, id) in [
        ("gateway_request_duration_seconds_bucket%7Broute%3D%22api%22%7D", answer.id()),
        ("gateway_requests_failed_total%7Broute%3D%22gone%22%7D", failed.id()),
    ] {
        let path = format!("/api/v1/query_exemplars?query={query}&start=0&end=9999999999");
        let found = prometheus.ask(&path).await;
        let labels = &found[0]["exemplars"][0]["labels"];
        assert_eq!((&labels["trace_id"], &labels["request_id"]), (&TRACE.into(), &id.into()));
    }
}
