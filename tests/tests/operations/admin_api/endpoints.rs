//! What each endpoint answers, held against the document that describes it.

use std::time::{Duration, Instant};

use gateway_tests::client::{get, request, to};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, until, within};
use http::Response;
use serde_json::{Value, json};

use super::document::faults;

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[plugins.tag]
component = "./tagger.wasm"
config = { name = "one" }

[upstreams.service]
targets = ["http://${env:SERVICE}", { url = "http://127.0.0.1:1", weight = 1 }]

[[routes]]
name = "api/v1"
hosts = ["*.a.example", "a.example"]
paths = ["/api/{id}", "/v1/{*rest}"]
methods = ["GET", "POST"]
headers = { x-version = "2", x-api-key = "open-sesame" }
query = { page = "*" }
plugins = ["tag", { component = "./tagger.wasm", config = { name = "two" } }]
upstream = "service"

[[routes]]
name = "fixed"
paths = ["/fixed"]
plugins = ["tag"]
respond = { status = 201, body = "x" }

[[routes]]
name = "moved"
paths = ["/moved"]
redirect = { to = "/fixed", status = 307 }
"#;

async fn start() -> (Running, Upstream) {
    let service = Upstream::http1(|_| async { Response::new(full("0123")) }).await;
    (Setup::toml(TEXT, &[("SERVICE", &service.address)]).start(), service)
}

/// An answer of the status, that fits the document.
async fn asked(gateway: &Running, template: &str, target: &str, status: u16) -> Value {
    let admin = gateway.admin.unwrap();
    let answer = Http1::admin(admin, target).await;
    assert_eq!(answer.status(), status, "{target}: {}", answer.text());
    let kind =
        if status < 400 || status == 503 { "application/json" } else { "application/problem+json" };
    assert_eq!(answer.header("content-type"), Some(kind), "{target}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.id().len() == 32);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    let document = document(gateway).await;
    let found = faults(&document, template, "get", status, &value);
    assert!(found.is_empty(), "{target}: {found:?}\n{value:#}");
    value
}

async fn document(gateway: &Running) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), "/openapi.json").await;
    serde_json::from_slice(&answer.body).unwrap()
}

async fn ok(gateway: &Running, target: &str) -> Value {
    let template = target.split('?').next().unwrap();
    asked(gateway, template, target, 200).await
}

