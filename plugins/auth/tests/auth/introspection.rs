//! Tokens that are introspected: what is asked, what an answer means, and what is remembered of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use auth::Auth;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::{Harness, request, response};
use serde_json::{Value, json};

use crate::issuer::{self, Signer, claims, claims_but, trusting};
use crate::jwt::bearing;
use crate::{assert_admitted, assert_refused, refusal};

const NOW: u64 = issuer::NOW.unsigned_abs();
const CHALLENGE: &str = "Bearer realm=\"api\"";
const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

/// What the endpoint answers to everything from now on.
#[derive(Clone)]
struct Endpoint(Rc<RefCell<Result<(u16, String), HttpError>>>);

impl Endpoint {
    fn new(answer: Value) -> Self {
        Self(Rc::new(RefCell::new(Ok((200, answer.to_string())))))
    }

    fn says(&self, answer: Value) {
        *self.0.borrow_mut() = Ok((200, answer.to_string()));
    }
}

fn config(changes: Value) -> Value {
    let mut settings = json!({
        "upstream": "id", "path": "/introspect",
        "client_id": "gateway", "client_secret": "s3cret +/",
    });
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json!({ "introspection": settings })
}

fn try_plugin(
    endpoint: &Endpoint,
    config: &Value,
) -> Result<Harness<Auth>, gateway_plugin_sdk::ConfigError> {
    let endpoint = endpoint.clone();
    let prepared =
        Harness::<Auth>::prepare().secret("of-client", "from secrets").upstream("id", move |_| {
            let answer = endpoint.0.borrow().clone();
            answer.map(|(status, text)| response().status(status).body(text))
        });
    prepared.configure(config)
}

fn plugin(endpoint: &Endpoint, config: &Value) -> Harness<Auth> {
    try_plugin(endpoint, config).unwrap_or_else(|error| panic!("{error}"))
}

fn active() -> Value {
    json!({ "active": true, "sub": "ada", "scope": "read write", "client_id": "app", "plan": "pro" })
}

