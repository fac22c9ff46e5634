//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema. Must not judge values:
//! `catalog` turns what is written here into what is checked, or says what is wrong.

mod credentials;
mod defaults;
mod groups;

use std::collections::BTreeMap;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::Deserialize;

pub use credentials::{AwsSpec, ServiceAccountSpec};
pub use defaults::{DefaultsSpec, Moved};
pub use groups::GroupSpec;

/// Serves many AI models behind one API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The deployments, by name: a model of a provider, at an upstream. 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    pub deployments: BTreeMap<String, DeploymentSpec>,

    /// The models that clients may ask for, by name. 1 to 1,024.
    #[schemars(length(min = 1, max = 1024))]
    pub models: BTreeMap<String, ModelSpec>,

    /// What holds for all models and deployments that do not say otherwise.
    #[serde(default)]
    pub defaults: DefaultsSpec,

    /// Groups of models, by name: who may use them, and what quotas and reports are about. At most 64. A model that is in
    /// groups is there for consumers whom one of them lets in; a model that is in none, for everybody.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub groups: BTreeMap<String, GroupSpec>,

    /// The attributes that say who a consumer is, 1 to 8: `consumers` of models and groups are values of these. The
    /// first one is whom metrics count, and who has turns in queues. Default `["consumer.id", "consumer.group"]`.
    #[serde(default = "default_consumer_attributes")]
    #[schemars(length(min = 1, max = 8))]
    pub consumer_attributes: Vec<String>,

    /// The attribute that selects a model: a request that has it is one for the model or alias that it names, whatever the
    /// request says. Default none.
    #[serde(default)]
    pub model_attribute: Option<String>,

    /// The name of a document with prices: the public JSON table of prices per token, whose keys are names of
    /// models, or an own one in the form of `price`. A deployment with a `price` does not need it.
    #[serde(default)]
    pub prices: Option<String>,

    /// The longest request body that is read, in bytes. A longer one is answered 413. Default 32 MiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub max_body: u64,

    /// The longest answer that is translated as a whole, in bytes. A longer one is refused. Default 16 MiB.
    #[serde(default = "default_max_answer")]
    #[schemars(range(min = 1024, max = 268_435_456))]
    pub max_answer: u64,

    /// The attribute that says in which regions requests may be served, for example `"consumer.claim.regions"`: values
    /// of `region` of deployments, with `*` at the end for all that begin so. Deployments without a `region` get none of
    /// these requests. Without the attribute a request may go anywhere.
    #[serde(default)]
    pub region_attribute: Option<String>,

    /// Write into responses which deployment answered (`x-model-deployment`), and into whole ones what they used. Default `false`.
    #[serde(default)]
    pub response_headers: bool,

    /// The names of the metrics.
    #[serde(default)]
    pub metric_names: MetricNames,

    /// For how many consumers metrics are counted apart, as the label `consumer`: the first who come. All others are
    /// `other`. 0 is no such label, at most 1,000. Default 20.
    #[serde(default = "default_metric_consumers")]
    #[schemars(range(max = 1000))]
    pub metric_consumers: u32,

    /// Is `attempts` of `defaults`.
    #[serde(default)]
    pub attempts: Option<Moved>,

    /// Is `cool_down` of `defaults`.
    #[serde(default)]
    pub cool_down: Option<Moved>,

    /// Is `drain` of `defaults`.
    #[serde(default)]
    pub drain: Option<Moved>,

    /// Is `fail_over` of `defaults`.
    #[serde(default)]
    pub fail_over: Option<Moved>,

    /// Is `keep_alive` of `defaults`.
    #[serde(default)]
    pub keep_alive: Option<Moved>,
}

/// A failure for which another deployment is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailOver {
    /// Its limits are used up.
    RateLimited,
    /// It has no capacity.
    Overloaded,
    /// It failed, could not be reached, or took too long.
    Server,
    /// The request is too long for its model.
    ContextTooLong,
    /// Its filter refused the content.
    ContentFiltered,
    /// It does not know the model.
    NotFound,
    /// It refused the gateway's credentials.
    Auth,
}

