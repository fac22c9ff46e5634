//! The models and their deployments, checked.
//!
//! Owns what names mean. Must not decide about requests: `choose` does.

use std::collections::HashMap;
use std::time::Duration;

use gateway_model_protocols::Action;
use gateway_plugin_sdk::prelude::{ConfigError, HeaderName};
use gateway_plugin_sdk::{attempts, duration};

use crate::config::{
    ConcurrencySpec, Config, DeploymentSpec, DrainSpec, ModelSpec, Provider, ShareSpec,
};
use crate::cost::Price;
use crate::credential::Credential;

/// The most deployments: which of them can serve a call is kept as bits.
const MOST_DEPLOYMENTS: usize = 64;

/// The most models.
const MOST_MODELS: usize = 1024;

/// The longest name of a model, in bytes.
pub(crate) const MOST_NAME: usize = 256;

/// Fields that are the gateway's.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the configuration offers.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) models: Vec<Model>,
    /// Names and aliases.
    by_name: HashMap<String, usize>,
    /// Fields by which requests stay together.
    affinity_fields: Vec<String>,
    /// The attribute with the regions of a request.
    pub(crate) region_attribute: Option<String>,
}

/// A model of a provider, at an upstream.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) upstream: String,
    pub(crate) provider: Provider,
    /// What the provider calls it.
    pub(crate) model: Option<String>,
    pub(crate) credential: Credential,
    /// Of Vertex AI.
    pub(crate) project: String,
    pub(crate) region: String,
    /// What stands before the API's paths.
    pub(crate) path: String,
    pub(crate) api_version: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) price: Option<Price>,
    pub(crate) price_name: Option<String>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) drain: Drain,
    /// How long a stream may be without content; zero is no bound.
    pub(crate) first_token: Duration,
}

/// What is read of a response when its client has left: nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drain {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// How many requests a deployment serves at a time.
#[derive(Debug)]
pub(crate) struct Concurrency {
    pub(crate) limit: u32,
    pub(crate) queue: u32,
    pub(crate) wait: Duration,
}

/// A model that clients may ask for.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) shares: Vec<Share>,
    pub(crate) consumers: Option<Vec<String>>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) max_input_tokens: Option<u64>,
    pub(crate) affinity: Option<Affinity>,
    /// Its deployments speak different APIs, so that an answer of one may come to another in the next request.
    pub(crate) is_mixed: bool,
}

/// A deployment's part in a model.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) deployment: usize,
    pub(crate) weight: u32,
    pub(crate) priority: u8,
}

/// By what requests stay with a deployment.
#[derive(Debug)]
pub(crate) enum Affinity {
    Header(String),
    Attribute(String),
    Session,
    Prompt,
}

impl Provider {
    fn default_path(self) -> &'static str {
        match self {
            Self::Openai | Self::Anthropic | Self::Mistral => "/v1",
            Self::Vertex | Self::VertexAnthropic => "/v1",
            Self::CohereOpenai => "/compatibility/v1",
            Self::Azure => "/openai",
            Self::Gemini => "/v1beta",
            Self::Ollama | Self::Bedrock | Self::Cohere => "",
        }
    }

    /// What OpenTelemetry's conventions call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure.ai.openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gcp.gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "aws.bedrock",
            Self::Vertex | Self::VertexAnthropic => "gcp.vertex_ai",
            Self::Mistral => "mistral_ai",
            Self::Cohere | Self::CohereOpenai => "cohere",
        }
    }
}

