//! The settings of moderation, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::OnFailure;

/// A service that judges texts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModerationSpec {
    /// The upstream. The plugin is granted it by `upstreams = ["NAME"]` beside `component`.
    pub upstream: String,
    /// What the service speaks.
    #[serde(default)]
    pub api: Api,
    /// Where it is asked. Default `"/v1/moderations"`, of a webhook `"/"`.
    #[serde(default)]
    #[schemars(regex(pattern = "^/"))]
    pub path: Option<String>,
    /// The model that judges, where the service has several.
    #[serde(default)]
    pub model: Option<String>,
    /// The secret that it is sent as a bearer token.
    #[serde(default)]
    pub secret: Option<String>,
    /// What is done with requests that it does not allow. Default: it is not asked about them.
    #[serde(default)]
    pub input: Option<ModerationMode>,
    /// What is done with answers that it does not allow. Default: it is not asked about them.
    #[serde(default)]
    pub output: Option<ModerationMode>,
    /// When it is asked about a stream.
    #[serde(default)]
    pub stream: StreamMode,
    /// How much text of a stream is held back and sent at once, in bytes.
    #[serde(default = "window")]
    #[schemars(range(min = 256, max = 4096))]
    pub window: usize,
    /// From which score on a category is not allowed. Categories without one are as the service flags them.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f64>,
    /// How long it may take, at most `"60s"`.
    #[serde(default = "timeout")]
    pub timeout: String,
    /// What becomes of texts about which it says nothing.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's moderations.
    #[default]
    Openai,
    /// JSON with the texts, answered by JSON with what is done.
    Webhook,
}

/// What is done with what is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModerationMode {
    /// It is refused, or ended.
    Block,
    /// It is counted, and passes.
    Report,
}

/// When it is asked about a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamMode {
    /// About each window of text, before that is passed on.
    #[default]
    Window,
    /// At the end, when all was passed on.
    End,
}

fn window() -> usize {
    1024
}

fn timeout() -> String {
    "2s".to_owned()
}
