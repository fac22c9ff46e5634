//! From the first request to the session, and all that can go wrong between.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::request;
use serde_json::{Value, json};

use crate::browser::{World, assert_passed, status};
use crate::issuer::Signer;

#[test]
fn a_browser_is_sent_to_the_provider_and_comes_back_to_where_it_was() {
    let world = World::new(json!({ "authorization_parameters": { "prompt": "select account" } }));
    let sent = world.begin("/orders/7?all=1&b=%2F");
    for (name, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "shop"),
        ("redirect_uri", "https%3A%2F%2Fshop.example%2Foidc%2Fcallback"),
        ("scope", "openid%20profile%20email"),
        ("code_challenge_method", "S256"),
        ("prompt", "select%20account"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    let exchange = world.come_back(&sent["state"]);
    let answer = exchange.answer().unwrap();
    assert_eq!(answer.header("location"), Some("/orders/7?all=1&b=%2F"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let names: Vec<_> = world.cookies.borrow().keys().cloned().collect();
    assert_eq!(names, ["__Host-oidc", "__Secure-oidc-hint"]);

    let exchange = world.fetch("/orders");
    assert_passed(&exchange, "ada");
    for (name, value) in [
        ("consumer.method", "oidc"),
        ("consumer.key-id", ""),
        ("consumer.scopes", "openid profile email"),
        ("consumer.claim.email", "ada@example.com"),
        ("consumer.claim.realm_access.roles", "[\"buyer\"]"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    let passed = exchange.request();
    assert_eq!(passed.header("cookie"), Some("theirs=1"));
    assert_eq!(passed.header("x-user"), Some("ada"));
    assert_eq!(passed.header("x-roles"), Some("[\"buyer\"]"));
    // No request of the provider: one for the code was all.
    assert_eq!(world.plugin.calls().len(), 1);
}

#[test]
fn what_is_no_navigation_is_refused_and_not_sent_away() {
    let world = World::new(json!({}));
    let cases = [
        request().header("accept", "application/json"),
        request().header("accept", "text/html").header("sec-fetch-mode", "cors"),
        request().header("accept", "text/html").header("sec-fetch-mode", "no-cors"),
        request().header("accept", "text/html").method("POST"),
        request(),
    ];
    for asked in cases {
        let exchange = world.send(asked, "/orders");
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.header("www-authenticate").unwrap().starts_with("Cookie "));
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(status(&world.send(request().header("accept", "text/html"), "/orders")), 303);
}

#[test]
fn several_tabs_log_in_at_the_same_time() {
    let world = World::new(json!({}));
    let first = world.begin("/first");
    let (nonce, challenge) =
        (world.provider.nonce.borrow().clone(), world.provider.challenge.borrow().clone());
    let second = world.begin("/second");
    let exchange = world.come_back(&second["state"]);
    assert_eq!(exchange.answer().unwrap().header("location"), Some("/second"));
    *world.provider.nonce.borrow_mut() = nonce;
    *world.provider.challenge.borrow_mut() = challenge;
    let exchange = world.come_back(&first["state"]);
    assert_eq!(exchange.answer().unwrap().header("location"), Some("/first"));
    // However many begin, the browser has few cookies.
    for _ in 0..20 {
        world.cookies.borrow_mut().remove("__Host-oidc");
        world.begin("/");
        assert!(world.cookies.borrow().len() <= 10);
    }
}

#[test]
fn who_comes_back_without_a_login_of_this_browser_is_told_to_begin_again() {
    let world = World::new(json!({ "home": "/start" }));
    let sent = world.begin("/orders");
    let mine = world.cookies.borrow().clone();
    let refused = |target: &str| {
        let exchange = world.visit(target);
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), 400, "{target}");
        assert!(answer.text().contains("<a href=\"/start\">"), "{}", answer.text());
        assert!(!answer.text().contains("evil"), "{}", answer.text());
        assert!(world.plugin.calls().is_empty());
    };
    refused("/oidc/callback");
    refused("/oidc/callback?code=c%26de&state=evil");
    refused("/oidc/callback?code=c%26de&state=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9");
    refused(&format!("/oidc/callback?code=evil&state={0}&state={0}", sent["state"]));
    // That of another login, though its name is alike.
    refused(&format!("/oidc/callback?code=evil&state={}AAAA", &sent["state"][..8]));
    // Another browser, to which somebody sends the address of a login (RFC 6749 section 10.12).
    world.cookies.borrow_mut().clear();
    refused(&format!("/oidc/callback?code=evil&state={}", sent["state"]));
    // Too late.
    *world.cookies.borrow_mut() = mine;
    world.wait(601);
    refused(&format!("/oidc/callback?code=evil&state={}", sent["state"]));
}

#[test]
fn a_path_that_browsers_read_as_another_host_is_not_gone_back_to() {
    let world = World::new(json!({ "home": "/start" }));
    for path in ["//evil.example/", "/\\evil.example", &format!("/{}", "a".repeat(3_000))] {
        let sent = world.begin(path);
        let exchange = world.come_back(&sent["state"]);
        assert_eq!(exchange.answer().unwrap().header("location"), Some("/start"), "{path}");
        world.cookies.borrow_mut().clear();
    }
}

#[test]
fn what_the_provider_says_of_an_error_is_not_repeated() {
    let world = World::new(json!({}));
    for (error, expected) in [
        ("access_denied", 403),
        ("login_required", 403),
        ("temporarily_unavailable", 503),
        ("%3Cscript%3Eevil", 502),
    ] {
        let sent = world.begin("/orders?a=1&b=2");
        let state = &sent["state"];
        let target = format!(
            "/oidc/callback?error={error}&error_description=%3Cscript%3Eevil&state={state}"
        );
        let exchange = world.visit(&target);
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), expected, "{error}");
        assert!(!answer.text().contains("evil") && !answer.text().contains("script"));
        assert!(!exchange.log().iter().any(|line| line.message.contains('<')));
        if expected == 403 {
            assert!(
                answer.text().contains("<a href=\"/orders?a=1&amp;b=2\">"),
                "{}",
                answer.text()
            );
        }
        assert!(world.cookies.borrow().is_empty());
    }
}

/// The answer to a login in which the provider gives this.
fn answered(changes: &Value, tokens: &Value) -> (u16, String) {
    let world = World::new(json!({}));
    *world.provider.claims.borrow_mut() = changes.clone();
    *world.provider.tokens.borrow_mut() = tokens.clone();
    let sent = world.begin("/orders");
    let exchange = world.come_back(&sent["state"]);
    let log: Vec<_> = exchange.log().into_iter().map(|line| line.message).collect();
    assert_eq!(world.cookies.borrow().contains_key("__Host-oidc"), status(&exchange) == 303);
    (status(&exchange), log.join("; "))
}

#[test]
fn an_answer_of_the_token_endpoint_that_is_no_object_is_named_in_the_log() {
    let (status, log) = answered(&json!({}), &json!([1]));
    assert_eq!(status, 502, "{log}");
    assert!(log.contains("the token endpoint answered with what is not one JSON object"), "{log}");
}

#[test]
fn an_id_token_that_is_not_for_this_login_gives_no_session() {
    let now = crate::issuer::NOW;
    for (changes, reason) in [
        (json!({ "nonce": "other" }), "nonce"),
        (json!({ "nonce": null }), "nonce"),
        (json!({ "iss": "https://evil.example" }), "issuer"),
        (json!({ "aud": "other" }), "audience"),
        (json!({ "aud": ["shop", "other"] }), "who asked"),
        (json!({ "azp": "other" }), "azp"),
        (json!({ "aud": ["shop", "other"], "azp": "other" }), "azp"),
        (json!({ "exp": now - 61 }), "expired"),
        (json!({ "exp": null }), "expires"),
        (json!({ "iat": null }), "issued"),
        (json!({ "iat": now + 61 }), "future"),
        (json!({ "sub": null }), "subject"),
        (json!({ "sub": "" }), "subject"),
        (json!({ "at_hash": "AAAA" }), "at_hash"),
        (json!({ "events": {} }), "events"),
    ] {
        let (status, log) = answered(&changes, &json!({}));
        assert!(status == 502 && log.contains(reason), "{changes}: {status} {log}");
    }
    for changes in [
        json!({ "aud": ["shop", "other"], "azp": "shop" }),
        json!({ "exp": now - 59 }),
        json!({ "iat": now + 59 }),
        json!({ "at_hash": null }),
    ] {
        assert_eq!(answered(&changes, &json!({})).0, 303, "{changes}");
    }
}

#[test]
fn what_the_token_endpoint_gives_must_be_whole() {
    let signer = Signer::new("ES256");
    let unsigned = "eyJhbGciOiJub25lIn0.e30.";
    for (changes, reason) in [
        (json!({ "id_token": null }), "no ID token"),
        (json!({ "id_token": signer.token(&json!({ "iss": "https://id.example" })) }), "signature"),
        (json!({ "id_token": unsigned }), "issuer"),
        (json!({ "access_token": null }), "access token"),
        (json!({ "access_token": "a\r\nb" }), "access token"),
        (json!({ "token_type": "mac" }), "bearer"),
    ] {
        let (status, log) = answered(&json!({}), &changes);
        assert!(matches!(status, 502 | 503) && log.contains(reason), "{changes}: {status} {log}");
    }
}

#[test]
fn a_provider_that_is_away_is_told_from_one_that_refuses() {
    let world = World::new(json!({}));
    for (status_there, error, expected) in [
        (500, None, 503),
        (429, None, 503),
        (400, None, 502),
        (200, Some(HttpError::Timeout), 503),
        (200, Some(HttpError::Connect), 503),
        (200, Some(HttpError::NotGranted), 502),
    ] {
        world.provider.status.set(status_there);
        *world.provider.error.borrow_mut() = error;
        let sent = world.begin("/orders");
        let exchange = world.come_back(&sent["state"]);
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), expected, "{status_there}");
        assert_eq!(answer.header("retry-after").is_some(), expected == 503);
    }
    world.plugin.set_document("provider", "{}");
    // What was read before stays in force.
    world.begin("/orders");
}