/// A model of a provider, at an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    /// The upstream, one that `forward_to` of this plugin lists.
    pub upstream: String,

    /// Which API it has.
    pub provider: Provider,

    /// What the provider calls the model. Default the name that the client asked for.
    #[serde(default)]
    pub model: Option<String>,

    /// The secret with the provider's key, one that `secrets` of this plugin lists. Without one, the request is
    /// sent without credentials: the client's own never reach a provider.
    #[serde(default)]
    pub secret: Option<String>,

    /// The access key of AWS that signs requests to Bedrock. In its place `secret` may have a key of Bedrock's own.
    #[serde(default)]
    pub aws: Option<AwsSpec>,

    /// Where it is, for `region_attribute`. Of Bedrock it is the region that signatures are for, and of Vertex AI the
    /// location, such as `"eu-central-1"`, `"europe-west4"` or `"global"`.
    #[serde(default)]
    pub region: Option<String>,

    /// The project of Vertex AI.
    #[serde(default)]
    pub project: Option<String>,

    /// The account of Vertex AI for which access tokens are fetched.
    #[serde(default)]
    pub service_account: Option<ServiceAccountSpec>,

    /// The `Host` of requests to Bedrock, which is signed. Default `"bedrock-runtime.REGION.amazonaws.com"`.
    #[serde(default)]
    pub host: Option<String>,

    /// What stands before the API's paths at the upstream. Default the provider's: `"/v1"` of OpenAI, for example.
    #[serde(default)]
    pub path: Option<String>,

    /// The `api-version` of Azure OpenAI, or `"v1"` for its API without dates. Default `"2024-10-21"`.
    #[serde(default)]
    pub api_version: Option<String>,

    /// Fields that are set in each request to it.
    #[serde(default)]
    pub headers: BTreeMap<HeaderName, String>,

    /// What its tokens cost, in US dollars for a million of them, as decimal texts: `input`, `output`, `cache_read`,
    /// `cache_write`, `cache_write_1h`, `reasoning`, `audio_input`, `audio_output`, `image_input`, `image_output`,
    /// `search` for a million searches, and `audio_second` for a million seconds of audio.
    /// `above = [{ tokens = 200000, input = "5" }]` has prices of longer requests; `batch`, `flex` and `priority` are tables with those of other classes of service.
    #[serde(default)]
    pub price: Option<serde_json::Map<String, serde_json::Value>>,

    /// The name under which `prices` has it. Default `model`.
    #[serde(default)]
    pub price_name: Option<String>,

    /// How many requests it serves at a time. More wait, or go to another deployment.
    #[serde(default)]
    pub concurrency: Option<ConcurrencySpec>,

    /// How much it is sent within a minute: what is over goes to another deployment, so that the provider need not
    /// refuse it.
    #[serde(default)]
    pub limits: Option<LimitsSpec>,

    /// What is read of its response when the client has left, so that the usage at the end is known. Default `drain`
    /// of `defaults`.
    #[serde(default)]
    pub drain: Option<DrainSpec>,

    /// How long its streams may be without content from when a request was sent, `"1s"` to `"10m"`; `"0s"` is no bound. Default
    /// `first_token` of `defaults`.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub first_token: Option<String>,

    /// How long it is passed over after it failed, where the provider does not say it: at most `"1h"`. Default `cool_down`
    /// of `defaults`.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub cool_down: Option<String>,
}

/// What is read of a response when its client has left.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainSpec {
    /// For how long, at most `"10m"`; `"0s"` is not at all. Default `"30s"`.
    #[serde(default = "default_drain_time")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub time: String,

    /// How many bytes of what the client would have been sent, 1 to 1 GiB. Default 1 MiB.
    #[serde(default = "default_drain_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub bytes: u64,
}

/// Which API a deployment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// OpenAI, and what speaks its API: vLLM, llama.cpp, TGI and others.
    Openai,
    /// Azure OpenAI: the model is in the path.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Gemini of Google AI Studio.
    Gemini,
    /// Ollama's own API.
    Ollama,
    /// Bedrock of AWS: Converse, and InvokeModel for embeddings.
    Bedrock,
    /// Gemini, and models for embeddings, on Vertex AI.
    Vertex,
    /// Models of Anthropic on Vertex AI.
    VertexAnthropic,
    /// Mistral: OpenAI's API without some of its members.
    Mistral,
    /// Cohere: version 2 of its own API.
    Cohere,
    /// Cohere, by the API that it has for clients of OpenAI.
    CohereOpenai,
}

