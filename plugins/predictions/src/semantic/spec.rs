//! The settings of semantic caching, as they are written and as they are checked.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, JsonSchema};
use gateway_plugin_sdk::{duration, http_client, secrets};
use serde::Deserialize;

/// Gives the answer to a question that is alike, and not the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SemanticSpec {
    /// The upstream with a model of embeddings. The plugin has to be granted it.
    pub upstream: String,

    /// The API that it speaks: OpenAI's `/v1/embeddings`, which many servers have, or Ollama's `/api/embed`. Default
    /// `"openai"`.
    #[serde(default)]
    pub api: EmbeddingApi,

    /// The model of embeddings.
    pub model: String,

    /// The path, where it is not the API's own.
    #[serde(default)]
    pub path: Option<String>,

    /// The secret that is sent as `Authorization: Bearer`. The plugin has to be granted it. Default none.
    #[serde(default)]
    pub secret: Option<String>,

    /// Whether such an answer is given (`serve`), or only said that it would have been (`shadow`). Default `"shadow"`.
    #[serde(default)]
    pub mode: SemanticMode,

    /// How alike two questions have to be: the cosine of their vectors. Default 0.95.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub threshold: f64,

    /// Give no answer where numbers, names, negations, units, dates or the like are not the same. Default `true`.
    #[serde(default = "default_true")]
    pub check: bool,

    /// How long a request waits for its vector, at most `"10s"`; then it is sent on. Default `"500ms"`.
    #[serde(default = "default_timeout")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub timeout: String,

    /// The longest text that is compared, in bytes: models of embeddings do not read the end of long ones. Default 1000.
    #[serde(default = "default_max_text")]
    #[schemars(range(min = 16, max = 4096))]
    pub max_text: usize,

    /// How many questions are remembered for each tenant. Default 1024.
    #[serde(default = "default_questions")]
    #[schemars(range(min = 64, max = 8192))]
    pub questions: u32,

    /// Write the texts of two questions that are alike into the log, so that somebody can judge them. Default `false`.
    #[serde(default)]
    pub log_texts: bool,
}

/// The API of a server of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingApi {
    /// `POST /v1/embeddings`.
    #[default]
    Openai,
    /// `POST /api/embed`.
    Ollama,
}

/// What becomes of the answer to a question that is alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SemanticMode {
    /// It is not given: only said that it would have been.
    #[default]
    Shadow,
    /// It is given.
    Serve,
}

/// What is checked of it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) spec: SemanticSpec,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) timeout: Duration,
}

impl Checked {
    pub(crate) fn new(spec: SemanticSpec) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: String| {
            errors.push(ConfigError::at(format!("/semantic/{key}"), message));
        };
        if !http_client::is_granted(&spec.upstream) {
            let name = &spec.upstream;
            let message = format!(
                "the plugin is not granted the upstream `{name}`: it needs `upstreams = [\"{name}\"]` beside `component`"
            );
            wrong("upstream", message);
        }
        if spec.model.is_empty() {
            wrong("model", "a model of embeddings has a name".to_owned());
        }
        let path = spec.path.clone().unwrap_or_else(|| match spec.api {
            EmbeddingApi::Openai => "/v1/embeddings".to_owned(),
            EmbeddingApi::Ollama => "/api/embed".to_owned(),
        });
        if !path.starts_with('/') {
            wrong("path", "a path begins with `/`".to_owned());
        }
        let authorization = spec.secret.as_ref().and_then(|name| {
            let secret = secrets::get(name);
            if secret.is_none() {
                let message = format!(
                    "the plugin is not granted the secret `{name}`: it needs `secrets = [\"{name}\"]` beside `component`"
                );
                wrong("secret", message);
            }
            secret.map(|secret| format!("Bearer {secret}"))
        });
        if !(0.5..=1.0).contains(&spec.threshold) {
            wrong("threshold", "it is from 0.5 to 1".to_owned());
        }
        let timeout = duration::parse(&spec.timeout).unwrap_or(Duration::ZERO);
        if timeout.is_zero() || timeout > Duration::from_secs(10) {
            wrong("timeout", "it is a duration from `1ms` to `10s`".to_owned());
        }
        if !(16..=4096).contains(&spec.max_text) {
            wrong("max_text", "it is from 16 to 4096 bytes".to_owned());
        }
        if !(64..=8192).contains(&spec.questions) {
            wrong("questions", "it is from 64 to 8192".to_owned());
        }
        ConfigError::collect(errors)?;
        Ok(Self { spec, path, authorization, timeout })
    }
}

fn default_threshold() -> f64 {
    0.95
}

fn default_true() -> bool {
    true
}

fn default_timeout() -> String {
    "500ms".to_owned()
}

fn default_max_text() -> usize {
    1000
}

fn default_questions() -> u32 {
    1024
}
