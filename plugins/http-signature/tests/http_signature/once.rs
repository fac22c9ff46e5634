//! Signed requests that come twice.

use std::time::Duration;

use gateway_plugin_sdk::testing::Harness;
use http_signature::HttpSignature;
use serde_json::json;

use crate::message::{TARGET, asked, config, signed_by};
use crate::{NOW, assert_admitted, assert_refused, plugin};

const SECRET: &str = "a secret of more than 32 bytes ......";
const OTHER: &str = "another secret of some length";

fn send(
    plugin: &Harness<HttpSignature>,
    secret: &str,
    parameters: &str,
) -> Result<(), (u16, String)> {
    let exchange = plugin.request(signed_by(secret, asked(), "sig1", &TARGET, parameters));
    let answer = exchange.answer();
    answer.map_or(Ok(()), |answer| Err((answer.status(), format!("{:?}", exchange.log()))))
}

fn is_replay(result: &Result<(), (u16, String)>) -> bool {
    matches!(result, Err((401, log)) if log.contains("was used before"))
}

#[test]
fn a_request_is_admitted_once_by_its_nonce_or_by_what_is_signed() {
    let plugin = plugin(config(json!({})));
    let first = format!(";created={NOW};keyid=\"k1\"");
    assert_eq!(send(&plugin, SECRET, &first), Ok(()));
    assert!(is_replay(&send(&plugin, SECRET, &first)));
    // Another time is another request.
    assert_eq!(send(&plugin, SECRET, &format!(";created={};keyid=\"k1\"", NOW - 1)), Ok(()));
    let with_nonce = |time: u64, key: &str| format!(";created={time};keyid=\"{key}\";nonce=\"n1\"");
    assert_eq!(send(&plugin, SECRET, &with_nonce(NOW, "k1")), Ok(()));
    assert!(is_replay(&send(&plugin, SECRET, &with_nonce(NOW, "k1"))));
    assert!(is_replay(&send(&plugin, SECRET, &with_nonce(NOW - 1, "k1"))));
    // Nonces belong to a key.
    assert_eq!(send(&plugin, OTHER, &with_nonce(NOW, "k2")), Ok(()));
}

#[test]
fn a_request_is_remembered_for_as_long_as_it_would_be_admitted_and_no_longer() {
    let plugin = plugin(config(json!({})));
    let parameters = format!(";created={};keyid=\"k1\"", NOW + 30);
    assert_eq!(send(&plugin, SECRET, &parameters), Ok(()));
    for later in [1, 329] {
        plugin.advance(Duration::from_secs(later));
        plugin.set_time(Duration::from_secs(NOW + later));
        assert!(is_replay(&send(&plugin, SECRET, &parameters)), "{later}");
    }
    plugin.set_time(Duration::from_secs(NOW + 331));
    let (_, log) = send(&plugin, SECRET, &parameters).unwrap_err();
    assert!(log.contains("too old"), "{log}");
    // The same clock for both: what is gone from the store could not be admitted any more.
    plugin.set_time(Duration::from_secs(NOW + 30));
    plugin.advance(Duration::from_secs(10));
    assert_eq!(send(&plugin, SECRET, &parameters), Ok(()));
}

#[test]
fn a_request_that_was_refused_was_not_used() {
    let plugin = plugin(config(json!({})));
    let with_digest = |body: &str| {
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        let mut lines = TARGET.to_vec();
        lines.push(("\"content-digest\"", digest));
        let parameters = format!(";created={NOW};keyid=\"k1\";nonce=\"n\"");
        let asked = asked().header("content-digest", digest);
        signed_by(SECRET, asked, "sig1", &lines, &parameters).body(body)
    };
    assert_refused(
        &plugin.request(with_digest("{\"hello\": \"World\"}")),
        "not that of the content",
    );
    assert_admitted(&plugin.request(with_digest("{\"hello\": \"world\"}")), "ada");
    assert_refused(&plugin.request(with_digest("{\"hello\": \"world\"}")), "was used before");
}

#[test]
fn nobody_is_admitted_where_there_is_no_room_to_note_it() {
    let plugin = plugin(config(json!({})));
    // 64 MiB, less the 128 bytes of each key and its name.
    for number in 0..63 {
        plugin.store(&format!("{number}"), &vec![0; 1 << 20]);
    }
    plugin.store("63", &vec![0; (1 << 20) - 64 * 130]);
    let filled: usize = (0..)
        .take_while(|number| {
            let parameters = format!(";created={};keyid=\"k1\"", NOW - number % 300);
            let nonce = format!("{parameters};nonce=\"{number}\"");
            send(&plugin, SECRET, &nonce).is_ok()
        })
        .count();
    assert!(filled < 1_000, "{filled}");
    let (status, log) = send(&plugin, SECRET, &format!(";created={NOW};keyid=\"k1\"")).unwrap_err();
    assert_eq!(status, 503, "{log}");
    assert!(log.contains("there is no room"), "{log}");
}

#[test]
fn a_request_is_admitted_again_where_the_configuration_says_so() {
    let mut config = config(json!({}));
    config["once"] = json!(false);
    let plugin = plugin(config);
    let parameters = format!(";created={NOW};keyid=\"k1\"");
    for _ in 0..3 {
        assert_eq!(send(&plugin, SECRET, &parameters), Ok(()));
    }
}
