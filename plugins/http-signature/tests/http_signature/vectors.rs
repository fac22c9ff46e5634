//! The test vectors of RFC 9421: its keys, messages and signatures.

use std::time::Duration;

use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request};
use http_signature::HttpSignature;
use serde_json::{Value, json};

use crate::{assert_admitted, assert_refused};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/rfc9421.json")).unwrap()
}

fn message(message: &Value) -> RequestBuilder {
    let text = |name: &str| message[name].as_str().unwrap();
    let mut built = request()
        .method(text("method"))
        .path(text("path"))
        .query(text("query"))
        .attribute("request.scheme", "https");
    for field in message["fields"].as_array().unwrap() {
        built = built.header(field[0].as_str().unwrap(), field[1].as_str().unwrap());
    }
    if text("body").is_empty() { built } else { built.body(text("body")) }
}

fn configured(all: &Value, vector: &Value) -> Harness<HttpSignature> {
    let mut settings = json!({ "keys": all["keys"], "content_digest": "optional" });
    for name in ["components", "tag"] {
        if vector.get(name).is_some_and(|value| !value.is_null()) {
            settings[name] = vector[name].clone();
        }
    }
    let plugin = Harness::<HttpSignature>::new(json!({ "message": settings })).unwrap();
    plugin.set_time(Duration::from_secs(vector["time"].as_u64().unwrap()));
    plugin
}

fn signed(vector: &Value, message: RequestBuilder, signature: &str) -> RequestBuilder {
    let text = |name: &str| vector[name].as_str().unwrap();
    message
        .header("signature-input", format!("{}={}", text("label"), text("input")))
        .header("signature", format!("{}=:{signature}:", text("label")))
}

#[test]
fn every_signature_of_a_request_in_the_rfc_is_right_and_no_other_is() {
    let all = vectors();
    for vector in all["vectors"].as_array().unwrap() {
        let section = &vector["section"];
        let key = vector["input"].as_str().unwrap().split("keyid=\"").nth(1).unwrap();
        let key = key.split('"').next().unwrap();
        let message = || message(&all["messages"][vector["message"].as_str().unwrap()]);
        let signature = vector["signature"].as_str().unwrap();
        let plugin = configured(&all, vector);
        let exchange = plugin.request(signed(vector, message(), signature));
        assert_eq!(exchange.answer().map(|it| (section, it.status(), exchange.log())), None);
        assert_admitted(&exchange, key);
        // Of another message, and another signature.
        let plugin = configured(&all, vector);
        let other = signed(vector, message().header("host", "example.net"), signature);
        assert_refused(&plugin.request(other), "does not fit");
        let other = format!("B{}", &signature[1..]);
        let other = if other == signature { format!("C{}", &signature[1..]) } else { other };
        assert_refused(&plugin.request(signed(vector, message(), &other)), "does not fit");
    }
    assert_eq!(all["vectors"].as_array().unwrap().len(), 7);
}

#[test]
fn what_the_rfc_allows_others_to_change_changes_nothing() {
    // RFC 9421 appendix B.4: fields that are not covered, others' order, white space, a query.
    let all = vectors();
    let vector = all["vectors"].as_array().unwrap().iter().find(|it| it["section"] == "B.4");
    let vector = vector.unwrap();
    let base = || {
        request().path("/demo").header("host", "example.org").attribute("request.scheme", "https")
    };
    let signature = vector["signature"].as_str().unwrap();
    let accept =
        |it: RequestBuilder| it.header("accept", "application/json").header("accept", "*/*");
    for good in [
        accept(base().query("name1=Value1&Name2=value2&param=added")),
        base()
            .header("referer", "https://developer.example.org/demo")
            .header("accept", "application/json, */*"),
        base().header("accept", "  application/json").header("accept", "*/*  "),
        accept(
            request()
                .path("/demo")
                .header("host", "EXAMPLE.ORG:443")
                .attribute("request.scheme", "https"),
        ),
    ] {
        assert_admitted(
            &configured(&all, vector).request(signed(vector, good, signature)),
            "test-key-ed25519",
        );
    }
    for bad in [
        accept(base()).method("POST"),
        accept(base()).path("/Demo"),
        accept(base().header("host", "example.com")),
        base().header("accept", "*/*").header("accept", "application/json"),
        base().header("accept", "application/json"),
    ] {
        assert_refused(
            &configured(&all, vector).request(signed(vector, bad, signature)),
            "does not fit",
        );
    }
}
