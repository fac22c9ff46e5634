//! Tests of plugins in a gateway that runs for them: what the SDK offers for that, as its users
//! write it.

use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::{
    self, Gateway, GatewayBuilder, Grants, Harness, Host, HostExchange,
};
use gateway_tests::{binary, guests};
use serde_json::json;

fn gateway(component: &str) -> GatewayBuilder {
    let file = guests::folder().join(component);
    let component = if file.exists() { file.to_str().unwrap() } else { component };
    // What is built without optimisations takes its time.
    Gateway::builder()
        .program(binary())
        .component(component)
        .setting("limits", json!({ "deadline": "1s" }))
}

/// What holds for a plugin wherever it runs.
fn changes_both_ways(plugin: &impl Host) {
    let sent = testing::request()
        .method("POST")
        .path("/old")
        .query("a=1")
        .header("x-name", "Ada")
        .chunks(["{\"a\"", ":1}"])
        .header("content-type", "application/json");
    let mut exchange = plugin.request(sent);
    assert!(exchange.answer().is_none());
    let request = exchange.request();
    assert_eq!((request.method(), request.path(), request.query()), ("POST", "/old", Some("a=1")));
    assert_eq!(request.header("X-Greeting"), Some("hello Ada"));
    let body: serde_json::Value = serde_json::from_str(request.text()).unwrap();
    assert_eq!(body, json!({ "a": 1, "b": "two" }));
    assert_eq!(request.upstream(), None);
    let answer = exchange.response(testing::response().status(201).body("one"));
    assert_eq!((answer.status(), answer.text()), (201, "one"));
    assert_eq!(answer.header("x-way"), Some("back"));
    assert_eq!(exchange.answer().unwrap().status(), 201);

    // Two at once, answered in the other order.
    let mut first = plugin.request(testing::request().path("/first"));
    let mut second = plugin.request(testing::request().path("/second"));
    assert_eq!((first.request().path(), second.request().path()), ("/first", "/second"));
    assert_eq!(second.response(testing::response().body("2")).text(), "2");
    assert_eq!(first.response(testing::response().body("1")).text(), "1");
}

#[test]
fn what_holds_natively_holds_in_a_gateway() {
    let config = json!({
        "request": {
            "headers": { "set": { "x-greeting": "hello ${request.header.x-name}" } },
            "json": [{ "op": "set", "pointer": "/b", "value": "two" }],
        },
        "response": { "headers": { "set": { "x-way": "back" } } },
    });
    changes_both_ways(&Harness::<transform::Transform>::new(&config).unwrap());
    changes_both_ways(&gateway("transform").configure(&config).unwrap());
}

#[test]
fn what_a_gateway_refuses_is_told_in_its_words() {
    let refused = gateway("transform").configure(json!({ "x": { "y": 1 } })).err().unwrap();
    assert!(refused.contains("unknown key `x` in `config`"), "{refused}");
    let refused = gateway("calls-out.wasm").configure(json!({})).err().unwrap();
    assert!(refused.contains("upstreams = ["), "{refused}");
    let refused = gateway("transform").program("/nowhere").configure(json!({})).err().unwrap();
    assert!(refused.contains("let the variable GATEWAY name its file"), "{refused}");
}

#[test]
fn a_plugin_calls_the_upstreams_that_the_test_answers_for() {
    let grants = Grants::new().upstream("granted", |call| match call.target() {
        "/broken" => Err(HttpError::Protocol),
        _ => Ok(testing::response().status(203).body(format!("to {}", call.target()))),
    });
    let plugin = gateway("calls-out.wasm").grants(grants).configure(json!({})).unwrap();
    for (target, told) in [("/a?b", "203  7 to /a?b"), ("/broken", "Protocol")] {
        let request = testing::request().header("x-call", "granted").header("x-target", target);
        let mut exchange = plugin.request(request);
        // What the plugin sent is not the exchange's own request.
        assert_eq!(exchange.request().header("x-target"), Some(target));
        let answer = exchange.response(testing::response());
        assert_eq!(answer.header("x-answer"), Some(told));
    }
    let calls = plugin.calls();
    assert_eq!((calls[0].upstream(), calls[0].target()), ("granted", "/a?b"));
    assert_eq!(calls.last().unwrap().target(), "/broken");
}

#[test]
fn a_plugin_reads_the_secret_of_the_test_and_what_it_logs_is_there() {
    let secret = "it's \"2\" ${env:HOME}";
    let grants = Grants::new().secret("token", secret);
    let plugin = gateway("keeper.wasm").grants(grants).configure(json!({})).unwrap();
    let request = testing::request().header("x-guess", secret).header("x-tell", "1");
    let mut exchange = plugin.request(request);
    let answer = exchange.response(testing::response());
    assert_eq!(answer.header("x-secret"), Some(format!("{} true", secret.len()).as_str()));
    let began = std::time::Instant::now();
    while plugin.log().is_empty() {
        assert!(began.elapsed() < gateway_tests::PATIENCE, "nothing was logged");
        std::thread::yield_now();
    }
    assert!(plugin.log()[0].message.starts_with("the token is "), "{:?}", plugin.log());
}

#[test]
fn a_plugin_gets_the_host_interfaces_that_it_is_granted_and_no_others() {
    let refused = gateway("counter.wasm").configure(json!({})).err().unwrap();
    assert!(refused.contains("`grants = [\"key-value\"]`"), "{refused}");
    let grants = Grants::new().interface("key-value");
    let plugin = gateway("counter.wasm").grants(grants).configure(json!({})).unwrap();
    for count in ["1", "2"] {
        let mut exchange = plugin.request(testing::request());
        let answer = exchange.response(testing::response());
        assert_eq!(answer.header("x-count"), Some(count));
    }
}

#[test]
fn a_chosen_upstream_has_its_name() {
    let grants = Grants::new().upstream("second", |_| Err(HttpError::Protocol));
    let plugin = gateway("chooser.wasm").grants(grants).configure(json!({}));
    let plugin = plugin.unwrap();
    let mut exchange = plugin.request(testing::request().header("x-upstream", "second"));
    assert_eq!(exchange.request().upstream(), Some("second"));
    assert_eq!(exchange.response(testing::response().status(204)).status(), 204);
    assert!(plugin.calls().is_empty());
}

#[test]
fn what_only_a_gateway_shows_is_shown() {
    let limits = json!({ "deadline": "50ms" });
    let slow = Gateway::builder()
        .program(binary())
        .component(guests::folder().join("loops.wasm").to_str().unwrap())
        .setting("limits", limits);
    let slow = slow.configure(json!({})).unwrap();
    let exchange = slow.request(testing::request().header("x-loop", "1"));
    assert_eq!(exchange.answer().unwrap().status(), 500);

    let config = json!({ "limit": 8, "request": false });
    let upper = gateway("body-upper.wasm").configure(config).unwrap();
    let mut exchange = upper.request(testing::request().method("HEAD"));
    assert_eq!(exchange.response(testing::response().body("a")).text(), "");
    let mut exchange = upper.request(testing::request());
    assert_eq!(exchange.response(testing::response().chunks(["a", "b"])).text(), "AB");
    let mut exchange = upper.request(testing::request());
    assert_eq!(exchange.response(testing::response().body("more than eight")).status(), 502);
}
