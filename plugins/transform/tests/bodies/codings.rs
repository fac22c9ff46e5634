//! Bodies with codings, as other programs make them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use gateway_plugin_sdk::serde_json::json;
use gateway_plugin_sdk::testing::{self, Outcome};

use super::{JSON, harness};

/// `{"secret":1,"n":12345678901234567890.123}` by Python's `gzip` and `zlib`, and by `gzip -9`.
const CODED: [(&str, &str); 8] = [
    (
        "gzip",
        "1f8b0800000000000203ab562a4e4d2e4a2d51b232d451ca039246c626a666e616960608961e90590b006cc92bcc29000000",
    ),
    // With the name of a file and a time.
    (
        "X-GZIP",
        "1f8b080800f1536502ff6f72646572732e6a736f6e00ab562a4e4d2e4a2d51b232d451ca039246c626a666e616960608961e90590b006cc92bcc29000000",
    ),
    // Two members.
    (
        "gzip",
        "1f8b0800000000000203ab562a4e4d2e4a2d51b2020079dfb9890a0000001f8b080000000000020333d451ca53b232343236313533b7b03440b0f480cc5a00753496211f000000",
    ),
    (
        "identity, gzip",
        "1f8b0800000000000203ab562a4e4d2e4a2d51b232d451ca039246c626a666e616960608961e90590b006cc92bcc29000000",
    ),
    ("deflate", "789cab562a4e4d2e4a2d51b232d451ca039246c626a666e616960608961e90590b00e7bd0a24"),
    // Bare, as some have always understood the name.
    ("deflate", "ab562a4e4d2e4a2d51b232d451ca039246c626a666e616960608961e90590b00"),
    (
        "deflate, gzip",
        "1f8b0800000000000203ab98b33a4ccbcf57cf4b377093d195c053cc93dc8ea92d4b7b26368d8d639adc84486e86e77bb95400f006133e26000000",
    ),
    (
        "identity",
        "7b22736563726574223a312c226e223a31323334353637383930313233343536373839302e3132337d",
    ),
];

const PLAIN: &str = r#"{"n":12345678901234567890.123}"#;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn decoded(coding: &str, mut body: Vec<u8>) -> String {
    for name in coding.split(", ").collect::<Vec<_>>().into_iter().rev() {
        let mut out = Vec::new();
        match name {
            "deflate" => ZlibDecoder::new(&body[..]).read_to_end(&mut out).unwrap(),
            "identity" => body.as_slice().read_to_end(&mut out).unwrap(),
            _ => MultiGzDecoder::new(&body[..]).read_to_end(&mut out).unwrap(),
        };
        body = out;
    }
    String::from_utf8(body).unwrap()
}

fn request(coding: &str, body: Vec<u8>) -> testing::RequestBuilder {
    testing::request().header("content-type", JSON).header("content-encoding", coding).body(body)
}

#[test]
fn a_request_is_decoded_and_sent_without_its_coding_or_with_it() {
    let edits = json!([{ "op": "remove", "pointer": "/secret" }]);
    let rules =
        |policy| harness(json!({ "request": { "json": edits, "on_encoded_body": policy } }));
    let (decode, recode) = (rules("decode"), rules("recode"));
    for (coding, hex) in CODED {
        let exchange = decode.request(request(coding, bytes(hex)));
        let sent = exchange.request();
        assert_eq!(sent.text(), PLAIN, "{coding}");
        let left = sent.header("content-encoding");
        assert!(left.is_none() || left == Some("identity"), "{coding}");

        let exchange = recode.request(request(coding, bytes(hex)));
        let sent = exchange.request();
        assert_eq!(sent.header("content-encoding"), Some(coding));
        assert_eq!(decoded(coding, sent.body().to_vec()), PLAIN, "{coding}");
    }
}

#[test]
fn a_body_that_no_edit_changes_keeps_its_bytes_if_it_keeps_its_coding() {
    let edits = json!([{ "op": "remove", "pointer": "/nothing" }]);
    let rules =
        |policy| harness(json!({ "request": { "json": edits, "on_encoded_body": policy } }));
    let (coding, hex) = CODED[1];
    let (recode, decode) = (rules("recode"), rules("decode"));
    let exchange = recode.request(request(coding, bytes(hex)));
    assert_eq!(exchange.request().body(), bytes(hex));
    let exchange = decode.request(request(coding, bytes(hex)));
    assert!(exchange.request().text().starts_with("{\"secret\":1,"));
}

