//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema. Must not judge values:
//! `settings` does.

use std::collections::BTreeMap;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::Deserialize;

/// Caches responses as RFC 9111 has it for shared caches.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the cache is called in `Cache-Status`. Default `"gateway"`.
    #[serde(default = "default_name")]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// Write `Cache-Status` into responses. Default `true`.
    #[serde(default = "default_true")]
    pub cache_status: bool,

    /// What tells stored responses apart, besides scheme, host and port, path, query, route and listener.
    #[serde(default)]
    pub key: KeySpec,

    /// The fields of responses that are read in place of `Cache-Control`, the first that is there (RFC 9213).
    /// Default `["gateway-cache-control", "cdn-cache-control"]`.
    #[serde(default = "default_targets")]
    pub targeted_fields: Vec<HeaderName>,

    /// How long a response is fresh that does not say it, if its status code allows to guess. Default not at all.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub default_ttl: Option<String>,

    /// How long responses of a status code are fresh that do not say it: `{ "404" = "10s" }`. Default none.
    #[serde(default)]
    pub status_ttl: BTreeMap<String, String>,

    /// The longest time for which a response is fresh, whatever it says. Default as it says.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub max_ttl: Option<String>,

    /// How long a response with `Last-Modified` is fresh that does not say it: so many hundredths of the time since
    /// then. 0 is not at all. Default 10.
    #[serde(default = "default_percent")]
    #[schemars(range(max = 100))]
    pub heuristic_percent: u64,

    /// At most so long. Default `"1d"`.
    #[serde(default = "default_day")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub heuristic_max: String,

    /// How long a stale response is used while it is revalidated, if it does not say it. Default `"0s"`.
    #[serde(default = "default_nothing")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub stale_while_revalidate: String,

    /// How long a stale response is used in place of an error of the upstream, if it does not say it. Default `"0s"`.
    #[serde(default = "default_nothing")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub stale_if_error: String,

    /// How long a stale response is kept so that the upstream can confirm it, if it has an `ETag` or a `Last-Modified`.
    /// Default `"1d"`.
    #[serde(default = "default_day")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub keep_stale: String,

    /// For whom responses to requests with credentials are: requests with `Authorization`, and those of a consumer
    /// that another plugin has found. Default `"standard"`.
    #[serde(default)]
    pub credentials: Credentials,

    /// What becomes of responses that set a cookie. Default `"refuse"`.
    #[serde(default)]
    pub set_cookie: SetCookieSpec,

    /// Who may have a stored response revalidated by `Cache-Control: no-cache`, `max-age`, `min-fresh`, `no-store` or
    /// `Pragma`: values of the attributes `consumer.id` and `consumer.group`. `[]` is nobody. Default everybody.
    #[serde(default)]
    pub may_revalidate: Option<Vec<String>>,

    /// A field by whose presence a request goes past the cache. Default none.
    #[serde(default)]
    pub bypass_header: Option<HeaderName>,

    /// Who may go past the cache by `bypass_header`, as in `may_revalidate`. Default everybody.
    #[serde(default)]
    pub may_bypass: Option<Vec<String>>,

    /// The fields of responses with tags by which they are purged, parted by spaces or commas. Default
    /// `["surrogate-key", "cache-tag"]`.
    #[serde(default = "default_tags")]
    pub tag_fields: Vec<HeaderName>,

    /// How long a request waits for the response to another one for the same, instead of being sent too: at most
    /// `"1h"`. `"0s"` is not at all. Default `"10s"`.
    #[serde(default = "default_wait")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub collapse_wait: String,

    /// How many requests wait for one response, at most 10,000. Default 1000.
    #[serde(default = "default_waiters")]
    #[schemars(range(max = 10_000))]
    pub collapse_waiters: u32,
}

/// What tells stored responses apart, besides scheme, host and port, path, query, route and listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The only parameters of the query that count. A name that ends with `*` stands for all that begin so. Default
    /// all.
    #[serde(default)]
    pub query_only: Option<Vec<String>>,

    /// The parameters of the query that do not count. A name that ends with `*` stands for all that begin so. Default
    /// none.
    #[serde(default)]
    pub query_ignore: Option<Vec<String>>,

    /// Take queries for the same if only the order of their parameters is different. Default `false`.
    #[serde(default)]
    pub query_any_order: bool,

    /// Fields of the request. Default none.
    #[serde(default)]
    pub headers: Vec<HeaderName>,

    /// Attributes, such as `consumer.id`. Default none.
    #[serde(default)]
    pub attributes: Vec<String>,
}

/// For whom responses to requests with credentials are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// They are stored if they are said to be for all: by `public`, `s-maxage` or `must-revalidate` (RFC 9111
    /// section 3.5).
    #[default]
    Standard,
    /// Requests of a consumer have a key of that consumer alone, so that their responses are stored for it. Other
    /// requests with credentials are treated as by `standard`.
    ByConsumer,
    /// Responses are the same for all who ask, whoever that is: credentials decide only who may ask.
    Shared,
}

/// What becomes of responses that set a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SetCookieSpec {
    /// They are not stored.
    #[default]
    Refuse,
    /// They are stored without the cookie.
    Remove,
    /// They are stored with the cookie, which all get then.
    Keep,
}

fn default_name() -> String {
    "gateway".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_targets() -> Vec<HeaderName> {
    names(&["gateway-cache-control", "cdn-cache-control"])
}

fn default_tags() -> Vec<HeaderName> {
    names(&["surrogate-key", "cache-tag"])
}

fn names(all: &[&str]) -> Vec<HeaderName> {
    all.iter().filter_map(|name| HeaderName::parse(name).ok()).collect()
}

fn default_percent() -> u64 {
    10
}

fn default_day() -> String {
    "1d".to_owned()
}

fn default_nothing() -> String {
    "0s".to_owned()
}

fn default_wait() -> String {
    "10s".to_owned()
}

fn default_waiters() -> u32 {
    1000
}
