//! Signatures by a shared secret: the recipes of the README, and what could be read in two ways.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::testing::{RequestBuilder, request};
use serde_json::{Value, json};

use crate::{NOW, assert_admitted, assert_refused, plugin};

const BODY: &str = "{\"action\":\"opened\"}";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sign(secret: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
}

fn webhook(body: &str) -> RequestBuilder {
    request().method("POST").path("/hook").body(body)
}

pub(crate) fn github(secret: &str) -> Value {
    json!({ "hmac": {
        "header": "x-hub-signature-256", "prefix": "sha256=", "secrets": [secret], "consumer": "github",
    } })
}

pub(crate) fn stripe(secret: &str) -> Value {
    json!({ "hmac": {
        "header": "stripe-signature", "separator": ",", "prefix": "v1=", "timestamp_prefix": "t=",
        "text": "{timestamp}.{body}", "secrets": [secret], "consumer": "stripe",
    } })
}

pub(crate) fn slack(secret: &str) -> Value {
    json!({ "hmac": {
        "header": "x-slack-signature", "prefix": "v0=", "timestamp_header": "x-slack-request-timestamp",
        "text": "v0:{timestamp}:{body}", "secrets": [secret], "consumer": "slack",
    } })
}

pub(crate) fn standard_webhooks(secret: &str) -> Value {
    json!({ "hmac": {
        "header": "webhook-signature", "separator": " ", "prefix": "v1,", "encoding": "base64",
        "timestamp_header": "webhook-timestamp", "text": "{header:webhook-id}.{timestamp}.{body}",
        "secrets": [secret], "secret_encoding": "base64", "consumer": "payments",
    } })
}

#[test]
fn github_signs_the_body() {
    // The example of GitHub's documentation.
    let secret = "It's a Secret to Everybody";
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let plugin = plugin(github(secret));
    let good = webhook("Hello, World!").header("x-hub-signature-256", signature);
    let exchange = plugin.request(good.clone());
    assert_admitted(&exchange, "github");
    assert_eq!(exchange.attribute("consumer.method").as_deref(), Some("http-signature"));
    assert_eq!(exchange.attribute("consumer.key-id").as_deref(), Some("secret-1"));
    assert_eq!(exchange.request().text(), "Hello, World!");
    // There is no time in it: it is admitted again, unless a window says otherwise.
    assert_admitted(&plugin.request(good.clone()), "github");
    let mut config = github(secret);
    config["hmac"]["window"] = json!("1h");
    let once = crate::plugin(config);
    assert_admitted(&once.request(good.clone()), "github");
    assert_refused(&once.request(good), "was used before");
    let exchange =
        plugin.request(webhook("Hello, world!").header("x-hub-signature-256", signature));
    assert_refused(&exchange, "does not fit");
    let answer = exchange.answer().unwrap();
    let challenge = "HMAC realm=\"api\", header=\"x-hub-signature-256\"";
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    for bad in ["", "sha256=", "sha256=7", "sha1=757107ea", "757107ea", "sha256=zz"] {
        let exchange = plugin.request(webhook("Hello, World!").header("x-hub-signature-256", bad));
        assert_eq!(exchange.answer().map(|answer| answer.status()), Some(401), "{bad}");
    }
    assert_refused(&plugin.request(webhook(BODY)), "there is no signature");
}

#[test]
fn a_request_without_a_body_has_an_empty_one() {
    let secret = "a secret of webhooks";
    let plugin = plugin(github(secret));
    let with = |text: &str| {
        request().header(
            "x-hub-signature-256",
            format!("sha256={}", hex(&sign(secret.as_bytes(), text))),
        )
    };
    assert_admitted(&plugin.request(with("")), "github");
    assert_refused(&plugin.request(with("x")), "does not fit");
    // The signature of an empty body, and a body.
    assert_refused(&plugin.request(with("").body("x")), "does not fit");
}

#[test]
fn stripe_signs_the_time_and_the_body_perhaps_with_two_secrets() {
    let secret = "whsec_4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c";
    let config = stripe(secret);
    let plugin = plugin(config);
    let of = |time: u64, body: &str| hex(&sign(secret.as_bytes(), &format!("{time}.{body}")));
    let with = |value: String| webhook(BODY).header("stripe-signature", value);
    let good = of(NOW, BODY);
    for value in [
        format!("t={NOW},v1={good}"),
        format!("v0=00,v1={},v1={},t={}", of(NOW, "other"), of(NOW - 300, BODY), NOW - 300),
        format!("t={}, v1={}", NOW + 30, of(NOW + 30, BODY)),
    ] {
        assert_admitted(&plugin.request(with(value)), "stripe");
    }
    assert_refused(&plugin.request(with(format!("t={NOW},v1={good}"))), "was used before");
    for (value, reason) in [
        (format!("t={},v1={good}", NOW - 1), "does not fit"),
        (format!("t={NOW},v1={}", of(NOW, "x")), "does not fit"),
        (format!("v1={good}"), "time of the signature is missing"),
        (format!("t={NOW},t={NOW},v1={good}"), "there twice"),
        (format!("t={},v1={}", NOW - 301, of(NOW - 301, BODY)), "too old"),
        (format!("t={},v1={}", NOW + 31, of(NOW + 31, BODY)), "in the future"),
        (format!("t=+{NOW},v1={good}"), "no time"),
        (format!("t= {NOW},v1={good}"), "no time"),
        ("t=,v1=00".to_owned(), "no time"),
        (format!("t={NOW},v0={good}"), "no signature of this form"),
        (format!("t={NOW},v1=00,v1=00,v1=00,v1=00,v1={good}"), "more than four"),
    ] {
        assert_refused(&plugin.request(with(value)), reason);
    }
}

