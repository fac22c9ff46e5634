//! Questions that are alike, through the harness of the SDK. The vectors are counts of the texts' n-grams, by their hashes: a
//! stand-in that is made of letters alone, and says nothing of what a model finds alike.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::{self, Answer, Call, Harness, RequestBuilder, ResponseBuilder};
use predictions::Predictions;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

/// Hashed 3-grams of the letters.
fn vector(text: &str) -> Vec<f32> {
    let mut numbers = vec![0.0_f32; 256];
    let text: Vec<char> = format!("  {} ", text.to_lowercase()).chars().collect();
    for gram in text.windows(3) {
        let hash = gram.iter().fold(2_166_136_261_u32, |hash, letter| {
            (hash ^ u32::from(*letter)).wrapping_mul(16_777_619)
        });
        numbers[(hash >> 8) as usize % 256] += 1.0;
    }
    numbers
}

fn embed(call: &Call) -> std::result::Result<ResponseBuilder, HttpError> {
    let body: Value = serde_json::from_slice(call.body()).unwrap();
    assert_eq!(body["model"], "letters");
    let numbers = vector(body["input"].as_str().unwrap());
    let answer = match call.target() {
        "/v1/embeddings" => {
            json!({ "object": "list", "data": [{ "index": 0, "embedding": numbers }] })
        }
        "/api/embed" => json!({ "embeddings": [numbers] }),
        other => panic!("{other}"),
    };
    Ok(testing::response().body(answer.to_string()))
}

fn semantic(more: Value) -> Value {
    let mut all =
        json!({ "upstream": "vectors", "model": "letters", "mode": "serve", "threshold": 0.6 });
    all.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    all
}

fn harness(more: Value) -> Harness<Predictions> {
    with(json!({ "semantic": semantic(more) }), embed)
}

fn with(
    config: Value,
    answer: impl Fn(&Call) -> std::result::Result<ResponseBuilder, HttpError> + 'static,
) -> Harness<Predictions> {
    let harness = Harness::<Predictions>::prepare()
        .upstream("vectors", answer)
        .secret("vectors", "s3cret")
        .configure(config)
        .unwrap();
    harness.set_time(Duration::from_secs(1_790_000_000));
    harness
}

fn ask(body: &Value) -> RequestBuilder {
    let body = body.to_string();
    testing::request()
        .method("POST")
        .path(CHAT)
        .header("content-type", "application/json")
        .header("content-length", body.len().to_string())
        .attribute("request.has-body", "true")
        .attribute("consumer.id", "ada")
        .body(body)
}

fn chat(text: &str) -> Value {
    json!({ "model": "m", "temperature": 0, "messages": [
        { "role": "system", "content": "Be brief." }, { "role": "user", "content": text }] })
}

