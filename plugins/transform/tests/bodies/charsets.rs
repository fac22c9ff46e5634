//! Bodies in other charsets than UTF-8.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_plugin_sdk::serde_json::{Value, json};
use gateway_plugin_sdk::testing;

use super::harness;

/// A body of a request on its way to the upstream, and its `content-type`.
fn passed(config: &Value, content_type: &str, body: &[u8]) -> (Vec<u8>, String) {
    let harness = harness(json!({ "request": config }));
    let request = testing::request().method("POST").header("content-type", content_type).body(body);
    let exchange = harness.request(request);
    let passed = exchange.request();
    let content_type = passed.header("content-type").unwrap_or_default().to_owned();
    (passed.body().to_vec(), content_type)
}

fn status(config: &Value, content_type: &str, body: &[u8]) -> Option<u16> {
    let harness = harness(json!({ "request": config }));
    let request = testing::request().method("POST").header("content-type", content_type).body(body);
    let exchange = harness.request(request);
    exchange.answer().map(|answer| answer.status())
}

#[test]
fn text_is_found_by_its_characters_and_goes_on_in_its_charset() {
    let rules = json!({
        "text_charset": "decode",
        "text": [{ "find": "café", "replace": "thé" }, { "find": "secret", "replace": "-" }],
    });
    for (content_type, body, expected) in [
        ("text/plain; charset=iso-8859-1", &b"un caf\xe9"[..], &b"un th\xe9"[..]),
        ("text/plain; charset=windows-1252", b"\x80 caf\xe9", b"\x80 th\xe9"),
        ("text/html; charset=\"utf-16le\"", b"c\0a\0f\0\xe9\0", b"t\0h\0\xe9\0"),
        ("text/html; charset=utf-16", b"\xfe\xff\0s\0e\0c\0r\0e\0t", b"\xfe\xff\0-"),
        ("text/plain; charset=utf-8", b"caf\xc3\xa9", b"th\xc3\xa9"),
        ("text/plain", b"caf\xc3\xa9", b"th\xc3\xa9"),
        // Nothing to change.
        ("text/plain; charset=shift_jis", b"\x83J\x83t\x83F", b"\x83J\x83t\x83F"),
    ] {
        assert_eq!(
            passed(&rules, content_type, body),
            (expected.to_vec(), content_type.to_owned())
        );
    }
}

#[test]
fn what_its_charset_cannot_say_makes_a_text_utf_8() {
    let rules = json!({ "text_charset": "decode", "text": [{ "find": "é", "replace": "カ" }] });
    let (body, content_type) = passed(&rules, "text/plain; charset=latin1; x=y", b"\xe9t\xe9");
    assert_eq!(body, "カtカ".as_bytes());
    assert_eq!(content_type, "text/plain; x=y; charset=utf-8");
}

#[test]
fn bytes_are_compared_by_default() {
    let rules = json!({ "text": [{ "find": "café", "replace": "thé" }] });
    let content_type = "text/plain; charset=iso-8859-1";
    assert_eq!(passed(&rules, content_type, b"caf\xe9").0, b"caf\xe9");
    assert_eq!(passed(&rules, "text/plain; charset=klingon", b"caf\xc3\xa9").0, b"th\xc3\xa9");
}

#[test]
fn a_charset_that_is_unknown_or_not_held_to_is_refused_or_passed() {
    let rules = |policy: &str| {
        let text = json!([{ "find": "a", "replace": "b" }]);
        json!({ "text_charset": "decode", "text": text, "on_invalid_json": policy })
    };
    for (content_type, body, refused) in [
        ("text/plain; charset=klingon", &b"a"[..], 415),
        ("text/plain; charset=utf-8, text/plain; charset=utf-16", b"a", 415),
        ("text/plain; charset=utf-16", b"a\0\0\xd8", 400),
    ] {
        assert_eq!(status(&rules("reject"), content_type, body), Some(refused), "{content_type}");
        assert_eq!(passed(&rules("pass"), content_type, body).0, body, "{content_type}");
    }
}

#[test]
fn forms_and_xml_are_read_in_their_charset() {
    let form = json!({ "convert": { "from": "form" } });
    let xml = json!({ "convert": { "from": "xml" } });
    for (rules, content_type, body, expected) in [
        (
            &form,
            "application/x-www-form-urlencoded; charset=windows-1252",
            &b"n=caf%E9"[..],
            r#"{"n":"café"}"#,
        ),
        (&form, "application/x-www-form-urlencoded", b"n=caf%C3%A9", r#"{"n":"café"}"#),
        (&xml, "text/xml; charset=iso-8859-1", b"<a>\xe9</a>", r#"{"a":"é"}"#),
        (
            &xml,
            "application/xml",
            b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>",
            r#"{"a":"é"}"#,
        ),
        (&xml, "application/xml", b"\xff\xfe<\0a\0>\0\xac\x20<\0/\0a\0>\0", r#"{"a":"€"}"#),
    ] {
        let (body, content_type) = passed(rules, content_type, body);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(content_type, "application/json");
    }
    let unknown = "application/x-www-form-urlencoded; charset=klingon";
    assert_eq!(status(&form, unknown, b"a=b"), Some(415));
    assert_eq!(status(&form, "application/x-www-form-urlencoded", b"n=caf%E9"), Some(400));
}

#[test]
fn json_is_utf_8_whatever_it_says() {
    let rules = json!({ "json": [{ "op": "remove", "pointer": "/a" }] });
    let (body, content_type) =
        passed(&rules, "application/json; charset=iso-8859-1", "{\"a\":1,\"b\":\"é\"}".as_bytes());
    assert_eq!(String::from_utf8(body).unwrap(), "{\"b\":\"é\"}");
    assert_eq!(content_type, "application/json; charset=iso-8859-1");
}

#[test]
fn responses_are_decoded_too() {
    let harness = harness(json!({ "response": {
        "text_charset": "decode",
        "text": [{ "find": "é", "replace": "€" }],
    } }));
    let mut exchange = harness.request(testing::request());
    let response = testing::response()
        .header("content-type", "text/html; charset=iso-8859-15")
        .chunks([&b"caf"[..], b"\xe9"]);
    assert_eq!(exchange.response(response).body(), b"caf\xa4");
}
