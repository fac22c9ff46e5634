//! Limits how often clients may ask.
//!
//! A request is charged to all policies at once: each names a bucket (`key`), what it costs
//! (`cost`) and how the bucket fills (`policy`), and `claims` gathers them. If one has no room,
//! none is charged and the request is answered 429 (`refusal`). Responses tell what is left
//! (`fields`). The buckets themselves are the gateway's: an instance of the plugin remembers
//! nothing about requests.

mod address;
mod claims;
mod concurrency;
mod config;
mod cost;
mod duration;
mod fields;
mod key;
mod policy;
mod refusal;

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_plugin_sdk::limiter::{self, LimiterError, Verdict};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{clock, log};

use claims::Claims;
use concurrency::{Admission, Concurrency};
pub use config::{
    ConcurrencySpec, Config, CostSpec, Headers, Missing, OnUnavailable, PolicySpec, PrioritySpec,
    ToldCost,
};
use policy::Policy;

/// The most charges that the limiter takes at once.
const MOST_POLICIES: usize = 16;

/// The most limits on requests at the same time.
const MOST_CONCURRENCY: usize = 8;

/// How long an instance keeps silent about a limiter that is out of reach, in seconds.
const SILENCE: u64 = 10;

/// The attribute that names the violated policies, for the log and later hooks.
const VIOLATED: &str = "rate-limit.violated";

/// The plugin, configured.
#[derive(Debug)]
pub struct RateLimit {
    policies: Vec<Policy>,
    concurrency: Vec<Concurrency>,
    /// The value of `RateLimit-Policy`.
    policy_field: String,
    headers: Headers,
    on_unavailable: OnUnavailable,
    ipv6_prefix: u8,
    dry_run: bool,
    /// When the next warning about the limiter is due, in seconds of the monotonic clock.
    next_warning: AtomicU64,
}

impl Plugin for RateLimit {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = refuse_whole(&config);
        let mut policies = Vec::with_capacity(config.policies.len());
        for (index, spec) in config.policies.into_iter().enumerate() {
            match Policy::new(spec, &format!("/policies/{index}")) {
                Ok(policy) => policies.push(policy),
                Err(found) => errors.extend(found),
            }
        }
        let mut concurrency = Vec::with_capacity(config.concurrency.len());
        for (index, spec) in config.concurrency.into_iter().enumerate() {
            match Concurrency::new(spec, &format!("/concurrency/{index}")) {
                Ok(limit) => concurrency.push(limit),
                Err(found) => errors.extend(found),
            }
        }
        ConfigError::collect(errors)?;
        Ok(Self {
            concurrency,
            policy_field: fields::policies(&policies),
            policies,
            headers: config.headers,
            on_unavailable: config.on_unavailable,
            ipv6_prefix: config.ipv6_prefix,
            dry_run: config.dry_run,
            next_warning: AtomicU64::new(0),
        })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request();
        let interest = self.policies.iter().fold(interest, |it, policy| policy.declare(it));
        self.concurrency.iter().fold(interest, |it, limit| limit.declare(it))
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        // Before anything is charged: what is refused here has used nothing.
        if let Some(refused) = self.admit(request) {
            return Outcome::respond(refused);
        }
        let claims = Claims::of(request, &self.policies, self.ipv6_prefix);
        match claims.lacking.first() {
            Some(part) if self.dry_run => {
                log::info!("dry run: would refuse a request without {}", part.name());
            }
            Some(part) => return Outcome::respond(refusal::lacks(part)),
            None => {}
        }
        if claims.is_empty() {
            return Outcome::Next;
        }
        match limiter::take(&claims.charges()) {
            Ok(verdicts) if verdicts.iter().all(|verdict| verdict.allowed) => {
                self.tell(request, &claims, &verdicts);
                Outcome::Next
            }
            Ok(verdicts) => self.refuse(request, &claims, &verdicts),
            Err(error) => self.go_without(error),
        }
    }
}

impl RateLimit {
    /// Takes a slot of each limit on requests at the same time, or says why there is none.
    fn admit(&self, request: &mut Request) -> Option<Response> {
        for limit in &self.concurrency {
            let admission = limit.admit(request, self.ipv6_prefix, self.dry_run);
            let refused = match admission {
                Admission::Admitted => continue,
                Admission::WouldRefuse => None,
                Admission::Refused(response) => Some(response),
            };
            if self.dry_run {
                log::info!(
                    "dry run: would refuse a request, or have it wait, under {}",
                    limit.name
                );
            }
            if request.set_attribute(VIOLATED, &limit.name).is_err() {
                log::warn!("no room for the attribute {VIOLATED}");
            }
            if refused.is_some() {
                return refused;
            }
        }
        None
    }

