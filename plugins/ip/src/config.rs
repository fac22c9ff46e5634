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

    /// The names of documents with further networks that are let in, one a line. The plugin must be granted them:
    /// `documents = ["NAME"]` beside `component`. With any, addresses that no network holds are refused. Default none.
    #[serde(default)]
    pub allow_documents: Vec<String>,

    /// The names of documents with further networks that are refused, such as a public list of networks that are known
    /// for abuse. Default none.
    #[serde(default)]
    pub deny_documents: Vec<String>,

    /// What becomes of requests while a document was never had: `closed` answers them 503, `open` does as if it
    /// were empty. For a plugin with documents alone. Default `closed`.
    #[serde(default)]
    pub on_unavailable: Option<OnUnavailable>,

    /// The status of a refusal, 400 to 499: 404 hides that there is something. Default 403.
    #[serde(default = "default_status")]
    #[schemars(range(min = 400, max = 499))]
    pub status: u16,

    /// Log what would be refused, and refuse nothing. Default `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// What becomes of a request while nobody knows what a document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// The document counts as empty.
    Open,
    /// It is answered 503.
    #[default]
    Closed,
}

fn default_status() -> u16 {
    403
}
