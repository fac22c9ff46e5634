//! Refusals in the form that each client reads: the gateway's own and those of plugins, over HTTP/1.1
//! and HTTP/2.

use std::time::Duration;

use gateway_tests::client::{request, request2};
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream};
use serde_json::{Value, json};

/// A key that nobody knows is refused by `auth`, the second request in a day by `rate-limit`; a body
/// over 8 bytes, other methods than POST and silent upstreams by the gateway.
fn setup(form: &str, upstream: &dyn std::fmt::Display) -> Running {
    configured(form, upstream).start()
}

fn configured(form: &str, upstream: &dyn std::fmt::Display) -> Setup {
    let text = format!(
        r#"
[upstreams.models]
targets = ["http://${{env:MODELS}}"]
timeouts = {{ first_byte = "100ms" }}

[plugins.limit]
component = "rate-limit"
[[plugins.limit.config.policies]]
name = "day"
limit = 1
window = "1d"
key = ["consumer.id"]

[[routes]]
name = "guarded"
paths = ["/guarded/{{*rest}}"]
methods = ["POST"]
errors = "{form}"
limits = {{ body_size = "8B" }}
plugins = [
  {{ component = "auth", config = {{ api_key = {{ keys = [{{ id = "me", digest = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" }}] }} }} }},
  "limit",
]
upstream = "models"

[[routes]]
name = "open"
paths = ["/open"]
errors = "{form}"
upstream = "models"
"#
    );
    Setup::toml(&text, &[("MODELS", upstream)])
}

/// An upstream that takes connections and never answers.
async fn silent() -> Upstream {
    Upstream::script(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// The same over both protocols.
async fn both(
    gateway: &Running,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &'static str,
) -> [Answer; 2] {
    let mut client = Http1::connect(gateway.address).await;
    let first = client.send(request(method, path, fields, body)).await;
    let mut client = Http2::connect(gateway.address).await;
    [first, client.send(request2(method, path, fields, body)).await]
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// Each way to be refused: method, path, body, status.
const REFUSED: [(&str, &str, &str, u16); 4] = [
    ("POST", "/guarded/a", "{}", 401),
    ("PUT", "/guarded/a", "{}", 405),
    ("POST", "/guarded/a", "more than eight bytes", 413),
    ("POST", "/open", "{}", 504),
];

#[tokio::test]
async fn a_problem_document_says_its_detail_as_message_too() {
    let silent = silent().await;
    for form in ["auto", "problem"] {
        let gateway = setup(form, &silent.address);
        for (method, path, body, status) in REFUSED.into_iter().chain([("GET", "/no", "", 404)]) {
            for answer in both(&gateway, method, path, &[], body).await {
                assert_eq!(answer.status(), status);
                let problem = answer.problem();
                assert_eq!(problem["message"], problem["detail"]);
                assert!(problem["message"].as_str().unwrap().ends_with('.'), "{problem}");
            }
        }
    }
    // Of what is no request.
    let gateway = setup("auto", &silent.address);
    let answer = Raw::ask(gateway.address, "nonsense\r\n\r\n").await;
    assert_eq!(answer.problem()["message"], answer.problem()["detail"]);
}

#[tokio::test]
async fn a_route_of_a_provider_refuses_as_the_provider_does() {
    let silent = silent().await;
    let gateway = setup("openai", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let error = &json_of(&answer)["error"];
            assert!(error["message"].as_str().unwrap().ends_with('.'), "{error}");
            let (kind, code) = match status {
                401 => ("invalid_request_error", json!("invalid_api_key")),
                504 => ("server_error", Value::Null),
                _ => ("invalid_request_error", Value::Null),
            };
            assert_eq!((&error["type"], &error["code"]), (&json!(kind), &code));
        }
    }
    let gateway = setup("anthropic", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let json = json_of(&answer);
            let kind = match status {
                401 => "authentication_error",
                413 => "request_too_large",
                504 => "timeout_error",
                _ => "invalid_request_error",
            };
            assert_eq!((&json["type"], &json["error"]["type"]), (&json!("error"), &json!(kind)));
            assert!(json["error"]["message"].as_str().unwrap().ends_with('.'), "{json}");
            assert_eq!(json["request_id"], answer.id());
            assert_eq!(answer.header("request-id"), Some(answer.id()));
        }
    }
    let gateway = setup("google", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let error = &json_of(&answer)["error"];
            assert_eq!(error["code"], status);
            let name = match status {
                401 => "UNAUTHENTICATED",
                405 => "UNIMPLEMENTED",
                504 => "DEADLINE_EXCEEDED",
                _ => "INVALID_ARGUMENT",
            };
            assert_eq!(error["status"], name);
            assert!(error["message"].as_str().unwrap().ends_with('.'), "{error}");
        }
    }
}

#[tokio::test]
async fn ollama_s_clients_read_one_member() {
    let silent = silent().await;
    let gateway = setup("ollama", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let json = json_of(&answer);
            assert!(json["error"].as_str().unwrap().ends_with('.'), "{json}");
            assert_eq!(json.as_object().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn clients_of_cohere_and_aws_read_a_message_and_aws_s_a_type() {
    let silent = silent().await;
    let gateway = setup("cohere", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let json = json_of(&answer);
            assert!(json["message"].as_str().unwrap().ends_with('.'), "{json}");
            assert_eq!(json["id"], answer.id());
        }
    }
    let gateway = setup("bedrock", &silent.address);
    for (method, path, body, status) in REFUSED {
        for answer in both(&gateway, method, path, &[], body).await {
            assert_eq!(answer.status(), status);
            let json = json_of(&answer);
            assert!(json["message"].as_str().unwrap().ends_with('.'), "{json}");
            let kind = match status {
                401 => "AccessDeniedException",
                504 => "InternalServerException",
                _ => "ValidationException",
            };
            assert_eq!(answer.header("x-amzn-errortype"), Some(kind));
        }
    }
}

#[tokio::test]
async fn a_refusal_of_head_has_the_fields_of_the_others_and_no_body() {
    let silent = silent().await;
    for (form, kind) in [("auto", "application/problem+json"), ("openai", "application/json")] {
        let gateway = setup(form, &silent.address);
        for path in ["/guarded/a", "/open"] {
            let put = both(&gateway, "PUT", path, &[], "").await;
            for (head, put) in both(&gateway, "HEAD", path, &[], "").await.into_iter().zip(put) {
                assert_eq!(head.status(), put.status());
                assert_eq!(head.header("content-type"), Some(kind));
                assert_eq!(head.header("content-length"), put.header("content-length"));
                assert!(head.body.is_empty() && !put.body.is_empty());
            }
        }
        // The connection is in step after it.
        let mut client = Http1::connect(gateway.address).await;
        for _ in 0..2 {
            assert_eq!(client.send(request("HEAD", "/guarded/a", &[], "")).await.status(), 405);
        }
    }
}

#[tokio::test]
async fn a_client_of_grpc_gets_trailers_alone() {
    let silent = silent().await;
    let gateway = setup("openai", &silent.address);
    for (sent, kind) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web-text+proto", "application/grpc-web-text"),
    ] {
        let fields = [("content-type", sent)];
        let routes = REFUSED.into_iter().chain([("POST", "/none", "", 404)]);
        for (method, path, body, status) in routes {
            for answer in both(&gateway, method, path, &fields, body).await {
                assert_eq!(answer.status(), 200);
                let code = match status {
                    401 => "16",
                    404 => "12",
                    504 => "14",
                    _ => "2",
                };
                assert_eq!(answer.header("grpc-status"), Some(code), "{status}");
                assert_eq!(answer.header("content-type"), Some(kind));
                assert!(answer.header("grpc-message").unwrap().ends_with('.'));
                assert!(answer.body.is_empty() && answer.trailers.is_none());
                assert!(matches!(answer.header("content-length"), None | Some("0")));
            }
        }
    }
    let gateway = setup("problem", &silent.address);
    let fields = [("content-type", "application/grpc")];
    for answer in both(&gateway, "POST", "/guarded/a", &fields, "").await {
        assert_eq!(answer.problem()["status"], 401);
    }
}

#[tokio::test]
async fn a_call_of_json_rpc_gets_an_error_of_json_rpc_with_its_id() {
    let silent = silent().await;
    let gateway = setup("auto", &silent.address);
    let call = r#"{"jsonrpc":"2.0","id":"seven","method":"tools/list"}"#;
    let json_type = ("content-type", "application/json");
    let mcp = ("mcp-method", "tools/list");
    // What `Value` makes of a number with so many digits; the text itself is compared below.
    let number = json!(123_456_789_012_345_678_901_234_567_890_f64);
    let long = r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"a"}"#;
    // The body of the third is over the limit, that of the fifth was sent to the upstream.
    for (path, body, fields, status, id) in [
        ("/none", call, vec![json_type], 404, json!("seven")),
        ("/none", long, vec![json_type], 404, number),
        ("/guarded/a", call, vec![json_type], 413, json!("seven")),
        ("/guarded/a", call, vec![json_type, mcp], 413, json!("seven")),
        ("/open", call, vec![json_type, mcp], 504, Value::Null),
        ("/guarded/a", "", vec![mcp], 401, Value::Null),
        ("/none", "", vec![("mcp-session-id", "1")], 404, Value::Null),
    ] {
        for answer in both(&gateway, "POST", path, &fields, body).await {
            assert_eq!(answer.status(), status);
            let json = json_of(&answer);
            assert_eq!((&json["jsonrpc"], &json["id"]), (&json!("2.0"), &id), "{json}");
            assert_eq!(json["error"]["code"], -32_000);
            assert_eq!(json["error"]["data"]["status"], status);
            assert_eq!(json["error"]["message"], json["error"]["data"]["detail"]);
        }
    }
    for answer in both(&gateway, "POST", "/none", &[json_type], long).await {
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("\"id\":123456789012345678901234567890,"), "{text}");
    }
    // Other JSON is no call, and what is not said to be JSON is not looked into.
    let response = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    for (kind, body) in [
        ("application/json", r#"{"id":1,"model":"a"}"#),
        ("application/json", response),
        ("text/plain", call),
    ] {
        for answer in both(&gateway, "POST", "/none", &[("content-type", kind)], body).await {
            assert_eq!(answer.problem()["status"], 404);
        }
    }
    // A body that does not come is not waited for.
    let mut raw = Raw::connect(gateway.address).await;
    let head = "POST /none HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 60\r\n\r\n{\"jsonrpc\"";
    raw.send(head).await;
    assert_eq!(raw.response().await.problem()["status"], 404);
    let gateway = setup("json-rpc", &silent.address);
    let small = "[1]";
    for answer in both(&gateway, "POST", "/guarded/a", &[], small).await {
        assert_eq!((answer.status(), &json_of(&answer)["id"]), (401, &Value::Null));
    }
}

#[tokio::test]
async fn a_plugin_that_read_the_body_leaves_the_id_of_the_call() {
    let text = r#"
[[routes]]
name = "mcp"
paths = ["/mcp"]
plugins = [
  { component = "transform", config = { request = { json = [{ op = "set", pointer = "/x", value = "1" }] } } },
  { component = "auth", config = { api_key = { keys = [{ id = "me", digest = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" }] } } },
]
respond = { status = 200 }
"#;
    let gateway = Setup::toml(text, &[]).start();
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"initialize"}"#;
    let fields = [("content-type", "application/json")];
    for answer in both(&gateway, "POST", "/mcp", &fields, call).await {
        assert_eq!((answer.status(), &json_of(&answer)["id"]), (401, &json!(7)));
        let challenges: Vec<_> = answer.head.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges.len(), 2, "{challenges:?}");
    }
}

#[tokio::test]
async fn a_long_wait_says_that_a_retry_is_of_no_use() {
    let echo = Upstream::echo().await;
    for (form, ceiling, says) in
        [("openai", 60, Some("false")), ("auto", 60, Some("false")), ("google", 86_400, None)]
    {
        let mut setup = configured(form, &echo.address);
        assert_eq!(setup.config.process.retry_after_ceiling, Duration::from_secs(60));
        setup.config.process.retry_after_ceiling = Duration::from_secs(ceiling);
        let gateway = setup.start();
        let fields = [("x-api-key", "secret")];
        let ask = || both(&gateway, "POST", "/guarded/a", &fields, "");
        let [first, second] = ask().await;
        assert_eq!((first.status(), second.status()), (200, 429));
        for answer in ask().await.into_iter().chain([second]) {
            assert_eq!(answer.status(), 429);
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((86_000..=86_400).contains(&wait), "it stays truthful: {wait}");
            assert_eq!(answer.header("x-should-retry"), says);
            match form {
                "openai" => {
                    assert_eq!(json_of(&answer)["error"]["code"], "rate_limit_exceeded");
                }
                "google" => {
                    let details = &json_of(&answer)["error"]["details"][0];
                    assert_eq!(details["retryDelay"], format!("{wait}s"));
                }
                _ => assert_eq!(answer.problem()["violated-policies"], json!(["day"])),
            }
        }
    }
}
