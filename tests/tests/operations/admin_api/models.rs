//! Models for those who run the gateway: metrics by consumer, `GET /models`, `GET /plugins/{name}/metrics`, and
//! `gateway models`.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, binary, within};
use http::Response;
use serde_json::{Value, json};

use super::document::faults;

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.own]
targets = ["http://${env:OWN}"]

[upstreams.away]
targets = ["http://127.0.0.1:1"]

[secrets]
provider = "${env:PROVIDER}"

[plugins.keys]
component = "auth"
[plugins.keys.config.api_key]
bearer = true
keys = [
  { id = "team-a", digest = "sha256:554a0d05033791f46fede07b724fa246c95235f60a9fb74caad37d1408b4df58" },
  { id = "team-b", digest = "sha256:fc74134ac299326bf3b65edf22647855b9ac18ff0ae4821b872247065078491a" },
]

[plugins.ai]
component = "models"
forward_to = ["own", "away"]
secrets = ["provider"]
limits = { memory = "128MiB", deadline = "1s" }

[plugins.ai.config]
metric_names = "both"
metric_consumers = 1
defaults.cool_down = "1m"

[plugins.ai.config.deployments.gpu]
upstream = "own"
provider = "openai"
model = "llama"
secret = "provider"
price = { input = "0.40", output = "1.60" }
concurrency = { limit = 1, queue = 4 }

[plugins.ai.config.deployments.hosted]
upstream = "away"
provider = "anthropic"
model = "claude"

[plugins.ai.config.models.chat]
aliases = ["gpt"]
deployments = [{ name = "gpu" }]

[plugins.ai.config.models.steady]
deployments = [{ name = "hosted" }, { name = "gpu", priority = 1 }]

[[routes]]
name = "ai"
paths = ["/v1/{*rest}"]
plugins = ["keys", "ai"]
upstream = "own"
"#;

/// A model of two tokens.
const STREAM: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"o\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"k\"},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n\
    data: [DONE]\n\n";

async fn model() -> Upstream {
    Upstream::http1(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Response::builder().header("content-type", "text/event-stream").body(full(STREAM)).unwrap()
    })
    .await
}

fn call(model: &str, key: &str) -> http::Request<BoxBody> {
    let body = json!({ "model": model, "stream": true, "messages": [] }).to_string();
    let key = format!("Bearer {key}");
    let fields = [("authorization", key.as_str()), ("content-type", "application/json")];
    request("POST", "/v1/chat/completions", &fields, body)
}

async fn called(gateway: &Running, model: &str, key: &str) -> Answer {
    Http1::connect(gateway.address).await.send(call(model, key)).await
}

async fn asked(gateway: &Running, template: &str, target: &str) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), target).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let document = Http1::admin(gateway.admin.unwrap(), "/openapi.json").await;
    let document: Value = serde_json::from_str(document.text()).unwrap();
    let shown: Value = serde_json::from_str(answer.text()).unwrap();
    let faults = faults(&document, template, "get", 200, &shown);
    assert!(faults.is_empty(), "{target}: {faults:#?}\n{shown:#}");
    shown
}

/// What there is in the end: calls are counted behind their last byte.
async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn one<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

