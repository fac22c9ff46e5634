//! The attacks of RFC 8725 section 2, and their kin. Each begins with a token or a request that
//! passes, so that the refusal is about the attack.

use gateway_plugin_sdk::testing::request;
use serde_json::{Value, json};

use crate::issuer::{NOW, Signer, claims, claims_but, encoded, trusting};
use crate::jwt::bearing;
use crate::{assert_admitted, assert_refused, plugin, refusal};

const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";
const MALFORMED: &str = "Bearer realm=\"api\", error=\"invalid_request\"";

/// Refuses all tokens, after it has admitted one that is in order.
fn assert_refuses_all(config: Value, good: &str, tokens: impl IntoIterator<Item = String>) {
    let plugin = plugin(config);
    assert_admitted(&plugin.request(bearing(good)), "ada");
    for token in tokens {
        let exchange = plugin.request(bearing(&token));
        assert_refused(&exchange, 401, &[INVALID]);
        assert_eq!(exchange.attribute("consumer.id"), None, "{token}");
    }
}

#[test]
fn refuses_tokens_that_no_key_has_signed() {
    let signer = Signer::new("RS256");
    let good = signer.token(&claims());
    let payload = encoded(&claims().to_string());
    let mut tokens = Vec::new();
    for name in ["none", "None", "NONE", "nOnE", "", "RS256 ", "rs256", "RS1", "HS1"] {
        let header = encoded(&json!({ "alg": name, "typ": "JWT" }).to_string());
        let (_, signature) = good.rsplit_once('.').unwrap();
        tokens.push(format!("{header}.{payload}."));
        tokens.push(format!("{header}.{payload}.{signature}"));
    }
    let (signed, _) = good.rsplit_once('.').unwrap();
    tokens.push(format!("{signed}."));
    tokens.push(format!("{signed}.{}", encoded(&"\0".repeat(256))));
    assert_refuses_all(trusting(&[&signer]), &good, tokens);
}

#[test]
fn refuses_a_public_key_that_is_used_as_a_secret() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let signer = Signer::new(algorithm);
        let pem = signer.pem();
        let jwk = signer.jwk().to_string();
        let forgeries = |secret: &[u8]| {
            ["HS256", "HS384", "HS512"]
                .map(|name| Signer::Secret(name, secret.into()).token(&claims()))
        };
        let tokens = [pem.as_bytes(), pem.trim().as_bytes(), jwk.as_bytes()].map(forgeries);
        assert_refuses_all(trusting(&[&signer]), &signer.token(&claims()), tokens.concat());
    }
}

/// Even if the issuer has a secret too, a key is used only with its own algorithm.
#[test]
fn refuses_a_key_that_is_named_with_an_algorithm_of_another() {
    let (rsa, secret) = (Signer::new("RS256"), Signer::new("HS256"));
    let mut config = trusting(&[&rsa, &secret]);
    for (index, kid) in ["rsa", "secret"].iter().enumerate() {
        config["jwt"]["issuers"][0]["keys"][index]["kid"] = (*kid).into();
    }
    let header = |algorithm: &str, kid: &str| json!({ "alg": algorithm, "kid": kid });
    let good = rsa.token_with(&header("RS256", "rsa"), &claims());
    let pem = Signer::Secret("HS256", rsa.pem().into());
    let tokens = [
        pem.token_with(&header("HS256", "rsa"), &claims()),
        secret.token_with(&header("HS256", "rsa"), &claims()),
        rsa.token_with(&header("RS256", "secret"), &claims()),
        rsa.token_with(&header("RS256", "unknown"), &claims()),
        rsa.token_with(&header("RS256", ""), &claims()),
        rsa.token_with(&header("PS256", "rsa"), &claims()),
        rsa.token_with(&header("HS256", "secret"), &claims()),
    ];
    assert_refuses_all(config, &good, tokens);
}

