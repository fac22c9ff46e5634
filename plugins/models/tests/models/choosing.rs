//! Which deployment a request goes to.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{answer, config, configured, hello, with_models};

#[test]
fn weights_share_the_requests() {
    let harness = with_models(json!({
        "both": { "deployments": [{ "name": "gpu", "weight": 3 }, { "name": "hosted" }] },
    }));
    let of_gpu = (0..2000).filter(|_| {
        harness.request(hello("both")).attribute("model.deployment").as_deref() == Some("gpu")
    });
    let share = of_gpu.count();
    assert!((1400..1600).contains(&share), "{share}");
}

#[test]
fn what_belongs_together_stays_together() {
    let harness = with_models(json!({
        "both": {
            "deployments": [{ "name": "gpu" }, { "name": "hosted" }], "affinity": "header:x-session-id",
        },
    }));
    let deployment = |session: &str| {
        let exchange = harness.request(hello("both").header("x-session-id", session));
        exchange.attribute("model.deployment").unwrap()
    };
    let mut of_gpu = 0;
    for session in 0..200 {
        let session = session.to_string();
        let first = deployment(&session);
        of_gpu += usize::from(first == "gpu");
        assert_eq!(deployment(&session), first);
    }
    assert!((60..140).contains(&of_gpu), "{of_gpu}");
}

#[test]
fn a_session_spills_over_where_its_deployment_has_more_than_its_part() {
    let with = |load: Option<f64>| {
        let mut both = json!({
            "deployments": [{ "name": "gpu" }, { "name": "hosted" }], "affinity": "header:x-session-id",
        });
        if let Some(load) = load {
            both["affinity_load"] = json!(load);
        }
        with_models(json!({ "both": both }))
    };
    let counted = |load| {
        let harness = with(load);
        let ask = || harness.request(hello("both").header("x-session-id", "one"));
        let held: Vec<_> = (0..20).map(|_| ask()).collect();
        let names = held.iter().map(|it| it.attribute("model.deployment").unwrap());
        let names: Vec<_> = names.collect();
        // All end: the session is at its deployment again.
        drop(held);
        assert_eq!(ask().attribute("model.deployment").as_ref(), names.first());
        names.iter().filter(|name| **name == names[0]).count()
    };
    assert_eq!(counted(None), 20);
    // Of 20, 1.5 times the half.
    assert_eq!(counted(Some(1.5)), 15);
}

#[test]
fn a_request_that_another_deployment_answers_is_counted_there() {
    let mut config = config();
    config["defaults"]["cool_down"] = json!("0s");
    config["models"]["both"] = json!({
        "deployments": [{ "name": "gpu" }, { "name": "hosted" }],
        "affinity": "header:x-session-id", "affinity_load": 1,
    });
    let harness = configured(config);
    let ask = || harness.request(hello("both").header("x-session-id", "one"));
    let mut first = ask();
    let home = first.attribute("model.deployment");
    first.try_response(answer(json!({ "error": { "message": "no" } })).status(503));
    assert!(first.attempt().is_some());
    // One is at the other deployment and none at this one, then one at each.
    let second = ask();
    assert_eq!(second.attribute("model.deployment"), home);
    let third = ask();
    assert_eq!(third.attribute("model.deployment"), home);
    assert_ne!(ask().attribute("model.deployment"), home);
}

#[test]
fn a_prompt_goes_where_its_beginning_went() {
    let harness = with_models(json!({
        "both": { "deployments": [{ "name": "gpu" }, { "name": "hosted" }], "affinity": "prompt" },
    }));
    let ask = |text: &str| {
        let message = json!({ "role": "user", "content": text });
        let body = json!({ "model": "both", "messages": [message] });
        let exchange = harness.request(super::support::chat(body));
        exchange.attribute("model.deployment").unwrap()
    };
    let (mut stayed, mut of_gpu) = (0, 0);
    for number in 0..100 {
        let begin = format!("conversation {number} ").repeat(100);
        let first = ask(&begin);
        of_gpu += usize::from(first == "gpu");
        stayed += usize::from(ask(&[&begin, " and more"].concat()) == first);
    }
    // One in a hundred looks elsewhere.
    assert!(stayed >= 90, "{stayed}");
    assert!((20..80).contains(&of_gpu), "{of_gpu}");
}

#[test]
fn requests_over_a_deployment_s_places_spill_over() {
    let mut config = config();
    config["deployments"]["gpu"]["concurrency"] = json!({ "limit": 2 });
    let harness = configured(config);
    let held: Vec<_> = (0..3).map(|_| harness.request(hello("fast"))).collect();
    let names: Vec<_> = held.iter().map(|it| it.attribute("model.deployment").unwrap()).collect();
    assert_eq!(names, ["gpu", "gpu", "hosted"]);
    drop(held);
    let again = harness.request(hello("fast"));
    assert_eq!(again.attribute("model.deployment").as_deref(), Some("gpu"));
}

