//! What clients see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gateway_plugin_sdk::testing::{self, Answer, Harness, RequestBuilder, ResponseBuilder};
use predictions::Predictions;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const ASKED: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0}"#;

fn harness(config: Value) -> Harness<Predictions> {
    let harness = Harness::<Predictions>::new(config).unwrap();
    harness.set_time(Duration::from_secs(1_790_000_000));
    harness
}

fn ask(path: &str, body: &str) -> RequestBuilder {
    testing::request()
        .method("POST")
        .path(path)
        .header("content-type", "application/json")
        .header("content-length", body.len().to_string())
        .attribute("request.has-body", "true")
        .attribute("consumer.id", "ada")
        .body(body)
}

fn completion(text: &str) -> ResponseBuilder {
    ended(text, "stop")
}

fn ended(text: &str, reason: &str) -> ResponseBuilder {
    let body = json!({ "choices": [{ "finish_reason": reason, "message": { "content": text } }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } });
    let body = body.to_string();
    testing::response()
        .header("content-type", "application/json")
        .header("content-length", body.len().to_string())
        .header("x-request-id", "1")
        .header("x-ratelimit-remaining-tokens", "9")
        .body(body)
}

/// Sends a request. Whether what it gets was kept, and what that is.
fn send(
    harness: &Harness<Predictions>,
    request: RequestBuilder,
    response: ResponseBuilder,
) -> (bool, Answer) {
    let mut exchange = harness.request(request);
    match exchange.answer() {
        Some(answer) => (true, answer.clone()),
        None => (false, exchange.response(response).clone()),
    }
}

fn is_kept(
    harness: &Harness<Predictions>,
    request: RequestBuilder,
    response: ResponseBuilder,
) -> bool {
    let again = request.clone();
    assert!(!send(harness, request, response).0);
    send(harness, again, completion("again")).0
}

