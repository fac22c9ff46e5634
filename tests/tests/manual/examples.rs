//! The files in `examples/`: each loads without a warning, and does what its comments say.

use std::path::Path;
use std::sync::Arc;

use super::example::file::{Example, free_address, root, serve};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, Http1, Http2, Raw, Upstream, tls, within};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

/// An example with all that it needs besides itself.
fn ready(name: &str, folder: &Path) -> Example {
    let example = Example::read(name);
    match name {
        "tls.toml" => {
            write_certificates(folder);
            example.inside(folder)
        }
        "ai-gateway.toml" => example.env("PROVIDER_KEY", "provider-secret"),
        "greet.toml" => example.with_greet(),
        // What they write is beside them.
        "usage.toml" | "access-logs.toml" => example.inside(folder),
        "component.toml" => example.with_hello(),
        "models.toml" => example.inside(folder).with_model_server().with_provider_keys(),
        "predictions.toml" => example.with_model_server().with_provider_keys(),
        _ => example,
    }
}

/// A folder that is gone at the end of the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let unique = format!("examples-{name}-{}", std::process::id());
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

#[test]
fn every_example_is_taken_without_a_warning() {
    let folder = Folder::new("all");
    let files = std::fs::read_dir(root().join("examples")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let mut config = ready(&name, &folder.0).load();
        for listener in &mut config.listeners {
            listener.address.set_port(0);
        }
        if let Some(admin) = &mut config.admin {
            admin.address.set_port(0);
        }
        // This loads the plugins, and lets each judge its own settings.
        drop(serve(config));
    }
}

#[tokio::test]
async fn a_canary_keeps_its_users() {
    let versions = [
        Upstream::http1(|_| async { Response::new(full("v1")) }).await,
        Upstream::http1(|_| async { Response::new(full("v2")) }).await,
    ];
    let gateway = Example::read("canary.toml")
        .at(9001, versions[0].address)
        .at(9002, versions[1].address)
        .on_a_free_port()
        .start();
    let mut canaries = 0;
    for user in 0..100 {
        let user = format!("user-{user}");
        let wanted = ask(gateway.address, Request::get("/").header("x-user", &user)).await;
        let is_canary = wanted.text() == "v2";
        canaries += usize::from(is_canary);
        let shown = if is_canary { "canary" } else { "stable" };
        assert_eq!(wanted.header("x-variant"), Some(shown));
        let again = ask(gateway.address, Request::get("/").header("x-user", &user)).await;
        assert_eq!(again.text(), wanted.text());
    }
    assert!((1..=25).contains(&canaries), "{canaries}");
}

#[tokio::test]
async fn access_logs_say_who_asked_and_show_no_secret() {
    let folder = Folder::new("logs");
    let gateway = ready("access-logs.toml", &folder.0).on_a_free_port().start();
    for path in ["/api/orders?page=2&api_key=hidden", "/", "/healthz"] {
        assert!(ask(gateway.address, Request::get(path)).await.status() < 300);
    }
    drop(gateway);
    let text = |name: &str| std::fs::read_to_string(folder.0.join(name)).unwrap();
    let (api, site) = (text("api.log"), text("site.log"));
    let line: Value = serde_json::from_str(&api).unwrap();
    assert_eq!(line["request"], "GET /api/orders?page=2&api_key=[redacted] HTTP/1.1");
    assert_eq!((&line["status"], &line["route"]), (&json!(200), &json!("api")));
    assert_eq!(line["kind"], "text/plain; charset=utf-8");
    assert_eq!(site.lines().count(), 1);
    assert!(site.contains("\"GET / HTTP/1.1\" 200 7 \"-\" \"-\""), "{site}");
}

fn write_certificates(folder: &Path) {
    std::fs::create_dir_all(folder.join("tls")).unwrap();
    for name in ["api", "www"] {
        let made = rcgen::generate_simple_self_signed([format!("{name}.example.com")]).unwrap();
        std::fs::write(folder.join(format!("tls/{name}.pem")), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.join(format!("tls/{name}.key")), key).unwrap();
    }
}

