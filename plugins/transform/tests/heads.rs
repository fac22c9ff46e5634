//! Heads of requests and responses, through the hooks.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::serde_json::{Value, json};
use gateway_plugin_sdk::testing::{self, Harness, Outcome};
use transform::Transform;

fn harness(config: Value) -> Harness<Transform> {
    Harness::new(config).expect("the configuration is right")
}

#[test]
fn asks_only_for_the_hooks_and_values_that_its_rules_need() {
    let constant = harness(json!({ "response": { "headers": {
        "set": { "x-a": [" 1 ", "2"] },
        "remove": ["server"],
    } } }));
    let expected = Interest::new()
        .always_remove_response_header("server")
        .always_set_response_header("x-a", "1")
        .always_add_response_header("x-a", "2");
    assert_eq!(constant.interest(), &expected);

    let constant = harness(json!({ "request": { "headers": {
        "set": { "x-a": "1" }, "add": { "x-b": "2" }, "remove": ["x-c"],
    } } }));
    let expected = Interest::new()
        .always_remove_header("x-c")
        .always_set_header("x-a", "1")
        .always_add_header("x-b", "2");
    assert_eq!(constant.interest(), &expected);

    let default = harness(json!({ "request": { "headers": { "default": { "x-a": "1" } } } }));
    assert_eq!(default.interest(), &Interest::on_request().header("x-a"));

    let method = json!({ "method": "PUT", "headers": { "set": { "x-a": "1" } } });
    assert_eq!(harness(json!({ "request": method })).interest(), &Interest::on_request());

    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let many = harness(json!({ "request": { "headers": { "add": { "x-a": many } } } }));
    assert_eq!(many.interest(), &Interest::on_request(), "more than the gateway takes");

    let templates = harness(json!({
        "request": { "headers": {
            "set": { "x-a": "${request.header.X-In} ${consumer.id}" },
            "rename": { "x-old": "x-new" },
        } },
        "response": { "headers": { "set": { "x-b": "${response.header.server} ${route.name}" } } },
    }));
    let expected = Interest::on_request()
        .header("x-old")
        .header("x-in")
        .attribute("consumer.id")
        .and_on_response()
        .response_header("server");
    assert_eq!(templates.interest(), &expected);

    let carried =
        harness(json!({ "response": { "headers": { "set": { "x": "${request.path}" } } } }));
    assert_eq!(carried.interest(), &Interest::on_request().path(), "known with the request");

    let both = harness(json!({
        "request": { "headers": { "remove": ["x-a"] } },
        "response": { "headers": { "set": { "x": "1" }, "default": { "y": "1" } } },
    }));
    let expected = Interest::on_response().always_remove_header("x-a").response_header("y");
    assert_eq!(both.interest(), &expected, "whether it is there is only known later");

    let body = harness(json!({ "request": { "text": [{ "find": "a", "replace": "b" }] } }));
    let expected = Interest::on_request().header("content-type").header("content-encoding");
    assert_eq!(body.interest(), &expected);
}

#[test]
fn sets_adds_removes_renames_and_defaults_request_headers() {
    let harness = harness(json!({ "request": { "headers": {
        "remove": ["X-Gone"],
        "rename": { "x-old": "x-new", "x-missing": "x-kept" },
        "set": { "X-Set": "new", "x-many": ["1", "2"] },
        "add": { "x-add": ["b", "c"] },
        "default": { "x-there": "default", "x-absent": "default" },
    } } }));
    let request = testing::request()
        .header("x-gone", "1")
        .header("x-old", "a")
        .header("x-old", "b, c")
        .header("x-new", "replaced")
        .header("x-kept", "kept")
        .header("x-set", "old")
        .header("x-add", "a")
        .header("x-there", "there");
    let exchange = harness.request(request);
    let request = exchange.request();
    assert_eq!(request.header("x-gone"), None);
    assert_eq!(request.header("x-old"), None);
    assert_eq!(request.header_values("x-new"), ["a", "b, c"]);
    assert_eq!(request.header("x-kept"), Some("kept"));
    assert_eq!(request.header_values("x-set"), ["new"]);
    assert_eq!(request.header_values("x-many"), ["1", "2"]);
    assert_eq!(request.header_values("x-add"), ["a", "b", "c"]);
    assert_eq!(request.header("x-there"), Some("there"));
    assert_eq!(request.header("x-absent"), Some("default"));
}

