//! Configurations that are refused, all faults at once and each at its place.

use auth::Auth;
use gateway_plugin_sdk::testing::Harness;
use serde_json::{Value, json};

use crate::issuer::{Signer, trusting};

/// The places of all faults, in order.
fn faults(config: Value) -> Vec<String> {
    let Err(error) = Harness::<Auth>::new(config) else {
        return Vec::new();
    };
    let mut pointers: Vec<String> =
        error.issues().iter().map(|issue| issue.pointer.clone()).collect();
    pointers.sort();
    pointers
}

fn message(config: Value) -> String {
    match Harness::<Auth>::new(config) {
        Ok(_) => panic!("the configuration is accepted"),
        Err(error) => error.to_string(),
    }
}

/// `printf %s "$UNSET" | sha256sum`
const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

#[test]
fn wants_a_method_or_a_requirement() {
    assert_eq!(faults(json!({})), [""]);
    assert_eq!(faults(json!({ "require": {} })), [""]);
    assert_eq!(faults(json!({ "require": { "scopes": ["read"] } })), [""; 0]);
    let config = json!({
        "require": { "scopes": ["read"] }, "headers": { "x-id": "consumer.id" },
        "claims_to_attributes": ["plan"],
    });
    assert_eq!(faults(config), ["/claims_to_attributes", "/headers"]);
}

#[test]
fn points_at_every_faulty_key_at_once() {
    let config = json!({ "api_key": { "keys": [
        { "id": "a", "digest": digest("0") },
        { "id": "a", "digest": digest("1") },
        { "id": "b", "digest": digest("0") },
        { "id": "c", "digest": "0".repeat(64) },
        { "id": "d", "digest": format!("sha256:{}", "0".repeat(63)) },
        { "id": "e", "digest": format!("sha256:{}", "g".repeat(64)) },
        { "id": "", "digest": digest("2") },
        { "id": "g", "digest": digest("3"), "consumer": "a\nb" },
        { "id": "h", "digest": digest("4"), "scopes": ["ok", "two words", ""] },
        { "id": "i", "digest": digest("5"), "expires": "tomorrow" },
        { "id": "j", "digest": format!("sha512:{}", "0".repeat(128)) },
        { "id": "k", "digest": OF_NOTHING },
    ] } });
    let keys = [
        "1/id",
        "10/digest",
        "11/digest",
        "2/digest",
        "3/digest",
        "4/digest",
        "5/digest",
        "6/consumer",
        "6/id",
        "7/consumer",
        "8/scopes/1",
        "8/scopes/2",
        "9/expires",
    ];
    assert_eq!(faults(config), keys.map(|place| format!("/api_key/keys/{place}")));
}

#[test]
fn wants_at_least_one_key_issuer_and_user() {
    let config = json!({
        "api_key": { "keys": [] }, "jwt": { "issuers": [] }, "basic": { "users": [] },
    });
    assert_eq!(faults(config), ["/api_key/keys", "/basic/users", "/jwt/issuers"]);
}

#[test]
fn wants_issuers_to_be_whole() {
    let config = json!({ "jwt": {
        "skew": "soon", "types": [], "consumer_claim": "", "cache": 1_000_000,
        "issuers": [
            { "issuer": "", "audiences": [], "algorithms": [] },
            { "issuer": "a", "audiences": ["api"], "algorithms": ["none", "RS256", "RS256"],
              "jwks": "{}" },
            { "issuer": "a", "audiences": ["api"], "algorithms": ["ES256"],
              "jwks": { "keys": [{ "kty": "RSA", "n": "AA", "e": "AQAB" }] } },
        ],
    } });
    let places = [
        "cache",
        "consumer_claim",
        "issuers/0/algorithms",
        "issuers/0/audiences",
        "issuers/0/issuer",
        "issuers/0/keys",
        "issuers/1/algorithms/0",
        "issuers/1/algorithms/2",
        "issuers/1/jwks",
        "issuers/2/issuer",
        "issuers/2/jwks",
        "skew",
        "types",
    ];
    assert_eq!(faults(config), places.map(|place| format!("/jwt/{place}")));
}

