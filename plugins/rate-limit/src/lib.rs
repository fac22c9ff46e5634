//! Limits how often clients may ask.
//!
//! A request is charged to all policies at once: each names a bucket (`key`), what it costs
//! (`cost`), who is counted at all (`exempt`), whose plan has how much (`policy`) and how that comes back (`rate`), and `claims` gathers
//! them. If one has no room, none is charged and the request is answered 429 (`refusal`). Responses
//! tell what is left (`fields`). Where the response tells what a request did cost, an estimate is
//! charged and put right then (`settle`), and the next ones are charged by what was learned from it (`learned`). Before all that, `concurrency` takes a slot of each limit on
//! requests at the same time. Buckets and slots are the gateway's: an instance of the plugin remembers
//! nothing about requests.

mod address;
mod body;
mod claims;
mod concurrency;
mod config;
mod cost;
mod exempt;
mod fields;
mod key;
mod learned;
mod policy;
mod rate;
mod refusal;
mod settle;

use gateway_plugin_sdk::limiter::LimiterError;
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use body::{Content, Pointer};
use claims::{Charges, Claims};
use concurrency::{Admission, Concurrency};
pub use config::{
    Algorithm, ConcurrencySpec, Config, CostSpec, Headers, LimitSpec, Missing, OnUnavailable,
    PlanSpec, PolicySpec, PrioritySpec, SettleSpec, ToldCost, Unlimited,
};
use exempt::Exempt;
use key::Facts;
use policy::Policy;
pub use settle::Reserved;
use settle::Settle;

/// The most charges that the limiter takes at once.
const MOST_POLICIES: usize = 16;

/// The most limits on requests at the same time.
const MOST_CONCURRENCY: usize = 8;

/// The longest body that is read, in bytes.
const MOST_BODY: u64 = 64 << 20;

/// The attribute that names the violated policies, for the log and later hooks.
const VIOLATED: &str = "rate-limit.violated";

/// The attribute that names by what a request was exempt.
const EXEMPT: &str = "rate-limit.exempt";

/// The plugin, configured.
#[derive(Debug)]
pub struct RateLimit {
    policies: Vec<Policy>,
    concurrency: Vec<Concurrency>,
    exempt: Exempt,
    /// The value of `RateLimit-Policy`, if it is the same for all requests.
    policy_field: Option<String>,
    headers: Headers,
    on_unavailable: OnUnavailable,
    ipv6_prefix: u8,
    max_body: u64,
    /// Whether keys have values of bodies.
    reads_bodies: bool,
    dry_run: bool,
}

impl Plugin for RateLimit {
    type Config = Config;
    type Context = Reserved;

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
        let exempt = Exempt::new(config.exempt, &mut errors);
        ConfigError::collect(errors)?;
        let mut plugin = Self {
            concurrency,
            exempt,
            policy_field: fields::policies(&policies),
            policies,
            headers: config.headers,
            on_unavailable: config.on_unavailable,
            ipv6_prefix: config.ipv6_prefix,
            max_body: config.max_body,
            reads_bodies: false,
            dry_run: config.dry_run,
        };
        let reads_bodies = plugin.pointers().next().is_some();
        plugin.reads_bodies = reads_bodies;
        Ok(plugin)
    }

    fn interest(&self) -> Interest {
        let policies = self.policies.iter();
        let interest =
            policies.fold(Interest::on_request(), |interest, policy| policy.declare(interest));
        let interest = self.concurrency.iter().fold(interest, |it, limit| limit.declare(it));
        let interest = self.exempt.declare(interest);
        let settles = self.policies.iter().filter_map(|policy| policy.settle.as_ref());
        settles.fold(interest, |interest, settle| match settle {
            Settle::Header(name) => interest.and_on_response().response_header(name),
            Settle::Json { .. } => ["content-type", "content-length", "content-encoding"]
                .into_iter()
                .fold(interest.and_on_response(), Interest::response_header),
            Settle::Attribute(_) => interest.and_on_complete(),
        })
    }

    fn on_request(&self, request: &mut Request, reserved: &mut Reserved) -> Outcome {
        if let Some(by) = self.exempt.of(request) {
            if request.set_attribute(EXEMPT, by).is_err() {
                log::warn!("no room for the attribute {EXEMPT}");
            }
            return Outcome::Next;
        }
        let content = match self.reads_bodies {
            true => Content::of_head(request, self.max_body),
            false => Some(Content::None),
        };
        match content {
            // A dry run refuses nothing, and whoever reads a body refuses one that turns out too large.
            None if self.dry_run && request.header("content-length").is_none() => {
                self.decide(request, &Content::TooLarge, reserved)
            }
            None => {
                request.want_request_body(BodyMode::Buffered(self.max_body));
                Outcome::Next
            }
            Some(content) => self.decide(request, &content, reserved),
        }
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        reserved: &mut Reserved,
    ) -> Outcome {
        self.decide(request, &Content::of_body(body, self.pointers()), reserved)
    }

    fn on_response(&self, response: &mut ResponseHead, reserved: &mut Reserved) -> Outcome {
        if !reserved.is_empty()
            && let Some(mode) = reserved.settle_head(&self.policies, response)
        {
            response.want_body(mode);
        }
        Outcome::Next
    }

    fn on_response_body(
        &self,
        _: &mut ResponseHead,
        body: &mut Body,
        reserved: &mut Reserved,
    ) -> Outcome {
        reserved.settle_body(&self.policies, body);
        Outcome::Next
    }

    fn on_complete(&self, summary: &Summary, reserved: &Reserved) {
        if !reserved.is_empty() {
            reserved.settle_end(&self.policies, summary);
        }
    }
}

