//! The first-party plugins through a running gateway, configured as their users configure them.
//!
//! Over 400 lines: one story for each thing that they promise, and one for all three together.

mod experiments;
mod flags;
mod introspection;
#[path = "../../../plugins/auth/tests/auth/issuer.rs"]
#[allow(dead_code, reason = "it serves the plugin's own tests too")]
mod issuer;
mod limited_bodies;
mod oidc;
mod oidc_provider;
mod signatures;
mod transforming;
mod validating;

use std::time::{SystemTime, UNIX_EPOCH};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::{self, request};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Http2, Running, Setup, Upstream, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use issuer::Signer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// `[upstreams.orders]` and a route to it through these plugins.
fn route_through(plugins: &str) -> String {
    format!(
        r#"
[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]

[[routes]]
name = "orders"
paths = ["/orders/{{id}}", "/orders"]
plugins = [{plugins}]
upstream = "orders"
"#
    )
}

async fn ask(gateway: &Running, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", "/orders", fields, "")).await
}

/// As the manual tells: `printf %s KEY | sha256sum`.
fn digest_of(key: &str) -> String {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

const KEYS: &str = r#"
[plugins.keys]
component = "auth"

[plugins.keys.config]
headers = { "x-consumer-id" = "consumer.id" }

[plugins.keys.config.api_key]
header = "x-api-key"
query = "api_key"
bearer = true
keys = [{ id = "quickstart", digest = "${env:DIGEST}" }]
"#;

#[tokio::test]
async fn an_api_key_admits_from_a_field_a_query_or_as_a_bearer_and_goes_no_further() {
    let upstream = Upstream::echo().await;
    let text = format!("{KEYS}{}", route_through("\"keys\""));
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("ORDERS", &upstream.address), ("DIGEST", &digest_of("quickstart-key"))];
    let gateway = Setup::toml(&text, &values).start();
    let mut client = Http1::connect(gateway.address).await;
    for (path, fields) in [
        ("/orders?a=1", vec![("x-api-key", "quickstart-key")]),
        ("/orders?api_key=quickstart-key&a=1", vec![]),
        ("/orders?a=1", vec![("authorization", "Bearer quickstart-key")]),
    ] {
        let spoofed = [fields.as_slice(), &[("x-consumer-id", "root")]].concat();
        let answer = client.send(request("GET", path, &spoofed, "")).await;
        assert_eq!(answer.status(), 200, "{path} {fields:?}");
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.uri, "/orders?a=1");
        assert_eq!(
            seen.headers.get_all("x-consumer-id").iter().collect::<Vec<_>>(),
            ["quickstart"]
        );
        assert!(!seen.headers.contains_key("x-api-key"));
        assert!(!seen.headers.contains_key("authorization"));
    }
    for (fields, status) in [
        (vec![], 401),
        (vec![("x-api-key", "quickstart-kez")], 401),
        (vec![("x-api-key", "quickstart-key"), ("authorization", "Bearer quickstart-key")], 400),
    ] {
        let answer = client.send(request("GET", "/orders", &fields, "")).await;
        assert_eq!(answer.status(), status, "{fields:?}");
        assert_eq!(answer.problem()["instance"], answer.id());
        if status == 401 {
            let challenges = answer.head.headers.get_all("www-authenticate");
            let challenges: String = challenges.iter().map(|it| it.to_str().unwrap()).collect();
            assert!(challenges.contains("Bearer realm=\"api\""), "{challenges}");
        }
        assert!(!answer.text().contains("quickstart-key"));
    }
    assert_eq!(upstream.requests().len(), 3);
}

