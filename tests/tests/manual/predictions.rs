//! The plugin `predictions`, as `examples/predictions.toml` has it: with keys, models and quotas, to a server of the
//! example's own that speaks a provider's API.

use std::net::SocketAddr;

use super::example::file::{Example, free_address};
use gateway_tests::client::request;
use gateway_tests::{Answer, Http1, Running, within};
use serde_json::{Value, json};

fn gateway() -> Running {
    let example = Example::read("predictions.toml").with_model_server().with_provider_keys();
    example.at(8081, free_address()).on_a_free_port().start()
}

async fn post(address: SocketAddr, team: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {team}-key");
    let fields = [("authorization", &*authorization), ("content-type", "application/json")];
    let request = request("POST", "/v1/chat/completions", &fields, body.to_string());
    within(Http1::connect(address).await.send(request)).await
}

fn chat(text: &str, stream: bool) -> Value {
    let message = json!({ "role": "user", "content": text });
    json!({ "model": "chat", "stream": stream, "temperature": 0, "messages": [message] })
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|status| status.starts_with("predictions; hit"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_asks_a_model_once_and_no_team_gets_what_is_anothers() {
    let gateway = gateway();
    for stream in [false, true] {
        let body = chat("good day", stream);
        let first = post(gateway.address, "team-a", &body).await;
        assert_eq!((first.status(), is_hit(&first)), (200, false), "{}", first.text());
        let again = post(gateway.address, "team-a", &body).await;
        assert!(is_hit(&again), "{:?}", again.header("cache-status"));
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("content-type"), first.header("content-type"));
        let other = post(gateway.address, "team-b", &body).await;
        assert_eq!((other.status(), is_hit(&other)), (200, false));
        let mut warm = body.clone();
        warm["temperature"] = json!(0.5);
        for _ in 0..2 {
            let answer = post(gateway.address, "team-a", &warm).await;
            let status = "predictions; fwd=bypass; detail=request-not-deterministic";
            assert_eq!(answer.header("cache-status"), Some(status));
        }
    }
    // Who has no key gets nothing, whatever is kept.
    assert_eq!(post(gateway.address, "nobody", &chat("good day", false)).await.status(), 401);
}
