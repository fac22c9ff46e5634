//! What browsers see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cors::Cors;
use gateway_plugin_sdk::testing::{Answer, Harness, RequestBuilder, request, response};
use serde_json::{Value, json};

fn harness(config: Value) -> Harness<Cors> {
    Harness::new(config).unwrap()
}

fn get(origin: &str) -> RequestBuilder {
    request().header("origin", origin)
}

fn preflight(origin: &str, method: &str, headers: Option<&str>) -> RequestBuilder {
    let question = get(origin).method("OPTIONS").header("access-control-request-method", method);
    match headers {
        Some(headers) => question.header("access-control-request-headers", headers),
        None => question,
    }
}

/// The fields of the protocol in an answer.
fn cors(answer: &Answer) -> Vec<String> {
    let names = ["allow-origin", "allow-credentials", "allow-methods", "allow-headers", "max-age"];
    let value = |name: &&str| {
        let value = answer.header(format!("access-control-{name}"))?;
        Some(format!("{name}: {value}"))
    };
    names.iter().filter_map(value).collect()
}

#[test]
fn an_allowed_origin_may_read_and_others_may_not() {
    let harness = harness(json!({
        "origins": ["https://app.example"], "credentials": true, "expose": ["X-Request-Id"],
    }));
    let mut exchange = harness.request(get("https://app.example"));
    assert!(exchange.reuse().is_some());
    let answer = exchange.response(response().status(200));
    assert_eq!(cors(answer), ["allow-origin: https://app.example", "allow-credentials: true"]);
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-request-id"));
    assert_eq!(answer.header("vary"), Some("origin"));
    let mut exchange = harness.request(get("https://evil.example"));
    let answer = exchange.response(response().status(200));
    assert_eq!((cors(answer), answer.header("vary")), (vec![], Some("origin")));
    let mut exchange = harness.request(request());
    let answer = exchange.response(response().status(200));
    assert_eq!((cors(answer), answer.header("vary")), (vec![], Some("origin")));
}

#[test]
fn what_the_upstream_says_does_not_count() {
    let harness = harness(json!({ "origins": ["https://app.example"] }));
    for origin in ["https://app.example", "https://evil.example"] {
        let mut exchange = harness.request(get(origin));
        let answer = exchange.response(
            response()
                .header("access-control-allow-origin", "*")
                .header("access-control-allow-credentials", "true")
                .header("access-control-expose-headers", "x-secret")
                .header("vary", "accept"),
        );
        let expected: &[&str] = match origin {
            "https://app.example" => &["allow-origin: https://app.example"],
            _ => &[],
        };
        assert_eq!(cors(answer), expected);
        assert_eq!(answer.header("access-control-expose-headers"), None);
        assert_eq!(answer.header_values("vary"), ["accept", "origin"]);
    }
}

#[test]
fn every_origin_is_one_answer_for_caches() {
    let harness = harness(json!({ "origins": ["*"], "expose": ["*"] }));
    let mut exchange = harness.request(get("https://any.example"));
    let answer = exchange.response(response());
    assert_eq!((cors(answer), answer.header("vary")), (vec!["allow-origin: *".to_owned()], None));
    assert_eq!(answer.header("access-control-expose-headers"), Some("*"));
}

#[test]
fn a_preflight_is_answered_without_the_upstream() {
    let harness = harness(json!({
        "origins": ["https://app.example"], "methods": ["GET", "PUT"], "headers": ["Content-Type"],
        "max_age": 60,
    }));
    let exchange = harness.request(preflight("https://app.example", "PUT", Some("content-type")));
    let answer = exchange.answer().unwrap();
    assert_eq!(answer.status(), 204);
    let expected = [
        "allow-origin: https://app.example",
        "allow-methods: GET, PUT",
        "allow-headers: content-type",
        "max-age: 60",
    ];
    assert_eq!(cors(answer), expected);
    let vary = "origin, access-control-request-method, access-control-request-headers";
    assert_eq!(answer.header("vary"), Some(vary));

    let exchange = harness.request(preflight("https://evil.example", "PUT", None));
    let answer = exchange.answer().unwrap();
    assert_eq!((answer.status(), cors(answer)), (403, vec![]));
    assert!(answer.text().contains("https://evil.example is not allowed"), "{}", answer.text());

    // An OPTIONS that asks for nothing is the upstream's.
    let options = harness.request(get("https://app.example").method("OPTIONS"));
    assert!(options.answer().is_none());
}

