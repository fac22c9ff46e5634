//! Schemas and configurations of careless and hostile authors.
//!
//! Owns what holds of any pair: the check ends, and what it finds points into the configuration. An
//! input is a schema and, behind a line of three dashes, a configuration.

use std::collections::BTreeSet;

use gateway_fuzz::Target;

use super::{MAX_FAULTS, Schema};

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "false",
    "1",
    "-1",
    "1e400",
    "0.1",
    "\"a\"",
    "\"\"",
    "{\"$ref\":\"#\"}",
    "\"$ref\":\"#/$defs/node\",",
    "\"type\":\"object\",",
    "\"type\":[\"string\",\"null\"],",
    "\"properties\":{",
    "\"required\":[\"a\"],",
    "\"additionalProperties\":false,",
    "\"oneOf\":[",
    "\"anyOf\":[",
    "\"allOf\":[",
    "\"not\":",
    "\"if\":",
    "\"then\":",
    "\"enum\":[",
    "\"const\":",
    "\"pattern\":\"(a*)*$\",",
    "\"items\":",
    "\"prefixItems\":[",
    "\"uniqueItems\":true,",
    "\"multipleOf\":0.1,",
    "\"minimum\":0,",
    "\n---\n",
];

#[test]
fn a_check_ends_and_points_into_the_configuration() {
    let mut checked = 0;
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/schemas"), TOKENS).check(|input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let Some((schema, config)) = text.split_once("\n---\n") else { return };
        let (Some(Ok(schema)), Ok(config)) = (Schema::read(schema), serde_json::from_str(config))
        else {
            return;
        };
        let Ok(faults) = schema.check(&config, &BTreeSet::new()) else { return };
        checked += 1;
        assert!(faults.len() <= MAX_FAULTS);
        for fault in &faults {
            assert!(config.pointer(&fault.pointer).is_some(), "{}", fault.pointer);
            assert!(!fault.message.is_empty());
        }
        let again = schema.check(&config, &BTreeSet::new());
        let count = again.map(|faults| faults.len());
        assert_eq!(count, Ok(faults.len()), "the same pair, found otherwise");
    });
    assert!(checked > 3, "only {checked} were checked");
}