#[test]
fn sets_adds_removes_renames_and_defaults_response_headers() {
    let harness = harness(json!({ "response": { "headers": {
        "remove": ["server"],
        "rename": { "x-cookie": "set-cookie" },
        "set": { "x-set": "new" },
        "add": { "vary": "origin" },
        "default": { "cache-control": "no-store" },
    } } }));
    let mut exchange = harness.request(testing::request());
    let response = testing::response()
        .header("server", "x")
        .header("x-cookie", "a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT")
        .header("x-cookie", "b=2")
        .header("vary", "accept");
    let answer = exchange.response(response);
    assert_eq!(answer.header("server"), None);
    assert_eq!(
        answer.header_values("set-cookie"),
        ["a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"]
    );
    assert_eq!(answer.header("x-set"), Some("new"));
    assert_eq!(answer.header_values("vary"), ["accept", "origin"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn two_headers_can_be_swapped() {
    let harness =
        harness(json!({ "request": { "headers": { "rename": { "x-a": "x-b", "x-b": "x-a" } } } }));
    let exchange = harness.request(testing::request().header("x-a", "1").header("x-b", "2"));
    assert_eq!(exchange.request().header("x-a"), Some("2"));
    assert_eq!(exchange.request().header("x-b"), Some("1"));
}

#[test]
fn templates_see_the_request_as_it_came_whatever_is_changed() {
    let harness = harness(json!({ "request": {
        "method": "PUT",
        "path": "/new",
        "query": { "remove": ["a"] },
        "headers": {
            "remove": ["x-in"],
            "set": {
                "x-out": "${request.method} ${request.path} ${request.query} ${request.query.a} \
                          ${request.header.x-in} ${capture.id} ${consumer.id} ${attribute.plan}",
                "x-dollar": "$${x} $1",
            },
        },
    } }));
    let request = testing::request()
        .method("POST")
        .path("/old")
        .query("a=1%202&b")
        .header("x-in", "in")
        .attribute("capture.id", "7")
        .attribute("consumer.id", "ada")
        .attribute("plan", "gold");
    let exchange = harness.request(request);
    let request = exchange.request();
    assert_eq!(request.header("x-out"), Some("POST /old a=1%202&b 1 2 in 7 ada gold"));
    assert_eq!(request.header("x-dollar"), Some("${x} $1"));
    assert_eq!((request.method(), request.path(), request.query()), ("PUT", "/new", Some("b")));
    assert_eq!(request.header("x-in"), None);
}

#[test]
fn templates_of_the_response_see_the_request_the_attributes_and_the_response() {
    let harness = harness(json!({
        "request": { "path": "/changed" },
        "response": { "status": { "2xx": 203 }, "headers": { "set": {
            "x-out": "${request.path} ${request.header.x-in|none} ${client.address} \
                      ${response.status} ${response.header.server}",
            "x-left-out": "${response.header.missing?}",
        } } },
    }));
    let request = testing::request().path("/old").attribute("client.address", "192.0.2.1");
    let mut exchange = harness.request(request);
    let answer = exchange.response(
        testing::response().status(201).header("server", "s").header("x-left-out", "as it was"),
    );
    assert_eq!(answer.header("x-out"), Some("/old none 192.0.2.1 201 s"));
    assert_eq!(answer.header("x-left-out"), Some("as it was"));
    assert_eq!(answer.status(), 203);
}

#[test]
fn a_value_that_would_break_the_header_leaves_it_as_it_was_and_is_logged() {
    let harness = harness(json!({ "request": { "headers": { "set": {
        "x-out": "${request.query.q}",
        "x-fine": "1",
    } } } }));
    let request = testing::request().query("q=a%0D%0Ax-evil:%201").header("x-out", "before");
    let exchange = harness.request(request);
    assert_eq!(exchange.request().header("x-out"), Some("before"));
    assert_eq!(exchange.request().header("x-fine"), Some("1"));
    let log = exchange.log();
    assert_eq!(log.len(), 1);
    assert!(log[0].message.contains("x-out"), "{log:?}");
    assert!(!log[0].message.contains("evil"), "{log:?}");
}

#[test]
fn makes_paths_of_captures_percent_encoded() {
    let harness = harness(json!({ "request": { "path": "/v2/${capture.id}/${capture.rest}" } }));
    let request = testing::request()
        .path("/old")
        .attribute("capture.id", "a b?#%é")
        .attribute("capture.rest", "x/y z");
    let exchange = harness.request(request);
    assert_eq!(exchange.request().path(), "/v2/a%20b%3F%23%25%C3%A9/x/y%20z");
}

#[test]
fn captures_are_text_where_text_is_written_and_encoded_anew_in_path_and_query() {
    let harness = harness(json!({ "request": {
        "path": "/v2/${capture.id}",
        "query": { "set": { "id": "${capture.id}" } },
        "headers": { "set": { "x-id": "${capture.id}" } },
    } }));
    // The client asked for these, and the gateway decoded each of them once.
    for (asked, capture, path, query) in [
        ("/a%20b", "a b", "/v2/a%20b", "id=a%20b"),
        ("/a%2520b", "a%20b", "/v2/a%2520b", "id=a%2520b"),
        ("/%252F..%252F", "%2F..%2F", "/v2/%252F..%252F", "id=%252F..%252F"),
        ("/a%3Bb=c", "a;b=c", "/v2/a%3Bb=c", "id=a%3Bb%3Dc"),
        ("/a@b", "a@b", "/v2/a@b", "id=a%40b"),
    ] {
        let request = testing::request().path(asked).attribute("capture.id", capture);
        let exchange = harness.request(request);
        let request = exchange.request();
        assert_eq!((request.path(), request.query()), (path, Some(query)), "{asked}");
        assert_eq!(request.header("x-id"), Some(capture), "{asked}");
    }
}

#[test]
fn refuses_a_path_of_a_capture_that_was_no_text() {
    let harness = harness(json!({ "request": { "path": "/v2/${capture.id}" } }));
    // What `%FF` becomes in an attribute.
    let exchange = harness.request(testing::request().attribute("capture.id", "\u{FFFD}"));
    assert_eq!(exchange.answer().unwrap().status(), 400);
}

#[test]
fn refuses_values_that_would_make_an_ambiguous_path() {
    let harness = harness(json!({ "request": { "path": "/users/${request.header.x-user}/data" } }));
    for value in ["..", ".", "a/b", "a\\b", "..;x", ""] {
        let exchange = harness.request(testing::request().header("x-user", value));
        assert_eq!(exchange.outcome(), &Outcome::Respond, "{value:?}");
        assert_eq!(exchange.answer().unwrap().status(), 400, "{value:?}");
    }
    let exchange = harness.request(testing::request().header("x-user", "..a"));
    assert_eq!(exchange.request().path(), "/users/..a/data");
}

#[test]
fn a_path_whose_value_is_missing_can_be_left_out() {
    let harness = harness(json!({ "request": { "path": "/users/${consumer.id?}" } }));
    let exchange = harness.request(testing::request().path("/me"));
    assert_eq!(exchange.request().path(), "/me");
    let exchange = harness.request(testing::request().attribute("consumer.id", "ada"));
    assert_eq!(exchange.request().path(), "/users/ada");
}

#[test]
fn changes_the_query() {
    let harness = harness(json!({ "request": { "query": {
        "remove": ["debug"],
        "rename": { "q": "query" },
        "set": { "tenant": "${consumer.id}" },
        "add": { "tag": ["a&b", "c"] },
        "default": { "page": "1", "size": "10" },
    } } }));
    let request = testing::request()
        .query("q=x%20y&debug=1&tenant=evil&size=5&tenant=worse")
        .attribute("consumer.id", "a d");
    let exchange = harness.request(request);
    assert_eq!(
        exchange.request().query(),
        Some("query=x%20y&tenant=a%20d&size=5&tag=a%26b&tag=c&page=1")
    );
}

#[test]
fn removing_the_last_parameter_removes_the_query() {
    let harness = harness(json!({ "request": { "query": { "remove": ["a"] } } }));
    assert_eq!(harness.request(testing::request().query("a=1")).request().query(), None);
    assert_eq!(harness.request(testing::request().query("b=%7e")).request().query(), Some("b=%7e"));
}

#[test]
fn changes_method_and_host_and_keeps_them_when_their_value_is_none() {
    let harness = harness(json!({ "request": {
        "method": "${request.header.x-http-method-override|PATCH}",
        "host": "${request.header.x-tenant}.example.com",
    } }));
    let exchange = harness.request(testing::request().method("POST").header("x-tenant", "a"));
    assert_eq!(exchange.request().method(), "PATCH");
    assert_eq!(exchange.request().header("host"), Some("a.example.com"));
    let request = testing::request()
        .method("POST")
        .header("x-http-method-override", "NOT A METHOD")
        .header("x-tenant", "evil/path?")
        .header("host", "before");
    let exchange = harness.request(request);
    assert_eq!(exchange.request().method(), "POST");
    assert_eq!(exchange.request().header("host"), Some("before"));
    assert_eq!(exchange.log().len(), 2);
}

#[test]
fn changes_the_status_for_all_or_by_code_and_class() {
    let all = harness(json!({ "response": { "status": 200 } }));
    let some = harness(json!({ "response": { "status": { "404": 200, "5xx": 502 } } }));
    for (harness, before, after) in
        [(&all, 500, 200), (&some, 404, 200), (&some, 503, 502), (&some, 403, 403)]
    {
        let mut exchange = harness.request(testing::request());
        assert_eq!(exchange.response(testing::response().status(before)).status(), after);
    }
}

#[test]
fn points_at_everything_that_is_wrong() {
    let error = Harness::<Transform>::new(json!({
        "request": {
            "method": "GE T",
            "host": "a/b",
            "path": "v2",
            "query": { "rename": { "a": "c", "b": "c" } },
            "headers": {
                "remove": ["content-length", "a b"],
                "rename": { "x": "y z" },
                "set": { "x/y": "1", "x-a": "${request.nothing}", "x-b": "a\nb", "x-c": [] },
                "add": { "x-d": ["ok", "${"] },
            },
        },
        "response": {
            "status": { "99": 200, "404": 99, "6xx": 200 },
            "headers": { "set": { "X-A": "1", "x-a": "2" } },
            "json": [
                { "op": "set", "pointer": "a", "value": 1 },
                { "op": "set", "pointer": "/a", "value": { "b": ["${x}"] } },
                { "op": "set", "pointer": "/a", "value": 1, "as": "number" },
                { "op": "remove", "pointer": "" },
                { "op": "rename", "pointer": "/a", "to": "/a/b" },
            ],
            "text": [{ "find": "", "replace": "" }, { "find": "a", "replace": "${y}" }],
            "json_types": ["json"],
        },
    }));
    let error = error.err().expect("much is wrong");
    let pointers: Vec<&str> = error.issues().iter().map(|issue| issue.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/request/method",
            "/request/host",
            "/request/path",
            "/request/query/rename/b",
            "/request/headers/remove/0",
            "/request/headers/remove/1",
            "/request/headers/rename/x",
            "/request/headers/set/x-a",
            "/request/headers/set/x-b",
            "/request/headers/set/x-c",
            "/request/headers/set/x~1y",
            "/request/headers/add/x-d/1",
            "/response/status/404",
            "/response/status/6xx",
            "/response/status/99",
            "/response/headers/set/x-a",
            "/response/json_types/0",
            "/response/json/0/pointer",
            "/response/json/1/value/b/0",
            "/response/json/2/as",
            "/response/json/3/pointer",
            "/response/json/4/to",
            "/response/text/0/find",
            "/response/text/1/replace",
        ]
    );
}

#[test]
fn rejects_paths_that_no_value_could_make_safe() {
    for path in
        ["", "a", "/a//${capture.b}", "/a?b=${capture.b}", "/../${capture.b}", "/a b", "/%zz"]
    {
        let config = json!({ "request": { "path": path } });
        let error = Harness::<Transform>::new(config).err().expect(path);
        assert_eq!(error.issues()[0].pointer, "/request/path", "{path}");
    }
    for path in
        ["/", "/a/${capture.b}", "/v${capture.b}.json", "${request.path}/x", "/a/.${capture.b}"]
    {
        harness(json!({ "request": { "path": path } }));
    }
}

#[test]
fn rejects_unknown_settings_wrong_types_and_a_configuration_without_rules() {
    for (config, pointer) in [
        (json!({ "requests": {} }), ""),
        (json!({ "request": { "headers": { "sets": {} } } }), "/request/headers"),
        (json!({ "request": { "headers": { "set": { "a": 1 } } } }), "/request/headers/set/a"),
        (json!({ "response": { "status": "ok" } }), "/response/status"),
        (json!({}), ""),
    ] {
        let error = Harness::<Transform>::new(&config).err().expect("is refused");
        let found = &error.issues()[0].pointer;
        assert!(found.starts_with(pointer), "{config}: {found}");
    }
}

#[test]
fn rejects_settings_that_would_do_nothing() {
    let edits = json!([{ "op": "remove", "pointer": "/a" }]);
    for (side, setting, value) in [
        ("request", "json_types", json!(["+json"])),
        ("request", "text_types", json!(["text/*"])),
        ("request", "text_charset", json!("decode")),
        ("request", "on_invalid_json", json!("pass")),
        ("request", "on_encoded_body", json!("decode")),
        ("response", "event_types", json!(["text/x"])),
        ("response", "event_limit", json!(1024)),
        ("response", "on_encoded_body", json!("pass")),
    ] {
        let mut config = json!({ "request": { "method": "PUT" }, "response": { "status": 200 } });
        config[side][setting] = value;
        let error = Harness::<Transform>::new(&config).err().expect(setting);
        let issue = &error.issues()[0];
        assert_eq!(issue.pointer, format!("/{side}/{setting}"));
        assert!(issue.message.contains("that it would be for"), "{issue:?}");
    }
    for (side, setting, config) in [
        ("request", "json_types", json!({ "json": edits, "json_types": [] })),
        (
            "request",
            "text_types",
            json!({ "text": [{ "find": "a", "replace": "b" }], "text_types": [] }),
        ),
        ("response", "event_types", json!({ "events": [{ "drop": true }], "event_types": [] })),
        ("response", "accept_encoding", json!({ "status": 200, "accept_encoding": "client" })),
    ] {
        let error = Harness::<Transform>::new(json!({ side: config })).err().expect(setting);
        assert_eq!(error.issues()[0].pointer, format!("/{side}/{setting}"));
    }
}

#[test]
fn a_request_keeps_one_valid_host() {
    for headers in [
        json!({ "set": { "host": "a b" } }),
        json!({ "set": { "Host": "" } }),
        json!({ "set": { "host": ["a", "b"] } }),
        json!({ "add": { "host": "a" } }),
        json!({ "remove": ["Host"] }),
        json!({ "rename": { "host": "x-host" } }),
    ] {
        let config = json!({ "request": { "headers": headers } });
        let error = Harness::<Transform>::new(&config).err().expect("is refused");
        assert!(error.issues()[0].pointer.starts_with("/request/headers"), "{headers}");
    }
    let set = json!({ "set": { "host": "${request.header.x-host}" } });
    let harness = harness(json!({ "request": { "headers": set } }));
    for (given, sent) in [("b.example:81", "b.example:81"), ("b/c", "a.example")] {
        let request = testing::request().header("host", "a.example").header("x-host", given);
        assert_eq!(harness.request(request).request().header("host"), Some(sent), "{given}");
    }
}
