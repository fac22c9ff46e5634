//! The JWS vectors of Wycheproof (`vectors/wycheproof`), by the code that judges tokens: the
//! form, the header, the choice of the key, the signature. Their payloads are no claims, which are not
//! looked at here.

use std::time::Duration;

use serde_json::{Value, json};

use super::token::Jws;
use super::*;
use crate::problems::{Pointer, Problems};

const VECTORS: &str = include_str!("../../vectors/wycheproof/json_web_signature_test.json");

/// Where this crate is stricter than a vector asks for, and why.
const STRICTER: [(u64, &str); 6] = [
    (346, "the key names another algorithm than the token (RFC 8725 section 3.1)"),
    (347, "the key names `ES521`, which is no algorithm"),
    (350, "the key names another algorithm than the token (RFC 8725 section 3.1)"),
    (351, "the key names `ES521`, which is no algorithm"),
    (372, "a character that is not base64url (RFC 7515 section 2)"),
    (373, "a character that is not base64url (RFC 7515 section 2)"),
];

/// Marked invalid, and byte by byte the vector that this one is: the padding that they are about is not
/// there.
const SAME: [(u64, u64); 2] = [(367, 357), (370, 357)];

/// What only who signs has.
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

fn keys(group: &Value) -> Keys {
    let mut key = group.get("public").unwrap_or(&group["private"]).clone();
    for name in PRIVATE {
        key.as_object_mut().unwrap().remove(name);
    }
    let algorithms = gateway_plugin_sdk::signature::Algorithm::ALL.map(|it| it.name().to_owned());
    let sources = KeySources {
        issuer: "joe",
        algorithms: &algorithms,
        keys: &[],
        jwks: Some(&json!({ "keys": [key] })),
        document: None,
        wait: Duration::ZERO,
    };
    // A key that is refused verifies nothing.
    Keys::new(sources, &Pointer::default(), &mut Problems::default())
}

#[test]
fn judges_every_vector_right() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut valid, mut invalid, mut wrong) = (0, 0, Vec::new());
    let groups = vectors["testGroups"].as_array().unwrap();
    let tests = || groups.iter().flat_map(|group| group["tests"].as_array().unwrap());
    let text_of = |id: u64| &tests().find(|test| test["tcId"] == id).unwrap()["jws"];
    assert!(SAME.iter().all(|(one, other)| text_of(*one) == text_of(*other)));
    for group in groups {
        let keys = keys(group);
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let text = match &test["jws"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let parsed = Jws::parse(text.as_bytes());
            let is_accepted = parsed.is_ok_and(|jws| keys.verify(&jws).is_ok());
            let is_stricter = STRICTER.iter().any(|(known, _)| *known == id);
            let is_valid = test["result"] == "valid";
            let is_same = SAME.iter().any(|(known, _)| *known == id);
            if is_accepted != (is_same || is_valid && !is_stricter) {
                wrong.push((id, test["comment"].to_string(), is_accepted));
            }
            assert!(is_valid || !is_stricter, "{id} is refused by all");
            *(if is_valid { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert_eq!(wrong, []);
    let number = vectors["numberOfTests"].as_u64().unwrap();
    assert_eq!(valid + invalid, number);
    assert!(valid > 30 && invalid > 300, "{valid} and {invalid}");
}
