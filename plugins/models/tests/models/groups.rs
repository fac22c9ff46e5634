//! Who may use which models: what others may use is not there, in answers, lists and suggestions.

use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, chat, config, configured, hello, post, sent};

/// `smart` is for `team-a`; all others are for everybody, and for `staff`.
fn grouped() -> Value {
    let mut config = config();
    config["groups"] = json!({
        "all": { "models": ["*"], "consumers": ["staff"] },
        "frontier": { "models": ["smart"], "consumers": ["team-a"] },
        "small": { "models": ["fast", "mini"] },
    });
    config
}

fn plugin() -> Harness<Models> {
    configured(grouped())
}

fn by(consumer: &str, request: RequestBuilder) -> RequestBuilder {
    request.attribute("consumer.group", consumer)
}

/// The names in a list of models, and those of each kind of client.
fn listed(
    harness: &Harness<Models>,
    consumer: &str,
    client: (&str, &[(&str, &str)]),
) -> Vec<String> {
    let (path, fields) = client;
    let request = fields
        .iter()
        .fold(testing::request().method("GET").path(path), |it, field| it.header(field.0, field.1));
    let exchange = harness.request(by(consumer, request));
    let answer = exchange.answer().expect("the plugin answers");
    let list: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let list = [&list["data"], &list["models"]].into_iter().find_map(Value::as_array).unwrap();
    let name = |it: &Value| it["id"].as_str().or(it["name"].as_str()).unwrap().to_owned();
    list.iter().map(|it| name(it).trim_start_matches("models/").to_owned()).collect()
}

#[test]
fn the_group_by_which_a_consumer_has_a_model_is_an_attribute() {
    let harness = plugin();
    for (consumer, model, group) in [
        ("team-a", "smart", "frontier"),
        ("staff", "smart", "all"),
        // A name is more precise than a pattern.
        ("staff", "mini", "small"),
        ("team-b", "gpt-4o-mini", "small"),
    ] {
        let exchange = harness.request(by(consumer, hello(model)));
        assert_eq!(exchange.attribute("model.group").as_deref(), Some(group), "{consumer} {model}");
    }
    // Without groups there is none.
    let harness = configured(config());
    let exchange = harness.request(hello("mini"));
    assert_eq!(exchange.attribute("model.group"), None);
}

#[test]
fn the_longer_of_two_patterns_is_more_precise() {
    let mut config = config();
    config["groups"] = json!({ "a": { "models": ["m*"] }, "b": { "models": ["mi*"] } });
    let harness = configured(config);
    let exchange = harness.request(hello("mini"));
    assert_eq!(exchange.attribute("model.group").as_deref(), Some("b"));
}

#[test]
fn a_model_of_others_is_answered_as_one_that_is_not_there_by_each_api() {
    let harness = plugin();
    let message = json!({ "role": "user", "content": "hello" });
    let content = json!({ "contents": [{ "parts": [{ "text": "hello" }] }] });
    let asked = |model: &str| {
        let body = json!({ "model": model, "max_tokens": 5, "messages": [message] });
        let gemini = format!("/v1beta/models/{model}:generateContent");
        let converse = format!("/model/{model}/converse");
        let blocks = json!({ "messages": [{ "role": "user", "content": [{ "text": "hello" }] }] });
        [
            post("/v1/chat/completions", body.clone()),
            post("/v1/responses", json!({ "model": model, "input": "hello" })),
            post("/v1/messages", body.clone()),
            post(&gemini, content.clone()),
            post("/api/chat", body.clone()),
            post("/v2/chat", body),
            post(&converse, blocks),
        ]
    };
    // A name that is like no other: `there` is longer than what would be suggested.
    for (hidden, absent) in asked("smart").into_iter().zip(asked("there")) {
        let answers = [hidden, absent].map(|request| {
            let exchange = harness.request(by("team-b", request));
            let answer = exchange.answer().expect("it is refused").clone();
            let body = String::from_utf8(answer.body().to_vec()).unwrap();
            (answer.status(), body.replace("there`", "smart`"))
        });
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].0, 404, "{}", answers[0].1);
        assert!(!answers[0].1.contains("Did you mean"), "{}", answers[0].1);
    }
}

#[test]
fn no_suggestion_names_a_model_of_others() {
    let harness = plugin();
    let asked = |consumer: &str| {
        let exchange = harness.request(by(consumer, hello("smrt")));
        String::from_utf8(exchange.answer().unwrap().body().to_vec()).unwrap()
    };
    assert!(asked("team-a").contains("Did you mean `smart`?"));
    assert!(!asked("team-b").contains("smart"), "{}", asked("team-b"));
}

#[test]
fn lists_have_what_the_consumer_may_use_in_each_form() {
    let harness = plugin();
    let anthropic: &[_] = &[("anthropic-version", "2023-06-01")];
    for client in [
        ("/v1/models", &[][..]),
        ("/v1/models", anthropic),
        ("/v1beta/models", &[]),
        ("/api/tags", &[]),
    ] {
        assert_eq!(listed(&harness, "team-b", client), ["fast", "mini"], "{client:?}");
        assert_eq!(listed(&harness, "team-a", client), ["fast", "mini", "smart"], "{client:?}");
        assert_eq!(listed(&harness, "staff", client), ["fast", "mini", "smart"], "{client:?}");
    }
    let one = |consumer: &str| {
        let request = testing::request().method("GET").path("/v1/models/smart");
        harness.request(by(consumer, request)).answer().unwrap().status()
    };
    assert_eq!((one("team-a"), one("team-b")), (200, 404));
}

