//! Embeddings for clients of each API that has any, of models on Vertex AI and Bedrock: through the real plugins, to a
//! server of the examples that speaks both APIs.

use std::time::Duration;

use gateway_tests::{Http1, Running, within};
use serde_json::{Value, json};

use super::example::file::{Example, free_address};
use super::model_serving::{Folder, json_of, post};

/// Deployments beside those of the example. Their upstream is the example's own server.
const DEPLOYMENTS: &str = r#"
[plugins.models.config.deployments.vertex]
upstream = "gpu"
provider = "vertex"
model = "text-embedding-005"
project = "my-project"
region = "europe-west4"
secret = "openai"
price = { input = "0.1" }
[plugins.models.config.models.vertex]
deployments = [{ name = "vertex" }]

[plugins.models.config.deployments.cohere]
upstream = "gpu"
provider = "bedrock"
model = "cohere.embed-v4:0"
region = "eu-central-1"
secret = "openai"
[plugins.models.config.models.cohere]
deployments = [{ name = "cohere" }]

[plugins.models.config.deployments.titan]
upstream = "gpu"
provider = "bedrock"
model = "amazon.titan-embed-text-v2:0"
region = "eu-central-1"
secret = "openai"
# One that takes several texts besides.
[plugins.models.config.models.titan]
deployments = [{ name = "titan" }, { name = "cohere", priority = 1 }]

[[routes]]
name = "openai""#;

const PATHS: &str =
    r#""/v1/embeddings", "/v2/embed", "/api/embed", "/v1beta/models/{model}:batchEmbedContents", "#;

#[tokio::test(flavor = "multi_thread")]
async fn those_of_vertex_ai_and_bedrock_are_had_by_any_api() {
    let folder = Folder::new("embeddings");
    let example = Example::read("models.toml").inside(&folder.0).with_model_server();
    let example = example.with("\n[[routes]]\nname = \"openai\"", DEPLOYMENTS);
    let example = example.with("\"/v1/embeddings\", ", PATHS).with_provider_keys();
    let gateway = example.at(8081, free_address()).on_a_free_port().start();
    let address = gateway.address;
    let ask = |path: String, body: Value| async move {
        let answer = post(address, &path, "team-a-key", &body).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        json_of(&answer)
    };
    // The server's numbers are the length of a text, and one.
    for model in ["vertex", "cohere", "titan"] {
        let body = json!({ "model": model, "input": ["good day", "hi"] });
        let got = ask("/v1/embeddings".to_owned(), body.clone()).await;
        assert_eq!(got["data"][0]["embedding"], json!([8, 1]), "{model}: {got}");
        assert_eq!(got["data"][1]["embedding"], json!([2, 1]), "{model}: {got}");
        assert_eq!(got["usage"]["total_tokens"], 3, "{model}: {got}");
        let got = ask("/api/embed".to_owned(), body).await;
        assert_eq!(got["embeddings"], json!([[8, 1], [2, 1]]), "{model}: {got}");
        let request = |text: &str| json!({ "content": { "parts": [{ "text": text }] } });
        let body = json!({ "requests": [request("good day"), request("hi")] });
        let got = ask(format!("/v1beta/models/{model}:batchEmbedContents"), body).await;
        assert_eq!(got["embeddings"][1]["values"], json!([2, 1]), "{model}: {got}");
        let body =
            json!({ "model": model, "texts": ["good day", "hi"], "input_type": "search_document" });
        let got = ask("/v2/embed".to_owned(), body).await;
        assert_eq!(got["embeddings"]["float"], json!([[8, 1], [2, 1]]), "{model}: {got}");
        assert_eq!(got["meta"]["billed_units"]["input_tokens"], 3, "{model}: {got}");
    }
    let one = json!({ "model": "titan", "input": "good day" });
    let got = ask("/v1/embeddings".to_owned(), one).await;
    assert_eq!(got["usage"]["total_tokens"], 2, "{got}");
    // Three for each of four requests; the one text was Titan's, and what it does not take went to the next.
    let counted = async {
        while counts(&gateway).await != [12, 24, 2] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(counted).await;
}

/// The tokens that were counted, by deployment.
async fn counts(gateway: &Running) -> [u64; 3] {
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let series = "plugin_gen_ai_client_inference_usage_input_tokens_total{";
    ["vertex", "cohere", "titan"].map(|deployment| {
        let label = format!("deployment=\"{deployment}\"");
        let of_it = |line: &&str| line.starts_with(series) && line.contains(&label);
        let text = metrics.text();
        let counts = text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    })
}
