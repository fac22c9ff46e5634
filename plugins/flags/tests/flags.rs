//! What upstreams and applications see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use flags::FlagsPlugin;
use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request};
use serde_json::{Value, json};

const DEFINITIONS: &str = r#"{
  "$evaluators": { "is_paying": { "in": [{ "var": "plan" }, ["pro", "team"]] } },
  "metadata": { "set": "shop" },
  "flags": {
    "checkout": { "state": "ENABLED", "variants": { "old": 1, "new": 2 }, "defaultVariant": "old",
                  "targeting": { "if": [{ "$ref": "is_paying" }, "new", "old"] } },
    "backend": { "state": "ENABLED", "variants": { "a": "v1", "b": "v2" }, "defaultVariant": "a",
                 "targeting": { "fractional": [["a", 50], ["b", 50]] } },
    "off": { "state": "DISABLED", "variants": { "on": true }, "defaultVariant": "on" },
    "open": { "state": "ENABLED", "variants": { "on": true } },
    "wrong": { "state": "ENABLED", "variants": { "on": true }, "defaultVariant": "on",
               "targeting": { "cat": ["no such ", { "var": "plan" }] } },
    "lines": { "state": "ENABLED", "variants": { "two": "a\nb" }, "defaultVariant": "two" }
  }
}"#;

fn harness(config: Value) -> Harness<FlagsPlugin> {
    Harness::<FlagsPlugin>::prepare().document("flags", DEFINITIONS).configure(config).unwrap()
}

#[test]
fn what_a_flag_is_for_a_request_is_set() {
    let harness = harness(json!({
        "targeting_key": ["cookie:device", "consumer.id"],
        "context": { "plan": "claim:plan" },
        "set": [
            { "flag": "checkout", "header": "X-Checkout", "attribute": "flags.checkout" },
            { "flag": "checkout", "header": "x-checkout-variant", "take": "variant" },
            { "flag": "backend", "attribute": "flags.backend", "upstreams": { "v2": "second" } },
            { "flag": "off", "header": "x-off" },
            { "flag": "missing", "header": "x-missing", "default": "none" },
            { "flag": "lines", "header": "x-lines" },
        ],
    }));
    let exchange = harness.request(
        request()
            .attribute("consumer.claim.plan", "pro")
            .attribute("consumer.id", "ada")
            .header("x-off", "yes")
            .header("x-lines", "1"),
    );
    let sent = exchange.request();
    assert_eq!(sent.header("x-checkout"), Some("2"));
    assert_eq!(sent.header("x-checkout-variant"), Some("new"));
    assert_eq!(exchange.attribute("flags.checkout").as_deref(), Some("2"));
    assert_eq!(sent.header("x-off"), None, "what the client says does not count");
    assert_eq!((sent.header("x-missing"), sent.header("x-lines")), (Some("none"), None));
    let free = harness.request(
        request().attribute("consumer.claim.plan", "free").attribute("consumer.id", "ada"),
    );
    assert_eq!(free.request().header("x-checkout"), Some("1"));
    assert_eq!(free.reuse(), None, "a warning was logged");
    // Half of the devices go to the second upstream, and each stays.
    let upstream = |device: usize| {
        let cookie = format!("a=b; device=d{device}");
        let exchange = harness.request(request().header("cookie", cookie));
        let variant = exchange.attribute("flags.backend").unwrap();
        assert_eq!(exchange.request().upstream(), (variant == "v2").then_some("second"));
        variant
    };
    let second = (0..200).filter(|device| upstream(*device) == "v2").count();
    assert!((70..130).contains(&second), "{second}");
    assert_eq!(upstream(7), upstream(7));
}

