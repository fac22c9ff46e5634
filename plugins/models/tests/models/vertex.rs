//! Deployments on Vertex AI: paths, bodies, and access tokens for a service account.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};
use gateway_plugin_sdk::testing::{self, Harness};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, hello, post, sent};

fn config() -> Value {
    let account = json!({ "email": "gateway@p.iam.gserviceaccount.com", "key": "key", "key_id": "k1", "upstream": "oauth" });
    let deployment = |provider: &str, model: &str| {
        json!({
            "upstream": "vertex", "provider": provider, "model": model, "project": "my-project",
            "region": "europe-west4", "service_account": account.clone(),
        })
    };
    json!({
        "deployments": {
            "gemini": deployment("vertex", "gemini-3-pro"),
            "claude": deployment("vertex-anthropic", "claude-sonnet-5@20260101"),
            "gpt": { "upstream": "openai", "provider": "openai" },
        },
        "models": {
            "gemini": { "deployments": [{ "name": "gemini" }] },
            "claude": { "deployments": [{ "name": "claude" }] },
            "both": { "deployments": [{ "name": "gemini" }, { "name": "gpt", "priority": 1 }] },
        },
    })
}

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl is there");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn key() -> String {
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "")
}

/// The plugin, with a server of tokens that answers with this status.
fn plugin(key: &str, status: u16) -> Harness<Models> {
    plugin_with(key, status, "ya29.token")
}

fn plugin_with(key: &str, status: u16, token: &'static str) -> Harness<Models> {
    Harness::prepare()
        .secret("key", key)
        .upstream("oauth", move |_| {
            let granted =
                json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" });
            Ok(testing::response()
                .status(status)
                .header("content-type", "application/json")
                .body(granted.to_string()))
        })
        .configure(config())
        .expect("the configuration is valid")
}

#[test]
fn a_token_is_fetched_once_for_a_message_that_the_account_signed() {
    let key = key();
    let harness = plugin(&key, 200);
    for _ in 0..3 {
        let exchange = harness.request(hello("gemini"));
        let path = "/v1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-3-pro:generateContent";
        assert_eq!(exchange.request().path(), path);
        assert_eq!(exchange.request().header("authorization"), Some("Bearer ya29.token"));
        assert_eq!(sent(&exchange)["contents"][0]["parts"][0]["text"], "hello");
    }
    let calls = harness.calls();
    assert_eq!((calls.len(), calls[0].upstream(), calls[0].target()), (1, "oauth", "/token"));
    let (grant, assertion) = calls[0].text().split_once("&assertion=").unwrap();
    assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let part = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    let (header, claims) = message.split_once('.').unwrap();
    assert_eq!(part(header), json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" }));
    let claims = part(claims);
    assert_eq!(claims["iss"], "gateway@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let public = openssl(&["pkey", "-pubout"], &key);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let is_signed = harness.serve(|| {
        VerifyingKey::from_pem(Algorithm::Rs256, &public)
            .unwrap()
            .verify(message.as_bytes(), &signature)
    });
    assert!(is_signed);
    // Before it ends there is another.
    harness.advance(Duration::from_secs(3300));
    harness.request(hello("gemini"));
    assert_eq!(harness.calls().len(), 2);
    // One that is refused is forgotten.
    harness
        .request(hello("gemini"))
        .response(answer(json!({ "error": { "code": 401 } })).status(401));
    harness.request(hello("gemini"));
    assert_eq!(harness.calls().len(), 3);
}

#[test]
fn without_a_token_the_next_is_asked_or_the_client_told() {
    let harness = plugin(&key(), 400);
    let exchange = harness.request(hello("gemini"));
    let refused = exchange.answer().unwrap();
    assert_eq!(refused.status(), 502);
    assert_eq!(
        refused.json::<Value>()["error"]["message"],
        "The provider did not give the gateway access."
    );
    assert!(exchange.log().iter().any(|line| line.message.contains("the server answered 400")));
    assert_eq!(harness.request(hello("both")).request().upstream(), Some("openai"));
}

#[test]
fn a_token_that_no_field_can_carry_is_none() {
    let key = key();
    for token in ["", "a\nb", "a\r\nx: y", "a b", "t\u{f6}ken", "a\0"] {
        let harness = plugin_with(&key, 200, token);
        let exchange = harness.request(hello("gemini"));
        assert_eq!(exchange.answer().unwrap().status(), 502, "{token:?}");
        assert!(exchange.log().iter().any(|line| line.message.contains("cannot stand in a field")));
        // It is not kept, the next deployment is asked, and both failures count.
        assert_eq!(harness.request(hello("both")).request().upstream(), Some("openai"));
        assert_eq!(harness.calls().len(), 2);
        for model in ["gemini", "both"] {
            let labels = [
                ("gen_ai_request_model", model),
                ("deployment", "gemini"),
                ("error_type", "auth"),
                ("next", ""),
            ];
            assert_eq!(harness.counter("gen_ai_failed_attempts", &labels), 1, "{token:?}");
        }
    }
}

#[test]
fn models_of_anthropic_have_their_model_in_the_path_and_a_version_in_the_body() {
    let harness = plugin(&key(), 200);
    let models = "/v1/projects/my-project/locations/europe-west4/publishers/anthropic/models/";
    let ask = |path: &str, stream: bool| {
        let body = json!({ "model": "claude", "stream": stream, "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
        let exchange = harness.request(post(path, body));
        let path = exchange.request().path().strip_prefix(models).unwrap().to_owned();
        (path, sent(&exchange))
    };
    for from in ["/v1/messages", "/v1/chat/completions"] {
        let (path, body) = ask(from, false);
        assert_eq!(path, "claude-sonnet-5@20260101:rawPredict", "{from}");
        assert_eq!(
            (&body["model"], &body["anthropic_version"]),
            (&Value::Null, &json!("vertex-2023-10-16"))
        );
        assert_eq!(body["max_tokens"], 5);
        assert_eq!(ask(from, true).0, "claude-sonnet-5@20260101:streamRawPredict");
    }
    let (path, body) = ask("/v1/messages/count_tokens", false);
    assert_eq!(path, "count-tokens:rawPredict");
    assert_eq!(body["model"], "claude-sonnet-5@20260101");
}

#[test]
fn what_is_missing_is_said_at_its_place() {
    let key = key();
    for (pointer, value, words) in [
        ("/project", Value::Null, "the id of the project"),
        ("/region", Value::Null, "the location"),
        ("/service_account/upstream", json!("x"), "upstreams = [\"x\"]"),
        ("/service_account/key", json!("x"), "secrets = [\"x\"]"),
        ("/service_account/path", json!("token"), "no path"),
        ("/provider", json!("gemini"), "`vertex-anthropic` alone"),
    ] {
        let mut config = config();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config["deployments"]["gemini"].pointer_mut(parent).unwrap()[name] = value;
        let prepared = Harness::<Models>::prepare().secret("key", &*key);
        let prepared = prepared.upstream("oauth", |_| Ok(testing::response()));
        let error = prepared.configure(config).err().expect("it is wrong");
        let place = format!("/deployments/gemini{pointer}");
        let found = error.issues().iter().any(|it| {
            (it.pointer == place || pointer == "/provider") && it.message.contains(words)
        });
        assert!(found, "{error:?}");
    }
}
