//! The life of a session: how long it lasts, how its tokens are renewed, and who cannot make one.

use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::request;
use serde_json::json;

use crate::browser::{World, assert_passed, configured, status};

const SESSION: &str = "__Host-oidc";

#[test]
fn a_cookie_that_was_changed_or_made_for_something_else_is_no_session() {
    let world = World::new(json!({ "access_token_header": "authorization" }));
    world.begin("/orders");
    let attempt = world.cookies.borrow().values().next().unwrap().clone();
    world.log_in();
    let good = world.cookies.borrow()[SESSION].clone();
    let hint = world.cookies.borrow()["__Secure-oidc-hint"].clone();
    let last = if good.ends_with('A') { 'B' } else { 'A' };
    let middle = good.len() / 2;
    let other = if good[middle..].starts_with('A') { 'B' } else { 'A' };
    for value in [
        format!("{}{last}", &good[..good.len() - 1]),
        format!("{}{other}{}", &good[..middle], &good[middle + 1..]),
        format!("{good}AAAA"),
        good.replacen("1.", "2.", 1),
        good.replacen("1.", "", 1),
        good.replacen("1.", "99999999999999999999.", 1),
        format!("1.{attempt}"),
        format!("1.{hint}"),
        String::new(),
        "1.".to_owned(),
        "1.AAAA".to_owned(),
    ] {
        world.cookies.borrow_mut().insert(SESSION.to_owned(), value.clone());
        let exchange = world.fetch("/orders");
        assert_eq!(status(&exchange), 401, "{value}");
    }
    world.cookies.borrow_mut().insert(SESSION.to_owned(), good);
    assert_passed(&world.fetch("/orders"), "ada");
}

#[test]
fn keys_are_rotated_and_a_session_is_for_one_client_alone() {
    let world = World::new(json!({ "session": { "keys": ["old"] } }));
    world.log_in();
    let cookies = world.cookies.borrow().clone();
    let with = |changes: serde_json::Value| World {
        plugin: configured(&world.provider, &changes).unwrap(),
        provider: world.provider.clone(),
        cookies: cookies.clone().into(),
    };
    // The next key encrypts, the former one still decrypts; what is written anew is by the next.
    let both = with(json!({ "session": { "keys": ["new", "old"] } }));
    both.wait(400);
    assert_passed(&both.fetch("/orders"), "ada");
    let only_new = with(json!({ "session": { "keys": ["new"] } }));
    assert_eq!(status(&only_new.fetch("/orders")), 401);
    *only_new.cookies.borrow_mut() = both.cookies.borrow().clone();
    assert_passed(&only_new.fetch("/orders"), "ada");
    for changes in [
        json!({ "client_id": "other" }),
        json!({ "claims_to_attributes": ["email"] , "headers": {} }),
        json!({ "session": { "keys": ["old"], "cookie": "other" } }),
    ] {
        let other = with(changes.clone());
        assert_eq!(status(&other.fetch("/orders")), 401, "{changes}");
    }
}

#[test]
fn a_session_ends_when_it_is_idle_and_at_the_end_of_its_lifetime() {
    let changes = json!({ "session": { "keys": ["new"], "idle": "10m", "lifetime": "1h" } });
    let world = World::new(changes);
    // This is about sessions without tokens that end.
    *world.provider.tokens.borrow_mut() = json!({ "expires_in": null, "refresh_token": null });
    world.log_in();
    for _ in 0..6 {
        world.wait(599);
        let exchange = world.fetch("/orders");
        assert_passed(&exchange, "ada");
        assert_eq!(exchange.answer().unwrap().header("cache-control"), Some("no-store"));
    }
    world.wait(6);
    assert_eq!(status(&world.fetch("/orders")), 401);
    world.log_in();
    world.wait(59);
    let exchange = world.fetch("/orders");
    assert_eq!(exchange.answer().unwrap().header("set-cookie"), None);
    world.wait(541);
    assert_eq!(status(&world.fetch("/orders")), 401);
    assert_eq!(status(&world.visit("/orders")), 303);
    assert!(!world.cookies.borrow().contains_key(SESSION));
}

