//! What is refused in a configuration, and where.

use gateway_plugin_sdk::testing::Harness;
use oidc::Oidc;
use serde_json::{Value, json};

use crate::browser::{config, configured};
use crate::provider::{Provider, merge};

#[test]
fn points_at_each_fault() {
    let session = |changes: Value| {
        let mut session = json!({ "keys": ["new"] });
        crate::provider::merge(&mut session, &changes);
        json!({ "session": session })
    };
    let signed = |changes: Value| {
        let mut assertion = json!({ "key": "key", "algorithm": "ES256" });
        merge(&mut assertion, &changes);
        json!({ "client_authentication": "private_key_jwt", "assertion": assertion })
    };
    let provider = Provider::new();
    for (changes, place) in [
        (json!({ "issuer": "" }), "/issuer"),
        (json!({ "client_id": "" }), "/client_id"),
        (json!({ "upstream": "" }), "/upstream"),
        (json!({ "upstream": "logn" }), "/upstream"),
        (json!({ "userinfo": "nope" }), "/userinfo"),
        (json!({ "discovery": "none" }), "/discovery"),
        (json!({ "discovery": "keys" }), "/discovery"),
        (json!({ "document": "none" }), "/document"),
        (json!({ "client_secret": "none" }), "/client_secret"),
        (json!({ "client_authentication": "client_secret_jwt" }), "/client_authentication"),
        (json!({ "client_authentication": "private_key_jwt" }), "/assertion"),
        (json!({ "assertion": { "key": "key", "algorithm": "ES256" } }), "/assertion"),
        (signed(json!({})), "/client_secret"),
        (signed(json!({ "key": "none" })), "/assertion/key"),
        (signed(json!({ "algorithm": "RS256" })), "/assertion/key"),
        (signed(json!({ "algorithm": "HS256" })), "/assertion/algorithm"),
        (json!({ "redirect_uri": "/oidc/callback" }), "/redirect_uri"),
        (json!({ "redirect_uri": "http://shop.example/oidc/callback" }), "/redirect_uri"),
        (json!({ "redirect_uri": "https://shop.example/" }), "/redirect_uri"),
        (json!({ "redirect_uri": "https://shop.example/a?b=c" }), "/redirect_uri"),
        (json!({ "scopes": ["openid", "a b"] }), "/scopes/1"),
        (json!({ "algorithms": [] }), "/algorithms"),
        (json!({ "algorithms": ["ES256", "none"] }), "/algorithms/1"),
        (json!({ "algorithms": ["HS256"] }), "/algorithms/0"),
        (
            json!({ "authorization_parameters": { "state": "1" } }),
            "/authorization_parameters/state",
        ),
        (json!({ "skew": "11m" }), "/skew"),
        (json!({ "login_time": "0s" }), "/login_time"),
        (json!({ "login_time": "2h" }), "/login_time"),
        (json!({ "timeout": "soon" }), "/timeout"),
        (json!({ "timeout": "61s" }), "/timeout"),
        (json!({ "home": "//evil.example" }), "/home"),
        (session(json!({ "keys": [] })), "/session/keys"),
        (session(json!({ "keys": ["new", "none"] })), "/session/keys/1"),
        (session(json!({ "keys": ["short"] })), "/session/keys/0"),
        (session(json!({ "keys": ["new", "new", "new", "new", "new"] })), "/session/keys"),
        (session(json!({ "cookie": "a b" })), "/session/cookie"),
        (session(json!({ "idle": "0s" })), "/session/idle"),
        (session(json!({ "lifetime": "31d" })), "/session/lifetime"),
        (session(json!({ "refresh_before": "2h" })), "/session/refresh_before"),
        (json!({ "logout": { "path": "/oidc/callback" } }), "/logout/path"),
        (json!({ "logout": { "path": "/" } }), "/logout/path"),
        (json!({ "logout": { "back_channel": "/oidc/logout" } }), "/logout/back_channel"),
        (json!({ "logout": { "redirect_uri": "/bye" } }), "/logout/redirect_uri"),
        (json!({ "access_token_header": "cookie" }), "/access_token_header"),
        (json!({ "headers": { "cookie": "consumer.id" } }), "/headers/cookie"),
        (json!({ "headers": { "x-user": "client.address" } }), "/headers/x-user"),
        (json!({ "require": { "claims": { "plan": [] } } }), "/require/claims/plan"),
        (json!({ "sessions": 1 }), "/sessions"),
    ] {
        let error = configured(&provider, &changes).err().unwrap_or_else(|| panic!("{changes}"));
        let places: Vec<_> = error.issues().iter().map(|issue| &*issue.pointer).collect();
        assert!(places.contains(&place), "{changes}: {error}");
    }
    for changes in [
        json!({ "redirect_uri": "http://localhost:8080/oidc/callback" }),
        json!({ "redirect_uri": "http://[::1]:8080/oidc/callback" }),
        json!({ "client_secret": null }),
        json!({ "scopes": [] }),
    ] {
        configured(&provider, &changes).unwrap();
    }
}

#[test]
fn all_faults_are_named_at_once_and_no_secret() {
    let mut config = config();
    config["session"]["keys"] = json!(["short"]);
    config["timeout"] = json!("soon");
    let secret = "not as long as it has to be";
    let error = Harness::<Oidc>::prepare().secret("short", secret).configure(config).err().unwrap();
    assert!(error.issues().len() >= 5, "{error}");
    assert!(!error.to_string().contains(secret));
}
