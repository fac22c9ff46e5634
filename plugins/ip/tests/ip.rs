//! What clients see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_plugin_sdk::testing::{Harness, request};
use ip::Ip;
use serde_json::{Value, json};

fn status(harness: &Harness<Ip>, address: &str) -> Option<u16> {
    let exchange = harness.request(request().attribute("client.address", address));
    exchange.answer().map(|answer| answer.status())
}

#[test]
fn lets_in_what_is_allowed_and_nothing_else() {
    let harness =
        Harness::<Ip>::new(json!({ "allow": ["192.0.2.0/24", "2001:db8::/32"] })).unwrap();
    assert_eq!(status(&harness, "192.0.2.7"), None);
    assert_eq!(status(&harness, "2001:db8::7"), None);
    assert_eq!(status(&harness, "198.51.100.1"), Some(403));
    assert_eq!(status(&harness, "::1"), Some(403));
    assert_eq!(status(&harness, "no address"), Some(403));
}

#[test]
fn refuses_what_is_denied_and_nothing_else() {
    let config = json!({ "deny": ["192.0.2.0/24"], "status": 404 });
    let harness = Harness::<Ip>::new(config).unwrap();
    assert_eq!(status(&harness, "192.0.2.7"), Some(404));
    assert_eq!(status(&harness, "198.51.100.1"), None);
    // It is not known where it comes from.
    assert_eq!(status(&harness, ""), Some(404));
}

#[test]
fn what_decided_is_an_attribute_and_in_the_log_and_not_in_the_answer() {
    let config = json!({ "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"] });
    let harness = Harness::<Ip>::new(config).unwrap();
    let refused = harness.request(request().attribute("client.address", "10.1.2.3"));
    assert_eq!(refused.attribute("ip.matched").as_deref(), Some("10.1.0.0/16"));
    let answer = refused.answer().unwrap();
    assert!(!answer.text().contains("10.1"), "{}", answer.text());
    assert!(refused.log().iter().any(|line| line.message == "refuses 10.1.2.3: 10.1.0.0/16"));
    let allowed = harness.request(request().attribute("client.address", "10.2.2.3"));
    assert_eq!(allowed.attribute("ip.matched").as_deref(), Some("10.0.0.0/8"));
    assert!(allowed.reuse().is_some());
}

#[test]
fn a_dry_run_logs_and_refuses_nothing() {
    let harness = Harness::<Ip>::new(json!({ "allow": ["10.0.0.1"], "dry_run": true })).unwrap();
    let exchange = harness.request(request().attribute("client.address", "192.0.2.1"));
    assert!(exchange.answer().is_none());
    let line = "would refuse 192.0.2.1: no network of `allow`";
    assert!(exchange.log().iter().any(|it| it.message == line), "{:?}", exchange.log());
}

#[test]
fn points_at_each_fault() {
    let cases = [
        (json!({}), vec![""]),
        (json!({ "allow": ["192.0.2.7/24"] }), vec!["/allow/0"]),
        (
            json!({ "allow": ["a", "::1"], "deny": ["1.2.3.4/33", "::1"] }),
            vec!["/allow/0", "/deny/0", "/deny/1"],
        ),
        (json!({ "allow": ["::1"], "status": 500 }), vec!["/status"]),
        (json!({ "allows": ["::1"] }), vec!["/allows"]),
        (
            json!({ "allow_documents": ["c"], "deny_documents": ["b", "c"] }),
            vec!["/deny_documents/0", "/allow_documents/0"],
        ),
        (json!({ "deny": ["::1"], "on_unavailable": "never" }), vec!["/on_unavailable"]),
        (json!({ "deny": ["::1"], "on_unavailable": "open" }), vec!["/on_unavailable"]),
    ];
    for (config, places) in cases {
        assert_eq!(refused_at(config.clone()), places, "{config}");
    }
    let refused = Harness::<Ip>::new(json!({ "allow": ["192.0.2.7/24"] }));
    let error = refused.err().unwrap();
    let expected = "192.0.2.7/24 has bits beyond its prefix; the network is 192.0.2.0/24";
    assert_eq!(error.issues()[0].message, expected);
}

fn refused_at(config: Value) -> Vec<String> {
    match Harness::<Ip>::prepare().document("c", "").document("drop", "").configure(config) {
        Ok(_) => Vec::new(),
        Err(error) => error.issues().iter().map(|issue| issue.pointer.clone()).collect(),
    }
}

fn status_by(harness: &Harness<Ip>, address: &str) -> (Option<u16>, Option<String>) {
    let exchange = harness.request(request().attribute("client.address", address));
    (exchange.answer().map(|answer| answer.status()), exchange.attribute("ip.matched"))
}

