//! What is required of consumers, and what others are told about them.

use gateway_plugin_sdk::testing::request;
use serde_json::{Value, json};

use crate::issuer::{Signer, claims, claims_but, trusting};
use crate::{assert_admitted, assert_refused, plugin, refusal};

/// An API key `key` with what is said about it.
fn key_with(facts: Value) -> Value {
    // The SHA-256 digest of `key`.
    let digest = "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
    let mut key = json!({ "id": "key", "digest": digest });
    for (name, fact) in facts.as_object().unwrap() {
        key[name] = fact.clone();
    }
    json!({ "api_key": { "keys": [key] } })
}

fn requiring(require: Value, facts: Value) -> Value {
    let mut config = key_with(facts);
    config["require"] = require;
    config
}

#[test]
fn forbids_what_the_scopes_do_not_allow() {
    let require = json!({ "scopes": ["read", "write"] });
    for (scopes, status) in [
        (json!(["read", "write", "more"]), None),
        (json!(["write", "read"]), None),
        (json!(["read"]), Some(403)),
        (json!(["READ", "WRITE"]), Some(403)),
        (json!(["read:write", "readwrite"]), Some(403)),
        (json!([]), Some(403)),
    ] {
        let plugin = plugin(requiring(require.clone(), json!({ "scopes": scopes })));
        let exchange = plugin.request(request().header("x-api-key", "key"));
        match status {
            None => assert_admitted(&exchange, "key"),
            Some(status) => assert_refused(&exchange, status, &[]),
        }
    }
}

/// RFC 6750 section 3.1, and RFC 9728 section 5.1 for the address.
#[test]
fn tells_a_bearer_what_its_token_lacks() {
    let mut config = requiring(json!({ "scopes": ["read", "write"] }), json!({}));
    config["resource_metadata"] = json!("https://a.example/meta");
    let challenge = "Bearer realm=\"api\", resource_metadata=\"https://a.example/meta\", \
                     error=\"insufficient_scope\", scope=\"read write\"";
    let by_scope = plugin(config);
    let bearer = || request().header("authorization", "Bearer key");
    assert_refused(&by_scope.request(bearer()), 403, &[challenge]);
    assert_refused(&by_scope.request(request().header("x-api-key", "key")), 403, &[]);
    let by_claim = plugin(requiring(json!({ "claims": { "plan": ["pro"] } }), json!({})));
    let challenge = r#"Bearer realm="api", error="insufficient_scope""#;
    assert_refused(&by_claim.request(bearer()), 403, &[challenge]);
}

#[test]
fn forbids_what_the_claims_do_not_allow() {
    let require =
        json!({ "claims": { "plan": ["pro", "enterprise"], "level": [3], "ok": [true] } });
    for (claims, passes) in [
        (json!({ "plan": "pro", "level": 3, "ok": true }), true),
        (json!({ "plan": ["free", "enterprise"], "level": [1, 3], "ok": true }), true),
        (json!({ "plan": "free", "level": 3, "ok": true }), false),
        (json!({ "plan": "pro", "level": "3", "ok": true }), false),
        (json!({ "plan": "pro", "level": 3, "ok": "true" }), false),
        (json!({ "plan": "pro", "level": 3 }), false),
        (json!({ "plan": "pro enterprise", "level": 3, "ok": true }), false),
        (json!({ "plan": {"pro": true}, "level": 3, "ok": true }), false),
        (json!({}), false),
    ] {
        let plugin = plugin(requiring(require.clone(), json!({ "claims": claims })));
        let exchange = plugin.request(request().header("x-api-key", "key"));
        assert_eq!(exchange.answer().map(|answer| answer.status()), (!passes).then_some(403));
    }
}

#[test]
fn names_the_consumer_of_a_forbidden_request_to_the_log() {
    let plugin = plugin(requiring(json!({ "scopes": ["read"] }), json!({})));
    let exchange = plugin.request(request().header("x-api-key", "key"));
    assert_eq!(refusal(&exchange).status(), 403);
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some("key"));
}