fn certificate(folder: &Path, name: &str) -> Arc<CertifiedKey> {
    let file = |ending: &str| folder.join(format!("tls/{name}.{ending}"));
    let chain = vec![CertificateDer::from_pem_file(file("pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(chain, key))
}

#[tokio::test]
async fn tls_shows_the_certificate_that_is_asked_for_and_redirects_who_comes_in_clear() {
    let folder = Folder::new("tls");
    let clear = free_address();
    let gateway = ready("tls.toml", &folder.0)
        .at(8443, "127.0.0.1:0".parse().unwrap())
        .at(8080, clear)
        .start();
    for (host, body) in [("api", "the API\n"), ("www", "the site\n")] {
        let trusted = certificate(&folder.0, host);
        let name = format!("{host}.example.com");
        // The handshake fails if another certificate is shown.
        let stream = tls::connect(gateway.address, &name, &[&trusted], &["h2"]).await;
        let request = Request::get(format!("https://{name}/")).body(full("")).unwrap();
        assert_eq!(Http2::over(stream).await.send(request).await.body, body);
    }
    let request = Request::get("/a?b=c").header("host", "api.example.com").body(full("")).unwrap();
    let answer = Http1::connect(clear).await.send(request).await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location"), Some("https://api.example.com:8443/a?b=c"));
}

#[tokio::test]
async fn usage_counts_who_asked() {
    let folder = Folder::new("usage");
    let example = ready("usage.toml", &folder.0).on_a_free_port();
    let config = example.load();
    let gateway = example.start();
    let request = || Request::get("/hello").header("x-api-key", "quickstart-key");
    for _ in 0..2 {
        assert_eq!(ask(gateway.address, request()).await.text(), "hello\n");
    }
    assert_eq!(ask(gateway.address, Request::get("/hello")).await.status(), 401);
    drop(gateway);
    let query = gateway::usage::Query::parse("consumer,status", None, None).unwrap();
    let report = query.read(&config.usage.unwrap(), std::time::Duration::from_secs(9)).unwrap();
    let rows = report.json()["rows"].clone();
    assert_eq!((&rows[0]["consumer"], &rows[0]["requests"]), (&json!("quickstart"), &json!(2)));
    assert_eq!((&rows[1]["consumer"], &rows[1]["status"]), (&json!(""), &json!("4xx")));
}

async fn ask(gateway: std::net::SocketAddr, request: http::request::Builder) -> Answer {
    let request = request.header("host", "api.example.com").body(full("")).unwrap();
    Http1::connect(gateway).await.send(request).await
}

#[tokio::test]
async fn jwt_lets_tokens_do_what_their_scopes_allow() {
    let orders = Upstream::echo().await;
    let gateway = Example::read("jwt.toml").on_a_free_port().at(9000, orders.address).start();
    let token = |name: &str| {
        let text = std::fs::read_to_string(root().join("examples/jwt").join(name)).unwrap();
        format!("Bearer {}", text.trim())
    };
    let (reader, writer) = (token("reader.jwt"), token("writer.jwt"));
    let read = |token: &str| Request::get("/orders/7").header("authorization", token);
    let write = |token: &str| Request::delete("/orders/7").header("authorization", token);
    let nobody = Request::get("/orders/7");
    let forged = reader.replace("Bearer ", "Bearer x");
    let cases = [
        (nobody, 401),
        (read(&forged), 401),
        (read(&reader), 200),
        (write(&reader), 403),
        (write(&writer), 200),
    ];
    for (request, status) in cases {
        let shown = format!("{request:?}");
        let answer = ask(gateway.address, request).await;
        assert_eq!(answer.status(), status, "{shown}");
    }
    let seen = orders.requests();
    assert_eq!(seen.len(), 2, "what is refused does not reach the service");
    let told = |name: &str| seen[1].headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(told("x-consumer-id"), Some("grace"));
    assert_eq!(told("x-consumer-plan"), Some("pro"));
    assert_eq!(told("authorization"), None);
}

#[tokio::test]
async fn ai_gateway_streams_answers_and_keeps_the_providers_key_to_itself() {
    let next = Arc::new(Notify::new());
    let told = Arc::clone(&next);
    let events = move |_| {
        let told = Arc::clone(&told);
        async move {
            let body = futures_util::stream::unfold(0, move |count| {
                let told = Arc::clone(&told);
                async move {
                    if count > 0 {
                        told.notified().await;
                    }
                    let event = Bytes::from(format!("data: {count}\n\n"));
                    (count < 3).then(|| (Ok(Frame::data(event)), count + 1))
                }
            });
            let body: BoxBody = StreamBody::new(body).boxed_unsync();
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    };
    let large = Upstream::http1(events).await;
    let gateway = Example::read("ai-gateway.toml").env("PROVIDER_KEY", "provider-secret");
    let gateway = gateway.on_a_free_port().at(9001, large.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-model: large\r\nx-cost: 0\r\n\
         authorization: Bearer team-a-example-key\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let head = raw.head().await;
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert!(head.header("ratelimit").unwrap().contains(";r=20;"), "{head:?}");
    for event in 0..3 {
        // Each is here while the next one has not been sent.
        raw.read_until(&format!("data: {event}\n\n")).await;
        next.notify_one();
    }
    let seen = large.request().headers;
    assert_eq!(seen["authorization"], "Bearer provider-secret");
    assert!(!seen.contains_key("x-cost") && !seen.contains_key("x-model"), "{seen:?}");
}

#[tokio::test]
async fn ai_gateway_charges_each_team_by_model_and_asks_for_its_scopes() {
    let large = Upstream::echo().await;
    let (small, other) = (Upstream::echo().await, Upstream::echo().await);
    let gateway = Example::read("ai-gateway.toml").env("PROVIDER_KEY", "provider-secret");
    let gateway = gateway.on_a_free_port().at(9001, large.address).at(9002, small.address);
    let gateway = gateway.at(9003, other.address).start();
    let post = |team: &str| {
        let key = format!("Bearer team-{team}-example-key");
        Request::post("/v1/chat/completions").header("authorization", key)
    };
    let to_large = |team: &str| post(team).header("x-model", "large");
    assert_eq!(ask(gateway.address, to_large("b")).await.status(), 403);
    for _ in 0..3 {
        assert_eq!(ask(gateway.address, to_large("a")).await.status(), 200);
    }
    // 30 of 30 are spent, and a team's budget is one for both models.
    let refused = ask(gateway.address, to_large("a")).await;
    assert_eq!(refused.status(), 429);
    let refusal: Value = serde_json::from_slice(&refused.body).unwrap();
    let message = refusal["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("No quota is left under budget"), "{refusal}");
    assert_eq!(large.requests().len(), 3);
    for _ in 0..15 {
        assert_eq!(ask(gateway.address, post("b")).await.status(), 200);
    }
    // Three of four go to the heavier target, give or take the turn at which a worker begins.
    let (heavy, light) = (small.requests().len(), other.requests().len());
    assert_eq!(heavy + light, 15);
    assert!(heavy > light, "{heavy} and {light}");

    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    assert!(metrics.text().contains("gateway_plugin_instances{plugin=\"keys\"} "), "{metrics:?}");
    assert_eq!(Http1::admin(gateway.admin.unwrap(), "/healthz").await.status(), 200);
}

#[tokio::test]
async fn ai_gateway_serves_what_todays_clients_call_and_refuses_as_they_read_it() {
    let [openai, anthropic, google, tools] = [(); 4].map(|()| Upstream::echo());
    let (openai, anthropic, google, tools) =
        (openai.await, anthropic.await, google.await, tools.await);
    let gateway = Example::read("ai-gateway.toml").env("PROVIDER_KEY", "provider-secret");
    let gateway = gateway.on_a_free_port().at(9002, openai.address).at(9003, free_address());
    let gateway = gateway.at(9004, anthropic.address).at(9005, google.address);
    let gateway = gateway.at(9006, tools.address).with("burst = 30", "burst = 60").start();
    let bearer = "authorization: Bearer team-a-example-key";
    let stream = "/v1/models/gemini-3-flash:streamGenerateContent?alt=sse";
    let of_provider = "authorization: Bearer provider-secret";
    // Who is asked, as whom, and what arrives there.
    for (upstream, line, credential, fields, arrives, shown) in [
        (&openai, "POST /v1/chat/completions", bearer, "", "/v1/chat/completions", of_provider),
        (&openai, "POST /v1/responses", bearer, "", "/v1/responses", of_provider),
        (&openai, "POST /responses", bearer, "", "/v1/responses", of_provider),
        (&openai, "POST /v1/embeddings", bearer, "", "/v1/embeddings", of_provider),
        (&openai, "GET /v1/models", bearer, "", "/v1/models", of_provider),
        (
            &anthropic,
            "POST /v1/messages",
            bearer,
            "anthropic-version: 2026-10-21\r\n",
            "/v1/messages",
            "x-api-key: provider-secret",
        ),
        (
            &anthropic,
            "POST /v1/messages/count_tokens",
            "x-api-key: team-a-example-key",
            "",
            "/v1/messages/count_tokens",
            "x-api-key: provider-secret",
        ),
        (
            &google,
            &format!("POST {stream}"),
            "x-goog-api-key: team-a-example-key",
            "",
            stream,
            "x-goog-api-key: provider-secret",
        ),
        (
            &google,
            "POST /v1beta/models/gemini-3-flash:generateContent",
            "x-goog-api-key: team-a-example-key",
            "",
            "/v1beta/models/gemini-3-flash:generateContent",
            "x-goog-api-key: provider-secret",
        ),
        (
            &tools,
            "POST /mcp",
            bearer,
            "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/list\r\n",
            "/mcp",
            of_provider,
        ),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{fields}\
             {credential}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        let answer = Raw::ask(gateway.address, head).await;
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.uri, arrives);
        let (name, value) = shown.split_once(": ").unwrap();
        assert_eq!(seen.headers[name], value, "{line}");
        let keys = ["authorization", "x-api-key", "x-goog-api-key"];
        let sent = keys.iter().filter(|name| seen.headers.contains_key(**name));
        assert_eq!(sent.count(), 1, "the client's key goes no further: {seen:?}");
    }
    // In the form that each client reads, without a key.
    for (path, member) in [
        ("/v1/chat/completions", "/error/message"),
        ("/responses", "/error/message"),
        ("/v1/messages", "/error/type"),
        (stream, "/error/status"),
        ("/mcp", "/error/data/title"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}");
        let answer = Raw::ask(gateway.address, head).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(json.pointer(member).is_some_and(Value::is_string), "{path}: {json}");
    }
}

#[tokio::test]
async fn websocket_grpc_tunnels_a_web_socket_once_its_key_is_right() {
    let chat = Upstream::script(|stream| async {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let _client_may_have_left = socket.send(message).await;
        }
    })
    .await;
    let gateway = Example::read("websocket-grpc.toml").on_a_free_port().at(9001, chat.address);
    let gateway = gateway.start();
    let connect = async |url: &str| {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        within(tokio_tungstenite::client_async(url, stream)).await
    };
    assert!(connect("ws://a.example/chat?key=wrong").await.is_err());
    let (mut socket, _) = connect("ws://a.example/chat?key=chat-example-key").await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test]
async fn websocket_grpc_carries_a_call_with_its_trailers() {
    let greeter = Upstream::http2(|request: Request<hyper::body::Incoming>| async move {
        let message = request.into_body().collect().await.unwrap().to_bytes();
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
    .await;
    let gateway = Example::read("websocket-grpc.toml").on_a_free_port().at(9002, greeter.address);
    let gateway = gateway.start();
    let call = Request::post("http://a.example/helloworld.Greeter/SayHello")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(full(&b"\0\0\0\0\x02hi"[..]))
        .unwrap();
    let answer = Http2::connect(gateway.address).await.send(call).await;
    assert_eq!(answer.body, &b"\0\0\0\0\x02hi"[..]);
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
    assert_eq!(greeter.request().headers["te"], "trailers");
}

/// The service behind `transform.toml`, which tells what it was sent.
async fn legacy() -> Upstream {
    Upstream::http1(|request: Request<hyper::body::Incoming>| async move {
        let (head, body) = request.into_parts();
        let sent: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes())
            .unwrap_or(Value::Null);
        let answer = json!({
            "target": head.uri.to_string(),
            "sent": sent,
            "lines": [{ "cost": 3, "price": 4 }],
            "self": "http://legacy.internal/cgi/order",
        });
        Response::builder()
            .header("content-type", "application/json")
            .header("server", "legacy/1.0")
            .status(if head.method == "PUT" { 503 } else { 200 })
            .body(full(answer.to_string()))
            .unwrap()
    })
    .await
}

#[tokio::test]
async fn transform_puts_a_new_interface_before_an_old_service() {
    let legacy = legacy().await;
    let gateway = Example::read("transform.toml").on_a_free_port().at(9000, legacy.address).start();
    let get = Request::get("/orders/7?lang=de").header("x-tenant", "acme").header("x-debug", "1");
    let answer = ask(gateway.address, get).await;
    assert_eq!((answer.status(), answer.header("server")), (200, None));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap(),
        json!({ "data": {
            "target": "/cgi/order?lang=de&id=7",
            "sent": null,
            "lines": [{ "price": 4 }],
            "self": "https://api.example.com/cgi/order",
        } })
    );
    let seen = legacy.request().headers;
    assert_eq!(seen["x-legacy-tenant"], "acme");
    assert_eq!(seen["x-order-id"], "7");
    assert!(!seen.contains_key("x-debug"), "{seen:?}");
}

#[tokio::test]
async fn transform_edits_bodies_and_refuses_those_that_it_cannot_read() {
    let legacy = legacy().await;
    let gateway = Example::read("transform.toml").on_a_free_port().at(9000, legacy.address).start();
    let body = json!({ "order": { "note": "fast" }, "internal": true }).to_string();
    let put = |encoding: &str| {
        Request::put("/orders/7")
            .header("host", "api.example.com")
            .header("content-encoding", encoding)
            .body(full(body.clone()))
            .unwrap()
    };
    let answer = Http1::connect(gateway.address).await.send(put("identity")).await;
    assert_eq!(answer.status(), 502, "the service's 503 is not for clients");
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        answer["data"]["sent"],
        json!({ "order": { "id": 7, "currency": "EUR", "comment": "fast" } })
    );
    let refused = Http1::connect(gateway.address).await.send(put("gzip")).await;
    assert_eq!(refused.status(), 415);
    assert_eq!(legacy.requests().len(), 1);
}

#[tokio::test]
async fn transform_edits_bodies_up_to_the_limit_of_the_example() {
    let legacy = legacy().await;
    let gateway = Example::read("transform.toml").on_a_free_port().at(9000, legacy.address).start();
    let put = |size: usize| {
        let body = json!({ "order": { "note": "x".repeat(size) } }).to_string();
        Request::put("/orders/7").header("host", "a").body(full(body)).unwrap()
    };
    let mut client = Http1::connect(gateway.address).await;
    let answer: Value = serde_json::from_slice(&client.send(put(1_500_000)).await.body).unwrap();
    let comment = answer["data"]["sent"]["order"]["comment"].as_str();
    assert_eq!(comment.map(str::len), Some(1_500_000), "{:.300}", answer.to_string());
    assert_eq!(Http1::connect(gateway.address).await.send(put(2 << 20)).await.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn component_answers_without_a_server_behind_a_key() {
    let gateway = Example::read("component.toml").with_hello().on_a_free_port().start();
    let answer = ask(gateway.address, Request::get("/hello/Ada")).await;
    assert_eq!(answer.status(), 401);
    let keyed = Request::get("/hello/Ada").header("x-api-key", "quickstart-key");
    let answer = ask(gateway.address, keyed).await;
    assert_eq!((answer.status(), answer.text()), (200, "good day, Ada\n"));
    assert_eq!(answer.header("content-length"), Some("14"));
    let nobody = Request::get("/hello/").header("x-api-key", "quickstart-key");
    assert_eq!(ask(gateway.address, nobody).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn greet_tells_the_service_a_greeting_and_refuses_who_has_no_name() {
    let gateway = Example::read("greet.toml").with_greet().on_a_free_port();
    let gateway = gateway.at(8081, free_address()).start();
    let named = Request::get("/hello").header("x-name", "Ada");
    let answer = ask(gateway.address, named).await;
    assert_eq!(answer.body, "the service was told: hello Ada\n");
    let answer = ask(gateway.address, Request::get("/hello")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["detail"], "who are you?");
}
