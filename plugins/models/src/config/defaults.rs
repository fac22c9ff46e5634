//! What holds for all models and deployments that do not say otherwise, as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{ConcurrencySpec, DrainSpec, FailOver, LimitsSpec};

/// What holds for all models and deployments that do not say otherwise. A table in one of them stands in place of the one
/// here as a whole, but for `headers`, which are added.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsSpec {
    /// `attempts` of models: how often one request is sent, at most, to deployments of its model, 1 to 8. Default 3.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8))]
    pub attempts: Option<u32>,

    /// `fail_over` of models: for which failures of a deployment another one is asked. Default
    /// `["rate-limited", "overloaded", "server"]`.
    #[serde(default)]
    pub fail_over: Option<Vec<FailOver>>,

    /// `keep_alive` of models: so long after the last event of a stream its client is sent a comment, or what else its
    /// API has for that, `"1s"` to `"1h"`. Default `"0s"`: nothing is sent.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub keep_alive: Option<String>,

    /// `max_output_tokens` of models.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<u64>,

    /// `max_input_tokens` of models.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_input_tokens: Option<u64>,

    /// `affinity` of models.
    #[serde(default)]
    pub affinity: Option<String>,

    /// `cool_down` of deployments: how long one is passed over after it failed, where the provider does not say it, at
    /// most `"1h"`. Default `"5s"`.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub cool_down: Option<String>,

    /// `first_token` of deployments: how long a stream may be without content from when its request was sent, `"1s"` to
    /// `"10m"`: then the next deployment is asked, or the client is answered 504. Default `"0s"`, no bound but those of the
    /// upstream.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub first_token: Option<String>,

    /// `concurrency` of deployments.
    #[serde(default)]
    pub concurrency: Option<ConcurrencySpec>,

    /// `limits` of deployments, of each one for itself.
    #[serde(default)]
    pub limits: Option<LimitsSpec>,

    /// `drain` of deployments: what is read of a response when its client has left. Default nothing: the deployment is
    /// hung up on at once, and what had come is charged by an estimate.
    #[serde(default)]
    pub drain: Option<DrainSpec>,

    /// `price` of deployments that have none, and are not in the document of `prices`.
    #[serde(default)]
    pub price: Option<serde_json::Map<String, serde_json::Value>>,

    /// `headers` of deployments: one of the same name in a deployment stands in place of the one here.
    #[serde(default)]
    pub headers: BTreeMap<HeaderName, String>,
}

/// A key that has moved into `defaults`. It is read so that who has it still is told so.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Moved(serde::de::IgnoredAny);

impl JsonSchema for Moved {
    fn schema_name() -> Cow<'static, str> {
        "Moved".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "deprecated": true })
    }
}
