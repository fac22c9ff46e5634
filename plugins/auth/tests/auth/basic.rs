//! Names with passwords.

use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::log::Level;
use gateway_plugin_sdk::testing::{RequestBuilder, request};
use serde_json::{Value, json};

use crate::{assert_admitted, assert_refused, plugin, refusal};

const CHALLENGE: &str = "Basic realm=\"api\", charset=\"UTF-8\"";

/// As cheap a hash as there is: the tests are about the plugin.
fn argon2(password: &str) -> String {
    let parameters = Params::new(64, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

fn bcrypt(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn config() -> Value {
    json!({ "basic": { "users": [
        { "name": "ada", "hash": argon2("love:lace"), "consumer": "countess", "scopes": ["math"] },
        { "name": "grace", "hash": bcrypt("hopper") },
        { "name": "Jürgen", "hash": bcrypt("größe") },
    ] } })
}

fn with(credential: &str) -> RequestBuilder {
    request().header("authorization", format!("Basic {}", STANDARD.encode(credential)))
}

#[test]
fn admits_users_by_argon2_and_by_bcrypt() {
    let plugin = plugin(config());
    let exchange = plugin.request(with("ada:love:lace"));
    assert_admitted(&exchange, "countess");
    assert_eq!(exchange.attribute("consumer.method").as_deref(), Some("basic"));
    assert_eq!(exchange.attribute("consumer.key-id").as_deref(), Some("ada"));
    assert_eq!(exchange.attribute("consumer.scopes").as_deref(), Some("math"));
    assert_eq!(exchange.request().header("authorization"), None);
    assert_admitted(&plugin.request(with("grace:hopper")), "grace");
    assert_admitted(&plugin.request(with("Jürgen:größe")), "Jürgen");
}

#[test]
fn admits_the_users_of_an_htpasswd_file() {
    let text = format!(
        "\u{feff}# staff\r\n\r\nada:{}\r\ngrace:{}\n",
        bcrypt("love:lace").replace("$2b$", "$2y$"),
        argon2("hopper"),
    );
    let alone = plugin(json!({ "basic": { "htpasswd": text } }));
    assert_admitted(&alone.request(with("ada:love:lace")), "ada");
    assert_admitted(&alone.request(with("grace:hopper")), "grace");
    assert_refused(&alone.request(with("grace:love:lace")), 401, &[CHALLENGE]);
    let users = json!([{ "name": "joan", "hash": bcrypt("clarke"), "consumer": "staff" }]);
    let beside = plugin(json!({ "basic": { "htpasswd": text, "users": users } }));
    assert_admitted(&beside.request(with("joan:clarke")), "staff");
    assert_admitted(&beside.request(with("ada:love:lace")), "ada");
}

#[test]
fn admits_by_the_hashes_of_other_tools() {
    // The test vector of the reference implementation: argon2i, version 16, m=256, t=2, p=1.
    let old = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
    let digest = digest::sha256(b"password").map(|byte| format!("{byte:02x}")).concat();
    for hash in [
        old.to_owned(),
        format!("{{bcrypt}}{}", bcrypt("password")),
        format!("bcrypt${}", bcrypt("password")),
        format!("argon2{}", argon2("password")),
        format!("{{argon2}}{}", argon2("password")),
        format!("bcrypt_sha256${}", bcrypt(&digest)),
    ] {
        let plugin = plugin(json!({ "basic": { "users": [{ "name": "ada", "hash": hash }] } }));
        assert_admitted(&plugin.request(with("ada:password")), "ada");
        assert_refused(&plugin.request(with("ada:passwort")), 401, &[CHALLENGE]);
    }
}

#[test]
fn refuses_wrong_names_and_passwords_alike() {
    let plugin = plugin(config());
    for credential in [
        "ada:lovelace",
        "ada:love",
        "ada:",
        "ada",
        "",
        ":",
        "Ada:love:lace",
        "nobody:love:lace",
        "grace:love:lace",
        "ada:hopper",
        ":love:lace",
        "ada:love:lace\n",
        "ada:love:lace\0",
    ] {
        assert_refused(&plugin.request(with(credential)), 401, &[CHALLENGE]);
    }
}

#[test]
fn refuses_credentials_that_are_malformed() {
    let plugin = plugin(config());
    let base64 = STANDARD.encode("grace:hopper");
    for value in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Basic {base64} {base64}"),
        format!("Basic {}", base64.trim_end_matches('=')),
        format!("Basic {base64}, Basic {base64}"),
        format!("Basic {}", STANDARD.encode([b'a', b':', 0xff])),
        format!("Basic {}", STANDARD.encode("grace:hopper".repeat(1_000))),
        "Bearer abc".to_owned(),
        "grace:hopper".to_owned(),
    ] {
        let exchange = plugin.request(request().header("authorization", value.clone()));
        // Its base64 needs no padding, so nothing is taken away from it.
        if value == format!("Basic {base64}") {
            assert_admitted(&exchange, "grace");
            continue;
        }
        assert_refused(&exchange, 401, &[CHALLENGE]);
    }
}

#[test]
fn names_its_own_realm() {
    let mut config = config();
    config["realm"] = "whole".into();
    config["basic"]["realm"] = "the \"inner\" \\ one".into();
    let exchange = plugin(config);
    let exchange = exchange.request(request());
    let challenge = r#"Basic realm="the \"inner\" \\ one", charset="UTF-8""#;
    assert_refused(&exchange, 401, &[challenge]);
}

#[test]
fn remembers_a_right_password_but_never_a_wrong_one() {
    for remember in ["0s", "60s"] {
        let mut config = config();
        config["basic"]["remember"] = remember.into();
        let plugin = plugin(config);
        for _ in 0..3 {
            assert_refused(&plugin.request(with("ada:wrong")), 401, &[CHALLENGE]);
            assert_admitted(&plugin.request(with("ada:love:lace")), "countess");
            assert_admitted(&plugin.request(with("grace:hopper")), "grace");
            assert_refused(&plugin.request(with("grace:love:lace")), 401, &[CHALLENGE]);
            plugin.advance(Duration::from_secs(45));
        }
    }
}

#[test]
fn tells_clients_to_come_again_while_too_many_passwords_are_verified() {
    let mut config = config();
    config["anonymous"] = "guest".into();
    let plugin = plugin(config);
    assert_admitted(&plugin.request(with("grace:hopper")), "grace");
    plugin.passwords_busy(true);
    for credential in ["ada:love:lace", "ada:wrong", "nobody:hopper"] {
        let exchange = plugin.request(with(credential));
        // Neither yes nor no: nobody is challenged for a password that may be right.
        assert_refused(&exchange, 503, &[]);
        assert_eq!(refusal(&exchange).header("retry-after"), Some("1"));
        assert_eq!(exchange.attribute("consumer.id"), None);
        assert_eq!(exchange.log()[0].level, Level::Warn);
    }
    // What was verified before needs no new verification, and who shows nothing no verification.
    assert_admitted(&plugin.request(with("grace:hopper")), "grace");
    assert_admitted(&plugin.request(request()), "guest");
    plugin.passwords_busy(false);
    assert_admitted(&plugin.request(with("ada:love:lace")), "countess");
}

#[test]
fn stands_beside_other_methods() {
    let mut config = config();
    config["api_key"] = json!({ "keys": [{
        "id": "k", "digest": format!("sha256:{}", "0".repeat(64)),
    }] });
    let plugin = plugin(config);
    assert_admitted(&plugin.request(with("grace:hopper")), "grace");
    let in_field = "ApiKey realm=\"api\", header=\"x-api-key\"";
    let challenges = ["Bearer realm=\"api\"", CHALLENGE, in_field];
    assert_refused(&plugin.request(with("grace:hooper")), 401, &challenges);
    let both = with("grace:hopper").header("x-api-key", "k");
    let invalid = "Bearer realm=\"api\", error=\"invalid_request\"";
    assert_refused(&plugin.request(both), 400, &[invalid]);
}