#[test]
fn wants_each_key_to_fit_its_algorithm() {
    let (rsa, ec) = (Signer::new("RS256"), Signer::new("ES256"));
    let mut private = ec.jwk();
    private["d"] = "AA".into();
    let mut encryption = ec.jwk();
    encryption["use"] = "enc".into();
    let mut other = rsa.jwk();
    other["alg"] = "PS256".into();
    let secret = "0123456789abcdef0123456789abcdef";
    let config = json!({ "jwt": { "issuers": [{
        "issuer": "a", "audiences": ["api"], "algorithms": ["RS256", "ES256", "HS256", "EdDSA"],
        "keys": [
            { "algorithm": "RS256", "pem": rsa.pem(), "kid": "1" },
            { "algorithm": "RS256", "pem": ec.pem() },
            { "algorithm": "HS256", "pem": rsa.pem() },
            { "algorithm": "HS256", "secret": rsa.pem() },
            { "algorithm": "HS256", "secret": "too short" },
            { "algorithm": "RS256", "secret": secret },
            { "algorithm": "ES256", "jwk": rsa.jwk() },
            { "algorithm": "HS256", "jwk": rsa.jwk() },
            { "algorithm": "ES256", "jwk": private },
            { "algorithm": "ES256", "jwk": encryption },
            { "algorithm": "RS256", "jwk": other },
            { "algorithm": "PS256", "pem": rsa.pem() },
            { "algorithm": "RS257", "pem": rsa.pem() },
            { "algorithm": "ES256", "pem": ec.pem(), "jwk": ec.jwk() },
            { "algorithm": "ES256" },
            { "algorithm": "ES256", "pem": "no pem" },
            { "algorithm": "ES256", "jwk": "no json" },
            { "algorithm": "ES256", "pem": ec.pem(), "kid": "1" },
        ],
    }] } });
    let mut places = [
        "1/pem",
        "2/pem",
        "3/secret",
        "4/secret",
        "5/secret",
        "6/jwk",
        "7/jwk",
        "8/jwk",
        "9/jwk",
        "10/jwk",
        "11/algorithm",
        "12/algorithm",
        "13",
        "14",
        "15/pem",
        "16/jwk",
    ]
    .map(|place| format!("/jwt/issuers/0/keys/{place}"));
    places.sort();
    assert_eq!(faults(config), places);
}

#[test]
fn wants_the_keys_of_a_set_to_have_names_of_their_own_and_one_algorithm() {
    let (first, second) = (Signer::new("RS256"), Signer::new("RS256"));
    let named = |signer: &Signer| {
        let mut jwk = signer.jwk();
        jwk["kid"] = "1".into();
        jwk["alg"] = "RS256".into();
        jwk
    };
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(["RS256", "PS256"]);
    config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [named(&first), named(&second)] });
    assert_eq!(faults(config.clone()), ["/jwt/issuers/0/jwks"]);
    assert!(message(config.clone()).contains("the `kid` \"1\" names more than one key for RS256"));
    config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [first.jwk()] });
    assert_eq!(faults(config.clone()), [""; 0]);
    config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [named(&first)] });
    assert_eq!(faults(config), [""; 0]);
}

