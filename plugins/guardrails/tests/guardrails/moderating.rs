//! A service that judges texts: OpenAI's moderations, and a webhook; of requests, answers and streams.

use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::{self, Harness, ResponseBuilder};
use guardrails::Guardrails;
use serde_json::{Value, json};

use crate::support::{DONE, chat, completion, events, stream};

/// What OpenAI's API says of texts with `fight` and `sad`.
fn moderations(call: &testing::Call) -> Result<ResponseBuilder, HttpError> {
    let body: Value = serde_json::from_str(call.text()).unwrap();
    let text = body["input"].as_str().unwrap();
    if text.contains("timeout") {
        return Err(HttpError::Timeout);
    }
    let (fight, sad) = (text.contains("fight"), text.contains("sad"));
    let answer = json!({ "id": "m", "results": [{
        "flagged": fight || sad,
        "categories": { "violence": fight, "self-harm": sad },
        "category_scores": { "violence": if fight { 0.9 } else { 0.1 }, "self-harm": if sad { 0.6 } else { 0.0 } },
    }] });
    Ok(testing::response().header("content-type", "application/json").body(answer.to_string()))
}

/// A webhook that says of which words what.
fn webhook(call: &testing::Call) -> Result<ResponseBuilder, HttpError> {
    let body: Value = serde_json::from_str(call.text()).unwrap();
    let texts: Vec<&str> =
        body["texts"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let answer = if texts.iter().any(|it| it.contains("fight")) {
        json!({ "action": "block", "reason": "no fights" })
    } else if texts.iter().any(|it| it.contains("damn")) {
        let texts: Vec<String> = texts.iter().map(|it| it.replace("damn", "d***")).collect();
        json!({ "action": "replace", "texts": texts })
    } else if texts.iter().any(|it| it.contains("nothing")) {
        json!({ "action": "what" })
    } else {
        json!({ "action": "allow" })
    };
    Ok(testing::response().body(answer.to_string()))
}

fn moderated(config: Value) -> Harness<Guardrails> {
    let prepared = Harness::prepare().secret("key", "sk-1");
    let prepared = prepared.upstream("judge", moderations).upstream("hook", webhook);
    prepared.configure(config).expect("a valid configuration")
}

fn openai(moderation: Value) -> Harness<Guardrails> {
    let mut spec = json!({ "upstream": "judge", "secret": "key", "model": "omni" });
    spec.as_object_mut().unwrap().extend(moderation.as_object().unwrap().clone());
    moderated(
        json!({ "input": { "email": "mask" }, "output": { "card": "redact" }, "moderation": spec }),
    )
}

#[test]
fn a_request_is_judged_as_the_model_gets_it() {
    let plugin = openai(json!({ "input": "block" }));
    let exchange = plugin.request(chat("I am ada@example.com"));
    assert!(exchange.answer().is_none());
    let call = &plugin.calls()[0];
    assert_eq!(
        (call.method(), call.target(), call.header("authorization")),
        ("POST", "/v1/moderations", Some("Bearer sk-1"))
    );
    assert_eq!(
        serde_json::from_str::<Value>(call.text()).unwrap(),
        json!({ "model": "omni", "input": "I am [EMAIL_1]" })
    );
    let exchange = plugin.request(chat("let us fight"));
    let refused = exchange.answer().unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("moderation says violence"), "{}", refused.text());
    assert_eq!(exchange.attribute("guardrails.moderation").as_deref(), Some("violence"));
    assert_eq!(
        plugin.counter("guardrails_moderation", &[("direction", "input"), ("verdict", "blocked")]),
        1
    );
}

#[test]
fn thresholds_decide_by_category_and_others_are_as_they_are_flagged() {
    let judged = |thresholds: Value, text: &str| {
        let plugin = openai(json!({ "input": "block", "thresholds": thresholds }));
        plugin.request(chat(text)).answer().is_some()
    };
    assert!(judged(json!({}), "sad"));
    assert!(!judged(json!({ "self-harm": 0.7 }), "sad"));
    assert!(judged(json!({ "self-harm": 0.5 }), "sad"));
    assert!(judged(json!({ "self-harm": 0.7 }), "a sad fight"));
    assert!(judged(json!({ "violence": 0.05 }), "peace"));
}

