//! The plugin through its hooks, and the examples of its manual.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;

use gateway_plugin_sdk::serde_json::{Value, json};
use gateway_plugin_sdk::testing::{self, Harness, Outcome};
use json_expression::JsonExpression;

const JSON: &str = "application/json";

fn harness(config: Value) -> Harness<JsonExpression> {
    Harness::new(config).expect("the configuration is right")
}

fn gzip(body: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    let level = flate2::Compression::default();
    flate2::read::GzEncoder::new(body.as_bytes(), level).read_to_end(&mut coded).unwrap();
    coded
}

/// What stands under `config` in each example of the manual.
fn examples() -> Vec<Value> {
    let blocks = include_str!("../README.md").split("```toml\n").skip(1);
    let example = |block: &str| {
        let text = block.split("```").next().unwrap();
        let table: Value = toml::from_str(text).expect("an example is TOML");
        table.pointer("/plugins/shape/config").expect("it configures the plugin").clone()
    };
    blocks.map(example).collect()
}

#[test]
fn the_examples_of_the_manual_do_what_they_say() {
    let [both, recipes @ ..] = &examples()[..] else { panic!("there are examples") };
    let harness = harness(both.clone());
    let request = testing::request()
        .header("content-type", JSON)
        .attribute("consumer.id", "ada")
        .body(r#"{"lines":[{"price":1.5,"count":2},{"price":4,"count":1}],"internal":1}"#);
    let mut exchange = harness.request(request);
    assert_eq!(
        exchange.request().text(),
        r#"{"lines":[{"price":1.5,"count":2},{"price":4,"count":1}],"total":7.0,"customer":"ada"}"#
    );
    let response = testing::response()
        .header("content-type", JSON)
        .body(r#"{"rows":[{"id":12345678901234567890,"cost":1},{"id":2}]}"#);
    assert_eq!(
        exchange.response(response).text(),
        r#"{"data":[{"id":12345678901234567890},{"id":2}],"status":200}"#
    );

    let bodies = [
        (r#"{"error":{"message":"no"},"trace":"x"}"#, r#"{"title":"no","status":200}"#),
        (r#"[{"k":"a","v":1},{"k":"b","v":2}]"#, r#"{"a":1,"b":2}"#),
    ];
    assert_eq!(recipes.len(), bodies.len());
    for (config, (before, after)) in recipes.iter().zip(bodies) {
        let harness = Harness::<JsonExpression>::new(config).expect("it is right");
        let mut exchange = harness.request(testing::request());
        let response = testing::response().header("content-type", JSON).body(before);
        assert_eq!(exchange.response(response).text(), after);
    }
}

#[test]
fn other_bodies_pass_and_those_that_do_not_fit_are_refused_or_pass() {
    let side = |failure: &str| json!({ "expression": ".a + 1", "on_failure": failure, "on_invalid_json": failure });
    let strict = harness(json!({ "request": side("reject"), "response": side("reject") }));
    let lax = harness(json!({ "request": side("pass"), "response": side("pass") }));
    let request = |body: &'static str| testing::request().header("content-type", JSON).body(body);
    let response = |body: &'static str| testing::response().header("content-type", JSON).body(body);
    for body in [r#"{"a":{}}"#, "{", "[]"] {
        assert_eq!(strict.request(request(body)).answer().unwrap().status(), 400, "{body}");
        assert_eq!(lax.request(request(body)).request().text(), body);
        assert_eq!(strict.request(testing::request()).response(response(body)).status(), 502);
        assert_eq!(lax.request(testing::request()).response(response(body)).text(), body);
    }
    let mut exchange =
        strict.request(testing::request().header("content-type", "text/plain").body("x"));
    assert_eq!(exchange.request().text(), "x");
    assert_eq!(exchange.request().header("accept-encoding"), Some("identity"));
    let image = testing::response().header("content-type", "image/png").body("x");
    assert_eq!(exchange.response(image).text(), "x");
}

#[test]
fn bodies_with_codings_are_refused_decoded_or_encoded_again() {
    let request = || {
        testing::request()
            .header("content-type", JSON)
            .header("content-encoding", "gzip")
            .body(gzip(r#"{"a":1}"#))
    };
    let rules = |policy: &str| {
        harness(
            json!({ "request": { "expression": "[.]", "on_encoded_body": policy, "body_limit": 64 } }),
        )
    };
    let reject = rules("reject");
    assert_eq!(reject.request(request()).answer().unwrap().status(), 415);
    let decode = rules("decode");
    let exchange = decode.request(request());
    assert_eq!(
        (exchange.request().text(), exchange.request().header("content-encoding")),
        (r#"[{"a":1}]"#, None)
    );
    let recode = rules("recode");
    let exchange = recode.request(request());
    let mut plain = String::new();
    flate2::read::GzDecoder::new(exchange.request().body()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, r#"[{"a":1}]"#);
    let large = request().body(gzip(&format!("\"{}\"", "x".repeat(63))));
    assert_eq!(decode.request(large).answer().unwrap().status(), 413);
    let large = testing::request().header("content-type", JSON).body("x".repeat(65));
    assert_eq!(decode.request(large).outcome(), &Outcome::RequestTooLarge);
}

#[test]
fn all_faults_are_told_with_their_places() {
    let wrong = json!({
        "request": { "expression": "foo | bar", "types": ["json"], "headers": ["a b"] },
        "response": { "expression": ".a |" },
    });
    let error = Harness::<JsonExpression>::new(&wrong).err().unwrap();
    let places: Vec<_> = error.issues().iter().map(|issue| issue.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/request/types/0",
            "/request/headers/0",
            "/request/expression",
            "/request/expression",
            "/response/expression"
        ],
        "{error}"
    );
    assert!(Harness::<JsonExpression>::new(json!({})).is_err());
}

#[test]
fn a_response_without_a_body_passes_whatever_its_fields_say() {
    let harness = harness(json!({ "response": { "expression": "[.]" } }));
    for (status, passes) in [(304, true), (204, true), (200, false)] {
        let mut exchange = harness.request(testing::request());
        let response = testing::response()
            .status(status)
            .header("content-type", JSON)
            .header("content-encoding", "br");
        let answer = exchange.response(response).status();
        assert_eq!(answer, if passes { status } else { 502 });
        assert_eq!(exchange.log().is_empty(), passes, "{status}");
    }
}
