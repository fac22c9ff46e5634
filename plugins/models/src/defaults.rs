//! What holds for models and deployments that do not say otherwise.
//!
//! Owns the values where nobody says anything. Each key is checked as those of models and deployments are.

use std::time::Duration;

use gateway_plugin_sdk::prelude::ConfigError;

use crate::catalog::{
    Affinity, Concurrency, Drain, Limits, check_bounds, check_headers, cool_down_at, first_token_at,
};
use crate::config::Config;
use crate::cost::Price;
use crate::fail_over::FailOvers;
use crate::silence;

/// How long a deployment is passed over, where nobody says it.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// The table `defaults`, checked.
#[derive(Debug)]
pub(crate) struct Defaults {
    pub(crate) fail_overs: FailOvers,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) max_input_tokens: Option<u64>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) cool_down: Duration,
    pub(crate) first_token: Duration,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) limits: Limits,
    pub(crate) drain: Drain,
    headers: Vec<(String, String)>,
}

impl Defaults {
    pub(crate) fn new(config: &mut Config, errors: &mut Vec<ConfigError>) -> Self {
        refuse_moved(config, errors);
        let spec = &config.defaults;
        let at = |key: &str| format!("/defaults/{key}");
        let fail_overs = FailOvers::at(
            spec.attempts,
            spec.fail_over.as_deref(),
            &FailOvers::default(),
            &at,
            errors,
        );
        let keep_alive = spec.keep_alive.as_deref();
        let keep_alive = keep_alive.and_then(|it| silence::parse(it, at("keep_alive"), errors));
        check_bounds(spec.max_output_tokens, spec.max_input_tokens, &at, errors);
        let affinity = spec.affinity.as_deref();
        let affinity = affinity.and_then(|it| Affinity::at(it, at("affinity"), errors));
        let cool_down = spec.cool_down.as_deref();
        let cool_down = cool_down.map(|it| cool_down_at(it, at("cool_down"), errors));
        let first_token = spec.first_token.as_deref();
        let first_token = first_token.map(|it| first_token_at(it, at("first_token"), errors));
        let concurrency = spec.concurrency.as_ref();
        let concurrency = concurrency.and_then(|it| Concurrency::at(it, &at, errors));
        let limits = Limits::at(spec.limits, &at, errors).unwrap_or_default();
        let drain = spec.drain.as_ref().map(|it| Drain::at(it, &at, errors)).unwrap_or_default();
        let headers = spec.headers.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let headers: Vec<_> = headers.collect();
        check_headers(&headers, &at, errors);
        Self {
            fail_overs,
            keep_alive,
            max_output_tokens: spec.max_output_tokens,
            max_input_tokens: spec.max_input_tokens,
            affinity,
            cool_down: cool_down.unwrap_or(COOL_DOWN),
            first_token: first_token.unwrap_or_default(),
            concurrency,
            limits,
            drain,
            headers,
        }
    }

    /// The fields of requests to a deployment with these of its own.
    pub(crate) fn headers_with(&self, mut own: Vec<(String, String)>) -> Vec<(String, String)> {
        let is_own = |name: &String| own.iter().any(|(known, _)| known == name);
        let added = self.headers.iter().filter(|(name, _)| !is_own(name));
        let added: Vec<_> = added.cloned().collect();
        own.extend(added);
        own
    }
}

/// The price of deployments for which none is known.
pub(crate) fn price(config: &Config, errors: &mut Vec<ConfigError>) -> Option<Price> {
    let at = |key: &str| format!("/defaults/{key}");
    config.defaults.price.as_ref().and_then(|price| Price::at(price, &at, errors))
}

/// Keys that stood beside `deployments` once.
fn refuse_moved(config: &Config, errors: &mut Vec<ConfigError>) {
    let moved = [
        ("attempts", config.attempts.is_some(), "attempts = 3"),
        ("cool_down", config.cool_down.is_some(), "cool_down = \"5s\""),
        ("drain", config.drain.is_some(), "drain = { time = \"30s\" }"),
        ("fail_over", config.fail_over.is_some(), "fail_over = [\"server\"]"),
        ("keep_alive", config.keep_alive.is_some(), "keep_alive = \"15s\""),
    ];
    for (key, _, example) in moved.into_iter().filter(|(_, is_set, _)| *is_set) {
        let error = ConfigError::at(format!("/{key}"), "stands in `defaults` now");
        errors.push(
            error.help(format!("write `defaults.{key}` in its place, as in `defaults.{example}`")),
        );
    }
}
