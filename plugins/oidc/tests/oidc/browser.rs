//! A browser with its cookies, in front of the plugin.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::testing::{Answer, Exchange, Harness, RequestBuilder, request, response};
use oidc::Oidc;
use serde_json::{Value, json};

use crate::provider::{ISSUER, Provider, merge};

/// A browser, the plugin and the provider.
pub(crate) struct World {
    pub(crate) plugin: Harness<Oidc>,
    pub(crate) provider: Rc<Provider>,
    pub(crate) cookies: RefCell<BTreeMap<String, String>>,
}

pub(crate) fn config() -> Value {
    json!({
        "issuer": ISSUER, "discovery": "provider", "document": "keys", "upstream": "provider",
        "client_id": "shop", "client_secret": "client", "algorithms": ["ES256"],
        "redirect_uri": "https://shop.example/oidc/callback",
        "session": { "keys": ["new", "old"] },
        "logout": { "back_channel": "/oidc/back", "redirect_uri": "https://shop.example/bye" },
        "headers": { "x-user": "consumer.id", "x-roles": "consumer.claim.realm_access.roles" },
        "claims_to_attributes": ["email", "/realm_access/roles"],
    })
}

pub(crate) fn configured(
    provider: &Rc<Provider>,
    changes: &Value,
) -> Result<Harness<Oidc>, ConfigError> {
    let mut config = config();
    merge(&mut config, changes);
    let it = Rc::clone(provider);
    Harness::<Oidc>::prepare()
        .secret("new", "the newest of the keys, 32 bytes long")
        .secret("old", "one of the former keys, 32 bytes long")
        .secret("short", "31 bytes, which are one too few")
        .secret("client", "s:cret")
        .secret("key", provider.client.private_pem())
        .document("provider", Provider::discovery().to_string())
        .document("keys", provider.keys())
        .upstream("provider", move |call| it.answer(call))
        .configure(config)
}

impl World {
    pub(crate) fn new(changes: Value) -> Self {
        let provider = Provider::new();
        let plugin = configured(&provider, &changes).unwrap();
        Self { plugin, provider, cookies: RefCell::default() }
    }

    /// A request with the cookies.
    fn with_cookies(&self, request: RequestBuilder, target: &str) -> RequestBuilder {
        let (path, query) = target.split_once('?').map_or((target, None), |(a, b)| (a, Some(b)));
        let request = request.path(path);
        let request = query.into_iter().fold(request, RequestBuilder::query);
        let cookies = self.cookies.borrow();
        let own = cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<_> = ["theirs=1".to_owned()].into_iter().chain(own).collect();
        request.header("cookie", all.join("; "))
    }

    /// The browser goes somewhere.
    pub(crate) fn visit(&self, target: &str) -> Exchange<'_, Oidc> {
        self.send(
            request().header("accept", "text/html").header("sec-fetch-mode", "navigate"),
            target,
        )
    }

    /// A script asks for something.
    pub(crate) fn fetch(&self, target: &str) -> Exchange<'_, Oidc> {
        let mode = request().header("accept", "application/json").header("sec-fetch-mode", "cors");
        self.send(mode, target)
    }

    /// Sends any request with the cookies, and takes those of the answer.
    pub(crate) fn send(&self, request: RequestBuilder, target: &str) -> Exchange<'_, Oidc> {
        let mut exchange = self.plugin.request(self.with_cookies(request, target));
        if exchange.answer().is_none() {
            exchange.response(response());
        }
        self.take(exchange.answer().unwrap());
        exchange
    }

    fn take(&self, answer: &Answer) {
        for line in answer.header_values("set-cookie") {
            let (pair, attributes) = line.split_once("; ").unwrap();
            assert!(attributes.contains("; HttpOnly; Secure; SameSite=Lax"), "{line}");
            let (name, value) = pair.split_once('=').unwrap();
            assert!(line.len() <= 4_096, "{}", line.len());
            if attributes.contains("Max-Age=0") {
                assert_eq!(value, "");
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Begins a login: the parameters that the provider gets.
    pub(crate) fn begin(&self, target: &str) -> BTreeMap<String, String> {
        let exchange = self.visit(target);
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), 303, "{}", answer.text());
        let location = answer.header("location").unwrap();
        let query = location.strip_prefix("https://id.example/authorize?").unwrap();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
        let sent: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        *self.provider.nonce.borrow_mut() = sent["nonce"].clone();
        *self.provider.challenge.borrow_mut() = sent["code_challenge"].clone();
        sent
    }

    /// The provider sends the browser back.
    pub(crate) fn come_back(&self, state: &str) -> Exchange<'_, Oidc> {
        self.visit(&format!("/oidc/callback?code=c%26de&state={state}"))
    }

    /// A whole login that succeeds.
    pub(crate) fn log_in(&self) {
        let sent = self.begin("/orders");
        let exchange = self.come_back(&sent["state"]);
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), 303, "{} {:?}", answer.text(), exchange.log());
        assert_eq!(answer.header("location"), Some("/orders"));
    }

    /// Time goes by, at the provider too.
    pub(crate) fn wait(&self, seconds: u32) {
        self.plugin.advance(Duration::from_secs(seconds.into()));
        self.provider.now.set(self.provider.now.get() + i64::from(seconds));
    }
}

/// Checks that a request passed as whom.
pub(crate) fn assert_passed(exchange: &Exchange<'_, Oidc>, consumer: &str) {
    assert_eq!(exchange.answer().unwrap().status(), 200, "{:?}", exchange.log());
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some(consumer));
}

/// The status of an answer.
pub(crate) fn status(exchange: &Exchange<'_, Oidc>) -> u16 {
    exchange.answer().unwrap().status()
}
