//! The configuration as it is in the gateway's file.
//!
//! Owns the names and their documentation, which is the plugin's JSON Schema.

use gateway_plugin_sdk::prelude::*;

use crate::size::Size;

/// Which bodies become what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The change to requests, on their way to the upstream.
    pub(crate) request: Option<SideSpec>,
    /// The change to responses, on their way to the client.
    pub(crate) response: Option<SideSpec>,
}

/// The change to bodies of one direction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SideSpec {
    /// What the body becomes, in the jq language: `.` is the body. Must give exactly one value.
    #[schemars(length(min = 1, max = 65536))]
    pub(crate) expression: String,
    /// The header fields that the expression sees as `$headers`, of the message that it changes.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(crate) headers: Vec<String>,
    /// The attributes that it sees as `$attributes`, such as `consumer.id`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(crate) attributes: Vec<String>,
    /// The media types of bodies that it is for: `type/subtype`, `type/*`, `+suffix` or `*/*`.
    /// Default `["application/json", "+json"]`.
    pub(crate) types: Option<Vec<String>>,
    /// The largest body, decoded if it has a coding, in bytes or as `"512KiB"`. Default 1 MiB.
    #[serde(default)]
    pub(crate) body_limit: Size,
    /// What happens to a body that says it is JSON and is not. Default `"reject"`: 400 or 502.
    #[serde(default)]
    pub(crate) on_invalid_json: Policy,
    /// What happens to a body for which the expression fails or does not give one value. Default
    /// `"reject"`: 400 or 502.
    #[serde(default)]
    pub(crate) on_failure: Policy,
    /// What happens to a body with a `content-encoding`. Default `"reject"`: 415 or 502. `"decode"`
    /// sends it without the coding, `"recode"` with it; both know `gzip` and `deflate`.
    #[serde(default)]
    pub(crate) on_encoded_body: EncodedPolicy,
}

/// What happens to a message that cannot be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    /// It is refused.
    #[default]
    Reject,
    /// It continues as it is.
    Pass,
}

/// What happens to a message whose body is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodedPolicy {
    /// It is refused: a rule that a compressed body goes around holds for nobody.
    #[default]
    Reject,
    /// It continues as it is.
    Pass,
    /// It is decoded, changed, and sent without its codings.
    Decode,
    /// It is decoded, changed, and encoded again.
    Recode,
}
