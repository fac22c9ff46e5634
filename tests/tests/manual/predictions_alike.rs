//! Semantic caching in a whole gateway: what is remembered is shared by all workers, streams are given again as streams, and a
//! model of embeddings that is gone keeps nobody waiting.
//!
//! The vectors are counts of n-grams by their hashes: a stand-in that knows letters and no meanings. How a real model does is
//! measured by `tests/semantic/measure.py`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// Hashed 3-grams.
fn vector(text: &str) -> Vec<u32> {
    let mut numbers = vec![0; 256];
    let text: Vec<char> = text.to_lowercase().chars().collect();
    for gram in text.windows(3) {
        let hash = gram.iter().fold(2_166_136_261_u32, |hash, letter| {
            (hash ^ u32::from(*letter)).wrapping_mul(16_777_619)
        });
        numbers[(hash >> 8) as usize % 256] += 1;
    }
    numbers
}

async fn embeddings() -> Upstream {
    Upstream::http1(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let embedding = vector(body["input"].as_str().unwrap());
        let answer = json!({ "object": "list", "data": [{ "index": 0, "embedding": embedding }] });
        Response::new(full(answer.to_string()))
    })
    .await
}

/// Answers with what it was asked, and the number of the request.
async fn model(asked: Arc<AtomicUsize>) -> Upstream {
    Upstream::http1(move |request| {
        let number = asked.fetch_add(1, SeqCst) + 1;
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let text = format!("{number}: {}", body["messages"][0]["content"]);
            if body["stream"] == true {
                let events = [
                    json!({ "choices": [{ "index": 0, "delta": { "content": text } }] })
                        .to_string(),
                    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] })
                        .to_string(),
                    "[DONE]".to_owned(),
                ];
                let events: String =
                    events.iter().map(|data| format!("data: {data}\n\n")).collect();
                return Response::builder()
                    .header("content-type", "text/event-stream")
                    .body(full(events))
                    .unwrap();
            }
            let answer =
                json!({ "choices": [{ "finish_reason": "stop", "message": { "content": text } }] });
            Response::builder()
                .header("content-type", "application/json")
                .body(full(answer.to_string()))
                .unwrap()
        }
    })
    .await
}

fn gateway(model: &Upstream, embeddings: std::net::SocketAddr, mode: &str) -> Running {
    let text = format!(
        "[upstreams.model]\ntargets = [\"http://{}\"]\n\
         [upstreams.embeddings]\ntargets = [\"http://{embeddings}\"]\n\
         [plugins.predictions]\ncomponent = \"predictions\"\nupstreams = [\"embeddings\"]\n\
         limits = {{ memory = \"64MiB\", deadline = \"10s\" }}\n\
         [plugins.predictions.config.semantic]\nupstream = \"embeddings\"\nmodel = \"letters\"\n\
         mode = \"{mode}\"\nthreshold = 0.6\ntimeout = \"300ms\"\n\
         [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"predictions\"]\n\
         upstream = \"model\"\n",
        model.address
    );
    Setup::toml(&text, &[]).workers(2).start()
}

async fn ask(gateway: &Running, text: &str, stream: bool) -> Answer {
    let body = json!({ "model": "m", "temperature": 0, "stream": stream,
        "messages": [{ "role": "user", "content": text }] });
    let fields = [("content-type", "application/json")];
    let request = request("POST", "/v1/chat/completions", &fields, body.to_string());
    // Each on a connection of its own, which any worker may take.
    within(Http1::connect(gateway.address).await.send(request)).await
}

const PLAIN: &str = "How can I bake a good sourdough bread at home?";
const OTHER: &str = "Baking good sourdough bread at home: how can I do it?";
const ELSE: &str = "How can I bake 2 good sourdough breads at home?";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_alike_is_answered_by_any_worker() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (model, embeddings) = (model(Arc::clone(&asked)).await, embeddings().await);
    let gateway = gateway(&model, embeddings.address, "serve");
    for stream in [false, true] {
        let first = ask(&gateway, PLAIN, stream).await;
        assert_eq!(first.status(), 200, "{}", first.text());
        let before = asked.load(SeqCst);
        for _ in 0..6 {
            let again = ask(&gateway, OTHER, stream).await;
            let status = again.header("cache-status").unwrap_or_default();
            assert!(
                status.starts_with("predictions; hit") && status.ends_with("detail=similar"),
                "{status}"
            );
            let score: f64 = again.header("prediction-similarity").unwrap().parse().unwrap();
            assert!((0.6..1.0).contains(&score), "{score}");
            assert_eq!(
                (again.text(), again.header("content-type")),
                (first.text(), first.header("content-type"))
            );
        }
        assert_eq!(asked.load(SeqCst), before);
        // Another number is another question.
        let other = ask(&gateway, ELSE, stream).await;
        assert_eq!(other.header("cache-status"), Some("predictions; fwd=uri-miss"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_embeddings_that_is_gone_or_hangs_keeps_nobody_waiting() {
    let asked = Arc::new(AtomicUsize::new(0));
    let model = model(Arc::clone(&asked)).await;
    let hangs = Upstream::http1(|_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Response::new(full(""))
    })
    .await;
    let gone = gateway_tests::ClosedPort::new();
    for address in [hangs.address, gone.address] {
        let gateway = gateway(&model, address, "serve");
        let began = Instant::now();
        for text in [PLAIN, OTHER, ELSE] {
            let answer = ask(&gateway, text, false).await;
            assert_eq!(answer.header("cache-status"), Some("predictions; fwd=uri-miss"));
            assert!(answer.text().contains(text));
        }
        // One has waited for 300 ms, and the others not at all.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let same = ask(&gateway, PLAIN, false).await;
        assert!(same.header("cache-status").unwrap().starts_with("predictions; hit"));
    }
}
