//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema. Must not judge values: `rules`,
//! `pins` and `resource` turn what is written here into what is checked, or say what is wrong.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// Lets clients of the Model Context Protocol through to servers, and decides who may call what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who may use which tools, prompts and resources. Default: everybody all of them.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub rules: Vec<RuleSpec>,

    /// Digests of tools as they were reviewed, by name: `"sha256:"` and 64 hexadecimal digits. Default none.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub pins: BTreeMap<String, String>,

    /// What becomes of a tool in a list that is not as it was pinned. Default `"hide"`.
    #[serde(default)]
    pub on_changed: OnChanged,

    /// The values of `Origin` that may ask, such as `"https://inspector.example.com"`, or `"*"` for all. A request
    /// with another is answered 403: it comes from a web page. Default none.
    #[serde(default)]
    pub origins: Vec<String>,

    /// Pass the client's `Authorization` on to the server. It was issued for the gateway, and the protocol forbids to
    /// pass it on. Default `false`.
    #[serde(default)]
    pub pass_authorization: bool,

    /// Keep the requests of a session at one target of the upstream, where that has
    /// `balance = "consistent_hash"` and `hash_by = "mcp.affinity"`. Session ids are then written anew. Default `false`.
    #[serde(default)]
    pub sticky_sessions: bool,

    /// What is told about the resource that the server is (RFC 9728). Default nothing.
    #[serde(default)]
    pub resource: Option<ResourceSpec>,

    /// The longest request body that is read, in bytes. A longer one is answered 413. Default 4 MiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_body: u64,

    /// The longest list of tools, prompts or resources that is filtered, in bytes. Default 8 MiB.
    #[serde(default = "default_max_list")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_list: u64,

    /// How many messages one body may have. Revision 2025-03-26 alone knows several, and 0 refuses them: limits and
    /// rules of other plugins see a batch as one request. Default 0.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub max_batch: usize,

    /// Names of tools and prompts that metrics may have, each exact or with a `*` at its end. All others are `other`,
    /// but for those that rules name exactly. Default none.
    #[serde(default)]
    pub metric_names: Vec<String>,
}

/// Who may use which tools, prompts and resources. Each name is exact, or has a `*` at its end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// For whom it is: values of the attributes `consumer.id` and `consumer.group`. Default everybody.
    #[serde(default)]
    pub consumers: Option<Vec<String>>,

    /// Only for who has all of these scopes, by the attribute `consumer.scopes`. Default none.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Only for who has one of these values in each of these claims, by the attributes `consumer.claim.NAME`. Default
    /// none.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<String>>,

    /// Tools that are allowed.
    #[serde(default)]
    pub tools: Option<Vec<String>>,

    /// Tools that are not, whatever other rules allow.
    #[serde(default)]
    pub deny_tools: Vec<String>,

    /// Prompts that are allowed.
    #[serde(default)]
    pub prompts: Option<Vec<String>>,

    /// Prompts that are not, whatever other rules allow.
    #[serde(default)]
    pub deny_prompts: Vec<String>,

    /// Resources that are allowed, by their URIs.
    #[serde(default)]
    pub resources: Option<Vec<String>>,

    /// Resources that are not, whatever other rules allow.
    #[serde(default)]
    pub deny_resources: Vec<String>,
}

/// What becomes of a tool that is not as it was pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnChanged {
    /// It is taken out of lists, and logged.
    #[default]
    Hide,
    /// It is logged, and stays.
    Report,
}

/// What is told about the resource that the server is (RFC 9728 section 2).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Its URI as clients know it, such as `"https://api.example.com/mcp"`: the audience of its tokens.
    pub uri: String,

    /// The issuers of its tokens.
    #[schemars(length(min = 1))]
    pub authorization_servers: Vec<String>,

    /// The scopes that a client asks for at first. Default none.
    #[serde(default)]
    pub scopes_supported: Vec<String>,

    /// Its name for people. Default none.
    #[serde(default)]
    pub name: Option<String>,

    /// Where people read about it. Default none.
    #[serde(default)]
    pub documentation: Option<String>,
}

fn default_max_body() -> u64 {
    4 << 20
}

fn default_max_list() -> u64 {
    8 << 20
}
