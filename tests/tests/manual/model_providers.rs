//! Providers with credentials that are made for each request, forms with files, and answers that are none: through the
//! real plugin, to upstreams on real sockets.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const FILE: &str = r#"
[upstreams.provider]
targets = ["http://${env:PROVIDER}"]

[upstreams.other]
targets = ["http://${env:OTHER}"]

[upstreams.oauth]
targets = ["http://${env:OAUTH}"]

[secrets]
aws-id = "${env:AWS_ID}"
aws-key = "${env:AWS_KEY}"
google-key = "${env:KEY}"

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["provider", "other"]
upstreams = ["oauth"]
secrets = ["aws-id", "aws-key", "google-key"]
limits = { deadline = "1s", memory = "64MiB" }

[plugins.models.config]
max_answer = 2048

[plugins.models.config.deployments.bedrock]
upstream = "provider"
provider = "bedrock"
model = "eu.anthropic.claude-5-v1:0"
region = "eu-central-1"
aws = { access_key_id = "aws-id", secret_access_key = "aws-key" }

[plugins.models.config.deployments.vertex]
upstream = "provider"
provider = "vertex"
model = "gemini-3-pro"
project = "my-project"
region = "global"
service_account = { email = "a@b.iam.gserviceaccount.com", key = "google-key", upstream = "oauth" }

[plugins.models.config.deployments.claude]
upstream = "provider"
provider = "anthropic"
model = "claude"

[plugins.models.config.deployments.other]
upstream = "other"
provider = "openai"
model = "other"

[plugins.models.config.deployments.openai]
upstream = "provider"
provider = "openai"
model = "own"

[plugins.models.config.models]
bedrock = { deployments = [{ name = "bedrock" }] }
vertex = { deployments = [{ name = "vertex" }] }
claude = { deployments = [{ name = "claude" }] }
openai = { deployments = [{ name = "openai" }] }
two = { deployments = [{ name = "openai" }, { name = "other", priority = 1 }] }

[[routes]]
name = "openai"
paths = ["/v1/{*rest}"]
plugins = ["models"]
upstream = "provider"
errors = "openai"
"#;

fn private_key() -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let made = openssl.stderr(Stdio::null()).output().expect("openssl is there");
    String::from_utf8(made.stdout).unwrap()
}

fn serve(provider: SocketAddr, other: SocketAddr, oauth: SocketAddr) -> Running {
    let key = private_key();
    let values: [(&str, &dyn std::fmt::Display); 6] = [
        ("PROVIDER", &provider),
        ("OTHER", &other),
        ("OAUTH", &oauth),
        ("KEY", &key),
        ("AWS_ID", &"AKIDEXAMPLE"),
        ("AWS_KEY", &"secret"),
    ];
    Setup::toml(FILE, &values).workers(2).start()
}

/// A server that gives this to everybody.
async fn says(kind: &'static str, body: String) -> Upstream {
    Upstream::http1(move |_| {
        let response = Response::builder().header("content-type", kind).body(full(body.clone()));
        std::future::ready(response.unwrap())
    })
    .await
}