#[tokio::test]
async fn calls_are_seen_by_model_deployment_and_consumer() {
    let own = model().await;
    let gateway =
        Setup::toml(TEXT, &[("OWN", &own.address), ("PROVIDER", &"sk-of-the-provider")]).start();
    assert_eq!(called(&gateway, "chat", "team-a-key").await.status(), 200);
    assert_eq!(called(&gateway, "gpt", "team-b-key").await.status(), 200);
    // The first deployment cannot be reached, and the next one answers.
    assert_eq!(called(&gateway, "steady", "team-b-key").await.status(), 200);
    assert_eq!(called(&gateway, "none", "team-b-key").await.status(), 404);
    // Two at the same time, where there is one place.
    let both = tokio::join!(
        called(&gateway, "chat", "team-a-key"),
        called(&gateway, "chat", "team-a-key")
    );
    assert_eq!((both.0.status(), both.1.status()), (200, 200));

    let admin = gateway.admin.unwrap();
    let line = |name: &str, model: &str, consumer: &str, more: &str| {
        format!(
            "plugin_{name}{{plugin=\"ai\",consumer=\"{consumer}\",deployment=\"gpu\",\
             gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"{model}\"{more}}}"
        )
    };
    let requests = line("gen_ai_requests_total", "chat", "team-a", ",outcome=\"ok\"");
    let page = eventually(async || {
        let page = Http1::admin(admin, "/metrics").await.text().to_owned();
        page.contains(&format!("{requests} 3\n")).then_some(page)
    })
    .await;
    let tokens = "gen_ai_client_inference_usage_input_tokens_total";
    // One consumer has a label of its own: the first who came.
    for (model, consumer, input) in
        [("chat", "team-a", 27), ("chat", "other", 9), ("steady", "other", 9)]
    {
        let line = format!("{} {input}\n", line(tokens, model, consumer, ""));
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(!page.contains("team-b"), "{page}");
    for name in [
        "gen_ai_client_token_usage_count",
        "gen_ai_server_request_duration_seconds_count",
        "gen_ai_client_inference_duration_seconds_count",
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_count",
        "gen_ai_server_time_per_output_token_seconds_count",
        "gen_ai_queue_duration_seconds_count",
    ] {
        let more = if name.contains("token_usage") { ",gen_ai_token_type=\"output\"" } else { "" };
        let line = format!("{} 3\n", line(name, "chat", "team-a", more));
        assert!(page.contains(&line), "{line}{page}");
    }
    let failed = "plugin_gen_ai_failed_attempts_total{plugin=\"ai\",deployment=\"hosted\",error_type=\"unreachable\",\
                  gen_ai_request_model=\"steady\",next=\"gpu\"} 1\n";
    assert!(page.contains(failed), "{page}");
    let unknown = "{plugin=\"ai\",gen_ai_request_model=\"\",reason=\"unknown_model\"} 1\n";
    assert!(page.contains(unknown), "{page}");

    // What the dashboard of docs/monitoring asks for is there.
    let dashboard = include_str!("../../../../docs/monitoring/dashboard.json");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = dashboard.split(|c| !is_part(c));
    let names: Vec<_> = words.filter(|word| word.starts_with("plugin_gen_ai_")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("\n{name}{{")), "{name}");
    }

    let recorded =
        asked(&gateway, "/plugins/{name}/metrics", "/plugins/ai/metrics?prefix=gen_ai_queue").await;
    let queue = &recorded["metrics"][0];
    assert_eq!(queue["kind"], "histogram");
    let waits: Vec<_> = recorded["metrics"].as_array().unwrap().iter().collect();
    let team_a = waits.iter().find(|it| it["labels"]["consumer"] == "team-a").unwrap();
    // Of two at the same time one waited for about as long as a call takes.
    assert!(team_a["sum"].as_f64().unwrap() > 0.01, "{team_a}");
    asked(&gateway, "/plugins/{name}/metrics", "/plugins/keys/metrics").await;

    let shown = asked(&gateway, "/models", "/models").await;
    let plugin = &shown["plugins"][0];
    assert_eq!((&plugin["plugin"], &plugin["routes"]), (&json!("ai"), &json!(["ai"])));
    let (chat, steady) = (one(&plugin["models"], "chat"), one(&plugin["models"], "steady"));
    assert_eq!((&chat["requests_total"]["ok"], &chat["aliases"]), (&json!(4), &json!(["gpt"])));
    assert_eq!(
        (&steady["fail_overs_total"], &steady["requests_total"]["ok"]),
        (&json!(1), &json!(1))
    );
    let (gpu, hosted) = (one(&plugin["deployments"], "gpu"), one(&plugin["deployments"], "hosted"));
    assert_eq!(gpu["tokens_total"]["output"], 10);
    // 5 × (9 × 0.40 + 2 × 1.60) millionths of a dollar.
    assert_eq!(gpu["cost_usd_nanos_total"], 34_000);
    assert_eq!(gpu["slots"], json!({ "held": 0, "waiting": 0 }));
    assert_eq!(gpu["cool_down_seconds_left"], 0.0);
    let left = hosted["cool_down_seconds_left"].as_f64().unwrap();
    assert!((30.0..=60.0).contains(&left), "{left}");
    assert_eq!(one(&plugin["consumers"], "team-a")["requests_total"]["ok"], 3);
    assert!(!shown.to_string().contains("sk-of-the-provider"));
    drop(own);
}

/// Runs `gateway models` beside the tasks of the test.
async fn command(folder: &Path, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(binary());
    command.arg("models").args(arguments).current_dir(folder);
    command.env("PROVIDER", "sk-of-the-provider");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, shown)
}

#[tokio::test]
async fn the_command_lists_models_and_asks_each_deployment() {
    let own = model().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let head = format!(
        "[gateway]\ncache_dir = {:?}\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n",
        cache.to_str().unwrap()
    );
    let text = head + &TEXT.replace("${env:OWN}", &own.address.to_string());
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    let (listed, table) = command(folder.path(), &["list"]).await;
    assert!(listed.status.success(), "{listed:?}");
    assert!(table.contains("chat    gpt      all  gpu"), "{table}");
    assert!(table.contains("$0.40/$1.60  1, queue 4"), "{table}");

    let (tested, table) = command(folder.path(), &["test"]).await;
    assert_eq!(tested.status.code(), Some(1), "{tested:?}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("gpu").ends_with("9 in, 2 out  ok"), "{table}");
    assert!(row("hosted").contains("failed: 502"), "{table}");
    // The request was the plugin's, with the provider's key and name of the model.
    let sent = own.request();
    assert_eq!(sent.headers["authorization"], "Bearer sk-of-the-provider");
    let (tested, shown) = command(folder.path(), &["test", "chat", "--json"]).await;
    assert!(tested.status.success(), "{tested:?}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let gpu = &shown["deployments"][0];
    assert_eq!(
        (&gpu["deployment"], &gpu["ok"], &gpu["output_tokens"]),
        (&json!("gpu"), &json!(true), &json!(2))
    );
    assert!(gpu["first_token_seconds"].as_f64().unwrap() > 0.0);
    let (unknown, _) = command(folder.path(), &["test", "chatt"]).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`chat`"), "{unknown:?}");
    let gateway =
        Setup::toml(TEXT, &[("OWN", &own.address), ("PROVIDER", &"sk-of-the-provider")]).start();
    assert_eq!(called(&gateway, "chat", "team-a-key").await.status(), 200);
    let admin = format!("http://{}", gateway.admin.unwrap());
    eventually(async || {
        let (listed, table) = command(folder.path(), &["list", "--admin", &admin]).await;
        assert!(listed.status.success(), "{listed:?}");
        let gpu = table.lines().find(|line| line.starts_with("gpu")).unwrap().to_owned();
        (gpu.contains("0 of 1, queue 0 of 4") && gpu.contains("  11  ") && gpu.ends_with("up"))
            .then_some(())
    })
    .await;
}
