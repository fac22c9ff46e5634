//! Models behind one API, as `examples/models.toml` has them: through the real plugins, to a server of the example's own
//! that speaks the providers' APIs, and to upstreams that fail.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::example::file::{Example, free_address};
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let unique = format!("models-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _only_litter_stays = std::fs::remove_dir_all(&self.0);
    }
}

fn example(folder: &Folder) -> Running {
    let example =
        Example::read("models.toml").inside(&folder.0).with_model_server().with_provider_keys();
    example.at(8081, free_address()).on_a_free_port().start()
}

pub(crate) async fn post(address: SocketAddr, path: &str, key: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {key}");
    let fields = [("authorization", &*authorization), ("content-type", "application/json")];
    let request = request("POST", path, &fields, body.to_string());
    within(Http1::connect(address).await.send(request)).await
}

fn chat(model: &str, stream: bool) -> Value {
    let message = json!({ "role": "user", "content": "good day" });
    json!({ "model": model, "stream": stream, "messages": [message] })
}

pub(crate) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_teams_have_three_models_by_any_api() {
    let folder = Folder::new("teams");
    let gateway = example(&folder);
    let ask = |path: &'static str, key: &'static str, body: Value| {
        let address = gateway.address;
        async move { post(address, path, key, &body).await }
    };
    let said = "I am a stand-in and no model. You said: good day";
    // An alias, and a deployment of the same API.
    let answer = ask("/v1/chat/completions", "team-a-key", chat("gpt-4o-mini", false)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let body = json_of(&answer);
    assert_eq!(body["choices"][0]["message"]["content"], said);
    assert_eq!(body["model"], "llama-3.1-8b");
    // A stream, without the usage that nobody asked for.
    let answer = ask("/v1/chat/completions", "team-a-key", chat("chat", true)).await;
    let text = answer.text();
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains("stand-in"), "{text}");
    assert!(!text.contains("prompt_tokens"), "{text}");
    // A model of Anthropic's by OpenAI's API, and a model of OpenAI's by those of Anthropic and Google.
    let answer = ask("/v1/chat/completions", "team-a-key", chat("smart", false)).await;
    assert_eq!(json_of(&answer)["choices"][0]["message"]["content"], said, "{}", answer.text());
    let body =
        json!({ "model": "chat", "max_tokens": 50, "messages": chat("", false)["messages"] });
    let answer = ask("/v1/messages", "team-a-key", body).await;
    assert_eq!(json_of(&answer)["content"][0]["text"], said, "{}", answer.text());
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "good day" }] }] });
    let answer = ask("/v1beta/models/chat:generateContent", "team-a-key", contents.clone()).await;
    assert_eq!(json_of(&answer)["candidates"][0]["content"]["parts"][0]["text"], said);
    let stream = "/v1beta/models/smart:streamGenerateContent";
    let answer = ask(stream, "team-a-key", contents).await;
    assert!(answer.text().contains("stand-in"), "{}", answer.text());
    // What a team may not use, it does not see; and nobody gets in without a key.
    let answer = ask("/v1/chat/completions", "team-b-key", chat("smart", false)).await;
    assert_eq!(
        (answer.status(), &json_of(&answer)["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    let answer = ask("/v1/chat/completions", "nobody", chat("chat", false)).await;
    assert_eq!(
        (answer.status(), &json_of(&answer)["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    let fields = [("authorization", "Bearer team-b-key")];
    let list =
        Http1::connect(gateway.address).await.send(request("GET", "/v1/models", &fields, "")).await;
    let names: Vec<Value> =
        json_of(&list)["data"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(names, ["canary", "chat"]);
    // One in ten fails at first, and nobody sees it.
    for _ in 0..30 {
        let answer = ask("/v1/chat/completions", "team-b-key", chat("canary", false)).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let series = "plugin_gen_ai_client_inference_usage_output_tokens_total{";
    let line = metrics.text().lines().find(|line| line.starts_with(series) && line.contains("gpt"));
    assert!(line.is_some(), "{}", metrics.text());
}

const SERVED: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.first]
targets = ["http://${env:FIRST}"]
timeouts = { connect = "1s", first_byte = "300ms" }

[upstreams.second]
targets = ["http://${env:SECOND}"]

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["first", "second"]
limits = { deadline = "1s", memory = "64MiB" }
config.deployments.first = { upstream = "first", provider = "openai", model = "one" }
config.deployments.second = { upstream = "second", provider = "openai", model = "two" }
config.models.both = { deployments = [{ name = "first" }, { name = "second", priority = 1 }] }
config.models.one = { deployments = [{ name = "first" }] }
config.response_headers = true

[plugins.who]
component = "transform"
config.request.headers.set = { x-who = "all" }

[plugins.quota]
component = "rate-limit"
limits = { deadline = "1s" }
[[plugins.quota.config.policies]]
name = "tokens"
limit = 100000
window = "1m"
key = []
algorithm = "fixed"
cost = { attribute = "model.tokens.estimate" }
settle = { attribute = "model.tokens.total" }

[[routes]]
name = "models"
paths = ["/v1/{*rest}"]
plugins = ["models"]
upstream = "first"

[plugins.nobody]
component = "ip"
config.deny = ["0.0.0.0/0"]

[[routes]]
name = "refused"
paths = ["/refused/v1/{*rest}"]
plugins = ["models", "quota", "nobody"]
upstream = "first"

[[routes]]
name = "quota"
paths = ["/quota/v1/{*rest}"]
plugins = ["models", "quota"]
upstream = "first"
errors = "openai"
"#;

fn serve(first: SocketAddr, second: SocketAddr) -> Running {
    Setup::toml(SERVED, &[("FIRST", &first), ("SECOND", &second)]).workers(2).start()
}

/// A model server that answers with this status, and with the model that it was asked for.
async fn server(status: u16) -> Upstream {
    Upstream::http1(move |request| async move {
        use http_body_util::BodyExt as _;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let usage = json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 });
        let answer = match status {
            200 => json!({ "model": asked["model"], "length": body.len(), "usage": usage }),
            _ => json!({ "error": { "message": "no", "type": "server_error" } }),
        };
        let answer = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(full(answer.to_string()));
        answer.unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_hangs_or_is_away_is_replaced_with_bodies_of_any_size() {
    let second = server(200).await;
    let hangs = Upstream::http1(|_| std::future::pending()).await;
    let refuses = free_address();
    let mut long = chat("both", false);
    long["messages"][0]["content"] = "word ".repeat(400_000).into();
    for first in [server(503).await.address, server(429).await.address, hangs.address, refuses] {
        let gateway = serve(first, second.address);
        let answer = post(gateway.address, "/v1/chat/completions", "-", &long).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let body = json_of(&answer);
        assert_eq!(body["model"], "two");
        // As long as it was sent, but for the name.
        assert_eq!(body["length"], long.to_string().len() - 1);
        assert_eq!(answer.header("x-model-deployment"), Some("second"));
    }
    let gateway = serve(hangs.address, second.address);
    let answer = post(gateway.address, "/v1/chat/completions", "-", &chat("one", false)).await;
    assert_eq!(answer.status(), 504);
    assert!(json_of(&answer)["error"]["message"].as_str().is_some(), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_plugin_refuses_is_charged_nothing() {
    let first = server(200).await;
    let gateway = serve(first.address, first.address);
    // Nearly all of the quota each, so that a second one is refused by it if the first was charged.
    let mut body = chat("one", false);
    body["messages"][0]["content"] = "word ".repeat(60_000).into();
    for _ in 0..3 {
        let answer = post(gateway.address, "/refused/v1/chat/completions", "-", &body).await;
        assert_eq!(answer.status(), 403, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_tokens_holds_under_many_calls_at_once_and_is_settled() {
    let first = server(200).await;
    let gateway = serve(first.address, first.address);
    let mut body = chat("one", false);
    body["max_tokens"] = 990.into();
    let mut calls = JoinSet::new();
    for _ in 0..300 {
        let (address, body) = (gateway.address, body.clone());
        calls.spawn(async move { post(address, "/quota/v1/chat/completions", "-", &body).await });
    }
    let mut counts = (0, 0);
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        match answer.status() {
            200 => counts.0 += 1,
            429 => {
                counts.1 += 1;
                assert_eq!(json_of(&answer)["error"]["code"], "rate_limit_exceeded");
            }
            status => panic!("{status}: {}", answer.text()),
        }
    }
    // Each reserves about 1,000 of 100,000 and uses 15, so that more get in than 100, as fast as they are settled; and
    // those that are let in never use more than there is.
    assert!(counts.0 >= 99 && counts.0 * 15 <= 100_000, "{counts:?}");
    // What was reserved and not used is there again: settled, 300 calls took 4,500.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..20 {
        let answer = post(gateway.address, "/quota/v1/chat/completions", "-", &body).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}
