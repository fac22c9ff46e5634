//! What becomes of a call whose deployment failed: another deployment is asked, or the client is answered.
//!
//! Owns for which failures another is asked, and how long the failed one is passed over. Nothing of the response has
//! been passed on here.

use std::time::Duration;

use gateway_model_protocols::Protocol;
use gateway_model_protocols::error::{self, Class, Failure};
use gateway_plugin_sdk::prelude::{Body, BodyMode, ConfigError, Outcome, Response, ResponseHead};
use gateway_plugin_sdk::{attempts, clock, held_response, log};

use crate::catalog::Deployment;
use crate::choose::{self, Chosen, Wanted};
use crate::config::FailOver;
use crate::credential::Credential;
use crate::groups::Turn;
use crate::outcome::{self, ErrorType, Failed};
use crate::state::{Call, Reading};
use crate::{Models, meter, reading, refusal};

/// The longest error of a provider that is read, in bytes.
const MAX_ERROR: u64 = 1 << 20;

/// The longest time for which a deployment is passed over.
const MAX_COOL_DOWN: Duration = Duration::from_secs(600);

/// By how much the gateway's coarse clock may be ahead.
const CLOCK: Duration = Duration::from_millis(100);

/// When another deployment of a model is asked.
#[derive(Debug, Clone)]
pub(crate) struct FailOvers {
    classes: Vec<Class>,
    attempts: u32,
}

impl Default for FailOvers {
    fn default() -> Self {
        let classes = vec![Class::RateLimited, Class::Overloaded, Class::Server];
        Self { classes, attempts: 3 }
    }
}

impl FailOvers {
    /// What is written, and else what holds without it.
    pub(crate) fn at(
        attempts: Option<u32>,
        classes: Option<&[FailOver]>,
        before: &Self,
        at: &dyn Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        if attempts.is_some_and(|attempts| !(1..=8).contains(&attempts)) {
            let error = ConfigError::at(at("attempts"), "must be 1 to 8");
            errors.push(error.help("`attempts = 1` is no second one"));
        }
        let class = |it: &FailOver| match it {
            FailOver::RateLimited => Class::RateLimited,
            FailOver::Overloaded => Class::Overloaded,
            FailOver::Server => Class::Server,
            FailOver::ContextTooLong => Class::ContextTooLong,
            FailOver::ContentFiltered => Class::ContentFiltered,
            FailOver::NotFound => Class::NotFound,
            FailOver::Auth => Class::Auth,
        };
        let classes = classes.map(|classes| classes.iter().map(class).collect());
        Self {
            classes: classes.unwrap_or_else(|| before.classes.clone()),
            attempts: attempts.unwrap_or(before.attempts),
        }
    }
}

