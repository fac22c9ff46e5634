//! Tokens that are introspected, by an authorization server that is asked over a socket.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, log};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::{Signer, ask, issuer, route_through};

const SECRET: &str = "s3cret of the gateway";

async fn bearing(gateway: &Running, token: &str) -> Answer {
    ask(gateway, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn opaque_tokens_are_introspected_once_a_while_and_refuse_nobody_while_the_server_is_away() {
    let orders = Upstream::echo().await;
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let login = Upstream::http1(move |request| {
        let is_away = is_away.load(Ordering::SeqCst);
        async move {
            if is_away {
                let answer = Response::builder().status(StatusCode::BAD_GATEWAY);
                return answer.body(full("no")).unwrap();
            }
            let form = request.into_body().collect().await.unwrap().to_bytes();
            let answer = if form.starts_with(b"token=good%2B") {
                json!({ "active": true, "sub": "ada", "scope": "orders:read", "exp": 4_000_000_000_u64 })
            } else {
                json!({ "active": false })
            };
            Response::new(full(answer.to_string()))
        }
    })
    .await;
    let signer = Signer::new("ES256");
    let text = format!(
        r#"
[upstreams.login]
targets = ["http://${{env:LOGIN}}"]

[secrets]
introspection = "${{env:INTROSPECTION}}"

[plugins.tokens]
component = "auth"
upstreams = ["login"]
secrets = ["introspection"]

[plugins.tokens.config]
headers = {{ "x-consumer" = "consumer.id" }}

[plugins.tokens.config.introspection]
upstream = "login"
path = "/introspect"
client_id = "gateway"
secret = "introspection"

[[plugins.tokens.config.jwt.issuers]]
issuer = "https://issuer.example"
audiences = ["api"]
algorithms = ["ES256"]
keys = [{{ algorithm = "ES256", pem = """{}""" }}]
{}"#,
        signer.pem(),
        route_through("\"tokens\"")
    );
    let secret = ("INTROSPECTION", &SECRET as &dyn std::fmt::Display);
    let values = [("ORDERS", &orders.address as _), ("LOGIN", &login.address as _), secret];
    let gateway = Setup::toml(&text, &values).start();
    for _ in 0..3 {
        assert_eq!(bearing(&gateway, "good+1").await.status(), 200);
    }
    let asked = login.requests();
    assert_eq!(asked.len(), 1, "the second and the third are remembered");
    assert_eq!((asked[0].method.as_str(), asked[0].uri.path()), ("POST", "/introspect"));
    let basic = "Basic Z2F0ZXdheTpzM2NyZXQrb2YrdGhlK2dhdGV3YXk=";
    assert_eq!(asked[0].headers["authorization"], basic);
    assert_eq!(orders.requests()[2].headers["x-consumer"], "ada");
    assert!(!orders.requests()[2].headers.contains_key("authorization"));

    let refused = bearing(&gateway, "bad").await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.problem()["instance"], refused.id());
    // A token of the issuer whose keys are here is not sent.
    let mut claims = issuer::claims();
    claims["exp"] = json!(4_000_000_000_u64);
    assert_eq!(bearing(&gateway, &signer.token(&claims)).await.status(), 200);
    assert_eq!(login.requests().len(), 2);

    away.store(true, Ordering::SeqCst);
    assert_eq!(bearing(&gateway, "good+1").await.status(), 200, "it is remembered");
    let unknown = bearing(&gateway, "good+2").await;
    assert_eq!((unknown.status(), unknown.header("retry-after")), (503, Some("1")));
    assert!(unknown.header("www-authenticate").is_none());
    // The first one is told of the outage: later ones only of what comes of it.
    let said: Vec<_> = log::of_request(unknown.id()).into_iter().map(|it| it.message).collect();
    let said = said.join("; ");
    assert!(said.contains("the plugin's request has no response: it answered 502"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("good"), "{said}");
    away.store(false, Ordering::SeqCst);
    assert_eq!(bearing(&gateway, "good+2").await.status(), 200);
    // A gateway whose server does not listen at all.
    let values = [("ORDERS", &orders.address as _), ("LOGIN", &"127.0.0.1:1" as _), secret];
    let gateway = Setup::toml(&text, &values).start();
    assert_eq!(bearing(&gateway, "good+1").await.status(), 503);
}

#[tokio::test]
async fn the_gateway_signs_its_questions_with_a_key_that_no_plugin_reads() {
    let client = Signer::new("ES256");
    let server = Upstream::http1(|request| async {
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let form = String::from_utf8(form.to_vec()).unwrap();
        let (_, assertion) = form.split_once("&client_assertion=").unwrap();
        let answer = json!({ "active": true, "sub": assertion });
        Response::new(full(answer.to_string()))
    })
    .await;
    let orders = Upstream::echo().await;
    // The assertion comes back as the name of the consumer; a second plugin trusts the key that signed it.
    let text = format!(
        r#"
[upstreams.login]
targets = ["http://${{env:LOGIN}}"]
[secrets]
key = "${{env:KEY}}"
[plugins.tokens]
component = "auth"
upstreams = ["login"]
secrets = ["key"]
[plugins.tokens.config]
headers = {{ "x-assertion" = "consumer.id" }}
[plugins.tokens.config.introspection]
upstream = "login"
path = "/introspect"
client_id = "gateway"
client_authentication = "private_key_jwt"
assertion = {{ key = "key", algorithm = "ES256", audience = "https://id.example" }}
[plugins.server]
component = "auth"
[[plugins.server.config.jwt.issuers]]
issuer = "gateway"
audiences = ["https://id.example"]
algorithms = ["ES256"]
keys = [{{ algorithm = "ES256", pem = """{}""" }}]
{}
[[routes]]
name = "server"
paths = ["/server"]
plugins = ["server"]
respond = {{}}
"#,
        client.pem(),
        route_through("\"tokens\"")
    );
    let key = client.private_pem();
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("ORDERS", &orders.address), ("LOGIN", &server.address), ("KEY", &key)];
    let gateway = Setup::toml(&text, &values).start();
    assert_eq!(bearing(&gateway, "opaque").await.status(), 200);
    let assertion = orders.requests()[0].headers["x-assertion"].to_str().unwrap().to_owned();
    let field = format!("Bearer {assertion}");
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/server", &[("authorization", &field)], "")).await;
    assert_eq!(answer.status(), 200, "{:?}", log::said(answer.id()));
    let forged = format!("{}A", &field[..field.len() - 1]);
    let forged = if forged == field { format!("{}B", &field[..field.len() - 1]) } else { forged };
    let answer = client.send(request("GET", "/server", &[("authorization", &forged)], "")).await;
    assert_eq!(answer.status(), 401);
}

/// oidc-provider, which ends with this.
struct Server {
    _process: std::process::Child,
    address: std::net::SocketAddr,
}

impl Server {
    fn start(client: &Signer) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let script =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/auth/vectors/tools/introspection.mjs");
        let folder = std::env::var("TOKEN_TOOLS_NODE").expect("TOKEN_TOOLS_NODE is set");
        // It ends when its input does, which this process holds.
        let mut process = Command::new("node")
            .args([script, &address.port().to_string(), &folder, &client.jwk().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("ready")), "it does not serve");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { _process: process, address }
    }

    /// Asks as the client `app`.
    async fn ask(&self, path: &str, form: String) -> Answer {
        // Name and secret as forms have them (RFC 6749 section 2.3.1).
        let credentials = STANDARD.encode("app:secret+of+app%3A+100%25+%2B%2F");
        let fields = [
            ("authorization", &*format!("Basic {credentials}")),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let mut client = Http1::connect(self.address).await;
        client.send(request("POST", path, &fields, form)).await
    }
}

#[tokio::test]
#[ignore = "needs oidc-provider: see `tokens` in .ci/run"]
async fn a_real_authorization_server_says_which_tokens_are_active() {
    let client = Signer::new("ES256");
    let server = Server::start(&client);
    let plugin = |name: &str, settings: &str| {
        format!(
            r#"
[plugins.{name}]
component = "auth"
upstreams = ["login"]
secrets = ["key"]

[plugins.{name}.config]
headers = {{ "x-consumer" = "consumer.id" }}
require = {{ scopes = ["orders:read"] }}

[plugins.{name}.config.introspection]
upstream = "login"
path = "/token/introspection"
issuer = "http://{}"
consumer_claim = "client_id"
timeout = "10s"
{settings}

[[routes]]
name = "{name}"
paths = ["/{name}"]
plugins = ["{name}"]
respond = {{}}
"#,
            server.address
        )
    };
    let text = [
        "[upstreams.login]\ntargets = [\"http://${env:LOGIN}\"]\n[secrets]\nkey = \"${env:KEY}\"\n"
            .to_owned(),
        plugin(
            "key",
            &format!(
                "client_id = \"gateway-key\"\nclient_authentication = \"private_key_jwt\"\nremember = \"0s\"\n\
                 assertion = {{ key = \"key\", algorithm = \"ES256\", audience = \"http://{}\" }}",
                server.address
            ),
        ),
        plugin("basic", "client_id = \"gateway\"\nclient_secret = \"secret of gateway: 100% +/\""),
        plugin(
            "post",
            "client_id = \"gateway-post\"\nclient_secret = \"secret of gateway-post: 100% +/\"\n\
             client_authentication = \"client_secret_post\"\nremember = \"0s\"",
        ),
        plugin("wrong", "client_id = \"gateway\"\nclient_secret = \"another secret\""),
    ];
    let key = client.private_pem();
    let values = [("LOGIN", &server.address as &dyn std::fmt::Display), ("KEY", &key)];
    let gateway = Setup::toml(&text.concat(), &values).start();
    let ask = async |path: &str, token: &str| {
        let field = format!("Bearer {token}");
        let mut client = Http1::connect(gateway.address).await;
        client.send(request("GET", path, &[("authorization", &field)], "")).await
    };
    let grant = |scope: &str| format!("grant_type=client_credentials{scope}");
    let issued = server.ask("/token", grant("&scope=orders%3Aread")).await;
    let issued: serde_json::Value = serde_json::from_str(issued.text()).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    for path in ["/basic", "/post", "/key", "/key"] {
        let answer = ask(path, token).await;
        assert_eq!(answer.status(), 200, "{path}: {:?}", log::said(answer.id()));
        assert_eq!(ask(path, "no-token-at-all").await.status(), 401, "{path}");
    }
    let without_scope = server.ask("/token", grant("")).await;
    let without_scope: serde_json::Value = serde_json::from_str(without_scope.text()).unwrap();
    let weak = without_scope["access_token"].as_str().unwrap();
    assert_eq!(ask("/basic", weak).await.status(), 403);
    let refused = ask("/wrong", token).await;
    assert_eq!(refused.status(), 503);
    let said = log::said(refused.id()).join("; ");
    assert!(said.contains("it does not take the client's secret"), "{said}");
    // One asks each time, the other remembers.
    assert_eq!(server.ask("/token/revocation", format!("token={token}")).await.status(), 200);
    assert_eq!(ask("/post", token).await.status(), 401);
    assert_eq!(ask("/basic", token).await.status(), 200);
}
