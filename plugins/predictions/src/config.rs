//! The configuration as it is written, and checked.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema.

use std::time::Duration;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, JsonSchema};
use serde::Deserialize;

use crate::canonical::{Choice, is_pointer};
use crate::semantic::{Semantic, SemanticSpec};

/// The longest that a request waits for another.
const MOST_WAIT: Duration = Duration::from_secs(3600);

/// Keeps predictions of models, and gives them again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a prediction is kept. Default `"1h"`.
    #[serde(default = "default_ttl")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub ttl: String,

    /// For whom a prediction is that was made for one: for the same `consumer`, for its `group`, or for `everyone`.
    /// Default `"consumer"`.
    #[serde(default)]
    pub shared_with: SharedWith,

    /// Keep only predictions that are asked for so that they are the same each time: with a `temperature` of 0 or with
    /// a `seed`; embeddings and counts of tokens always are. Default `true`.
    #[serde(default = "default_true")]
    pub only_deterministic: bool,

    /// Keep answers to any `POST` with JSON, and not only those of the APIs of models that are known here. Default
    /// `false`.
    #[serde(default)]
    pub any_json: bool,

    /// The members of the request that do not count, as JSON Pointers. Default `["/user", "/safety_identifier",
    /// "/prompt_cache_key", "/metadata"]`.
    #[serde(default)]
    pub ignore: Option<Vec<String>>,

    /// The only members of the request that count, as JSON Pointers. Default all.
    #[serde(default)]
    pub only: Option<Vec<String>>,

    /// Fields of the request that count. Default `["anthropic-version", "anthropic-beta", "openai-beta"]`.
    #[serde(default = "default_headers")]
    pub headers: Vec<HeaderName>,

    /// Attributes that count, such as `route.name`. Default none.
    #[serde(default)]
    pub attributes: Vec<String>,

    /// A text that counts: with another one, all that was kept is asked for anew. Default `""`.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub generation: String,

    /// Keep answers of a route that splits, whichever variant gave them. Default `false`: they are not kept, since it is
    /// not known before which variant would answer.
    #[serde(default)]
    pub across_variants: bool,

    /// What an answer that was kept counts for quotas and bills: `nothing`, or what it has used when it was made
    /// (`usage`). Default `"nothing"`.
    #[serde(default)]
    pub count: Count,

    /// Who may go past what is kept, by `Cache-Control: no-cache` (the answer is kept then) and `no-store` (it is not):
    /// values of the attributes `consumer.id` and `consumer.group`. `[]` is nobody. Default everybody.
    #[serde(default)]
    pub may_bypass: Option<Vec<String>>,

    /// What the cache is called in `Cache-Status`. Default `"predictions"`.
    #[serde(default = "default_name")]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// The longest request that is read, in bytes. A longer one is sent on. Default 4 MiB.
    #[serde(default = "default_max_request")]
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub max_request: u64,

    /// The longest answer that is kept, if it is no stream, in bytes. Default 4 MiB.
    #[serde(default = "default_max_response")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_response: u64,

    /// How long a request waits for the answer to another one that is the same, instead of being sent too: at most
    /// `"1h"`. `"0s"` is not at all. Default `"1m"`.
    #[serde(default = "default_wait")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub collapse_wait: String,

    /// How many requests wait for one answer, at most 10,000. Default 100.
    #[serde(default = "default_waiters")]
    #[schemars(range(max = 10_000))]
    pub collapse_waiters: u32,

    /// Give the answer to a question that is alike, and not the same. Default not at all.
    #[serde(default)]
    pub semantic: Option<SemanticSpec>,
}

/// For whom a prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SharedWith {
    /// For the consumer that asked (`consumer.id`), or without one for who has the same credentials.
    #[default]
    Consumer,
    /// For all of its `consumer.group`; without one as `consumer`.
    Group,
    /// For all who may ask.
    Everyone,
}

/// What an answer that was kept counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// No tokens and no cost.
    #[default]
    Nothing,
    /// The tokens and the cost of when it was made.
    Usage,
}

/// What is checked of it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) choice: Choice,
    pub(crate) ttl: Duration,
    pub(crate) collapse_wait: Duration,
    pub(crate) semantic: Option<Semantic>,
}

impl Settings {
    pub(crate) fn new(mut config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut time = |place: &str, text: &str, most: Duration| match duration::parse(text) {
            Ok(time) if time <= most => time,
            _ => {
                let message = format!("it is a duration of at most {} seconds", most.as_secs());
                errors.push(ConfigError::at(place, message));
                Duration::ZERO
            }
        };
        let ttl = time("/ttl", &config.ttl, Duration::from_secs(365 * 86_400));
        let collapse_wait = time("/collapse_wait", &config.collapse_wait, MOST_WAIT);
        if ttl.is_zero() && errors.is_empty() {
            errors.push(ConfigError::at("/ttl", "nothing is kept for no time"));
        }
        if config.only.is_some() && config.ignore.is_some() {
            let message = "it stands beside `only`, which says already what counts";
            errors.push(ConfigError::at("/ignore", message));
        }
        for (key, pointers) in [("only", &config.only), ("ignore", &config.ignore)] {
            for (index, pointer) in pointers.iter().flatten().enumerate() {
                if !is_pointer(pointer) {
                    let message = format!(
                        "`{pointer}` is no JSON Pointer to a member: it begins with `/`, as in `/metadata/user_id`"
                    );
                    errors.push(ConfigError::at(format!("/{key}/{index}"), message));
                }
            }
        }
        let semantic = config.semantic.take().map(Semantic::new).transpose();
        let semantic = match semantic {
            Ok(semantic) => semantic,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        ConfigError::collect(errors)?;
        let choice = match (config.only.take(), config.ignore.take()) {
            (Some(only), _) => Choice::Only(only),
            (None, Some(ignored)) => Choice::AllBut(ignored),
            (None, None) => {
                let names = ["/user", "/safety_identifier", "/prompt_cache_key", "/metadata"];
                Choice::AllBut(names.map(str::to_owned).to_vec())
            }
        };
        Ok(Self { config, choice, ttl, collapse_wait, semantic })
    }
}

fn default_ttl() -> String {
    "1h".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_headers() -> Vec<HeaderName> {
    let names = ["anthropic-version", "anthropic-beta", "openai-beta"];
    names.into_iter().filter_map(|name| HeaderName::parse(name).ok()).collect()
}

fn default_name() -> String {
    "predictions".to_owned()
}

fn default_max_request() -> u64 {
    4 << 20
}

fn default_max_response() -> u64 {
    4 << 20
}

fn default_wait() -> String {
    "1m".to_owned()
}

fn default_waiters() -> u32 {
    100
}
