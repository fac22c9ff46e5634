//! Quotas of windows, their plans, and estimates that are settled, in every store.
//!
//! Windows are so long that none ends while a test runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use gateway_tests::client::{request, to};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream};
use http::{Method, Response};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::task::JoinSet;

use super::gateways::{Gateway, flood, limit};
use super::server::{ALL, KINDS, Kind, Server};
use super::shared::store;

const CLOSED: &str = "{ store = \"shared\", on_store_error = \"closed\" }";
const KEPT: &str = "[stores.kept]\nfile = \"state.db\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_admit_exactly_the_limit_of_a_window() {
    for kind in ALL {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let policies = "{ name = \"sliding\", limit = 500, window = \"366d\", algorithm = \"sliding\", key = [] }, \
                        { name = \"fixed\", limit = 600, window = \"366d\", algorithm = \"fixed\", key = [] }, \
                        { name = \"year\", limit = 700, window = \"year\", time_zone = \"Asia/Tokyo\", key = [] }, \
                        { name = \"bucket\", limit = 900, window = \"365d\", key = [] }";
        let text = store(&server, "") + &limit("day", CLOSED, policies);
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        let before = answered(&gateways).await;
        let counts = flood(&gateways.iter().collect::<Vec<_>>(), "/day", 150, 20).await;
        assert_eq!(counts, BTreeMap::from([(200, 500), (429, 2_500)]), "{kind:?}");
        let calls = answered(&gateways).await - before;
        assert!((calls - 3_000.0).abs() < 0.1, "one round trip for all: {calls}");
    }
}

async fn answered(gateways: &[Gateway]) -> f64 {
    let mut sum = 0.0;
    for gateway in gateways {
        let name = "gateway_store_calls_total{store=\"shared\",result=\"answered\"}";
        sum += gateway.metric(name).await;
    }
    sum
}

#[tokio::test]
async fn a_monthly_quota_survives_a_kill() {
    let folder = tempdir().unwrap();
    let policy = "{ name = \"year\", limit = 10, window = \"year\", key = [\"header:x-who\"] }";
    let text = KEPT.to_owned() + &limit("day", "\"kept\"", policy);
    let statuses = async |gateway: &Gateway, who: &str, count: usize| {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(gateway.ask("/day", &[("x-who", who)]).await.0);
        }
        all
    };
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(statuses(&gateway, "a", 10).await, [200; 10]);
    assert_eq!(statuses(&gateway, "b", 4).await, [200; 4]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    gateway.kill();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(statuses(&gateway, "a", 1).await, [429], "a second had passed");
    assert_eq!(statuses(&gateway, "b", 1).await, [200]);
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(statuses(&gateway, "b", 6).await, [200, 200, 200, 200, 200, 429]);
}

#[tokio::test]
async fn a_flood_of_keys_resets_no_window() {
    let folder = tempdir().unwrap();
    let policy = "{ name = \"year\", limit = 2, window = \"year\", key = [\"header:x-who\"] }";
    let text = limit("day", "\"memory\"", policy).replace("limiter = \"memory\"\n", "");
    let text = text.replace("deadline = \"1s\"", "deadline = \"1s\", limiter = \"64KiB\"");
    let gateway = Gateway::run(folder.path(), &text);
    for status in [200, 200, 429] {
        assert_eq!(gateway.ask("/day", &[("x-who", "victim")]).await.0, status);
    }
    let mut client = Http1::connect(gateway.address).await;
    for key in 0..6_000 {
        let who = format!("attacker-{key}");
        client.send(request("GET", "/day", &[("x-who", &who)], "")).await;
    }
    assert!(gateway.metric("gateway_plugin_buckets_displaced_total").await > 0.0);
    assert_eq!(gateway.ask("/day", &[("x-who", "victim")]).await.0, 429);
}

async fn admin(gateway: &Gateway, method: Method, target: &str) -> Value {
    let asked = to(
        gateway.admin,
        request(method.as_str(), target, &[("content-type", "application/json")], ""),
    );
    let answer = Http1::connect(gateway.admin).await.send(asked).await;
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(&answer.body).unwrap()
}

