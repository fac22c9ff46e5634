//! What is said of exchanges that went wrong, or another way than expected.

use std::time::Duration;

use gateway_tests::client::{get, request};
use gateway_tests::{Http1, Raw};
use serde_json::json;

use super::support::{KEY, millis, only, record, recording, says, service};

#[tokio::test]
async fn a_refusal_names_the_plugin_and_a_consumer_is_known() {
    let service = service().await;
    let gateway = recording(&service);
    let refused = Http1::get(gateway.address, "/keyed/a").await;
    assert_eq!(refused.status(), 401);
    let seen = record(&gateway, refused.id()).await;
    says(&seen, "refused by the plugin `keys` in on-request with 401");
    assert_eq!(seen["answered_by"], "plugin keys");
    assert_eq!((&seen["kept"], &seen["outcome"]), (&json!("refused"), &json!("complete")));
    let hook = &seen["hooks"][0];
    assert_eq!((&hook["plugin"], &hook["decision"]), (&json!("keys"), &json!("answered")));
    assert!(hook["took_ns"].as_u64().unwrap() > 0, "{hook}");
    assert!(seen["upstream"].is_null(), "{seen:#}");

    // The second time the plugin's change is known, and it is not called.
    let mut client = Http1::connect(gateway.address).await;
    let mut hows = Vec::new();
    for _ in 0..2 {
        let answer = client.send(request("GET", "/keyed/b", &[KEY], "")).await;
        assert_eq!(answer.status(), 200);
        let seen = record(&gateway, answer.id()).await;
        assert_eq!(seen["consumer"], "acme");
        assert_eq!(seen["hooks"][0]["decision"], "next");
        assert!(seen["hooks"][0]["changes"].as_array().unwrap().contains(&json!("attributes")));
        hows.push((seen["hooks"][0]["how"].clone(), seen["hooks"][0]["took_ns"] == 0));
    }
    assert_eq!(hows, [(json!("called"), false), (json!("reused"), true)]);
}

#[tokio::test]
async fn time_is_found_in_a_plugin_and_at_the_upstream() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    // So that there are instances.
    assert_eq!(client.send(get("/spun")).await.status(), 200);
    let spun = client.send(request("GET", "/spun", &[("x-spin", "400000000")], "")).await;
    assert_eq!(spun.status(), 200);
    let seen = record(&gateway, spun.id()).await;
    says(&seen, "in the plugin `spins`, on-request");
    let names: Vec<_> =
        seen["hooks"].as_array().unwrap().iter().map(|it| (&it["plugin"], &it["hook"])).collect();
    let all = [("tag", "on-request"), ("spins", "on-request"), ("tag", "on-response")];
    assert_eq!(
        names,
        all.map(|(plugin, hook)| (json!(plugin), json!(hook))).each_ref().map(|it| (&it.0, &it.1))
    );
    let took = |index: usize| seen["hooks"][index]["took_ns"].as_u64().unwrap();
    assert!(took(1) > took(0) && took(1) > took(2), "{seen:#}");
    let at = |index: usize| seen["hooks"][index]["at_ns"].as_u64().unwrap();
    assert!(at(0) < at(1) && at(1) + took(1) <= at(2), "{seen:#}");
    assert_eq!(seen["hooks"][0]["changes"], json!(["attributes", "1 field"]));

    let slow = client.send(get("/api/slow")).await;
    let seen = record(&gateway, slow.id()).await;
    says(&seen, "waiting for the head of the upstream `service`");
    let upstream = &seen["upstream"];
    let waited = millis(&upstream["head_at_ns"]) - millis(&upstream["sent_at_ns"]);
    assert!((600..5_000).contains(&waited), "{seen:#}");
    assert!(millis(&seen["head_at_ns"]) >= 600 && millis(&seen["duration_ns"]) >= 600);
    assert_eq!((&seen["request_bytes"], &seen["response_bytes"]), (&json!(0), &json!(4)));
}

#[tokio::test]
async fn waits_for_a_turn_and_for_an_instance_are_separate() {
    let service = service().await;
    let gateway = recording(&service);
    let spin = |turns: &'static str| {
        let address = gateway.address;
        tokio::spawn(async move {
            let spin = request("GET", "/spun", &[("x-spin", turns)], "");
            Http1::connect(address).await.send(spin).await.id().to_owned()
        })
    };
    let first = record(&gateway, &spin("400000000").await.unwrap()).await;
    assert!(first["hooks"][1]["instance_ns"].as_u64().unwrap() > 0, "{first:#}");
    assert_eq!(first["hooks"][1]["queue_ns"], 0, "{first:#}");
    // It is known to be slow now: those that come together take turns.
    let together: Vec<_> = (0..6).map(|_| spin("200000000")).collect();
    let mut queued = 0;
    for id in together {
        let seen = record(&gateway, &id.await.unwrap()).await;
        let of = |name: &str| seen["hooks"][1][name].as_u64().unwrap();
        assert!(of("queue_ns") + of("instance_ns") <= of("took_ns"), "{seen:#}");
        queued += u32::from(of("queue_ns") > 1_000_000);
    }
    assert!(queued > 0, "one of them waited for its turn");
}