#[test]
fn what_is_reported_passes_and_is_counted() {
    let plugin = openai(json!({ "input": "report", "output": "report", "stream": "end" }));
    let mut exchange = plugin.request(chat("let us fight"));
    assert_eq!(exchange.attribute("guardrails.action").as_deref(), Some("report"));
    let sent = [events(&["a ", "fi", "ght"]), vec![DONE.to_owned()]].concat();
    assert_eq!(exchange.response(stream(sent.clone())).text(), sent.concat());
    for direction in ["input", "output"] {
        assert_eq!(
            plugin.counter(
                "guardrails_moderation",
                &[("direction", direction), ("verdict", "reported")]
            ),
            1
        );
    }
}

#[test]
fn a_service_that_says_nothing_stops_or_passes() {
    for (on_failure, is_refused) in [("closed", true), ("open", false)] {
        let plugin = openai(json!({ "input": "block", "on_failure": on_failure }));
        let exchange = plugin.request(chat("timeout"));
        assert_eq!(exchange.answer().is_some(), is_refused, "{on_failure}");
        assert_eq!(exchange.attribute("guardrails.moderation").as_deref(), Some("failed"));
        let hook = json!({ "upstream": "hook", "api": "webhook", "input": "block", "on_failure": on_failure });
        let plugin = moderated(json!({ "moderation": hook }));
        assert_eq!(plugin.request(chat("nothing")).answer().is_some(), is_refused, "{on_failure}");
    }
}