impl RateLimit {
    /// All of it happens in one hook, with the head or with the body, so that all is charged or none.
    fn decide(&self, request: &mut Request, content: &Content, reserved: &mut Reserved) -> Outcome {
        // Before anything is charged: what is refused here has used nothing.
        if let Some(refused) = self.admit(request, content) {
            return Outcome::respond(refused);
        }
        let facts = Facts { request, content, ipv6_prefix: self.ipv6_prefix };
        let claims = Claims::of(facts, &self.policies);
        match claims.lacking.first() {
            Some(lack) if self.dry_run => {
                log::info!("dry run: would refuse a request without {}", lack.name());
            }
            Some(lack) => return Outcome::respond(refusal::lacks(*lack, content)),
            None => {}
        }
        if claims.is_empty() {
            return Outcome::Next;
        }
        match claims.charge(reserved) {
            Ok(charges) if charges.are_allowed() => {
                self.tell(request, &charges);
                Outcome::Next
            }
            Ok(charges) => self.refuse(request, &charges),
            Err(error) => self.go_without(error),
        }
    }

    /// Where keys have values of bodies.
    fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        let policies = self.policies.iter().flat_map(Policy::pointers);
        policies.chain(self.concurrency.iter().flat_map(Concurrency::pointers))
    }

    /// Takes a slot of each limit on requests at the same time, or says why there is none.
    fn admit(&self, request: &mut Request, content: &Content) -> Option<Response> {
        for limit in &self.concurrency {
            let facts = Facts { request, content, ipv6_prefix: self.ipv6_prefix };
            let admission = limit.admit(facts, self.dry_run);
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
    fn tell(&self, request: &mut Request, charges: &Charges<'_>) {
        if self.dry_run {
            return;
        }
        if self.headers.standard() {
            // The fields are lists: what an upstream or another plugin tells stays beside them.
            match &self.policy_field {
                Some(field) => request.add_response_header("ratelimit-policy", field.as_str()),
                None => {
                    request.add_response_header("ratelimit-policy", fields::policies_of(charges));
                }
            }
            request.add_response_header("ratelimit", fields::admitted(charges));
        }
        if self.headers.legacy()
            && let Some(legacy) = fields::tightest(charges)
        {
            for (name, number) in legacy.fields() {
                request.set_response_header(name, itoa::Buffer::new().format(number));
            }
        }
    }

    fn refuse(&self, request: &mut Request, charges: &Charges<'_>) -> Outcome {
        let names: Vec<&str> =
            charges.violated().map(|charge| charge.policy.name.as_str()).collect();
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
        let mut response = refusal::quota_exceeded(charges);
        if self.headers.standard() {
            let policies = match &self.policy_field {
                Some(field) => field.clone(),
                None => fields::policies_of(charges),
            };
            response = response
                .header("ratelimit-policy", policies)
                .header("ratelimit", fields::refused(charges));
        }
        if self.headers.legacy()
            && let Some(legacy) = fields::longest_wait(charges)
        {
            for (name, number) in legacy.fields() {
                response = response.header(name, itoa::Buffer::new().format(number));
            }
        }
        Outcome::respond(response)
    }

    fn go_without(&self, error: LimiterError) -> Outcome {
        match error {
            // The gateway says once that a store went: each instance, and so each request that waits, would say it again.
            LimiterError::Unavailable => log::debug!("the limiter counts nothing: {error}"),
            LimiterError::Invalid => log::warn!("the limiter counts nothing: {error}"),
        }
        match self.on_unavailable {
            OnUnavailable::Closed if !self.dry_run => {
                Outcome::respond(refusal::unavailable().because(error.to_string()))
            }
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
    if !(1..=MOST_BODY).contains(&config.max_body) {
        errors.push(ConfigError::at("/max_body", "a body that is read has 1 byte to 64 MiB"));
    }
    errors
}

register_plugin!(RateLimit);