pub(crate) fn keys(consumers: &[(&str, &str)]) -> String {
    let keys = consumers.iter().map(|(name, group)| {
        let digest = digest(&SHA256, format!("key-of-{name}").as_bytes());
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let group = if group.is_empty() { String::new() } else { format!(", group = \"{group}\"") };
        format!("{{ id = \"{name}\", consumer = \"{name}\", digest = \"sha256:{hex}\"{group} }}")
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    format!(
        "[plugins.keys]\ncomponent = \"auth\"\n[plugins.keys.config.api_key]\nkeys = [{keys}]\n"
    )
}

async fn is_shown_and_reset(gateway: &Gateway) {
    for status in [200, 200, 200, 429] {
        assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-acme")]).await.0, status);
    }
    let shown = admin(gateway, Method::GET, "/limits?consumer=acme").await;
    let limit = &shown["limits"][0];
    assert_eq!(limit["window"], "year");
    assert_eq!(limit["time_zone"], "Europe/Berlin");
    assert_eq!((&limit["limit"], &limit["remaining"]), (&json!(3), &json!(0)));
    let length = limit["period_seconds"].as_f64().unwrap() / 86_400.0;
    assert!((364.9..366.1).contains(&length), "{length}");
    assert!(limit["full_in_seconds"].as_f64().unwrap() > 0.0);
    let reset = admin(gateway, Method::POST, "/limits/reset?consumer=acme").await;
    assert_eq!(reset["reset"], 1);
    let reset = admin(gateway, Method::POST, "/limits/reset?consumer=acme").await;
    assert_eq!(reset["reset"], 0, "it was whole");
    for status in [200, 200, 200, 429] {
        assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-acme")]).await.0, status);
    }
}

#[tokio::test]
async fn windows_of_a_consumer_are_shown_and_reset_in_every_store() {
    let policy = "{ name = \"year\", limit = 3, window = \"year\", time_zone = \"Europe/Berlin\", \
                  key = [\"consumer.id\"] }";
    let plugin = |limiter: &str| {
        keys(&[("acme", "")])
            + &limit("day", limiter, policy).replace("[\"day\"]", "[\"keys\", \"day\"]")
    };
    let folder = tempdir().unwrap();
    is_shown_and_reset(&Gateway::run(folder.path(), &(KEPT.to_owned() + &plugin("\"kept\""))))
        .await;
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let text = store(&server, "") + &plugin(CLOSED);
        is_shown_and_reset(&Gateway::run_up(folder.path(), &text).await).await;
    }
}

/// A service whose response says what it did cost: what the request says, in a field and in JSON.
async fn service(spent: &Arc<AtomicU64>) -> Upstream {
    let spent = Arc::clone(spent);
    Upstream::http1(move |request| {
        let spent = Arc::clone(&spent);
        async move {
            let cost = request.headers().get("x-will-cost").and_then(|it| it.to_str().ok());
            let cost: u64 = cost.and_then(|it| it.parse().ok()).unwrap_or(0);
            spent.fetch_add(cost, Relaxed);
            let body = json!({ "usage": { "total_tokens": cost } }).to_string();
            Response::builder()
                .header("content-type", "application/json")
                .header("x-tokens", cost.to_string())
                .body(full(body))
                .unwrap()
        }
    })
    .await
}

fn spends(address: std::net::SocketAddr, limiter: &str, settle: &str) -> String {
    let policy = format!(
        "{{ name = \"year\", limit = 2000, window = \"year\", key = [], cost = 10, settle = {settle} }}"
    );
    let text = limit("spend", limiter, &policy);
    let text = text.replace("respond = { body = \"fine\" }", "upstream = \"service\"");
    let text = text.replace("limiter = \"memory\"\n", "");
    format!("[upstreams.service]\ntargets = [\"http://{address}\"]\n{text}")
}

/// What did cost no more than it was estimated at never passes the quota, however much comes at once, and what was
/// not used of estimates is there again.
async fn spends_the_quota(gateways: &[&Gateway], spent: &AtomicU64) {
    let mut tasks = JoinSet::new();
    for index in 0..100 {
        let address = gateways[index % gateways.len()].address;
        tasks.spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut admitted = 0;
            for turn in 0..10_usize {
                let cost = ((index + turn) % 11).to_string();
                let asked = request("GET", "/spend", &[("x-will-cost", &cost)], "");
                let answer = client.send_within(asked, Duration::from_secs(60)).await;
                admitted += u64::from(answer.status() == 200);
            }
            admitted
        });
    }
    let mut admitted = 0;
    while let Some(count) = tasks.join_next().await {
        admitted += count.unwrap();
    }
    // More than 200 estimates of 10: what was less than its estimate came back.
    assert!(admitted > 220, "{admitted}");
    assert!(spent.load(Relaxed) <= 2_000, "{}", spent.load(Relaxed));
    // What is left is less than an estimate, once nothing is on its way.
    let mut last = 0;
    while gateways[0].ask("/spend", &[("x-will-cost", "1")]).await.0 == 200 {
        last += 1;
        assert!(last < 2_000);
    }
    let spent = spent.load(Relaxed);
    assert!((1_991..=2_000).contains(&spent), "{spent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_with_estimates_spend_a_quota_and_no_more() {
    for settle in ["{ response_header = \"x-tokens\" }", "{ json = \"/usage/total_tokens\" }"] {
        let spent = Arc::default();
        let upstream = service(&spent).await;
        let folder = tempdir().unwrap();
        let gateway = Gateway::run(folder.path(), &spends(upstream.address, "\"memory\"", settle));
        spends_the_quota(&[&gateway], &spent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_over_three_gateways_spend_a_quota_and_no_more() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let spent = Arc::default();
        let upstream = service(&spent).await;
        let folder = tempdir().unwrap();
        let settle = "{ response_header = \"x-tokens\" }";
        let text = store(&server, "") + &spends(upstream.address, CLOSED, settle);
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        spends_the_quota(&gateways.iter().collect::<Vec<_>>(), &spent).await;
    }
}

/// The first block of a section of the plugin's README.
pub(crate) fn recipe(section: &str) -> String {
    let readme = concat!("\n", include_str!("../../../../plugins/rate-limit/README.md"));
    let (_, section) = readme.split_once(&format!("\n{section}\n")).unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_recipe_of_the_readme_gives_each_plan_its_quota() {
    let recipe = recipe("### Plans").replace("100000", "3").replace("1000", "2");
    let keys = keys(&[("pia", "pro"), ("fred", "free"), ("inge", "internal"), ("nina", "")]);
    let route = "[[routes]]\nname = \"all\"\npaths = [\"/all\"]\nplugins = [\"keys\", \"limit\"]\n\
                 respond = { body = \"fine\" }\n";
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &format!("{keys}{recipe}{route}"));
    for (consumer, statuses) in [
        ("pia", vec![200, 200, 200, 429]),
        ("fred", vec![200, 200, 429]),
        ("inge", vec![200; 8]),
        ("nina", vec![403, 403]),
    ] {
        let key = format!("key-of-{consumer}");
        for (turn, status) in statuses.into_iter().enumerate() {
            let got = gateway.ask("/all", &[("x-api-key", &key)]).await.0;
            assert_eq!(got, status, "{consumer} {turn}");
        }
    }
}

#[tokio::test]
async fn the_recipe_of_the_readme_settles_tokens() {
    let recipe = recipe("### Settling").replace("1000000", "2000");
    let spent = Arc::default();
    let upstream = service(&spent).await;
    let rest = format!(
        "[upstreams.service]\ntargets = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npaths = [\"/all\"]\n\
         plugins = [\"limit\"]\nupstream = \"service\"\n",
        upstream.address
    );
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &format!("{recipe}{rest}"));
    for (cost, status) in [("7", 200), ("1500", 200), ("1", 429)] {
        assert_eq!(gateway.ask("/all", &[("x-will-cost", cost)]).await.0, status, "{cost}");
    }
    assert_eq!(spent.load(Relaxed), 1_507);
}