fn completion(text: &str) -> ResponseBuilder {
    let body = json!({ "choices": [{ "finish_reason": "stop", "message": { "content": text } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } })
    .to_string();
    let response = testing::response().header("content-type", "application/json");
    response.header("content-length", body.len().to_string()).body(body)
}

/// Whether a request gets what was kept, and what it gets.
fn send(harness: &Harness<Predictions>, request: RequestBuilder, text: &str) -> (bool, Answer) {
    let mut exchange = harness.request(request);
    match exchange.answer() {
        Some(answer) => (true, answer.clone()),
        None => (false, exchange.response(completion(text)).clone()),
    }
}

const PLAIN: &str = "How can I bake a good sourdough bread at home?";
const OTHER: &str = "Baking good sourdough bread at home: how can I do it?";

fn similar(harness: &Harness<Predictions>, result: &str) -> u64 {
    harness.counter("prediction_cache_similar", &[("result", result)])
}

#[test]
fn a_question_that_is_alike_gets_the_answer_and_is_told_so() {
    for (api, check) in [("openai", true), ("ollama", false)] {
        let harness = harness(json!({ "api": api, "check": check, "secret": "vectors" }));
        let (given, first) = send(&harness, ask(&chat(PLAIN)), "one");
        assert!(!given && first.header("prediction-similarity").is_none());
        harness.advance(Duration::from_secs(10));
        let exchange = harness.request(ask(&chat(OTHER)));
        let answer = exchange.answer().unwrap();
        assert!(answer.text().contains("one"));
        assert_eq!(
            answer.header("cache-status"),
            Some("predictions; hit; ttl=3590; detail=similar")
        );
        let score: f64 = answer.header("prediction-similarity").unwrap().parse().unwrap();
        assert!((0.6..1.0).contains(&score), "{score}");
        assert_eq!(exchange.attribute("model.similarity").unwrap().parse::<f64>().unwrap(), score);
        assert_eq!(harness.counter("prediction_cache_requests", &[("result", "similar")]), 1);
        assert_eq!(harness.usage("saved_tokens"), 7);
        assert_eq!(harness.calls()[0].header("authorization"), Some("Bearer s3cret"));
        // The same again needs no vector, and the first is answered as the same.
        let asked = harness.calls().len();
        let (given, again) = send(&harness, ask(&chat(OTHER)), "two");
        assert!(given && again.header("prediction-similarity").is_some());
        let (given, exact) = send(&harness, ask(&chat(PLAIN)), "two");
        assert!(given && exact.header("prediction-similarity").is_none());
        assert_eq!((harness.calls().len(), similar(&harness, "served")), (asked, 2));
        // What is over its time is given to nobody.
        harness.advance(Duration::from_secs(3600));
        assert!(!send(&harness, ask(&chat(OTHER)), "two").0);
    }
}

#[test]
fn all_but_the_last_text_is_the_same_or_it_is_another_question() {
    let harness = harness(json!({ "threshold": 0.5, "check": false }));
    assert!(!send(&harness, ask(&chat(PLAIN)), "one").0);
    let changed = |pointer: &str, value: Value| {
        let mut body = chat(OTHER);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = chat(OTHER);
        body[name] = value;
        body
    };
    for (index, body) in [
        changed("/messages/0/content", json!("Be brief, please.")),
        changed("/model", json!("n")),
        changed("/messages/1/role", json!("assistant")),
        changed(
            "/messages/1/content",
            json!([{ "type": "text", "text": OTHER }, { "type": "image_url" }]),
        ),
        changed("/messages/1/content", json!([{ "type": "text", "text": OTHER }])),
        with("tools", json!([{ "type": "function" }])),
        with("max_tokens", json!(7)),
        with("stream", json!(true)),
        with("seed", json!(7)),
    ]
    .iter()
    .enumerate()
    {
        assert!(!send(&harness, ask(body), &index.to_string()).0, "{body}");
    }
    let other = |name: &str| ask(&chat(OTHER)).attribute(name, "other");
    for name in ["consumer.id", "route.name", "listener.name"] {
        assert!(!send(&harness, other(name), name).0, "{name}");
    }
    let image = json!({ "model": "m", "temperature": 0, "messages": [
        { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:," } }] }] });
    assert!(!send(&harness, ask(&image), "image").0);
    assert!(send(&harness, ask(&image), "image").0, "the same is the same");
    assert!(send(&harness, ask(&chat(OTHER)), "x").0);
}

#[test]
fn a_second_check_refuses_what_only_looks_alike() {
    let harness = harness(json!({}));
    for (one, other, why) in [
        ("What is 15 percent of 80 apples?", "What is 15 percent of 90 apples?", "numbers"),
        ("Trains from Rome to Oslo by night", "Trains from Oslo to Rome by night", "names"),
        ("Why does my dog eat grass?", "Why does my dog not eat grass?", "negations"),
    ] {
        assert!(!send(&harness, ask(&chat(one)), "one").0);
        assert!(!send(&harness, ask(&chat(other)), "other").0, "{one} {other}");
        let labels = [("reason", why)];
        assert_eq!(harness.counter("prediction_cache_similar_refused", &labels), 1, "{why}");
    }
    assert_eq!(similar(&harness, "refused"), 3);
}

#[test]
fn in_shadow_nothing_is_given_and_all_is_said() {
    let harness = harness(json!({ "mode": "shadow", "log_texts": true }));
    assert!(!send(&harness, ask(&chat(PLAIN)), "one").0);
    let (given, answer) = send(&harness, ask(&chat(OTHER)), "two");
    assert!(!given && answer.text().contains("two"));
    assert_eq!(answer.header("cache-status"), Some("predictions; fwd=uri-miss"));
    let said = answer.header("prediction-similarity").unwrap();
    assert!(said.ends_with(";shadow"), "{said}");
    assert_eq!((similar(&harness, "shadow"), similar(&harness, "served")), (1, 0));
    let log: Vec<_> = harness.log().iter().map(|line| line.message.clone()).collect();
    let is_said = |line: &String| line.contains("would have been given") && line.contains(PLAIN);
    assert!(log.iter().any(is_said), "{log:?}");
    let (_, answer) = send(&harness, ask(&chat("Why is the sky blue?")), "three");
    let said = answer.header("prediction-similarity").unwrap().to_owned();
    assert!(said.contains(";shadow;below"), "{said}");
}

#[test]
fn without_a_vector_the_request_goes_on() {
    let harness = with(json!({ "semantic": semantic(json!({})) }), |_| Err(HttpError::Timeout));
    assert!(!send(&harness, ask(&chat(PLAIN)), "one").0);
    assert!(!send(&harness, ask(&chat(OTHER)), "two").0);
    // The second one did not ask: the service has just failed.
    assert_eq!((harness.calls().len(), similar(&harness, "failed")), (1, 2));
    harness.advance(Duration::from_secs(3));
    assert!(!send(&harness, ask(&chat("What else is there to bake?")), "three").0);
    assert_eq!(harness.calls().len(), 2);
    assert!(send(&harness, ask(&chat(PLAIN)), "x").0, "what is the same needs no vector");
    for answer in [
        "",
        "[]",
        r#"{"data":[{"embedding":"AAAA"}]}"#,
        r#"{"data":[{"embedding":[0,0,0,0,0,0,0,0]}]}"#,
    ] {
        let harness = with(json!({ "semantic": semantic(json!({})) }), move |_| {
            Ok(testing::response().body(answer))
        });
        assert!(!send(&harness, ask(&chat(PLAIN)), "one").0);
        assert_eq!(similar(&harness, "failed"), 1, "{answer}");
    }
}

#[test]
fn a_request_may_want_more_and_not_less() {
    let harness = harness(json!({}));
    send(&harness, ask(&chat(PLAIN)), "one");
    let wants = |text: &str| {
        send(&harness, ask(&chat(OTHER)).header("prediction-similarity", text), "two").0
    };
    assert!(wants("0.1"));
    for more in ["1", "0.999", "nan", "no"] {
        let harness = self::harness(json!({}));
        send(&harness, ask(&chat(PLAIN)), "one");
        let request = ask(&chat(OTHER)).header("prediction-similarity", more);
        assert!(!send(&harness, request, "two").0, "{more}");
    }
    let refreshes = ask(&chat(OTHER)).header("cache-control", "no-cache");
    assert!(!send(&harness, refreshes, "two").0);
}

#[test]
fn a_tenant_has_so_many_questions_and_no_more() {
    let harness = harness(json!({ "questions": 64, "check": false, "threshold": 0.99 }));
    for number in 0..200 {
        send(&harness, ask(&chat(&format!("{number} and {number}"))), "x");
    }
    // Letters in another case have the same vector.
    assert!(send(&harness, ask(&chat("199 AND 199")), "x").0);
    assert!(!send(&harness, ask(&chat("0 AND 0")), "x").0, "it is forgotten");
}

#[test]
fn points_at_each_fault() {
    for (more, pointer) in [
        (json!({ "upstream": "other" }), "/semantic/upstream"),
        (json!({ "secret": "other" }), "/semantic/secret"),
        (json!({ "threshold": 0.2 }), "/semantic/threshold"),
        (json!({ "timeout": "1m" }), "/semantic/timeout"),
        (json!({ "model": "" }), "/semantic/model"),
        (json!({ "path": "v1" }), "/semantic/path"),
        (json!({ "max_text": 1 }), "/semantic/max_text"),
        (json!({ "questions": 1 }), "/semantic/questions"),
    ] {
        let made = Harness::<Predictions>::prepare().upstream("vectors", embed);
        let error = made.configure(json!({ "semantic": semantic(more.clone()) })).err().unwrap();
        assert_eq!(error.issues()[0].pointer, pointer, "{more}: {error}");
    }
}

/// All texts are alike: what is given is the tenant's own, and all but the last text is the same.
fn property(random: &mut Unstructured<'_>) -> Result<()> {
    let shares = *random.choose(&["consumer", "consumer", "group"])?;
    let config = json!({ "shared_with": shares, "semantic": semantic(json!({ "check": false })) });
    let harness = with(config, |_| {
        Ok(testing::response().body(json!({ "data": [{ "embedding": vec![1; 8] }] }).to_string()))
    });
    const NAMES: [&str; 4] = ["", "a", "b", "a b"];
    for _ in 0..random.int_in_range(2..=12)? {
        let [id, group, key] =
            [random.choose(&NAMES)?, random.choose(&NAMES)?, random.choose(&NAMES)?];
        let mut body = chat(random.choose(&["x", "y", "z"])?);
        body["model"] = json!(random.choose(&["m", "n"])?);
        body["messages"][0]["content"] = json!(random.choose(&["s", "t"])?);
        let mut request =
            ask(&body).attribute("consumer.id", *id).attribute("consumer.group", *group);
        if !key.is_empty() {
            request = request.header("authorization", *key);
        }
        let who = match (shares, *group, *id) {
            ("group", group, _) if !group.is_empty() => format!("group:{group}"),
            (_, _, id) if !id.is_empty() => format!("id:{id}"),
            _ => format!("key:{key}"),
        };
        let own = json!([who, body["model"], body["messages"][0]["content"]]).to_string();
        let (given, answer) = send(&harness, request, &own);
        if given {
            let answer: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(answer["choices"][0]["message"]["content"], own);
        }
    }
    Ok(())
}

#[test]
fn what_is_alike_is_still_ones_own_fuzz() {
    let said = std::env::var("ARBTEST_BUDGET_MS").ok();
    let budget = said.and_then(|text| text.parse().ok()).unwrap_or(1000);
    arbtest::arbtest(property).budget_ms(budget).size_min(256);
}
