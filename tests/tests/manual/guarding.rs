//! Guard rails, as `examples/guardrails.toml` has them, before the real plugin `models`: what providers get, and what
//! clients get back, whole and in streams that are cut anywhere.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::example::file::{Example, free_address, rust_component};
use bytes::Bytes;
use futures_util::StreamExt as _;
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

/// Where the example writes its usage.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let unique = format!("guardrails-{}", std::process::id());
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

async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    let fields = [("content-type", "application/json")];
    let request = request("POST", path, &fields, body.to_string());
    within(Http1::connect(address).await.send(request)).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

const SAID: &str = "Write to ada@example.com about EMP-123456 and 4111 1111 1111 1111";
const SEEN: &str = "Write to ada@example.com about [EMPLOYEE] and [CARD]";

fn said() -> Value {
    json!([{ "role": "user", "content": SAID }])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_masks_for_every_client_and_refuses_secrets() {
    let folder = Folder::new();
    let example = Example::read("guardrails.toml").inside(&folder.0).with_model_server();
    let gateway = example.at(8081, free_address()).on_a_free_port().start();
    // The model server repeats what it was told: the address was put back, the rest was not there any more.
    let (chat, claude) = ("chat", "smart");
    let generate = json!({ "contents": [{ "parts": [{ "text": SAID }] }] });
    for stream in [false, true] {
        let verb = if stream { "streamGenerateContent" } else { "generateContent" };
        for model in [chat, claude] {
            for (path, body) in [
                (
                    "/v1/chat/completions".to_owned(),
                    json!({ "model": model, "stream": stream, "messages": said() }),
                ),
                (
                    "/v1/responses".to_owned(),
                    json!({ "model": model, "stream": stream, "input": SAID }),
                ),
                (
                    "/v1/messages".to_owned(),
                    json!({ "model": model, "stream": stream, "max_tokens": 99, "messages": said() }),
                ),
                (format!("/v1beta/models/{model}:{verb}"), generate.clone()),
                (
                    "/api/chat".to_owned(),
                    json!({ "model": model, "stream": stream, "messages": said() }),
                ),
            ] {
                let answer = post(gateway.address, &path, &body).await;
                assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
                let text = said_in(&answer);
                assert!(text.contains(SEEN), "{path}, {model}, {stream}: {text}");
            }
        }
    }
    let key = ["ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"].concat();
    let secret = json!([{ "role": "user", "content": key }]);
    let answer = post(
        gateway.address,
        "/v1/chat/completions",
        &json!({ "model": chat, "messages": secret }),
    )
    .await;
    assert_eq!(
        (answer.status(), &json_of(&answer)["error"]["code"]),
        (400, &json!("content_filter"))
    );
    let answer = post(gateway.address, "/tickets", &json!({ "comments": [{ "text": key }] })).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    for series in [
        r#"plugin_guardrails_matches_total{action="mask",detector="email",direction="input",plugin="guardrails"} 20"#,
        r#"plugin_guardrails_matches_total{action="block",detector="api-key",direction="input",plugin="tickets"} 1"#,
    ] {
        let labels: Vec<&str> = series.split(['{', ',', '}']).collect();
        let is_it = |line: &&str| labels.iter().all(|label| line.contains(label));
        assert!(metrics.text().lines().any(|line| is_it(&line)), "{series}: {}", metrics.text());
    }
}

/// All texts of an answer, of a stream one after the other.
fn said_in(answer: &Answer) -> String {
    fn texts(value: &Value, found: &mut String) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text)
                            if matches!(name.as_str(), "text" | "content" | "delta") =>
                        {
                            found.push_str(text)
                        }
                        _ => texts(member, found),
                    }
                }
            }
            Value::Array(elements) => elements.iter().for_each(|it| texts(it, found)),
            _ => {}
        }
    }
    let mut found = String::new();
    let text = answer.text();
    match serde_json::from_str::<Value>(text) {
        Ok(json) => texts(&json, &mut found),
        Err(_) => {
            let data = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
            data.filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .for_each(|it| texts(&it, &mut found));
        }
    }
    found
}

const GUARDED: &str = r#"
[upstreams.provider]
targets = ["http://${env:PROVIDER}"]

[plugins.guardrails]
component = "guardrails"
grants = ["metrics"]
limits = { deadline = "1s", memory = "64MiB" }
config.input = { personal-data = "mask" }
config.output = { secrets = "block" }

[[routes]]
name = "guarded"
paths = ["/{*rest}"]
plugins = ["guardrails"]
upstream = "provider"
"#;

fn guarded(provider: SocketAddr) -> Running {
    Setup::toml(GUARDED, &[("PROVIDER", &provider)]).start()
}

