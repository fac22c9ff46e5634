//! `transform` with bodies that have a coding, streams of events and rules by status; and
//! `json-expression`.

use std::io::Read as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder, ZlibEncoder};
use futures_util::stream;
use gateway_tests::client::{self, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Http2, Setup, Upstream, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;

use super::route_through;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    GzEncoder::new(body, Compression::default()).read_to_end(&mut coded).unwrap();
    coded
}

fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_transformation_decodes_bodies_and_encodes_them_again() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
limits = {{ deadline = "15s", memory = "64MiB" }}
[plugins.shape.config.request]
on_encoded_body = "decode"
body_limit = "4MiB"
json = [{{ op = "set", pointer = "/seen", value = 1 }}]
[plugins.shape.config.response]
on_encoded_body = "recode"
accept_encoding = "client"
body_limit = "4MiB"
json = [{{ op = "remove", pointer = "/seen" }}]
{}"#,
        route_through("\"shape\"")
    );
    // It answers with what it was sent, with gzip on top of deflate.
    let upstream = Upstream::http1(|request| async {
        assert_eq!(request.headers().get("content-encoding"), None);
        assert_eq!(request.headers()["accept-encoding"], "gzip, deflate");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(b",\"seen\":1}"));
        let mut coded = Vec::new();
        ZlibEncoder::new(&body[..], Compression::default()).read_to_end(&mut coded).unwrap();
        let builder = Response::builder().header("content-type", "application/json");
        let builder = builder.header("content-encoding", "deflate, gzip").header("etag", "\"1\"");
        builder.header("content-digest", "sha-256=:AA==:").body(full(gzip(&coded))).unwrap()
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let fields = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
    ];
    // A few kilobytes that become some megabytes: more than a hook may hand back for what it got.
    let body = format!("{{\"list\":[{}0]}}", "1.0,".repeat(750 << 10));
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/orders", &fields, gzip(body.as_bytes()))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-encoding"), Some("deflate, gzip"));
    assert_eq!((answer.header("etag"), answer.header("content-digest")), (Some("W/\"1\""), None));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let mut plain = Vec::new();
    let coded = gunzip(&answer.body);
    flate2::read::ZlibDecoder::new(&coded[..]).read_to_end(&mut plain).unwrap();
    assert!(plain == body.as_bytes(), "{} bytes came back", plain.len());

    let bomb = gzip(&vec![b' '; 64 << 20]);
    for (body, coding, status) in
        [(bomb, "gzip", 413), (b"{}".to_vec(), "gzip", 400), (b"{}".to_vec(), "compress", 415)]
    {
        let fields = [("content-type", "application/json"), ("content-encoding", coding)];
        let answer = client.send(request("POST", "/orders", &fields, body)).await;
        assert_eq!((answer.status(), &answer.problem()["status"]), (status, &json!(status)));
    }
    assert_eq!(upstream.requests().len(), 1);
    // Made by the encoders of Python's `brotli` and `zstandard`.
    let made: [(&str, &[u8]); 2] = [
        ("br", b"\x0b\x03\x80{\x22a\x22:1}\x03"),
        ("zstd", b"(\xb5/\xfd \x079\x00\x00{\x22a\x22:1}"),
    ];
    for (coding, coded) in made {
        let fields = [
            ("content-type", "application/json"),
            ("content-encoding", coding),
            ("accept-encoding", "gzip, deflate, br, zstd"),
        ];
        let answer = client.send(request("POST", "/orders", &fields, coded.to_vec())).await;
        assert_eq!(answer.status(), 200, "{coding}: {}", answer.text());
        let answer = client.send(request("POST", "/orders", &fields, b"{}".to_vec())).await;
        assert_eq!(answer.status(), 400, "{coding}");
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_transformation_changes_events_as_they_come() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
[[plugins.shape.config.response]]
when.status = ["2xx"]
events = [
    {{ types = ["ping"], drop = true }},
    {{ json = [{{ op = "remove", pointer = "/cost" }}] }},
]
[[plugins.shape.config.response]]
when.status = ["5xx"]
headers.set = {{ x-failed = "${{response.status}}" }}
{}"#,
        route_through("\"shape\"")
    );
    const SENT: [&str; 4] = [
        "event: ping\ndata: {}\n\ndata: {\"cost\":1,",
        "\"n\":1.0}\n\nid: 7\r\ndata: {\"co",
        "st\":2}\r\n\r",
        "\ndata: [DONE]\n\n",
    ];
    const SEEN: [&str; 4] =
        ["", "data: {\"n\":1.0}\n\n", "id: 7\r\ndata: {}\r\n\r\n", "data: [DONE]\n\n"];
    let (go_on, gate) = tokio::sync::watch::channel(0);
    let upstream = Upstream::http1(move |request| {
        let gate = gate.clone();
        let status = if request.uri().path() == "/orders/1" { 503 } else { 200 };
        let pieces = stream::unfold((0, gate), |(index, mut gate)| async move {
            let text = *SENT.get(index)?;
            gate.wait_for(|seen| *seen >= index).await.unwrap();
            Some((Ok(Frame::data(Bytes::from_static(text.as_bytes()))), (index + 1, gate)))
        });
        async move {
            let body = StreamBody::new(pieces).boxed_unsync();
            let builder = Response::builder().status(status);
            builder.header("content-type", "text/event-stream").body(body).unwrap()
        }
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http2::connect(gateway.address).await;
    let response = within(client.0.send_request(client::get2("/orders"))).await.unwrap();
    assert_eq!(response.headers().get("x-failed"), None);
    let mut body = response.into_body();
    let mut received = String::new();
    // Each event is here before the upstream sends what is behind it.
    for (index, part) in SEEN.iter().enumerate() {
        let before = received.len();
        while received.len() < before + part.len() {
            let frame = within(body.frame()).await.unwrap().unwrap();
            received.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        assert_eq!(&received[before..], *part);
        go_on.send_replace(index + 1);
    }
    while let Some(frame) = within(body.frame()).await {
        assert_eq!(frame.unwrap().into_data().unwrap(), "");
    }

    // Another set is for failures, and none changes their body.
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/orders/1", &[], "")).await;
    assert_eq!((answer.status(), answer.header("x-failed")), (503, Some("503")));
    assert_eq!(answer.text(), SENT.concat());
}

#[tokio::test]
async fn an_expression_changes_json_both_ways_and_ends_with_its_deadline() {
    let text = format!(
        r#"
[plugins.shape]
component = "json-expression"
[plugins.shape.config.request]
attributes = ["route.name"]
expression = "if .forever then [range(1e12)] else {{data: ., sum: (.big + 1), route: $attributes[\"route.name\"]}} end"
[plugins.shape.config.response]
expression = "if $status == 200 then .data else {{status: $status}} end"
on_failure = "pass"
{}"#,
        route_through("\"shape\"")
    );
    let upstream = Upstream::http1(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let seen: &[u8] = b",\"sum\":123456789012345678901234567891,\"route\":\"orders\"}";
        assert!(body.ends_with(seen), "{body:?}");
        Response::builder().header("content-type", "application/json").body(full(body)).unwrap()
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let fields = [("content-type", "application/json")];
    let mut client = Http1::connect(gateway.address).await;
    // What is no longer than this is the same in Wasm, where a machine word has 32 bits.
    let body = r#"{"z":1.0,"big":123456789012345678901234567890,"a":12345678901234567890.123,"e":1e400,"n":[4294967296,2147483648,-2147483649]}"#;
    let answer = client.send(request("POST", "/orders", &fields, body)).await;
    assert_eq!((answer.status(), answer.text()), (200, body));
    for (body, status) in [("{\"forever\":true}", 500), ("{\"big\":[]}", 400), ("{", 400)] {
        let answer = client.send(request("POST", "/orders", &fields, body)).await;
        assert_eq!((answer.status(), &answer.problem()["status"]), (status, &json!(status)));
    }
    let answer = client.send(request("POST", "/orders", &fields, body)).await;
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn a_transformation_reads_xml_on_both_ways() {
    let text = format!(
        r#"
[plugins.shape]
component = "transform"
[plugins.shape.config.request]
convert = {{ from = "xml", numbers = true }}
body_limit = "1MiB"
[plugins.shape.config.response]
convert = {{ from = "xml", lists = ["item"], prefixes = "drop" }}
json = [{{ op = "unwrap", key = "Envelope" }}]
{}"#,
        route_through("\"shape\"")
    );
    const SOAP: &str = "<?xml version=\"1.0\"?>\n<s:Envelope \
        xmlns:s=\"urn:s\"><s:Body><item>pen &amp; ink</item></s:Body></s:Envelope>";
    let upstream = Upstream::http1(|request| async {
        assert_eq!(request.headers()["content-type"], "application/json");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let builder = Response::builder().header("content-type", "application/soap+xml");
        builder.header("x-seen", body.as_ref()).body(full(SOAP)).unwrap()
    })
    .await;
    let gateway = Setup::toml(&text, &[("ORDERS", &upstream.address)]).start();
    let mut client = Http1::connect(gateway.address).await;
    // The second line does not lead around the rule.
    let fields = [("content-type", "text/xml"), ("content-type", "text/plain")];
    let xml = "<order id='7'><n>1.50</n></order>";
    let answer = client.send(request("POST", "/orders", &fields, xml)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-seen"), Some(r#"{"order":{"@id":7,"n":1.50}}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), r#"{"Body":{"item":["pen & ink"]}}"#);
    for (xml, status) in [
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>".to_owned(), 400),
        (format!("<a>{}</a>", "<b>".repeat(100)), 400),
        (format!("<a>{}</a>", " ".repeat(1 << 20)), 413),
        // More than the default memory has room for.
        (format!("<a>{}</a>", "<b/>".repeat(200_000)), 400),
    ] {
        let mut client = Http1::connect(gateway.address).await;
        let answer = client.send(request("POST", "/orders", &fields[..1], xml)).await;
        assert_eq!((answer.status(), &answer.problem()["status"]), (status, &json!(status)));
    }
    assert_eq!(upstream.requests().len(), 1);
}