#[test]
fn refuses_an_algorithm_that_the_issuer_does_not_use() {
    let signer = Signer::new("RS256");
    let Signer::Rsa(_, key) = signer else { panic!("it is an RSA key") };
    // The same key could sign all of these.
    let signer = Signer::Rsa("RS256", key);
    let good = signer.token(&claims());
    let config = trusting(&[&signer]);
    let Signer::Rsa(_, key) = signer else { panic!("it is an RSA key") };
    let mut tokens = Vec::new();
    let mut key = Some(key);
    for algorithm in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let signer = Signer::Rsa(algorithm, key.take().unwrap());
        tokens.push(signer.token(&claims()));
        let Signer::Rsa(_, back) = signer else { panic!("it is an RSA key") };
        key = Some(back);
    }
    assert_refuses_all(config, &good, tokens);
}

#[test]
fn refuses_a_key_of_another_issuer() {
    let (ours, theirs) = (Signer::new("ES256"), Signer::new("ES256"));
    let mut config = trusting(&[&ours]);
    config["jwt"]["issuers"][0]["keys"][0]["kid"] = "1".into();
    let mut other = trusting(&[&theirs])["jwt"]["issuers"][0].clone();
    other["issuer"] = "https://other.example".into();
    other["keys"][0]["kid"] = "2".into();
    config["jwt"]["issuers"].as_array_mut().unwrap().push(other);
    let header = |kid| json!({ "alg": "ES256", "kid": kid });
    let good = ours.token_with(&header("1"), &claims());
    let from = |issuer: Value| claims_but(json!({ "iss": issuer }));
    let tokens = [
        theirs.token_with(&header("2"), &claims()),
        theirs.token_with(&header("1"), &claims()),
        theirs.token(&claims()),
        ours.token_with(&header("1"), &from(json!("https://other.example"))),
        ours.token_with(&header("1"), &from(json!("https://third.example"))),
        ours.token_with(&header("1"), &from(json!("https://issuer.example/"))),
        ours.token_with(&header("1"), &from(json!("HTTPS://issuer.example"))),
        ours.token_with(&header("1"), &from(json!(["https://issuer.example"]))),
        ours.token_with(&header("1"), &from(json!(null))),
    ];
    assert_refuses_all(config, &good, tokens);
}

#[test]
fn refuses_a_token_for_another_audience() {
    let signer = Signer::new("HS256");
    let audiences = [
        json!("other"),
        json!(null),
        json!(""),
        json!([]),
        json!(["other"]),
        json!("API"),
        json!("api,other"),
        json!({ "api": true }),
        json!(["api", 1]),
        json!([["api"]]),
        json!(true),
    ];
    let tokens = audiences.map(|aud| signer.token(&claims_but(json!({ "aud": aud }))));
    let good = signer.token(&claims_but(json!({ "aud": ["other", "api"] })));
    assert_refuses_all(trusting(&[&signer]), &good, tokens);
}

#[test]
fn refuses_a_key_that_a_token_brings_along() {
    let (signer, attacker) = (Signer::new("ES256"), Signer::new("ES256"));
    let good =
        json!({ "alg": "ES256", "jku": "https://evil.example", "x5u": "https://evil.example" });
    let tokens = [
        json!({ "alg": "ES256", "jwk": attacker.jwk() }),
        json!({ "alg": "ES256", "jku": "https://evil.example/jwks.json", "kid": "1" }),
        json!({ "alg": "ES256", "x5u": "https://evil.example/cert.pem" }),
        json!({ "alg": "ES256", "x5c": ["MIIB"] }),
    ]
    .map(|header| attacker.token_with(&header, &claims()));
    // References in a token that a known key has signed are not followed either.
    let good = signer.token_with(&good, &claims());
    assert_refuses_all(trusting(&[&signer]), &good, tokens);
}