#[tokio::test]
async fn a_store_that_is_away_has_each_gateway_admit_its_share_of_a_window() {
    let Some(mut server) = Server::start(Kind::Redis, &[]).await else { return };
    let folder = tempdir().unwrap();
    let policy = "{ name = \"year\", limit = 9, window = \"year\", key = [] }";
    let local = "{ store = \"shared\", on_store_error = \"local\" }";
    let text = store(&server, "instances = 3") + &limit("day", local, policy);
    let gateway = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 200]);
    server.kill();
    gateway.until("gateway_store_up", |up| up == 0.0).await;
    assert_eq!(gateway.statuses("/day", 5).await, [200, 200, 200, 429, 429]);
}

#[tokio::test]
async fn a_wrong_time_zone_is_refused_at_its_place_with_the_right_one() {
    let folder = tempdir().unwrap();
    let policy =
        "{ name = \"month\", limit = 9, window = \"month\", time_zone = \"Europe/Berln\" }";
    let text = limit("day", "\"memory\"", policy).replace("limiter = \"memory\"\n", "");
    let head = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("gateway.toml"), format!("{head}{text}")).unwrap();
    let mut command = std::process::Command::new(gateway_tests::binary());
    let output = command.current_dir(folder.path()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("there is no time zone `Europe/Berln`"), "{said}");
    assert!(said.contains("did you mean `Europe/Berlin`?"), "{said}");
    assert!(said.contains("time_zone = "), "the line is shown: {said}");
}
