//! The examples of the manual, as a gateway would hand them to the plugin.

use gateway_plugin_sdk::serde_json::{Value, from_str, json};
use gateway_plugin_sdk::testing::{self, Harness};
use transform::Transform;

const MANUAL: &str = include_str!("../README.md");

/// What stands under `config` in each example; an example of single settings is for requests.
fn examples() -> Vec<Value> {
    let blocks = MANUAL.split("```toml\n").skip(1);
    let example = |block: &str| {
        let text = block.split("```").next().expect("a block ends");
        let table: Value = toml::from_str(text).expect("an example is TOML");
        match table.pointer("/plugins/shape/config") {
            Some(config) => config.clone(),
            None => json!({ "request": table }),
        }
    };
    blocks.map(example).collect()
}

#[test]
fn every_example_is_a_valid_configuration() {
    assert_eq!(examples().len(), 10);
    for example in examples() {
        if let Err(error) = Harness::<Transform>::new(&example) {
            panic!("{example}: {error}");
        }
    }
}

#[test]
fn the_first_example_does_what_it_says() {
    let harness = Harness::<Transform>::new(&examples()[0]).expect("it is valid");
    let request = testing::request()
        .path("/orders/7")
        .attribute("capture.id", "7")
        .attribute("client.address", "192.0.2.1")
        .header("content-type", "application/json")
        .body(r#"{"internal":true}"#);
    let mut exchange = harness.request(request);
    let sent = exchange.request();
    assert_eq!((sent.path(), sent.query()), ("/v2/orders/7", Some("page=1")));
    assert_eq!(sent.header("x-client"), Some("192.0.2.1"));
    assert_eq!(sent.header("x-consumer"), Some("anonymous"));
    assert_eq!(sent.text(), r#"{"order":{"customer":""}}"#);
    let response = testing::response()
        .status(404)
        .header("server", "x")
        .header("content-type", "application/json")
        .body(r#"{"at":"internal.example"}"#);
    let answer = exchange.response(response);
    assert_eq!((answer.status(), answer.header("server")), (200, None));
    assert_eq!(answer.text(), r#"{"data":{"at":"api.example.com"}}"#);
}

#[test]
fn the_examples_for_responses_do_what_they_say() {
    let [sets, codings, events] = [1, 2, 3].map(|at| examples()[at].clone());
    let response = |status, kind: &str, body: &str| {
        testing::response().status(status).header("content-type", kind).body(body)
    };
    let harness = Harness::<Transform>::new(&sets).expect("it is valid");
    for (status, body) in [(200, "1"), (404, r#"{"error":1}"#), (500, "1"), (504, r#"{"error":1}"#)]
    {
        let mut exchange = harness.request(testing::request());
        let answer =
            exchange.response(response(status, "application/json", "1").header("server", "x"));
        assert_eq!((answer.text(), answer.header("server")), (body, None), "{status}");
    }
    let harness = Harness::<Transform>::new(&codings).expect("it is valid");
    let request = testing::request().header("accept-encoding", "gzip, br");
    assert_eq!(harness.request(request).request().header("accept-encoding"), Some("gzip"));
    let harness = Harness::<Transform>::new(&events).expect("it is valid");
    let mut exchange = harness.request(testing::request());
    let stream =
        "event: ping\ndata: 1\n\ndata: {\"at\":\"internal.example\",\"usage\":{\"cost\":1}}\n\n";
    let answer = exchange.response(response(200, "text/event-stream", stream));
    assert_eq!(answer.text(), "event: delta\ndata: {\"at\":\"example.com\",\"usage\":{}}\n\n");
}

#[test]
fn the_example_for_xml_does_what_it_says() {
    let block = |kind: &str| {
        let (_, rest) = MANUAL.split_once(&format!("```{kind}\n")).expect("there is one");
        rest.split("```").next().expect("a block ends").trim_end()
    };
    let example = examples().into_iter().find(|it| it.pointer("/response/convert/lists").is_some());
    let harness = Harness::<Transform>::new(example.expect("there is one")).expect("it is valid");
    let mut exchange = harness.request(testing::request());
    let response = testing::response().header("content-type", "text/xml; charset=utf-8");
    let answer = exchange.response(response.body(block("xml")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), block("json"));
}

#[test]
fn the_schema_describes_every_setting() {
    let schema: Value = from_str(&Harness::<Transform>::config_schema()).expect("it is JSON");
    for (name, spec) in schema["$defs"].as_object().expect("there are definitions") {
        let settings = spec["properties"].as_object().into_iter().flatten();
        for (setting, schema) in settings {
            assert!(schema["description"].is_string(), "{name}.{setting} is not described");
        }
    }
    assert!(schema.pointer("/properties/request/description").is_some());
}
