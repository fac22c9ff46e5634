//! Bodies of requests and responses, through the hooks.

#[path = "bodies/charsets.rs"]
mod charsets;
#[path = "bodies/codings.rs"]
mod codings;
#[path = "bodies/sets.rs"]
mod sets;

use gateway_plugin_sdk::log::Level;
use gateway_plugin_sdk::serde_json::{Value, json};
use gateway_plugin_sdk::testing::{self, Harness, Outcome};
use transform::Transform;

const JSON: &str = "application/json";

fn harness(config: Value) -> Harness<Transform> {
    Harness::new(config).expect("the configuration is right")
}

/// What a JSON body becomes on its way to the upstream.
fn request_body(config: Value, body: &str) -> String {
    let harness = harness(json!({ "request": config }));
    let request = testing::request()
        .method("POST")
        .header("content-type", JSON)
        .attribute("consumer.id", "ada")
        .attribute("capture.count", "12")
        .body(body);
    harness.request(request).request().text().to_owned()
}

#[test]
fn edits_json_of_requests_in_order() {
    let edits = json!({ "json": [
        { "op": "set", "pointer": "/user/id", "value": "${consumer.id}" },
        { "op": "set", "pointer": "/user/roles/-", "value": "reader" },
        { "op": "set", "pointer": "/count", "value": "${capture.count}", "as": "number" },
        { "op": "set", "pointer": "/meta", "value": { "by": "${consumer.id}", "v": 2, "x": "${capture.x?}" } },
        { "op": "default", "pointer": "/kind", "value": "order" },
        { "op": "default", "pointer": "/there", "value": "no" },
        { "op": "remove", "pointer": "/internal" },
        { "op": "remove", "pointer": "/secret", "each": "/items" },
        { "op": "rename", "pointer": "/old", "to": "new" },
        { "op": "rename", "pointer": "/deep/value", "to": "/shallow" },
        { "op": "unwrap", "pointer": "/boxed", "key": "inner" },
        { "op": "wrap", "key": "data" },
    ] });
    let body = r#"{"user":{"roles":["admin"]},"old":1.10,"there":null,"internal":{},"items":[{"secret":1,"n":1},{"n":2}],"deep":{"value":10000000000000000000001},"boxed":{"inner":[ 1 ]}}"#;
    assert_eq!(
        request_body(edits, body),
        r#"{"data":{"user":{"roles":["admin","reader"],"id":"ada"},"new":1.10,"there":null,"items":[{"n":1},{"n":2}],"deep":{},"boxed":[ 1 ],"count":12,"meta":{"by":"ada","v":2},"kind":"order","shallow":10000000000000000000001}}"#
    );
}

#[test]
fn a_body_without_a_change_stays_as_it_was_to_the_byte() {
    let edits = json!({ "json": [{ "op": "remove", "pointer": "/a" }] });
    let body = "{ \"b\" : 1e400,\n \"c\": \"\\u00e9\" }\n";
    assert_eq!(request_body(edits.clone(), body), body);
    assert_eq!(request_body(edits.clone(), ""), "");
    assert_eq!(request_body(edits, " \n"), " \n");
}

