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

    /// How many turns each of its consumers has in queues of deployments for one of a consumer with 1, at most 1,000. Default 1.
    #[serde(default = "default_queue_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub queue_weight: u16,

    /// Whose requests have the next place in queues of deployments: those with the highest number. The lower of two has one
    /// turn for eight of the higher one. Default 0.
    #[serde(default)]
    pub queue_priority: u8,
}

fn default_queue_weight() -> u16 {
    1
}