async fn chat(gateway: &Running, model: &str) -> Answer {
    let message = json!({ "role": "user", "content": "good day" });
    let body = json!({ "model": model, "messages": [message] }).to_string();
    let fields = [("content-type", "application/json"), ("authorization", "Bearer mine")];
    let request = request("POST", "/v1/chat/completions", &fields, body);
    within(Http1::connect(gateway.address).await.send(request)).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_bedrock_arrive_as_they_were_signed() {
    let said = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "hi" }] } },
        "stopReason": "end_turn", "usage": { "inputTokens": 3, "outputTokens": 1, "totalTokens": 4 },
    });
    let provider = says("application/json", said.to_string()).await;
    let gateway = serve(provider.address, provider.address, provider.address);
    let answer = chat(&gateway, "bedrock").await;
    assert_eq!(json_of(&answer)["choices"][0]["message"]["content"], "hi", "{}", answer.text());
    let sent = provider.request();
    assert_eq!(sent.uri.path(), "/model/eu.anthropic.claude-5-v1%3A0/converse");
    assert_eq!(sent.headers["host"], "bedrock-runtime.eu-central-1.amazonaws.com");
    let authorization = sent.headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("Credential=AKIDEXAMPLE/"), "{authorization}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_workers_use_one_token_for_vertex() {
    let said = json!({
        "candidates": [{ "content": { "role": "model", "parts": [{ "text": "hi" }] }, "finishReason": "STOP" }],
        "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4 },
    });
    let provider = says("application/json", said.to_string()).await;
    let token = json!({ "access_token": "ya29.one", "expires_in": 3599, "token_type": "Bearer" });
    let oauth = says("application/json", token.to_string()).await;
    let gateway = serve(provider.address, provider.address, oauth.address);
    for _ in 0..8 {
        let answer = chat(&gateway, "vertex").await;
        assert_eq!(json_of(&answer)["choices"][0]["message"]["content"], "hi", "{}", answer.text());
    }
    for sent in provider.requests() {
        let path = "/v1/projects/my-project/locations/global/publishers/google/models/gemini-3-pro:generateContent";
        assert_eq!(sent.uri.path(), path);
        assert_eq!(sent.headers["authorization"], "Bearer ya29.one");
    }
    assert_eq!((provider.requests().len(), oauth.requests().len()), (8, 1));
    // Without one the client is told so.
    let nobody = says("text/plain", "no".to_owned()).await;
    let gateway = serve(provider.address, provider.address, nobody.address);
    let answer = chat(&gateway, "vertex").await;
    assert_eq!(answer.status(), 502, "{}", answer.text());
    assert!(json_of(&answer)["error"]["message"].as_str().unwrap().contains("access"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_a_file_arrives_with_the_provider_s_name_of_the_model() {
    let echo = Upstream::http1(|request| async move {
        let kind = request.headers()["content-type"].clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().header("content-type", kind).body(full(body)).unwrap()
    })
    .await;
    let gateway = serve(echo.address, echo.address, echo.address);
    let sound: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let form = |model: &str| {
        let head =
            "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
        let end = format!(
            "\r\n--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--XyZ--\r\n"
        );
        [head.as_bytes(), &sound, end.as_bytes()].concat()
    };
    let fields = [("content-type", "multipart/form-data; boundary=XyZ")];
    let request = request("POST", "/v1/audio/transcriptions", &fields, form("openai"));
    let answer = within(Http1::connect(gateway.address).await.send(request)).await;
    assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.body == form("own"));
    let length: usize = echo.request().headers["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(length, form("own").len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_another_s_or_an_error() {
    let good = json!({ "choices": [], "model": "other", "usage": { "prompt_tokens": 1, "completion_tokens": 1 } });
    let other = says("application/json", good.to_string()).await;
    let error = json!({ "error": { "message": "It is full.", "code": 503 } }).to_string();
    for (kind, body, status) in [
        ("application/json", error, 503),
        ("text/html", "<html>Sign in</html>".to_owned(), 502),
        ("text/event-stream", String::new(), 502),
        ("text/event-stream", "no events at all".to_owned(), 502),
    ] {
        let provider = says(kind, body).await;
        let gateway = serve(provider.address, other.address, other.address);
        let answer = chat(&gateway, "openai").await;
        assert_eq!(answer.status(), status, "{kind}: {}", answer.text());
        assert!(json_of(&answer)["error"]["message"].as_str().is_some());
        let answer = chat(&gateway, "two").await;
        assert_eq!((answer.status(), &json_of(&answer)["model"]), (200, &json!("other")), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_to_be_translated_is_an_error_of_the_provider() {
    let long =
        json!({ "type": "message", "content": [{ "type": "text", "text": "word ".repeat(1000) }] });
    let provider = says("application/json", long.to_string()).await;
    let gateway = serve(provider.address, provider.address, provider.address);
    let answer = chat(&gateway, "claude").await;
    assert_eq!(answer.status(), 502, "{}", answer.text());
    let message = json_of(&answer)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("longer than 2048 bytes"), "{message}");
}