#[test]
fn an_edit_without_a_place_or_of_a_wrong_type_is_left_out_and_logged() {
    let harness = harness(json!({ "request": { "json": [
        { "op": "set", "pointer": "/a/b", "value": 1 },
        { "op": "set", "pointer": "/n", "value": "${request.query.n}", "as": "number" },
        { "op": "set", "pointer": "/c", "value": 1 },
    ] } }));
    let request = testing::request().query("n=x").header("content-type", JSON).body(r#"{"a":1}"#);
    let exchange = harness.request(request);
    assert_eq!(exchange.request().text(), r#"{"a":1,"c":1}"#);
    let log = exchange.log();
    assert_eq!(log.iter().filter(|line| line.level == Level::Warn).count(), 2, "{log:?}");
}

#[test]
fn refuses_or_passes_a_request_body_that_is_not_json() {
    let edits = json!([{ "op": "set", "pointer": "/a", "value": 1 }]);
    for (policy, body) in [("reject", "{\"a\":"), ("pass", "{\"a\":"), ("reject", "{}{}")] {
        let harness = harness(json!({ "request": { "json": edits, "on_invalid_json": policy } }));
        let request = testing::request().header("content-type", JSON).body(body);
        let exchange = harness.request(request);
        if policy == "reject" {
            assert_eq!(exchange.answer().unwrap().status(), 400);
        } else {
            assert_eq!(exchange.request().text(), body);
        }
    }
}

#[test]
fn refuses_or_passes_a_response_body_that_is_not_json() {
    let edits = json!([{ "op": "set", "pointer": "/a", "value": 1 }]);
    let response = || testing::response().header("content-type", JSON).body("<html>");
    let reject = harness(json!({ "response": { "json": edits } }));
    let mut exchange = reject.request(testing::request());
    assert_eq!(exchange.response(response()).status(), 502);
    let pass = harness(json!({ "response": { "json": edits, "on_invalid_json": "pass" } }));
    let mut exchange = pass.request(testing::request());
    assert_eq!(exchange.response(response()).text(), "<html>");
}

#[test]
fn a_body_over_the_limit_is_too_large() {
    let harness = harness(json!({
        "request": { "json": [{ "op": "remove", "pointer": "/a" }], "body_limit": "1KiB" },
        "response": { "json": [{ "op": "remove", "pointer": "/a" }], "body_limit": 16 },
    }));
    let body = format!("\"{}\"", "x".repeat(1023));
    let exchange = harness.request(testing::request().header("content-type", JSON).body(body));
    assert_eq!(exchange.outcome(), &Outcome::RequestTooLarge);
    let mut exchange = harness.request(testing::request());
    let response = testing::response().header("content-type", JSON).body("[1,2,3,4,5,6,7,8,9]");
    assert_eq!(exchange.try_response(response), &Outcome::ResponseTooLarge);
}

#[test]
fn edits_json_of_responses_with_values_of_request_and_response() {
    let harness = harness(json!({ "response": { "json": [
        { "op": "wrap", "key": "data" },
        { "op": "set", "pointer": "/path", "value": "${request.path}" },
        { "op": "set", "pointer": "/status", "value": "${response.status}", "as": "number" },
        { "op": "set", "pointer": "/by", "value": "${consumer.id|nobody}" },
    ] } }));
    let mut exchange = harness.request(testing::request().path("/orders"));
    let response = testing::response()
        .status(201)
        .header("content-type", "application/hal+json; charset=utf-8")
        .body("[1,2]");
    let answer = exchange.response(response);
    assert_eq!(answer.text(), r#"{"data":[1,2],"path":"/orders","status":201,"by":"nobody"}"#);
}

#[test]
fn other_media_types_pass_and_the_types_can_be_chosen() {
    let edits = json!([{ "op": "set", "pointer": "/a", "value": 1 }]);
    let default = harness(json!({ "request": { "json": edits } }));
    let request = || testing::request().header("content-type", "text/plain").body("{}");
    assert_eq!(default.request(request()).request().text(), "{}");
    let chosen = harness(json!({ "request": { "json": edits, "json_types": ["text/plain"] } }));
    assert_eq!(chosen.request(request()).request().text(), r#"{"a":1}"#);
    let any = harness(json!({ "request": { "json": edits, "json_types": ["*/*"] } }));
    assert_eq!(any.request(testing::request().body("{}")).request().text(), r#"{"a":1}"#);
}

#[test]
fn an_encoded_body_is_refused_unless_it_may_pass() {
    let edits = json!([{ "op": "set", "pointer": "/a", "value": 1 }]);
    let reject = harness(json!({ "request": { "json": edits }, "response": { "json": edits } }));
    let pass = harness(json!({
        "request": { "json": edits, "on_encoded_body": "pass" },
        "response": { "json": edits, "on_encoded_body": "pass" },
    }));
    let request = |coding: &str| {
        testing::request()
            .header("content-type", JSON)
            .header("content-encoding", coding)
            .body("{}")
    };
    let response = || {
        testing::response().header("content-type", JSON).header("content-encoding", "br").body("{}")
    };

    let mut exchange = pass.request(request("gzip"));
    assert_eq!(exchange.request().text(), "{}");
    assert_eq!(exchange.log()[0].level, Level::Debug);
    assert_eq!(exchange.response(response()).text(), "{}");

    assert_eq!(reject.request(request("gzip")).answer().unwrap().status(), 415);
    let mut exchange = reject.request(request("Identity"));
    assert_eq!(exchange.request().text(), r#"{"a":1}"#);
    assert_eq!(exchange.response(response()).status(), 502);
}

#[test]
fn json_with_a_byte_order_mark_is_read() {
    let edits = json!([{ "op": "set", "pointer": "/a", "value": 1 }]);
    let harness = harness(json!({ "request": { "json": edits }, "response": { "json": edits } }));
    let request = |body: &'static str| testing::request().header("content-type", JSON).body(body);
    let mut exchange = harness.request(request("\u{feff}{}"));
    assert_eq!(exchange.request().text(), r#"{"a":1}"#);
    let response = testing::response().header("content-type", JSON).body("\u{feff}{\"b\":2}");
    assert_eq!(exchange.response(response).text(), r#"{"b":2,"a":1}"#);
    assert_eq!(harness.request(request("\u{feff}")).request().text(), "\u{feff}");
    let twice = harness.request(request("\u{feff}\u{feff}{}"));
    assert_eq!(twice.answer().unwrap().status(), 400);
}

#[test]
fn asks_the_upstream_for_a_whole_body_without_coding_only_if_it_changes_it() {
    let request = || {
        testing::request()
            .header("accept-encoding", "gzip")
            .header("range", "bytes=0-1")
            .header("if-range", "x")
    };
    let body = harness(json!({ "response": { "text": [{ "find": "a", "replace": "b" }] } }));
    let exchange = body.request(request());
    assert_eq!(exchange.request().header("accept-encoding"), Some("identity"));
    assert_eq!(exchange.request().header("range"), None);
    assert_eq!(exchange.request().header("if-range"), None);
    let head = harness(json!({ "response": { "status": 200 } }));
    let exchange = head.request(request());
    assert_eq!(exchange.request().header("accept-encoding"), Some("gzip"));
    assert_eq!(exchange.request().header("range"), Some("bytes=0-1"));
}

#[test]
fn fields_that_describe_the_former_body_go_and_its_tag_becomes_weak() {
    let harness = harness(json!({ "response": { "text": [{ "find": "a", "replace": "b" }] } }));
    let response = |content_type: &str, tag: &str| {
        let mut response =
            testing::response().header("content-type", content_type).header("etag", tag).body("a");
        for name in ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"] {
            response = response.header(name, "x");
        }
        response
    };
    for (content_type, tag, after, left) in [
        ("text/html", "\"1\"", "W/\"1\"", 0),
        ("text/html", "W/\"1\"", "W/\"1\"", 0),
        ("image/png", "\"1\"", "\"1\"", 5),
    ] {
        let mut exchange = harness.request(testing::request());
        let answer = exchange.response(response(content_type, tag));
        assert_eq!(answer.header("etag"), Some(after), "{content_type}");
        let names = ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"];
        assert_eq!(names.iter().filter(|name| answer.header(name).is_some()).count(), left);
    }
    let mut exchange = harness.request(testing::request());
    let answer = exchange.response(testing::response().status(304).header("etag", "\"1\""));
    assert_eq!(answer.header("etag"), Some("W/\"1\""));
}

#[test]
fn replaces_text_across_the_chunks_of_a_response() {
    let harness = harness(json!({ "response": { "text": [
        { "find": "internal.example", "replace": "${request.header.host|api}.example.com" },
        { "find": "internal.example:8080", "replace": "api:443" },
    ] } }));
    let mut exchange = harness.request(testing::request().header("host", "shop"));
    let response = testing::response().header("content-type", "text/html").chunks([
        "<a href='http://int",
        "ernal.example/x'>",
        "http://internal.example",
        ":80",
        "80 is intern",
    ]);
    assert_eq!(
        exchange.response(response).text(),
        "<a href='http://shop.example.com/x'>http://api:443 is intern"
    );
}

#[test]
fn replaces_text_in_requests_while_both_bodies_stream() {
    let rules = |find: &str| json!({ "text": [{ "find": find, "replace": "<${consumer.id}>" }] });
    let harness = harness(json!({ "request": rules("public"), "response": rules("internal") }));
    let request = testing::request()
        .header("content-type", "text/plain")
        .attribute("consumer.id", "ada")
        .chunks(["a pub", "lic b pub"]);
    let mut exchange = harness.request(request);
    assert_eq!(exchange.request().text(), "a <ada> b pub");
    let response =
        testing::response().header("content-type", "text/plain").chunks(["in", "ter", "nal", "."]);
    assert_eq!(exchange.response(response).text(), "<ada>.");
}

#[test]
fn text_is_replaced_in_a_json_body_after_its_edits() {
    let harness = harness(json!({ "response": {
        "json": [{ "op": "set", "pointer": "/url", "value": "http://internal/x" }],
        "text": [{ "find": "http://internal", "replace": "https://api" }],
    } }));
    let mut exchange = harness.request(testing::request());
    let response =
        testing::response().header("content-type", JSON).body("{\"a\":\"http://internal\"}");
    let answer = exchange.response(response);
    assert_eq!(answer.text(), r#"{"a":"https://api","url":"https://api/x"}"#);
    let mut exchange = harness.request(testing::request());
    let response = testing::response().header("content-type", "text/css").body("http://internal");
    assert_eq!(exchange.response(response).text(), "https://api");
}

#[test]
fn responses_without_a_body_are_left_alone() {
    let harness =
        harness(json!({ "response": { "json": [{ "op": "set", "pointer": "/a", "value": 1 }] } }));
    for status in [200, 204, 304] {
        let mut exchange = harness.request(testing::request());
        let answer =
            exchange.response(testing::response().status(status).header("content-type", JSON));
        assert_eq!((answer.status(), answer.text()), (status, ""));
    }
}
