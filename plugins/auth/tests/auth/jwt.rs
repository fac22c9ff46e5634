//! Tokens that are in order, by all algorithms and in all places, and their times.

use std::time::Duration;

use gateway_plugin_sdk::testing::{RequestBuilder, request};
use serde_json::{Value, json};

use crate::issuer::{NOW, Signer, claims, claims_but, trusting};
use crate::{assert_admitted, assert_refused, plugin, refusal};

const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

pub(crate) fn bearing(token: &str) -> RequestBuilder {
    request().header("authorization", format!("Bearer {token}"))
}

#[test]
fn admits_tokens_of_every_algorithm_by_pem_or_secret_jwk_and_jwk_set() {
    for algorithm in [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA",
    ] {
        let signer = Signer::new(algorithm);
        let token = signer.token(&claims());
        let by_key = trusting(&[&signer]);
        let mut by_jwk = by_key.clone();
        by_jwk["jwt"]["issuers"][0]["keys"] =
            json!([{ "algorithm": algorithm, "jwk": signer.jwk() }]);
        let mut by_set = by_key.clone();
        by_set["jwt"]["issuers"][0]["keys"] = json!([]);
        by_set["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [signer.jwk()] }).to_string().into();
        for config in [by_key, by_jwk, by_set] {
            let plugin = plugin(config);
            assert_admitted(&plugin.request(bearing(&token)), "ada");
            let (signed, _) = token.rsplit_once('.').unwrap();
            let other = signer.token(&claims_but(json!({ "sub": "eve" })));
            let (_, signature) = other.rsplit_once('.').unwrap();
            let forged = format!("{signed}.{signature}");
            assert_refused(&plugin.request(bearing(&forged)), 401, &[INVALID]);
        }
    }
}

#[test]
fn tells_who_the_consumer_is_and_hides_the_token() {
    let signer = Signer::new("ES256");
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(["ES256"]);
    config["jwt"]["issuers"][0]["keys"] =
        json!([{ "kid": "2026-01", "algorithm": "ES256", "pem": signer.pem() }]);
    let plugin = plugin(config);
    let header = json!({ "alg": "ES256", "kid": "2026-01" });
    let exchange = plugin.request(bearing(&signer.token_with(&header, &claims())));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.attribute("consumer.method").as_deref(), Some("jwt"));
    assert_eq!(exchange.attribute("consumer.key-id").as_deref(), Some("2026-01"));
    let scopes = exchange.attribute("consumer.scopes");
    assert_eq!(scopes.as_deref(), Some("orders:read orders:write"));
    assert_eq!(exchange.request().header("authorization"), None);
}

#[test]
fn finds_the_token_in_another_field_a_cookie_or_the_query() {
    let signer = Signer::new("HS256");
    let token = signer.token(&claims());
    let with = |place: Value| {
        let mut config = trusting(&[&signer]);
        let (name, value) = place.as_object().unwrap().iter().next().unwrap();
        config["jwt"][name] = value.clone();
        plugin(config)
    };
    let in_field = with(json!({ "header": "x-token" }));
    for value in [token.clone(), format!("bearer {token}")] {
        let exchange = in_field.request(request().header("X-Token", value));
        assert_admitted(&exchange, "ada");
        assert_eq!(exchange.request().header("x-token"), None);
    }
    let in_query = with(json!({ "query": "access_token" }));
    let exchange = in_query.request(request().query(format!("a=1&access_token={token}")));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().query(), Some("a=1"));

    let in_cookie = with(json!({ "cookie": "session" }));
    let cookies = format!("a=1; session={token};b=\"2\"");
    let exchange = in_cookie.request(request().header("cookie", cookies).header("cookie", "c=3"));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().header_values("cookie"), ["a=1; b=\"2\"; c=3"]);
    let exchange = in_cookie.request(request().header("cookie", format!("session={token}")));
    assert_admitted(&exchange, "ada");
    assert_eq!(exchange.request().header("cookie"), None);
    let twice = format!("session={token}; session={token}");
    let exchange = in_cookie.request(request().header("cookie", twice));
    assert_eq!(refusal(&exchange).status(), 400);
    // A place that is not configured holds no token.
    assert_refused(&in_cookie.request(bearing(&token)), 401, &["Bearer realm=\"api\""]);
}

#[test]
fn allows_for_clocks_that_are_apart() {
    let signer = Signer::new("HS256");
    let plugin = plugin(trusting(&[&signer]));
    for (changes, passes) in [
        (json!({ "exp": NOW - 59 }), true),
        (json!({ "exp": NOW - 60 }), false),
        (json!({ "exp": NOW as f64 - 59.5 }), true),
        (json!({ "nbf": NOW + 60 }), true),
        (json!({ "nbf": NOW + 61 }), false),
        (json!({ "iat": NOW + 60 }), true),
        (json!({ "iat": NOW + 61 }), false),
        (json!({ "nbf": null, "iat": null }), true),
        (json!({ "exp": 0 }), false),
        (json!({ "exp": -1 }), false),
        (json!({ "exp": 1e300 }), true),
        (json!({ "exp": null }), false),
        (json!({ "exp": "2030-01-01" }), false),
        (json!({ "exp": true }), false),
        (json!({ "nbf": "soon" }), false),
        (json!({ "iat": [] }), false),
    ] {
        let exchange = plugin.request(bearing(&signer.token(&claims_but(changes.clone()))));
        assert_eq!(exchange.answer().is_none(), passes, "{changes}");
        if !passes {
            assert_refused(&exchange, 401, &[INVALID]);
        }
    }
}

