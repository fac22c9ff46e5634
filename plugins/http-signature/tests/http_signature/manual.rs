//! The README against the settings that there are.

use std::collections::BTreeSet;

use gateway_plugin_sdk::testing::Harness;
use http_signature::HttpSignature;
use serde_json::Value;

/// Every name of a setting in a JSON Schema.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| names(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

#[test]
fn every_setting_has_a_row_in_the_readme() {
    let schema: Value = serde_json::from_str(&Harness::<HttpSignature>::config_schema()).unwrap();
    let mut settings = BTreeSet::new();
    names(&schema, &mut settings);
    assert!(settings.len() > 30, "{settings:?}");
    let rows: String = include_str!("../../README.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| format!("{line}\n"))
        .collect();
    let lacks_row = |name: &&String| {
        // By itself, in a table, or as the table of another.
        let forms = [format!("`{name}`"), format!(".{name}`"), format!("`{name}.")];
        !forms.iter().any(|form| rows.contains(form))
    };
    let missing: Vec<_> = settings.iter().filter(lacks_row).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