#[test]
fn slack_signs_the_time_of_another_field_and_the_body() {
    // The example of Slack's documentation.
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let plugin = plugin(slack("8f742231b10e8888abcd99yyyzzz85a5"));
    plugin.set_time(std::time::Duration::from_secs(1_531_420_618));
    let good = webhook(body).header("x-slack-request-timestamp", "1531420618").header(
        "x-slack-signature",
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    );
    assert_admitted(&plugin.request(good.clone()), "slack");
    assert_refused(&plugin.request(good), "was used before");
    let without = webhook(body).header("x-slack-signature", "v0=a2114d57");
    assert_refused(&plugin.request(without), "time of the signature is missing");
}

#[test]
fn standard_webhooks_sign_an_id_the_time_and_the_body() {
    let bytes = [7; 24];
    let plugin = plugin(standard_webhooks(&format!("whsec_{}", STANDARD.encode(bytes))));
    let of = |id: &str, text: &str| {
        let signature = STANDARD.encode(sign(&bytes, text));
        webhook(BODY)
            .header("webhook-id", id)
            .header("webhook-timestamp", NOW.to_string())
            .header("webhook-signature", format!("v1a,AAAA v1,AAAA v1,{signature}"))
    };
    assert_admitted(&plugin.request(of("msg_1", &format!("msg_1.{NOW}.{BODY}"))), "payments");
    assert_refused(&plugin.request(of("msg_1", &format!("msg_1.{NOW}.{BODY}"))), "was used before");
    assert_refused(&plugin.request(of("msg_2", &format!("msg_1.{NOW}.{BODY}"))), "does not fit");
    // An id that could hold the time of another text.
    let shifted = of("msg_1.1", &format!("msg_1.1.{NOW}.{BODY}"));
    assert_refused(&plugin.request(shifted), "holds what ends it");
    let mut without = webhook(BODY).header("webhook-timestamp", NOW.to_string());
    without = without.header("webhook-signature", "v1,AAAA");
    assert_refused(&plugin.request(without), "the field `webhook-id` is signed, and missing");
}

#[test]
fn one_of_several_secrets_fits_while_they_change() {
    let mut config = github("the secret of this year");
    config["hmac"]["secrets"] = json!(["the secret of this year", { "name": "former" }]);
    let plugin = gateway_plugin_sdk::testing::Harness::<http_signature::HttpSignature>::prepare()
        .secret("former", "the secret of the former year")
        .configure(config)
        .unwrap();
    for (secret, name) in
        [("the secret of this year", "secret-1"), ("the secret of the former year", "secret-2")]
    {
        let signature = format!("sha256={}", hex(&sign(secret.as_bytes(), BODY)));
        let exchange = plugin.request(webhook(BODY).header("x-hub-signature-256", signature));
        assert_admitted(&exchange, "github");
        assert_eq!(exchange.attribute("consumer.key-id").as_deref(), Some(name));
    }
}

#[test]
fn longer_digests_are_another_signature() {
    for (digest, algorithm) in [("sha384", hmac::HMAC_SHA384), ("sha512", hmac::HMAC_SHA512)] {
        let mut config = github("a secret of webhooks");
        config["hmac"]["digest"] = json!(digest);
        let plugin = plugin(config);
        let key = hmac::Key::new(algorithm, b"a secret of webhooks");
        let signature = hex(hmac::sign(&key, BODY.as_bytes()).as_ref());
        let with = |signature: &str| {
            plugin
                .request(webhook(BODY).header("x-hub-signature-256", format!("sha256={signature}")))
        };
        assert_admitted(&with(&signature), "github");
        assert_admitted(&with(&signature.to_uppercase()), "github");
        assert_refused(&with(&hex(&sign(b"a secret of webhooks", BODY))), "does not fit");
    }
}

#[test]
fn the_recipes_of_the_readme_are_those_that_are_tested_here() {
    let readme = include_str!("../../README.md");
    let secret = "0123456789abcdef";
    for (name, config) in [
        ("github", github(secret)),
        ("stripe", stripe(secret)),
        ("slack", slack(secret)),
        ("payments", standard_webhooks(secret)),
    ] {
        let recipe = readme.split(&format!("[plugins.{name}.config.hmac]\n")).nth(1).unwrap();
        let recipe = recipe.split("```").next().unwrap();
        // Who knows the secret, and how long GitHub's body counts, is for who runs the gateway to say.
        let mut written: Vec<_> = recipe
            .lines()
            .filter(|line| !line.starts_with("secrets = ") && !line.starts_with("window = "))
            .map(str::to_owned)
            .collect();
        let settings = config["hmac"].as_object().unwrap().iter();
        let settings = settings.filter(|(key, _)| *key != "secrets");
        let mut tested: Vec<_> = settings.map(|(key, value)| format!("{key} = {value}")).collect();
        written.sort();
        tested.sort();
        assert_eq!(written, tested, "{name}");
    }
}