#[test]
fn an_answer_of_another_issuer_is_refused() {
    let world = World::new(json!({}));
    let sent = world.begin("/orders");
    let exchange = world.visit(&format!(
        "/oidc/callback?code=c%26de&state={}&iss=https%3A%2F%2Fevil.example",
        sent["state"]
    ));
    assert_eq!(status(&exchange), 400);
    let mut discovery = crate::provider::Provider::discovery();
    discovery["authorization_response_iss_parameter_supported"] = json!(true);
    world.plugin.set_document("provider", discovery.to_string());
    let sent = world.begin("/orders");
    assert_eq!(status(&world.come_back(&sent["state"])), 400);
    let sent = world.begin("/orders");
    let target =
        format!("/oidc/callback?code=c%26de&state={}&iss=https%3A%2F%2Fid.example", sent["state"]);
    assert_eq!(status(&world.visit(&target)), 303);
}

#[test]
fn the_userinfo_endpoint_adds_claims_of_the_same_subject() {
    let changes = json!({ "userinfo": "provider", "claims_to_attributes": ["nickname", "email"],
        "headers": {} });
    let world = World::new(changes);
    world.log_in();
    let exchange = world.fetch("/orders");
    assert_eq!(exchange.attribute("consumer.claim.nickname").as_deref(), Some("ad"));
    assert_eq!(exchange.attribute("consumer.claim.email").as_deref(), Some("ada@example.com"));
    for userinfo in [json!({ "sub": "eve" }), json!({ "nickname": "ad" }), json!([])] {
        *world.provider.userinfo.borrow_mut() = userinfo;
        world.cookies.borrow_mut().clear();
        let sent = world.begin("/orders");
        assert_eq!(status(&world.come_back(&sent["state"])), 502);
    }
}

#[test]
fn a_client_with_a_key_signs_an_assertion_for_each_question() {
    let world = World::new(json!({
        "client_secret": null, "client_authentication": "private_key_jwt",
        "assertion": { "key": "key", "algorithm": "ES256", "key_id": "k1" },
    }));
    world.log_in();
    let assertions = world.provider.assertions.borrow();
    assert_eq!(assertions.len(), 1);
    let (signed, signature) = assertions[0].rsplit_once('.').unwrap();
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let Signer::Ecdsa(_, key) = &world.provider.client else { panic!("a key on a curve") };
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
    key.verify(signed.as_bytes(), &decoded(signature)).expect("it is signed");
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |text: &str| serde_json::from_slice::<Value>(&decoded(text)).unwrap();
    assert_eq!(json(header), json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
    let claims = json(claims);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("shop"), &json!("shop")));
    assert_eq!(claims["aud"], "https://id.example/token");
}
