//! What clients and the service see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use forward_auth::ForwardAuth;
use gateway_plugin_sdk::testing::{Harness, request, response};
use serde_json::{Value, json};

/// A service that knows one session.
fn harness(changes: Value) -> Harness<ForwardAuth> {
    let mut config = json!({
        "upstream": "login", "path": "/verify",
        "upstream_headers": ["x-user"], "client_headers": ["set-cookie"],
        "attributes": { "consumer.id": "x-user" },
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    Harness::<ForwardAuth>::prepare()
        .upstream("login", |call| match call.header("cookie") {
            Some("id=7") => Ok(response()
                .header("x-user", "ada")
                .header("set-cookie", "seen=1")
                .header("x-other", "1")),
            Some("id=no-content") => Ok(response().status(204)),
            Some("id=broken") => Ok(response().status(502)),
            _ => Ok(response()
                .status(302)
                .header("location", "https://login.example/")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2")
                .header("connection", "close")
                .body("go there")),
        })
        .configure(config)
        .unwrap()
}

fn asked() -> gateway_plugin_sdk::testing::RequestBuilder {
    request()
        .method("PUT")
        .path("/orders/7")
        .query("all=1")
        .header("host", "api.example:8443")
        .attribute("client.address", "192.0.2.1")
        .attribute("request.scheme", "https")
}

#[test]
fn the_service_is_told_what_is_asked_for_and_by_whom_and_nothing_of_the_clients_own_about_that() {
    let harness = harness(json!({}));
    let forged = asked()
        .header("cookie", "id=7")
        .header("x-forwarded-uri", "/public")
        .header("x-user", "root")
        .header("x-secret", "1");
    let exchange = harness.request(forged);
    let call = &harness.calls()[0];
    assert_eq!((call.method(), call.target()), ("GET", "/verify"));
    for (name, value) in [
        ("x-forwarded-method", Some("PUT")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some("api.example:8443")),
        ("x-forwarded-uri", Some("/orders/7?all=1")),
        ("x-forwarded-for", Some("192.0.2.1")),
        ("cookie", Some("id=7")),
        ("x-secret", None),
        ("x-user", None),
    ] {
        assert_eq!(call.header(name), value, "{name}");
    }
    assert_eq!(exchange.request().header_values("x-user"), ["ada"]);
    assert_eq!(exchange.request().header("x-other"), None);
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some("ada"));
}

#[test]
fn the_client_has_what_it_is_to_have_of_an_answer_that_lets_it_pass() {
    let harness = harness(json!({}));
    let mut exchange = harness.request(asked().header("cookie", "id=7"));
    let answer = exchange.response(response().header("x-own", "1"));
    assert_eq!(answer.header("set-cookie"), Some("seen=1"));
    assert_eq!((answer.header("x-user"), answer.header("x-own")), (None, Some("1")));
}

#[test]
fn the_client_is_given_an_answer_that_does_not_let_it_pass() {
    let harness = harness(json!({}));
    let exchange = harness.request(asked());
    let answer = exchange.answer().unwrap();
    assert_eq!((answer.status(), answer.text()), (302, "go there"));
    assert_eq!(answer.header("location"), Some("https://login.example/"));
    assert_eq!(answer.header_values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("connection"), None);
}

#[test]
fn envoys_services_are_asked_in_their_way() {
    let harness = harness(json!({ "convention": "original", "path": "/check/" }));
    let exchange = harness.request(asked().header("cookie", "id=7"));
    assert!(exchange.answer().is_none());
    let call = &harness.calls()[0];
    assert_eq!((call.method(), call.target()), ("PUT", "/check/orders/7?all=1"));
    assert_eq!(call.header("host"), Some("api.example:8443"));
    // Only 200 lets a request pass.
    let exchange = harness.request(asked().header("cookie", "id=no-content"));
    assert_eq!(exchange.answer().unwrap().status(), 204);
}

#[test]
fn a_service_that_cannot_say_lets_nobody_pass_unless_it_is_told_so() {
    for (on_unavailable, status) in [("closed", Some(503)), ("open", None)] {
        let harness = harness(json!({ "on_unavailable": on_unavailable }));
        let exchange =
            harness.request(asked().header("cookie", "id=broken").header("x-user", "root"));
        assert_eq!(exchange.answer().map(|answer| answer.status()), status);
        assert!(exchange.log().iter().any(|line| line.message.contains("it answered 502")));
        if status.is_none() {
            assert_eq!(exchange.request().header("x-user"), None);
        }
    }
}

#[test]
fn points_at_each_fault() {
    let cases = [
        (json!({ "upstream": "" }), "/upstream"),
        (json!({ "path": "verify" }), "/path"),
        (json!({ "timeout": "soon" }), "/timeout"),
        (json!({ "timeout": "61s" }), "/timeout"),
        (json!({ "timeout": "0s" }), "/timeout"),
        (json!({ "request_headers": ["cookie", "x-forwarded-for"] }), "/request_headers/1"),
        (json!({ "request_headers": ["content-length"] }), "/request_headers/0"),
        (json!({ "upstream_headers": ["connection"] }), "/upstream_headers/0"),
        (json!({ "client_headers": ["set-cookie", "content-length"] }), "/client_headers/1"),
        (json!({ "attributes": { "client.address": "x-user" } }), "/attributes/client.address"),
        (json!({ "path": "/a?b=c", "convention": "original" }), "/path"),
        (json!({ "path": "/a#b" }), "/path"),
        (json!({ "upstream_headers": ["a b"] }), "/upstream_headers/0"),
        (json!({ "convention": "nginx" }), "/convention"),
    ];
    for (changes, place) in cases {
        let mut config = json!({ "upstream": "login" });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        let granted = Harness::<ForwardAuth>::prepare().upstream("login", |_| Ok(response()));
        match granted.configure(config) {
            Ok(_) => panic!("{changes} is taken"),
            Err(error) => {
                let places: Vec<_> = error.issues().iter().map(|it| &*it.pointer).collect();
                assert_eq!(places, [place], "{changes}");
            }
        }
    }
}

#[test]
fn takes_each_configuration_of_the_manual() {
    let manual = include_str!("../README.md");
    let mut taken = 0;
    for part in manual.split("```toml\n").skip(1) {
        let text = part.split("```").next().unwrap();
        let file: toml::Table = toml::from_str(text).unwrap();
        for (name, plugin) in file["plugins"].as_table().unwrap() {
            let config = serde_json::to_value(&plugin["config"]).unwrap();
            let mut granted = Harness::<ForwardAuth>::prepare();
            for upstream in plugin["upstreams"].as_array().unwrap() {
                granted = granted.upstream(upstream.as_str().unwrap(), |_| Ok(response()));
            }
            assert!(granted.configure(config).is_ok(), "{name}");
            taken += 1;
        }
    }
    assert_eq!(taken, 2);
}

/// A slip in the configuration must not turn the check off.
#[test]
fn an_upstream_that_was_not_granted_is_refused_with_the_line_that_grants_it() {
    let config = json!({ "upstream": "logn", "on_unavailable": "open" });
    let granted = Harness::<ForwardAuth>::prepare().upstream("login", |_| Ok(response()));
    let error = granted.configure(config).map(|_| ()).expect_err("it is refused");
    let issue = &error.issues()[0];
    assert_eq!(&*issue.pointer, "/upstream");
    assert!(issue.message.contains("write `upstreams = [\"logn\"]`"), "{}", issue.message);
}
