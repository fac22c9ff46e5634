//! What holds for all models and deployments that do not say otherwise.

use std::time::Duration;

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, config, configured, hello, sent};

/// The plugin with these defaults, and with these changes to the deployment `hosted` and the model `mini`.
fn with(defaults: Value, deployment: &Value, model: &Value) -> Harness<Models> {
    let mut config = config();
    config["defaults"] = defaults;
    for (table, changes) in [("/deployments/hosted", deployment), ("/models/mini", model)] {
        let table = config.pointer_mut(table).unwrap();
        changes.as_object().unwrap().iter().for_each(|(key, value)| table[key] = value.clone());
    }
    configured(config)
}

fn failed() -> gateway_plugin_sdk::testing::ResponseBuilder {
    answer(json!({ "error": { "message": "no" } })).status(503)
}

fn usage(prompt: u64) -> gateway_plugin_sdk::testing::ResponseBuilder {
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt });
    answer(json!({ "choices": [], "usage": usage }))
}

#[test]
fn bounds_of_tokens_hold_where_a_model_has_none() {
    let harness = with(json!({ "max_output_tokens": 7 }), &json!({}), &json!({}));
    for model in ["mini", "fast"] {
        assert_eq!(sent(&harness.request(hello(model)))["max_completion_tokens"], 7, "{model}");
    }
    let own = json!({ "max_output_tokens": 9, "max_input_tokens": 1000 });
    let harness = with(json!({ "max_output_tokens": 7, "max_input_tokens": 1 }), &json!({}), &own);
    assert_eq!(sent(&harness.request(hello("mini")))["max_completion_tokens"], 9);
    assert_eq!(harness.request(hello("fast")).answer().unwrap().status(), 400);
}

#[test]
fn attempts_and_failures_are_those_of_the_model() {
    let both = json!({ "deployments": [{ "name": "hosted" }, { "name": "gpu", "priority": 1 }] });
    let asks_another = |defaults: Value, more: Value| {
        let mut model = both.clone();
        more.as_object().unwrap().iter().for_each(|(key, value)| model[key] = value.clone());
        let harness = with(defaults, &json!({}), &model);
        let mut exchange = harness.request(hello("mini"));
        exchange.try_response(failed());
        exchange.attempt().is_some()
    };
    assert!(asks_another(json!({}), json!({})));
    assert!(!asks_another(json!({ "attempts": 1 }), json!({})));
    assert!(asks_another(json!({ "attempts": 1 }), json!({ "attempts": 2 })));
    assert!(!asks_another(json!({ "fail_over": ["rate-limited"] }), json!({})));
    assert!(asks_another(json!({ "fail_over": [] }), json!({ "fail_over": ["overloaded"] })));
    assert!(!asks_another(json!({}), json!({ "fail_over": [] })));
}

#[test]
fn a_deployment_cools_down_as_it_says() {
    for (defaults, own, cools) in [
        (json!({}), json!({}), true),
        (json!({ "cool_down": "0s" }), json!({}), false),
        (json!({ "cool_down": "0s" }), json!({ "cool_down": "1m" }), true),
    ] {
        let model =
            json!({ "deployments": [{ "name": "hosted" }, { "name": "gpu", "priority": 1 }] });
        let harness = with(defaults.clone(), &own, &model);
        harness.request(hello("mini")).try_response(failed());
        let next = harness.request(hello("mini")).attribute("model.deployment");
        let wanted = if cools { "gpu" } else { "hosted" };
        assert_eq!(next.as_deref(), Some(wanted), "{defaults} {own}");
    }
}

#[test]
fn streams_are_kept_alive_as_their_model_says() {
    let kept = |defaults: Value, model: Value| {
        let harness = with(defaults, &json!({}), &model);
        let messages = json!([{ "role": "user", "content": "hello" }]);
        let body = json!({ "model": "mini", "stream": true, "messages": messages });
        let mut exchange = harness.request(super::support::chat(body));
        exchange.response(super::support::stream(&[
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: [DONE]\n\n",
        ]));
        exchange.kept_alive().map(|(_, every)| every)
    };
    let (usual, own) = (json!({ "keep_alive": "15s" }), json!({ "keep_alive": "2s" }));
    assert_eq!(kept(json!({}), json!({})), None);
    assert_eq!(kept(usual.clone(), json!({})), Some(Duration::from_secs(15)));
    assert_eq!(kept(usual.clone(), own), Some(Duration::from_secs(2)));
    assert_eq!(kept(usual, json!({ "keep_alive": "0s" })), None);
}