#[test]
fn whole_answers_are_judged_before_what_the_client_said_is_back() {
    let plugin = openai(json!({ "output": "block" }));
    let mut exchange = plugin.request(chat("I am ada@example.com"));
    let read: Value = exchange.response(completion("Hello [EMAIL_1]")).json();
    assert_eq!(read["choices"][0]["message"]["content"], "Hello ada@example.com");
    assert!(plugin.calls()[0].text().contains("[EMAIL_1]"));
    let mut exchange = plugin.request(chat("hi"));
    let read: Value = exchange.response(completion("we fight")).json();
    assert_eq!(read["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn a_webhook_allows_blocks_and_replaces() {
    let hook = json!({ "upstream": "hook", "api": "webhook", "path": "/judge", "input": "block", "output": "block", "window": 256 });
    let plugin = moderated(json!({ "input": { "email": "mask" }, "moderation": hook }));
    let mut exchange = plugin.request(chat("damn ada@example.com"));
    assert!(exchange.request().text().contains("d*** [EMAIL_1]"));
    let call: Value = serde_json::from_str(plugin.calls()[0].text()).unwrap();
    assert_eq!((&call["direction"], plugin.calls()[0].target()), (&json!("input"), "/judge"));
    let read: Value = exchange.response(completion("damn [EMAIL_1]")).json();
    assert_eq!(read["choices"][0]["message"]["content"], "d*** ada@example.com");
    let exchange = plugin.request(chat("fight"));
    assert!(exchange.answer().unwrap().text().contains("moderation says no fights"));
}

#[test]
fn a_stream_is_passed_on_in_windows_that_were_judged() {
    let hook = json!({ "upstream": "hook", "api": "webhook", "output": "block", "window": 256 });
    let config =
        json!({ "input": { "email": "mask" }, "output": { "card": "redact" }, "moderation": hook });
    let text = |words: &str| format!("{words} {}", "and so on ".repeat(24));
    // Nothing is said of it: the same events, and what was masked is back.
    let plugin = moderated(config.clone());
    let mut exchange = plugin.request(chat("ada@example.com"));
    let sent = events(&[
        &text("one"),
        "card 4111-1111-",
        "1111-1111 of [EMA",
        "IL_1] ",
        &text("two"),
        "end",
    ]);
    let wanted =
        events(&[&text("one"), "card [CARD]", " of ada@example.com", " ", &text("two"), "end"]);
    assert_eq!(exchange.response(stream(sent)).text(), wanted.concat());
    let calls: Vec<Value> =
        plugin.calls().iter().map(|call| serde_json::from_str(call.text()).unwrap()).collect();
    assert!(calls.len() >= 2 && calls.len() <= 4, "{calls:?}");
    assert_eq!(calls[0]["context"], "");
    assert!(calls[1]["context"].as_str().unwrap().ends_with(" of "), "{calls:?}");
    assert!(
        calls
            .iter()
            .all(|call| !call.to_string().contains("4111") && !call.to_string().contains("ada@"))
    );
    // The window before was passed on, the one with the word was not.
    let plugin = moderated(config.clone());
    let mut exchange = plugin.request(chat("hi"));
    let sent = events(&[&text("one"), "tail ", &text("two"), "a fi", "ght ", &text("three")]);
    let read = exchange.response(stream(sent.clone())).text().to_owned();
    assert!(
        read.starts_with(&sent[0]) && !read.contains("three") && !read.contains("ght"),
        "{read}"
    );
    assert!(
        read.contains("\"finish_reason\":\"content_filter\"") && read.ends_with("[DONE]\n\n"),
        "{read}"
    );
    // What is replaced stands where it begins.
    let plugin = moderated(config);
    let mut exchange = plugin.request(chat("hi"));
    let sent = events(&["oh da", "mn it", " is"]);
    let wanted = events(&["oh d*** it is", "", ""]);
    assert_eq!(exchange.response(stream(sent)).text(), wanted.concat());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (spec, at, says) in [
        (json!({ "upstream": "else", "input": "block" }), "/moderation/upstream", "not granted"),
        (
            json!({ "upstream": "judge", "input": "block", "secret": "none" }),
            "/moderation/secret",
            "not granted",
        ),
        (json!({ "upstream": "judge" }), "/moderation/upstream", "nothing is sent"),
        (
            json!({ "upstream": "judge", "output": "block", "stream": "end" }),
            "/moderation/stream",
            "called back",
        ),
        (
            json!({ "upstream": "judge", "output": "block", "window": 9 }),
            "/moderation/window",
            "256",
        ),
        (
            json!({ "upstream": "judge", "input": "block", "timeout": "90s" }),
            "/moderation/timeout",
            "60 s",
        ),
        (
            json!({ "upstream": "judge", "input": "block", "thresholds": { "a/b": 2.0 } }),
            "/moderation/thresholds/a~1b",
            "0 to 1",
        ),
        (
            json!({ "upstream": "hook", "api": "webhook", "input": "block", "thresholds": { "a": 0.5 } }),
            "/moderation/thresholds",
            "no scores",
        ),
    ] {
        let prepared = Harness::<Guardrails>::prepare()
            .upstream("judge", moderations)
            .upstream("hook", webhook);
        let error = prepared.configure(json!({ "moderation": spec })).err().expect("it is refused");
        let is_said =
            error.issues().iter().any(|issue| issue.pointer == at && issue.message.contains(says));
        assert!(is_said, "{spec}: {error}");
    }
}

#[test]
fn windows_are_the_same_however_a_stream_is_cut() {
    // Without a detector.
    let spec = json!({ "upstream": "judge", "output": "block", "window": 256 });
    let plugin = moderated(json!({ "moderation": spec }));
    let fine = "and so on ".repeat(30);
    let sent = events(&[&fine, "we fi", "ght ", &fine]).concat();
    let mut ends = Vec::new();
    for size in [7, 50, 10_000] {
        let mut exchange = plugin.request(chat("hi"));
        let chunks = sent.as_bytes().chunks(size).map(|it| String::from_utf8(it.to_vec()).unwrap());
        ends.push(exchange.response(stream(chunks.collect::<Vec<_>>())).text().to_owned());
    }
    assert!(ends[0].contains("content_filter") && !ends[0].contains("ght"), "{}", ends[0]);
    assert!(ends.iter().all(|end| *end == ends[0]));
}