#[test]
fn a_long_session_is_split_and_its_surplus_parts_are_taken_back() {
    let world = World::new(json!({ "access_token_header": "x-token" }));
    let long = "a".repeat(9_000);
    *world.provider.tokens.borrow_mut() = json!({ "access_token": long });
    *world.provider.claims.borrow_mut() = json!({ "at_hash": null });
    world.log_in();
    let parts = |world: &World| {
        let cookies = world.cookies.borrow();
        cookies.keys().filter(|name| name.starts_with(SESSION)).count()
    };
    assert_eq!(parts(&world), 4);
    let exchange = world.fetch("/orders");
    assert_passed(&exchange, "ada");
    assert_eq!(exchange.request().header("x-token"), Some(&*long));
    assert_eq!(exchange.request().header("cookie"), Some("theirs=1"));
    *world.provider.tokens.borrow_mut() = json!({ "access_token": "short" });
    world.wait(250);
    let exchange = world.fetch("/orders");
    assert_eq!(exchange.request().header("x-token"), Some("short"));
    assert_eq!(parts(&world), 1);
    // Longer than all cookies: no session, and a reason.
    world.cookies.borrow_mut().clear();
    *world.provider.tokens.borrow_mut() = json!({ "access_token": "a".repeat(20_000) });
    let sent = world.begin("/orders");
    let exchange = world.come_back(&sent["state"]);
    assert_eq!(status(&exchange), 500);
    assert!(exchange.log().iter().any(|line| line.message.contains("too long")));
}

#[test]
fn the_access_token_goes_to_the_upstream_and_none_of_the_clients() {
    for (field, value) in [("authorization", "Bearer access-0"), ("x-token", "access-0")] {
        let world = World::new(json!({ "access_token_header": field }));
        world.log_in();
        let exchange = world.send(request().header(field, "forged"), "/orders");
        assert_eq!(exchange.request().header_values(field), [value]);
    }
    // It is not in the cookie where nobody gets it.
    let lengths = [json!({}), json!({ "access_token_header": "x-token" })].map(|changes| {
        let world = World::new(changes);
        *world.provider.tokens.borrow_mut() = json!({ "access_token": "a".repeat(1_000) });
        *world.provider.claims.borrow_mut() = json!({ "at_hash": null });
        world.log_in();
        world.cookies.borrow()[SESSION].len()
    });
    assert!(lengths[0] + 1_300 < lengths[1], "{lengths:?}");
}

#[test]
fn tokens_are_renewed_once_and_all_requests_get_them() {
    let world = World::new(json!({ "access_token_header": "x-token" }));
    world.log_in();
    world.wait(239);
    assert_eq!(world.fetch("/orders").request().header("x-token"), Some("access-0"));
    world.wait(2);
    let before = world.cookies.borrow().clone();
    *world.provider.claims.borrow_mut() = json!({ "email": "new@example.com" });
    let exchange = world.fetch("/orders");
    assert_eq!(exchange.request().header("x-token"), Some("access-1"));
    assert_eq!(exchange.attribute("consumer.claim.email").as_deref(), Some("new@example.com"));
    assert_ne!(world.cookies.borrow()[SESSION], before[SESSION]);
    assert_eq!(world.plugin.calls().len(), 2);
    // Others of the same moment, and who missed the answer.
    for _ in 0..3 {
        *world.cookies.borrow_mut() = before.clone();
        assert_eq!(world.fetch("/orders").request().header("x-token"), Some("access-1"));
    }
    assert_eq!(world.plugin.calls().len(), 2);
    world.wait(250);
    assert_eq!(world.fetch("/orders").request().header("x-token"), Some("access-2"));
    assert_eq!(world.plugin.calls().len(), 3);
}

#[test]
fn while_the_provider_is_away_a_session_lasts_until_its_access_token_ends() {
    for header in [json!("x-token"), json!(null)] {
        let world = World::new(json!({ "access_token_header": header }));
        world.log_in();
        *world.provider.error.borrow_mut() = Some(HttpError::Timeout);
        world.wait(250);
        assert_passed(&world.fetch("/orders"), "ada");
        let calls = world.plugin.calls().len();
        assert_passed(&world.fetch("/orders"), "ada");
        assert_eq!(world.plugin.calls().len(), calls, "nobody asks twice within seconds");
        world.wait(55);
        for asked in [1, 0] {
            let before = world.plugin.calls().len();
            let exchange = world.fetch("/orders");
            assert_eq!(status(&exchange), 503);
            assert_eq!(exchange.answer().unwrap().header("retry-after"), Some("5"));
            assert_eq!(world.plugin.calls().len() - before, asked);
        }
        *world.provider.error.borrow_mut() = None;
        world.wait(30);
        assert_passed(&world.fetch("/orders"), "ada");
        assert_eq!(world.provider.refresh.get(), 1);
    }
}