#[test]
fn the_same_question_is_answered_once() {
    let harness = harness(json!({ "ttl": "1m" }));
    let (_, first) = send(&harness, ask(CHAT, ASKED), completion("one"));
    assert_eq!(first.header("cache-status"), Some("predictions; fwd=uri-miss"));
    harness.advance(Duration::from_secs(10));
    let same = r#"{ "temperature": 0.0, "messages": [{"content":"h\u0069","role":"user"}], "model": "m", "user": "u7" }"#;
    let exchange = harness.request(ask(CHAT, same));
    let answer = exchange.answer().unwrap();
    assert!(answer.text().contains("one"));
    assert_eq!(answer.header("cache-status"), Some("predictions; hit; ttl=50"));
    assert_eq!((answer.header("age"), answer.header("x-request-id")), (Some("10"), None));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), None);
    for (name, value) in [
        ("model.cached", "true"),
        ("model.name", "m"),
        ("model.tokens.total", "0"),
        ("model.cost", "0"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!((harness.usage("cached_calls"), harness.usage("saved_tokens")), (1, 7));
    harness.advance(Duration::from_secs(50));
    assert!(!send(&harness, ask(CHAT, ASKED), completion("two")).0);
}

#[test]
fn another_question_is_another_answer() {
    let harness = harness(json!({ "headers": ["x-kind"], "attributes": ["lane"] }));
    send(&harness, ask(CHAT, ASKED), completion("one"));
    for other in [
        ASKED.replace("\"m\"", "\"n\""),
        ASKED.replace("hi", "ho"),
        ASKED.replace("}],", "}],\"max_tokens\":5,"),
        ASKED.replace("}],", "}],\"stream\":true,"),
        ASKED.replace("}],", "}],\"unknown\":9007199254740993,"),
        ASKED.replace("}],", "}],\"unknown\":9007199254740992,"),
    ] {
        assert!(!send(&harness, ask(CHAT, &other), completion("two")).0, "{other}");
    }
    assert!(!send(&harness, ask("/v2/chat/completions", ASKED), completion("two")).0);
    assert!(!send(&harness, ask(CHAT, ASKED).query("api-version=2"), completion("two")).0);
    assert!(!send(&harness, ask(CHAT, ASKED).header("x-kind", "1"), completion("two")).0);
    assert!(!send(&harness, ask(CHAT, ASKED).attribute("lane", "1"), completion("two")).0);
    assert!(send(&harness, ask(CHAT, ASKED), completion("two")).0);
}

#[test]
fn nobody_gets_the_answer_of_another() {
    let by = |id: &str, group: &str| {
        ask(CHAT, ASKED).attribute("consumer.id", id).attribute("consumer.group", group)
    };
    let keyed =
        |key: &str| ask(CHAT, ASKED).attribute("consumer.id", "").header("authorization", key);
    let own = harness(json!({}));
    send(&own, by("ada", "a"), completion("one"));
    assert!(!send(&own, by("bob", "a"), completion("two")).0);
    assert!(!send(&own, keyed("Bearer 1"), completion("two")).0);
    assert!(!send(&own, keyed("Bearer 2"), completion("two")).0);
    assert!(send(&own, keyed("Bearer 1"), completion("two")).0);
    let group = harness(json!({ "shared_with": "group" }));
    send(&group, by("ada", "a"), completion("one"));
    assert!(send(&group, by("bob", "a"), completion("two")).0);
    assert!(!send(&group, by("eve", "b"), completion("two")).0);
    assert!(!send(&group, by("a", ""), completion("two")).0);
    let all = harness(json!({ "shared_with": "everyone" }));
    send(&all, by("ada", "a"), completion("one"));
    assert!(send(&all, keyed("Bearer 9"), completion("two")).0);
}

#[test]
fn only_what_is_the_same_each_time_is_kept_unless_it_is_said() {
    let harness = harness(json!({}));
    let with = |part: &str| format!(r#"{{"model":"m","messages":[]{part}}}"#);
    for part in [
        ",\"temperature\":0",
        ",\"temperature\":0.0e3,\"n\":1",
        ",\"seed\":7",
        ",\"temperature\":1,\"seed\":7",
    ] {
        assert!(is_kept(&harness, ask(CHAT, &with(part)), completion("x")), "{part}");
    }
    for part in [
        "",
        ",\"temperature\":null",
        ",\"temperature\":0.1",
        ",\"temperature\":\"0\"",
        ",\"seed\":null",
    ] {
        assert!(!is_kept(&harness, ask(CHAT, &with(part)), completion("x")), "{part}");
    }
    let gemini = "/v1beta/models/g:generateContent";
    let answer = || {
        let body = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
        testing::response()
            .header("content-type", "application/json")
            .header("content-length", "40")
            .body(body)
    };
    assert!(is_kept(&harness, ask(gemini, r#"{"generationConfig":{"temperature":0}}"#), answer()));
    assert!(!is_kept(&harness, ask(gemini, r#"{"temperature":0}"#), answer()));
    let any = self::harness(json!({ "only_deterministic": false }));
    assert!(is_kept(&any, ask(CHAT, &with("")), completion("x")));
    // What is one of a series is more than an answer.
    let part = ",\"temperature\":0,\"previous_response_id\":\"r\"";
    assert!(!is_kept(&any, ask(CHAT, &with(part)), completion("x")));
    for none in ["{\"model\":", "model=m", ""] {
        let request = ask(CHAT, none).body(if none.is_empty() { " " } else { none });
        let (_, passed) = send(&any, request, completion("x"));
        let detail = Some("predictions; fwd=bypass; detail=request-not-json");
        assert_eq!(passed.header("cache-status"), detail, "{none}");
    }
    let (_, passed) = send(&any, ask(CHAT, r#"{"model":"m","model":"n"}"#), completion("x"));
    assert_eq!(
        passed.header("cache-status"),
        Some("predictions; fwd=bypass; detail=request-ambiguous")
    );
}

#[test]
fn what_is_no_good_answer_is_not_kept() {
    let harness = harness(json!({}));
    let number = std::cell::Cell::new(0);
    let fresh = || {
        number.set(number.get() + 1);
        ask(CHAT, &ASKED.replace("hi", &number.get().to_string()))
    };
    assert!(is_kept(&harness, fresh(), completion("x")));
    for reason in ["length", "content_filter"] {
        assert!(!is_kept(&harness, fresh(), ended("x", reason)), "{reason}");
    }
    assert!(!is_kept(&harness, fresh(), completion("x").status(500)));
    assert!(!is_kept(&harness, fresh(), completion("x").header("content-encoding", "gzip")));
    assert!(!is_kept(&harness, fresh(), completion("x").header("content-type", "text/html")));
    let error = testing::response()
        .header("content-type", "application/json")
        .body(r#"{"error":{"message":"x"}}"#);
    assert!(!is_kept(&harness, fresh(), error));
    assert!(!is_kept(&harness, fresh().attribute("route.variant", "b"), completion("x")));
    assert!(!is_kept(&harness, fresh().attribute("route.splits", "true"), completion("x")));
    let (chosen, question) = (completion("x"), fresh().attribute("route.splits", "true"));
    let by = |name: &str| question.clone().attribute("upstream.name", name);
    assert!(is_kept(&harness, by("a"), chosen.clone()));
    assert!(!send(&harness, by("b"), chosen).0, "another upstream has other answers");
    let across = self::harness(json!({ "across_variants": true }));
    assert!(is_kept(&across, fresh().attribute("route.variant", "b"), completion("x")));
}

fn stream(events: &[&str]) -> ResponseBuilder {
    let text: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    // Cut where no event ends.
    let chunks: Vec<_> = text.as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
    testing::response().header("content-type", "text/event-stream").chunks(chunks)
}

const EVENTS: [&str; 4] = [
    r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}"#,
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#,
    "[DONE]",
];

#[test]
fn a_stream_is_given_again_as_it_was() {
    let harness = harness(json!({ "count": "usage" }));
    let body =
        ASKED.replace("}],", "}],\"stream\":true,\"stream_options\":{\"include_usage\":true},");
    let (_, first) =
        send(&harness, ask(CHAT, &body).attribute("model.cost", "1500"), stream(&EVENTS));
    let exchange = harness.request(ask(CHAT, &body));
    let again = exchange.answer().unwrap();
    assert_eq!(again.text(), first.text());
    assert_eq!(again.header("content-type"), Some("text/event-stream"));
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("6"));
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("1500"));
    assert_eq!((harness.usage("input_tokens"), harness.usage("cost_usd_nanos")), (5, 1500));
    assert_eq!(harness.counter("prediction_cache_requests", &[("result", "hit")]), 1);
    // One that breaks off, fails or is cut by its length is not.
    for (index, events) in [
        &EVENTS[..1],
        &[EVENTS[0], "[DONE]"],
        &[EVENTS[0], r#"{"error":{"message":"x"}}"#, "[DONE]"],
        &[EVENTS[0], r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#, "[DONE]"],
    ]
    .into_iter()
    .enumerate()
    {
        let body = body.replace("hi", &index.to_string());
        assert!(!is_kept(&harness, ask(CHAT, &body), stream(events)), "{events:?}");
    }
}

#[test]
fn who_may_goes_past_what_is_kept() {
    let harness = harness(json!({ "may_bypass": ["ops"] }));
    let said = |group: &str, text: &str| {
        ask(CHAT, ASKED).attribute("consumer.group", group).header("cache-control", text)
    };
    send(&harness, ask(CHAT, ASKED), completion("one"));
    assert!(send(&harness, said("dev", "no-cache"), completion("two")).0);
    let (_, passed) = send(&harness, said("ops", "no-store"), completion("two"));
    assert_eq!(
        passed.header("cache-status"),
        Some("predictions; fwd=bypass; detail=request-no-store")
    );
    assert!(send(&harness, ask(CHAT, ASKED), completion("x")).1.text().contains("one"));
    assert!(!send(&harness, said("ops", "no-cache"), completion("new")).0);
    assert!(send(&harness, ask(CHAT, ASKED), completion("x")).1.text().contains("new"));
}

#[test]
fn other_requests_pass_untouched() {
    let harness = harness(json!({}));
    for request in [ask(CHAT, ASKED).method("GET"), ask("/v1/other", ASKED)] {
        let (_, answer) = send(&harness, request, completion("x"));
        assert_eq!(answer.header("cache-status"), None);
    }
    let any = self::harness(json!({ "any_json": true }));
    assert!(is_kept(&any, ask("/v2/models/iris/infer", r#"{"inputs":[1]}"#), completion("x")));
}

#[test]
fn points_at_each_fault() {
    for (config, pointer) in [
        (json!({ "ttl": "0s" }), "/ttl"),
        (json!({ "ttl": "later" }), "/ttl"),
        (json!({ "collapse_wait": "2h" }), "/collapse_wait"),
        (json!({ "only": [], "ignore": [] }), "/ignore"),
        (json!({ "ignore": ["/a", "user"] }), "/ignore/1"),
    ] {
        let error = Harness::<Predictions>::new(&config).err().unwrap();
        assert_eq!(error.issues()[0].pointer, pointer, "{config}: {error}");
    }
}

#[test]
fn another_port_route_or_listener_has_its_own_answers() {
    let harness = Harness::<Predictions>::new(json!({ "only_deterministic": false })).unwrap();
    let with = |host: &str| {
        ask(CHAT, r#"{"model":"m"}"#).attribute("request.host", "a.example").header("host", host)
    };
    let sent = |request, name: &str| send(&harness, request, completion(name)).0;
    assert!(!sent(with("a.example:6666"), "port"));
    assert!(!sent(with("a.example"), "none"));
    assert!(sent(with("A.example:80"), "none"));
    assert!(!sent(with("b.example"), "host"));
    for name in ["route.name", "listener.name"] {
        assert!(!sent(with("a.example").attribute(name, "other"), name));
        assert!(sent(with("a.example").attribute(name, "other"), name));
    }
}

#[test]
fn each_variant_of_an_experiment_has_its_own_answers() {
    let harness = Harness::<Predictions>::new(json!({ "only_deterministic": false })).unwrap();
    let of =
        |variants: &str| ask(CHAT, r#"{"model":"m"}"#).attribute("experiment-variants", variants);
    for variants in ["prompt:short ", "prompt:long ", "prompt:short tone:dry "] {
        assert!(!send(&harness, of(variants), completion(variants)).0, "{variants}");
        assert!(send(&harness, of(variants), completion("x")).0, "{variants}");
    }
}

#[test]
fn keys_in_a_query_are_not_one_text() {
    let harness = Harness::<Predictions>::new(json!({ "only_deterministic": false })).unwrap();
    let with =
        |query: &str| ask(CHAT, r#"{"model":"m"}"#).attribute("consumer.id", "").query(query);
    for query in ["key=a&key=b", "key=akey=b", "key=b&key=a", "key=a", "key="] {
        assert!(!send(&harness, with(query), completion(query)).0, "{query}");
        assert!(send(&harness, with(query), completion("x")).0, "{query}");
    }
}

#[test]
fn each_credential_and_organisation_parts_clients() {
    let harness = Harness::<Predictions>::new(json!({ "only_deterministic": false })).unwrap();
    let by = |name: &str, value: &str| {
        let request = ask(CHAT, r#"{"model":"m"}"#).attribute("consumer.id", "");
        request.header("authorization", "Bearer common").header(name, value)
    };
    for name in [
        "x-api-key",
        "proxy-authorization",
        "cookie",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
        "anthropic-workspace-id",
        "x-goog-user-project",
        "x-amz-security-token",
    ] {
        assert!(!send(&harness, by(name, "one"), completion("one")).0, "{name}");
        assert!(!send(&harness, by(name, "two"), completion("two")).0, "{name}");
        assert!(send(&harness, by(name, "one"), completion("three")).0, "{name}");
    }
}
