//! `oidc` in a running gateway, between browsers and a provider on a socket that signs with a real key.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::config::{self, Known, Source};
use gateway::{BindError, Gateway, first_party};
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use crate::first_party::issuer::Signer;

const KEY: &str = "32 bytes at least, as the plugin wants them";

/// With signs that a form encodes.
const SECRET: &str = "a secret: with/odd+signs";

/// The configuration: `LOGIN` is the provider's address, `ORDERS` that of the service.
pub(crate) fn text(further: &str, plugins: &str) -> String {
    format!(
        r#"
[secrets]
session = "${{env:KEY}}"
client = "${{env:SECRET}}"

[upstreams.login]
targets = ["http://${{env:LOGIN}}"]

[documents.login]
upstream = "login"
path = "/.well-known/openid-configuration"

[documents.login-keys]
upstream = "login"
path = "/.well-known/openid-configuration"
follow = {{ issuer = "http://${{env:LOGIN}}" }}

[plugins.login]
component = "oidc"
documents = ["login", "login-keys"]
secrets = ["session", "client"]
upstreams = ["login"]

[plugins.login.config]
issuer = "http://${{env:LOGIN}}"
discovery = "login"
document = "login-keys"
upstream = "login"
client_id = "shop"
client_secret = "client"
redirect_uri = "https://shop.example/oidc/callback"
timeout = "20s"
session = {{ keys = ["session"] }}
headers = {{ "x-user" = "consumer.id", "x-mail" = "consumer.claim.email" }}
access_token_header = "x-token"
{further}

[plugins.login.config.logout]
back_channel = "/oidc/back"
redirect_uri = "https://shop.example/bye"

[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]

[[routes]]
name = "all"
paths = ["/{{*rest}}", "/"]
plugins = [{plugins}]
upstream = "orders"
"#
    )
}

/// The gateway, before these.
pub(crate) fn start(text: &str, login: &dyn Display, orders: &dyn Display) -> Running {
    Setup::toml(text, &[("LOGIN", login), ("ORDERS", orders), ("KEY", &KEY), ("SECRET", &SECRET)])
        .workers(2)
        .start()
}

/// A browser: its connection and its cookies.
pub(crate) struct Browser {
    connection: Http1,
    host: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn new(address: std::net::SocketAddr) -> Self {
        Self::at(address, "shop.example").await
    }

