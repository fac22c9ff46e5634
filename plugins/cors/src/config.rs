//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// Cross-origin requests of browsers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origins whose pages may read responses: `"https://app.example"`, `"https://*.app.example"` for
    /// each name below it, `"http://localhost:*"` for each port, `"null"` for pages without an origin, or
    /// `"*"` for every page.
    #[schemars(length(min = 1))]
    pub origins: Vec<String>,

    /// Methods that pages may use, or `"*"` for each. Default `GET`, `HEAD` and `POST`, which browsers
    /// send without asking.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,

    /// Request fields that pages may set, or `"*"` for each. Fields that browsers send without asking
    /// need not be named. Default none.
    #[serde(default)]
    pub headers: Vec<String>,

    /// Response fields that pages may read besides those that they always may, or `"*"` for each. Default
    /// none.
    #[serde(default)]
    pub expose: Vec<String>,

    /// Whether browsers send cookies, client certificates and HTTP authentication with requests of other
    /// origins. Default `false`.
    #[serde(default)]
    pub credentials: bool,

    /// For how many seconds a browser may keep the answer to a preflight. Chromium keeps it for 7200 at
    /// most, Firefox for 86400. Default 600.
    #[serde(default = "default_max_age")]
    #[schemars(range(max = 86400))]
    pub max_age: u32,

    /// Refuse requests of other origins with 403 instead of leaving it to the browser. Browsers send
    /// `Origin` within one origin too, unless it is a `GET` or `HEAD`: name your own. Default `false`.
    #[serde(default)]
    pub enforce: bool,
}

fn default_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).into()
}

fn default_max_age() -> u32 {
    600
}