#[test]
fn the_endpoint_is_asked_as_rfc_7662_says_and_its_answer_names_the_consumer() {
    let mut config = config(json!({}));
    config["claims_to_attributes"] = json!(["plan"]);
    config["group_claim"] = json!("plan");
    let plugin = plugin(&Endpoint::new(active()), &config);
    let exchange = plugin.request(bearing("mF_9.B5f-4.1JqM"));
    assert_admitted(&exchange, "ada");
    for (name, value) in [
        ("consumer.method", "introspection"),
        ("consumer.key-id", ""),
        ("consumer.scopes", "read write"),
        ("consumer.group", "pro"),
        ("consumer.claim.plan", "pro"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(exchange.request().header("authorization"), None);
    let call = &plugin.calls()[0];
    assert_eq!((call.upstream(), call.method(), call.target()), ("id", "POST", "/introspect"));
    assert_eq!(call.text(), "token=mF_9.B5f-4.1JqM&token_type_hint=access_token");
    assert_eq!(call.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(call.header("accept"), Some("application/json"));
    // base64 of `gateway:s3cret+%2B%2F`
    assert_eq!(call.header("authorization"), Some("Basic Z2F0ZXdheTpzM2NyZXQrJTJCJTJG"));
}

#[test]
fn the_client_authenticates_itself_by_parameters_and_with_a_secret_of_the_gateway() {
    let config = config(json!({
        "client_authentication": "client_secret_post", "client_secret": null, "secret": "of-client",
    }));
    let plugin = plugin(&Endpoint::new(active()), &config);
    assert_admitted(&plugin.request(bearing("t")), "ada");
    let call = &plugin.calls()[0];
    assert_eq!(call.header("authorization"), None);
    let expected =
        "token=t&token_type_hint=access_token&client_id=gateway&client_secret=from+secrets";
    assert_eq!(call.text(), expected);
}

#[test]
fn finds_the_token_in_a_field_a_cookie_and_the_query() {
    let config =
        config(json!({ "header": "x-token", "cookie": "session", "query": "access_token" }));
    let plugin = plugin(&Endpoint::new(active()), &config);
    for (number, asked) in [
        request().header("x-token", "t0"),
        request().header("x-token", "Bearer t1"),
        request().header("cookie", "a=1; session=t2"),
        request().query("access_token=t3"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_admitted(&plugin.request(asked), "ada");
        let sent = plugin.calls()[number].text().to_owned();
        assert!(sent.starts_with(&format!("token=t{number}&")), "{sent}");
    }
    assert_refused(&plugin.request(bearing("t")), 401, &[CHALLENGE]);
    assert_eq!(plugin.calls().len(), 4);
}

#[test]
fn a_token_that_is_not_active_or_not_for_this_is_refused() {
    let now = NOW;
    let changes = json!({
        "audiences": ["api", "web"], "issuer": "https://id.example", "remember_inactive": "0s",
    });
    let endpoint = Endpoint::new(json!({}));
    let plugin = plugin(&endpoint, &config(changes));
    plugin.set_time(Duration::from_secs(now));
    let good = json!({
        "active": true, "sub": "ada", "aud": ["x", "api"], "iss": "https://id.example",
        "exp": now + 1, "nbf": now,
    });
    for (number, (name, value, reason)) in [
        ("active", json!(false), "the token is not active"),
        ("aud", json!("other"), "the token is for another audience"),
        ("aud", json!(null), "the token is for another audience"),
        ("iss", json!("https://id.example/"), "the token is of another issuer"),
        ("iss", json!(null), "the token is of another issuer"),
        ("exp", json!(now), "the token has expired"),
        ("exp", json!(-1), "the token has expired"),
        ("nbf", json!(now + 1), "the token is not valid yet"),
        ("sub", json!(null), "the answer does not name the consumer"),
        ("sub", json!("a\nb"), "the answer's name of the consumer is not usable"),
        ("token_type", json!("DPoP"), "the token is bound to a key, and is no bearer token"),
        ("cnf", json!({ "jkt": "x" }), "the token is bound to a key, and is no bearer token"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = good.clone();
        answer[name] = value;
        endpoint.says(answer);
        let exchange = plugin.request(bearing(&format!("t{number}")));
        assert_refused(&exchange, 401, &[INVALID]);
        let log = exchange.log();
        assert!(log.iter().any(|line| line.message.contains(reason)), "{name}: {log:?}");
    }
    endpoint.says(good);
    assert_admitted(&plugin.request(bearing("good")), "ada");
}

#[test]
fn an_endpoint_that_is_away_or_says_something_else_refuses_nobody_for_good() {
    let endpoint = Endpoint::new(active());
    let plugin = plugin(&endpoint, &config(json!({})));
    let ok = |text: &str| Ok((200, text.to_owned()));
    for (answer, reason) in [
        (Err(HttpError::Connect), "no target of the upstream could be connected to"),
        (Err(HttpError::Timeout), "the response took too long"),
        (Err(HttpError::TooLarge), "the body of the response is too long"),
        (Err(HttpError::Protocol), "the upstream sent no valid response"),
        (Ok((401, String::new())), "the endpoint answered 401"),
        (Ok((500, active().to_string())), "the endpoint answered 500"),
        (Ok((302, String::new())), "the endpoint answered 302"),
        (ok(""), "the answer is no JSON object"),
        (ok("<html>"), "the answer is no JSON object"),
        (ok("[]"), "the answer is no JSON object"),
        (ok("{}"), "the answer does not say in `active`"),
        (ok(r#"{"active":"true","sub":"ada"}"#), "the answer does not say in `active`"),
        (ok(r#"{"active":1,"sub":"ada"}"#), "the answer does not say in `active`"),
        (ok(r#"{"active":null,"sub":"ada"}"#), "the answer does not say in `active`"),
        (ok(r#"{"active":false,"active":true,"sub":"ada"}"#), "the answer is no JSON object"),
        (ok(r#"{"active":true,"sub":"ada","exp":"9999999999"}"#), "a time in the answer"),
        (ok(r#"{"active":true,"sub":"ada","nbf":true}"#), "a time in the answer"),
    ] {
        *endpoint.0.borrow_mut() = answer;
        let exchange = plugin.request(bearing("t"));
        assert_refused(&exchange, 503, &[]);
        assert_eq!(refusal(&exchange).header("retry-after"), Some("1"));
        let log = exchange.log();
        assert!(log.iter().any(|line| line.message.contains(reason)), "{reason}: {log:?}");
        assert!(log.iter().all(|line| !line.message.contains("s3cret")), "{log:?}");
    }
    // Nothing of that was remembered.
    endpoint.says(active());
    assert_admitted(&plugin.request(bearing("t")), "ada");
}

#[test]
fn an_active_answer_is_remembered_for_its_time_and_no_longer_than_the_token_is_valid() {
    let endpoint = Endpoint::new(active());
    let plugin = plugin(&endpoint, &config(json!({})));
    plugin.set_time(Duration::from_secs(NOW));
    let asked = |token: &str, status: u16, calls: usize| {
        let exchange = plugin.request(bearing(token));
        assert_eq!(exchange.answer().map_or(200, |answer| answer.status()), status, "{token}");
        assert_eq!(plugin.calls().len(), calls, "{token}");
    };
    asked("a", 200, 1);
    plugin.set_time(Duration::from_secs(NOW + 59));
    endpoint.says(json!({ "active": false }));
    asked("a", 200, 1);
    plugin.set_time(Duration::from_secs(NOW + 60));
    asked("a", 401, 2);
    let mut ending = active();
    ending["exp"] = json!(NOW + 70);
    endpoint.says(ending);
    asked("b", 200, 3);
    plugin.set_time(Duration::from_secs(NOW + 70));
    asked("b", 401, 3);
    // A clock that is set back by far.
    plugin.set_time(Duration::from_secs(NOW - 1_000));
    asked("a", 200, 4);
}

#[test]
fn texts_that_are_no_tokens_are_remembered_briefly_and_apart_from_good_ones() {
    let endpoint = Endpoint::new(active());
    let plugin = plugin(&endpoint, &config(json!({ "cache": 2 })));
    plugin.set_time(Duration::from_secs(NOW));
    assert_admitted(&plugin.request(bearing("good")), "ada");
    endpoint.says(json!({ "active": false }));
    for number in 0..100 {
        assert_refused(&plugin.request(bearing(&format!("no{number}"))), 401, &[INVALID]);
    }
    assert_eq!(plugin.calls().len(), 101);
    assert_admitted(&plugin.request(bearing("good")), "ada");
    assert_refused(&plugin.request(bearing("no99")), 401, &[INVALID]);
    assert_eq!(plugin.calls().len(), 101);
    // Two are remembered, not a hundred.
    assert_refused(&plugin.request(bearing("no0")), 401, &[INVALID]);
    assert_eq!(plugin.calls().len(), 102);
    plugin.set_time(Duration::from_secs(NOW + 5));
    endpoint.says(active());
    assert_admitted(&plugin.request(bearing("no0")), "ada");
}

#[test]
fn a_token_of_an_issuer_whose_keys_are_here_is_verified_here_and_not_sent() {
    let signer = Signer::new("ES256");
    let mut both = trusting(&[&signer]);
    both["introspection"] =
        config(json!({ "consumer_prefix": "opaque:" }))["introspection"].clone();
    let plugin = plugin(&Endpoint::new(active()), &both);
    assert_admitted(&plugin.request(bearing(&signer.token(&claims()))), "ada");
    let expired = signer.token(&claims_but(json!({ "exp": 1 })));
    assert_refused(&plugin.request(bearing(&expired)), 401, &[INVALID]);
    assert_eq!(plugin.calls().len(), 0);
    let foreign = signer.token(&claims_but(json!({ "iss": "https://other.example" })));
    for opaque in ["2YotnFZFEjr1zCsicMWpAA", &foreign, "a.b.c", ".."] {
        assert_admitted(&plugin.request(bearing(opaque)), "opaque:ada");
    }
    assert_eq!(plugin.calls().len(), 4);
}

#[test]
fn only_who_configures_it_may_wait() {
    let waits = plugin(&Endpoint::new(active()), &config(json!({})));
    assert!(!format!("{:?}", waits.interest()).contains("never_waits: true"));
    let signer = Signer::new("ES256");
    let local = crate::plugin(trusting(&[&signer]));
    assert!(format!("{:?}", local.interest()).contains("never_waits: true"));
}

#[test]
fn reports_every_setting_that_is_wrong() {
    let endpoint = Endpoint::new(active());
    let wrong = config(json!({
        "upstream": "", "path": "https://id.example/introspect", "client_id": "",
        "secret": "of-client", "timeout": "11s", "remember": "2h", "remember_inactive": "soon",
        "cache": 5_000, "consumer_claim": "", "skew": "1h",
    }));
    let error = try_plugin(&endpoint, &wrong).map(drop).unwrap_err().to_string();
    for place in [
        "upstream",
        "path",
        "client_id",
        "secret",
        "timeout",
        "remember",
        "remember_inactive",
        "cache",
        "consumer_claim",
        "skew",
    ] {
        assert!(error.contains(&format!("/introspection/{place}")), "{place}: {error}");
    }
    for (changes, message) in [
        (json!({ "client_secret": null }), "needs the client's secret"),
        (json!({ "client_secret": null, "secret": "other" }), "secrets = [\"other\"]"),
        (json!({ "client_secret": "" }), "is empty"),
        (json!({ "upstream": "idd" }), "write `upstreams = [\"idd\"]` beside `component`"),
    ] {
        let error = try_plugin(&endpoint, &config(changes)).map(drop).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// Settings of a client with a key.
fn signing(algorithm: &str, changes: Value) -> Value {
    let mut assertion = json!({
        "key": "of-key", "algorithm": algorithm, "key_id": "k1", "audience": "https://id.example",
    });
    for (key, value) in changes.as_object().unwrap() {
        assertion[key] = value.clone();
    }
    assertion.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    config(json!({
        "client_secret": null, "client_authentication": "private_key_jwt", "assertion": assertion,
    }))
}

/// The plugin with a key.
fn with_key(key: &str, config: &Value) -> Result<Harness<Auth>, gateway_plugin_sdk::ConfigError> {
    let prepared = Harness::<Auth>::prepare().secret("of-key", key);
    prepared.upstream("id", |_| Ok(response().body(active().to_string()))).configure(config)
}

#[test]
fn the_gateway_authenticates_itself_by_an_assertion_that_its_key_signs() {
    for algorithm in ["ES256", "RS256", "PS512", "EdDSA"] {
        let signer = Signer::new(algorithm);
        let plugin = with_key(&signer.private_pem(), &signing(algorithm, json!({}))).unwrap();
        assert_admitted(&plugin.request(bearing("one")), "ada");
        assert_admitted(&plugin.request(bearing("two")), "ada");
        // An authorization server that trusts the key takes each once: both have ids of their own.
        let server = crate::plugin(json!({ "jwt": { "issuers": [{
            "issuer": "gateway", "audiences": ["https://id.example"], "algorithms": [algorithm],
            "keys": [signer.config()],
        }] } }));
        let mut ids = Vec::new();
        for (call, token) in plugin.calls().iter().zip(["one", "two"]) {
            assert_eq!(call.header("authorization"), None);
            let (form, assertion) = call.text().split_once("&client_assertion=").unwrap();
            let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            assert_eq!(
                form,
                format!(
                    "token={token}&token_type_hint=access_token&client_id=gateway&client_assertion_type={kind}"
                )
            );
            server.set_time(Duration::from_secs(NOW));
            assert_admitted(&server.request(bearing(assertion)), "gateway");
            let part = |index: usize| {
                let part = assertion.split('.').nth(index).unwrap();
                serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!(part(0), json!({ "alg": algorithm, "typ": "JWT", "kid": "k1" }));
            let claims = part(1);
            assert_eq!(claims["iss"], claims["sub"]);
            assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn what_cannot_be_signed_is_refused_where_it_stands() {
    let signer = Signer::new("ES256");
    let key = signer.private_pem();
    let refused = |key: &str, config: &Value| {
        let error = with_key(key, config).map(drop).unwrap_err();
        let line = |it: &gateway_plugin_sdk::ConfigIssue| format!("{}: {}", it.pointer, it.message);
        error.issues().iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let both = json!({ "client_secret": "x", "client_authentication": "private_key_jwt" });
    for (key, config, told) in [
        (&*key, signing("ES256", json!({ "key": "none" })), "/assertion/key: is no secret"),
        (
            &key,
            signing("RS256", json!({})),
            "/assertion/key: cannot sign: the section `PRIVATE KEY`",
        ),
        (&signer.pem(), signing("ES256", json!({})), "cannot sign: the section `PUBLIC KEY`"),
        (&key, signing("ES256", json!({ "audience": null })), "/assertion: needs an `audience`"),
        (&key, signing("HS256", json!({})), "/assertion/algorithm"),
        (&key, config(both.clone()), "/client_secret: is not for `private_key_jwt`"),
        (&key, config(both), "/assertion: is missing"),
        (
            &key,
            config(json!({ "assertion": { "key": "of-key", "algorithm": "ES256" } })),
            "/assertion: is for `client_authentication",
        ),
    ] {
        let refused = refused(key, &config);
        assert!(refused.contains(told), "{told}: {refused}");
        assert!(!refused.contains(&key[40..60]), "{refused}");
    }
}
