//! What is counted.

use gateway_plugin_sdk::Ending;
use gateway_plugin_sdk::testing;
use serde_json::json;

use super::support::{answer, chat, config, configured, hello, plugin, stream};

const LABELS: [(&str, &str); 4] = [
    ("gen_ai_request_model", "mini"),
    ("deployment", "hosted"),
    ("gen_ai_provider_name", "openai"),
    ("gen_ai_operation_name", "chat"),
];

#[test]
fn a_call_is_counted_once_with_all_kinds_of_tokens() {
    let harness = plugin();
    let mut exchange = harness.request(hello("mini"));
    exchange.response(answer(json!({ "choices": [], "usage": {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": { "cached_tokens": 60 },
        "completion_tokens_details": { "reasoning_tokens": 20 },
    } })));
    exchange.complete();
    assert_eq!(harness.usage("input_tokens"), 100);
    assert_eq!(harness.usage("output_tokens"), 50);
    assert_eq!(harness.usage("cached_input_tokens"), 60);
    assert_eq!(harness.usage("reasoning_tokens"), 20);
    // 100 × 0.15 + 50 × 0.60 millionths of a dollar.
    assert_eq!(harness.usage("cost_usd_nanos"), 45_000);
    assert_eq!(harness.counter("gen_ai_client_inference_usage_input_tokens", &LABELS), 100);
    let with_outcome = [&LABELS[..], &[("outcome", "ok")]].concat();
    assert_eq!(harness.counter("gen_ai_requests", &with_outcome), 1);
}

#[test]
fn the_estimate_is_known_before_and_put_right_after() {
    let harness = plugin();
    let body = json!({ "model": "mini", "max_tokens": 100, "messages": [{ "role": "user", "content": "hello" }] });
    let mut exchange = harness.request(chat(body));
    let estimate: u64 = exchange.attribute("model.tokens.estimate").unwrap().parse().unwrap();
    assert!((102..115).contains(&estimate), "{estimate}");
    assert!(exchange.attribute("model.cost.estimate").is_some());
    // A client that leaves now has used its request.
    let total: u64 = exchange.attribute("model.tokens.total").unwrap().parse().unwrap();
    assert_eq!(total, estimate - 100);
    let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    exchange.response(answer(json!({ "choices": [], "usage": usage })));
    // A zero is a number.
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("0"));
}

#[test]
fn a_client_that_leaves_is_charged_what_has_come() {
    let harness = plugin();
    let mut exchange =
        harness.request(chat(json!({ "model": "mini", "stream": true, "messages": [] })));
    let event =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"0123456789abcdef\"}}]}\n\n";
    exchange.response(stream(&[event]));
    exchange.complete_as(Ending::ClientLeft);
    assert_eq!(harness.usage("output_tokens"), 4);
    assert_eq!(harness.usage("estimated_calls"), 1);
    let with_outcome = [&LABELS[..], &[("outcome", "client_left")]].concat();
    assert_eq!(harness.counter("gen_ai_requests", &with_outcome), 1);
}

#[test]
fn a_call_that_somebody_behind_refused_is_none() {
    let harness = plugin();
    let mut exchange = harness.request(hello("mini"));
    exchange.response(testing::response().status(500));
    exchange.complete();
    let refused = [&LABELS[..], &[("outcome", "refused")]].concat();
    assert_eq!(harness.counter("gen_ai_requests", &refused), 1);
    assert_eq!(harness.usage("input_tokens"), 0);
    // What was reserved is given back.
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("0"));
}

#[test]
fn prices_come_from_a_document_of_either_form() {
    let mut config = config();
    config["prices"] = json!("prices");
    config["deployments"]["hosted"].as_object_mut().unwrap().remove("price");
    let tables = [
        json!({ "gpt-mini": { "input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7 } }),
        json!({ "gpt-mini": { "input": "0.15", "output": "0.6" } }),
    ];
    for table in tables {
        let prepared = gateway_plugin_sdk::testing::Harness::<models::Models>::prepare()
            .secret("openai", "a")
            .secret("anthropic", "b")
            .document("prices", table.to_string());
        let harness = prepared.configure(config.clone()).unwrap();
        let mut exchange = harness.request(hello("mini"));
        let usage = json!({ "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150 });
        exchange.response(answer(json!({ "choices": [], "usage": usage })));
        assert_eq!(exchange.attribute("model.cost").as_deref(), Some("45000"), "{table}");
    }
}

#[test]
fn old_names_of_metrics_are_there_for_those_who_ask() {
    let mut config = config();
    config["metric_names"] = json!("old");
    let harness = configured(config);
    let mut exchange = harness.request(hello("mini"));
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150 });
    exchange.response(answer(json!({ "choices": [], "usage": usage })));
    exchange.complete();
    let labels = [&LABELS[..], &[("gen_ai_token_type", "output")]].concat();
    assert_eq!(harness.observations("gen_ai_client_token_usage", &labels), [50.0]);
    assert_eq!(harness.counter("gen_ai_client_inference_usage_input_tokens", &LABELS), 0);
}

#[test]
fn what_cannot_be_counted_is_charged_as_it_was_estimated() {
    let harness = plugin();
    let bodies = [
        json!({ "choices": [] }),
        json!({ "usage": { "prompt_tokens": u64::MAX, "completion_tokens": 1, "total_tokens": 1 } }),
    ];
    for body in bodies {
        let mut exchange = harness.request(hello("mini"));
        let estimate = exchange.attribute("model.tokens.estimate");
        exchange.response(answer(body));
        assert_eq!(exchange.attribute("model.tokens.total"), estimate);
    }
}
