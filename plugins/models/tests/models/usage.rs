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
    // No usage has come yet.
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    exchange.response(stream(&[event, end]));
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
    let refused = [&LABELS[..], &[("error_type", "server"), ("outcome", "refused")]].concat();
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
        json!({ "choices": [{}] }),
        json!({ "usage": { "prompt_tokens": u64::MAX, "completion_tokens": 1, "total_tokens": 1 } }),
    ];
    for body in bodies {
        let mut exchange = harness.request(hello("mini"));
        let estimate = exchange.attribute("model.tokens.estimate");
        exchange.response(answer(body));
        assert_eq!(exchange.attribute("model.tokens.total"), estimate);
    }
}

const OF_OPENAI: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;

/// A call of `mini` by this consumer, answered.
fn call_by(harness: &gateway_plugin_sdk::testing::Harness<models::Models>, consumer: &str) {
    let mut exchange = harness.request(hello("mini").attribute("consumer.id", consumer));
    let response = testing::response().header("content-type", "application/json");
    exchange.response(response.body(OF_OPENAI));
    exchange.complete();
}

#[test]
fn consumers_are_counted_apart_up_to_a_bound() {
    let mut config = config();
    config["metric_consumers"] = json!(2);
    let harness = configured(config);
    for consumer in ["team-a", "team-b", "team-c", "team-d", "team-a", ""] {
        call_by(&harness, consumer);
    }
    let input = |consumer| {
        let labels = [&LABELS[..], &[("consumer", consumer)]].concat();
        harness.counter("gen_ai_client_inference_usage_input_tokens", &labels)
    };
    assert_eq!(["team-a", "team-b", "other"].map(input), [20, 10, 20]);
    assert_eq!(["team-c", "team-d"].map(input), [0, 0]);
    // Nobody has no label.
    assert_eq!(harness.counter("gen_ai_client_inference_usage_input_tokens", &LABELS), 10);
    let labels = [&LABELS[..], &[("consumer", "team-a")]].concat();
    assert_eq!(harness.observations("gen_ai_server_request_duration_seconds", &labels).len(), 2);
    assert_eq!(harness.stored("metric-consumers").as_deref(), Some(b"2".as_slice()));
}

#[test]
fn without_a_bound_there_is_no_label() {
    let mut config = config();
    config["metric_consumers"] = json!(0);
    let harness = configured(config);
    call_by(&harness, "team-a");
    assert_eq!(harness.counter("gen_ai_client_inference_usage_input_tokens", &LABELS), 10);
}

#[test]
fn times_to_the_first_token_and_for_each_are_seen_by_old_and_new_names() {
    let mut config = config();
    config["metric_names"] = json!("both");
    let harness = configured(config);
    let body = json!({ "model": "mini", "stream": true, "messages": [] });
    let mut exchange = harness.request(chat(body).attribute("consumer.id", "team-a"));
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9,\"total_tokens\":12}}\n\n";
    harness.advance(std::time::Duration::from_millis(300));
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    exchange.response(stream(&[content, end, usage, "data: [DONE]\n\n"]));
    harness.advance(std::time::Duration::from_millis(800));
    exchange.complete();
    let labels = [&LABELS[..], &[("consumer", "team-a")]].concat();
    let seen = |name| harness.observations(name, &labels);
    for name in [
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_client_inference_time_to_first_chunk_seconds",
        "gen_ai_client_operation_time_to_first_chunk_seconds",
    ] {
        assert_eq!(seen(name), [0.3], "{name}");
    }
    for name in [
        "gen_ai_server_request_duration_seconds",
        "gen_ai_client_inference_duration_seconds",
        "gen_ai_client_operation_duration_seconds",
    ] {
        assert!((seen(name)[0] - 1.1).abs() < 1e-9, "{name}: {:?}", seen(name));
    }
    assert!((seen("gen_ai_server_time_per_output_token_seconds")[0] - 0.1).abs() < 1e-9);
}

#[test]
fn the_time_in_a_queue_is_part_of_the_whole_and_not_of_the_deployment() {
    let mut config = config();
    config["deployments"]["hosted"]["concurrency"] = json!({ "limit": 1, "queue": 4 });
    let harness = configured(config);
    let mut exchange = harness.request(hello("mini").attribute("request.waited-ms", "250.5"));
    harness.advance(std::time::Duration::from_millis(1000));
    let response = testing::response().header("content-type", "application/json");
    exchange.response(response.body(OF_OPENAI));
    exchange.complete();
    let seen = |name| harness.observations(name, &LABELS)[0];
    assert_eq!(seen("gen_ai_queue_duration_seconds"), 0.2505);
    assert!((seen("gen_ai_server_request_duration_seconds") - 1.0).abs() < 1e-9);
    assert!((seen("gen_ai_client_inference_duration_seconds") - 0.7495).abs() < 1e-9);
}

#[test]
fn attempts_that_failed_and_cool_downs_are_counted() {
    let harness = plugin();
    harness.set_time(std::time::Duration::from_secs(1_000));
    let mut exchange = harness.request(hello("fast"));
    exchange.try_response(testing::response().status(429).header("retry-after", "7"));
    let labels = |next| {
        [
            ("gen_ai_request_model", "fast"),
            ("deployment", "gpu"),
            ("error_type", "rate_limited"),
            ("next", next),
        ]
    };
    assert_eq!(harness.counter("gen_ai_failed_attempts", &labels("hosted")), 1);
    let until = harness.gauge("gen_ai_cool_down_end_timestamp_seconds", &[("deployment", "gpu")]);
    assert_eq!(until, Some(1_007.0));
    let unknown = [("gen_ai_request_model", ""), ("reason", "unknown_model")];
    assert!(harness.request(hello("no-such-model")).answer().is_some());
    assert_eq!(harness.counter("gen_ai_refused_requests", &unknown), 1);
}
