//! Tokens that are in order, by all algorithms and in all places, and their times.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
        "ES384", "ES512", "ES256K", "EdDSA",
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

/// A configuration whose issuer has these algorithms and this set of keys.
fn with_set(algorithms: &[&str], keys: Value) -> Value {
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(algorithms);
    config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": keys });
    config
}

#[test]
fn one_name_may_be_that_of_keys_of_two_types() {
    let (rsa, ec) = (Signer::new("RS256"), Signer::new("ES256"));
    let named = |signer: &Signer| {
        let mut jwk = signer.jwk();
        jwk["kid"] = "2026".into();
        jwk
    };
    let set = json!([named(&rsa), named(&ec)]);
    let plugin = plugin(with_set(&["RS256", "ES256"], set));
    for signer in [&rsa, &ec] {
        let header = json!({ "alg": signer.algorithm(), "kid": "2026" });
        assert_admitted(&plugin.request(bearing(&signer.token_with(&header, &claims()))), "ada");
    }
    let header = json!({ "alg": "RS256", "kid": "2026" });
    let forged = Signer::new("RS256").token_with(&header, &claims());
    assert_refused(&plugin.request(bearing(&forged)), 401, &[INVALID]);
}

#[test]
fn a_key_that_names_no_algorithm_serves_all_that_are_allowed_and_fit_it() {
    let pkcs1 = Signer::new("RS256");
    let set = json!([pkcs1.jwk()]);
    let Signer::Rsa(_, key) = pkcs1 else { panic!("an RSA key") };
    let plugin = plugin(with_set(&["RS256", "PS256", "ES256"], set));
    let pss = Signer::Rsa("PS256", key);
    assert_admitted(&plugin.request(bearing(&pss.token(&claims()))), "ada");
    let Signer::Rsa(_, key) = pss else { panic!("an RSA key") };
    let sha512 = Signer::Rsa("RS512", key);
    let refused = plugin.request(bearing(&sha512.token(&claims())));
    assert_refused(&refused, 401, &[INVALID]);
    let Signer::Rsa(_, key) = sha512 else { panic!("an RSA key") };
    let pkcs1 = Signer::Rsa("RS256", key);
    assert_admitted(&plugin.request(bearing(&pkcs1.token(&claims()))), "ada");
}

#[test]
fn takes_both_names_of_ed25519() {
    let signer = Signer::new("EdDSA");
    let mut named = signer.jwk();
    named["alg"] = "Ed25519".into();
    for (algorithms, jwk) in [
        (&["EdDSA"][..], signer.jwk()),
        (&["Ed25519"], signer.jwk()),
        (&["EdDSA", "Ed25519"], named.clone()),
        (&["EdDSA"], named),
    ] {
        let plugin = plugin(with_set(algorithms, json!([jwk])));
        for name in ["EdDSA", "Ed25519"] {
            let token = signer.token_with(&json!({ "alg": name }), &claims());
            assert_admitted(&plugin.request(bearing(&token)), "ada");
        }
    }
}

#[test]
fn takes_another_claim_for_the_audience_of_tokens_that_have_none() {
    let signer = Signer::new("ES256");
    let mut config = trusting(&[&signer]);
    let token = |aud: Value, client: &str| {
        bearing(&signer.token(&claims_but(json!({ "aud": aud, "client_id": client }))))
    };
    let strict = plugin(config.clone());
    assert_refused(&strict.request(token(Value::Null, "api")), 401, &[INVALID]);
    config["jwt"]["issuers"][0]["audience_claim"] = "client_id".into();
    let plugin = plugin(config);
    assert_admitted(&plugin.request(token(Value::Null, "api")), "ada");
    assert_admitted(&plugin.request(token("api".into(), "other")), "ada");
    for refused in [token(Value::Null, "other"), token("other".into(), "api")] {
        assert_refused(&plugin.request(refused), 401, &[INVALID]);
    }
}

#[test]
fn the_log_says_which_key_a_token_lacks() {
    let (rsa, ec) = (Signer::new("RS256"), Signer::new("ES256"));
    let mut named = rsa.jwk();
    named["kid"] = "one".into();
    let plugin = plugin(with_set(&["RS256", "ES256", "ES384"], json!([named, ec.jwk()])));
    for (header, reason) in [
        (json!({ "alg": "ES256", "kid": "one" }), "`kid` names is for another algorithm"),
        (json!({ "alg": "RS256", "kid": "two" }), "no key of the issuer has the token's `kid`"),
        (json!({ "alg": "ES384" }), "no key of the issuer is for the token's algorithm"),
        (json!({ "alg": "RS384" }), "the token's algorithm is not allowed for its issuer"),
        (json!({ "alg": "RS256" }), "the token's signature is wrong"),
    ] {
        let exchange =
            plugin.request(bearing(&Signer::new("RS256").token_with(&header, &claims())));
        assert_refused(&exchange, 401, &[INVALID]);
        assert!(exchange.log()[0].message.contains(reason), "{:?}", exchange.log());
    }
}

#[test]
fn takes_keys_of_certificates_and_of_pkcs1_and_with_a_byte_order_mark() {
    let rsa = Signer::new("RS256");
    let Signer::Rsa(_, key) = &rsa else { panic!("an RSA key") };
    let pkcs1 = STANDARD.encode(key.public_key().as_ref());
    let pkcs1 =
        format!("-----BEGIN RSA PUBLIC KEY-----\r\n{pkcs1}\r\n-----END RSA PUBLIC KEY-----\r\n");
    for pem in [rsa.pem(), format!("\u{feff}{}", rsa.pem()), pkcs1] {
        let mut config = trusting(&[&rsa]);
        config["jwt"]["issuers"][0]["keys"][0]["pem"] = pem.into();
        let plugin = plugin(config);
        assert_admitted(&plugin.request(bearing(&rsa.token(&claims()))), "ada");
    }
    let made = rcgen::generate_simple_self_signed(["issuer.example".to_owned()]).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &made.signing_key.serialize_der(),
    );
    let ec = Signer::Ecdsa("ES256", pair.unwrap());
    let mut config = trusting(&[&ec]);
    config["jwt"]["issuers"][0]["keys"][0]["pem"] = made.cert.pem().into();
    let plugin = plugin(config);
    assert_admitted(&plugin.request(bearing(&ec.token(&claims()))), "ada");
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