#[tokio::test]
async fn health_and_version() {
    let (mut gateway, _service) = start().await;
    assert_eq!(ok(&gateway, "/livez").await, json!({ "status": "live" }));
    within(async {
        while Http1::admin(gateway.admin.unwrap(), "/readyz").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(ok(&gateway, "/readyz").await, json!({ "ready": true, "reasons": [] }));
    let version = ok(&gateway, "/version").await;
    assert_eq!(
        (&version["process_id"], &version["workers"]),
        (&json!(std::process::id()), &json!(1))
    );
    // While it drains it is alive and not ready. An open request keeps it so.
    let slow = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = std::sync::Arc::clone(&slow);
    let service = Upstream::http1(move |_| {
        let wait = std::sync::Arc::clone(&wait);
        async move {
            wait.notified().await;
            Response::new(full("late"))
        }
    })
    .await;
    let mut setup = Setup::toml(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.s]\ntargets = [\"http://${env:S}\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nupstream = \"s\"\n",
        &[("S", &service.address)],
    );
    setup.config.process.shutdown_grace = Duration::from_secs(20);
    gateway = setup.start();
    let address = gateway.address;
    let open = tokio::spawn(async move { Http1::get(address, "/").await });
    until(|| service.requests().len() == 1).await;
    gateway.stop();
    within(async {
        while Http1::admin(gateway.admin.unwrap(), "/readyz").await.status() == 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let ready = asked(&gateway, "/readyz", "/readyz", 503).await;
    assert_eq!(ready["reasons"][0]["reason"], "draining");
    assert_eq!(ok(&gateway, "/livez").await["status"], "live");
    slow.notify_waiters();
    assert_eq!(open.await.unwrap().status(), 200);
}

#[tokio::test]
async fn routes_listeners_and_upstreams() {
    let (gateway, service) = start().await;
    assert_eq!(Http1::get(gateway.address, "/fixed").await.status(), 201);
    let mut api = get("/api/7?page=1");
    api.headers_mut().insert("x-version", "2".parse().unwrap());
    api.headers_mut().insert("x-api-key", "open-sesame".parse().unwrap());
    assert_eq!(Http1::connect(gateway.address).await.send(api).await.status(), 200);

    let routes = ok(&gateway, "/routes").await;
    assert_eq!((&routes["total"], &routes["limit"]), (&json!(3), &json!(100)));
    let first = &routes["routes"][0];
    let line =
        gateway_tests::setup::written(TEXT).lines().position(|it| it == "[[routes]]").unwrap() + 1;
    assert_eq!(
        *first,
        json!({
            "name": "api/v1",
            "line": line,
            "listeners": ["public"],
            "hosts": ["*.a.example", "a.example"],
            "paths": ["/api/{id}", "/v1/{*rest}"],
            "methods": ["GET", "POST"],
            "headers": { "x-version": "2", "x-api-key": "[masked]" },
            "query": { "page": "*" },
            "plugins": ["tag", "api/v1.plugins[1]"],
            "action": { "kind": "upstream", "name": "service", "status": null },
            "mirror": null,
            "retries": null,
            "body_size_bytes": null,
            "request_timeout_seconds": null,
        })
    );
    let page = ok(&gateway, "/routes?offset=1&limit=1").await;
    assert_eq!(
        (&page["routes"][0]["name"], page["routes"].as_array().unwrap().len()),
        (&json!("fixed"), 1)
    );
    let template = "/routes/{name}";
    within(async {
        while asked(&gateway, template, "/routes/api%2Fv1", 200).await["traffic"]["requests"] != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let one = asked(&gateway, template, "/routes/api%2Fv1", 200).await;
    assert_eq!(one["traffic"]["statuses"], json!({ "200": 1 }));
    assert_eq!(asked(&gateway, template, "/routes/moved", 200).await["traffic"], Value::Null);
    assert_eq!(
        asked(&gateway, template, "/routes/none", 404).await["detail"],
        "there is no such route; there are `api/v1`, `fixed`, `moved`"
    );
    for wrong in ["limit=0", "limit=1001", "limit=x", "offset=-1", "limit=1&limit=2", "more=1"] {
        asked(&gateway, "/routes", &format!("/routes?{wrong}"), 400).await;
    }

    let listeners = ok(&gateway, "/listeners").await;
    let listener = &listeners["listeners"][0];
    assert_eq!(
        (&listener["name"], &listener["address"]),
        (&json!("public"), &json!(gateway.address.to_string()))
    );
    let upstreams = ok(&gateway, "/upstreams").await;
    let targets = upstreams["upstreams"][0]["targets"].as_array().unwrap();
    assert_eq!(targets[0]["target"], service.address.to_string());
    let tried = |target: &Value| {
        target["attempts"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>()
    };
    assert!((1..=2).contains(&targets.iter().map(tried).sum::<u64>()), "{upstreams:#}");
    asked(&gateway, "/upstreams/{name}", "/upstreams/service", 200).await;
    asked(&gateway, "/upstreams/{name}", "/upstreams/none", 404).await;
    assert_eq!(ok(&gateway, "/certificates").await, json!({ "certificates": [] }));
}

#[tokio::test]
async fn plugins_and_what_they_cost() {
    let (gateway, _service) = start().await;
    for _ in 0..3 {
        assert_eq!(Http1::get(gateway.address, "/fixed").await.status(), 201);
    }
    let plugins = ok(&gateway, "/plugins").await;
    let names: Vec<_> = plugins["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["tag", "api/v1.plugins[1]"]);
    let tag = asked(&gateway, "/plugins/{name}", "/plugins/tag", 200).await;
    assert_eq!((&tag["component"], &tag["routes"]), (&json!("./tagger.wasm"), &json!(2)));
    assert!(tag["instances"]["live"].as_u64().unwrap() >= 1, "{tag:#}");
    assert_eq!(tag["limits"]["memory_bytes"], 16 << 20);
    assert!(tag["hooks"]["on-request"]["calls_total"].as_u64().unwrap() >= 1, "{tag:#}");
    assert_eq!(tag["failures_total"]["trap"], 0);
    asked(&gateway, "/plugins/{name}", "/plugins/api%2Fv1.plugins%5B1%5D", 200).await;
    asked(&gateway, "/plugins/{name}", "/plugins/none", 404).await;
}

#[tokio::test]
async fn explain_says_which_route_and_where_its_plugins_were_put() {
    let (gateway, _service) = start().await;
    let target = "/explain?url=http%3A%2F%2Fa.example%2Fapi%2F7%3Fpage%3D1&header=x-version:%202&header=x-api-key:open-sesame";
    let account = ok(&gateway, target).await;
    let on = &account["listeners"][0];
    assert_eq!((&on["winner"], &on["routes_total"]), (&json!("api/v1"), &json!(3)));
    let text = gateway_tests::setup::written(TEXT);
    let line = text.lines().position(|it| it.starts_with("plugins = [\"tag\", {")).unwrap() + 1;
    let defined = text.lines().position(|it| it == "[plugins.tag]").unwrap() + 1;
    let put = &on["plugins"][0];
    assert_eq!(
        (&put["put_at"]["line"], &put["defined_at"]["line"]),
        (&json!(line), &json!(defined))
    );
    assert_eq!(put["put_at"]["column"], 12);
    assert_eq!(on["plugins"][1]["put_at"], on["plugins"][1]["defined_at"]);
    // A key that fails is not shown, nor what was wanted.
    let account = ok(
        &gateway,
        "/explain?url=http://a.example/api/7&header=x-version:2&header=x-api-key:mine",
    )
    .await;
    let failed = &account["listeners"][0]["routes"][0];
    assert_eq!(failed["predicate"], "header x-api-key");
    assert_eq!((&failed["want"], &failed["got"]), (&json!("[masked]"), &json!("[masked]")));
    assert_eq!(account["listeners"][0]["status"], 404);
    let account = ok(&gateway, "/explain?url=/moved&method=BREW").await;
    assert_eq!(account["listeners"][0]["action"]["status"], 307);
    for wrong in [
        "",
        "?url=",
        "?url=%23",
        "?url=a.example",
        "?url=/&method=%20",
        "?url=/&header=x",
        "?url=/&routes=0",
        "?url=/&x=1",
    ] {
        asked(&gateway, "/explain", &format!("/explain{wrong}"), 400).await;
    }
    asked(&gateway, "/explain", "/explain?url=/&listener=none", 404).await;
}

#[tokio::test]
async fn what_is_no_endpoint_is_a_problem() {
    let (gateway, _service) = start().await;
    let admin = gateway.admin.unwrap();
    let send = |method: &'static str, path: &'static str| async move {
        Http1::connect(admin).await.send(to(admin, request(method, path, &[], ""))).await
    };
    assert_eq!(send("GET", "/nothing").await.problem()["status"], 404);
    let refused = send("DELETE", "/routes").await;
    assert_eq!(
        (refused.problem()["status"].as_u64(), refused.header("allow")),
        (Some(405), Some("GET, HEAD"))
    );
    let head = send("HEAD", "/routes").await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    // Nobody makes changes in this process.
    for (method, path) in [("POST", "/reload"), ("GET", "/log-level")] {
        assert_eq!(send(method, path).await.problem()["status"], 501, "{path}");
    }
}

#[tokio::test]
async fn many_routes_are_shown_at_once_while_requests_are_served() {
    let mut text = String::from("[admin]\naddress = \"127.0.0.1:0\"\n");
    for number in 0..10_000 {
        text.push_str(&format!(
            "[[routes]]\nname = \"r{number}\"\npaths = [\"/r{number}/{{id}}\"]\nrespond.body = \"x\"\n"
        ));
    }
    let gateway = Setup::toml(&text, &[]).start();
    let address = gateway.address;
    let served = tokio::spawn(async move {
        let mut client = Http1::connect(address).await;
        let mut slowest = Duration::ZERO;
        for number in 0..300 {
            let began = Instant::now();
            let answer: Answer = client.send(get(&format!("/r{number}/1"))).await;
            assert_eq!(answer.status(), 200);
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        slowest
    });
    let began = Instant::now();
    let page = ok(&gateway, "/routes?offset=9000&limit=1000").await;
    assert_eq!(page["routes"].as_array().unwrap().len(), 1_000);
    let account = ok(&gateway, "/explain?url=/r9999/1&routes=1000").await;
    assert_eq!(account["listeners"][0]["winner"], "r9999");
    assert_eq!(account["listeners"][0]["routes_total"], 10_000);
    let took = began.elapsed();
    let slowest = served.await.unwrap();
    println!(
        "1,000 of 10,000 routes and an account: {took:?}; slowest request meanwhile {slowest:?}"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn stores_in_memory_in_a_file_and_away() {
    let folder = tempfile::tempdir().unwrap();
    let stores = format!(
        "\n[stores.here]\n[stores.kept]\nfile = {:?}\n[stores.far]\nredis = \"redis://127.0.0.1:1\"\n\
         [plugins.limit]\ncomponent = \"rate-limit\"\nlimiter = \"far\"\nkey_value = \"kept\"\n\
         [plugins.limit.config]\npolicies = [{{ name = \"a\", limit = 1, window = \"1h\", key = [] }}]\n",
        folder.path().join("state.db")
    );
    let gateway = Setup::toml(&(TEXT.to_owned() + &stores), &[("SERVICE", &"127.0.0.1:9")]).start();
    let all = ok(&gateway, "/stores").await;
    let kinds: Vec<_> = all["stores"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["memory", "file", "redis"]);
    let page = ok(&gateway, "/stores?offset=1&limit=1").await;
    assert_eq!((&page["stores"][0]["name"], &page["total"]), (&json!("kept"), &json!(3)));
    assert_eq!(page["stores"][0]["plugins"], json!([{ "name": "limit", "keeps": ["key_values"] }]));
    let began = Instant::now();
    while ok(&gateway, "/stores").await["stores"][2]["failure"].is_null() {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not said");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let far = ok(&gateway, "/stores?offset=2").await["stores"][0].clone();
    assert_eq!((&far["up"], &far["breaker"]), (&json!(false), &json!("open")));
    asked(&gateway, "/stores", "/stores?name=here", 400).await;
}

#[tokio::test]
async fn how_routes_and_upstreams_are_set_is_shown() {
    let text = r#"
        [admin]
        address = "127.0.0.1:0"
        [upstreams.carts]
        targets = ["http://127.0.0.1:9"]
        balance = "consistent_hash"
        hash_by = "header:x-user"
        capacity = { requests = 4, queue = 2 }
        retry_budget = { share = 0.5, min_per_second = 3 }
        [upstreams.shadow]
        targets = ["http://127.0.0.1:9"]
        slow_start = "30s"
        [[routes]]
        name = "carts"
        paths = ["/carts"]
        upstream = "carts"
        mirror = { upstream = "shadow", ratio = 0.25 }
        retries = { attempts = 2, on = ["connect", "reset"], statuses = [503], methods = [], hedge_after = "50ms" }
        "#;
    let gateway = Setup::toml(text, &[]).start();
    let route = asked(&gateway, "/routes/{name}", "/routes/carts", 200).await;
    assert_eq!(route["mirror"], json!({ "upstream": "shadow", "ratio": 0.25 }));
    assert_eq!(
        route["retries"],
        json!({
            "attempts": 2, "on": ["connect", "reset"], "statuses": [503], "methods": [],
            "attempt_timeout_seconds": null, "hedge_after_seconds": 0.05, "body_bytes": 1 << 20,
        })
    );
    let upstream = |name: &str| format!("/upstreams/{name}");
    let carts = asked(&gateway, "/upstreams/{name}", &upstream("carts"), 200).await;
    let capacity =
        json!({ "requests": 4, "queue": 2, "queue_time_seconds": 1.0, "adaptive": null });
    assert_eq!((&carts["hash_by"], &carts["capacity"]), (&json!("header:x-user"), &capacity));
    assert_eq!(carts["retry_budget"], json!({ "share": 0.5, "min_per_second": 3 }));
    let shadow = asked(&gateway, "/upstreams/{name}", &upstream("shadow"), 200).await;
    assert_eq!((&shadow["hash_by"], &shadow["capacity"]), (&Value::Null, &Value::Null));
    assert_eq!(shadow["slow_start_seconds"], json!(30.0));
}
