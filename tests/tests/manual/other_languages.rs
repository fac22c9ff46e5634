//! One plugin in three languages, `examples/plugins*/orders`, through one gateway: what one of them
//! does all do, and in one chain each sees what the others did.
//!
//! These tests need Node.js and Python, and fetch the tools that make components of them. So they
//! are left out unless asked for: `cargo test --test manual -- --ignored other_languages`, as `.ci/run`
//! does.

use std::net::SocketAddr;
use std::sync::OnceLock;

use super::example::file::{rust_component, serve};
use super::example::toolchains::{javascript, python};
use gateway::{BindError, Gateway, SpanTarget};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, log};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];

/// A plugin for each language, a route for each, and one through all of them.
const TEXT: &str = r#"
[upstreams.service]
targets = ["http://${env:SERVICE}"]

[plugins.rust]
component = "${env:RUST}"
config = { tenants = ["acme"], most = 5 }

[plugins.javascript]
component = "${env:JAVASCRIPT}"
limits = { memory = "64MiB" }
config = { tenants = ["acme"], most = 5 }

[plugins.python]
component = "${env:PYTHON}"
limits = { memory = "64MiB" }
config = { tenants = ["acme"], most = 5 }

[[routes]]
name = "rust"
paths = ["/rust"]
plugins = ["rust"]
upstream = "service"

[[routes]]
name = "javascript"
paths = ["/javascript"]
plugins = ["javascript"]
upstream = "service"

[[routes]]
name = "python"
paths = ["/python"]
plugins = ["python"]
upstream = "service"

[[routes]]
name = "all"
paths = ["/all"]
plugins = ["python", "rust", "javascript"]
upstream = "service"
"#;

/// The components, by language. Building them and compiling them for this machine takes a while, so
/// that is done once, and both at a time.
fn components() -> &'static [(&'static str, String); 3] {
    static BUILT: OnceLock<[(&'static str, String); 3]> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        let ready = |name, build: fn() -> std::path::PathBuf| {
            std::thread::spawn(move || {
                let component = path(build());
                load_alone(&component);
                (name, component)
            })
        };
        let slow = [ready("JAVASCRIPT", javascript), ready("PYTHON", python)];
        let [javascript, python] = slow.map(|thread| thread.join().expect("the reason is above"));
        [("RUST", path(rust_component("orders"))), javascript, python]
    })
}

/// Leaves the compiled component in the cache of the tests.
fn load_alone(component: &str) {
    const ROUTE: &str = "[[routes]]\nname = 'a'\npaths = ['/a']\nplugins = ['only']\nrespond = {}";
    let text = format!(
        "[plugins.only]\ncomponent = '{component}'\nconfig = {{ tenants = [] }}\n\
         limits = {{ memory = '64MiB' }}\n{ROUTE}"
    );
    Gateway::bind(Setup::toml(&text, &[]).config).unwrap();
}

fn setup(text: &str, service: SocketAddr) -> Setup {
    let mut values: Vec<(&str, &dyn std::fmt::Display)> = vec![("SERVICE", &service)];
    for (name, component) in components() {
        values.push((name, component));
    }
    Setup::toml(text, &values)
}

/// A service that answers with what it was sent, and says what it is.
async fn service() -> Upstream {
    Upstream::http1(|request: Request<_>| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().header("server", "orders/2").body(full(body)).unwrap()
    })
    .await
}

fn start(service: &Upstream) -> Running {
    let address = service.address;
    serve(std::thread::spawn(move || setup(TEXT, address).config).join().unwrap())
}