#[test]
fn stops_admitting_a_token_when_it_expires_remembered_or_not() {
    let signer = Signer::new("HS256");
    for cache in [0, 1, 256] {
        let mut config = trusting(&[&signer]);
        config["jwt"]["cache"] = cache.into();
        config["jwt"]["skew"] = "10s".into();
        let plugin = plugin(config);
        let token = signer.token(&claims_but(json!({ "exp": NOW + 5 })));
        let other = signer.token(&claims_but(json!({ "sub": "grace" })));
        for _ in 0..2 {
            assert_admitted(&plugin.request(bearing(&token)), "ada");
            assert_admitted(&plugin.request(bearing(&other)), "grace");
            let reuse = plugin.request(bearing(&token)).reuse().unwrap();
            let left = Duration::from_secs(15);
            assert!(reuse <= left && reuse > left - Duration::from_millis(1), "{reuse:?}");
            assert_eq!(plugin.request(bearing(&other)).reuse(), Some(Duration::from_secs(60)));
        }
        plugin.advance(Duration::from_millis(14_999));
        assert_admitted(&plugin.request(bearing(&token)), "ada");
        plugin.advance(Duration::from_millis(1));
        assert_refused(&plugin.request(bearing(&token)), 401, &[INVALID]);
        assert_admitted(&plugin.request(bearing(&other)), "grace");
    }
}

#[test]
fn wants_the_claims_that_it_is_told_to_want() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["jwt"]["required_claims"] = json!(["jti"]);
    let plugin = plugin(config);
    let token = signer.token(&claims_but(json!({ "exp": null, "jti": "1" })));
    assert_admitted(&plugin.request(bearing(&token)), "ada");
    let token = signer.token(&claims());
    assert_refused(&plugin.request(bearing(&token)), 401, &[INVALID]);
    let mut with_null = claims();
    with_null["jti"] = Value::Null;
    assert_refused(&plugin.request(bearing(&signer.token(&with_null))), 401, &[INVALID]);
}

#[test]
fn accepts_the_types_that_it_is_told_to_accept() {
    let signer = Signer::new("HS256");
    let accepts = |config: &Value, kind: Option<&str>| {
        let mut header = json!({ "alg": "HS256" });
        if let Some(kind) = kind {
            header["typ"] = kind.into();
        }
        let plugin = plugin(config.clone());
        plugin.request(bearing(&signer.token_with(&header, &claims()))).answer().is_none()
    };
    let mut config = trusting(&[&signer]);
    for kind in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+JWT")] {
        assert!(accepts(&config, kind), "{kind:?}");
    }
    for kind in ["", "logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "application/"] {
        assert!(!accepts(&config, Some(kind)), "{kind}");
    }
    config["jwt"]["types"] = json!(["application/my+jwt"]);
    config["jwt"]["require_type"] = true.into();
    assert!(accepts(&config, Some("my+jwt")));
    assert!(!accepts(&config, Some("JWT")));
    assert!(!accepts(&config, None));
}

#[test]
fn tries_all_keys_of_an_issuer_for_a_token_without_kid() {
    let (old, new) = (Signer::new("ES256"), Signer::new("ES256"));
    let plugin = plugin(trusting(&[&old, &new]));
    for signer in [&old, &new] {
        assert_admitted(&plugin.request(bearing(&signer.token(&claims()))), "ada");
    }
    let stranger = Signer::new("ES256");
    assert_refused(&plugin.request(bearing(&stranger.token(&claims()))), 401, &[INVALID]);
}

#[test]
fn uses_of_a_jwk_set_what_is_fit() {
    let (signer, other) = (Signer::new("ES256"), Signer::new("RS256"));
    let mut key = signer.jwk();
    key["kid"] = "good".into();
    key["use"] = "sig".into();
    let mut encryption = other.jwk();
    encryption["use"] = "enc".into();
    let set = json!({ "keys": [
        { "kty": "quantum" }, { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }, 7,
        encryption, { "kty": "RSA", "n": "AA", "e": "AQAB", "alg": "RSA-OAEP" }, key,
    ], "note": "further members are ignored" });
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(["RS256", "ES256"]);
    config["jwt"]["issuers"][0]["jwks"] = set;
    let plugin = plugin(config);
    let header = json!({ "alg": "ES256", "kid": "good" });
    assert_admitted(&plugin.request(bearing(&signer.token_with(&header, &claims()))), "ada");
    // The key is there, but not for signatures.
    assert_refused(&plugin.request(bearing(&other.token(&claims()))), 401, &[INVALID]);
}

#[test]
fn tries_a_bearer_credential_as_key_and_as_token() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    let digest = "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
    config["api_key"] = json!({ "bearer": true, "keys": [{ "id": "k", "digest": digest }] });
    let plugin = plugin(config);
    assert_admitted(&plugin.request(bearing("key")), "k");
    assert_admitted(&plugin.request(bearing(&signer.token(&claims()))), "ada");
    assert_refused(&plugin.request(bearing("other")), 401, &[INVALID]);
    assert_refused(&plugin.request(request()), 401, &["Bearer realm=\"api\""]);
}