#[test]
fn a_request_that_another_deployment_answers_has_its_place_there() {
    let mut config = config();
    config["defaults"]["cool_down"] = json!("0s");
    for name in ["gpu", "hosted"] {
        config["deployments"][name]["concurrency"] = json!({ "limit": 1 });
    }
    config["deployments"]["hosted"]["drain"] = json!({ "time": "5s", "bytes": 1000 });
    let harness = configured(config);
    let mut first = harness.request(hello("fast"));
    assert_eq!(
        (first.attribute("model.deployment").as_deref(), first.drained()),
        (Some("gpu"), None)
    );
    first.try_response(answer(json!({ "error": { "message": "no" } })).status(503));
    assert_eq!(first.attempt().and_then(|attempt| attempt.to()), Some("openai"));
    assert_eq!(first.drained(), Some((1000, Duration::from_secs(5))));
    let second = harness.request(hello("fast"));
    assert_eq!(second.attribute("model.deployment").as_deref(), Some("gpu"));
    // Both are taken, each once.
    assert_eq!(harness.request(hello("fast")).answer().unwrap().status(), 503);
    drop(first);
    let third = harness.request(hello("fast"));
    assert_eq!(third.attribute("model.deployment").as_deref(), Some("hosted"));
    drop((second, third));
    assert_eq!(
        harness.request(hello("fast")).attribute("model.deployment").as_deref(),
        Some("gpu")
    );
}

#[test]
fn without_another_deployment_requests_wait_or_are_refused() {
    let mut config = config();
    config["deployments"]["hosted"]["concurrency"] = json!({ "limit": 1 });
    let harness = configured(config.clone());
    let _held = harness.request(hello("mini"));
    let refused = harness.request(hello("mini"));
    let refused = refused.answer().unwrap();
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (503, Some("1")),
        "nobody knows yet"
    );
    config["deployments"]["hosted"]["concurrency"]["queue"] = json!(5);
    let harness = configured(config);
    let _held = harness.request(hello("mini"));
    // Nothing else happens in the harness, so that the time of one who waits is over at once.
    assert_eq!(harness.request(hello("mini")).answer().unwrap().status(), 503);
}

/// By the deployment that is expected to have a place first.
#[test]
fn where_no_place_is_free_the_answer_says_when_one_is_expected() {
    let mut config = config();
    config["deployments"]["hosted"]["concurrency"] = json!({ "limit": 1 });
    config["deployments"]["gpu"]["concurrency"] = json!({ "limit": 2 });
    let harness = configured(config);
    let held = |model: &str, seconds| {
        let exchange = harness.request(hello(model));
        assert!(exchange.answer().is_none());
        harness.advance(Duration::from_secs(seconds));
        drop(exchange);
    };
    held("mini", 90);
    let _hosted = harness.request(hello("mini"));
    let refused = harness.request(hello("mini"));
    assert_eq!(refused.answer().unwrap().header("retry-after"), Some("90"));
    held("fast", 41);
    let (_one, _two) = (harness.request(hello("fast")), harness.request(hello("fast")));
    let refused = harness.request(hello("fast"));
    let refused = refused.answer().unwrap();
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("21")), "two places");
}

#[test]
fn limits_within_a_minute_send_requests_elsewhere_and_are_put_right() {
    let mut config = config();
    config["deployments"]["gpu"]["limits"] = json!({ "tokens_per_minute": 2000 });
    let harness = configured(config);
    // About 1,030 tokens each, as estimated: so that a second one has no room.
    let mut first = harness.request(hello("fast"));
    assert_eq!(first.attribute("model.deployment").as_deref(), Some("gpu"));
    let second = harness.request(hello("fast"));
    assert_eq!(second.attribute("model.deployment").as_deref(), Some("hosted"));
    let usage = json!({ "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10 });
    first.response(answer(json!({ "choices": [], "usage": usage })));
    first.complete();
    let third = harness.request(hello("fast"));
    assert_eq!(third.attribute("model.deployment").as_deref(), Some("gpu"));
}

#[test]
fn a_request_that_finds_no_limit_with_room_is_told_when() {
    let mut config = config();
    config["deployments"]["hosted"]["limits"] = json!({ "requests_per_minute": 1 });
    let harness = configured(config);
    assert!(harness.request(hello("mini")).answer().is_none());
    let refused = harness.request(hello("mini"));
    let refused = refused.answer().unwrap();
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("60")));
    let body: Value = refused.json();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    harness.advance(Duration::from_secs(60));
    assert!(harness.request(hello("mini")).answer().is_none());
}
