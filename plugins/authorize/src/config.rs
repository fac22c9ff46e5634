//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// Decides by rules who may do what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The rules, in order: the first whose expression is true decides.
    #[schemars(length(min = 1, max = 1000))]
    pub rules: Vec<Rule>,

    /// What becomes of a request for which no rule is true. Default `"deny"`.
    #[serde(default)]
    pub default: Effect,

    /// The status of a refusal: 401, 403 or 404, which hides that there is something. Default 403.
    #[serde(default = "default_status")]
    #[schemars(range(min = 401, max = 404))]
    pub status: u16,

    /// What clients are told of a refusal. Default: that it is not allowed. The reason is in the log only.
    pub detail: Option<String>,

    /// The `WWW-Authenticate` of refusals with the status 401. Default `Bearer`.
    #[serde(default = "default_challenge")]
    pub challenge: String,

    /// Log what would be refused, and refuse nothing. Default `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// One rule: it has either `allow` or `deny`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, for the log and the attribute `authorize.rule`: up to 64 letters, digits, `-`, `_` and `.`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// An expression. Where it is true, the request passes.
    pub allow: Option<String>,

    /// An expression. Where it is true, or has no value, the request is refused.
    pub deny: Option<String>,

    /// The status of a refusal by this rule, instead of that of all.
    #[schemars(range(min = 401, max = 404))]
    pub status: Option<u16>,

    /// What clients are told of a refusal by this rule, instead of what they are told of all.
    pub detail: Option<String>,

    /// Log what the rule would decide, and go on to the next. Default `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It passes.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

fn default_status() -> u16 {
    403
}

fn default_challenge() -> String {
    "Bearer".to_owned()
}