#[test]
fn a_star_answers_with_what_was_asked_for_where_browsers_want_names() {
    let config = json!({
        "origins": ["https://app.example"], "methods": ["*"], "headers": ["*"], "credentials": true,
    });
    let with = harness(config);
    let question = preflight("https://app.example", "PATCH", Some("authorization, x-a"));
    let exchange = with.request(question);
    let expected = [
        "allow-origin: https://app.example",
        "allow-credentials: true",
        "allow-methods: PATCH",
        "allow-headers: authorization, x-a",
        "max-age: 600",
    ];
    assert_eq!(cors(exchange.answer().unwrap()), expected);
    // What is no list of names is not sent back.
    let exchange = with.request(preflight("https://app.example", "GET", Some("a b\u{e9}")));
    let fields = cors(exchange.answer().unwrap());
    assert!(!fields.iter().any(|field| field.contains("allow-headers")), "{fields:?}");
}

#[test]
fn other_origins_are_refused_where_that_is_wanted() {
    let harness = harness(json!({ "origins": ["https://app.example"], "enforce": true }));
    let refused = harness.request(get("https://evil.example").method("POST"));
    assert_eq!(refused.answer().unwrap().status(), 403);
    let unreadable = harness.request(request().header("origin", b"\xff".to_vec()));
    assert_eq!(unreadable.answer().unwrap().status(), 403);
    assert!(harness.request(get("https://app.example")).answer().is_none());
    assert!(harness.request(request()).answer().is_none());
}

#[test]
fn points_at_each_fault() {
    let cases = [
        (json!({}), vec![""]),
        (json!({ "origins": [] }), vec!["/origins"]),
        (json!({ "origins": ["*"], "credentials": true }), vec!["/origins"]),
        (json!({ "origins": ["*", "https://a.example"] }), vec!["/origins"]),
        (
            json!({ "origins": ["a.example", "https://b.example/"] }),
            vec!["/origins/0", "/origins/1"],
        ),
        (
            json!({ "origins": ["*"], "methods": ["get", "TRACE", "A B"] }),
            vec!["/methods/0", "/methods/1", "/methods/2"],
        ),
        (
            json!({ "origins": ["*"], "headers": ["a b"], "expose": ["*", "x"] }),
            vec!["/headers/0", "/expose"],
        ),
        (json!({ "origins": ["null"], "expose": ["*"], "credentials": true }), vec!["/expose"]),
        (json!({ "origin": ["*"] }), vec!["/origin"]),
    ];
    for (config, places) in cases {
        let mut found = refused_at(config.clone());
        found.sort_by_key(|place| places.iter().position(|known| known == place));
        assert_eq!(found, places, "{config}");
    }
}

fn refused_at(config: Value) -> Vec<String> {
    match Harness::<Cors>::new(config) {
        Ok(_) => Vec::new(),
        Err(error) => error.issues().iter().map(|issue| issue.pointer.clone()).collect(),
    }
}

/// The configurations in the plugin's manual are accepted.
#[test]
fn the_manual_is_right() {
    let manual = include_str!("../README.md");
    let mut count = 0;
    for part in manual.split("```toml\n").skip(1) {
        let text = part.split("```").next().unwrap();
        let file: toml::Table = toml::from_str(text).unwrap();
        let Some(plugins) = file.get("plugins").and_then(toml::Value::as_table) else { continue };
        for plugin in plugins.values() {
            assert_eq!(refused_at(serde_json::to_value(&plugin["config"]).unwrap()), [""; 0]);
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
}