#[test]
fn responses_are_drained_as_their_deployment_says() {
    let drained = |defaults: Value, own: Value| {
        with(defaults, &own, &json!({})).request(hello("mini")).drained()
    };
    let usual = json!({ "drain": { "time": "10s", "bytes": 5 } });
    assert_eq!(drained(json!({}), json!({})), None);
    assert_eq!(drained(usual.clone(), json!({})), Some((5, Duration::from_secs(10))));
    // A table stands in place of the other as a whole.
    let own = json!({ "drain": { "time": "1s" } });
    assert_eq!(drained(usual.clone(), own), Some((1 << 20, Duration::from_secs(1))));
    assert_eq!(drained(usual, json!({ "drain": { "time": "0s" } })), None);
}

#[test]
fn limits_and_places_are_those_of_each_deployment() {
    let answers = |defaults: Value, own: Value| {
        let harness = with(defaults, &own, &json!({}));
        let first = harness.request(hello("mini"));
        let second = harness.request(hello("mini"));
        let statuses = [&first, &second].map(|it| it.answer().map(|it| it.status()));
        assert_eq!(statuses[0], None);
        statuses[1]
    };
    let limits = json!({ "limits": { "requests_per_minute": 1 } });
    assert_eq!(answers(limits.clone(), json!({})), Some(429));
    assert_eq!(answers(limits.clone(), json!({ "limits": { "requests_per_minute": 2 } })), None);
    assert_eq!(answers(limits, json!({ "limits": {} })), None);
    let places = json!({ "concurrency": { "limit": 1 } });
    assert_eq!(answers(places.clone(), json!({})), Some(503));
    assert_eq!(answers(places, json!({ "concurrency": { "limit": 2 } })), None);
}

#[test]
fn a_price_is_for_who_has_none_and_is_in_no_table() {
    let table = json!({ "in-table": { "input": "5" } }).to_string();
    let cost = |name: &str, own: Option<Value>| {
        let mut config = config();
        config["defaults"]["price"] = json!({ "input": "1" });
        config["prices"] = json!("table");
        let hosted = config["deployments"]["hosted"].as_object_mut().unwrap();
        hosted.remove("price");
        hosted.insert("price_name".to_owned(), json!(name));
        hosted.extend(own.map(|price| ("price".to_owned(), price)));
        let prepared = Harness::<Models>::prepare().secret("openai", "a").secret("anthropic", "b");
        let harness = prepared.document("table", table.as_bytes()).configure(config).unwrap();
        let mut exchange = harness.request(hello("mini"));
        exchange.response(usage(1000));
        exchange.attribute("model.cost").unwrap()
    };
    assert_eq!(cost("elsewhere", None), "1000000");
    assert_eq!(cost("in-table", None), "5000000");
    assert_eq!(cost("in-table", Some(json!({ "input": "2" }))), "2000000");
}

#[test]
fn headers_are_added_to_those_of_a_deployment() {
    let usual = json!({ "headers": { "x-team": "all", "x-zone": "eu" } });
    let own = json!({ "headers": { "x-zone": "us" } });
    let harness = with(usual, &own, &json!({}));
    let exchange = harness.request(hello("mini"));
    let sent = exchange.request();
    assert_eq!((sent.header("x-team"), sent.header("x-zone")), (Some("all"), Some("us")));
}

#[test]
fn requests_stay_together_as_by_default() {
    let model = json!({ "deployments": [{ "name": "hosted" }, { "name": "gpu" }] });
    let harness = with(json!({ "affinity": "header:x-user" }), &json!({}), &model);
    let names: Vec<_> = (0..20)
        .map(|_| {
            let exchange = harness.request(hello("mini").header("x-user", "ada"));
            exchange.attribute("model.deployment")
        })
        .collect();
    assert!(names.windows(2).all(|two| two[0] == two[1]), "{names:?}");
}