async fn post(gateway: &Running, path: &str, tenant: Option<&[u8]>, body: &str) -> Answer {
    let mut request = Request::post(path).header("host", "a");
    if let Some(tenant) = tenant {
        request = request.header("x-tenant", tenant);
    }
    let request = request.body(full(body.to_owned())).unwrap();
    Http1::connect(gateway.address).await.send(request).await
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn every_language_refuses_the_same_requests_with_the_same_words() {
    let service = service().await;
    let gateway = start(&service);
    let order = r#"{"quantity":1}"#;
    let most = "quantity must be an integer from 1 to 5";
    let cases: [(Option<&[u8]>, &str, u16, &str); 11] = [
        (None, order, 401, "x-tenant is missing"),
        (Some(b"other"), order, 403, "this tenant may not order"),
        (Some(b"\xff\xfe"), order, 403, "this tenant may not order"),
        (Some(b"acme"), "{\"quantity\":", 400, "the body is not JSON"),
        (Some(b"acme"), "{\"quantity\":NaN}", 400, "the body is not JSON"),
        (Some(b"acme"), "null", 422, most),
        (Some(b"acme"), "[1]", 422, most),
        (Some(b"acme"), "{}", 422, most),
        (Some(b"acme"), "{\"quantity\":0}", 422, most),
        (Some(b"acme"), "{\"quantity\":6}", 422, most),
        (Some(b"acme"), "{\"quantity\":\"1\"}", 422, most),
    ];
    for language in LANGUAGES {
        for (tenant, body, status, detail) in &cases {
            let answer = post(&gateway, &format!("/{language}"), *tenant, body).await;
            assert_eq!(answer.status(), *status, "{language}: {tenant:?} {body}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(parsed(&answer)["detail"], *detail, "{language}: {tenant:?} {body}");
            let challenge = (*status == 401).then_some("Tenant");
            assert_eq!(answer.header("www-authenticate"), challenge, "{language}");
        }
    }
    assert_eq!(service.requests().len(), 0, "what is refused does not reach the service");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn every_language_changes_body_and_response() {
    let service = service().await;
    let gateway = start(&service);
    for language in LANGUAGES {
        let body = r#"{"quantity":5,"note":"schnell, für Ærø 🚲"}"#;
        let answer = post(&gateway, &format!("/{language}"), Some(b"acme"), body).await;
        assert_eq!((answer.status(), answer.header("server")), (200, None), "{language}");
        let checked = format!("{language} for acme");
        assert_eq!(answer.header("x-checked-by"), Some(&*checked));
        let order = json!({
            "quantity": 5, "note": "schnell, für Ærø 🚲", "tenant": "acme", "checked": [language],
        });
        assert_eq!(parsed(&answer), order);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn in_one_chain_each_sees_what_the_plugins_before_it_did() {
    let service = service().await;
    let gateway = start(&service);
    // More often than an instance would survive whose memory only grows.
    for quantity in (1..=5).cycle().take(200) {
        let body = json!({ "quantity": quantity }).to_string();
        let answer = post(&gateway, "/all", Some(b"acme"), &body).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let order = json!({
            "quantity": quantity, "tenant": "acme", "checked": ["python", "rust", "javascript"],
        });
        assert_eq!(parsed(&answer), order);
        // The response passes them the other way round.
        let checked: Vec<_> = answer.head.headers.get_all("x-checked-by").iter().collect();
        assert_eq!(checked, ["javascript for acme", "rust for acme", "python for acme"]);
    }
    let refused = post(&gateway, "/all", Some(b"other"), "{}").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.header("x-checked-by"), None, "the first of them answered");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn every_language_logs_with_the_id_of_the_request() {
    let service = service().await;
    let gateway = start(&service);
    for language in LANGUAGES {
        let answer = post(&gateway, &format!("/{language}"), Some(b"other"), "{}").await;
        let said = log::said(answer.id());
        assert_eq!(said, ["refused: other is no tenant"], "{language}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn a_limit_that_leaves_no_room_for_a_second_hook_is_told_with_what_to_write() {
    let service = service().await;
    let (address, tight) = (service.address, TEXT.replace("\"64MiB\"", "\"16MiB\""));
    let warned = std::thread::spawn(move || {
        Gateway::bind(setup(&tight, address).config).unwrap().warnings().to_vec()
    });
    let warnings = warned.join().unwrap();
    let of_python = warnings.iter().find(|warning| warning.name == "python").unwrap();
    assert!(of_python.message.contains("over three quarters of its limit of 16.0 MiB"));
    let note = of_python.note.as_deref().unwrap();
    assert!(note.contains("`limits = { memory = \"32MiB\" }`"), "{note}");
    let (address, small) = (service.address, TEXT.replace("\"64MiB\"", "\"4MiB\""));
    let refused = std::thread::spawn(move || {
        Gateway::bind(setup(&small, address).config).map(drop).unwrap_err()
    });
    for error in refused.join().unwrap().iter() {
        let error = error.to_string();
        assert!(error.contains("4194304 bytes of memory (4.0 MiB, `limits.memory`)"), "{error}");
        assert!(error.contains("; if it needs them, write `limits = { memory = "), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node.js and Python"]
async fn the_schema_of_every_language_says_where_its_configuration_is_wrong() {
    let service = service().await;
    for language in ["rust", "javascript", "python"] {
        let wrong = TEXT.replace("most = 5", "most = 0");
        let address = service.address;
        let errors = std::thread::spawn(move || {
            Gateway::bind(setup(&wrong, address).config).map(drop).unwrap_err()
        });
        let errors = errors.join().unwrap();
        let said: Vec<_> = errors
            .iter()
            .filter_map(|error| match error {
                BindError::Plugin { name, place, message, .. } if name == language => {
                    Some((place.clone(), message.as_str()))
                }
                _ => None,
            })
            .collect();
        let expected = (SpanTarget::Config("/most".to_owned()), "`most` is out of range: 0");
        assert_eq!(said, [expected], "{language}: {errors:?}");
    }
}
