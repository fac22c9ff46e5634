//! API keys in a document.

use std::time::Duration;

use auth::Auth;
use gateway_plugin_sdk::digest;
use gateway_plugin_sdk::testing::{Exchange, Harness, request};
use serde_json::{Value, json};

use crate::{assert_admitted, assert_refused, refusal};

const IN_FIELD: &str = "ApiKey realm=\"api\", header=\"x-api-key\"";

fn digest_of(key: &str) -> String {
    let digits = digest::sha256(key.as_bytes()).map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.concat())
}

fn line(id: &str, secret: &str, more: &Value) -> String {
    let mut line = json!({ "id": id, "digest": digest_of(secret) });
    let members = more.as_object().unwrap().clone();
    line.as_object_mut().unwrap().extend(members);
    format!("{line}\n")
}

fn config() -> Value {
    json!({
        "api_key": { "header": "x-api-key", "document": "partners" },
        "claims_to_attributes": ["tenant"],
    })
}

fn with(content: impl Into<Vec<u8>>) -> Harness<Auth> {
    Harness::prepare().document("partners", content).configure(config()).unwrap()
}

fn ask<'h>(plugin: &'h Harness<Auth>, secret: &str) -> Exchange<'h, Auth> {
    plugin.request(request().header("x-api-key", secret))
}

