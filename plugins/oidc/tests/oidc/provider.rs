//! A provider: what it is asked, and what it gives for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::{Call, ResponseBuilder, response};
use serde_json::{Value, json};

use crate::issuer::{NOW, Signer};

pub(crate) const ISSUER: &str = "https://id.example";

/// The provider.
pub(crate) struct Provider {
    pub(crate) signer: Signer,
    /// The key of the client, and the assertions that came.
    pub(crate) client: Signer,
    pub(crate) assertions: RefCell<Vec<String>>,
    /// What it was sent in the address of the last login.
    pub(crate) nonce: RefCell<String>,
    pub(crate) challenge: RefCell<String>,
    /// Changes of the claims of its ID tokens, `null` for none.
    pub(crate) claims: RefCell<Value>,
    /// Changes of what the token endpoint answers, or what it answers if it is no object.
    pub(crate) tokens: RefCell<Value>,
    /// What it answers instead.
    pub(crate) status: Cell<u16>,
    pub(crate) error: RefCell<Option<HttpError>>,
    /// The refresh token that it takes: each once.
    pub(crate) refresh: Cell<u32>,
    pub(crate) now: Cell<i64>,
    pub(crate) userinfo: RefCell<Value>,
}

impl Provider {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            signer: Signer::new("ES256"),
            client: Signer::new("ES256"),
            assertions: RefCell::default(),
            nonce: RefCell::default(),
            challenge: RefCell::default(),
            claims: RefCell::new(json!({})),
            tokens: RefCell::new(json!({})),
            status: Cell::new(200),
            error: RefCell::new(None),
            refresh: Cell::new(0),
            now: Cell::new(NOW),
            userinfo: RefCell::new(json!({ "sub": "ada", "nickname": "ad", "email": "other" })),
        })
    }

    pub(crate) fn discovery() -> Value {
        json!({
            "issuer": ISSUER, "authorization_endpoint": "https://id.example/authorize?tenant=1",
            "token_endpoint": "https://id.example/token", "userinfo_endpoint": "https://id.example/me",
            "end_session_endpoint": "https://id.example/logout",
        })
    }

    pub(crate) fn keys(&self) -> String {
        json!({ "keys": [self.signer.jwk()] }).to_string()
    }

    /// The claims of its tokens, changed.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        let now = self.now.get();
        let mut claims = json!({
            "iss": ISSUER, "aud": "shop", "sub": "ada", "sid": "s1", "iat": now, "exp": now + 300,
            "email": "ada@example.com", "realm_access": { "roles": ["buyer"] }, "plan": "pro",
        });
        merge(&mut claims, changes);
        claims
    }

    /// What it answers.
    pub(crate) fn answer(&self, call: &Call) -> Result<ResponseBuilder, HttpError> {
        if let Some(error) = &*self.error.borrow() {
            return Err(error.clone());
        }
        if self.status.get() != 200 {
            return Ok(response().status(self.status.get()).body("<html>no"));
        }
        match call.target() {
            "/me" => {
                assert_eq!(call.header("authorization"), Some("Bearer access-0"));
                Ok(response().body(self.userinfo.borrow().to_string()))
            }
            "/token" => Ok(self.token(call)),
            other => panic!("{other}"),
        }
    }

    fn token(&self, call: &Call) -> ResponseBuilder {
        assert_eq!(call.header("content-type"), Some("application/x-www-form-urlencoded"));
        let basic = format!("Basic {}", STANDARD.encode("shop:s%3Acret"));
        let is_signed = call.text().contains("&client_assertion=");
        assert_eq!(call.header("authorization"), (!is_signed).then_some(&*basic));
        let value = |name: &str| {
            let pairs = call.text().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
        };
        if let Some(assertion) = value("client_assertion") {
            self.assertions.borrow_mut().push(assertion);
            assert_eq!(value("client_id").as_deref(), Some("shop"));
            let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            assert_eq!(value("client_assertion_type").as_deref(), Some(kind));
        }
        let generation = self.refresh.get();
        let nonce = match value("grant_type").as_deref() {
            Some("authorization_code") => {
                let verifier = value("code_verifier").unwrap();
                let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
                assert_eq!(URL_SAFE_NO_PAD.encode(hash), *self.challenge.borrow());
                assert_eq!(value("code").as_deref(), Some("c%26de"));
                let back = "https%3A%2F%2Fshop.example%2Foidc%2Fcallback";
                assert_eq!(value("redirect_uri").as_deref(), Some(back));
                json!(*self.nonce.borrow())
            }
            Some("refresh_token") => {
                if value("refresh_token") != Some(format!("refresh-{generation}")) {
                    return response().status(400).body(r#"{"error":"invalid_grant"}"#);
                }
                self.refresh.set(generation + 1);
                Value::Null
            }
            other => panic!("{other:?}"),
        };
        let generation = self.refresh.get();
        let access = format!("access-{generation}");
        let hash = digest::digest(&digest::SHA256, access.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
        let mut claims = self.claims(&json!({ "nonce": nonce, "at_hash": hash }));
        merge(&mut claims, &self.claims.borrow());
        let mut answer = json!({
            "token_type": "Bearer", "access_token": access, "id_token": self.signer.token(&claims),
            "refresh_token": format!("refresh-{generation}"), "expires_in": 300,
        });
        match &*self.tokens.borrow() {
            changes @ Value::Object(_) => merge(&mut answer, changes),
            other => answer = other.clone(),
        }
        response().header("content-type", "application/json").body(answer.to_string())
    }
}

/// Changes members, `null` for none.
pub(crate) fn merge(value: &mut Value, changes: &Value) {
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
            _ => value[name] = change.clone(),
        }
    }
}
