//! Groups of models, as they are written.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// Models that have something in common: who may use them, a quota, a line in reports.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its models: names, or beginnings of names with `*` behind them, as in `"gpt-*"`; `"*"` is all of them.
    #[schemars(length(min = 1, max = 1024))]
    pub models: Vec<String>,

    /// Who may use them by this group: values of the attributes that `consumer_attributes` names. `[]` is nobody. Default
    /// everybody.
    #[serde(default)]
    pub consumers: Option<Vec<String>>,

    /// What else a request must have: attributes by name, each with the values that it may have, for example
    /// `{ "consumer.claim.plan" = ["pro", "team"] }`. Of an attribute that is a list one value is enough.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}