/// A provider that streams these bytes in chunks of a size, and keeps what it was sent.
async fn provider(stream: String, size: usize) -> (Upstream, Arc<Mutex<Vec<Bytes>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    let upstream = Upstream::http1(move |request| {
        let (stream, kept) = (stream.clone(), Arc::clone(&kept));
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push(body);
            let chunks: Vec<Bytes> =
                stream.into_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let frames = futures_util::stream::iter(chunks).then(|chunk| async move {
                tokio::task::yield_now().await;
                Ok::<_, std::io::Error>(Frame::data(chunk))
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            response
                .body(StreamBody::new(frames).boxed_unsync())
                .unwrap_or_else(|_| Response::new(full("")))
        }
    })
    .await;
    (upstream, got)
}

fn event(text: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({ "id": "1", "choices": [{ "index": 0, "delta": { "content": text } }] })
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_gets_placeholders_and_a_stream_cut_anywhere_has_the_values() {
    let sent = [event("Dear [EM"), event("AIL_1"), event("], hello")].concat() + "data: [DONE]\n\n";
    let wanted =
        [event("Dear ada@example.com"), event(""), event(", hello")].concat() + "data: [DONE]\n\n";
    for size in [3, 64, 10_000] {
        let (upstream, got) = provider(sent.clone(), size).await;
        let gateway = guarded(upstream.address);
        let answer =
            post(gateway.address, "/v1/chat/completions", &json!({ "messages": said() })).await;
        assert_eq!(answer.text(), wanted, "in chunks of {size}");
        let got = String::from_utf8(got.lock().unwrap()[0].to_vec()).unwrap();
        assert!(
            got.contains("[EMAIL_1]") && !got.contains("ada@") && got.contains("[CARD_1]"),
            "{got}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_a_secret_ends_with_the_apis_own_word_for_it() {
    let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
    let sent = [event("the key is "), event(&key[..9]), event(&key[9..]), event(" and more")]
        .concat()
        + "data: [DONE]\n\n";
    let (upstream, _) = provider(sent, 40).await;
    let gateway = guarded(upstream.address);
    let answer =
        post(gateway.address, "/v1/chat/completions", &json!({ "messages": said() })).await;
    let text = answer.text();
    assert!(
        text.starts_with(&event("the key is ")) && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    assert!(
        text.contains("\"finish_reason\":\"content_filter\"") && !text.contains("AKIA"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_ones_own_sees_and_changes_the_texts_of_a_stream() {
    let component = rust_component("word-list");
    let text = format!(
        r#"
[upstreams.provider]
targets = ["http://${{env:PROVIDER}}"]

[plugins.words]
component = {:?}
limits = {{ deadline = "1s", memory = "64MiB" }}
config = {{ hide = ["bluebird"], stop = ["redbird"] }}

[[routes]]
name = "words"
paths = ["/{{*rest}}"]
plugins = ["words"]
upstream = "provider"
"#,
        component.to_str().unwrap()
    );
    let sent = [event("it is Blue"), event("bird"), event(", I say")].concat();
    let wanted = [event("it is ********"), event(""), event(", I say")].concat();
    let (upstream, got) = provider(sent, 7).await;
    let gateway = Setup::toml(&text, &[("PROVIDER", &upstream.address)]).start();
    let said = |text: &str| json!({ "messages": [{ "role": "user", "content": text }] });
    let answer = post(gateway.address, "/v1/chat/completions", &said("what is bluebird?")).await;
    assert_eq!(answer.text(), wanted);
    assert!(
        String::from_utf8(got.lock().unwrap()[0].to_vec()).unwrap().contains("what is ********?")
    );
    let answer = post(gateway.address, "/v1/messages", &said("and redbird?")).await;
    assert_eq!((answer.status(), &json_of(&answer)["type"]), (400, &json!("error")));
}

const MODERATED: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.provider]
targets = ["http://${env:PROVIDER}"]

[upstreams.judge]
targets = ["http://${env:JUDGE}"]

[plugins.guardrails]
component = "guardrails"
grants = ["metrics"]
upstreams = ["judge"]
limits = { deadline = "1s", memory = "64MiB" }
config.moderation = { upstream = "judge", input = "block", output = "block", window = 256, timeout = "300ms" }

[[routes]]
name = "moderated"
paths = ["/{*rest}"]
plugins = ["guardrails"]
upstream = "provider"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_judges_requests_and_each_window_of_a_stream_before_it_passes() {
    let judge = Upstream::http1(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let text = body["input"].as_str().unwrap();
        if text.contains("slow") {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
        let is_bad = text.contains("fight");
        let result = json!({ "flagged": is_bad, "categories": { "violence": is_bad }, "category_scores": { "violence": 0.5 } });
        let response = Response::builder().header("content-type", "application/json");
        response.body(full(json!({ "results": [result] }).to_string())).unwrap()
    })
    .await;
    let start = |provider: SocketAddr| {
        Setup::toml(MODERATED, &[("PROVIDER", &provider), ("JUDGE", &judge.address)]).start()
    };
    let fine = event(&"and so on ".repeat(30));
    let said = |text: &str| json!({ "messages": [{ "role": "user", "content": text }] });
    let sent = [fine.as_str(), &event("we fi"), &event("ght "), &fine].concat();
    let (upstream, got) = provider(sent, 50).await;
    let gateway = start(upstream.address);
    let answer = post(gateway.address, "/v1/chat/completions", &said("hello")).await;
    let text = answer.text();
    assert!(
        text.starts_with(&fine) && text.contains("content_filter") && !text.contains("ght"),
        "{text}"
    );
    // Neither what is not allowed nor what nobody judged in time reaches the provider.
    for (text, reason) in
        [("let us fight", "moderation says violence"), ("slow", "cannot be checked")]
    {
        let answer = post(gateway.address, "/v1/chat/completions", &said(text)).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
    assert_eq!(got.lock().unwrap().len(), 1);
}