#[test]
fn the_same_request_needs_no_call_unless_the_time_is_read() {
    let set = json!({ "set": [{ "flag": "checkout", "header": "x-checkout" }] });
    let harness = harness(set);
    assert_eq!(harness.request(request()).reuse(), Some(Duration::from_secs(60)));
    let timed = DEFINITIONS.replace(r#""no such ""#, r#"{ "var": "$flagd.timestamp" }"#);
    harness.set_document("flags", timed);
    assert_eq!(harness.request(request()).reuse(), None);
}

#[test]
fn a_wrong_document_changes_nothing_and_the_log_says_where_it_is_wrong() {
    let harness = harness(json!({ "set": [{ "flag": "checkout", "header": "x-checkout" }] }));
    let value = || harness.request(request()).request().header("x-checkout").map(str::to_owned);
    assert_eq!(value().as_deref(), Some("1"));
    harness.set_document("flags", DEFINITIONS.replace("\"old\": 1", "\"old\": 3"));
    assert_eq!(value().as_deref(), Some("3"));
    let wrong = DEFINITIONS
        .replace("\"old\": 1", "\"old\": 4")
        .replace("is_paying\" }, \"new\"", "is_payin\" }, \"new\"");
    harness.set_document("flags", wrong);
    assert_eq!(value().as_deref(), Some("3"));
    let line = "the document \"flags\" cannot be read: line 6, column 41: flags.checkout.targeting.if.0: there is no \
                \"is_payin\" among \"$evaluators\"; did you mean \"is_paying\"?";
    assert!(harness.log().iter().any(|it| it.message == line), "{:?}", harness.log());
    // Behind what some editors write in front.
    harness.set_document(
        "flags",
        format!("\u{feff}{}", DEFINITIONS.replace("\"old\": 1", "\"old\": 5")),
    );
    assert_eq!(value().as_deref(), Some("5"));
    harness.set_document("flags", DEFINITIONS.replace("\"old\": 1", "\"old\": 3"));
    assert_eq!(value().as_deref(), Some("3"));
    harness.set_document("flags", "{ \"flags\": {},\n }");
    assert_eq!(value().as_deref(), Some("3"));
    assert!(harness.log().iter().any(|it| it.message.contains("line 2, column 2: trailing comma")));
}

#[test]
fn without_strict_only_the_flag_that_is_wrong_is_in_error() {
    let config = json!({ "strict": false, "set": [{ "flag": "checkout", "header": "x-checkout", "default": "0" }, { "flag": "backend", "header": "x-backend" }] });
    let harness = harness(config);
    harness.set_document("flags", DEFINITIONS.replace("\"$ref\"", "\"$reff\""));
    let exchange = harness.request(request().attribute("client.address", "192.0.2.1"));
    assert_eq!(exchange.request().header("x-checkout"), Some("0"));
    assert!(exchange.request().header("x-backend").is_some());
    assert!(harness.log().iter().any(|it| it.message.contains("there is no operator \"$reff\"")));
}

fn ask(path: &str, body: &Value) -> RequestBuilder {
    request().method("POST").path(path).attribute("request.has-body", "true").body(body.to_string())
}

#[test]
fn an_application_asks_for_one_flag() {
    let harness = harness(json!({ "ofrep": true }));
    let one = |key: &str, context: Value| {
        let exchange = harness.request(ask(
            &format!("/ofrep/v1/evaluate/flags/{key}"),
            &json!({ "context": context }),
        ));
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        (answer.status(), answer.json::<Value>())
    };
    let metadata = json!({ "set": "shop" });
    assert_eq!(
        one("checkout", json!({ "plan": "pro" })),
        (
            200,
            json!({ "key": "checkout", "value": 2, "variant": "new", "reason": "TARGETING_MATCH", "metadata": metadata })
        )
    );
    assert_eq!(
        one("open", json!({})),
        (200, json!({ "key": "open", "variant": "", "reason": "DEFAULT", "metadata": metadata }))
    );
    let (status, told) = one("nowhere", json!({}));
    assert_eq!(
        (status, &told["errorCode"], &told["key"]),
        (404, &json!("FLAG_NOT_FOUND"), &json!("nowhere"))
    );
    assert_eq!(one("off", json!({})).0, 404);
    let (status, told) = one("wrong", json!({ "plan": "a" }));
    assert_eq!((status, &told["errorCode"]), (400, &json!("GENERAL")));
    let exchange = harness.request(ask("/ofrep/v1/evaluate/flags/a%2Fb", &json!({})));
    assert_eq!(exchange.answer().unwrap().json::<Value>()["key"], "a/b");
    for (body, code) in
        [("{", "PARSE_ERROR"), ("[]", "PARSE_ERROR"), (r#"{"context": 1}"#, "INVALID_CONTEXT")]
    {
        let builder = request().method("POST").path("/x/ofrep/v1/evaluate/flags/checkout");
        let exchange = harness.request(builder.attribute("request.has-body", "true").body(body));
        let answer = exchange.answer().unwrap();
        assert_eq!(
            (answer.status(), answer.json::<Value>()["errorCode"].as_str()),
            (400, Some(code)),
            "{body}"
        );
    }
    let exchange = harness.request(request().method("GET").path("/ofrep/v1/evaluate/flags"));
    assert_eq!(
        (exchange.answer().unwrap().status(), exchange.answer().unwrap().header("allow")),
        (405, Some("POST"))
    );
    assert!(harness.request(request().path("/elsewhere")).answer().is_none());
}

#[test]
fn an_application_asks_for_all_flags_and_again_only_for_what_changed() {
    let harness = harness(
        json!({ "ofrep": true, "context": { "plan": "claim:plan" }, "targeting_key": ["consumer.id"] }),
    );
    let all = |plan: &str, known: Option<&str>| {
        // What the application says of the plan does not count.
        let body = json!({ "context": { "plan": "pro", "targetingKey": "x" } });
        let mut asked = ask("/ofrep/v1/evaluate/flags", &body)
            .attribute("consumer.claim.plan", plan)
            .attribute("consumer.id", "ada");
        if let Some(known) = known {
            asked = asked.header("if-none-match", known);
        }
        let exchange = harness.request(asked);
        let answer = exchange.answer().unwrap();
        (answer.status(), answer.header("etag").unwrap().to_owned(), answer.body().to_vec())
    };
    let (status, tag, body) = all("free", None);
    assert_eq!(status, 200);
    let told: Value = serde_json::from_slice(&body).unwrap();
    let keys: Vec<_> =
        told["flags"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["backend", "checkout", "lines", "wrong"]);
    assert_eq!(told["flags"][1]["value"], 1);
    assert_eq!(told["flags"][3]["errorCode"], "GENERAL");
    assert_eq!(all("free", Some(&format!("\"a\", W/{tag}"))), (304, tag.clone(), Vec::new()));
    assert_eq!(all("pro", Some(&tag)).0, 200);
    harness.set_document("flags", DEFINITIONS.replace("\"old\": 1", "\"old\": 9"));
    let (status, other, _) = all("free", Some(&tag));
    assert_eq!(status, 200);
    assert_ne!(other, tag);
    let exchange = harness.request(request().method("GET").path("/ofrep/v1/configuration"));
    assert_eq!(exchange.answer().unwrap().json::<Value>()["name"], "gateway");
}

#[test]
fn without_definitions_defaults_are_set_and_applications_are_told() {
    let config = json!({ "ofrep": true, "set": [{ "flag": "checkout", "header": "x-checkout", "default": "1" }] });
    let harness =
        Harness::<FlagsPlugin>::prepare().document("flags", "{").configure(config).unwrap();
    assert_eq!(harness.request(request()).request().header("x-checkout"), Some("1"));
    let exchange = harness.request(ask("/ofrep/v1/evaluate/flags/checkout", &json!({})));
    assert_eq!(exchange.answer().unwrap().status(), 500);
    assert_eq!(exchange.answer().unwrap().json::<Value>()["errorCode"], "PROVIDER_NOT_READY");
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_all_that_is_wrong() {
    let config = json!({
        "document": "other", "targeting_key": ["heder:x"], "context": { "targetingKey": "consumer.id", "a": "claim:" },
        "set": [{ "flag": "a" }, { "flag": "b", "attribute": "route.name" }, { "flag": "c", "header": "x", "default": "a\nb" }],
    });
    let error = Harness::<FlagsPlugin>::new(config).err().unwrap();
    let pointers: Vec<_> = error.issues().iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/document",
            "/targeting_key/0",
            "/context/a",
            "/context/targetingKey",
            "/set/0",
            "/set/1/attribute",
            "/set/2/default"
        ]
    );
    for issue in error.issues() {
        assert!(issue.help.as_ref().is_some_and(|help| !help.is_empty()), "{issue:?}");
    }
    assert!(
        Harness::<FlagsPlugin>::prepare().document("flags", "{}").configure(json!({})).is_err()
    );
}

/// No request takes long because a document changed: it is read in parts, and the one before is in force meanwhile.
#[test]
fn a_large_document_is_read_over_several_requests() {
    let many = |value: &str| {
        let flag = |index| {
            (
                format!("f{index:03}"),
                json!({ "state": "ENABLED", "variants": { "on": value }, "defaultVariant": "on" }),
            )
        };
        json!({ "flags": (0..250).map(flag).collect::<serde_json::Map<_, _>>() }).to_string()
    };
    let config = json!({ "set": [{ "flag": "f000", "header": "x-flag" }] });
    let harness =
        Harness::<FlagsPlugin>::prepare().document("flags", many("a")).configure(config).unwrap();
    let asked = || {
        let exchange = harness.request(request());
        (exchange.request().header("x-flag").map(str::to_owned), exchange.reuse().is_some())
    };
    assert_eq!(asked(), (Some("a".to_owned()), true), "all is read when the plugin is configured");
    harness.set_document("flags", many("b"));
    let answers = [asked(), asked(), asked()];
    let [a, b] = ["a", "b"].map(|text| Some(text.to_owned()));
    assert_eq!(answers, [(a.clone(), false), (a, false), (b, true)]);
}
