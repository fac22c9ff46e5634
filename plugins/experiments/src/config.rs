//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::Deserialize;

/// Experiments: who has which variant, who was exposed, and what became of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose experiments they are: the first of these that a request has. Attributes such as `consumer.id`, `claim:NAME`,
    /// `header:NAME`, `cookie:NAME`. Default `consumer.id`, then `client.address`.
    #[serde(default = "default_unit")]
    #[schemars(length(min = 1))]
    pub unit: Vec<String>,

    /// Units that take part in no experiment, to compare with all experiments together.
    pub holdout: Option<HoldoutSpec>,

    /// How testers force a variant.
    pub force: Option<ForceSpec>,

    /// Whether units are noted when they have a variant. Default: they are not.
    pub exposures: Option<ExposuresSpec>,

    /// Whether requests, their status and their duration are counted by variant. Default `true`.
    #[serde(default = "default_metrics")]
    pub metrics: bool,

    /// The experiments, 1 to 100.
    #[schemars(length(min = 1, max = 100))]
    pub experiments: Vec<ExperimentSpec>,
}

/// One experiment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// Its name: up to 64 letters, digits, `-` and `_`. The variant is the attribute `experiment.NAME`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// What makes its assignment another than that of others. Default: its name.
    pub salt: Option<String>,

    /// Whether it takes place. Default `true`.
    #[serde(default = "default_enabled")]
    pub enabled: bool,

    /// The layer: the experiments of a layer exclude each other.
    pub layer: Option<String>,

    /// Its part of the layer, from and to in percent, such as `[0, 50]`.
    pub range: Option<[f64; 2]>,

    /// An expression in CEL, as in `authorize`: who may take part. Default: everybody.
    pub audience: Option<String>,

    /// How many of the audience take part, in percent. Default 100.
    #[serde(default = "default_share")]
    #[schemars(range(min = 0, max = 100))]
    pub share: f64,

    /// When it begins, as RFC 3339 writes it: `2026-03-01T08:00:00Z`.
    pub from: Option<String>,

    /// When it ends.
    pub to: Option<String>,

    /// For how long after `from` the share grows from nothing.
    pub ramp: Option<String>,

    /// A field of the request that has the name of the variant. One that the client sent never arrives.
    pub header: Option<HeaderName>,

    /// The variants, 2 to 20, or one that is compared with those who do not take part.
    #[schemars(length(min = 1, max = 20))]
    pub variants: Vec<VariantSpec>,

    /// When a variant is taken out because it does worse than the control. Default: never.
    pub guardrail: Option<GuardrailSpec>,

    /// Variants of single units.
    #[serde(default)]
    pub overrides: BTreeMap<String, String>,
}

/// One variant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantSpec {
    /// Its name: up to 64 letters, digits, `-` and `_`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// Its part of the sum of all weights.
    #[schemars(range(min = 0))]
    pub weight: f64,

    /// The upstream, instead of the route's; the plugin needs it under `forward_to`.
    pub upstream: Option<String>,

    /// Fields of the request. Those that the client sent never arrive, whatever variant it has.
    #[serde(default)]
    pub headers: BTreeMap<HeaderName, String>,

    /// Attributes, which change what later plugins do.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// When a variant is taken out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailSpec {
    /// The variant that the others are compared with. It is never taken out.
    pub control: String,

    /// How many percent of requests more than of the control may fail: status 5xx, or no whole response. At least one of
    /// `errors` and `slow`.
    #[schemars(range(min = 0, max = 100))]
    pub errors: Option<f64>,

    /// How many percent of requests more than of the control may take longer than `slower_than`.
    #[schemars(range(min = 0, max = 100))]
    pub slow: Option<f64>,

    /// Until the head of the response.
    pub slower_than: Option<String>,
}

/// Units that take part in nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldoutSpec {
    /// How many, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub share: f64,

    /// What makes it another than others. Default `"holdout"`.
    #[serde(default = "default_holdout")]
    pub salt: String,
}

/// How testers force a variant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceSpec {
    /// The secret that signs, at least 32 bytes; the plugin needs it under `secrets`.
    pub secret: String,

    /// A field of the request with the signed text. It is removed.
    pub header: Option<HeaderName>,

    /// A cookie with it.
    pub cookie: Option<String>,
}

/// How units with a variant are noted, each once in a window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposuresSpec {
    /// For how long a unit with the same variant is noted once. Default `"1d"`.
    #[serde(default = "default_window")]
    pub window: String,

    /// Write a line of JSON to the log. Default `false`.
    #[serde(default)]
    pub log: bool,

    /// A sink of `[events.NAME]`, which gets an event for each; the plugin needs it under `events`. Default: none.
    pub sink: Option<String>,

    /// Whether these events have the name of the unit, beside the number that stands for it. Default `false`.
    #[serde(default)]
    pub unit_names: bool,

    /// Add 1 to the usage counter `exposed_EXPERIMENT_VARIANT`. Default `false`.
    #[serde(default)]
    pub usage: bool,
}

fn default_unit() -> Vec<String> {
    ["consumer.id", "client.address"].map(str::to_owned).to_vec()
}

fn default_metrics() -> bool {
    true
}

fn default_enabled() -> bool {
    true
}

fn default_share() -> f64 {
    100.0
}

fn default_holdout() -> String {
    "holdout".to_owned()
}

fn default_window() -> String {
    "1d".to_owned()
}