#[test]
fn names_the_key_of_a_set_and_what_is_wrong_with_it() {
    let (rsa, ec) = (Signer::new("RS256"), Signer::new("ES256"));
    let mut weak = rsa.jwk();
    let n = weak["n"].as_str().unwrap()[..170].to_owned() + "w";
    weak["n"] = n.into();
    let with = |mut jwk: Value, name: &str, value: Value| {
        jwk["kid"] = "x1".into();
        jwk[name] = value;
        jwk
    };
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(["RS256", "ES256"]);
    for (jwk, parts) in [
        (with(weak, "use", "sig".into()), ["has 1024 bits", "2048 to 8192"]),
        (with(rsa.jwk(), "e", "AQ".into()), ["the exponent 1", "anybody can sign"]),
        (with(rsa.jwk(), "e", "AQAA".into()), ["an even exponent", "openssl genrsa"]),
        (with(ec.jwk(), "d", "AA".into()), ["a private key", "public part only"]),
        (with(ec.jwk(), "y", "AA".into()), ["is no key for ES256", "32 bytes"]),
    ] {
        // A good key beside it does not hide it.
        config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [ec.jwk(), jwk] });
        assert_eq!(faults(config.clone()), ["/jwt/issuers/0/jwks"]);
        let message = message(config.clone());
        assert!(message.contains("key 1 (`kid` \"x1\")"), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let mut other = ec.jwk();
    other["alg"] = "ES384".into();
    let unknown = json!({ "kty": "AKP", "alg": "ML-DSA-44" });
    let unfit = json!({ "kty": "EC", "crv": "P-384" });
    config["jwt"]["issuers"][0]["jwks"] = json!({ "keys": [other, unknown, unfit] });
    let message = message(config);
    for part in [
        "key 0 is for \"ES384\", which is not among the algorithms of the issuer (RS256, ES256)",
        "key 1 is for \"ML-DSA-44\"",
        "takes: kty \"EC\" crv \"P-384\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn names_the_line_and_the_user_of_an_htpasswd_file() {
    let good = format!("$2y$12${}", "a".repeat(53));
    let text = format!(
        "ada:{good}\nbob:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00\neve\n# no\n:{good}\nada:{good}\n\
         dan:{}\n",
        good.replace("$12$", "$15$")
    );
    let config = json!({ "basic": { "htpasswd": text } });
    assert_eq!(faults(config.clone()), ["/basic/htpasswd"; 5]);
    let message = message(config);
    for part in [
        "line 2: the hash of the user `bob` is an MD5 hash as Apache makes it",
        "line 3: is no `NAME:HASH`",
        "line 5: has no name",
        "line 6: `ada` is the name of another user",
        "line 7: the hash of the user `dan` asks for a bcrypt cost of 15",
        "`htpasswd -nBC 14 dan` makes one",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(faults(json!({ "basic": { "htpasswd": "# nobody\n" } })), ["/basic/htpasswd"]);
}

#[test]
fn wants_hashes_that_the_gateway_verifies() {
    let bcrypt = format!("$2b$12${}", "a".repeat(53));
    let user = |name: &str, hash: &str| json!({ "name": name, "hash": hash });
    let argon2 =
        |parameters: &str| format!("$argon2id$v=19${parameters}$c29tZXNhbHQ$aGFzaGhhc2hoYXNo");
    let good = [
        bcrypt.clone(),
        argon2("m=19456,t=2,p=1"),
        "$argon2i$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo".to_owned(),
    ];
    for hash in good {
        assert_eq!(faults(json!({ "basic": { "users": [user("a", &hash)] } })), [""; 0], "{hash}");
    }
    for hash in [
        "",
        "secret",
        "$1$salt$hash",
        "$apr1$salt$hash",
        "{SHA}0000",
        "$2b$12$short",
        "$2x$12$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$argon2id$",
        &bcrypt.replace("$12$", "$99$"),
        &bcrypt.replace("$12$", "$+9$"),
        &format!("{bcrypt}a"),
        &argon2("m=262145,t=2,p=1"),
        &argon2("m=64,t=17,p=1"),
        &argon2("m=64,t=1"),
        &argon2("m=64,t=1,p=0"),
        &argon2("m=64;t=1;p=1"),
        &argon2("m=x,t=1,p=1"),
        "$argon2id$v=20$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
    ] {
        let config = json!({ "basic": { "users": [user("a", hash)] } });
        assert_eq!(faults(config), ["/basic/users/0/hash"], "{hash}");
    }
    let config = json!({ "basic": { "users": [user("a", "topsecret")] } });
    assert!(!message(config).contains("topsecret"));
    let users =
        json!([user("a", &bcrypt), user("a", &bcrypt), user("b:c", &bcrypt), user("", &bcrypt)]);
    let config = json!({ "basic": { "users": users, "remember": "2h", "realm": "" } });
    let places = ["/basic/realm", "/basic/remember", "/basic/users/1/name", "/basic/users/2/name"];
    let more = ["/basic/users/3/consumer", "/basic/users/3/name"];
    assert_eq!(faults(config), [&places[..], &more[..]].concat());
}

#[test]
fn wants_places_and_fields_that_do_not_collide() {
    let keys = json!([{ "id": "a", "digest": digest("0") }]);
    let config = json!({
        "api_key": { "keys": keys, "header": "Authorization", "query": "" },
        "jwt": { "issuers": trusting(&[&Signer::new("HS256")])["jwt"]["issuers"],
                 "header": "cookie", "cookie": "a b", "query": "" },
    });
    let places = ["/api_key/header", "/api_key/query", "/jwt/cookie", "/jwt/header", "/jwt/query"];
    assert_eq!(faults(config), places);
    let config = json!({
        "api_key": { "keys": keys },
        "realm": "a\"b\n", "anonymous": "",
        "require": { "scopes": ["a b"], "claims": { "a/b": [] } },
        "claims_to_attributes": ["ok", "", "x".repeat(200)],
        "headers": {
            "X-Api-Key": "consumer.id", "content-length": "consumer.id", "x y": "consumer.id",
            "x-a": "client.address", "x-b": "consumer.claim.", "x-c": "consumer.id",
            "X-C": "consumer.id",
        },
    });
    let places = [
        "/anonymous",
        "/anonymous",
        "/claims_to_attributes/1",
        "/claims_to_attributes/2",
        "/headers/X-Api-Key",
        "/headers/content-length",
        "/headers/x y",
        "/headers/x-a",
        "/headers/x-c",
        "/realm",
        "/require/claims/a~1b",
        "/require/scopes/0",
    ];
    assert_eq!(faults(config), places);
}

#[test]
fn wants_metadata_to_have_an_address_and_a_challenge_to_stand_in() {
    let keys = json!([{ "id": "a", "digest": digest("0") }]);
    let with = |address: &str, method: Value| {
        let mut config = json!({ "api_key": method, "resource_metadata": address });
        config["api_key"]["keys"] = keys.clone();
        faults(config)
    };
    assert_eq!(with("https://a.example/x", json!({})), [""; 0]);
    for address in ["", "https://", "ftp://a", "/x", "https://a\"b", "https://a b"] {
        assert_eq!(with(address, json!({})), ["/resource_metadata"], "{address}");
    }
    let in_field = json!({ "header": "x-api-key" });
    assert_eq!(with("https://a.example/x", in_field), ["/resource_metadata"]);
    assert_eq!(
        with("https://a.example/x", json!({ "header": [] })),
        ["/api_key/header", "/resource_metadata"]
    );
}

#[test]
fn points_at_members_that_it_does_not_know() {
    let config = json!({ "api_key": { "keys": [
        { "id": "a", "digest": digest("0"), "scope": "read" },
    ] } });
    let text = message(config);
    assert!(text.contains("scope") && text.contains("/api_key/keys/0"), "{text}");
}

#[test]
fn never_repeats_a_secret() {
    let mut config = trusting(&[]);
    config["jwt"]["issuers"][0]["algorithms"] = json!(["HS256", "ES256"]);
    config["jwt"]["issuers"][0]["keys"] = json!([
        { "algorithm": "HS256", "secret": "topsecret" },
        { "algorithm": "ES256", "secret": "topsecret" },
        { "algorithm": "ES256", "pem": "topsecret" },
        { "algorithm": "HS256", "jwk": { "kty": "oct", "k": "topsecret" } },
        { "algorithm": "ES256", "jwk": { "kty": "oct", "k": "topsecret" } },
    ]);
    config["jwt"]["issuers"][0]["jwks"] =
        json!("{\"keys\":[{\"kty\":\"oct\",\"k\":\"topsecret\"}]}");
    let text = message(config);
    assert!(!text.contains("topsecret"), "{text}");
}

#[test]
fn describes_itself_with_a_schema() {
    let schema: Value = serde_json::from_str(&Harness::<Auth>::config_schema()).unwrap();
    let settings = schema["properties"].as_object().unwrap();
    for name in [
        "anonymous",
        "api_key",
        "basic",
        "claims_to_attributes",
        "headers",
        "hide_credential",
        "jwt",
        "realm",
        "require",
        "resource_metadata",
    ] {
        assert!(settings[name]["description"].is_string(), "{name}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

/// As nginx (a comment) and Dovecot (further fields) have it.
#[test]
fn reads_htpasswd_lines_with_further_fields() {
    let good = format!("$2y$12${}", "a".repeat(53));
    for text in [
        format!("ada:{good}:a comment: of two parts\nbob:{good}"),
        format!("ada:{{BLF-CRYPT}}{good}:1000:1000::/home/ada::\n"),
        format!("ada:{good}\rbob:{good}\r"),
    ] {
        assert_eq!(faults(json!({ "basic": { "htpasswd": text } })), [""; 0], "{text}");
    }
}

#[test]
fn says_what_stands_in_place_of_the_text_of_a_file() {
    let signer = Signer::new("ES256");
    let jwks = |text: &str| {
        let mut config = trusting(&[&signer]);
        config["jwt"]["issuers"][0]["keys"] = json!([]);
        config["jwt"]["issuers"][0]["jwks"] = text.into();
        message(config)
    };
    assert!(jwks("https://a.example/jwks").contains("`document = \"NAME\"`"));
    assert!(jwks("x.jwks").contains("${file:NAME}"));
    assert!(message(json!({ "basic": { "htpasswd": "users" } })).contains("${file:NAME}"));
    let key = |key: Value| {
        let mut config = trusting(&[&signer]);
        config["jwt"]["issuers"][0]["keys"] = json!([key]);
        message(config)
    };
    let found = key(json!({ "algorithm": "ES256", "pem": "keys/a.pem" }));
    assert!(found.contains("${file:NAME}") && !found.contains("keys/a.pem"), "{found}");
    let private = json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "d": "AA" });
    let found = key(json!({ "algorithm": "ES256", "jwk": private }));
    assert!(found.contains("holds a private key"), "{found}");
}

#[test]
fn names_the_least_that_a_secret_needs() {
    let signer = Signer::new("HS256");
    let mut config = trusting(&[&signer]);
    let issuer = &mut config["jwt"]["issuers"][0];
    issuer["algorithms"] = json!(["HS512", "HS256", "HS384"]);
    issuer["keys"] = json!([]);
    issuer["jwks"] = json!({ "keys": [{ "kty": "oct", "k": "c2hvcnQ" }] });
    let found = message(config);
    assert!(found.contains("HS256") && found.contains("32"), "{found}");
    assert!(!found.contains("HS512"), "{found}");
}

#[test]
fn points_at_pointers_that_are_none_and_at_cookies_for_keys() {
    let tokens = json!({
        "issuers": [{
            "issuer": "i", "audiences": ["a"], "algorithms": ["HS256"], "audience_claim": "/a~",
            "keys": [{ "algorithm": "HS256", "secret": "0".repeat(32) }],
        }],
        "consumer_claim": "/a~2", "scope_claims": ["scope", "/~x"], "required_claims": ["/~"],
    });
    let asked = json!({
        "upstream": "login", "path": "/introspect", "client_id": "gateway", "client_secret": "s",
        "consumer_claim": "/~2", "scope_claims": ["/b~3"],
    });
    let config = json!({
        "claims_to_attributes": ["/a~1b/~0", "a~2", "/a~2"],
        "group_claim": "/~", "require": { "claims": { "/~9": ["x"] } },
        "api_key": { "header": ["x-key", "cookie"], "keys": [{ "id": "a", "digest": digest("0") }] },
        "jwt": tokens,
        "introspection": asked,
    });
    assert_eq!(
        faults(config),
        [
            "/api_key/header",
            "/claims_to_attributes/2",
            "/group_claim",
            "/introspection/consumer_claim",
            "/introspection/scope_claims/0",
            // Nothing is granted here.
            "/introspection/upstream",
            "/jwt/consumer_claim",
            "/jwt/issuers/0/audience_claim",
            "/jwt/required_claims/0",
            "/jwt/scope_claims/1",
            "/require/claims/~1~09",
        ]
    );
}