impl Models {
    /// The head of a failure. Its body is asked for where that decides what follows.
    pub(crate) fn failed(&self, response: &mut ResponseHead, call: &mut Call) -> Outcome {
        // A redirection, or no content, is no answer of a model.
        let status = response.status();
        let class = if status < 400 { Class::Server } else { Class::of_status(status) };
        let error = match status {
            ..400 => ErrorType::Garbled,
            _ if is_gateways(response) => self.unanswered(status, call),
            _ => class.into(),
        };
        let failed = Failed { class, error, wait: retry_after(response) };
        if class.is_worth_another() && self.again(call, &failed) {
            return Outcome::Next;
        }
        self.used_nothing(call);
        if status < 400 {
            let name = &self.catalog.deployments[call.deployment].name;
            let kind = response.header("content-type").unwrap_or("none");
            log::warn!(
                "deployment {name} answered {status} with the content type {kind:?}, which is no answer of its API"
            );
            let message = "The provider's answer is none of its API.";
            return Outcome::respond(refusal::provider_failed(call.protocol(), message));
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
        // For some statuses another was asked for with the head, if there was one.
        let was_asked = Class::of_status(response.status()).is_worth_another();
        let is_problem = is_gateways(response);
        if !was_asked && self.again(call, &Failed::of(&failure)) {
            return Outcome::Next;
        }
        if was_asked && !is_problem {
            // The body says it better than the status.
            meter::fails(call, failure.class.into());
        }
        if let Some(refused) = self.refused_credentials(call, &failure) {
            return Outcome::respond(refused);
        }
        let wait = self.wait(call, &failure);
        let status = refusal::status(protocol, &failure);
        if status != response.status() {
            response.set_status(status);
        }
        if is_problem || spoken != protocol {
            response.set_header("content-type", "application/json");
            body.set(refusal::body(protocol, &failure));
            if protocol == Protocol::BedrockConverse {
                response.set_header("x-amzn-errortype", error::aws_type(failure.class));
            }
            if let Some(wait) = wait.filter(|_| response.header("retry-after").is_none()) {
                response.set_header("retry-after", wait.as_millis().div_ceil(1000).to_string());
            }
        }
        let is_long = told(&failure).is_some_and(|wait| refusal::is_no_use(protocol, wait));
        if is_long && response.header("x-should-retry").is_none() {
            response.set_header("x-should-retry", "false");
        }
        Outcome::Next
    }

    /// How long a client does well to wait: as the provider says, or until the deployment is asked first again.
    fn wait(&self, call: &Call, failure: &Failure) -> Option<Duration> {
        let is_wait = matches!(failure.class, Class::RateLimited | Class::Overloaded);
        let own = self.catalog.deployments[call.deployment].cool_down;
        let own = Some(own).filter(|own| is_wait && !own.is_zero());
        told(failure).or(own)
    }

    /// Why the gateway answers in a deployment's place.
    fn unanswered(&self, status: u16, call: &Call) -> ErrorType {
        let first_token = self.catalog.deployments[call.deployment].first_token;
        match status {
            // It had a head, and broke off while it was held back or waited for.
            _ if !matches!(call.reading, Reading::Nothing) => ErrorType::Cut,
            504 if call.streams && !first_token.is_zero() && self.left(call).is_zero() => {
                ErrorType::FirstToken
            }
            504 => ErrorType::Timeout,
            502 => ErrorType::Unreachable,
            503 => ErrorType::Overloaded,
            _ => ErrorType::Gateway,
        }
    }

    /// How much of `first_token` is left, as far as the coarse clock of the gateway can tell.
    pub(crate) fn left(&self, call: &Call) -> Duration {
        let deployment = &self.catalog.deployments[call.deployment];
        let waited = || meter::waited(deployment).unwrap_or(0);
        let sent = call.sent.unwrap_or_else(|| call.began.saturating_add(waited()));
        let since = Duration::from_nanos(reading::nanoseconds().saturating_sub(sent));
        let left = deployment.first_token.saturating_sub(since);
        if left < CLOCK { Duration::ZERO } else { left }
    }

    /// A stream is without content for too long, and nothing of it was passed on.
    pub(crate) fn late(&self, call: &mut Call) {
        let time = self.catalog.deployments[call.deployment].first_token;
        let message = format!("The provider sent no content within {} s.", time.as_secs_f64());
        let failure = outcome::failure(504, &message);
        self.note(call, &failure, ErrorType::FirstToken);
        self.failed_early(call, &failure, ErrorType::FirstToken);
    }

    /// A stream that failed before it had content, of which nothing was passed on: another deployment is asked, or the
    /// client is answered what the provider would have said with a status.
    pub(crate) fn failed_early(&self, call: &mut Call, failure: &Failure, error: ErrorType) {
        let Some(answer) = self.failed_unsaid(call, failure, error) else { return };
        if let Err(error) = held_response::respond(answer) {
            log::warn!("an error in a stream has no status: {error}");
        }
    }

    /// A failure that the status did not say. The client's answer, unless another deployment is asked.
    pub(crate) fn failed_unsaid(
        &self,
        call: &mut Call,
        failure: &Failure,
        error: ErrorType,
    ) -> Option<Response> {
        if self.again(call, &Failed { error, ..Failed::of(failure) }) {
            return None;
        }
        self.used_nothing(call);
        let refused = self.refused_credentials(call, failure);
        let wait = self.wait(call, failure);
        Some(refused.unwrap_or_else(|| refusal::of_failure(call.protocol(), failure, wait)))
    }

    /// The answer where a provider refused the gateway's key: it speaks of that, and clients would take it for their own.
    fn refused_credentials(&self, call: &Call, failure: &Failure) -> Option<Response> {
        // Some name a wrong key as they name a wrong request.
        if failure.class != Class::Auth && failure.status != 401 {
            return None;
        }
        let deployment = &self.catalog.deployments[call.deployment];
        if let Credential::Account(account) = &deployment.credential {
            account.forget();
        }
        let (name, message) = (&deployment.name, &failure.message);
        log::error!("deployment {name} refused the gateway's credentials: {message}");
        let message = "The provider refused the gateway's credentials.";
        Some(refusal::provider_failed(call.protocol(), message))
    }

    /// A call failed when some of its response was passed on: nobody else is asked.
    pub(crate) fn failed_late(&self, call: &mut Call, failed: &Failed) {
        let deployment = &self.catalog.deployments[call.deployment];
        cool_down(deployment, failed);
        meter::failed(&self.catalog.models[call.model], deployment, failed.error.name(), None);
        meter::fails(call, failed.error);
    }

    /// Has the next deployment asked, if there is one. The one before cools down, for as long as it said.
    pub(crate) fn again(&self, call: &mut Call, why: &Failed) -> bool {
        let failed = &self.catalog.deployments[call.deployment];
        cool_down(failed, why);
        let model = &self.catalog.models[call.model];
        let FailOvers { classes, attempts } = &model.fail_overs;
        let is_able = classes.contains(&why.class) && attempts::sent() < *attempts;
        let (before, spoken, class) = (call.deployment, call.spoken(), why.error.name());
        call.able &= !(1 << before);
        if !is_able {
            meter::failed(model, failed, class, None);
            meter::fails(call, why.error);
            return false;
        }
        self.release(call);
        while call.able != 0 {
            let wanted = Wanted {
                catalog: &self.catalog,
                model,
                able: call.able,
                affinity: call.affinity,
                preferred: None,
                tokens: call.tokens,
                consumer: "",
                turn: Turn::default(),
            };
            let Chosen::Deployment(next, reserved) = wanted.next() else { break };
            call.deployment = next;
            call.reserved = reserved;
            let name = &self.catalog.deployments[next].name;
            match self.resend(call, before) {
                Ok(()) => {
                    log::info!("deployment {} failed ({class}); {name} is asked", failed.name);
                    meter::failed(model, failed, class, Some(name));
                    choose::leave(failed);
                    call.sent = Some(reading::nanoseconds());
                    call.begins_anew();
                    return true;
                }
                Err(why) => {
                    log::warn!(
                        "deployment {} failed ({class}); not {name}, since {why}",
                        failed.name
                    );
                    self.release(call);
                    choose::leave(&self.catalog.deployments[next]);
                    call.able &= !(1 << next);
                }
            }
        }
        meter::failed(model, failed, class, None);
        meter::fails(call, why.error);
        call.deployment = before;
        call.set_spoken(spoken);
        false
    }

    /// Gives back what was taken from the limits of a deployment that did not answer.
    pub(crate) fn release(&self, call: &mut Call) {
        if let Some(reserved) = call.reserved.take() {
            reserved.settle(&self.catalog, 0);
        }
    }
}

/// Whether the gateway answers in the provider's place.
fn is_gateways(response: &ResponseHead) -> bool {
    response.header("content-type").is_some_and(|kind| kind.contains("problem"))
}

/// A deployment that failed is passed over, for as long as it said.
pub(crate) fn cool_down(deployment: &Deployment, failed: &Failed) {
    let is_its = matches!(
        failed.class,
        Class::RateLimited | Class::Overloaded | Class::Server | Class::Auth
    );
    let time = failed.wait.map_or(deployment.cool_down, |told| told.min(MAX_COOL_DOWN));
    if is_its && !time.is_zero() {
        choose::cool_down(deployment, time);
        meter::cools_down(deployment, (clock::now() + time).as_secs_f64());
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
