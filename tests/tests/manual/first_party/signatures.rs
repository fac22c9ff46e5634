//! Signed requests: over both protocols, with bodies of every framing, on several workers.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_tests::client::{request, request2};
use gateway_tests::{Http1, Http2, Setup, Upstream, log, raw::Raw};
use std::time::{SystemTime, UNIX_EPOCH};

use super::route_through;

const SECRET: &str = "a secret that is long enough";

fn signature(text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes())
}

fn digest_of(body: &str) -> String {
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

/// The fields of a signed request to `/orders`.
fn signed(method: &str, nonce: &str, body: Option<&str>) -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let target = "http://a.example/orders";
    let (covered, line) = match body {
        Some(body) => {
            let line = format!("\"content-digest\": {}\n", digest_of(body));
            ("\"@method\" \"@target-uri\" \"content-digest\"", line)
        }
        None => ("\"@method\" \"@target-uri\"", String::new()),
    };
    let input = format!("({covered});created={now};keyid=\"k\";nonce=\"{nonce}\"");
    let base = format!(
        "\"@method\": {method}\n\"@target-uri\": {target}\n{line}\"@signature-params\": {input}"
    );
    let mut fields = vec![
        ("signature-input", format!("sig1={input}")),
        ("signature", format!("sig1=:{}:", STANDARD.encode(signature(&base)))),
    ];
    fields.extend(body.map(|body| ("content-digest", digest_of(body))));
    fields
}

fn borrowed<'f>(fields: &'f [(&'static str, String)]) -> Vec<(&'f str, &'f str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn lines(fields: &[(&str, String)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

fn config() -> String {
    format!(
        r#"
[plugins.signed]
component = "http-signature"

[plugins.signed.config]
headers = {{ "x-consumer" = "consumer.id" }}

[plugins.signed.config.message]
keys = [{{ id = "k", algorithm = "hmac-sha256", secret = "{SECRET}", consumer = "acme" }}]
{}"#,
        route_through("\"signed\"")
    )
}

#[tokio::test]
async fn signed_requests_pass_once_on_all_workers_and_with_the_body_that_was_signed() {
    let orders = Upstream::echo().await;
    let gateway = Setup::toml(&config(), &[("ORDERS", &orders.address)]).workers(2).start();
    let body = "{\"hello\": \"world\"}";

    // Each connection may be another worker's.
    let fields = signed("GET", "n1", None);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let mut client = Http1::connect(gateway.address).await;
        statuses
            .push(client.send(request("GET", "/orders", &borrowed(&fields), "")).await.status());
    }
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401]);
    assert_eq!(orders.requests()[0].headers["x-consumer"], "acme");

    let fields = signed("POST", "n2", Some(body));
    let mut client = Http1::connect(gateway.address).await;
    let refused = client.send(request("POST", "/orders", &borrowed(&fields), "{}")).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(log::said(refused.id()), ["refused: the body is not that of the content digest"]);
    let mut client = Http1::connect(gateway.address).await;
    let passed = client.send(request("POST", "/orders", &borrowed(&fields), body)).await;
    assert_eq!((passed.status(), passed.text()), (200, body));

    // Over HTTP/2, where no field says how long a body is, and without the body that was signed.
    let fields = signed("POST", "n3", Some(body));
    let mut client = Http2::connect(gateway.address).await;
    let stripped = client.send(request2("POST", "/orders", &borrowed(&fields), "")).await;
    assert_eq!(stripped.status(), 401);
    let passed = client.send(request2("POST", "/orders", &borrowed(&fields), body)).await;
    assert_eq!((passed.status(), passed.text()), (200, body));

    // In chunks, of which there may be none.
    let fields = signed("POST", "n4", Some(body));
    let head = |fields| {
        format!(
            "POST /orders HTTP/1.1\r\nhost: a.example\r\n{}transfer-encoding: chunked\r\n\r\n",
            lines(fields)
        )
    };
    let none = Raw::ask(gateway.address, format!("{}0\r\n\r\n", head(&fields))).await;
    assert_eq!(none.status, 401);
    let chunked =
        format!("{}5\r\n{}\r\nd\r\n{}\r\n0\r\n\r\n", head(&fields), &body[..5], &body[5..]);
    assert_eq!(Raw::ask(gateway.address, chunked).await.status, 200);
    // A body that nobody signed, and none at all in the notation of one.
    let fields = signed("POST", "n5", None);
    let uncovered = format!("{}1\r\nx\r\n0\r\n\r\n", head(&fields));
    assert_eq!(Raw::ask(gateway.address, uncovered).await.status, 401);
    let empty = format!("{}0\r\n\r\n", head(&fields));
    assert_eq!(Raw::ask(gateway.address, empty).await.status, 200);

    let asked = Raw::ask(
        gateway.address,
        "POST /orders HTTP/1.1\r\nhost: a.example\r\ncontent-length: 1\r\n\r\nx",
    )
    .await;
    assert_eq!(asked.status, 401);
    let wanted =
        "sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created";
    assert_eq!(asked.header("accept-signature"), Some(wanted));
    assert_eq!(asked.problem()["detail"], "A valid signature is needed.");
    assert_eq!(orders.requests().len(), 5);
}

#[tokio::test]
async fn a_signed_request_is_refused_where_there_is_no_room_to_note_it() {
    let orders = Upstream::echo().await;
    let text = config().replace(
        "component = \"http-signature\"",
        "component = \"http-signature\"\nlimits = { key_value = \"64KiB\" }",
    );
    let gateway = Setup::toml(&text, &[("ORDERS", &orders.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    // A note has 160 bytes.
    for number in 0..500 {
        let fields = signed("GET", &format!("n{number}"), None);
        let answer = client.send(request("GET", "/orders", &borrowed(&fields), "")).await;
        if answer.status() == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(log::said(answer.id())[0].contains("limits.key_value"));
            assert_eq!(orders.requests().len(), number);
            assert!(number > 0);
            return;
        }
        assert_eq!(answer.status(), 200);
    }
    panic!("500 notes of 160 bytes had room in 64 KiB");
}

#[tokio::test]
async fn webhooks_pass_with_the_signature_of_their_body() {
    let orders = Upstream::echo().await;
    let text = format!(
        r#"
[secrets]
github = "${{env:SECRET}}"

[plugins.github]
component = "http-signature"
secrets = ["github"]

[plugins.github.config.hmac]
header = "x-hub-signature-256"
prefix = "sha256="
secrets = [{{ name = "github" }}]
consumer = "github"
{}"#,
        route_through("\"github\"")
    );
    let values = [("ORDERS", &orders.address as _), ("SECRET", &SECRET as _)];
    let gateway = Setup::toml(&text, &values).start();
    let body = "{\"action\":\"opened\"}";
    let hex: String = signature(body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let field = format!("sha256={hex}");
    let mut client = Http2::connect(gateway.address).await;
    for (sent, status) in [(body, 200), ("{}", 401), ("", 401)] {
        let sent = request2("POST", "/orders", &[("x-hub-signature-256", &field)], sent.to_owned());
        assert_eq!(client.send(sent).await.status(), status);
    }
    assert_eq!(orders.requests().len(), 1);
}
