//! What clients see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use authorize::Authorize;
use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request};
use serde_json::{Value, json};

fn harness(config: Value) -> Harness<Authorize> {
    Harness::<Authorize>::new(config).unwrap()
}

fn status(harness: &Harness<Authorize>, request: RequestBuilder) -> Option<u16> {
    harness.request(request).answer().map(|answer| answer.status())
}

fn by(group: &str) -> RequestBuilder {
    request().attribute("consumer.id", "ada").attribute("consumer.group", group)
}

#[test]
fn the_first_rule_that_is_true_decides() {
    let harness = harness(json!({ "rules": [
        { "name": "blocked", "deny": "consumer.id == 'mallory'", "status": 404 },
        { "name": "admins", "allow": "consumer.group == 'admin'" },
        { "name": "read", "allow": "request.method in ['GET', 'HEAD']" },
        { "name": "never", "deny": "true", "detail": "Only reading is allowed." },
    ]}));
    let mallory = by("admin").attribute("consumer.id", "mallory");
    assert_eq!(status(&harness, mallory), Some(404));
    let exchange = harness.request(by("admin").method("DELETE"));
    assert!(exchange.answer().is_none());
    assert_eq!(exchange.attribute("authorize.rule").as_deref(), Some("admins"));
    assert_eq!(exchange.attribute("authorize.decision").as_deref(), Some("allow"));
    assert_eq!(status(&harness, by("dev").method("GET")), None);
    let refused = harness.request(by("dev").method("POST"));
    let answer = refused.answer().unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("Only reading is allowed."), "{}", answer.text());
    assert_eq!(refused.attribute("authorize.decision").as_deref(), Some("deny"));
    assert!(refused.log().iter().any(|it| it.message == "refuses the request: rule `never`"));
}

#[test]
fn a_request_for_which_no_rule_is_true_has_the_default_and_is_not_told_why() {
    let rules = json!([{ "name": "secret-rule", "allow": "consumer.group == 'admin'" }]);
    let closed = harness(json!({ "rules": rules }));
    let exchange = closed.request(by("dev"));
    let answer = exchange.answer().unwrap();
    assert_eq!(
        (answer.status(), answer.header("content-type")),
        (403, Some("application/problem+json"))
    );
    assert!(!answer.text().contains("secret-rule") && !answer.text().contains("admin"));
    assert_eq!(exchange.attribute("authorize.rule").as_deref(), Some("default"));
    let open = harness(json!({ "rules": rules, "default": "allow" }));
    assert_eq!(status(&open, by("dev")), None);
    let asks =
        harness(json!({ "rules": rules, "status": 401, "challenge": "Bearer realm=\"api\"" }));
    let exchange = asks.request(by("dev"));
    let answer = exchange.answer().unwrap();
    assert_eq!(
        (answer.status(), answer.header("www-authenticate")),
        (401, Some("Bearer realm=\"api\""))
    );
}

/// What cannot be known never lets a request pass.
#[test]
fn a_rule_that_cannot_be_evaluated_allows_nothing_and_denies() {
    let allow =
        harness(json!({ "rules": [{ "name": "own", "allow": "consumer.claims.plan != 'free'" }] }));
    let exchange = allow.request(by("dev"));
    assert_eq!(exchange.answer().unwrap().status(), 403);
    let told: Vec<_> = exchange.log().iter().map(|it| it.message.clone()).collect();
    assert!(
        told[0].starts_with(
            "rule `own` cannot be evaluated and allows nothing: column 17: there is no claim `plan`"
        ),
        "{told:?}"
    );
    let deny = harness(json!({
        "default": "allow",
        "rules": [{ "name": "abroad", "deny": "attributes['geo.country'] == 'XX'" }],
    }));
    assert_eq!(status(&deny, by("dev")), Some(403));
    assert_eq!(status(&deny, by("dev").attribute("geo.country", "XX")), Some(403));
    assert_eq!(status(&deny, by("dev").attribute("geo.country", "DE")), None);
}

#[test]
fn a_dry_run_logs_and_refuses_nothing() {
    let all = harness(json!({ "dry_run": true, "rules": [{ "name": "none", "deny": "true" }] }));
    let exchange = all.request(request());
    assert!(exchange.answer().is_none());
    assert_eq!(exchange.attribute("authorize.decision").as_deref(), Some("would-deny"));
    assert!(exchange.log().iter().any(|it| it.message == "would refuse the request: rule `none`"));
    let one = harness(json!({ "rules": [
        { "name": "new", "deny": "true", "dry_run": true },
        { "name": "old", "allow": "true" },
    ]}));
    let exchange = one.request(request());
    assert!(exchange.answer().is_none());
    assert_eq!(exchange.attribute("authorize.rule").as_deref(), Some("old"));
    assert!(
        exchange.log().iter().any(|it| it.message == "rule `new` would deny the request (dry run)")
    );
}

/// Decision 11: the same again, where all arrived with the call and requests are often alike.
#[test]
fn a_decision_is_made_again_where_it_depends_on_little() {
    let reuse = |rule: &str| {
        let harness = harness(json!({ "rules": [{ "name": "one", "allow": rule }] }));
        harness.request(by("admin").path("/a").header("x-a", "1")).reuse()
    };
    assert!(reuse("consumer.group == 'admin' && request.method == 'GET'").is_some());
    assert!(reuse("request.headers['x-a'] == '1'").is_some());
    for rule in [
        "request.path == '/a'",
        "now > timestamp(0)",
        "!('a' in request.query)",
        "request.headers.exists(it, it == 'x-a')",
    ] {
        assert!(reuse(rule).is_none(), "{rule}");
    }
    // One that could not be evaluated is told each time.
    let config = json!({ "rules": [
        { "name": "none", "allow": "consumer.claims.x == 1" },
        { "name": "all", "allow": "true" },
    ]});
    assert!(harness(config).request(by("a")).reuse().is_none());
}