#[test]
fn groups_let_in_by_any_attribute_by_lists_and_by_scopes() {
    let mut config = config();
    config["consumer_attributes"] = json!(["consumer.id", "consumer.claim.teams"]);
    config["groups"] = json!({
        "named": { "models": ["smart"], "consumers": ["ada", "research"] },
        "paying": { "models": ["mini"], "attributes": {
            "consumer.claim.plan": ["pro", "team"], "consumer.scopes": ["models:use"],
        } },
    });
    let harness = configured(config);
    for (attributes, model, is_there) in [
        (vec![("consumer.id", "ada")], "smart", true),
        (vec![("consumer.id", "bob")], "smart", false),
        (vec![("consumer.group", "research")], "smart", false),
        (vec![("consumer.claim.teams", "research")], "smart", true),
        (vec![("consumer.claim.teams", r#"["sales", "research"]"#)], "smart", true),
        (vec![("consumer.claim.teams", r#"["sales"]"#)], "smart", false),
        (vec![("consumer.claim.plan", "pro"), ("consumer.scopes", "a models:use")], "mini", true),
        // Each attribute that a group names must fit.
        (vec![("consumer.claim.plan", "pro")], "mini", false),
        (vec![("consumer.claim.plan", "free"), ("consumer.scopes", "models:use")], "mini", false),
        (vec![("consumer.claim.plan", "pro"), ("consumer.scopes", "models:used")], "mini", false),
        // In no group.
        (vec![], "fast", true),
    ] {
        let request =
            attributes.iter().fold(hello(model), |it, (name, value)| it.attribute(*name, *value));
        let exchange = harness.request(request);
        assert_eq!(exchange.answer().is_none(), is_there, "{attributes:?} {model}");
    }
}

#[test]
fn a_list_of_a_model_itself_narrows_its_groups_and_an_empty_one_is_for_nobody() {
    let mut config = grouped();
    config["models"]["mini"]["consumers"] = json!(["team-a"]);
    config["models"]["fast"]["consumers"] = json!([]);
    let harness = configured(config);
    let is_there = |consumer: &str, model: &str| {
        harness.request(by(consumer, hello(model))).answer().is_none()
    };
    assert!(is_there("team-a", "mini"));
    assert!(!is_there("staff", "mini"));
    assert!(!is_there("team-a", "fast") && !is_there("", "fast"));
}

#[test]
fn an_attribute_selects_the_model_whatever_the_request_says() {
    let mut config = grouped();
    config["model_attribute"] = json!("experiment.model");
    let harness = configured(config);
    let select = |name: &str, request: RequestBuilder| {
        harness.request(by("team-b", request.attribute("experiment.model", name)))
    };
    let exchange = select("mini", hello("fast"));
    assert_eq!(exchange.attribute("model.name").as_deref(), Some("mini"));
    assert_eq!(sent(&exchange)["model"], "gpt-mini");
    // An alias, at a deployment that is asked by the name that the client uses.
    let exchange = select("", hello("fast"));
    assert_eq!(exchange.attribute("model.name").as_deref(), Some("fast"));
    // It is as if the client had asked for it.
    for name in ["smart", "unknown"] {
        assert_eq!(select(name, hello("fast")).answer().unwrap().status(), 404, "{name}");
    }
}

#[test]
fn a_selected_model_stays_selected_in_another_attempt() {
    let mut config = config();
    config["model_attribute"] = json!("experiment.model");
    // Neither says what the provider calls it.
    for name in ["gpu", "hosted"] {
        config["deployments"][name].as_object_mut().unwrap().remove("model");
    }
    let harness = configured(config);
    let request = hello("mini").attribute("experiment.model", "gpt-4o-mini");
    let mut exchange = harness.request(request);
    assert_eq!(sent(&exchange)["model"], "gpt-4o-mini");
    exchange.try_response(answer(json!({ "error": { "message": "no" } })).status(503));
    let attempt = exchange.attempt().expect("another is asked");
    let body: Value = serde_json::from_slice(attempt.new_body().expect("a body")).unwrap();
    assert_eq!(body["model"], "gpt-4o-mini");
}

#[test]
fn calls_are_counted_by_group_and_refused_ones_by_why() {
    let harness = plugin();
    let mut exchange = harness.request(by("team-a", hello("smart")));
    exchange.response(answer(json!({
        "type": "message", "content": [{ "type": "text", "text": "hi" }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "output_tokens": 2 },
    })));
    exchange.complete();
    let labels = [
        ("gen_ai_request_model", "smart"),
        ("deployment", "claude"),
        ("gen_ai_provider_name", "anthropic"),
        ("gen_ai_operation_name", "chat"),
        ("model_group", "frontier"),
        ("outcome", "ok"),
    ];
    assert_eq!(harness.counter("gen_ai_requests", &labels), 1);
    let _refused = harness.request(by("team-b", hello("smart")));
    let _unknown = harness.request(by("team-b", chat(json!({ "model": "other", "messages": [] }))));
    for (model, reason) in [("smart", "not_allowed"), ("", "unknown_model")] {
        let labels = [("gen_ai_request_model", model), ("reason", reason)];
        assert_eq!(harness.counter("gen_ai_refused_requests", &labels), 1, "{reason}");
    }
}