#[test]
fn reads_scopes_and_claims_of_tokens_from_where_it_is_told() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["jwt"]["scope_claims"] = json!(["scope", "/realm_access/roles"]);
    config["jwt"]["consumer_claim"] = "https://example.com/user".into();
    config["claims_to_attributes"] = json!(["plan", "/realm_access/roles", "level", "none"]);
    config["require"] = json!({
        "scopes": ["orders:read", "admin"], "claims": { "/realm_access/roles": ["admin"] },
    });
    let plugin = plugin(config);
    let claims = claims_but(json!({
        "https://example.com/user": 42, "level": 7, "realm_access": { "roles": ["admin", "a b"] },
    }));
    let token = format!("Bearer {}", signer.token(&claims));
    let exchange = plugin.request(request().header("authorization", token));
    assert_admitted(&exchange, "42");
    let attribute = |name: &str| exchange.attribute(&format!("consumer.{name}"));
    assert_eq!(attribute("scopes").as_deref(), Some("orders:read orders:write admin"));
    assert_eq!(attribute("claim.plan").as_deref(), Some("pro"));
    assert_eq!(attribute("claim.level").as_deref(), Some("7"));
    assert_eq!(attribute("claim.realm_access.roles").as_deref(), Some(r#"["admin","a b"]"#));
    assert_eq!(attribute("claim.none"), None);
    let token = format!("Bearer {}", signer.token(&claims_but(json!({ "sub": "ada" }))));
    assert_eq!(refusal(&plugin.request(request().header("authorization", token))).status(), 401);
}

#[test]
fn the_group_is_the_keys_own_or_that_of_a_claim() {
    let group = |mut config: Value, claim: Option<&str>| {
        config["headers"] = json!({ "x-plan": "consumer.group" });
        if let Some(claim) = claim {
            config["group_claim"] = claim.into();
        }
        let plugin = plugin(config);
        let exchange = plugin.request(request().header("x-api-key", "key"));
        assert_admitted(&exchange, "key");
        let sent = exchange.request().header("x-plan").map(str::to_owned);
        let group = exchange.attribute("consumer.group");
        assert_eq!(sent, group.clone().filter(|group| !group.is_empty()));
        group
    };
    let claims =
        json!({ "claims": { "plan": "pro", "team": 7, "at": { "x": "deep" }, "roles": ["a"] } });
    let by_claim = |claim: &str| group(key_with(claims.clone()), Some(claim));
    assert_eq!(by_claim("plan").as_deref(), Some("pro"));
    assert_eq!(by_claim("team").as_deref(), Some("7"));
    assert_eq!(by_claim("/at/x").as_deref(), Some("deep"));
    // It is none, and takes the place of one that a plugin before has set.
    assert_eq!(by_claim("roles").as_deref(), Some(""));
    assert_eq!(by_claim("nothing").as_deref(), Some(""));
    let mut own = claims.clone();
    own["group"] = "gold".into();
    assert_eq!(group(key_with(own), Some("plan")).as_deref(), Some("gold"));
    // Where nothing names groups, nobody pays for an attribute.
    assert_eq!(group(key_with(claims), None), None);

    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["group_claim"] = "plan".into();
    let token = format!("Bearer {}", signer.token(&claims_but(json!({ "plan": "silver" }))));
    let plugin = plugin(config);
    let exchange = plugin.request(request().header("authorization", token));
    assert_eq!(exchange.attribute("consumer.group").as_deref(), Some("silver"));
}

fn telling() -> Value {
    let mut config = key_with(json!({
        "consumer": "ada", "scopes": ["read", "write"],
        "claims": { "plan": "pro", "motto": "two\r\nlines" },
    }));
    config["headers"] = json!({
        "X-Consumer-Id": "consumer.id", "x-method": "consumer.method",
        "x-key": "consumer.key-id", "x-scopes": "consumer.scopes",
        "x-plan": "consumer.claim.plan", "x-motto": "consumer.claim.motto",
        "x-none": "consumer.claim.none",
    });
    config
}

#[test]
fn tells_the_upstream_who_the_consumer_is() {
    let plugin = plugin(telling());
    let exchange = plugin.request(request().header("x-api-key", "key"));
    assert_admitted(&exchange, "ada");
    let sent = exchange.request();
    assert_eq!(sent.header("x-consumer-id"), Some("ada"));
    assert_eq!(sent.header("x-method"), Some("api-key"));
    assert_eq!(sent.header("x-key"), Some("key"));
    assert_eq!(sent.header("x-scopes"), Some("read write"));
    assert_eq!(sent.header("x-plan"), Some("pro"));
    // What is no field's value is not sent.
    assert_eq!(sent.header("x-motto"), None);
    assert_eq!(exchange.attribute("consumer.claim.motto").as_deref(), Some("two\r\nlines"));
}

#[test]
fn removes_what_a_client_says_about_itself() {
    let mut config = telling();
    config["anonymous"] = "guest".into();
    let plugin = plugin(config);
    let names = ["X-Consumer-Id", "x-method", "x-key", "x-scopes", "x-plan", "x-motto", "x-none"];
    let spoofed = || {
        let twice = names.iter().chain(&names);
        twice.fold(request(), |request, name| request.header(name, "root"))
    };
    let exchange = plugin.request(spoofed().header("x-api-key", "key"));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().header_values("x-consumer-id"), ["ada"]);
    for name in names {
        assert!(!exchange.request().header_values(name).contains(&"root"), "{name}");
    }
    let exchange = plugin.request(spoofed());
    assert_admitted(&exchange, "guest");
    assert_eq!(exchange.request().header_values("x-consumer-id"), ["guest"]);
    for name in ["x-key", "x-scopes", "x-plan", "x-motto", "x-none"] {
        assert!(exchange.request().header_values(name).is_empty(), "{name}");
    }
}

