//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::Deserialize;

/// Feature flags in flagd's format: set for upstreams, and served to applications as OFREP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the document with the definitions; the plugin needs it under `documents`. Default `"flags"`.
    #[serde(default = "default_document")]
    pub document: String,

    /// Whether a document is refused as a whole when the targeting of one flag is wrong. Without, that flag alone has the
    /// error `PARSE_ERROR`, as in flagd. Default `true`.
    #[serde(default = "default_strict")]
    pub strict: bool,

    /// Where the `targetingKey` comes from: the first that a request has. Default `consumer.id`, then `client.address`; with
    /// OFREP, what the application sends.
    pub targeting_key: Option<Vec<String>>,

    /// Further members of the context: each a name, and where its value comes from. With OFREP they are put in place of
    /// what the application sends under the same name.
    #[serde(default)]
    pub context: BTreeMap<String, String>,

    /// What flags set in requests.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub set: Vec<SetSpec>,

    /// Whether applications are answered: POST to a path that ends in `/ofrep/v1/evaluate/flags` or continues it with a key.
    /// Default `false`.
    #[serde(default)]
    pub ofrep: bool,
}

/// What one flag sets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSpec {
    /// The key of the flag.
    #[schemars(length(min = 1))]
    pub flag: String,

    /// A field of the request; one that the client sent is replaced, or removed where the flag has no value.
    pub header: Option<HeaderName>,

    /// An attribute, for later plugins, logs and splits.
    pub attribute: Option<String>,

    /// The upstream by the text of the flag; the plugin needs each under `forward_to`.
    #[serde(default)]
    pub upstreams: BTreeMap<String, String>,

    /// What is taken: `"value"` or `"variant"`. Default `"value"`.
    #[serde(default)]
    pub take: Take,

    /// The text where the flag has no value: it is disabled, missing, or in error. Default: nothing is set.
    pub default: Option<String>,
}

/// What of a flag is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The value: a text as it is, anything else as JSON.
    #[default]
    Value,
    /// The name of the variant.
    Variant,
}

fn default_document() -> String {
    "flags".to_owned()
}

fn default_strict() -> bool {
    true
}
