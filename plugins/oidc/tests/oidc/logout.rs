//! The end of a session: by its browser, at the provider, and by the provider.

use gateway_plugin_sdk::testing::{RequestBuilder, request};
use serde_json::{Value, json};

use crate::browser::{World, assert_passed, status};

fn own(method: &str) -> RequestBuilder {
    request().method(method).header("sec-fetch-site", "same-origin").header("accept", "text/html")
}

#[test]
fn a_logout_ends_the_session_here_and_at_the_provider() {
    let world = World::new(json!({}));
    world.log_in();
    let copy = world.cookies.borrow().clone();
    let exchange = world.send(own("GET"), "/oidc/logout");
    let answer = exchange.answer().unwrap();
    let location = answer.header("location").unwrap();
    let query = location.strip_prefix("https://id.example/logout?").unwrap();
    let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!(pairs[0], ("client_id", "shop"));
    assert!(pairs[1].0 == "id_token_hint" && pairs[1].1.split('.').count() == 3, "{query}");
    assert_eq!(pairs[2], ("post_logout_redirect_uri", "https%3A%2F%2Fshop.example%2Fbye"));
    assert!(world.cookies.borrow().is_empty());
    // A copy of the cookie does not work any more.
    *world.cookies.borrow_mut() = copy;
    assert_eq!(status(&world.fetch("/orders")), 401);
    // Without a session it goes to the provider all the same.
    world.cookies.borrow_mut().clear();
    assert_eq!(status(&world.send(own("POST"), "/oidc/logout")), 303);
}

#[test]
fn without_the_provider_the_browser_stays_here() {
    for (redirect, location) in
        [(json!(null), "/"), (json!("https://shop.example/x"), "https://shop.example/x")]
    {
        let mut logout = json!({ "provider": false });
        if !redirect.is_null() {
            logout["redirect_uri"] = redirect;
        }
        let world = World::new(json!({ "logout": logout }));
        world.log_in();
        assert_eq!(world.cookies.borrow().len(), 1, "no ID token is kept");
        let exchange = world.send(own("GET"), "/oidc/logout");
        assert_eq!(exchange.answer().unwrap().header("location"), Some(location));
        assert!(world.cookies.borrow().is_empty());
    }
}

#[test]
fn another_site_cannot_log_anybody_out() {
    let world = World::new(json!({}));
    world.log_in();
    for asked in [
        request().header("sec-fetch-site", "cross-site"),
        request().header("sec-fetch-site", "same-site"),
        request().method("POST").header("sec-fetch-site", "cross-site"),
        request().method("POST").header("origin", "https://evil.example"),
        request().method("POST").header("origin", "null"),
        request(),
    ] {
        let exchange = world.send(asked, "/oidc/logout");
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().contains("<form method=\"post\" action=\"/oidc/logout\">"));
        assert!(
            answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'")
        );
        assert_passed(&world.fetch("/orders"), "ada");
    }
    assert_eq!(status(&world.send(request().method("PUT"), "/oidc/logout")), 405);
    let asked = request().method("POST").header("origin", "https://shop.example");
    assert_eq!(status(&world.send(asked, "/oidc/logout")), 303);
}

fn posted(body: &str) -> RequestBuilder {
    request()
        .method("POST")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", body.len().to_string())
        .body(body)
}

/// The claims of a logout token, changed.
fn logout_token(world: &World, changes: &Value) -> String {
    let mut claims = world.provider.claims(&json!({
        "jti": "1", "sid": null, "email": null, "realm_access": null, "plan": null,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    }));
    crate::provider::merge(&mut claims, changes);
    let header = json!({ "alg": "ES256", "typ": "logout+jwt" });
    format!("logout_token={}", world.provider.signer.token_with(&header, &claims))
}

#[test]
fn the_provider_ends_a_session_by_its_name_or_all_of_a_user() {
    let world = World::new(json!({}));
    world.log_in();
    let other = logout_token(&world, &json!({ "sid": "s2" }));
    let exchange = world.send(posted(&other), "/oidc/back");
    assert_eq!(status(&exchange), 200, "{:?}", exchange.log());
    assert_passed(&world.fetch("/orders"), "ada");
    let this = logout_token(&world, &json!({ "sid": "s1", "sub": null }));
    assert_eq!(status(&world.send(posted(&this), "/oidc/back")), 200);
    assert_eq!(status(&world.fetch("/orders")), 401);

    *world.provider.claims.borrow_mut() = json!({ "sid": null });
    world.wait(1);
    world.log_in();
    assert_passed(&world.fetch("/orders"), "ada");
    let all = logout_token(&world, &json!({ "jti": "2" }));
    assert_eq!(status(&world.send(posted(&all), "/oidc/back")), 200);
    assert_eq!(status(&world.fetch("/orders")), 401);
    // A login after that counts, and the same token once more does not end it.
    world.wait(1);
    world.log_in();
    assert_eq!(status(&world.send(posted(&all), "/oidc/back")), 200);
    assert_passed(&world.fetch("/orders"), "ada");
}

#[test]
fn what_is_no_logout_token_ends_nothing() {
    let world = World::new(json!({}));
    world.log_in();
    let whole = json!({ "sid": "s1" });
    for changes in [
        json!({ "events": null }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": true } }),
        json!({ "events": { "other": {} } }),
        json!({ "nonce": "n" }),
        json!({ "iat": null }),
        json!({ "exp": null }),
        json!({ "jti": null }),
        json!({ "aud": "other" }),
        json!({ "iss": "https://evil.example" }),
        json!({ "sid": null, "sub": null }),
    ] {
        let mut all = whole.clone();
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        let token = logout_token(&world, &all);
        let exchange = world.send(posted(&token), "/oidc/back");
        assert_eq!(status(&exchange), 400, "{changes}");
        assert!(
            exchange.log().iter().any(|line| line.message.starts_with("a logout token is refused"))
        );
    }
    let good = logout_token(&world, &whole);
    let mut forged = good.clone();
    forged.replace_range(good.len() - 10..good.len() - 6, "AAAA");
    let twice = format!("{good}&{good}");
    for body in [forged.as_str(), &twice, "logout_token=", "other=1", "\u{e9}"] {
        assert_eq!(status(&world.send(posted(body), "/oidc/back")), 400, "{body}");
    }
    // Nothing of it gets to the upstream, whatever is missing.
    for asked in [
        request().method("GET"),
        request().method("POST"),
        posted(&good).header("content-length", "0"),
        posted(&good).header("content-type", "application/json"),
    ] {
        assert!(matches!(status(&world.send(asked, "/oidc/back")), 400 | 405));
    }
    assert_passed(&world.fetch("/orders"), "ada");
    assert_eq!(status(&world.send(posted(&good), "/oidc/back")), 200);
    assert_eq!(status(&world.fetch("/orders")), 401);
}
