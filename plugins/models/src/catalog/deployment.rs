//! A model of a provider, at an upstream: what is written of it, checked.
//!
//! Owns the bounds of each key. Credentials are read by `credential`, prices by `cost`.

use std::time::Duration;

use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::{attempts, duration};

use crate::catalog::escaped;
use crate::config::{ConcurrencySpec, DeploymentSpec, DrainSpec, LimitsSpec, Provider};
use crate::cost::Price;
use crate::credential::Credential;
use crate::defaults::Defaults;

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
    /// Its requests are counted, for `affinity_load` of a model.
    pub(crate) is_counted: bool,
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) drain: Drain,
    /// How long a stream may be without content; zero is no bound.
    pub(crate) first_token: Duration,
    /// How long it is passed over after it failed, where the provider does not say it.
    pub(crate) cool_down: Duration,
}

/// What is read of a response when its client has left: nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drain {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// How many requests a deployment serves at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Concurrency {
    pub(crate) limit: u32,
    pub(crate) queue: u32,
    pub(crate) wait: Duration,
    pub(crate) wait_in_vain: bool,
}

impl Deployment {
    pub(super) fn new(
        name: &str,
        spec: DeploymentSpec,
        has_prices: bool,
        defaults: &Defaults,
    ) -> Result<Self, ConfigError> {
        let at = |key: &str| format!("/deployments/{}/{key}", escaped(name));
        let mut errors = Vec::new();
        let credential = Credential::new(&spec, &at, &mut errors);
        if !attempts::may_forward(&spec.upstream) {
            let message = format!(
                "names `{0}`, to which the plugin may not forward: it needs `forward_to = [\"{0}\"]` beside `component`, \
                 with an upstream of this name",
                spec.upstream
            );
            errors.push(ConfigError::at(at("upstream"), message));
        }
        let headers = spec.headers.into_iter().map(|(name, value)| (name.to_string(), value));
        let headers: Vec<_> = headers.collect();
        check_headers(&headers, &|key| at(key), &mut errors);
        let path = spec.path.unwrap_or_else(|| spec.provider.default_path().to_owned());
        if !path.is_empty() && !is_path(&path) {
            let message = "must be empty, or such that it begins with `/`, does not end so, and has letters, digits and `-._~` between";
            errors.push(ConfigError::at(at("path"), message).help("write it as in `/v1`"));
        }
        if spec.api_version.is_some() && spec.provider != Provider::Azure {
            let error = ConfigError::at(at("api_version"), "is for the provider `azure` alone");
            errors.push(error.help("take it out, or write `provider = \"azure\"`"));
        }
        let price = spec.price.as_ref();
        let price = price.and_then(|price| Price::at(price, &|key| at(key), &mut errors));
        if spec.price_name.is_some() && !has_prices {
            let error =
                ConfigError::at(at("price_name"), "is a name in `prices`, which is not set");
            let help = "write `prices = \"DOCUMENT\"` in `config`, or a `price` in its place";
            errors.push(error.help(help));
        }
        let concurrency = spec.concurrency.as_ref();
        let concurrency =
            concurrency.and_then(|it| Concurrency::at(it, &|key| at(key), &mut errors));
        let limits =
            Limits::at(spec.limits, &|key| at(key), &mut errors).unwrap_or(defaults.limits);
        let drain = spec.drain.as_ref();
        let drain = drain.map(|it| Drain::at(it, &|key| at(key), &mut errors));
        let cool_down = spec.cool_down.as_deref();
        let cool_down = cool_down.map(|it| cool_down_at(it, at("cool_down"), &mut errors));
        let first_token = spec.first_token.as_deref();
        let first_token = first_token.map(|it| first_token_at(it, at("first_token"), &mut errors));
        ConfigError::collect(errors)?;
        Ok(Self {
            name: name.to_owned(),
            first_token: first_token.unwrap_or(defaults.first_token),
            drain: drain.unwrap_or(defaults.drain),
            cool_down: cool_down.unwrap_or(defaults.cool_down),
            upstream: spec.upstream,
            provider: spec.provider,
            price_name: spec.price_name.or_else(|| spec.model.clone()),
            model: spec.model,
            credential,
            project: spec.project.unwrap_or_default(),
            region: spec.region.unwrap_or_default(),
            path,
            api_version: spec.api_version.unwrap_or_else(|| "2024-10-21".to_owned()),
            headers: defaults.headers_with(headers),
            price,
            concurrency: concurrency.or(defaults.concurrency),
            is_counted: false,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
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

/// Where a key is, as a JSON Pointer.
type At<'a> = &'a dyn Fn(&str) -> String;

/// The most that a limit within a minute can be.
const MOST_WITHIN_A_MINUTE: u64 = 999_999_999_999_999;

/// How much a deployment is sent within a minute.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
}

impl Limits {
    /// Those of the table `limits`, if there is one.
    pub(crate) fn at(
        spec: Option<LimitsSpec>,
        at: At<'_>,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let LimitsSpec { requests_per_minute, tokens_per_minute } = spec?;
        for (key, limit) in
            [("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)]
        {
            if limit.is_some_and(|limit| limit > MOST_WITHIN_A_MINUTE) {
                let error = ConfigError::at(
                    at(&format!("limits/{key}")),
                    format!("must be 0 to {MOST_WITHIN_A_MINUTE}"),
                );
                errors.push(error.help("without the key there is none; 0 lets nothing through"));
            }
        }
        Some(Self { requests_per_minute, tokens_per_minute })
    }
}

impl Drain {
    /// That of the table `drain`.
    pub(crate) fn at(spec: &DrainSpec, at: At<'_>, errors: &mut Vec<ConfigError>) -> Self {
        let time = duration_at(&spec.time, at("drain/time"), errors);
        if time > Duration::from_secs(600) {
            let error = ConfigError::at(at("drain/time"), "must be at most `10m`");
            errors.push(error.help("write `\"10m\"`, or less; `\"0s\"` reads nothing"));
        }
        if !(1..=1 << 30).contains(&spec.bytes) {
            let error = ConfigError::at(at("drain/bytes"), "must be 1 to 1073741824");
            errors.push(error.help("`time = \"0s\"` reads nothing"));
        }
        Self { bytes: spec.bytes, time }
    }
}

impl Concurrency {
    /// That of the table `concurrency`, if nothing is wrong with it.
    pub(crate) fn at(
        spec: &ConcurrencySpec,
        at: At<'_>,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let before = errors.len();
        let at = |key: &str| at(&format!("concurrency/{key}"));
        let wait = duration_at(&spec.wait, at("wait"), errors);
        if (wait.is_zero() && errors.len() == before) || wait > Duration::from_secs(3600) {
            let message = "must be more than nothing and at most `1h`";
            let error = ConfigError::at(at("wait"), message);
            errors.push(error.help("with `queue = 0`, which is the default, none waits"));
        }
        if spec.queue > 10_000 {
            errors.push(ConfigError::at(at("queue"), "must be at most 10000"));
        }
        let found =
            Self { limit: spec.limit, queue: spec.queue, wait, wait_in_vain: spec.wait_in_vain };
        (errors.len() == before).then_some(found)
    }
}

/// How long a deployment is passed over.
pub(crate) fn cool_down_at(text: &str, at: String, errors: &mut Vec<ConfigError>) -> Duration {
    let time = duration_at(text, at.clone(), errors);
    if time > Duration::from_secs(3600) {
        let error = ConfigError::at(at, "must be at most `1h`");
        errors.push(error.help("write `\"1h\"`, or less"));
    }
    time
}

/// How long a stream may be without content.
pub(crate) fn first_token_at(text: &str, at: String, errors: &mut Vec<ConfigError>) -> Duration {
    let before = errors.len();
    let time = duration_at(text, at.clone(), errors);
    let is_one = (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&time);
    if errors.len() == before && !is_one && !time.is_zero() {
        let error = ConfigError::at(at, "must be `1s` to `10m`");
        errors.push(error.help("`\"0s\"` is no bound"));
    }
    time
}

/// Fields that are set in requests: no request can be given others.
pub(crate) fn check_headers(
    headers: &[(String, String)],
    at: At<'_>,
    errors: &mut Vec<ConfigError>,
) {
    for (name, value) in headers {
        let is_text = value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte));
        if !is_text || FRAMING.contains(&name.as_str()) {
            let pointer = at(&format!("headers/{}", escaped(name)));
            let error = ConfigError::at(pointer, "is no field that a request can be given");
            let help =
                "a value is one line of ASCII; what frames a message is the gateway's: take it out";
            errors.push(error.help(help));
        }
    }
}

fn duration_at(text: &str, at: String, errors: &mut Vec<ConfigError>) -> Duration {
    duration::parse(text).unwrap_or_else(|why| {
        errors.push(ConfigError::at(at, why.to_string()));
        Duration::ZERO
    })
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
