//! API keys of a set, which are added and revoked while the plugin runs.

use std::time::Duration;

use auth::Auth;
use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::keys::Key;
use gateway_plugin_sdk::testing::{Exchange, Harness, request};
use serde_json::{Value, json};

use crate::{assert_admitted, assert_refused, refusal};

const IN_FIELD: &str = "ApiKey realm=\"api\", header=\"x-api-key\"";

fn with(mut method: Value) -> Harness<Auth> {
    method["set"] = json!("partners");
    method["header"] = json!("x-api-key");
    let config = json!({
        "api_key": method, "require": { "claims": { "tier": ["gold"] } },
        "claims_to_attributes": ["tenant"], "headers": { "x-group": "consumer.group" },
    });
    Harness::prepare().keys("partners").configure(config).expect("it is granted the set")
}

fn key(id: &str) -> Key {
    let mut key = Key::new(id, "ada");
    key.group = Some("plan".to_owned());
    key.scopes = vec!["read".to_owned()];
    key.claims = vec![("tier".into(), "\"gold\"".into()), ("tenant".into(), "7".into())];
    key
}

fn ask<'h>(plugin: &'h Harness<Auth>, secret: &str) -> Exchange<'h, Auth> {
    plugin.request(request().header("x-api-key", secret))
}

#[test]
fn a_key_admits_from_when_it_is_added_until_it_is_revoked() {
    let plugin = with(json!({}));
    assert_refused(&ask(&plugin, "secret"), 401, &[IN_FIELD]);
    plugin.add_key("partners", "secret", key("one"));
    let exchange = ask(&plugin, "secret");
    assert_admitted(&exchange, "ada");
    for (name, value) in [
        ("consumer.key-id", "one"),
        ("consumer.method", "api-key"),
        ("consumer.group", "plan"),
        ("consumer.scopes", "read"),
        ("consumer.claim.tenant", "7"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(exchange.request().header("x-group"), Some("plan"));
    assert_eq!(exchange.request().header("x-api-key"), None);
    assert!(plugin.revoke_key("partners", "one"));
    assert_refused(&ask(&plugin, "secret"), 401, &[IN_FIELD]);
}

#[test]
fn a_key_ends_and_may_lack_what_is_required() {
    let plugin = with(json!({}));
    let mut ends = key("ends");
    ends.expires = Some(plugin.serve(gateway_plugin_sdk::clock::now) + Duration::from_secs(10));
    plugin.add_key("partners", "ends", ends);
    assert_admitted(&ask(&plugin, "ends"), "ada");
    plugin.advance(Duration::from_secs(10));
    assert_refused(&ask(&plugin, "ends"), 401, &[IN_FIELD]);
    plugin.add_key("partners", "poor", Key::new("poor", "eve"));
    assert_eq!(refusal(&ask(&plugin, "poor")).status(), 403);
}

#[test]
fn keys_of_the_configuration_are_there_too() {
    let digits = digest::sha256(b"fixed").map(|byte| format!("{byte:02x}"));
    let fixed = json!({
        "id": "fixed", "consumer": "bob", "digest": format!("sha256:{}", digits.concat()),
        "claims": { "tier": "gold" },
    });
    let plugin = with(json!({ "keys": [fixed] }));
    let exchange = ask(&plugin, "fixed");
    assert_admitted(&exchange, "bob");
    assert_eq!(exchange.attribute("consumer.group").as_deref(), Some(""), "it has none");
    plugin.add_key("partners", "secret", key("one"));
    assert_admitted(&ask(&plugin, "secret"), "ada");
}

#[test]
fn while_nobody_has_read_the_keys_no_credential_is_wrong() {
    let config = json!({ "api_key": { "set": "partners" } });
    let plugin = Harness::<Auth>::prepare().unread_keys("partners").configure(config).unwrap();
    let asked = ask(&plugin, "secret");
    assert_eq!(refusal(&asked).status(), 503);
    assert_eq!(refusal(&plugin.request(request())).status(), 401);
    plugin.add_key("partners", "secret", Key::new("one", "ada"));
    assert_admitted(&ask(&plugin, "secret"), "ada");
}

#[test]
fn a_set_must_be_granted_and_something_must_admit() {
    let refused = |config: Value| match Harness::<Auth>::new(config) {
        Ok(_) => panic!("it is taken"),
        Err(error) => error.to_string(),
    };
    let said = refused(json!({ "api_key": { "set": "partners" } }));
    assert!(said.contains("needs `keys = [\"partners\"]` beside `component`"), "{said}");
    let said = refused(json!({ "api_key": {} }));
    assert!(said.contains("no key is named, no `document` and no `set`"), "{said}");
}
