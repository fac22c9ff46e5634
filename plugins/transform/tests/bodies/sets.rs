//! Rules for some status codes, and streams of events, through the hooks.

use gateway_plugin_sdk::serde_json::json;
use gateway_plugin_sdk::testing::{self, Harness, Outcome};
use transform::Transform;

use super::{JSON, harness};

#[test]
fn rules_are_for_the_status_that_came_and_all_that_match_apply_in_order() {
    let harness = harness(json!({ "response": [
        { "headers": { "set": { "x-all": "1" }, "remove": ["server"] } },
        { "when": { "status": ["4xx", 503] },
          "status": { "404": 200, "503": 502 },
          "headers": { "set": { "x-failed": "${response.status}", "x-all": "2" } },
          "json": [{ "op": "wrap", "key": "error" }] },
        { "when": { "status": ["500-502", "503"] }, "json": [{ "op": "wrap", "key": "server" }] },
        { "when": { "status": ["2xx"] }, "text": [{ "find": "internal", "replace": "api" }] },
    ] }));
    for (status, after, failed, body) in [
        (200, 200, None, r#"{"at":"api"}"#),
        (404, 200, Some("404"), r#"{"error":{"at":"internal"}}"#),
        (503, 502, Some("503"), r#"{"server":{"error":{"at":"internal"}}}"#),
        (501, 501, None, r#"{"server":{"at":"internal"}}"#),
        (504, 504, None, r#"{"at":"internal"}"#),
        (304, 304, None, ""),
    ] {
        let mut exchange = harness.request(testing::request());
        let mut response = testing::response()
            .status(status)
            .header("server", "x")
            .header("content-type", JSON)
            .header("etag", "\"1\"");
        if !body.is_empty() {
            response = response.body(r#"{"at":"internal"}"#);
        }
        let answer = exchange.response(response);
        assert_eq!((answer.status(), answer.text()), (after, body));
        assert_eq!((answer.header("x-failed"), answer.header("server")), (failed, None));
        assert_eq!(answer.header("x-all"), Some(if failed.is_some() { "2" } else { "1" }));
        let is_read = status != 504;
        assert_eq!(answer.header("etag"), Some(if is_read { "W/\"1\"" } else { "\"1\"" }));
    }
}

#[test]
fn a_list_of_one_set_for_all_costs_what_the_set_alone_costs() {
    let set = json!({ "headers": { "set": { "x-a": "1" } } });
    let one = harness(json!({ "response": set }));
    let list = harness(json!({ "response": [set] }));
    assert_eq!(one.interest(), list.interest());
    assert!(!one.interest().wants_response());
    let some = harness(
        json!({ "response": [{ "when": { "status": [404] }, "headers": set["headers"] }] }),
    );
    assert!(some.interest().wants_response());
}

#[test]
fn faults_of_sets_and_events_are_told_with_their_places() {
    let wrong = json!({ "response": [
        { "when": { "status": ["1xx", 600, "503-500"] }, "status": 700 },
        { "events": [
            { "drop": true, "rename": "x" },
            {},
            { "types": ["a\nb"], "rename": "${", "json": [{ "op": "remove", "pointer": "a" }] },
        ], "event_limit": "1MiB", "accept_encoding": "client" },
        { "json": [{ "op": "wrap", "key": "a" }], "on_encoded_body": "decode",
          "events": [{ "drop": true }], "accept_encoding": "client" },
        { "when": { "status": [] }, "headers": { "set": { "x": "${nothing}" } } },
    ] });
    let error = Harness::<Transform>::new(&wrong).err().unwrap();
    let places: Vec<_> = error.issues().iter().map(|issue| issue.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/response/0/when/status/0",
            "/response/0/when/status/1",
            "/response/0/when/status/2",
            "/response/0/status",
            "/response/1/event_limit",
            "/response/1/events/0/drop",
            "/response/1/events/1",
            "/response/1/events/2/types/0",
            "/response/1/events/2/rename",
            "/response/1/events/2/json/0/pointer",
            "/response/1/accept_encoding",
            "/response/2/accept_encoding",
            "/response/3/when/status",
            "/response/3/headers/set/x",
        ],
        "{error}"
    );
    for (config, pointer) in [
        (json!({ "response": [] }), "/response"),
        (json!({ "response": [{}, { "hedaers": {} }] }), "/response/1/hedaers"),
        (json!({ "response": { "status": true } }), "/response/status"),
    ] {
        let error = Harness::<Transform>::new(&config).err().unwrap();
        assert_eq!(error.issues()[0].pointer, pointer, "{error}");
    }
}

const EVENTS: &str = "text/event-stream; charset=utf-8";

#[test]
fn events_are_changed_one_by_one_while_they_stream() {
    let harness = harness(json!({ "response": {
        "events": [
            { "types": ["ping"], "drop": true },
            { "json": [{ "op": "remove", "pointer": "/internal" },
                       { "op": "set", "pointer": "/for", "value": "${request.header.x-user}" }] },
            { "types": ["message"], "rename": "delta", "text": [{ "find": "<", "replace": "&lt;" }] },
        ],
        "text": [{ "find": "internal.example", "replace": "api.example.com" }],
        // Not for a stream, which has no end.
        "json": [{ "op": "wrap", "key": "data" }],
        "json_types": ["*/*"],
    } }));
    let mut exchange = harness.request(testing::request().header("x-user", "ada\u{e9}"));
    let response = testing::response().header("content-type", EVENTS).chunks([
        "event: ping\ndata: {}\n\nid: 1\ndata: {\"inter",
        "nal\":1,\"n\":1.0,\"t\":\"<b>\"}\n",
        "\n: internal.exam",
        "ple\n\ndata: [DONE]\n\n",
    ]);
    let answer = exchange.response(response);
    assert_eq!(
        answer.text(),
        "id: 1\nevent: delta\ndata: {\"n\":1.0,\"t\":\"&lt;b>\",\"for\":\"ada\u{e9}\"}\n\n\
         : api.example.com\n\nevent: delta\ndata: [DONE]\n\n"
    );
}

#[test]
fn a_stream_with_a_coding_is_refused_or_passes_and_a_large_event_breaks_it_off() {
    let events = json!([{ "drop": true }]);
    let stream = || testing::response().header("content-type", EVENTS);
    for (policy, status) in [("reject", 502), ("decode", 502), ("recode", 502), ("pass", 200)] {
        let harness =
            harness(json!({ "response": { "events": events, "on_encoded_body": policy } }));
        let mut exchange = harness.request(testing::request());
        let answer = exchange.response(stream().header("content-encoding", "gzip").body("x"));
        assert_eq!(answer.status(), status, "{policy}");
    }
    let harness = harness(json!({ "response": { "events": events, "event_limit": 20 } }));
    let mut exchange = harness.request(testing::request());
    let outcome = exchange.try_response(stream().chunks(["data: 1\n\ndata: ", "0123456789ABCDEF"]));
    assert!(
        matches!(outcome, Outcome::Abort(reason) if reason.contains("event_limit")),
        "{outcome:?}"
    );
}

#[test]
fn forms_become_json_and_json_becomes_forms_with_edits_in_between() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let harness = harness(json!({
        "request": {
            "convert": { "from": "form" },
            "json": [{ "op": "remove", "pointer": "/internal" },
                     { "op": "set", "pointer": "/n", "value": "${request.query.n}", "as": "number" }],
        },
        "response": {
            "convert": { "from": "json", "to": "form" },
            "json": [{ "op": "unwrap", "key": "data" }],
        },
    }));
    let request = |kind: &str, body: &'static str| {
        testing::request().query("n=1.50").header("content-type", kind).body(body)
    };
    let mut exchange = harness.request(request(FORM, "tag=a+b&internal=1&tag=%C3%A9"));
    assert_eq!(exchange.request().text(), r#"{"tag":["a b","é"],"n":1.50}"#);
    assert_eq!(exchange.request().header("content-type"), Some(JSON));
    let response = |body: &'static str| testing::response().header("content-type", JSON).body(body);
    let answer = exchange.response(response(r#"{"data":{"a":[1.0,"x&y"],"b":null}}"#));
    assert_eq!((answer.text(), answer.header("content-type")), ("a=1.0&a=x%26y", Some(FORM)));
    let mut exchange = harness.request(request(JSON, "tag=a"));
    assert_eq!(exchange.request().text(), "tag=a");
    assert_eq!(exchange.response(response("[1]")).status(), 502);
    let exchange = harness.request(request(FORM, "a=%FF"));
    let answer = exchange.answer().unwrap();
    assert!(answer.status() == 400 && answer.text().contains("cannot be converted"), "{answer:?}");

    let nothing = json!({ "request": { "convert": { "repeated": "last" } } });
    let error = Harness::<Transform>::new(&nothing).err().unwrap();
    assert_eq!(error.issues()[0].pointer, "/request/convert");
}

#[test]
fn templates_have_the_claims_of_a_token() {
    let harness = harness(json!({ "request": {
        "headers": { "set": { "x-tenant": "${consumer.claim.tenant|none}" } },
        "json": [{ "op": "set", "pointer": "/roles", "value": "${consumer.claim.roles}", "as": "json" }],
    } }));
    let request = testing::request()
        .header("content-type", JSON)
        .attribute("consumer.claim.tenant", "acme")
        .attribute("consumer.claim.roles", "[\"a\"]")
        .body("{}");
    let exchange = harness.request(request);
    assert_eq!(exchange.request().header("x-tenant"), Some("acme"));
    assert_eq!(exchange.request().text(), "{\"roles\":[\"a\"]}");
}
