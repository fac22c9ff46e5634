//! Configurations that are wrong: all that is, each at its place.

use gateway_plugin_sdk::testing::Harness;
use http_signature::HttpSignature;
use serde_json::{Value, json};

use crate::hmac::{github, stripe};
use crate::message::config;

fn refusal(config: Value) -> String {
    let refused = Harness::<HttpSignature>::new(&config).map(drop);
    refused.expect_err("the configuration is refused").to_string()
}

#[test]
fn reports_everything_that_is_wrong_at_once() {
    let mut wrong = config(json!({
        "keys": [
            { "id": "a", "algorithm": "hmac-sha256", "secret": "short" },
            { "id": "a", "algorithm": "ed25519", "secret": "a secret that is long enough" },
            { "id": "b", "algorithm": "ed25519", "pem": "nothing" },
            { "id": "c", "algorithm": "ed25519", "jwk": { "kty": "OKP", "crv": "Ed25519", "d": "AA", "x": "AA" } },
            { "id": "d", "algorithm": "ed25519" },
            { "id": "e", "algorithm": "hmac-sha256", "secret": { "name": "none" }, "scopes": ["a b"] },
            { "id": "f", "algorithm": "hmac-sha256", "secret": "no base64, not at all", "secret_encoding": "base64" },
        ],
        "components": ["@status", "Content-Type", "@query-param", "x;"],
        "label": "Sig", "tag": "é",
    }));
    wrong["max_age"] = json!("2d");
    wrong["skew"] = json!("soon");
    wrong["max_body"] = json!(0);
    wrong["realm"] = json!("");
    wrong["headers"] = json!({ "host": "consumer.id", "x-a": "other" });
    let error = refusal(wrong);
    for (place, message) in [
        ("/message/keys/0/secret", "has 5 bytes, and needs 16"),
        ("/message/keys/1/id", "is the id of another key"),
        ("/message/keys/1/secret", "takes a public key"),
        ("/message/keys/2/pem", "is no key for ed25519"),
        ("/message/keys/3/jwk", "holds a private key"),
        ("/message/keys/4", "needs one of `pem`, `jwk` and `secret`"),
        ("/message/keys/5/secret", "secrets = [\"none\"]"),
        ("/message/keys/5/scopes/0", "is no scope"),
        ("/message/keys/6/secret", "is not base64"),
        ("/message/components/0", "there is no such component of a request"),
        ("/message/components/1", "a field's name is in lower case"),
        ("/message/components/2", "there is no such component of a request"),
        ("/message/components/3", "is no component"),
        ("/message/label", "is no label"),
        ("/message/tag", "is no tag"),
        ("/max_age", "is longer than"),
        ("/skew", "is not a duration"),
        ("/max_body", "is not from 1"),
        ("/realm", "is no realm"),
        ("/headers/host", "belongs to the gateway"),
        ("/headers/x-a", "is none of the attributes"),
    ] {
        let line = error.lines().find(|line| line.contains(message) && line.contains(place));
        assert!(line.is_some(), "{place} {message}: {error}");
    }
}

#[test]
fn one_method_is_configured() {
    for config in [
        json!({}),
        json!({ "message": config(json!({}))["message"], "hmac": github("0123456789abcdef")["hmac"] }),
    ] {
        assert!(refusal(config).contains("`message`"));
    }
}

#[test]
fn what_is_signed_has_the_body_and_the_time_and_one_meaning() {
    let with = |changes: Value| {
        let mut config = stripe("whsec_0123456789");
        for (key, value) in changes.as_object().unwrap() {
            config["hmac"][key] = value.clone();
        }
        config["hmac"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        refusal(config)
    };
    for (changes, message) in [
        (json!({ "text": "{timestamp}." }), "must have `{body}` once"),
        (json!({ "text": "{timestamp}.{body}.{body}" }), "must have `{body}` once"),
        (json!({ "text": "{body}" }), "has no `{timestamp}`"),
        (json!({ "text": "{timestamp}{body}" }), "without a text between them"),
        (json!({ "text": "{header:x-a}{timestamp}.{body}" }), "without a text between them"),
        (json!({ "text": "{timestamp}0.{body}" }), "without a text between them"),
        (json!({ "text": "{timestamp}.{body}}" }), "has a brace"),
        (json!({ "text": "{timestamp.{body}" }), "is no place"),
        (json!({ "text": "{timestamp}.{path}.{body}" }), "`{path}` is no place"),
        (json!({ "timestamp_prefix": null }), "neither `timestamp_header` nor"),
        (json!({ "timestamp_header": "x-time" }), "name one of them"),
        (json!({ "separator": null }), "needs a `separator`"),
        (json!({ "separator": "" }), "must not be empty"),
        (json!({ "window": "1h" }), "is for texts without a time"),
        (json!({ "secrets": [] }), "no secret is named"),
        (json!({ "secrets": ["whsec_0123456789", "short"] }), "has 5 bytes"),
        (
            json!({ "secrets": ["0123456789abcdef", "0123456789abcdef", "0123456789abcdef", "0123456789abcdef", "0123456789abcdef"] }),
            "more than 4",
        ),
        (json!({ "consumer": "" }), "/hmac/consumer"),
    ] {
        let error = with(changes);
        assert!(error.contains(message), "{message}: {error}");
        assert!(!error.contains("0123456789"), "{error}");
    }
}

#[test]
fn hooks_never_wait_and_bodies_are_read_only_where_they_are_signed() {
    let harness = Harness::<HttpSignature>::new(config(json!({}))).unwrap();
    let interest = format!("{:?}", harness.interest());
    assert!(interest.contains("request_body: None"), "{interest}");
}
