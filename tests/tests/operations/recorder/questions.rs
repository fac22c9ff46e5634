//! Which records there are, for whom, and how many.

use gateway_tests::client::{self, get, request};
use gateway_tests::{Http1, Http2, Setup};
use serde_json::{Value, json};

use super::support::{KEY, SECRET, admin, record, recording, records, service, setup, text};

fn paths(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["target"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn records_are_found_by_route_status_time_and_consumer() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    client.send(get("/api/1")).await;
    client.send(get("/api/503")).await;
    client.send(get("/api/slow")).await;
    client.send(get("/lost")).await;
    client.send(request("GET", "/keyed/x", &[KEY], "")).await;
    let all = records(&gateway, "", 5).await;
    assert_eq!(paths(&all), ["/keyed/x", "/lost", "/api/slow", "/api/503", "/api/1"]);
    for (query, found) in [
        ("route=api", vec!["/api/slow", "/api/503", "/api/1"]),
        ("status=5xx", vec!["/api/503"]),
        ("status=404", vec!["/lost"]),
        ("status=none", vec![]),
        ("slower=500ms", vec!["/api/slow"]),
        ("consumer=acme", vec!["/keyed/x"]),
        ("limit=2", vec!["/keyed/x", "/lost"]),
        ("route=api&status=200&limit=1", vec!["/api/slow"]),
    ] {
        assert_eq!(paths(&records(&gateway, query, found.len()).await), found, "{query}");
    }
    // A reader goes on where it was.
    let answer: Value = serde_json::from_str(admin(&gateway, "/requests").await.text()).unwrap();
    let after = format!("after={}", answer["last"]);
    assert!(records(&gateway, &after, 0).await.is_empty());
    client.send(get("/api/2")).await;
    assert_eq!(paths(&records(&gateway, &after, 1).await), ["/api/2"]);
}

#[tokio::test]
async fn wrong_questions_are_problems() {
    let service = service().await;
    let gateway = recording(&service);
    for (query, says) in [
        ("status=9xx", "`status=9xx` is not a status such as 404, 5xx or none"),
        ("slower=200", "`slower=200` is not a duration"),
        ("limit=0", "`limit=0` is not a number from 1 to 1000"),
        ("rout=api", "there is no `rout`"),
    ] {
        let answer = admin(&gateway, &format!("/requests?{query}")).await;
        assert_eq!(answer.status(), 400);
        let problem = answer.problem();
        assert!(problem["detail"].as_str().unwrap().starts_with(says), "{problem}");
    }
    let answer = admin(&gateway, "/requests/nobody").await;
    assert_eq!(answer.status(), 404);
    assert!(answer.problem()["detail"].as_str().unwrap().contains("`nobody`"));
    let address = gateway.admin.unwrap();
    let posted = client::to(address, request("POST", "/requests", &[], ""));
    let answer = Http1::connect(address).await.send(posted).await;
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_ring_is_bounded_and_kinds_do_not_displace_each_other() {
    let service = service().await;
    let gateway = setup("size = 10\nsample = 1.0", &service.address).start();
    let mut client = Http1::connect(gateway.address).await;
    let failed = client.send(get("/gone")).await.id().to_owned();
    for number in 0..60 {
        client.send(get(&format!("/api/x{number}"))).await;
        if number % 4 == 0 {
            client.send(get("/lost")).await;
        }
    }
    let last = client.send(get("/api/last")).await.id().to_owned();
    record(&gateway, &last).await;
    let of = |status: &'static str| records(&gateway, status, 0);
    assert_eq!(of("status=200&limit=1000").await.len(), 10);
    assert_eq!(of("status=404&limit=1000").await.len(), 10);
    assert_eq!(of("status=502").await[0]["id"], json!(failed));
    assert_eq!(of("limit=1000").await.len(), 21);
}

#[tokio::test]
async fn what_is_usual_is_kept_by_ratio_and_nothing_where_the_recorder_is_off() {
    let service = service().await;
    let gateway = setup("sample = 0\nslow = \"500ms\"", &service.address).start();
    let mut client = Http1::connect(gateway.address).await;
    // A stream is not slow because it lasts.
    for path in ["/api/1", "/api/2", "/api/slow", "/api/long", "/api/503"] {
        client.send(get(path)).await;
    }
    assert_eq!(paths(&records(&gateway, "", 2).await), ["/api/503", "/api/slow"]);
    drop(gateway);

    let gateway = setup("size = 0\nsample = 1.0", &service.address).start();
    let debug = [("gateway-debug", SECRET)];
    let asked = request("GET", "/api/503", &debug, "");
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    assert_eq!((answer.status(), answer.header("server-timing")), (503, None));
    assert!(records(&gateway, "", 0).await.is_empty());
}

#[tokio::test]
async fn the_defaults_record_errors_without_a_table() {
    let service = service().await;
    let routes = text("").split_once("[admin]").unwrap().1.to_owned();
    let file = format!("[admin]{routes}");
    let gateway = Setup::toml(&file, &[("SERVICE", &service.address)]).start();
    let failed = Http1::get(gateway.address, "/api/503").await;
    assert_eq!(record(&gateway, failed.id()).await["kept"], "error");
}

#[tokio::test]
async fn a_reload_keeps_what_was_recorded() {
    let service = service().await;
    let gateway = recording(&service);
    let before = Http1::get(gateway.address, "/api/503").await.id().to_owned();
    assert!(record(&gateway, &before).await["other_routes"].is_array());
    let next = setup("sample = 0\nsize = 5", &service.address).config;
    let handle = gateway.handle.clone();
    tokio::task::spawn_blocking(move || handle.reload(next).unwrap()).await.unwrap();
    assert_eq!(record(&gateway, &before).await["route"]["name"], "api");
    let ok = Http1::get(gateway.address, "/api/1").await.id().to_owned();
    let failed = Http1::get(gateway.address, "/api/503").await.id().to_owned();
    record(&gateway, &failed).await;
    assert_eq!(admin(&gateway, &format!("/requests/{ok}")).await.status(), 404);
}

#[tokio::test]
async fn keys_in_a_query_are_not_kept_nor_any_field() {
    let service = service().await;
    let gateway = recording(&service);
    let fields = [("authorization", "Bearer unmistakable-1"), ("cookie", "a=unmistakable-2")];
    let target = "/api/x?page=2&api_key=unmistakable3&next=unmistakable4a8b7c6d5e";
    let answer =
        Http1::connect(gateway.address).await.send(request("GET", target, &fields, "")).await;
    let seen = record(&gateway, answer.id()).await;
    assert_eq!(seen["target"], "/api/x?page=2&api_key=***&next=***");
    assert!(!seen.to_string().contains("unmistakable"), "{seen:#}");
    // Nor more of a path than a ring has room for.
    let long = Http1::get(gateway.address, &format!("/api/{}", "a".repeat(9_000))).await;
    let seen = record(&gateway, long.id()).await;
    assert_eq!(seen["target"].as_str().unwrap().len(), 2_048 + "…".len());
}

#[tokio::test]
async fn requests_over_http2_are_recorded() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http2::connect(gateway.address).await;
    let answer = client.send(gateway_tests::client::get2("/api/503")).await;
    let seen = record(&gateway, answer.id()).await;
    assert_eq!((&seen["version"], &seen["host"]), (&json!("HTTP/2"), &json!("a.example")));
}
