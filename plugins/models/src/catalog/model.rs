//! A model that clients may ask for: what is written of it, checked.
//!
//! Owns which deployments it has, and what keeps requests at one.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName};

use crate::catalog::{escaped, meant};
use crate::config::{ModelSpec, ShareSpec};
use crate::defaults::Defaults;
use crate::fail_over::FailOvers;
use crate::groups::check_values;
use crate::silence;

/// The most deployments of a model.
const MOST_SHARES: usize = 16;

/// The most that a weight can be.
const MOST_WEIGHT: u32 = 1_000_000;

/// A model that clients may ask for.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) shares: Vec<Share>,
    pub(crate) consumers: Option<Vec<String>>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) max_input_tokens: Option<u64>,
    pub(crate) affinity: Option<Affinity>,
    /// How far it may load a deployment, as a factor of its part of what is under way.
    pub(crate) affinity_load: Option<f64>,
    pub(crate) fail_overs: FailOvers,
    /// How long its streams may be silent.
    pub(crate) keep_alive: Option<Duration>,
    /// Its groups, by index: the one that names it most precisely first.
    pub(crate) groups: Vec<usize>,
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
#[derive(Debug, Clone)]
pub(crate) enum Affinity {
    Header(String),
    Attribute(String),
    Session,
    Prompt,
}

impl Model {
    pub(super) fn new(
        name: String,
        spec: ModelSpec,
        deployments: &[String],
        defaults: &Defaults,
    ) -> Result<Self, ConfigError> {
        let pointer = format!("/models/{}", escaped(&name));
        let mut errors = Vec::new();
        let mut shares = Vec::with_capacity(spec.deployments.len());
        for (index, share) in spec.deployments.into_iter().enumerate() {
            let ShareSpec { name, weight, priority } = share;
            match deployments.binary_search(&name) {
                Ok(deployment) if shares.iter().any(|it: &Share| it.deployment == deployment) => {
                    let at = format!("{pointer}/deployments/{index}/name");
                    let error =
                        ConfigError::at(at, format!("is `{name}`, which is in the list already"));
                    errors.push(
                        error.help("take one of the two out; `weight` says how much one has"),
                    );
                }
                Ok(deployment) => {
                    if weight > MOST_WEIGHT {
                        let at = format!("{pointer}/deployments/{index}/weight");
                        errors.push(ConfigError::at(at, "must be at most 1000000"));
                    }
                    shares.push(Share { deployment, weight, priority });
                }
                Err(_) => {
                    let at = format!("{pointer}/deployments/{index}/name");
                    let error = ConfigError::at(
                        at,
                        format!("is `{name}`, and there is no such deployment"),
                    );
                    errors.push(match meant(&name, deployments.iter().map(String::as_str)) {
                        Some(help) => error.help(help),
                        None => error,
                    });
                }
            }
        }
        let at = |key: &str| format!("{pointer}/{key}");
        if shares.len() > MOST_SHARES || (shares.is_empty() && errors.is_empty()) {
            let message = format!("must have 1 to {MOST_SHARES} deployments");
            errors.push(ConfigError::at(at("deployments"), message));
        } else if shares.iter().all(|share| share.weight == 0) && errors.is_empty() {
            let error =
                ConfigError::at(at("deployments"), "has no deployment with a weight above 0");
            errors.push(error.help("without `weight` it is 1"));
        }
        let affinity = spec.affinity.as_deref();
        let affinity = affinity.and_then(|it| Affinity::at(it, at("affinity"), &mut errors));
        if let Some(load) = spec.affinity_load {
            if !(1.0..=100.0).contains(&load) {
                let error = ConfigError::at(at("affinity_load"), "must be 1 to 100");
                errors.push(error.help("without the key there is no bound"));
            } else if spec.affinity.is_none() && defaults.affinity.is_none() {
                let message = "bounds `affinity`, and the model has none";
                let error = ConfigError::at(at("affinity_load"), message);
                errors.push(error.help("add `affinity`, or take the key out"));
            }
        }
        let before = &defaults.fail_overs;
        let fail_overs =
            FailOvers::at(spec.attempts, spec.fail_over.as_deref(), before, &at, &mut errors);
        let keep_alive = spec.keep_alive.as_deref();
        let keep_alive = keep_alive.map(|it| silence::parse(it, at("keep_alive"), &mut errors));
        check_bounds(spec.max_output_tokens, spec.max_input_tokens, &at, &mut errors);
        if let Some(consumers) = &spec.consumers {
            check_values(&at("consumers"), consumers, &mut errors);
        }
        ConfigError::collect(errors)?;
        shares.sort_by_key(|share| share.priority);
        Ok(Self {
            name,
            shares,
            consumers: spec.consumers,
            max_output_tokens: spec.max_output_tokens.or(defaults.max_output_tokens),
            max_input_tokens: spec.max_input_tokens.or(defaults.max_input_tokens),
            affinity: affinity.or_else(|| defaults.affinity.clone()),
            affinity_load: spec.affinity_load,
            fail_overs,
            keep_alive: keep_alive.unwrap_or(defaults.keep_alive),
            groups: Vec::new(),
            is_mixed: false,
        })
    }
}

impl Affinity {
    /// What a text says.
    pub(crate) fn at(text: &str, at: String, errors: &mut Vec<ConfigError>) -> Option<Self> {
        match (text, text.split_once(':')) {
            ("prompt", _) => Some(Self::Prompt),
            ("session", _) => Some(Self::Session),
            (_, Some(("header", name))) if HeaderName::try_from(name).is_ok() => {
                Some(Self::Header(name.to_ascii_lowercase()))
            }
            (_, Some(("attribute", name))) if !name.is_empty() => {
                Some(Self::Attribute(name.to_owned()))
            }
            _ => {
                let error =
                    ConfigError::at(at, format!("is `{text}`, which keeps no requests together"));
                let help = "write `prompt`, `session`, `header:NAME` or `attribute:NAME`";
                errors.push(error.help(help));
                None
            }
        }
    }
}

/// Bounds of tokens are at least one.
pub(crate) fn check_bounds(
    output: Option<u64>,
    input: Option<u64>,
    at: &dyn Fn(&str) -> String,
    errors: &mut Vec<ConfigError>,
) {
    for (key, bound) in [("max_output_tokens", output), ("max_input_tokens", input)] {
        if bound == Some(0) {
            let error = ConfigError::at(at(key), "must be at least 1");
            errors.push(error.help("without the key there is no bound"));
        }
    }
}