fn claims(changes: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "ada", "exp": now + 600,
        "scope": "orders:read",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn a_token_of_each_kind_of_algorithm_admits_and_one_that_is_wrong_does_not() {
    let upstream = Upstream::echo().await;
    let algorithms = ["HS256", "RS256", "PS384", "ES256", "ES384", "ES256K", "EdDSA"];
    let signers = algorithms.map(Signer::new);
    let keys: Vec<String> = signers
        .iter()
        .map(|signer| match signer {
            Signer::Secret(..) => {
                "{ algorithm = \"HS256\", secret = \"${env:SECRET}\" }".to_owned()
            }
            other => {
                let name = other.algorithm();
                format!("{{ algorithm = \"{name}\", pem = \"${{env:{name}}}\" }}")
            }
        })
        .collect();
    let text = format!(
        r#"
[plugins.tokens]
component = "auth"
[plugins.tokens.config]
headers = {{ x-consumer-id = "consumer.id" }}
require = {{ scopes = ["orders:read"] }}
[[plugins.tokens.config.jwt.issuers]]
issuer = "https://issuer.example"
audiences = ["api"]
algorithms = {algorithms:?}
keys = [{}]
{}"#,
        keys.join(", "),
        route_through("\"tokens\"")
    );
    let secret = signers[0].config()["secret"].as_str().unwrap().to_owned();
    let pems: Vec<String> = signers[1..].iter().map(Signer::pem).collect();
    let mut values: Vec<(&str, &dyn std::fmt::Display)> =
        vec![("ORDERS", &upstream.address), ("SECRET", &secret)];
    for (signer, pem) in signers[1..].iter().zip(&pems) {
        values.push((signer.algorithm(), pem));
    }
    let gateway = Setup::toml(&text, &values).start();
    let bearer =
        async |token: String| ask(&gateway, &[("authorization", &format!("Bearer {token}"))]).await;
    for signer in &signers {
        let name = signer.algorithm();
        // The second time it comes out of the cache of verified tokens.
        let token = signer.token(&claims(&json!({})));
        for _ in 0..2 {
            let answer = bearer(token.clone()).await;
            assert_eq!(answer.status(), 200, "{name}: {answer:?}");
        }
        assert_eq!(upstream.requests().pop().unwrap().headers["x-consumer-id"], "ada", "{name}");
        let stranger = Signer::new(name);
        let forged = match name {
            "HS256" => format!("{}A", &token[..token.len() - 2]),
            _ => stranger.token(&claims(&json!({}))),
        };
        assert_eq!(bearer(forged).await.status(), 401, "{name}");
        for wrong in [json!({ "exp": 1 }), json!({ "aud": "other" }), json!({ "iss": "other" })] {
            let answer = bearer(signer.token(&claims(&wrong))).await;
            assert_eq!(answer.status(), 401, "{name} {wrong}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
        let answer = bearer(signer.token(&claims(&json!({ "scope": "none" })))).await;
        assert_eq!(answer.status(), 403, "{name}");
    }
    let none = format!("{}.{}.", issuer::encoded(r#"{"alg":"none"}"#), issuer::encoded("{}"));
    assert_eq!(bearer(none).await.status(), 401);
}

#[tokio::test]
async fn a_key_and_a_token_are_both_needed_where_both_stand_in_the_chain() {
    let upstream = Upstream::echo().await;
    let signer = Signer::new("ES256");
    let text = format!(
        r#"
[plugins.key]
component = "auth"
[plugins.key.config]
headers = {{ x-app = "consumer.id" }}
[plugins.key.config.api_key]
header = "x-api-key"
keys = [{{ id = "app", digest = "{}" }}]
[plugins.token]
component = "auth"
[plugins.token.config]
headers = {{ x-consumer-id = "consumer.id" }}
[[plugins.token.config.jwt.issuers]]
issuer = "https://issuer.example"
audiences = ["api"]
algorithms = ["ES256"]
keys = [{{ algorithm = "ES256", pem = "${{env:PEM}}" }}]
{}"#,
        digest_of("secret"),
        route_through("\"key\", \"token\"")
    );
    let gateway =
        Setup::toml(&text, &[("ORDERS", &upstream.address), ("PEM", &signer.pem())]).start();
    let bearer = format!("Bearer {}", signer.token(&claims(&json!({}))));
    let (key, token) = (("x-api-key", "secret"), ("authorization", &*bearer));
    // What was decided before is decided again.
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &[key, token]).await.status(), 200);
        for lacking in [&[key][..], &[token], &[], &[("x-api-key", "other"), token]] {
            assert_eq!(ask(&gateway, lacking).await.status(), 401, "{lacking:?}");
        }
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let sent = ["x-app", "x-consumer-id"].map(|name| &request.headers[name]);
        assert_eq!(sent, ["app", "ada"], "each names its own");
        assert!(!request.headers.contains_key("x-api-key"));
        assert!(!request.headers.contains_key("authorization"));
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn argon2(password: &str, kibibytes: u32, passes: u32) -> String {
    let params = Params::new(kibibytes, passes, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

const STAFF: &str = r#"
[plugins.staff]
component = "auth"
config = { basic = { realm = "staff", remember = "0s", users = [
    { name = "ada", hash = "${env:ADA}" },
    { name = "grace", hash = "${env:GRACE}" },
] } }

[[routes]]
name = "plain"
paths = ["/plain"]
respond = { body = "fine" }
"#;

#[tokio::test]
async fn a_password_admits_by_argon2_and_by_bcrypt() {
    let upstream = Upstream::echo().await;
    let text = format!("{STAFF}{}", route_through("\"staff\""));
    let hash = argon2("lovelace", 8 << 10, 1);
    let values: [(&str, &dyn std::fmt::Display); 3] = [
        ("ORDERS", &upstream.address),
        ("ADA", &hash),
        ("GRACE", &bcrypt::hash("hopper", 4).unwrap()),
    ];
    let gateway = Setup::toml(&text, &values).start();
    for (name, password, status) in [
        ("ada", "lovelace", 200),
        ("grace", "hopper", 200),
        ("ada", "hopper", 401),
        ("grace", "lovelace", 401),
        ("nobody", "lovelace", 401),
    ] {
        let answer = ask(&gateway, &[("authorization", &basic(name, password))]).await;
        assert_eq!(answer.status(), status, "{name} {password}: {answer:?}");
        if status == 401 {
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, Some("Basic realm=\"staff\", charset=\"UTF-8\""));
        }
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn passwords_that_take_their_time_hold_nobody_else_up() {
    const LOGINS: usize = 20;
    let upstream = Upstream::echo().await;
    let text = format!("{STAFF}{}", route_through("\"staff\""));
    let hash = argon2("lovelace", 32 << 10, 2);
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("ORDERS", &upstream.address), ("ADA", &hash), ("GRACE", &hash)];
    // One worker: the one who blocks it blocks all.
    let gateway = Setup::toml(&text, &values).start();
    assert_eq!(ask(&gateway, &[("authorization", &basic("ada", "lovelace"))]).await.status(), 200);
    let mut logins = JoinSet::new();
    for _ in 0..LOGINS {
        let address = gateway.address;
        logins.spawn(async move {
            let authorization = basic("ada", "lovelace");
            let fields = [("authorization", authorization.as_str())];
            let mut client = Http1::connect(address).await;
            client.send(request("GET", "/orders", &fields, "")).await.status()
        });
    }
    let mut client = Http1::connect(gateway.address).await;
    let mut answered = 0;
    while logins.try_join_next().is_none() {
        assert_eq!(client.send(client::get("/plain")).await.text(), "fine");
        answered += 1;
    }
    // One is done and nineteen are not, and meanwhile others were served.
    assert!(answered > 1, "{answered}");
    let begun = answered;
    while !logins.is_empty() {
        assert_eq!(client.send(client::get("/plain")).await.status(), 200);
        answered += 1;
        while let Some(login) = logins.try_join_next() {
            assert_eq!(login.unwrap(), 200);
        }
    }
    assert!(answered > begun + LOGINS, "{answered} answers while {LOGINS} passwords were verified");
}

#[tokio::test]
async fn a_rate_limit_says_what_is_left_and_refuses_what_is_over() {
    let text = format!(
        r#"
[plugins.limit]
component = "rate-limit"
[plugins.limit.config]
policies = [
    {{ name = "burst", limit = 3, window = "1h" }},
    {{ name = "tenant", limit = 2, window = "1h", key = ["header:x-tenant"] }},
]
{}"#,
        route_through("\"limit\"")
    );
    let upstream = Upstream::echo().await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let answer = ask(&gateway, &[("x-tenant", "a")]).await;
    assert_eq!(answer.status(), 200);
    let policies = answer.head.headers.get_all("ratelimit-policy").iter();
    let policies: Vec<_> = policies.map(|it| it.to_str().unwrap()).collect();
    assert_eq!(policies.join(", "), "\"burst\";q=3;w=3600, \"tenant\";q=2;w=3600");
    let left = answer.header("ratelimit").unwrap();
    assert!(
        left.contains("\"burst\";r=2;t=1200") && left.contains("\"tenant\";r=1;t=1800"),
        "{left}"
    );
    assert_eq!(ask(&gateway, &[("x-tenant", "a")]).await.status(), 200);

    let answer = ask(&gateway, &[("x-tenant", "a")]).await;
    assert_eq!(answer.status(), 429);
    let problem = answer.problem();
    assert_eq!(problem["violated-policies"], json!(["tenant"]));
    assert_eq!(problem["instance"], answer.id());
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    // The refusal charged neither: there is one left in the burst for another tenant.
    assert_eq!(ask(&gateway, &[("x-tenant", "b")]).await.status(), 200);
    let answer = ask(&gateway, &[("x-tenant", "b")]).await;
    assert_eq!((answer.status(), &answer.problem()["violated-policies"]), (429, &json!(["burst"])));
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_transformation_changes_heads_query_and_path() {
    let text = r#"
[plugins.shape]
component = "transform"

[plugins.shape.config.request]
path = "/v2/orders/${capture.id}"
headers.set = { x-client = "${client.address}", x-route = "${route.name}" }
headers.remove = ["x-debug"]
headers.rename = { x-old = "x-new" }
query.default = { page = "1" }
query.remove = ["debug"]

[plugins.shape.config.response]
status = { 404 = 200, 5xx = 502 }
headers.remove = ["server"]
headers.set = { x-served = "${request.id}" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "orders"
paths = ["/orders/{id}"]
plugins = ["shape"]
upstream = "orders"
"#;
    let upstream = Upstream::http1(|request| async move {
        let status = if request.uri().path().ends_with("none") { 404 } else { 503 };
        Response::builder().status(status).header("server", "secret").body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let fields = [("x-debug", "1"), ("x-old", "moved")];
    let answer = client.send(request("GET", "/orders/none?debug=1&q=%20", &fields, "")).await;
    assert_eq!((answer.status(), answer.header("server")), (200, None));
    assert_eq!(answer.header("x-served"), Some(answer.id()));
    let seen = upstream.request();
    assert_eq!(seen.uri, "/v2/orders/none?q=%20&page=1");
    assert_eq!(
        (&seen.headers["x-client"], &seen.headers["x-route"]),
        (&"127.0.0.1".parse().unwrap(), &"orders".parse().unwrap())
    );
    assert_eq!(seen.headers["x-new"], "moved");
    assert!(!seen.headers.contains_key("x-debug") && !seen.headers.contains_key("x-old"));
    assert_eq!(client.send(client::get("/orders/some")).await.status(), 502);
    // A capture cannot become two segments.
    client.send(client::get("/orders/a%2Fb")).await;
    let seen = upstream.requests();
    let last = seen.last().unwrap().uri.path();
    assert!(last != "/v2/orders/a/b", "{last}");
}

#[tokio::test]
async fn a_transformation_changes_json_both_ways() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
[plugins.shape.config.request]
body_limit = "4KiB"
json = [
    {{ op = "set", pointer = "/order/route", value = "${{route.name}}" }},
    {{ op = "remove", pointer = "/internal" }},
]
[plugins.shape.config.response]
json = [{{ op = "wrap", key = "data" }}]
{}"#,
        route_through("\"shape\"")
    );
    let upstream = Upstream::http1(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().header("content-type", "application/json").body(full(body)).unwrap()
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let json_type = [("content-type", "application/json")];
    let mut client = Http1::connect(gateway.address).await;
    let body = r#"{"internal":true,"order":{"n":1.50}}"#;
    let answer = client.send(request("POST", "/orders", &json_type, body)).await;
    assert_eq!(answer.text(), r#"{"data":{"order":{"n":1.50,"route":"orders"}}}"#);
    let length = answer.text().len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    let answer = client.send(request("POST", "/orders", &json_type, "{broken")).await;
    assert_eq!((answer.status(), &answer.problem()["status"]), (400, &json!(400)));
    let large = format!("\"{}\"", "x".repeat(5 << 10));
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/orders", &json_type, large)).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_transformation_edits_json_up_to_its_limit() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
limits = {{ deadline = "5s" }}
[plugins.shape.config.request]
json = [{{ op = "set", pointer = "/seen", value = "yes" }}]
[plugins.shape.config.response]
json = [{{ op = "remove", pointer = "/seen" }}]
{}"#,
        route_through("\"shape\"")
    );
    let upstream = Upstream::http1(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(b",\"seen\":\"yes\"}"));
        Response::builder().header("content-type", "application/json").body(full(body)).unwrap()
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let body = format!("{{\"list\":[{}0]}}", "1.0,".repeat(200 << 10));
    let mut client = Http1::connect(gateway.address).await;
    let json_type = [("content-type", "application/json")];
    let answer = client.send(request("POST", "/orders", &json_type, body.clone())).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text() == body);
}

#[tokio::test]
async fn a_transformation_finds_text_across_the_borders_of_chunks_while_it_streams() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
[plugins.shape.config.response]
text = [{{ find = "internal.example", replace = "api.example.com" }}]
{}"#,
        route_through("\"shape\"")
    );
    let (go_on, gate) = tokio::sync::watch::channel(0);
    let upstream = Upstream::http1(move |_| {
        let gate = gate.clone();
        let pieces = stream::unfold((0, gate), |(index, mut gate)| async move {
            let text = *["go to internal.ex", "ample now", " or internal.exit"].get(index)?;
            gate.wait_for(|seen| *seen >= index).await.unwrap();
            Some((Ok(Frame::data(Bytes::from_static(text.as_bytes()))), (index + 1, gate)))
        });
        async {
            let body = StreamBody::new(pieces).boxed_unsync();
            Response::builder().header("content-type", "text/plain").body(body).unwrap()
        }
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http2::connect(gateway.address).await;
    let response = within(client.0.send_request(client::get2("/orders"))).await.unwrap();
    let mut body = response.into_body();
    let mut received = String::new();
    // Each part is here before the upstream sends the next one.
    for (index, part) in ["go to ", "api.example.com now", " or internal.exit"].iter().enumerate() {
        let before = received.len();
        while received.len() < before + part.len() {
            let frame = within(body.frame()).await.unwrap().unwrap();
            received.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        assert_eq!(&received[before..], *part);
        go_on.send_replace(index + 1);
    }
}

#[tokio::test]
async fn all_three_work_together_on_one_route() {
    let upstream = Upstream::http1(|_| async {
        let builder = Response::builder().header("content-type", "application/json");
        builder.body(full(r#"{"message":"hello"}"#)).unwrap()
    })
    .await;
    let text = format!(
        r#"{KEYS}
[plugins.limit]
component = "rate-limit"
config = {{ policies = [{{ name = "per-hour", limit = 2, window = "1h", key = ["consumer.id"] }}] }}

[plugins.shape]
component = "transform"
[plugins.shape.config.request.headers.set]
x-limited = "${{attribute.rate-limit.violated|no}}"
[plugins.shape.config.response]
headers.set = {{ x-served-for = "${{consumer.id}}" }}
json = [{{ op = "set", pointer = "/for", value = "${{consumer.id}}" }}]
{}"#,
        route_through("\"keys\", \"limit\", \"shape\"")
    );
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("ORDERS", &upstream.address), ("DIGEST", &digest_of("quickstart-key"))];
    let gateway = Setup::toml(&text, &values).start();
    let key = [("x-api-key", "quickstart-key")];
    // Without a key neither the limit nor the upstream hears of it.
    for _ in 0..5 {
        let answer = ask(&gateway, &[]).await;
        assert_eq!((answer.status(), answer.header("ratelimit")), (401, None));
    }
    for left in [1, 0] {
        let answer = ask(&gateway, &key).await;
        assert_eq!(answer.text(), r#"{"message":"hello","for":"quickstart"}"#);
        assert_eq!(answer.header("x-served-for"), Some("quickstart"));
        let expected = format!("\"per-hour\";r={left};");
        assert!(answer.header("ratelimit").unwrap().starts_with(&expected), "{answer:?}");
    }
    let answer = ask(&gateway, &key).await;
    assert_eq!((answer.status(), answer.problem()["status"].as_u64()), (429, Some(429)));
    // The transformation is behind the limit and never sees what that refuses.
    assert_eq!(answer.header("x-served-for"), None);
    let seen = upstream.requests();
    assert_eq!((seen.len(), &seen[0].headers["x-limited"]), (2, &"no".parse().unwrap()));
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_read_every_answer_and_its_preflight_needs_no_key() {
    let upstream = Upstream::echo().await;
    let text = format!(
        r#"{KEYS}
[plugins.browser]
component = "cors"

[plugins.browser.config]
origins = ["https://*.app.example"]
methods = ["GET", "PUT"]
headers = ["x-api-key"]
{}"#,
        route_through("\"browser\", \"keys\"")
    );
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("ORDERS", &upstream.address), ("DIGEST", &digest_of("quickstart-key"))];
    let gateway = Setup::toml(&text, &values).start();
    let allowed = |answer: &Answer| {
        let field = answer.head.headers.get("access-control-allow-origin");
        field.map(|field| field.to_str().unwrap().to_owned())
    };
    let mut client = Http1::connect(gateway.address).await;
    let origin = ("origin", "https://a.app.example");
    let asked = ("access-control-request-method", "PUT");
    let preflight = client.send(request("OPTIONS", "/orders", &[origin, asked], "")).await;
    assert_eq!(preflight.status(), 204);
    assert_eq!(allowed(&preflight).as_deref(), Some("https://a.app.example"));
    assert_eq!(preflight.head.headers["access-control-allow-methods"], "GET, PUT");
    assert_eq!(preflight.head.headers["access-control-allow-headers"], "x-api-key");
    let foreign = ("origin", "https://app.example.evil.example");
    let preflight = client.send(request("OPTIONS", "/orders", &[foreign, asked], "")).await;
    assert_eq!((preflight.status(), allowed(&preflight)), (403, None));
    assert!(upstream.requests().is_empty());
    for (fields, status) in
        [(vec![origin], 401), (vec![origin, ("x-api-key", "quickstart-key")], 200)]
    {
        // Twice: the second time what is known may be done without a call.
        for _ in 0..2 {
            let answer = client.send(request("GET", "/orders", &fields, "")).await;
            assert_eq!(answer.status(), status);
            assert_eq!(allowed(&answer).as_deref(), Some("https://a.app.example"));
            assert_eq!(answer.head.headers["vary"], "origin");
        }
    }
    let fields = [foreign, ("x-api-key", "quickstart-key")];
    let answer = client.send(request("GET", "/orders", &fields, "")).await;
    assert_eq!((answer.status(), allowed(&answer)), (200, None));
}

#[tokio::test]
async fn an_address_decides_and_behind_a_trusted_proxy_it_is_the_clients() {
    let upstream = Upstream::echo().await;
    let text = format!(
        r#"
[plugins.office]
component = "ip"

[plugins.office.config]
allow = ["192.0.2.0/24", "2001:db8::/32"]
deny = ["192.0.2.66"]
{}"#,
        route_through("\"office\"")
    );
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)])
        .listen(|it| it.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()])
        .start();
    let cases = [
        ("192.0.2.7", 200),
        ("192.0.2.7", 200),
        ("192.0.2.66", 403),
        ("198.51.100.1", 403),
        ("2001:db8::7", 200),
        // What stands before the address that the proxy saw is the client's own invention.
        ("192.0.2.7, 198.51.100.1", 403),
    ];
    for (client, status) in cases {
        let answer = ask(&gateway, &[("x-forwarded-for", client)]).await;
        assert_eq!(answer.status(), status, "{client}");
        if status == 403 {
            assert_eq!(answer.problem()["instance"], answer.id());
            assert!(!answer.text().contains("192.0.2"), "{}", answer.text());
        }
    }
    // The peer itself.
    assert_eq!(ask(&gateway, &[]).await.status(), 403);
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_service_decides_who_passes_and_names_the_consumer() {
    let orders = Upstream::echo().await;
    let login = Upstream::http1(|request| async move {
        let sent = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
        if sent("cookie") == Some("id=7") && sent("x-forwarded-uri") == Some("/orders") {
            let answer = Response::builder().header("x-user", "ada").header("set-cookie", "seen=1");
            return answer.body(full("")).unwrap();
        }
        let answer = Response::builder().status(302).header("location", "https://login.example/");
        answer.body(full("go there")).unwrap()
    })
    .await;
    let text = format!(
        r#"
[upstreams.login]
targets = ["http://${{env:LOGIN}}"]

[plugins.session]
component = "forward-auth"
upstreams = ["login"]

[plugins.session.config]
upstream = "login"
path = "/verify"
upstream_headers = ["x-user"]
client_headers = ["set-cookie"]
attributes = {{ "consumer.id" = "x-user" }}
timeout = "10s"

[plugins.each]
component = "rate-limit"
config = {{ policies = [{{ name = "each", limit = 2, window = "1d", key = ["consumer.id"] }}] }}
{}"#,
        route_through("\"session\", \"each\"")
    );
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("ORDERS", &orders.address), ("LOGIN", &login.address)];
    let gateway = Setup::toml(&text, &values).start();
    let away = ask(&gateway, &[("x-user", "root")]).await;
    assert_eq!((away.status(), away.text()), (302, "go there"));
    assert_eq!(away.header("location"), Some("https://login.example/"));
    assert!(orders.requests().is_empty());
    let session = [("cookie", "id=7"), ("x-user", "root"), ("x-forwarded-uri", "/public")];
    for status in [200, 200, 429] {
        let answer = ask(&gateway, &session).await;
        assert_eq!((answer.status(), answer.header("set-cookie")), (status, Some("seen=1")));
    }
    let seen = orders.requests();
    let users: Vec<_> = seen[0].headers.get_all("x-user").iter().collect();
    assert_eq!(users, ["ada"]);
    let asked = login.requests();
    assert_eq!((asked[1].method.as_str(), asked[1].uri.path()), ("GET", "/verify"));
    assert_eq!(asked[1].headers["x-forwarded-method"], "GET");
    // Nobody answers.
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("ORDERS", &orders.address), ("LOGIN", &"127.0.0.1:1")];
    let gateway = Setup::toml(&text, &values).start();
    let refused = ask(&gateway, &session).await;
    assert_eq!((refused.status(), &refused.problem()["instance"]), (503, &json!(refused.id())));
    assert_eq!(orders.requests().len(), 2);
}

#[tokio::test]
async fn rules_decide_by_who_the_consumer_is_and_what_is_asked_for() {
    let orders = Upstream::echo().await;
    let text = format!(
        r#"
[plugins.keys]
component = "auth"
[plugins.keys.config]
claims_to_attributes = ["tenant", "roles"]
[plugins.keys.config.api_key]
keys = [
    {{ id = "ada", digest = "{ada}", group = "staff", scopes = ["orders:read"], claims = {{ tenant = "7", roles = ["ops"] }} }},
    {{ id = "bob", digest = "{bob}", scopes = ["orders:read"], claims = {{ tenant = "8" }} }},
]

[plugins.rules]
component = "authorize"
[[plugins.rules.config.rules]]
name = "abroad"
deny = '!(client.address in cidr("127.0.0.0/8"))'
[[plugins.rules.config.rules]]
name = "ops"
allow = '"ops" in consumer.claims.roles && consumer.claims.tenant == request.query.tenant[0]'
[[plugins.rules.config.rules]]
name = "staff"
allow = 'consumer.group == "staff" && request.method == "GET" && route.name == "orders" && request.path == "/orders" && !("tenant" in request.query)'
{route}"#,
        ada = digest_of("ada-key"),
        bob = digest_of("bob-key"),
        route = route_through("\"keys\", \"rules\"")
    );
    let gateway = Setup::toml(&text, &[("ORDERS", &orders.address)]).start();
    let cases = [
        ("/orders?tenant=7", "ada-key", 200),
        ("/orders?tenant=8", "ada-key", 403),
        ("/orders", "ada-key", 200),
        ("/orders/9", "ada-key", 403),
        ("/orders?tenant=8", "bob-key", 403),
        ("/orders?tenant=7", "nobody", 401),
    ];
    let mut client = Http1::connect(gateway.address).await;
    for (path, key, status) in cases {
        let answer = client.send(request("GET", path, &[("x-api-key", key)], "")).await;
        assert_eq!(answer.status(), status, "{path} {key}");
        if status == 403 {
            assert_eq!(answer.problem()["instance"], answer.id());
            assert!(!answer.text().contains("staff"), "{}", answer.text());
        }
    }
    assert_eq!(orders.requests().len(), 2);
}

#[tokio::test]
async fn messages_are_validated_by_an_openapi_document_on_both_ways() {
    let orders = Upstream::http1(|request| async move {
        let body = if request.uri().query() == Some("limit=2") {
            r#"{"id": "x"}"#
        } else {
            r#"{"id": 1}"#
        };
        Response::builder().header("content-type", "application/json").body(full(body)).unwrap()
    })
    .await;
    let text = format!(
        r##"
[plugins.api]
component = "validate"
[plugins.api.config]
response = {{ mode = "enforce" }}
[plugins.api.config.openapi]
text = """
{{ "openapi": "3.0.3", "paths": {{ "/orders": {{
    "get": {{
        "parameters": [{{ "name": "limit", "in": "query", "schema": {{ "type": "integer", "maximum": 9 }} }}],
        "responses": {{ "200": {{ "content": {{ "application/json": {{ "schema": {{ "$ref": "#/components/schemas/Order" }} }} }} }} }}
    }},
    "post": {{
        "requestBody": {{ "required": true, "content": {{ "application/json": {{ "schema": {{ "$ref": "#/components/schemas/Order" }} }} }} }},
        "responses": {{ "200": {{ "description": "made" }} }}
    }}
}} }}, "components": {{ "schemas": {{ "Order": {{ "type": "object", "required": ["id"],
    "properties": {{ "id": {{ "type": "integer", "minimum": 0, "maximum": 18446744073709551616 }},
        "loop": {{ "$ref": "#/components/schemas/Loop" }} }} }},
    "Loop": {{ "allOf": [{{ "$ref": "#/components/schemas/Loop" }}] }} }} }} }}
"""
{}"##,
        route_through("\"api\"")
    );
    let gateway = Setup::toml(&text, &[("ORDERS", &orders.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    let json_type = "application/json";
    let endless = "cannot be checked: it takes too long, or lies too deep";
    let large = "must be at most 18446744073709551616";
    // Method, target, type and text of the body, status, and what is told of the one place that is wrong.
    let cases = [
        ("GET", "/orders?limit=1", "", "", 200, ""),
        ("GET", "/orders?limit=x", "", "", 400, "must be an integer"),
        ("GET", "/orders?limit=2", "", "", 502, ""),
        ("POST", "/orders", json_type, r#"{"id": 18446744073709551616}"#, 200, ""),
        ("POST", "/orders", json_type, r#"{"id": 18446744073709551617}"#, 400, large),
        ("POST", "/orders", json_type, r#"{"id": 1, "loop": 1}"#, 400, endless),
        ("POST", "/orders", json_type, "", 400, "is missing"),
        ("POST", "/orders", "text/csv", "1", 415, ""),
        ("PUT", "/orders", "", "", 405, ""),
        ("GET", "/orders/7", "", "", 404, ""),
    ];
    for (method, path, content_type, body, status, error) in cases {
        let typed = [("content-type", content_type)];
        let fields = if content_type.is_empty() { &[] } else { &typed[..] };
        let answer = client.send(request(method, path, fields, body)).await;
        assert_eq!(answer.status(), status, "{method} {path} {body}: {}", answer.text());
        if status != 200 {
            assert_eq!(answer.problem()["instance"], answer.id());
            let told =
                answer.problem()["errors"][0]["detail"].as_str().unwrap_or_default().to_owned();
            assert_eq!(told, error, "{method} {path} {body}");
        }
    }
    assert_eq!(orders.requests().len(), 3);
}
