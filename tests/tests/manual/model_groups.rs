//! Groups of models through a running gateway: who sees which, and a quota for each consumer and group. And a model that an
//! experiment chooses.

use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup, Upstream};
use serde_json::{Value, json};

use super::model_serving::{json_of, post};

const GROUPED: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.own]
targets = ["http://${env:OWN}"]

[plugins.keys]
component = "auth"
[plugins.keys.config.api_key]
bearer = true
# `printf %s team-a-key | sha256sum`, and so on.
keys = [
  { id = "ada", group = "team-a", digest = "sha256:554a0d05033791f46fede07b724fa246c95235f60a9fb74caad37d1408b4df58" },
  { id = "bob", group = "team-b", digest = "sha256:fc74134ac299326bf3b65edf22647855b9ac18ff0ae4821b872247065078491a" },
]

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["own"]
limits = { deadline = "1s", memory = "64MiB" }
config.deployments.own = { upstream = "own", provider = "openai" }
config.models.large = { deployments = [{ name = "own" }] }
config.models.small = { deployments = [{ name = "own" }] }
config.models.tiny = { deployments = [{ name = "own" }] }
config.groups.frontier = { models = ["large"], consumers = ["team-a"] }
config.groups.everyday = { models = ["small", "t*"] }

[plugins.quota]
component = "rate-limit"
[[plugins.quota.config.policies]]
name = "calls"
limit = 1
window = "1h"
key = ["consumer.id", "model.group"]

[usage]
store = "${env:STORE}"

[[routes]]
name = "models"
paths = ["/v1/{*rest}"]
plugins = ["keys", "models", "quota"]
upstream = "own"
errors = "openai"
"#;

async fn ask(gateway: &Running, key: &str, model: &str) -> (u16, Value) {
    let message = json!({ "role": "user", "content": "hello" });
    let body = json!({ "model": model, "messages": [message] });
    let answer = post(gateway.address, "/v1/chat/completions", key, &body).await;
    (answer.status(), json_of(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_says_who_sees_a_model_and_is_a_key_of_quotas_and_a_label_of_metrics() {
    let own = Upstream::http1(|_| async {
        let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
        let answer = json!({ "choices": [], "usage": usage }).to_string();
        http::Response::builder()
            .header("content-type", "application/json")
            .body(gateway_tests::upstream::full(answer))
            .unwrap()
    })
    .await;
    let folder = super::model_serving::Folder::new("groups");
    let store = folder.0.join("usage.db").display().to_string();
    let gateway = Setup::toml(GROUPED, &[("OWN", &own.address), ("STORE", &store)]).start();
    // One call of each group in an hour for each consumer: `tiny` is in the group of `small`.
    for (key, model, status, code) in [
        ("team-a-key", "large", 200, None),
        ("team-a-key", "small", 200, None),
        ("team-a-key", "large", 429, Some("rate_limit_exceeded")),
        ("team-a-key", "tiny", 429, Some("rate_limit_exceeded")),
        ("team-b-key", "tiny", 200, None),
        ("team-b-key", "large", 404, Some("model_not_found")),
        ("team-b-key", "huge", 404, Some("model_not_found")),
    ] {
        let (answered, body) = ask(&gateway, key, model).await;
        assert_eq!(answered, status, "{key} {model}: {body}");
        assert_eq!(body["error"]["code"].as_str(), code, "{key} {model}: {body}");
    }
    for (key, names) in
        [("team-a-key", &["large", "small", "tiny"][..]), ("team-b-key", &["small", "tiny"])]
    {
        let authorization = format!("Bearer {key}");
        let fields = [("authorization", &*authorization)];
        let list = request("GET", "/v1/models", &fields, "");
        let list = json_of(&Http1::connect(gateway.address).await.send(list).await);
        let listed: Vec<_> = list["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
        assert_eq!(listed, names, "{key}");
    }
    let admin = gateway.admin.unwrap();
    let offered = json_of(&Http1::admin(admin, "/models").await);
    assert_eq!(offered["plugins"][0]["models"][0]["groups"], json!(["frontier"]));
    assert_eq!(offered["plugins"][0]["groups"][1]["consumers"], json!(["team-a"]));
    let metrics = Http1::admin(admin, "/metrics").await;
    let is_it = |line: &&str| {
        line.starts_with("plugin_gen_ai_requests_total{")
            && ["model_group=\"frontier\"", "outcome=\"ok\"", "consumer=\"ada\""]
                .iter()
                .all(|label| line.contains(label))
    };
    assert!(metrics.text().lines().any(|line| is_it(&line)), "{}", metrics.text());
}

const EXPERIMENT: &str = r#"
[upstreams.own]
targets = ["http://${env:OWN}"]

[plugins.trial]
component = "experiments"
[plugins.trial.config]
unit = ["header:x-user"]
[[plugins.trial.config.experiments]]
name = "model"
variants = [{ name = "small", weight = 1 }, { name = "large", weight = 1 }]
overrides = { ada = "large", bob = "small" }

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["own"]
limits = { deadline = "1s", memory = "64MiB" }
config.model_attribute = "experiment.model"
config.deployments.own = { upstream = "own", provider = "openai" }
config.models.chat = { deployments = [{ name = "own" }] }
config.models.small = { deployments = [{ name = "own" }] }
config.models.large = { deployments = [{ name = "own" }] }

[usage]
store = "${env:STORE}"

[[routes]]
name = "trial"
paths = ["/trial/v1/{*rest}"]
plugins = ["trial", "models"]
upstream = "own"

[[routes]]
name = "plain"
paths = ["/v1/{*rest}"]
plugins = ["models"]
upstream = "own"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_chooses_the_model() {
    let own = Upstream::http1(|request| async move {
        use http_body_util::BodyExt as _;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let answer = json!({ "choices": [], "model": asked["model"] }).to_string();
        http::Response::builder()
            .header("content-type", "application/json")
            .body(gateway_tests::upstream::full(answer))
            .unwrap()
    })
    .await;
    let folder = super::model_serving::Folder::new("experiment");
    let store = folder.0.join("usage.db").display().to_string();
    let gateway = Setup::toml(EXPERIMENT, &[("OWN", &own.address), ("STORE", &store)]).start();
    for (path, user, model) in [
        ("/trial/v1/chat/completions", "ada", "large"),
        ("/trial/v1/chat/completions", "bob", "small"),
        ("/v1/chat/completions", "ada", "chat"),
    ] {
        let fields = [("content-type", "application/json"), ("x-user", user)];
        let body = json!({ "model": "chat", "messages": [] }).to_string();
        let request = request("POST", path, &fields, body);
        let answer = Http1::connect(gateway.address).await.send(request).await;
        assert_eq!(json_of(&answer)["model"], model, "{path} {user}: {}", answer.text());
    }
}