/// How many requests a deployment serves at a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySpec {
    /// So many at a time. The others wait, or go elsewhere. With 0 it is sent nothing.
    pub limit: u32,

    /// How many more may wait, at most 10,000. Only requests for which there is no other deployment do. Default 0.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    pub queue: u32,

    /// How long they wait, at most `"1h"`. Default `"30s"`.
    #[serde(default = "default_wait")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub wait: String,

    /// Whether a request waits though its turn is expected later than `wait` is over. Default `false`: it is refused at
    /// once, or sent to a deployment further down.
    #[serde(default)]
    pub wait_in_vain: bool,
}

/// How much a deployment is sent within a minute; with 0 nothing.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// So many requests within a minute.
    #[serde(default)]
    #[schemars(range(max = 999_999_999_999_999_u64))]
    pub requests_per_minute: Option<u64>,

    /// So many tokens, of requests and responses together: estimated before, and put right by the usage.
    #[serde(default)]
    #[schemars(range(max = 999_999_999_999_999_u64))]
    pub tokens_per_minute: Option<u64>,
}

/// A model that clients may ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its deployments, 1 to 16: those with the lowest `priority` that can take the request share it.
    #[schemars(length(min = 1, max = 16))]
    pub deployments: Vec<ShareSpec>,

    /// Other names that clients may use for it.
    #[serde(default)]
    pub aliases: Vec<String>,

    /// Who may use it, of those whom its groups let in: values of the attributes that `consumer_attributes` names. `[]` is
    /// nobody. Default everybody.
    #[serde(default)]
    pub consumers: Option<Vec<String>>,

    /// The most output tokens that a request may ask for. One that asks for more, or does not say it, is sent with
    /// this number.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<u64>,

    /// The most input tokens, as estimated from the size of the texts. A longer request is answered 400.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_input_tokens: Option<u64>,

    /// By what requests stay with a deployment, so that its cache of prompts is of use: `prompt` by how their texts
    /// begin, `session` by what the client says of its session, `header:NAME` or `attribute:NAME`. Default each request
    /// by itself.
    #[serde(default)]
    pub affinity: Option<String>,

    /// How far `affinity` may load a deployment, as a factor of its part of the requests that are under way at the model's
    /// deployments of one priority: one that has more is passed over while another has less. 1 to 100, for example `1.25`. Default no bound.
    #[serde(default)]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub affinity_load: Option<f64>,

    /// How often one request is sent, at most, to its deployments: 1 to 8. Default `attempts` of `defaults`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8))]
    pub attempts: Option<u32>,

    /// For which failures of a deployment another one is asked; `[]` is for none. Default `fail_over` of `defaults`.
    #[serde(default)]
    pub fail_over: Option<Vec<FailOver>>,

    /// Keeps streams that are silent alive: so long after the last event a client is sent a comment, or what else its API
    /// has for that, `"1s"` to `"1h"`; `"0s"` is never. Clients of OpenAI, Anthropic and Cohere take one; those of other
    /// APIs are sent none. Default `keep_alive` of `defaults`.
    #[serde(default)]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub keep_alive: Option<String>,
}

/// A deployment's part in a model.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareSpec {
    /// The deployment.
    pub name: String,

    /// Its part of the requests, beside the others of its priority: 0 to 1,000,000; 0 is none. Default 1.
    #[serde(default = "default_weight")]
    #[schemars(range(max = 1_000_000))]
    pub weight: u32,

    /// Lower numbers are asked first. Default 0.
    #[serde(default)]
    pub priority: u8,
}

/// The names of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricNames {
    /// Those of OpenTelemetry's conventions since 2026: counters of tokens by kind, `gen_ai_client_inference_...`.
    #[default]
    New,
    /// Those before: one histogram of tokens with the label `gen_ai_token_type`, `gen_ai_client_operation_...`.
    Old,
    /// Both.
    Both,
}

fn default_max_body() -> u64 {
    32 << 20
}

fn default_max_answer() -> u64 {
    16 << 20
}

fn default_consumer_attributes() -> Vec<String> {
    vec!["consumer.id".to_owned(), "consumer.group".to_owned()]
}

fn default_metric_consumers() -> u32 {
    20
}

fn default_drain_time() -> String {
    "30s".to_owned()
}

fn default_drain_bytes() -> u64 {
    1 << 20
}

fn default_wait() -> String {
    "30s".to_owned()
}

fn default_weight() -> u32 {
    1
}