    /// One that goes to a host of this name.
    pub(crate) async fn at(address: std::net::SocketAddr, host: &str) -> Self {
        let connection = Http1::connect(address).await;
        Self { connection, host: host.to_owned(), cookies: BTreeMap::new() }
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let mut fields = fields.to_vec();
        if !cookies.is_empty() {
            fields.push(("cookie", &cookies));
        }
        let mut sent = request(method, target, &fields, body.to_owned());
        sent.headers_mut().insert("host", self.host.parse().unwrap());
        let answer = self.connection.send(sent).await;
        for line in answer.head.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Goes to a page.
    pub(crate) async fn visit(&mut self, target: &str) -> Answer {
        let fields =
            [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none")];
        self.send("GET", target, &fields, "").await
    }

    /// A script asks for something.
    pub(crate) async fn fetch(&mut self, target: &str) -> Answer {
        let fields = [("sec-fetch-mode", "cors")];
        self.send("GET", target, &fields, "").await
    }
}

/// The value of a parameter of an address, as it stands there.
pub(crate) fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A provider on a socket. It gives what the test says.
struct Provider {
    upstream: Upstream,
    signer: Arc<Signer>,
    nonce: Arc<Mutex<String>>,
    renewed: Arc<AtomicUsize>,
}

impl Provider {
    async fn start(expires_in: u64) -> Self {
        let signer = Arc::new(Signer::new("RS256"));
        let (nonce, renewed) = (Arc::<Mutex<String>>::default(), Arc::<AtomicUsize>::default());
        let (key, named, count) = (Arc::clone(&signer), Arc::clone(&nonce), Arc::clone(&renewed));
        let upstream = Upstream::http1(move |request| {
            let (key, named, count) = (Arc::clone(&key), Arc::clone(&named), Arc::clone(&count));
            async move {
                let base = format!("http://{}", request.headers()["host"].to_str().unwrap());
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body = std::str::from_utf8(&body).unwrap();
                let answer = match &*path {
                    "/.well-known/openid-configuration" => json!({
                        "issuer": base, "authorization_endpoint": format!("{base}/authorize"),
                        "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/jwks"),
                        "end_session_endpoint": format!("{base}/end"),
                    }),
                    "/jwks" => json!({ "keys": [key.jwk()] }),
                    "/token" => {
                        if body.contains("grant_type=refresh_token") {
                            let before = count.fetch_add(1, Ordering::SeqCst);
                            let sent = format!("refresh_token=refresh-{before}");
                            if !body.split('&').any(|pair| pair == sent) {
                                let refused = Response::builder().status(400);
                                return refused.body(full(r#"{"error":"invalid_grant"}"#)).unwrap();
                            }
                            // Long enough for others to come meanwhile.
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                        let number = count.load(Ordering::SeqCst);
                        let claims = json!({
                            "iss": base, "aud": "shop", "sub": "ada", "sid": "s1", "iat": now(),
                            "exp": now() + 300, "nonce": *named.lock().unwrap(),
                            "email": "ada@example.com",
                        });
                        // The first token is to be renewed by the next request.
                        json!({
                            "token_type": "Bearer", "access_token": format!("access-{number}"),
                            "refresh_token": format!("refresh-{number}"),
                            "expires_in": if number == 0 { expires_in } else { 600 },
                            "id_token": key.token(&claims),
                        })
                    }
                    other => panic!("{other}"),
                };
                Response::new(full(answer.to_string()))
            }
        })
        .await;
        Self { upstream, signer, nonce, renewed }
    }

    async fn log_in(&self, browser: &mut Browser, target: &str) -> Answer {
        let away = browser.visit(target).await;
        assert_eq!(away.status(), 303, "{}", away.text());
        let address = away.header("location").unwrap();
        let base = format!("http://{}/authorize?", self.upstream.address);
        assert!(address.starts_with(&base), "{address}");
        *self.nonce.lock().unwrap() = parameter(address, "nonce").unwrap().to_owned();
        let state = parameter(address, "state").unwrap();
        browser.visit(&format!("/oidc/callback?code=1&state={state}")).await
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn of_the_requests_of_one_moment_one_renews_the_tokens() {
    // Still valid for all others, or not any more: then some are told to ask again.
    for expires_in in [40, 0] {
        let (provider, orders) = (Provider::start(expires_in).await, Upstream::echo().await);
        let gateway = start(&text("", "\"login\""), &provider.upstream.address, &orders.address);
        let mut browser = Browser::new(gateway.address).await;
        provider.log_in(&mut browser, "/orders").await;
        let mut together = JoinSet::new();
        for _ in 0..8 {
            let (address, cookies) = (gateway.address, browser.cookies.clone());
            together.spawn(async move {
                let mut tab = Browser::new(address).await;
                tab.cookies = cookies;
                let answer = tab.fetch("/orders").await;
                (answer.status(), answer.header("retry-after").map(str::to_owned), tab.cookies)
            });
        }
        let answers = together.join_all().await;
        for (status, retry_after, _) in &answers {
            let again = expires_in == 0 && *status == 503 && retry_after.as_deref() == Some("1");
            assert!(*status == 200 || again, "{answers:?}");
        }
        assert_eq!(provider.renewed.load(Ordering::SeqCst), 1);
        assert!(answers.iter().any(|(_, _, cookies)| *cookies != browser.cookies));
        // Who missed the new session gets it by the former one.
        assert_eq!(browser.fetch("/orders").await.status(), 200);
        assert_eq!(orders.requests().pop().unwrap().headers["x-token"], "access-1");
        assert_eq!(provider.renewed.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_browser_logs_in_and_the_provider_logs_it_out() {
    let (provider, orders) = (Provider::start(600).await, Upstream::echo().await);
    let gateway = start(&text("", "\"login\""), &provider.upstream.address, &orders.address);
    let mut browser = Browser::new(gateway.address).await;
    let refused = browser.fetch("/orders").await;
    assert_eq!((refused.status(), &refused.problem()["instance"]), (401, &json!(refused.id())));
    let back = provider.log_in(&mut browser, "/orders?all=1").await;
    assert_eq!((back.status(), back.header("location")), (303, Some("/orders?all=1")));
    browser.cookies.insert("theirs".to_owned(), "1".to_owned());
    assert_eq!(browser.fetch("/orders").await.status(), 200);
    let seen = orders.requests().pop().unwrap();
    for (name, value) in [
        ("x-user", "ada"),
        ("x-mail", "ada@example.com"),
        ("x-token", "access-0"),
        ("cookie", "theirs=1"),
    ] {
        assert_eq!(seen.headers.get_all(name).iter().collect::<Vec<_>>(), [value]);
    }

    // The provider ends the session by a post, whose body the plugin reads.
    let passed = orders.requests().len();
    let issuer = format!("http://{}", provider.upstream.address);
    let claims = json!({
        "iss": issuer, "aud": "shop", "iat": now(), "exp": now() + 60, "jti": "1", "sid": "s1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut other = Browser::new(gateway.address).await;
    for (token, status) in
        [(Signer::new("RS256").token(&claims), 400), (provider.signer.token(&claims), 200)]
    {
        let answer =
            other.send("POST", "/oidc/back", &form, &format!("logout_token={token}")).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert_eq!(browser.fetch("/orders").await.status(), if status == 200 { 401 } else { 200 });
    }
    // Without a body the request goes nowhere else either.
    assert_eq!(other.send("POST", "/oidc/back", &form, "").await.status(), 400);
    assert_eq!(orders.requests().len(), passed + 1);
    // The browser logs out at the provider.
    let answer = browser.visit("/oidc/logout").await;
    let address = answer.header("location").unwrap();
    assert!(
        address.starts_with(&format!("{issuer}/end?client_id=shop&id_token_hint=")),
        "{address}"
    );
    assert_eq!(browser.cookies.len(), 1, "{:?}", browser.cookies.keys());
}

#[tokio::test]
async fn programs_pass_by_a_token_and_browsers_by_a_session_on_one_route() {
    let (provider, orders) = (Provider::start(600).await, Upstream::echo().await);
    let tokens = r#"
[plugins.tokens]
component = "auth"
documents = ["login-keys"]

[plugins.tokens.config]
anonymous = "nobody"

[[plugins.tokens.config.jwt.issuers]]
issuer = "http://${env:LOGIN}"
audiences = ["api"]
algorithms = ["RS256"]
document = "login-keys"
"#;
    let text = text("accept_consumer = true", "\"tokens\", \"login\"");
    let text = format!("{text}{tokens}");
    let gateway = start(&text, &provider.upstream.address, &orders.address);
    let mut browser = Browser::new(gateway.address).await;
    let issuer = format!("http://{}", provider.upstream.address);
    let claims = json!({ "iss": issuer, "aud": "api", "sub": "robot", "exp": now() + 300 });
    let good = format!("Bearer {}", provider.signer.token(&claims));
    let forged = format!("Bearer {}", Signer::new("RS256").token(&claims));
    for (authorization, status) in [(&*good, 200), (&forged, 401), ("Bearer x", 401), ("x", 401)] {
        let fields = [("authorization", authorization), ("x-token", "forged")];
        let answer = browser.send("GET", "/orders", &fields, "").await;
        assert_eq!(answer.status(), status, "{authorization}");
    }
    assert_eq!(browser.fetch("/orders").await.status(), 401);
    let seen = orders.request();
    assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("x-token"));
    let back = provider.log_in(&mut browser, "/orders").await;
    assert_eq!(back.header("location"), Some("/orders"));
    assert_eq!(browser.fetch("/orders").await.status(), 200);
    assert_eq!(orders.requests()[1].headers["x-user"], "ada");
}

#[tokio::test]
async fn while_the_provider_is_away_nobody_is_sent_there() {
    let orders = Upstream::echo().await;
    let gateway = start(&text("", "\"login\""), &"127.0.0.1:1", &orders.address);
    let mut browser = Browser::new(gateway.address).await;
    let answer = browser.visit("/orders").await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(browser.fetch("/orders").await.status(), 401);
    assert!(orders.requests().is_empty());
}

#[test]
fn each_recipe_of_the_manual_would_be_served() {
    let manual = include_str!("../../../../plugins/oidc/README.md");
    let recipes = manual.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let mut served = 0;
    for (recipe, _) in recipes {
        let listener = "\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
        let source = Source::new("gateway.toml", &format!("{recipe}{listener}"));
        let known = Known { built_in: &first_party::names() };
        let loaded = config::read(source, &|_: &str| Some(KEY.into()), &known);
        let loaded = loaded.unwrap_or_else(|found| panic!("{recipe}\n{}", found.render(false)));
        assert_eq!(loaded.warnings.render(false), "", "{recipe}");
        let checked = Gateway::check(&loaded.config, &[], false);
        // Whether this machine has certificates of authorities is another matter.
        let errors: Vec<_> =
            checked.errors.iter().filter(|it| !matches!(it, BindError::Upstream(_))).collect();
        assert!(errors.is_empty(), "{recipe}\n{errors:?}");
        served += 1;
    }
    assert_eq!(served, 2);
}