impl Catalog {
    pub(crate) fn new(config: &mut Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let names: Vec<String> = config.deployments.keys().cloned().collect();
        let asked = config.models.len();
        let drain = config.drain.as_ref().map(Drain::new).transpose();
        let drain = drain.unwrap_or_else(|wrong| {
            let error = |(key, message)| ConfigError::at(format!("/drain/{key}"), message);
            errors.extend(wrong.into_iter().map(error));
            None
        });
        let usual = Usual {
            has_prices: config.prices.is_some(),
            drain: drain.unwrap_or_default(),
            first_token: match config.first_token.as_deref() {
                None => Duration::ZERO,
                Some(text) => first_token(text, false).unwrap_or_else(|message| {
                    errors.push(ConfigError::at("/first_token", message));
                    Duration::ZERO
                }),
            },
        };
        let mut deployments = Vec::with_capacity(names.len());
        for (name, spec) in std::mem::take(&mut config.deployments) {
            match Deployment::new(&name, spec, &usual) {
                Ok(deployment) => deployments.push(deployment),
                Err(found) => errors.push(found),
            }
        }
        let (mut models, mut by_name) = (Vec::new(), HashMap::new());
        for (name, spec) in std::mem::take(&mut config.models) {
            errors.extend(claim_names(&name, &spec, models.len(), &mut by_name));
            match Model::new(name, spec, &names) {
                Ok(model) => models.push(model),
                Err(found) => errors.push(found),
            }
        }
        if names.len() > MOST_DEPLOYMENTS {
            let message = format!("there are at most {MOST_DEPLOYMENTS} deployments");
            errors.push(ConfigError::at("/deployments", message));
        }
        if asked > MOST_MODELS {
            let message = format!("there are at most {MOST_MODELS} models");
            errors.push(ConfigError::at("/models", message));
        }
        if names.is_empty() {
            errors.push(ConfigError::at("/deployments", "there is at least one deployment"));
        }
        if config.region_attribute.as_deref() == Some("") {
            let message = "the name of an attribute, such as `\"consumer.claim.regions\"`";
            errors.push(ConfigError::at("/region_attribute", message));
        }
        if models.is_empty() && errors.is_empty() {
            errors.push(ConfigError::at("/models", "there is at least one model"));
        }
        ConfigError::collect(errors)?;
        for model in &mut models {
            let mut own = model
                .shares
                .iter()
                .map(|share| deployments[share.deployment].provider.own(Action::Generate));
            let first = own.next();
            model.is_mixed = own.any(|other| Some(other) != first);
        }
        let by_field = |model: &Model| match &model.affinity {
            Some(Affinity::Header(name)) => Some(name.clone()),
            _ => None,
        };
        let affinity_fields = models.iter().filter_map(by_field).collect();
        let region_attribute = config.region_attribute.take();
        Ok(Self { deployments, models, by_name, affinity_fields, region_attribute })
    }

    /// Whether a deployment is of this provider.
    pub(crate) fn has_provider(&self, provider: Provider) -> bool {
        self.deployments.iter().any(|it| it.provider == provider)
    }

    /// Whether tokens are fetched for a deployment.
    pub(crate) fn has_accounts(&self) -> bool {
        let is_one = |it: &Deployment| matches!(it.credential, Credential::Account(_));
        self.deployments.iter().any(is_one)
    }

    /// Whether a model has requests stay together by a field of this name.
    pub(crate) fn has_affinity_by(&self, field: &str) -> bool {
        self.affinity_fields.iter().any(|name| name == field)
    }

    /// The model that a client asks for.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The model whose name is most like this one, of those that may be seen.
    pub(crate) fn nearest(&self, name: &str, may_see: impl Fn(&Model) -> bool) -> Option<&str> {
        let seen = self.by_name.iter().filter(|(_, model)| may_see(&self.models[**model]));
        let names = seen.map(|(name, _)| name.as_str());
        let near = names.map(|known| (distance(known, name), known));
        let (distance, nearest) = near.min()?;
        (distance <= name.len().max(3) / 3).then_some(nearest)
    }
}

