//! What clients, services and operators see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_plugin_sdk::testing::{Harness, Outcome, RequestBuilder, request, response};
use serde_json::{Value, json};
use validate::Validate;

fn harness(config: Value) -> Harness<Validate> {
    Harness::<Validate>::new(config).unwrap()
}

fn post(body: &str) -> RequestBuilder {
    let length = body.len().to_string();
    let request = request().method("POST").path("/orders");
    request.header("content-type", "application/json").header("content-length", length).body(body)
}

/// Status and the places that are told.
fn told(harness: &Harness<Validate>, request: RequestBuilder) -> (u16, Vec<String>) {
    let exchange = harness.request(request);
    let Some(answer) = exchange.answer() else { return (0, Vec::new()) };
    let problem: Value = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
        let parameter = format!("{} {}", text("in"), text("parameter"));
        format!("{}{} {}", parameter.trim(), text("pointer"), text("detail"))
    };
    (answer.status(), errors.iter().map(line).collect())
}

fn order() -> Value {
    json!({ "request": { "required": true, "schema": {
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": { "id": { "type": "integer", "maximum": 9007199254740992_i64 }, "note": { "maxLength": 3 } },
    }}})
}

#[test]
fn a_body_is_refused_with_every_place_that_is_wrong_and_no_value() {
    let harness = harness(order());
    assert_eq!(told(&harness, post(r#"{"id": 1}"#)), (0, vec![]));
    let (status, errors) = told(&harness, post(r#"{"note": "secret", "password": 1}"#));
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        [
            " must have the property id",
            "/note must have at most 3 characters",
            "/password is not allowed",
        ]
    );
    assert_eq!(
        told(&harness, post(r#"{"id": 9007199254740993}"#)).1,
        ["/id must be at most 9007199254740992"]
    );
    assert_eq!(
        told(&harness, post("{")).1,
        [" is no JSON: a member's name is expected here (byte 1)"]
    );
    let (_, twice) = told(&harness, post(r#"{"id": 1, "id": 2}"#));
    assert_eq!(twice, [" is no JSON: the object has this member already (byte 10)"]);
}

#[test]
fn what_is_no_json_or_not_there_is_refused() {
    let harness = harness(order());
    let typed = |it: &str| post("{}").header("content-type", it);
    assert_eq!(
        told(&harness, request().method("POST").path("/")),
        (400, vec![" is missing".to_owned()])
    );
    assert_eq!(told(&harness, post("")).0, 400);
    assert_eq!(told(&harness, typed("text/plain")).0, 415);
    assert_eq!(told(&harness, post("{}").header("content-encoding", "gzip")).0, 415);
    let id = |it: &str| {
        let request = request().method("POST").path("/").header("content-type", it);
        told(&harness, request.header("content-length", "9").body(r#"{"id": 1}"#)).0
    };
    assert_eq!((id("application/merge-patch+json"), id("Application/JSON; charset=utf-8")), (0, 0));
    let mut small = order();
    small["request"]["limit"] = json!(4);
    let small = Harness::<Validate>::new(small).unwrap();
    assert_eq!(*small.request(post(r#"{"id": 1}"#)).outcome(), Outcome::RequestTooLarge);
    // A body without a type is not let through unread.
    let mut optional = order();
    optional["request"]["required"] = json!(false);
    let optional = Harness::<Validate>::new(optional).unwrap();
    assert_eq!(told(&optional, request().method("POST").path("/")).0, 0);
    assert_eq!(told(&optional, request().method("POST").path("/").body("{}")).0, 415);
}

#[test]
fn a_report_is_logged_and_counted_and_lets_pass() {
    let mut config = order();
    config["request"]["mode"] = json!("report");
    config["request"]["limit"] = json!(9);
    let harness = harness(config);
    let exchange = harness.request(post(r#"{"id":"s"}"#).header("content-length", "9"));
    assert!(exchange.answer().is_none());
    let exchange = harness.request(post(r#"{"i": 0}"#));
    assert!(exchange.answer().is_none());
    let line =
        "the request is not as it has to be: the body must have the property id; /i is not allowed";
    assert!(exchange.log().iter().any(|it| it.message == line), "{:?}", exchange.log());
    // What is longer than the limit passes too.
    assert!(harness.request(post(r#"{"id": 1, "note": "long"}"#)).answer().is_none());
}

#[test]
fn responses_are_reported_or_replaced() {
    let schema = json!({ "type": "object", "required": ["id"] });
    let answer = |status: u16, body: &str| {
        let length = body.len().to_string();
        response()
            .status(status)
            .header("content-type", "application/json")
            .header("content-length", length)
            .body(body)
    };
    let report = harness(json!({ "response": { "schema": schema } }));
    let mut exchange = report.request(request());
    assert_eq!(exchange.response(answer(200, "{}")).status(), 200);
    let line = "the response is not as it has to be: the body must have the property id";
    assert!(exchange.log().iter().any(|it| it.message == line), "{:?}", exchange.log());
    let enforce = harness(json!({ "response": { "schema": schema, "mode": "enforce" } }));
    let seen = |answer| {
        let mut exchange = enforce.request(request().header("accept-encoding", "gzip"));
        assert_eq!(exchange.request().header("accept-encoding"), None);
        let answer = exchange.response(answer);
        assert!(!answer.text().contains("must have"));
        answer.status()
    };
    assert_eq!(seen(answer(200, r#"{"id": 1}"#)), 200);
    assert_eq!(seen(answer(200, "{}")), 502);
    assert_eq!(seen(answer(200, "oops")), 502);
    assert_eq!(seen(answer(200, r#"{"id": 1}"#).header("content-encoding", "gzip")), 502);
    assert_eq!(seen(answer(404, "{}")), 404);
}

const DOCUMENT: &str = r##"{
    "openapi": "3.1.0",
    "info": { "title": "Orders", "version": "1" },
    "paths": {
        "/orders": {
            "get": {
                "parameters": [
                    { "name": "limit", "in": "query", "required": true, "schema": { "type": "integer", "minimum": 1 } },
                    { "name": "state", "in": "query", "schema": { "type": "array", "items": { "enum": ["open", "closed"] } } },
                    { "name": "ids", "in": "query", "explode": false, "schema": { "type": "array", "items": { "type": "integer" } } },
                    { "name": "filter", "in": "query", "style": "deepObject", "schema": { "type": "object",
                        "properties": { "total": { "type": "number" } }, "additionalProperties": false } },
                    { "name": "X-Trace", "in": "header", "schema": { "type": "string", "pattern": "^[a-f0-9]+$" } },
                    { "name": "theme", "in": "cookie", "schema": { "enum": ["dark", "light"] } }
                ],
                "responses": { "200": { "$ref": "#/components/responses/Orders" } }
            },
            "post": {
                "requestBody": { "$ref": "#/components/requestBodies/Order" },
                "responses": { "201": { "description": "made" }, "4XX": { "description": "wrong" } }
            }
        },
        "/orders/{id}": {
            "parameters": [{ "$ref": "#/components/parameters/Id" }],
            "get": { "responses": { "default": { "description": "any" } } },
            "delete": { "responses": { "204": { "description": "gone" } } }
        },
        "/orders/latest": { "get": { "responses": {} } }
    },
    "components": {
        "parameters": { "Id": { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } } },
        "requestBodies": { "Order": { "required": true, "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Order" } },
            "text/*": {}
        } } },
        "responses": { "Orders": { "description": "all", "content": { "application/json": { "schema": {
            "type": "array", "items": { "$ref": "#/components/schemas/Order" } } } } } },
        "schemas": { "Order": { "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string" },
            "parent": { "anyOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Order" }] }
        } } }
    }
}"##;

#[test]
fn an_openapi_document_says_what_requests_look_like() {
    let harness = harness(json!({ "openapi": { "text": DOCUMENT, "base_path": "/v1" } }));
    let get = |path: &str, query: &str| request().method("GET").path(path).query(query);
    let right =
        get("/v1/orders", "limit=5&state=open&state=closed&ids=1,2&filter[total]=1.5&other=1")
            .header("x-trace", "ab12")
            .header("cookie", "a=b; theme=dark");
    assert_eq!(told(&harness, right), (0, vec![]));
    let wrong = get("/v1/orders", "limit=0&state=new&ids=1,x&filter[total]=a&filter[b]=1")
        .header("x-trace", "XYZ")
        .header("cookie", "theme=blue");
    let (status, errors) = told(&harness, wrong);
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        [
            "query limit must be at least 1",
            "query state/0 must be one of \"closed\", \"open\"",
            "query ids/1 must be an integer",
            "query filter/b is not allowed",
            "query filter/total must be a number",
            "header x-trace must match the pattern ^[a-f0-9]+$",
            "cookie theme must be one of \"dark\", \"light\"",
        ]
    );
    assert_eq!(
        told(&harness, get("/v1/orders", "limit=1&limit=2")).1,
        ["query limit is there more than once"]
    );
    assert_eq!(told(&harness, get("/v1/orders", "")).1, ["query limit is missing"]);
    assert_eq!(told(&harness, get("/v1/orders/7", "")), (0, vec![]));
    assert_eq!(told(&harness, get("/v1/orders/x", "")).1, ["path id must be an integer"]);
    assert_eq!(told(&harness, get("/v1/orders/%37", "")), (0, vec![]));
    assert_eq!(told(&harness, get("/v1/orders/latest", "")), (0, vec![]));
    assert_eq!(told(&harness, get("/v1/nowhere", "")).0, 404);
    assert_eq!(told(&harness, get("/orders", "limit=1")).0, 404);
    let exchange = harness.request(get("/v1/orders/7", "").method("PUT"));
    let answer = exchange.answer().unwrap();
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("DELETE, GET")));
    assert_eq!(told(&harness, get("/v1/orders/7", "").method("HEAD")), (0, vec![]));
    let to = |request: RequestBuilder| request.path("/v1/orders");
    assert_eq!(
        told(&harness, to(post(r#"{"name": "a", "parent": {"name": "b", "parent": null}}"#))),
        (0, vec![])
    );
    assert_eq!(
        told(&harness, to(post(r#"{"name": "a", "parent": {"name": 1}}"#))).1,
        ["/parent/name must be a string"]
    );
    assert_eq!(told(&harness, to(post("{}"))).1, [" must have the property name"]);
    let typed = |it: &str| {
        let request = request().method("POST").path("/v1/orders").header("content-type", it);
        told(&harness, request.header("content-length", "1").body("x")).0
    };
    assert_eq!((typed("text/csv"), typed("image/png")), (0, 415));
    let passes = json!({ "openapi": { "text": DOCUMENT, "unknown": "pass" } });
    assert_eq!(told(&Harness::<Validate>::new(passes).unwrap(), get("/nowhere", "")), (0, vec![]));
}

#[test]
fn an_openapi_document_says_what_responses_look_like() {
    let config = json!({ "openapi": { "text": DOCUMENT }, "response": { "mode": "enforce" } });
    let harness = harness(config);
    let status = |status: u16, body: &str| {
        let mut exchange =
            harness.request(request().method("GET").path("/orders").query("limit=1"));
        let answer =
            response().status(status).header("content-type", "application/json").body(body);
        exchange.response(answer).status()
    };
    assert_eq!(status(200, r#"[{"name": "a"}]"#), 200);
    assert_eq!(status(200, r#"[{"name": 1}]"#), 502);
    assert_eq!(status(202, "[]"), 502);
    // Others refuse too, and no document lists that.
    assert_eq!(status(429, "{}"), 429);
}

#[test]
fn a_document_may_change_while_the_gateway_runs() {
    let text = |least: u32| DOCUMENT.replace("\"minimum\": 1", &format!("\"minimum\": {least}"));
    let harness = Harness::<Validate>::prepare()
        .document("api", text(1))
        .configure(json!({ "openapi": { "document": "api" } }))
        .unwrap();
    let get = || request().method("GET").path("/orders").query("limit=3");
    assert_eq!(told(&harness, get()).0, 0);
    harness.set_document("api", text(4));
    assert_eq!(told(&harness, get()).1, ["query limit must be at least 4"]);
    // One that cannot be read leaves the last in force.
    harness.set_document("api", "{");
    assert_eq!(told(&harness, get()).1, ["query limit must be at least 4"]);
    let empty = Harness::<Validate>::prepare()
        .document_from("api", || None)
        .configure(json!({ "openapi": { "document": "api" } }))
        .unwrap();
    assert_eq!(told(&empty, get()).0, 503);
}

#[test]
fn points_at_each_fault() {
    let schema = |schema: Value| json!({ "request": { "schema": schema } });
    let openapi = |text: &str| json!({ "openapi": { "text": text } });
    let cases = [
        (json!({}), vec![""]),
        (schema(json!({ "type": "text" })), vec!["/request/schema/type"]),
        (
            schema(
                json!({ "properties": { "a": { "pattern": "(?=a)" }, "b": { "$ref": "#/x" } } }),
            ),
            vec!["/request/schema/properties/a/pattern", "/request/schema/properties/b/$ref"],
        ),
        (schema(json!("{")), vec!["/request/schema"]),
        (schema(json!(7)), vec!["/request/schema"]),
        (json!({ "request": { "schema": true, "limit": 0 } }), vec!["/request/limit"]),
        (
            json!({ "response": { "schema": { "minimum": "1" }, "mode": "maybe" } }),
            vec!["/response/mode"],
        ),
        (json!({ "openapi": {} }), vec!["/openapi"]),
        (json!({ "openapi": { "document": "none" } }), vec!["/openapi/document"]),
        (openapi("{}"), vec!["/openapi/text"]),
        (openapi(r#"{"openapi": "2.0"}"#), vec!["/openapi/text"]),
        (
            json!({ "openapi": { "text": DOCUMENT, "base_path": "v1" }, "request": { "schema": true, "required": true },
                "max_errors": 0 }),
            vec!["/request/schema", "/request/required", "/openapi/base_path", "/max_errors"],
        ),
    ];
    for (config, places) in cases {
        match Harness::<Validate>::new(&config) {
            Ok(_) => panic!("{config} is taken"),
            Err(error) => {
                let mut found: Vec<_> = error.issues().iter().map(|it| &*it.pointer).collect();
                let mut places = places.clone();
                found.sort_unstable();
                places.sort_unstable();
                assert_eq!(found, places, "{config}: {error}");
            }
        }
    }
    let wrong = DOCUMENT
        .replace("\"in\": \"cookie\"", "\"in\": \"body\"")
        .replace("components/schemas/Order", "components/x");
    let error = Harness::<Validate>::new(openapi(&wrong)).err().unwrap().to_string();
    assert!(
        error.contains("/paths/~1orders/get/parameters/5/in: a parameter is in path"),
        "{error}"
    );
    assert!(error.contains("`#/components/x` leads nowhere"), "{error}");
}

fn openapi(text: &str) -> Value {
    json!({ "openapi": { "text": text } })
}

#[test]
fn a_document_may_be_yaml_and_its_faults_have_their_lines() {
    let yaml = r#"
openapi: 3.1.0
info: {title: orders, version: 1.0}
paths:
  /orders:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: &order
              type: object
              required: [id]
              properties:
                id: {type: string, pattern: "^[A-Z]-[0-9]+$", example: A-17}
                count: {type: integer, minimum: 1}   # at least one
      responses:
        201:
          description: made
          content: {application/json: {schema: *order}}
"#;
    let harness = harness(openapi(yaml));
    assert_eq!(told(&harness, post(r#"{"id": "B-2", "count": 3}"#)), (0, vec![]));
    let expected = [
        "/count must be at least 1",
        r#"/id must match the pattern ^[A-Z]-[0-9]+$, such as "A-17""#,
    ];
    let (status, mut errors) = told(&harness, post(r#"{"id": "b", "count": 0}"#));
    errors.sort();
    assert_eq!((status, errors.as_slice()), (400, &expected.map(str::to_owned)[..]));
    assert_eq!(told(&harness, request().method("GET").path("/orders")).0, 405);

    let refused = |text: &str| Harness::<Validate>::new(openapi(text)).err().unwrap().to_string();
    let twice = refused("openapi: 3.1.0\npaths: {}\npaths: {}");
    let expected = "the YAML is wrong at line 3, column 1: the key `paths` is there twice";
    assert!(twice.contains(expected), "{twice}");
    let wrong = refused(&yaml.replace("minimum: 1", "minimum: many"));
    assert!(wrong.contains("/count/minimum: `minimum` is a number"), "{wrong}");

    let schema = "type: object\nrequired: [a]\n";
    let harness = self::harness(json!({ "request": { "schema": schema } }));
    assert_eq!(told(&harness, post("{}")).1, [" must have the property a"]);
}

#[test]
fn unknown_keywords_are_warned_of_or_refused_or_passed_over() {
    let config = |how: Option<&str>| {
        let schema = json!({ "type": "object", "requird": ["id"], "x-mine": 1, "properties": {
            "a": { "maxlength": 3, "title": "A" }, "requird": {},
        }});
        let mut config = json!({ "request": { "schema": schema } });
        if let Some(how) = how {
            config["unknown_keywords"] = json!(how);
        }
        config
    };
    let error = Harness::<Validate>::new(config(Some("refuse"))).err().unwrap();
    let told: Vec<_> =
        error.issues().iter().map(|it| (it.pointer.as_str(), it.message.as_str())).collect();
    assert_eq!(
        told,
        [
            ("/request/schema/requird", "`requird` is no keyword; `required` is one"),
            (
                "/request/schema/properties/a/maxlength",
                "`maxlength` is no keyword; `maxLength` is one"
            ),
        ]
    );
    for how in [None, Some("warn"), Some("ignore")] {
        assert_eq!(self::told(&harness(config(how)), post("{}")), (0, vec![]));
    }
}

/// Each example of the manual is taken, and decides as it says.
#[test]
fn the_examples_of_the_manual_decide_as_it_says() {
    let manual = include_str!("../README.md");
    let mut taken = std::collections::BTreeMap::new();
    for part in manual.split("```toml\n").skip(1) {
        let text = part.split("```").next().unwrap();
        let text = text.replace(
            "${file:orders.openapi.json}",
            &DOCUMENT.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "),
        );
        let file: toml::Table = toml::from_str(&text).unwrap();
        let Some(plugins) = file.get("plugins").and_then(toml::Value::as_table) else { continue };
        for (name, plugin) in plugins {
            let config = serde_json::to_value(&plugin["config"]).unwrap();
            let harness =
                Harness::<Validate>::prepare().document("orders-api", DOCUMENT).configure(config);
            let harness = harness.unwrap_or_else(|error| panic!("{name}: {error}"));
            taken.insert(name.clone(), harness);
        }
    }
    let names: Vec<_> = taken.keys().map(String::as_str).collect();
    assert_eq!(names, ["api", "live", "order", "strict"]);
    let order = &taken["order"];
    assert_eq!(
        told(order, post(r#"{"id": "A-1", "lines": [{"sku": "x", "count": 2}]}"#)),
        (0, vec![])
    );
    let (status, errors) =
        told(order, post(r#"{"id": "1", "lines": [{"sku": "x", "count": 0}], "paid": true}"#));
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        [
            r#"/id must match the pattern ^[A-Z]-[0-9]+$, such as "A-17""#,
            "/lines/0/count must be at least 1",
            "/paid is not allowed",
        ]
    );
    for name in ["api", "live", "strict"] {
        let request = request().method("GET").path("/v1/orders").query("limit=0");
        assert_eq!(told(&taken[name], request).1, ["query limit must be at least 1"], "{name}");
    }
}
