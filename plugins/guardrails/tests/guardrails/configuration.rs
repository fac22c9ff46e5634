//! What is wrong with a configuration is said with its place.

use gateway_plugin_sdk::testing::Harness;
use guardrails::Guardrails;
use serde_json::{Value, json};

/// The places and messages of a configuration's faults.
fn faults(config: Value) -> Vec<(String, String)> {
    let error = Harness::<Guardrails>::new(config).err().expect("it is refused");
    error.issues().iter().map(|issue| (issue.pointer.clone(), issue.message.clone())).collect()
}

#[test]
fn each_fault_has_its_place_and_says_what_to_do() {
    for (config, at, says) in [
        (json!({}), "", "nothing is checked"),
        (json!({ "input": { "emial": "mask" } }), "/input/emial", "did you mean `email`?"),
        (
            json!({ "input": { "passport-number": "mask" } }),
            "/input/passport-number",
            "there are `email`",
        ),
        (json!({ "output": { "email": "mask" } }), "/output/email", "`redact` takes it out"),
        (
            json!({ "input": { "a": "mask" }, "patterns": { "a": "x+" } }),
            "/patterns/a",
            "any length",
        ),
        (
            json!({ "input": { "a": "mask" }, "patterns": { "a": "x{3000}" } }),
            "/patterns/a",
            "3000 bytes",
        ),
        (
            json!({ "input": { "a": "mask" }, "patterns": { "a": "(" } }),
            "/patterns/a",
            "no regular expression",
        ),
        (
            json!({ "input": { "a": "mask" }, "patterns": { "a": "\\bx\\b" } }),
            "/patterns/a",
            "(?-u:\\b)",
        ),
        (
            json!({ "input": { "email": "mask" }, "patterns": { "a": "x" } }),
            "/patterns/a",
            "nothing uses",
        ),
        (
            json!({ "input": { "email": "mask" }, "patterns": { "email": "x" } }),
            "/patterns/email",
            "already",
        ),
        (
            json!({ "input": { "personal-data": "mask", "national-ids": "block" } }),
            "/input/personal-data",
            "`us-ssn` would be both `block` (by `national-ids`) and `mask`",
        ),
        (
            json!({ "input": { "email": "mask" }, "refusal": { "status": 200 } }),
            "/refusal/status",
            "400 to 499",
        ),
        (
            json!({ "input": { "email": "mask" }, "json": { "input": ["a.b"] } }),
            "/json/input/0",
            "`/a/b`",
        ),
    ] {
        let found = faults(config.clone());
        assert!(
            found.iter().any(|(place, message)| place == at && message.contains(says)),
            "{config}: {found:?}"
        );
    }
    // All of it at once.
    let found = faults(
        json!({ "input": { "emial": "mask", "pohne": "mask" }, "output": { "jwt": "mask" } }),
    );
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_is_named_itself_counts_and_not_its_groups() {
    let config = json!({ "input": { "personal-data": "mask", "national-ids": "block", "us-ssn": "report" } });
    assert!(Harness::<Guardrails>::new(config).is_ok());
}