impl Deployment {
    fn new(name: &str, spec: DeploymentSpec, usual: &Usual) -> Result<Self, ConfigError> {
        let at = |key: &str| format!("/deployments/{}/{key}", escaped(name));
        let mut errors = Vec::new();
        let credential = Credential::new(&spec, &at, &mut errors);
        if !attempts::may_forward(&spec.upstream) {
            let message = format!(
                "the plugin may not forward to `{0}`: it needs `forward_to = [\"{0}\"]` beside `component`, with an \
                 upstream of this name",
                spec.upstream
            );
            errors.push(ConfigError::at(at("upstream"), message));
        }
        for (name, value) in &spec.headers {
            let is_text = value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte));
            if !is_text || FRAMING.contains(&name.as_str()) {
                let pointer = at(&format!("headers/{}", escaped(name.as_str())));
                let message = "no request can be given this field: a value is one line of ASCII, and what frames a \
                               message is the gateway's";
                errors.push(ConfigError::at(pointer, message));
            }
        }
        let path = spec.path.unwrap_or_else(|| spec.provider.default_path().to_owned());
        if !path.is_empty() && !is_path(&path) {
            let message = "a path begins with `/`, does not end so, and has letters, digits and `-._~` between, as in \
                           `/v1`; it may be empty";
            errors.push(ConfigError::at(at("path"), message));
        }
        if spec.api_version.is_some() && spec.provider != Provider::Azure {
            let message = "only the provider `azure` has it";
            errors.push(ConfigError::at(at("api_version"), message));
        }
        let price = match &spec.price {
            None => None,
            Some(price) => match Price::new(price) {
                Ok(price) => Some(price),
                Err((key, message)) => {
                    let key = key.replace('.', "/");
                    errors.push(ConfigError::at(at(&format!("price/{key}")), message));
                    None
                }
            },
        };
        if spec.price_name.is_some() && !usual.has_prices {
            errors.push(ConfigError::at(
                at("price_name"),
                "it is a name in `prices`, which is not set",
            ));
        }
        let concurrency = match spec.concurrency {
            None => None,
            Some(spec) => match Concurrency::new(&spec) {
                Ok(concurrency) => Some(concurrency),
                Err(wrong) => {
                    let at = |key| at(&format!("concurrency/{key}"));
                    let error = |(key, message)| ConfigError::at(at(key), message);
                    errors.extend(wrong.into_iter().map(error));
                    None
                }
            },
        };
        let first_token = match spec.first_token.as_deref() {
            None => usual.first_token,
            Some(text) => first_token(text, true).unwrap_or_else(|message| {
                errors.push(ConfigError::at(at("first_token"), message));
                Duration::ZERO
            }),
        };
        let drain = spec.drain.as_ref().map_or(Ok(usual.drain), Drain::new);
        let drain = drain.unwrap_or_else(|wrong| {
            let error = |(key, message)| ConfigError::at(at(&format!("drain/{key}")), message);
            errors.extend(wrong.into_iter().map(error));
            Drain::default()
        });
        ConfigError::collect(errors)?;
        Ok(Self {
            name: name.to_owned(),
            drain,
            first_token,
            upstream: spec.upstream,
            provider: spec.provider,
            price_name: spec.price_name.or_else(|| spec.model.clone()),
            model: spec.model,
            credential,
            project: spec.project.unwrap_or_default(),
            region: spec.region.unwrap_or_default(),
            path,
            api_version: spec.api_version.unwrap_or_else(|| "2024-10-21".to_owned()),
            headers: spec
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
            price,
            concurrency,
            requests_per_minute: spec.limits.and_then(|limits| limits.requests_per_minute),
            tokens_per_minute: spec.limits.and_then(|limits| limits.tokens_per_minute),
        })
    }
}

impl Deployment {
    /// Whether it is in one of these regions: names, or beginnings of names with `*` behind them. What stands between
    /// them may be anything else, so that a list in JSON is one too.
    pub(crate) fn is_in(&self, regions: &str) -> bool {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '*');
        let mut names = regions.split(|c| !is_name(c)).filter(|name| !name.is_empty());
        !self.region.is_empty()
            && names.any(|name| match name.strip_suffix('*') {
                Some(beginning) => self.region.starts_with(beginning),
                None => self.region == name,
            })
    }
}

/// What deployments have that do not say it themselves.
struct Usual {
    has_prices: bool,
    drain: Drain,
    first_token: Duration,
}

/// How long a stream may be without content.
fn first_token(text: &str, may_be_none: bool) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(str::to_owned)?;
    let is_one = (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&time);
    match is_one || (may_be_none && time.is_zero()) {
        true => Ok(time),
        false if may_be_none => {
            Err("a stream has `1s` to `10m` for its first content; `0s` is no bound".to_owned())
        }
        false => Err("a stream has `1s` to `10m` for its first content".to_owned()),
    }
}