    /// Has the response tell what is left, whoever makes it.
    fn tell(&self, request: &mut Request, claims: &Claims<'_>, verdicts: &[Verdict]) {
        if self.dry_run {
            return;
        }
        if self.headers.standard() {
            // The fields are lists: what an upstream or another plugin tells stays beside them.
            request.add_response_header("ratelimit-policy", self.policy_field.as_str());
            request.add_response_header("ratelimit", fields::admitted(claims.with(verdicts)));
        }
        if self.headers.legacy()
            && let Some(legacy) = fields::tightest(claims.with(verdicts))
        {
            for (name, number) in legacy.fields() {
                request.set_response_header(name, itoa::Buffer::new().format(number));
            }
        }
    }

    fn refuse(&self, request: &mut Request, claims: &Claims<'_>, verdicts: &[Verdict]) -> Outcome {
        let violated: Vec<(&Policy, &Verdict)> =
            claims.with(verdicts).filter(|(_, verdict)| !verdict.allowed).collect();
        let names: Vec<&str> = violated.iter().map(|(policy, _)| policy.name.as_str()).collect();
        let names = names.join(",");
        if self.dry_run {
            log::info!("dry run: would refuse a request under {names}");
        }
        if request.set_attribute(VIOLATED, &names).is_err() {
            log::warn!("no room for the attribute {VIOLATED}");
        }
        if self.dry_run {
            return Outcome::Next;
        }
        let mut response = refusal::quota_exceeded(&violated);
        if self.headers.standard() {
            response = response
                .header("ratelimit-policy", self.policy_field.as_str())
                .header("ratelimit", fields::refused(violated.iter().copied()));
        }
        if self.headers.legacy()
            && let Some(legacy) = fields::longest_wait(violated.iter().copied())
        {
            for (name, number) in legacy.fields() {
                response = response.header(name, itoa::Buffer::new().format(number));
            }
        }
        Outcome::respond(response)
    }

    fn go_without(&self, error: LimiterError) -> Outcome {
        let now = clock::monotonic().as_secs();
        if now >= self.next_warning.load(Ordering::Relaxed) {
            self.next_warning.store(now.saturating_add(SILENCE), Ordering::Relaxed);
            log::warn!("the limiter counts nothing: {error}");
        }
        match self.on_unavailable {
            OnUnavailable::Closed if !self.dry_run => Outcome::respond(refusal::unavailable()),
            OnUnavailable::Closed | OnUnavailable::Open => Outcome::Next,
        }
    }
}

/// What is wrong beyond a single policy.
fn refuse_whole(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let policies = &config.policies;
    if policies.is_empty() && config.concurrency.is_empty() {
        let message = "there is at least one policy, or one limit under `concurrency`";
        errors.push(ConfigError::new(message));
    }
    if policies.len() > MOST_POLICIES {
        let message = format!("there are at most {MOST_POLICIES} policies");
        errors.push(ConfigError::at("/policies", message));
    }
    if config.concurrency.len() > MOST_CONCURRENCY {
        let message = format!("there are at most {MOST_CONCURRENCY} of these limits");
        errors.push(ConfigError::at("/concurrency", message));
    }
    for (index, limit) in config.concurrency.iter().enumerate() {
        let earlier = config.concurrency[..index].iter().map(|earlier| &earlier.name);
        if earlier.chain(policies.iter().map(|policy| &policy.name)).any(|it| *it == limit.name) {
            let message = format!("there is a policy or limit `{}` already", limit.name);
            errors.push(ConfigError::at(format!("/concurrency/{index}/name"), message));
        }
    }
    for (index, policy) in policies.iter().enumerate() {
        if policies[..index].iter().any(|earlier| earlier.name == policy.name) {
            let message = format!("there is a policy `{}` already", policy.name);
            errors.push(ConfigError::at(format!("/policies/{index}/name"), message));
        }
    }
    if !(1..=128).contains(&config.ipv6_prefix) {
        errors.push(ConfigError::at("/ipv6_prefix", "a prefix has 1 to 128 bits"));
    }
    errors
}

register_plugin!(RateLimit);
