//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// Lets requests in, or refuses them, by the address of their client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Networks and addresses that are let in, such as `"192.0.2.0/24"`, `"2001:db8::/32"` or
    /// `"198.51.100.7"`. If there is any, addresses that no network holds are refused. Default none.
    #[serde(default)]
    pub allow: Vec<String>,

    /// Networks and addresses that are refused. Where one address is in several networks of both lists,
    /// the most specific network decides. Default none.
    #[serde(default)]
    pub deny: Vec<String>,

    /// The status of a refusal, 400 to 499: 404 hides that there is something. Default 403.
    #[serde(default = "default_status")]
    #[schemars(range(min = 400, max = 499))]
    pub status: u16,

    /// Log what would be refused, and refuse nothing. Default `false`.
    #[serde(default)]
    pub dry_run: bool,
}

fn default_status() -> u16 {
    403
}
