//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Validates requests and responses by JSON Schema, or by an OpenAPI document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An OpenAPI document, 3.0 or 3.1.
    pub openapi: Option<OpenApi>,

    /// How requests are validated.
    #[serde(default)]
    pub request: RequestConfig,

    /// How responses are validated.
    #[serde(default)]
    pub response: ResponseConfig,

    /// Whether `format` of schemas is a condition. Default `true`.
    #[serde(default = "yes")]
    pub formats: bool,

    /// What becomes of keywords of schemas that nobody knows, such as `requird`. Those that begin with `x-` are
    /// anybody's. Default `"warn"`.
    #[serde(default)]
    pub unknown_keywords: UnknownKeywords,

    /// How many places of one message are told, 1 to 100. Default 20.
    #[serde(default = "default_errors")]
    #[schemars(range(min = 1, max = 100))]
    pub max_errors: usize,
}

/// Where the OpenAPI document is, and how its paths are meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenApi {
    /// The document as JSON or YAML: `"${file:openapi.json}"`.
    pub text: Option<String>,

    /// The name of a document that the gateway keeps current. The plugin is granted it by
    /// `documents = ["NAME"]` beside `component`.
    pub document: Option<String>,

    /// What stands before the paths of the document, such as `"/v1"`. Default nothing; `servers` of the
    /// document are not looked at.
    #[serde(default)]
    pub base_path: String,

    /// What becomes of requests for which the document has no operation.
    #[serde(default)]
    pub unknown: Unknown,
}

/// What becomes of a request for which there is no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// 404 if there is no such path, 405 if the path has no such method.
    #[default]
    Refuse,
    /// It passes.
    Pass,
}

/// What becomes of keywords of schemas that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownKeywords {
    /// The schema or document is not taken.
    Refuse,
    /// They are no condition, and the log says which there are.
    #[default]
    Warn,
    /// They are no condition.
    Ignore,
}

/// Requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestConfig {
    /// The JSON Schema of bodies: a table, or its text as JSON or YAML, such as
    /// `"${file:order.schema.json}"`.
    pub schema: Option<Value>,

    /// Whether a request without a body is wrong. Default `false`; OpenAPI says it itself.
    #[serde(default)]
    pub required: bool,

    /// What becomes of requests that are wrong. Default `"enforce"`.
    #[serde(default = "enforce")]
    pub mode: Mode,

    /// The longest body that is validated, in bytes; longer ones are answered 413. Default 262144.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub limit: u64,
}

/// Responses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseConfig {
    /// The JSON Schema of bodies of successful responses (200 to 299): a table, or its text as JSON or
    /// YAML.
    pub schema: Option<Value>,

    /// What becomes of responses that are wrong. Default `"report"`.
    #[serde(default = "report")]
    pub mode: Mode,

    /// The longest body that is validated, in bytes. Default 262144.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub limit: u64,
}

/// What becomes of a message that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Requests are refused; responses are answered 502.
    Enforce,
    /// It is logged and counted, and passes.
    Report,
    /// Nothing is looked at.
    Off,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self { schema: None, required: false, mode: enforce(), limit: default_limit() }
    }
}

impl Default for ResponseConfig {
    fn default() -> Self {
        Self { schema: None, mode: report(), limit: default_limit() }
    }
}

fn enforce() -> Mode {
    Mode::Enforce
}

fn report() -> Mode {
    Mode::Report
}

fn yes() -> bool {
    true
}

fn default_errors() -> usize {
    20
}

fn default_limit() -> u64 {
    // What fits into the memory and the time that a plugin has by default.
    256 << 10
}