/// What is wrong with the keys of a table.
type Wrong = Vec<(&'static str, String)>;

fn duration_of(key: &'static str, text: &str, wrong: &mut Wrong) -> Duration {
    duration::parse(text).unwrap_or_else(|why| {
        wrong.push((key, why.to_string()));
        Duration::ZERO
    })
}

impl Drain {
    fn new(spec: &DrainSpec) -> Result<Self, Wrong> {
        let mut wrong = Vec::new();
        let time = duration_of("time", &spec.time, &mut wrong);
        if time > Duration::from_secs(600) {
            wrong.push(("time", "a response is read for at most `10m`".to_owned()));
        }
        if !(1..=1 << 30).contains(&spec.bytes) {
            let message = "1 to 1073741824 bytes; `time = \"0s\"` reads nothing".to_owned();
            wrong.push(("bytes", message));
        }
        if wrong.is_empty() { Ok(Self { bytes: spec.bytes, time }) } else { Err(wrong) }
    }
}

impl Concurrency {
    fn new(spec: &ConcurrencySpec) -> Result<Self, Wrong> {
        let mut wrong = Vec::new();
        let wait = duration_of("wait", &spec.wait, &mut wrong);
        if (wait.is_zero() && wrong.is_empty()) || wait > Duration::from_secs(3600) {
            wrong.push((
                "wait",
                "a request waits for more than nothing and at most `1h`".to_owned(),
            ));
        }
        if spec.limit == 0 {
            wrong.push(("limit", "at least one request at a time".to_owned()));
        }
        if spec.queue > 10_000 {
            wrong.push(("queue", "at most 10,000 requests wait".to_owned()));
        }
        let found = Self { limit: spec.limit, queue: spec.queue, wait };
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }
}

impl Model {
    fn new(name: String, spec: ModelSpec, deployments: &[String]) -> Result<Self, ConfigError> {
        let pointer = format!("/models/{}", escaped(&name));
        let mut errors = Vec::new();
        let mut shares = Vec::with_capacity(spec.deployments.len());
        for (index, share) in spec.deployments.into_iter().enumerate() {
            let ShareSpec { name, weight, priority } = share;
            match deployments.binary_search(&name) {
                Ok(deployment) if shares.iter().any(|it: &Share| it.deployment == deployment) => {
                    let message = format!("`{name}` is in the list already");
                    errors.push(ConfigError::at(
                        format!("{pointer}/deployments/{index}/name"),
                        message,
                    ));
                }
                Ok(deployment) => shares.push(Share { deployment, weight, priority }),
                Err(_) => {
                    let near = deployments.iter().min_by_key(|known| distance(known, &name));
                    let hint =
                        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    let message = format!("there is no deployment `{name}`{hint}");
                    errors.push(ConfigError::at(
                        format!("{pointer}/deployments/{index}/name"),
                        message,
                    ));
                }
            }
        }
        if shares.iter().all(|share| share.weight == 0) && errors.is_empty() {
            let message = "at least one deployment has a weight above 0";
            errors.push(ConfigError::at(format!("{pointer}/deployments"), message));
        }
        let affinity = match spec.affinity.as_deref() {
            None => None,
            Some("prompt") => Some(Affinity::Prompt),
            Some("session") => Some(Affinity::Session),
            Some(text) => match text.split_once(':') {
                Some(("header", name)) if HeaderName::try_from(name).is_ok() => {
                    Some(Affinity::Header(name.to_ascii_lowercase()))
                }
                Some(("attribute", name)) if !name.is_empty() => {
                    Some(Affinity::Attribute(name.to_owned()))
                }
                _ => {
                    let message = "`prompt`, `session`, `header:NAME` or `attribute:NAME`";
                    errors.push(ConfigError::at(format!("{pointer}/affinity"), message));
                    None
                }
            },
        };
        ConfigError::collect(errors)?;
        shares.sort_by_key(|share| share.priority);
        Ok(Self {
            name,
            shares,
            consumers: spec.consumers,
            max_output_tokens: spec.max_output_tokens,
            max_input_tokens: spec.max_input_tokens,
            affinity,
            is_mixed: false,
        })
    }
}

fn claim_names(
    name: &str,
    spec: &ModelSpec,
    model: usize,
    by_name: &mut HashMap<String, usize>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let aliases = spec.aliases.iter().enumerate();
    let aliases = aliases.map(|(index, alias)| (alias.as_str(), format!("/aliases/{index}")));
    for (other, place) in std::iter::once((name, String::new())).chain(aliases) {
        if other.is_empty() || other.len() > MOST_NAME {
            let pointer = format!("/models/{}{place}", escaped(name));
            errors.push(ConfigError::at(pointer, "a name has 1 to 256 bytes"));
        }
        if by_name.insert(other.to_owned(), model).is_some() {
            let pointer = format!("/models/{}{place}", escaped(name));
            errors.push(ConfigError::at(
                pointer,
                format!("there is a model or an alias `{other}` already"),
            ));
        }
    }
    errors
}

/// A key as part of a JSON Pointer (RFC 6901 section 3).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Whether a path can stand before those of an API.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let dots = |segment: &str| matches!(segment, "." | "..");
    path.starts_with('/')
        && !path.ends_with('/')
        && path.bytes().all(plain)
        && !path.split('/').any(dots)
}

/// How many letters differ (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, left) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in other.chars().enumerate() {
            let kept = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}