#[tokio::test]
async fn a_failure_says_whose_it_is() {
    let service = service().await;
    let gateway = recording(&service);
    let failed = Http1::connect(gateway.address)
        .await
        .send(request("GET", "/panicking", &[("x-panic", "1")], ""))
        .await;
    assert_eq!(failed.status(), 500);
    let seen = record(&gateway, failed.id()).await;
    assert_eq!(seen["error"]["fault"], "plugin");
    says(&seen, "a plugin's fault: plugin panics failed");
    assert_eq!(
        (&seen["hooks"][0]["decision"], &seen["hooks"][0]["failure"]),
        (&json!("failed"), &json!("trap"))
    );

    let own = Http1::get(gateway.address, "/api/503").await;
    let seen = record(&gateway, own.id()).await;
    says(&seen, "answered with 503 by the upstream `service`");
    assert_eq!((&seen["kept"], &seen["error"]), (&json!("error"), &json!(null)));

    let gone = Http1::get(gateway.address, "/gone").await;
    assert_eq!(gone.status(), 502);
    let seen = record(&gateway, gone.id()).await;
    says(&seen, "the upstream's fault: upstream: ");
    assert_eq!(seen["upstream"]["attempts"][0]["target"], "127.0.0.1:1");
    assert_eq!(seen["upstream"]["attempts"][0]["result"], "refused");
    assert_eq!(seen["upstream"]["attempts"][0]["connection"], json!(null));
}

#[tokio::test]
async fn each_attempt_is_there_and_connections_are_new_or_reused() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    let mut seen = Vec::new();
    // One of two begins at the dead target.
    for _ in 0..4 {
        let id = client.send(get("/pair")).await.id().to_owned();
        let record = record(&gateway, &id).await;
        let attempts = record["upstream"]["attempts"].as_array().unwrap().clone();
        let word = |of: &serde_json::Value| of.as_str().unwrap_or("-").to_owned();
        let words = attempts.iter().map(|it| (word(&it["result"]), word(&it["connection"])));
        seen.push(words.collect::<Vec<_>>());
        assert_eq!(attempts.last().unwrap()["target"], service.address.to_string());
        assert_eq!(
            attempts.last().unwrap()["connect_ns"].is_null(),
            word(&attempts.last().unwrap()["connection"]) == "reused"
        );
    }
    let pair = |(result, connection): (&str, &str)| (result.to_owned(), connection.to_owned());
    assert!(seen.iter().any(|it| it.len() == 2 && it[0] == pair(("refused", "-"))), "{seen:?}");
    let last: Vec<_> = seen.iter().map(|it| it.last().unwrap().clone()).collect();
    assert_eq!(last[0], pair(("answered", "new")));
    assert!(last[1..].iter().all(|it| *it == pair(("answered", "reused"))), "{seen:?}");
}

#[tokio::test]
async fn a_route_says_why_it_is_the_one_and_why_others_are_not() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    let unversioned = client.send(get("/api/x")).await;
    let seen = record(&gateway, unversioned.id()).await;
    assert_eq!(seen["route"]["name"], "api");
    assert_eq!(seen["route"]["pattern"], "/api/{*rest}");
    let place = seen["route"]["place"].as_str().unwrap();
    let (file, line) = place.rsplit_once(':').unwrap();
    assert!(file.ends_with("test.toml"), "{place}");
    let text = gateway_tests::setup::written(&super::support::text("sample = 1.0"));
    let at = text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
    assert_eq!(at, "paths = [\"/api/{*rest}\"]");
    let others = &seen["other_routes"];
    let first = json!({ "route": "api-v2", "why": "passed-over", "wants": ["header x-version"] });
    let last = json!({ "route": "everything", "why": "less-specific", "wants": [] });
    assert_eq!(*others, json!([first, last]), "{seen:#}");

    // A typing error in the path, and another host.
    let lost = client.send(get("/apy/x")).await;
    let seen = record(&gateway, lost.id()).await;
    says(&seen, "answered with 404 by the configuration of the route `everything`");
    assert_eq!(
        (&seen["route"]["name"], &seen["route"]["host"]),
        (&json!("everything"), &json!(null))
    );
    let hosted = "GET //x HTTP/1.1\r\nhost: c.a.example:80\r\n\r\n";
    let hosted = Raw::ask(gateway.address, hosted).await;
    let seen = record(&gateway, hosted.header("x-request-id").unwrap()).await;
    assert_eq!(
        (&seen["route"]["name"], &seen["route"]["host"]),
        (&json!("hosted"), &json!("*.a.example"))
    );
    assert_eq!(seen["host"], "c.a.example");
}

#[tokio::test]
async fn a_client_that_leaves_is_told_from_one_that_is_refused() {
    let service = service().await;
    let gateway = recording(&service);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /api/never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    gateway_tests::until(|| !service.requests().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    raw.reset();
    let seen = only(&gateway).await;
    says(&seen, "the client left after");
    says(&seen, "while the upstream `service` had not answered for");
    assert_eq!((&seen["outcome"], &seen["kept"]), (&json!("left"), &json!("left")));
    assert_eq!((&seen["status"], &seen["upstream"]["head_at_ns"]), (&json!(null), &json!(null)));
    drop(gateway);

    let gateway = recording(&service);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /api/endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("data: 1").await;
    raw.reset();
    let seen = only(&gateway).await;
    says(&seen, "in the middle of the response, after ");
    assert_eq!((&seen["status"], &seen["kept"]), (&json!(200), &json!("left")));
}

#[tokio::test]
async fn the_first_event_of_a_stream_has_a_time() {
    let service = service().await;
    let gateway = recording(&service);
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(get("/api/events")).await;
    let seen = record(&gateway, answer.id()).await;
    let (head, first) = (millis(&seen["head_at_ns"]), millis(&seen["first_event_at_ns"]));
    let duration = millis(&seen["duration_ns"]);
    assert!(head <= first && first >= 150 && first <= duration && duration >= 300, "{seen:#}");
    let plain = client.send(get("/api/x")).await;
    let seen = record(&gateway, plain.id()).await;
    assert_eq!(seen["first_event_at_ns"], json!(null));
}
