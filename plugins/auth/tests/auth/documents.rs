//! Keys that an issuer serves: rotation, outages, sets as they are found, and who asks for them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use auth::Auth;
use gateway_plugin_sdk::testing::Harness;
use serde_json::{Value, json};

use crate::issuer::{Signer, claims, trusting};
use crate::jwt::bearing;
use crate::{assert_admitted, assert_refused, refusal};

const INVALID: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

/// What an issuer serves; `None` while it is away.
#[derive(Clone, Default)]
struct Served(Rc<RefCell<Option<Vec<u8>>>>);

impl Served {
    fn serve(&self, set: impl Into<Vec<u8>>) {
        *self.0.borrow_mut() = Some(set.into());
    }

    fn go_away(&self) {
        *self.0.borrow_mut() = None;
    }
}

fn set(keys: &[(&str, &Signer)]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(kid, signer)| {
            let mut key = signer.jwk();
            key["kid"] = (*kid).into();
            key
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

fn config() -> Value {
    let mut config = trusting(&[]);
    let issuer = &mut config["jwt"]["issuers"][0];
    issuer["algorithms"] = json!(["ES256", "RS256", "EdDSA"]);
    issuer.as_object_mut().unwrap().remove("keys");
    issuer["document"] = "keys".into();
    config
}

fn plugin(served: &Served) -> Harness<Auth> {
    let served = served.clone();
    let prepared =
        Harness::<Auth>::prepare().document_from("keys", move || served.0.borrow().clone());
    prepared.configure(config()).unwrap()
}

fn token(signer: &Signer, kid: &str) -> String {
    signer.token_with(&json!({ "alg": signer.algorithm(), "kid": kid }), &claims())
}

#[test]
fn a_key_that_is_not_known_is_fetched_and_one_that_is_gone_verifies_nothing() {
    let (served, one, two) = (Served::default(), Signer::new("ES256"), Signer::new("ES256"));
    served.serve(set(&[("1", &one)]));
    let plugin = plugin(&served);
    // The first request of all finds no keys yet.
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_eq!(plugin.refreshes("keys"), 1);
    served.serve(set(&[("1", &one), ("2", &two)]));
    assert_admitted(&plugin.request(bearing(&token(&two, "2"))), "ada");
    assert_eq!(plugin.refreshes("keys"), 2);
    // A token that was verified before is not remembered for longer than its key is there.
    served.serve(set(&[("2", &two)]));
    plugin.set_document("keys", set(&[("2", &two)]));
    assert_refused(&plugin.request(bearing(&token(&one, "1"))), 401, &[INVALID]);
    assert_admitted(&plugin.request(bearing(&token(&two, "2"))), "ada");
}

/// The fetch that a request with a new key joins may have begun before that key was published.
#[test]
fn a_newer_set_that_has_not_the_key_either_is_asked_for_once_more() {
    let [one, two, three] = [(); 3].map(|()| Signer::new("ES256"));
    let sets =
        [set(&[("1", &one)]), set(&[("1", &one), ("2", &two)]), set(&[("2", &two), ("3", &three)])];
    let fetches = Rc::new(Cell::new(0));
    let count = Rc::clone(&fetches);
    let fetch = move || {
        let next = count.replace(count.get() + 1);
        Some(sets[next.min(sets.len() - 1)].clone().into())
    };
    let plugin = Harness::<Auth>::prepare().document_from("keys", fetch);
    let plugin = plugin.configure(config()).unwrap();
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_admitted(&plugin.request(bearing(&token(&three, "3"))), "ada");
    assert_eq!(fetches.get(), 3);
}

#[test]
fn while_nobody_can_say_whether_there_is_such_a_key_the_answer_is_503() {
    let (served, one, two) = (Served::default(), Signer::new("ES256"), Signer::new("ES256"));
    let plugin = plugin(&served);
    let exchange = plugin.request(bearing(&token(&one, "1")));
    assert_eq!(refusal(&exchange).status(), 503);
    assert_eq!(refusal(&exchange).header("retry-after"), Some("1"));
    served.serve(set(&[("1", &one)]));
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    served.go_away();
    // Its keys stay in force.
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_eq!(refusal(&plugin.request(bearing(&token(&two, "2")))).status(), 503);
    served.serve(set(&[("1", &one)]));
    assert_refused(&plugin.request(bearing(&token(&two, "2"))), 401, &[INVALID]);
}

#[test]
fn a_set_that_is_none_leaves_the_keys_as_they_were_and_an_empty_one_does_not() {
    let (served, one) = (Served::default(), Signer::new("ES256"));
    served.serve(set(&[("1", &one)]));
    let plugin = plugin(&served);
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    for broken in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        plugin.set_document("keys", broken);
        assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    }
    assert!(plugin.log().iter().any(|line| line.message.contains("not a JWK Set")));
    served.serve(r#"{"keys":[]}"#);
    plugin.set_document("keys", r#"{"keys":[]}"#);
    assert_refused(&plugin.request(bearing(&token(&one, "1"))), 401, &[INVALID]);
}

#[test]
fn of_a_set_as_it_is_found_what_verifies_tokens_is_used() {
    let (served, one, other) = (Served::default(), Signer::new("RS256"), Signer::new("RS256"));
    let mut encrypting = other.jwk();
    (encrypting["use"], encrypting["alg"], encrypting["kid"]) =
        ("enc".into(), "RSA-OAEP".into(), "1".into());
    let mut signing = one.jwk();
    (signing["use"], signing["kid"], signing["x5t"]) = ("sig".into(), "1".into(), "abc".into());
    let secret = json!({ "kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "1" });
    let foreign = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "2" });
    let weak = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "3" });
    let mut ends_with_d = Signer::new("EdDSA").jwk();
    ends_with_d["d"] = "AAAA".into();
    let keys = json!({ "keys": [encrypting, secret, foreign, weak, 7, ends_with_d, signing] });
    served.serve(format!("\u{feff}{keys}"));
    let plugin = plugin(&served);
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_admitted(&plugin.request(bearing(&one.token(&claims()))), "ada");
    assert_refused(&plugin.request(bearing(&token(&other, "1"))), 401, &[INVALID]);
}

#[test]
fn strangers_make_it_ask_and_tokens_that_are_wrong_anyway_do_not() {
    let (served, one, other) = (Served::default(), Signer::new("ES256"), Signer::new("ES256"));
    served.serve(set(&[("1", &one)]));
    let plugin = plugin(&served);
    assert_admitted(&plugin.request(bearing(&token(&one, "1"))), "ada");
    assert_eq!(plugin.refreshes("keys"), 1);
    let elsewhere = other.token_with(
        &json!({ "alg": "ES256", "kid": "9" }),
        &json!({ "iss": "somebody", "aud": "api", "sub": "ada" }),
    );
    for wrong in [token(&other, "1"), elsewhere, "a.b.c".to_owned()] {
        assert_refused(&plugin.request(bearing(&wrong)), 401, &[INVALID]);
    }
    assert_eq!(plugin.refreshes("keys"), 1);
    assert_refused(&plugin.request(bearing(&token(&other, "9"))), 401, &[INVALID]);
    assert_eq!(plugin.refreshes("keys"), 2);
}

#[test]
fn a_document_that_was_not_granted_or_is_of_no_use_is_an_error_in_its_place() {
    let refused = Harness::<Auth>::new(config()).err().unwrap().to_string();
    assert!(refused.contains("/jwt/issuers/0/document"), "{refused}");
    assert!(refused.contains("`documents = [\"keys\"]`"), "{refused}");
    let mut symmetric = config();
    symmetric["jwt"]["issuers"][0]["algorithms"] = json!(["HS256"]);
    let prepared = Harness::<Auth>::prepare().document("keys", "{}");
    let refused = prepared.configure(symmetric).err().unwrap().to_string();
    assert!(refused.contains("take secrets"), "{refused}");
    let mut slow = config();
    slow["jwt"]["key_wait"] = "1m".into();
    let prepared = Harness::<Auth>::prepare().document("keys", "{}");
    let refused = prepared.configure(slow).err().unwrap().to_string();
    assert!(refused.contains("longer than 10s"), "{refused}");
    let mut none = config();
    none["jwt"]["issuers"][0].as_object_mut().unwrap().remove("document");
    let refused = Harness::<Auth>::new(none).err().unwrap().to_string();
    assert!(refused.contains("neither `document` nor `jwks`"), "{refused}");
}
