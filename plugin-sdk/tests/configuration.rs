//! How a configuration is read, and what its errors say.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::testing::Harness;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What to do.
    #[serde(default)]
    rules: Vec<Rule>,
    header: Option<HeaderName>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Rule {
    Limit { per_minute: u32 },
    Skip,
}

struct Rules;

impl Plugin for Rules {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let _ = config.header;
        let errors = config.rules.iter().enumerate().filter_map(|(index, rule)| match rule {
            Rule::Limit { per_minute: 0 } => Some(ConfigError::at(
                format!("/rules/{index}/limit/per_minute"),
                "must not be zero",
            )),
            Rule::Limit { .. } | Rule::Skip => None,
        });
        ConfigError::collect(errors)?;
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::new()
    }
}

fn issues(config: &str) -> Vec<(String, String)> {
    let error = Harness::<Rules>::from_json(config).err().expect("an error");
    let issues = error.issues().iter();
    issues.map(|issue| (issue.pointer.clone(), issue.message.clone())).collect()
}

#[test]
fn names_the_place_of_a_value_of_the_wrong_type() {
    let found = issues(r#"{"rules":["skip",{"limit":{"per_minute":"ten"}}]}"#);
    assert_eq!(found[0].0, "/rules/1/limit/per_minute");
    assert_eq!(found[0].1, "invalid type: string \"ten\", expected u32");
}

#[test]
fn names_the_place_of_a_field_that_is_unknown_or_missing() {
    assert_eq!(issues(r#"{"a/b~c":1}"#)[0].0, "/a~1b~0c");
    let found = issues(r#"{"rules":[{"limit":{}}]}"#);
    assert_eq!(found[0].0, "/rules/0/limit");
    assert_eq!(found[0].1, "missing field `per_minute`");
    assert_eq!(issues(r#"{"header":"a b"}"#)[0].0, "/header");
    assert_eq!(issues("{} x")[0].0, "");
}

#[test]
fn reports_all_that_the_plugin_refuses() {
    let zero = json!({ "limit": { "per_minute": 0 } });
    let found = issues(&json!({ "rules": [zero, "skip", zero] }).to_string());
    let places: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(places, ["/rules/0/limit/per_minute", "/rules/2/limit/per_minute"]);
}

#[test]
fn describes_the_configuration_by_a_schema() {
    let schema: Value = serde_json::from_str(&Harness::<Rules>::config_schema()).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["rules"]["description"], "What to do.");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn takes_an_empty_table_for_no_configuration_and_nothing_else() {
    struct Bare;
    impl Plugin for Bare {
        type Config = NoConfig;
        type Context = ();
        fn configure(_: NoConfig) -> Result<Self, ConfigError> {
            Ok(Self)
        }
        fn interest(&self) -> Interest {
            Interest::new()
        }
    }
    assert!(Harness::<Bare>::from_json("{ }").is_ok());
    let error = Harness::<Bare>::from_json(r#"{"x":1}"#).err().expect("an error");
    assert_eq!(error.issues()[0].pointer, "/x");
    assert_eq!(Harness::<Bare>::config_schema(), "");
}