#[test]
fn admits_a_request_without_credential_as_the_anonymous_consumer_only_if_told() {
    assert_eq!(refusal(&plugin(telling()).request(request())).status(), 401);
    let mut config = telling();
    config["anonymous"] = "guest".into();
    let plugin = plugin(config);
    let exchange = plugin.request(request());
    assert_admitted(&exchange, "guest");
    assert_eq!(exchange.attribute("consumer.method").as_deref(), Some("anonymous"));
    assert_eq!(exchange.attribute("consumer.scopes").as_deref(), Some(""));
}

#[test]
fn refuses_a_wrong_credential_even_where_none_is_needed() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["jwt"]["header"] = "authorization".into();
    config["jwt"]["cookie"] = "session".into();
    config["jwt"]["query"] = "token".into();
    config["api_key"] = key_with(json!({}))["api_key"].clone();
    config["anonymous"] = "guest".into();
    let plugin = plugin(config);
    assert_admitted(&plugin.request(request()), "guest");
    for request in [
        request().header("x-api-key", "wrong"),
        request().header("x-api-key", ""),
        request().header("x-api-key", vec![0x80]),
        request().header("authorization", "Bearer wrong"),
        request().header("authorization", "Bearer"),
        request().header("authorization", "Negotiate x"),
        request().header("authorization", ""),
        request().header("cookie", "session=wrong"),
        request().header("cookie", "a=1").header("cookie", "b=2; session="),
        request().query("token=wrong"),
        request().query("token"),
    ] {
        let exchange = plugin.request(request);
        assert!([400, 401].contains(&refusal(&exchange).status()));
        assert_eq!(exchange.attribute("consumer.id"), None);
    }
}

#[test]
fn checks_the_consumer_of_an_earlier_plugin_when_it_has_no_method() {
    let plugin = plugin(json!({
        "require": { "scopes": ["write"], "claims": { "plan": ["pro"], "/a/level": [3] } },
    }));
    let told = || {
        request()
            .attribute("consumer.id", "ada")
            .attribute("consumer.scopes", "read write")
            .attribute("consumer.claim.plan", "pro")
            .attribute("consumer.claim.a.level", "3")
    };
    assert_admitted(&plugin.request(told()), "ada");
    for request in [
        told().attribute("consumer.id", ""),
        told().attribute("consumer.scopes", "read writes"),
        told().attribute("consumer.scopes", ""),
        told().attribute("consumer.claim.plan", "[\"pro\"]"),
        told().attribute("consumer.claim.a.level", "4"),
        request().header("x-consumer-id", "ada"),
        request(),
    ] {
        assert_refused(&plugin.request(request), 403, &[]);
    }
}

#[test]
fn keeps_consumers_of_two_issuers_apart() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["jwt"]["issuers"][0]["consumer_prefix"] = "partner:".into();
    let token = format!("Bearer {}", signer.token(&claims()));
    let plugin = plugin(config);
    assert_admitted(&plugin.request(request().header("authorization", token)), "partner:ada");
}
