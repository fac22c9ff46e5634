//! What becomes of a call whose deployment failed: another deployment is asked, or the client is answered.
//!
//! Owns for which failures another is asked, and how long the failed one is passed over. Nothing of the response has
//! been passed on here.

use std::time::Duration;

use gateway_model_protocols::error::{self, Class, Failure};
use gateway_plugin_sdk::prelude::{Body, BodyMode, ConfigError, Outcome, ResponseHead};
use gateway_plugin_sdk::{attempts, clock, duration, held_response, log};

use crate::choose::{self, Chosen, Wanted};
use crate::config::{Config, FailOver};
use crate::state::{Call, Reading};
use crate::{Models, refusal};

/// The longest error of a provider that is read, in bytes.
const MAX_ERROR: u64 = 1 << 20;

/// The longest time for which a deployment is passed over.
const MAX_COOL_DOWN: Duration = Duration::from_secs(600);

/// When another deployment is asked.
#[derive(Debug)]
pub(crate) struct FailOvers {
    classes: Vec<Class>,
    attempts: u32,
    cool_down: Duration,
}

impl FailOvers {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let cool_down = duration::parse(&config.cool_down)
            .map_err(|why| ConfigError::at("/cool_down", why.to_string()))?;
        if cool_down > Duration::from_secs(3600) {
            return Err(ConfigError::at("/cool_down", "a deployment cools down for at most `1h`"));
        }
        if !(1..=8).contains(&config.attempts) {
            return Err(ConfigError::at("/attempts", "a request is sent 1 to 8 times"));
        }
        let classes = config.fail_over.iter().map(|it| match it {
            FailOver::RateLimited => Class::RateLimited,
            FailOver::Overloaded => Class::Overloaded,
            FailOver::Server => Class::Server,
            FailOver::ContextTooLong => Class::ContextTooLong,
            FailOver::ContentFiltered => Class::ContentFiltered,
            FailOver::NotFound => Class::NotFound,
            FailOver::Auth => Class::Auth,
        });
        Ok(Self { classes: classes.collect(), attempts: config.attempts, cool_down })
    }
}

impl Models {
    /// The head of a failure. Its body is asked for where that decides what follows.
    pub(crate) fn failed(&self, response: &mut ResponseHead, call: &mut Call) -> Outcome {
        let class = Class::of_status(response.status());
        if class.is_worth_another() && self.again(call, class, retry_after(response)) {
            return Outcome::Next;
        }
        call.reading = Reading::Failure;
        response.want_body(BodyMode::Buffered(MAX_ERROR));
        Outcome::Next
    }

    /// The whole failure.
    pub(crate) fn failed_with(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        call: &mut Call,
    ) -> Outcome {
        let (spoken, protocol) = (call.spoken(), call.protocol());
        let failure = {
            let header = |name: &str| response.header(name);
            let now = clock::now().as_secs();
            error::of_response(spoken, response.status(), &header, body.bytes(), now)
        };
        // Of the first kinds another was asked for with the head, if there was one.
        if !failure.class.is_worth_another() && self.again(call, failure.class, told(&failure)) {
            return Outcome::Next;
        }
        let deployment = &self.catalog.deployments[call.deployment];
        // Some name a wrong key as they name a wrong request.
        if failure.class == Class::Auth || response.status() == 401 {
            log::error!(
                "deployment {} refused the gateway's credentials: {}",
                deployment.name,
                failure.message
            );
            // It speaks of the gateway's key, and clients would take it for their own.
            let message = "The provider refused the gateway's credentials.";
            return Outcome::respond(refusal::provider_failed(protocol, message));
        }
        let is_problem =
            response.header("content-type").is_some_and(|kind| kind.contains("problem"));
        if is_problem || spoken != protocol {
            response.set_header("content-type", "application/json");
            body.set(refusal::body(protocol, &failure));
        }
        Outcome::Next
    }

    /// A stream that failed before it had content, of which nothing was passed on: another deployment is asked, or the
    /// client is answered what the provider would have said with a status.
    pub(crate) fn failed_early(&self, call: &mut Call, failure: &Failure) {
        if self.again(call, failure.class, told(failure)) {
            return;
        }
        let answer = refusal::of_failure(call.protocol(), failure);
        if let Err(error) = held_response::respond(answer) {
            log::warn!("an error in a stream has no status: {error}");
        }
    }

    /// Has the next deployment asked, if there is one. The one before cools down, for as long as it said.
    fn again(&self, call: &mut Call, class: Class, told: Option<Duration>) -> bool {
        let failed = &self.catalog.deployments[call.deployment];
        if matches!(class, Class::RateLimited | Class::Overloaded | Class::Server | Class::Auth) {
            let time = told.map_or(self.fail_overs.cool_down, |told| told.min(MAX_COOL_DOWN));
            if !time.is_zero() {
                choose::cool_down(failed, time);
            }
        }
        let is_able =
            self.fail_overs.classes.contains(&class) && attempts::sent() < self.fail_overs.attempts;
        call.able &= !(1 << call.deployment);
        if !is_able || call.able == 0 {
            return false;
        }
        self.release(call);
        let wanted = Wanted {
            catalog: &self.catalog,
            model: &self.catalog.models[call.model],
            able: call.able,
            affinity: call.affinity,
            preferred: None,
            tokens: call.tokens,
            consumer: "",
        };
        let Chosen::Deployment(next, reserved) = wanted.next() else { return false };
        let before = std::mem::replace(&mut call.deployment, next);
        call.reserved = reserved;
        let class = class.name();
        match self.resend(call) {
            Ok(()) => {
                let next = &self.catalog.deployments[next].name;
                log::info!("deployment {} failed ({class}); {next} is asked", failed.name);
                true
            }
            Err(why) => {
                log::warn!("deployment {} failed ({class}), and {why}", failed.name);
                self.release(call);
                call.deployment = before;
                false
            }
        }
    }

    /// Gives back what was taken from the limits of a deployment that did not answer.
    pub(crate) fn release(&self, call: &mut Call) {
        if let Some(reserved) = call.reserved.take() {
            reserved.settle(&self.catalog, 0);
        }
    }
}

/// How long a provider said that it wants to be left alone.
fn told(failure: &Failure) -> Option<Duration> {
    failure.retry_after_ms.map(Duration::from_millis)
}

/// `Retry-After` in seconds. A date is rare, and read with the body only.
fn retry_after(response: &ResponseHead) -> Option<Duration> {
    let seconds: u64 = response.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