#[test]
fn refuses_headers_and_payloads_with_two_meanings() {
    let signer = Signer::new("HS256");
    let header = r#"{"alg":"HS256"}"#;
    let payload = claims().to_string();
    let twice = format!("{},\"sub\":\"root\"}}", payload.strip_suffix('}').unwrap());
    let tokens = [
        signer.token_of(r#"{"alg":"none","alg":"HS256"}"#, &payload),
        signer.token_of(r#"{"alg":"HS256","crit":["exp"]}"#, &payload),
        signer.token_of(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &payload),
        signer.token_of(r#"{"alg":"HS256","b64":false}"#, &payload),
        signer.token_of(header, &twice),
        signer.token_of(header, &format!("{payload} {payload}")),
        signer.token_of(header, &format!("[{payload}]")),
        signer.token_of(header, "7"),
        signer.token_of(header, ""),
        signer.token_of("", &payload),
        signer.token_of("{}", &payload),
    ];
    assert_refuses_all(trusting(&[&signer]), &signer.token_of(header, &payload), tokens);
}

#[test]
fn refuses_other_writings_of_a_good_token() {
    let signer = Signer::new("HS256");
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("a token has three parts") };
    let tokens = vec![
        format!("{good}="),
        format!("{good}=="),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(".{good}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.x.y"),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.{signature}AAAA"),
        "..".to_owned(),
        ".".to_owned(),
    ];
    let config = trusting(&[&signer]);
    assert_refuses_all(config.clone(), &good, tokens);
    // JSON serialisation, padding within, and spaces are no bearer tokens at all.
    let plugin = plugin(config);
    for text in [
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload} .{signature}"),
        format!("{good},{good}"),
        format!("{{\"payload\":\"{payload}\"}}"),
    ] {
        assert_refused(&plugin.request(bearing(&text)), 400, &[MALFORMED]);
    }
}

#[test]
fn refuses_a_token_that_is_huge_before_it_looks_at_it() {
    let signer = Signer::new("HS256");
    let filled = |length: usize| {
        let fill = "x".repeat(length);
        signer.token(&claims_but(json!({ "fill": fill })))
    };
    let good = filled(11_000);
    assert!(good.len() < 16 * 1024);
    let huge = filled(12_500);
    assert!(huge.len() > 16 * 1024);
    let dots = ".".repeat(1_000_000);
    let deep = signer.token_of(r#"{"alg":"HS256"}"#, &"[".repeat(10_000));
    assert_refuses_all(trusting(&[&signer]), &good, [huge, dots, deep]);
}

#[test]
fn refuses_names_and_scopes_that_could_mislead_others() {
    let signer = Signer::new("HS256");
    let scope = "s".repeat(100);
    let tokens = [
        json!({ "sub": "" }),
        json!({ "sub": null }),
        json!({ "sub": "ada\r\nx-admin: 1" }),
        json!({ "sub": "ada\0" }),
        json!({ "sub": "a".repeat(1_025) }),
        json!({ "sub": { "name": "ada" } }),
        json!({ "scope": vec![scope.as_str(); 90].join(" ") }),
    ]
    .map(|changes| signer.token(&claims_but(changes)));
    assert_refuses_all(trusting(&[&signer]), &signer.token(&claims()), tokens);
}

#[test]
fn counts_no_word_of_a_list_as_several_scopes() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    config["require"] = json!({ "scopes": ["admin"] });
    let plugin = plugin(config);
    for scopes in
        [json!(["user admin"]), json!("user,admin"), json!("user\tadmin"), json!(["a", ["admin"]])]
    {
        let token = signer.token(&claims_but(json!({ "scope": scopes })));
        let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="admin""#;
        assert_refused(&plugin.request(bearing(&token)), 403, &[challenge]);
    }
    let token = signer.token(&claims_but(json!({ "scope": "user admin", "exp": NOW + 1 })));
    assert_admitted(&plugin.request(bearing(&token)), "ada");
}

#[test]
fn never_says_which_part_of_a_token_was_wrong() {
    let signer = Signer::new("HS256");
    let stranger = Signer::Secret("HS256", vec![7; 64]);
    let plugin = plugin(trusting(&[&signer]));
    let answers = [
        signer.token(&claims_but(json!({ "exp": NOW - 100 }))),
        signer.token(&claims_but(json!({ "aud": "other" }))),
        signer.token(&claims_but(json!({ "iss": "other" }))),
        stranger.token(&claims()),
        "abc".to_owned(),
    ]
    .map(|token| {
        let exchange = plugin.request(bearing(&token));
        let answer = refusal(&exchange);
        (answer.status(), answer.headers().to_vec(), answer.text().to_owned())
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let exchange = plugin.request(request());
    assert_eq!(refusal(&exchange).text(), answers[0].2);
}