#[test]
fn lists_in_documents_decide_like_those_of_the_configuration() {
    let drop = "\u{feff}; a list\r\n192.0.2.0/24 ; SBL1\r\n\r\n2001:db8:bad::/48\n# more\n198.51.100.7 # one\n";
    let config = json!({
        "deny": ["203.0.113.0/24"], "allow": ["192.0.2.77"], "allow_documents": ["offices"],
        "deny_documents": ["drop"],
    });
    let prepared = Harness::<Ip>::prepare().document("drop", drop);
    let harness = prepared.document("offices", "0.0.0.0/0\n192.0.2.0/24\n::/0").configure(config);
    let harness = harness.unwrap();
    for (address, status, network) in [
        ("192.0.2.1", Some(403), "192.0.2.0/24"),
        ("192.0.2.77", None, "192.0.2.77/32"),
        ("203.0.113.1", Some(403), "203.0.113.0/24"),
        ("198.51.100.7", Some(403), "198.51.100.7/32"),
        ("198.51.100.8", None, "0.0.0.0/0"),
        ("2001:db8:bad::1", Some(403), "2001:db8:bad::/48"),
        ("2001:db8::1", None, "::/0"),
    ] {
        assert_eq!(status_by(&harness, address), (status, Some(network.to_owned())), "{address}");
    }
    harness.set_document("drop", "198.51.100.0/24");
    harness.set_document("offices", "");
    assert_eq!(status(&harness, "198.51.100.8"), Some(403));
    assert_eq!(status(&harness, "192.0.2.77"), None);
    // `allow` has some, whatever the document says.
    assert_eq!(status(&harness, "192.0.2.78"), Some(403));
}

#[test]
fn a_wrong_list_changes_nothing_and_its_lines_are_told() {
    let config = json!({ "deny_documents": ["drop"] });
    let prepared = Harness::<Ip>::prepare().document("drop", "192.0.2.0/24");
    let harness = prepared.configure(config).unwrap();
    let wrong = "198.51.100.0/24 ; fine\n  10.0.0.1/8 ; SBL2\n<html>\n";
    harness.set_document("drop", wrong);
    assert_eq!(status(&harness, "192.0.2.1"), Some(403));
    assert_eq!(status(&harness, "198.51.100.1"), None);
    let faults = harness.document_faults("drop");
    let told: Vec<_> = faults.iter().map(|it| &wrong[it.place.clone().unwrap()]).collect();
    assert_eq!(told, ["10.0.0.1/8", "<html>"]);
    assert!(faults[0].message.contains("the network is 10.0.0.0/8"), "{faults:?}");
    harness.set_document("drop", [0xff; 4]);
    assert_eq!(status(&harness, "192.0.2.1"), Some(403));
    harness.set_document("drop", "<p>\n".repeat(1000));
    assert_eq!(status(&harness, "192.0.2.1"), Some(403));
    let faults = harness.document_faults("drop");
    assert_eq!(faults.len(), 21);
    assert_eq!(faults[20].message, "and 980 more, from here on");
    assert_eq!(faults[20].place, Some(20 * 4..20 * 4 + 3));
    // A line of megabytes is no reason to hold it twice.
    harness.set_document("drop", "x".repeat(4 << 20));
    assert!(harness.document_faults("drop")[0].message.len() < 200);
}

#[test]
fn while_a_list_was_never_had_nobody_knows_or_it_is_empty() {
    for (choice, expected) in [("closed", Some(503)), ("open", None)] {
        let config = json!({ "deny_documents": ["drop"], "on_unavailable": choice });
        let prepared = Harness::<Ip>::prepare().document_from("drop", || None);
        let harness = prepared.configure(config).unwrap();
        let exchange = harness.request(request().attribute("client.address", "192.0.2.1"));
        assert_eq!(exchange.answer().map(|answer| answer.status()), expected);
        harness.set_document("drop", "192.0.2.0/24");
        assert_eq!(status(&harness, "192.0.2.1"), Some(403));
        assert_eq!(status(&harness, "198.51.100.1"), None);
    }
}

/// The configurations in the plugin's manual are accepted.
#[test]
fn the_manual_is_right() {
    let manual = include_str!("../README.md");
    let mut count = 0;
    for part in manual.split("```toml\n").skip(1) {
        let text = part.split("```").next().unwrap();
        let file: toml::Table = toml::from_str(text).unwrap();
        for plugin in file["plugins"].as_table().unwrap().values() {
            assert_eq!(refused_at(serde_json::to_value(&plugin["config"]).unwrap()), [""; 0]);
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}