#[test]
fn points_at_each_fault() {
    let rule = |rule: Value| json!({ "rules": [rule] });
    let cases = [
        (json!({}), vec![""]),
        (json!({ "rules": [] }), vec!["/rules"]),
        (rule(json!({ "name": "a" })), vec!["/rules/0"]),
        (rule(json!({ "name": "a", "allow": "true", "deny": "true" })), vec!["/rules/0"]),
        (rule(json!({ "name": "a b", "allow": "true" })), vec!["/rules/0/name"]),
        (rule(json!({ "name": "default", "allow": "true" })), vec!["/rules/0/name"]),
        (rule(json!({ "name": "a", "allow": "tru" })), vec!["/rules/0/allow"]),
        (rule(json!({ "name": "a", "deny": "x == y" })), vec!["/rules/0/deny", "/rules/0/deny"]),
        (rule(json!({ "name": "a", "deny": "true", "status": 400 })), vec!["/rules/0/status"]),
        (rule(json!({ "name": "a", "allow": "true", "status": 404 })), vec!["/rules/0/status"]),
        (rule(json!({ "name": "a", "allow": "true", "detail": "x" })), vec!["/rules/0/detail"]),
        (rule(json!({ "name": "a", "deny": "true", "detail": "" })), vec!["/rules/0/detail"]),
        (
            json!({ "status": 500, "challenge": "", "rules": [
                { "name": "a", "allow": "true" }, { "name": "a", "allow": "true" },
            ]}),
            vec!["/status", "/rules/1/name", "/challenge"],
        ),
        (json!({ "default": "maybe", "rules": [] }), vec!["/default"]),
    ];
    for (config, places) in cases {
        match Harness::<Authorize>::new(&config) {
            Ok(_) => panic!("{config} is taken"),
            Err(error) => {
                let found: Vec<_> = error.issues().iter().map(|it| &*it.pointer).collect();
                assert_eq!(found, places, "{config}: {error}");
            }
        }
    }
}

/// Each example of the manual, and what it says of requests.
#[test]
fn the_examples_of_the_manual_decide_as_it_says() {
    let manual = include_str!("../README.md");
    let mut taken = std::collections::BTreeMap::new();
    for part in manual.split("```toml\n").skip(1) {
        let text = part.split("```").next().unwrap();
        let file: toml::Table = toml::from_str(text).unwrap();
        for (name, plugin) in file["plugins"].as_table().unwrap() {
            let config = serde_json::to_value(&plugin["config"]).unwrap();
            let harness = Harness::<Authorize>::new(config);
            let harness = harness.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(taken.insert(name.clone(), harness).is_none(), "{name} is there twice");
        }
    }
    let names: Vec<_> = taken.keys().map(String::as_str).collect();
    assert_eq!(names, ["access", "admin", "office", "orders", "scopes", "tenants"]);
    let at = |name: &str, request| status(&taken[name], request);

    assert_eq!(at("access", by("admin").method("DELETE")), None);
    assert_eq!(at("access", by("dev").method("DELETE")), Some(403));
    assert_eq!(at("access", by("dev").method("GET")), None);
    assert_eq!(at("access", request().method("GET")), Some(403));

    let tenant = |claim: &str| {
        by("").attribute("capture.tenant", "acme").attribute("consumer.claim.tenant", claim)
    };
    assert_eq!(at("tenants", tenant("acme")), None);
    assert_eq!(at("tenants", tenant("other")), Some(404));
    assert_eq!(at("tenants", by("").attribute("capture.tenant", "acme")), Some(404));

    let from = |address: &str| by("admin").attribute("client.address", address);
    assert_eq!(at("admin", from("10.1.2.3")), None);
    assert_eq!(at("admin", from("198.51.100.1")), Some(404));
    assert_eq!(at("admin", by("dev").attribute("client.address", "10.1.2.3")), Some(404));

    let scoped =
        |method: &str, scopes: &str| by("").method(method).attribute("consumer.scopes", scopes);
    assert_eq!(at("scopes", scoped("GET", "orders:read")), None);
    assert_eq!(at("scopes", scoped("POST", "orders:read")), Some(403));
    assert_eq!(at("scopes", scoped("POST", "orders:read orders:write")), None);
    assert_eq!(at("scopes", scoped("GET", "")), Some(403));

    // 2026-03-01 is a Sunday; that the clock moves is seen by `orders` alone.
    let office = |text: &str| {
        let time = format!("timestamp(\"{text}\")");
        let manual = manual.replace("now.", &format!("{time}."));
        let part = manual.split("```toml\n").find(|it| it.contains("[plugins.office]")).unwrap();
        let file: toml::Table = toml::from_str(part.split("```").next().unwrap()).unwrap();
        let config = serde_json::to_value(&file["plugins"]["office"]["config"]).unwrap();
        status(&harness(config), by(""))
    };
    assert_eq!(office("2026-03-02T08:59:00+01:00"), Some(403));
    assert_eq!(office("2026-03-02T09:00:00+01:00"), None);
    assert_eq!(office("2026-03-06T16:59:59+01:00"), None);
    assert_eq!(office("2026-03-06T17:00:00+01:00"), Some(403));
    assert_eq!(office("2026-03-01T12:00:00+01:00"), Some(403));

    let order = |key: &str| by("").method("POST").header("idempotency-key", key);
    assert_eq!(at("orders", order("3b9f")), None);
    assert_eq!(at("orders", order("x!")), Some(403));
    assert_eq!(at("orders", by("").method("POST")), Some(403));
    assert_eq!(at("orders", by("").method("GET")), None);
}