#[test]
fn a_session_whose_refresh_token_is_refused_is_over() {
    let world = World::new(json!({}));
    world.log_in();
    let copy = world.cookies.borrow().clone();
    world.provider.refresh.set(7);
    world.wait(250);
    assert_eq!(status(&world.fetch("/orders")), 401);
    let calls = world.plugin.calls().len();
    *world.cookies.borrow_mut() = copy;
    assert_eq!(status(&world.fetch("/orders")), 401);
    assert_eq!(world.plugin.calls().len(), calls);
}

#[test]
fn renewed_tokens_are_of_the_same_subject() {
    for changes in
        [json!({ "sub": "eve" }), json!({ "aud": "other" }), json!({ "at_hash": "AAAA" })]
    {
        let world = World::new(json!({}));
        world.log_in();
        *world.provider.claims.borrow_mut() = changes.clone();
        world.wait(250);
        assert_eq!(status(&world.fetch("/orders")), 401, "{changes}");
        assert_eq!(status(&world.fetch("/orders")), 401, "{changes}");
    }
}

#[test]
fn a_session_without_refresh_token_outlives_the_access_token_unless_that_is_passed_on() {
    for (header, expected) in [(json!(null), 200), (json!("x-token"), 401)] {
        let world = World::new(json!({ "access_token_header": header }));
        *world.provider.tokens.borrow_mut() = json!({ "refresh_token": null });
        world.log_in();
        world.wait(301);
        assert_eq!(status(&world.fetch("/orders")), expected);
    }
}

#[test]
fn who_lacks_what_is_required_is_refused_and_not_sent_to_log_in() {
    let require = json!({ "scopes": ["openid"], "claims": { "plan": ["gold", "pro"] } });
    let world = World::new(json!({ "require": require, "group_claim": "plan" }));
    world.log_in();
    let exchange = world.fetch("/orders");
    assert_passed(&exchange, "ada");
    assert_eq!(exchange.attribute("consumer.group").as_deref(), Some("pro"));
    for (claims, tokens) in
        [(json!({ "plan": "free" }), json!({})), (json!({}), json!({ "scope": "email" }))]
    {
        world.cookies.borrow_mut().clear();
        *world.provider.claims.borrow_mut() = claims;
        *world.provider.tokens.borrow_mut() = tokens;
        world.log_in();
        let exchange = world.visit("/orders");
        assert_eq!(status(&exchange), 403);
        assert_eq!(exchange.attribute("consumer.id").as_deref(), Some("ada"));
        assert!(exchange.answer().unwrap().text().contains("/oidc/logout"));
    }
}

#[test]
fn a_consumer_that_another_plugin_found_needs_no_session_if_that_is_configured() {
    let known = |method: &str| {
        request().attribute("consumer.id", "robot").attribute("consumer.method", method)
    };
    let world =
        World::new(json!({ "accept_consumer": true, "access_token_header": "authorization" }));
    let exchange = world.send(known("jwt").header("authorization", "Bearer theirs"), "/orders");
    assert_passed(&exchange, "robot");
    assert_eq!(exchange.request().header("authorization"), Some("Bearer theirs"));
    assert_eq!(status(&world.send(known("anonymous"), "/orders")), 401);
    assert_eq!(status(&world.send(request().attribute("consumer.id", "robot"), "/orders")), 401);
    // A field of the client's says nothing.
    let forged = request().header("authorization", "Bearer x").header("consumer.id", "root");
    assert_eq!(status(&world.send(forged, "/orders")), 401);
    world.log_in();
    assert_passed(&world.send(known("anonymous"), "/orders"), "ada");
    let strict = World::new(json!({}));
    assert_eq!(status(&strict.send(known("jwt"), "/orders")), 401);
}
