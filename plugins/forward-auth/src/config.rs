//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::Deserialize;

/// Asks a service of yours whether a request may pass.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The upstream that is asked. The plugin is granted it by `upstreams = ["NAME"]` beside `component`.
    #[schemars(length(min = 1))]
    pub upstream: String,

    /// How it is asked.
    #[serde(default)]
    pub convention: Convention,

    /// With `"forwarded"` the path that is asked for, and with `"original"` what is put before the path of
    /// the request. Begins with `/`; default `"/"`.
    #[serde(default = "default_path")]
    #[schemars(regex(pattern = "^/"))]
    pub path: String,

    /// Fields of the request that the service is sent. Default `authorization` and `cookie`.
    #[serde(default = "default_request_headers")]
    pub request_headers: Vec<HeaderName>,

    /// Fields of the service's answer that the upstream is sent, such as `x-user`. What clients send under
    /// these names is always removed. Default none.
    #[serde(default)]
    pub upstream_headers: Vec<HeaderName>,

    /// Fields of the service's answer that the client is sent where the request passes, such as
    /// `set-cookie`. Where it does not, the client is sent all of them. Default none.
    #[serde(default)]
    pub client_headers: Vec<HeaderName>,

    /// Attributes that are set from fields of the service's answer: `{ "consumer.id" = "x-user" }` names the
    /// consumer for limits, metrics and usage. Default none.
    #[serde(default)]
    pub attributes: BTreeMap<String, HeaderName>,

    /// How long the service may take, at most `"60s"`. Default `"5s"`.
    #[serde(default = "default_timeout")]
    pub timeout: String,

    /// What becomes of requests while the service gives no answer, or one with a status over 499.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,
}

/// How the service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Convention {
    /// As Traefik's ForwardAuth does: `GET` of one path, with the request in `X-Forwarded-Method`, `-Proto`,
    /// `-Host`, `-Uri` and `-For`. Each status from 200 to 299 lets it pass.
    #[default]
    Forwarded,
    /// As Envoy's `ext_authz` over HTTP does: with the request's own method, host, path and query, and no
    /// body. The status 200 lets it pass.
    Original,
}

/// What becomes of a request while the service gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// It goes on, by nobody.
    Open,
    /// It is refused with 503.
    #[default]
    Closed,
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_request_headers() -> Vec<HeaderName> {
    ["authorization", "cookie"].into_iter().filter_map(|it| HeaderName::parse(it).ok()).collect()
}

fn default_timeout() -> String {
    "5s".to_owned()
}