#[test]
fn a_response_is_decoded_and_its_text_is_replaced_whole() {
    let harness = harness(json!({ "response": {
        "text": [{ "find": "secret", "replace": "s" }],
        "on_encoded_body": "decode",
    } }));
    for (coding, hex) in CODED {
        let mut exchange = harness.request(testing::request());
        assert_eq!(exchange.request().header("accept-encoding"), Some("identity"));
        let response = testing::response()
            .header("content-type", JSON)
            .header("content-encoding", coding)
            .header("vary", "accept-encoding")
            .header("etag", "\"1\"")
            .chunks(bytes(hex).chunks(7));
        let answer = exchange.response(response);
        assert_eq!(answer.text(), r#"{"s":1,"n":12345678901234567890.123}"#, "{coding}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
        assert!(answer.header("content-encoding").is_none_or(|left| left == "identity"));
    }
}

#[test]
fn what_is_not_known_broken_or_too_large_is_refused() {
    let side = json!({
        "json": [{ "op": "remove", "pointer": "/a" }],
        "on_encoded_body": "decode",
        "body_limit": "1KiB",
    });
    let harness = harness(json!({ "request": side, "response": side }));
    let gzip = |length: usize| {
        let body = format!("\"{}\"", "x".repeat(length - 2));
        let mut coded = Vec::new();
        let level = flate2::Compression::default();
        flate2::read::GzEncoder::new(body.as_bytes(), level).read_to_end(&mut coded).unwrap();
        coded
    };
    for (coding, body, status, part) in [
        ("compress", b"{}".to_vec(), 415, "content-encoding"),
        ("gzip, dcz", b"{}".to_vec(), 415, "content-encoding"),
        ("br", b"{}".to_vec(), 400, "content-encoding says"),
        ("zstd", b"{}".to_vec(), 400, "content-encoding says"),
        ("gzip", b"{}".to_vec(), 400, "content-encoding says"),
        ("gzip", gzip(1000)[..20].to_vec(), 400, "ends before its end"),
        ("gzip", gzip(1025), 413, "larger than 1024 bytes"),
        ("gzip", gzip(50_000_000), 413, "Content Too Large"),
    ] {
        let size = body.len();
        let exchange = harness.request(request(coding, body.clone()));
        if size > 1024 {
            assert_eq!(exchange.outcome(), &Outcome::RequestTooLarge);
            continue;
        }
        let answer = exchange.answer().unwrap();
        assert_eq!(answer.status(), status, "{coding} {part}");
        assert!(answer.text().contains(part), "{coding}: {}", answer.text());
        if status == 415 {
            assert_eq!(answer.header("accept-encoding"), Some("gzip, deflate, br, zstd"));
        }
        let mut exchange = harness.request(testing::request());
        let response = testing::response()
            .header("content-type", JSON)
            .header("content-encoding", coding)
            .body(body);
        assert_eq!(exchange.response(response).status(), 502, "{coding} {part}");
    }
    let exchange = harness.request(request("gzip", gzip(1024)));
    assert_eq!(exchange.request().text().len(), 1024);
}

#[test]
fn what_cannot_be_put_on_again_goes_on_without_a_coding() {
    let rules = harness(json!({ "request": {
        "json": [{ "op": "set", "pointer": "/seen", "value": 1 }],
        "on_encoded_body": "recode",
    } }));
    // Made by the encoders of Python's `brotli` and `zstandard`.
    for (coding, coded) in [
        ("br", &b"\x0b\x03\x80{\x22a\x22:1}\x03"[..]),
        ("zstd", b"(\xb5/\xfd \x079\x00\x00{\x22a\x22:1}"),
    ] {
        let exchange = rules.request(request(coding, coded.to_vec()));
        let sent = exchange.request();
        assert_eq!(sent.header("content-encoding"), None, "{coding}");
        assert_eq!(sent.text(), r#"{"a":1,"seen":1}"#, "{coding}");
    }
}

#[test]
fn the_upstream_is_asked_for_what_the_client_takes_and_can_be_decoded() {
    let harness = harness(json!({ "response": {
        "json": [{ "op": "remove", "pointer": "/secret" }],
        "on_encoded_body": "recode",
        "accept_encoding": "client",
    } }));
    let request = testing::request()
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("range", "bytes=0-1");
    let mut exchange = harness.request(request);
    assert_eq!(exchange.request().header("accept-encoding"), Some("gzip, deflate"));
    assert_eq!(exchange.request().header("range"), None);
    let (coding, hex) = CODED[0];
    let response = |content_type: &str, coding: &str| {
        testing::response()
            .header("content-type", content_type)
            .header("content-encoding", coding)
            .body(bytes(hex))
    };
    let answer = exchange.response(response(JSON, coding));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(decoded("gzip", answer.body().to_vec()), PLAIN);
    // What no rule is for passes as it is.
    let mut exchange = harness.request(testing::request());
    assert_eq!(exchange.request().header("accept-encoding"), Some("identity"));
    let answer = exchange.response(response("image/svg", "br"));
    assert_eq!((answer.header("content-encoding"), answer.body()), (Some("br"), &bytes(hex)[..]));
}

#[test]
fn rules_that_do_not_decode_ask_for_no_more_than_before() {
    let text = json!([{ "find": "a", "replace": "b" }]);
    let rules = |policy: &str| json!({ "text": text, "on_encoded_body": policy });
    for policy in ["reject", "pass"] {
        let plain = harness(json!({ "request": rules(policy), "response": rules(policy) }));
        let interest = format!("{:?}", plain.interest());
        assert!(!interest.contains("Buffered"), "{interest}");
    }
    let decode = harness(json!({ "request": rules("decode"), "response": rules("decode") }));
    let image = || testing::response().header("content-type", "image/png").body("a");
    let mut exchange =
        decode.request(testing::request().header("content-type", "image/png").body("a"));
    assert_eq!(exchange.request().text(), "a");
    assert_eq!(exchange.response(image()).text(), "a");
    // Without a coding, text streams as ever.
    let mut exchange = decode.request(testing::request());
    let response = testing::response().header("content-type", "text/plain").chunks(["a", "ca"]);
    assert_eq!(exchange.response(response).text(), "bcb");
}