#[test]
fn a_key_admits_while_its_line_is_there() {
    let more = json!({
        "consumer": "ada", "group": "gold", "scopes": ["read"], "claims": { "tenant": 7 },
        "note": "of the fair",
    });
    let one = line("one", "first", &more);
    // As an editor of Windows writes it, with an empty line.
    let plugin = with(format!("\u{feff}{}\r\n\r\n", one.trim_end()));
    let exchange = ask(&plugin, "first");
    assert_admitted(&exchange, "ada");
    for (name, value) in [
        ("consumer.key-id", "one"),
        ("consumer.method", "api-key"),
        ("consumer.group", "gold"),
        ("consumer.scopes", "read"),
        ("consumer.claim.tenant", "7"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert!(
        exchange.reuse().is_some(),
        "the gateway may make it again, until the document changes"
    );
    assert_refused(&ask(&plugin, "second"), 401, &[IN_FIELD]);
    plugin.set_document("partners", one + &line("two", "second", &json!({})));
    let exchange = ask(&plugin, "second");
    assert_admitted(&exchange, "two");
    assert_eq!(exchange.attribute("consumer.group").as_deref(), Some(""), "it has none");
    plugin.set_document("partners", line("two", "second", &json!({})));
    assert_refused(&ask(&plugin, "first"), 401, &[IN_FIELD]);
    plugin.set_document("partners", "");
    assert_refused(&ask(&plugin, "second"), 401, &[IN_FIELD]);
}

#[test]
fn a_key_ends() {
    let plugin = with(line("one", "first", &json!({ "expires": "1971-01-01" })));
    let refused = ask(&plugin, "first");
    assert_refused(&refused, 401, &[IN_FIELD]);
    assert!(refused.log().iter().any(|it| it.message.contains("has expired")));
    let plugin = Harness::<Auth>::prepare().document("partners", "").configure(config()).unwrap();
    let now = plugin.serve(gateway_plugin_sdk::clock::now).as_secs();
    assert!(now < 4_000_000_000, "{now}");
    plugin.set_document("partners", line("one", "first", &json!({ "expires": "2096-10-02" })));
    assert_admitted(&ask(&plugin, "first"), "one");
    plugin.advance(Duration::from_secs(4_000_000_000 - now));
    assert_refused(&ask(&plugin, "first"), 401, &[IN_FIELD]);
}

#[test]
fn a_wrong_document_changes_nothing_and_all_of_it_is_told() {
    let right = line("one", "first", &json!({}));
    let plugin = with(right.clone());
    let cases = [
        ("[]".to_owned(), vec!["no JSON object with one key"]),
        (format!("{right}{right}"), vec!["`id` is that of the key in line 1", "`digest` is that"]),
        (
            line(
                "",
                "first",
                &json!({ "consumer": "a\nb", "expires": "soon", "group": "g".repeat(65) }),
            ),
            vec![
                "`consumer` is no text of 1 to 256",
                "`expires` is neither",
                "`group` is no text of 1 to 64",
                "`id` is no identifier",
            ],
        ),
        (right.replace("sha256", "md5"), vec!["`digest` is not `sha256:`"]),
        (
            line("one", "first", &json!({ "scope": [] })),
            vec!["there is no member `scope`; did you mean `scopes`?"],
        ),
        (
            format!("{right}{{\"id\": \"b\"}}\nnothing\n"),
            vec!["there is no `digest`", "line 3: column 2: it stops being JSON"],
        ),
        // As where keys are imported: of two members of a name nobody knows which is meant.
        (right.replace("{", r#"{"id": "a", "#), vec!["the member `id` is named twice"]),
        (line("one", "first", &json!({ "note": ["a"] })), vec!["`note` is no text"]),
        // Together, whatever else is wrong with a line.
        (
            right.clone() + &line("one", "first", &json!({ "expires": true })) + "{}",
            vec![
                "line 2: `id` is that of the key in line 1",
                "line 2: `digest` is that of the key in line 1",
                "line 2: `expires` is neither",
                "line 3: there is no `id`",
                "line 3: there is no `digest`",
            ],
        ),
        (
            (0..=1000).map(|it| line(&it.to_string(), &it.to_string(), &json!({}))).collect(),
            vec!["more than 1000 keys"],
        ),
    ];
    for (content, words) in cases {
        plugin.set_document("partners", content);
        assert_admitted(&ask(&plugin, "first"), "one");
        let faults = plugin.document_faults("partners");
        for word in &words {
            let found = faults.iter().find(|fault| fault.message.contains(word));
            let found = found.unwrap_or_else(|| panic!("{word}: {faults:?}"));
            // The gateway would show the line, and a key may stand there.
            assert!(found.message.starts_with("line ") && found.place.is_none(), "{found:?}");
        }
        assert_eq!(faults.len(), words.len(), "{faults:?}");
    }
    let faults = plugin.document_faults("partners");
    assert!(faults[0].help.as_ref().unwrap().contains("gateway keys import"));
}

#[test]
fn of_a_text_that_is_no_list_of_keys_a_few_lines_are_told_and_no_value() {
    let plugin = with(line("one", "first", &json!({})));
    plugin.set_document("partners", "{\"id\":\n".repeat(100_000));
    assert_admitted(&ask(&plugin, "first"), "one");
    let told = plugin.document_faults("partners");
    let told: Vec<_> = told.iter().map(|fault| &*fault.message).skip(19).collect();
    let end = ["line 20: column 6: it stops being JSON here", "and 980 more"];
    assert_eq!(told[..2], end);
    assert_eq!(told[2..], ["line 1001: there are more than 1000 keys"]);
    plugin.set_document("partners", r#"{ "id": "one", "digest": 7734882277348822 }"#);
    assert_admitted(&ask(&plugin, "first"), "one");
    let faults = plugin.document_faults("partners");
    assert!(faults[0].message.starts_with("line 1: `digest` is not `sha256:`"), "{faults:?}");
    assert!(!faults[0].message.contains("7348"), "{faults:?}");
}

#[test]
fn an_empty_field_is_no_key_whatever_digests_there_are() {
    let plugin = with(line("one", "first", &json!({})));
    plugin.set_document("partners", line("two", "", &json!({})));
    assert_admitted(&ask(&plugin, "first"), "one");
    assert!(plugin.document_faults("partners")[0].message.contains("of an empty text"));
    assert_refused(&ask(&plugin, ""), 401, &[IN_FIELD]);
}

#[test]
fn while_the_document_was_never_had_no_key_is_wrong() {
    let fixed = json!([{ "id": "fixed", "digest": digest_of("fixed") }]);
    let mut config = config();
    config["api_key"]["keys"] = fixed;
    let prepared = Harness::<Auth>::prepare().document_from("partners", || None);
    let plugin = prepared.configure(config).unwrap();
    assert_eq!(refusal(&ask(&plugin, "first")).status(), 503);
    assert_admitted(&ask(&plugin, "fixed"), "fixed");
    plugin.set_document("partners", line("one", "first", &json!({})));
    assert_admitted(&ask(&plugin, "first"), "one");
    assert_refused(&ask(&plugin, "second"), 401, &[IN_FIELD]);
}

#[test]
fn a_document_must_be_granted() {
    let error = Harness::<Auth>::new(config()).err().unwrap();
    assert_eq!(error.issues()[0].pointer, "/api_key/document");
    assert!(error.issues()[0].message.contains("`documents = [\"partners\"]`"));
}
