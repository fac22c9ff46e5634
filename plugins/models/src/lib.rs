//! Serves many AI models behind one API.
//!
//! A request names a model (`api` says whose API it speaks). `outgoing` checks it, the `catalog` has the model's
//! deployments, and `choose` picks one that has room; `prepare` and `address` turn the request into what that deployment
//! expects. When it fails, `fail_over` asks the next. The response passes as it is, or translated: `answering` says how
//! its body is read, `reading` finds its usage, `cost` what it costs, and `meter` makes numbers of it, with the words of
//! `outcome` for how it failed, for `series` by model, deployment, group and consumer (`consumers`). `groups` says who may
//! use which model, `defaults` what holds for models and deployments that do not say otherwise. What is refused is refused
//! in the form of the client's API (`refusal`); `silence` keeps streams alive; `counting` answers what asks for a count
//! alone. What a call keeps between its hooks is `state`; an instance of the plugin remembers nothing about requests.

mod address;
mod answering;
mod api;
mod catalog;
mod choose;
mod config;
mod consumers;
mod cost;
mod counting;
mod credential;
mod defaults;
mod dialect;
mod fail_over;
mod groups;
mod listing;
mod meter;
mod outcome;
mod outgoing;
mod prepare;
mod reading;
mod refusal;
mod series;
mod service_account;
mod silence;
mod state;

use gateway_model_protocols::error::Failure;
use gateway_model_protocols::usage::Usage;
use gateway_model_protocols::{self as protocols, Protocol};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{attempts, held_response, log};

use catalog::Catalog;
pub use config::{
    AwsSpec, ConcurrencySpec, Config, DefaultsSpec, DeploymentSpec, DrainSpec, FailOver, GroupSpec,
    LimitsSpec, MetricNames, ModelSpec, Moved, Provider, ServiceAccountSpec, ShareSpec,
};
use cost::Prices;
use outcome::{ErrorType, Failed};
pub use state::Progress;
use state::{Asked, Reading, Step};

/// Why a stream is cut off that goes on where it has failed.
const BEHIND_ERROR: &str = "The provider's stream goes on behind its error.";

/// The plugin, configured.
pub struct Models {
    catalog: Catalog,
    prices: Prices,
    max_body: u64,
    max_answer: u64,
    response_headers: bool,
    metric_names: MetricNames,
    series: series::Series,
}

impl Plugin for Models {
    type Config = Config;
    type Context = Progress;

    fn configure(mut config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut kept = |error| errors.push(error);
        let catalog = Catalog::new(&mut config).map_err(&mut kept).ok();
        let mut of_price = Vec::new();
        let usual = defaults::price(&config, &mut of_price);
        of_price.into_iter().for_each(&mut kept);
        let prices = Prices::new(config.prices.as_deref(), usual).map_err(&mut kept).ok();
        check_numbers(&config).into_iter().for_each(&mut kept);
        ConfigError::collect(errors)?;
        let (Some(catalog), Some(prices)) = (catalog, prices) else {
            return Err(ConfigError::new("the configuration cannot be read"));
        };
        Ok(Self {
            catalog,
            prices,
            max_body: config.max_body,
            max_answer: config.max_answer,
            response_headers: config.response_headers,
            metric_names: config.metric_names,
            series: series::Series::new(config.metric_consumers),
        })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request()
            .method()
            .path()
            .query()
            .header("anthropic-version")
            .header("x-goog-api-client")
            .attribute("request.has-body")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-length")
            .response_header("retry-after")
            .and_on_complete();
        let interest = answering::KEPT_BACK.into_iter().fold(interest, Interest::response_header);
        let interest = self.catalog.groups.declare(interest);
        let others = [&self.catalog.region_attribute, &self.catalog.model_attribute];
        let others = others.into_iter().flatten();
        let interest = others.fold(interest, |it, name| it.attribute(name.as_str()));
        let interest = match self.catalog.has_provider(Provider::Bedrock) {
            true => interest.response_header(answering::INPUT_TOKENS),
            false => interest,
        };
        let interest = address::prepare_every(interest, |name| self.catalog.has_affinity_by(name));
        // Only tokens are waited for.
        if self.catalog.has_accounts() { interest } else { interest.never_waits() }
    }

    fn on_request(&self, request: &mut Request, progress: &mut Progress) -> Outcome {
        if matches!(request.method(), "GET" | "HEAD") {
            return self.list(request);
        }
        let call = gateway_model_protocols::Call::of_path(request.path());
        let Some(call) = call.filter(|call| request.method() == "POST" && api::is_known(call))
        else {
            return Outcome::respond(refusal::no_endpoint(request.method(), request.path()));
        };
        if request.attribute("request.has-body") != Some("true") {
            let message = "The request has no body.";
            return Outcome::respond(refusal::invalid(call.protocol, message, None));
        }
        request.want_request_body(BodyMode::Buffered(self.max_body));
        progress.0 = Step::Asked(Asked {
            path: request.path().to_owned(),
            query: request.query().map(str::to_owned),
            has_version: request.header("anthropic-version").is_some(),
            who: self.catalog.who(request),
        });
        Outcome::Next
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let Step::Asked(asked) = std::mem::take(&mut progress.0) else { return Outcome::Next };
        match self.send(request, asked, body) {
            Ok(call) => {
                progress.0 = Step::Call(Box::new(call));
                Outcome::Next
            }
            Err(refused) => Outcome::Respond(refused),
        }
    }

    fn on_response(&self, response: &mut ResponseHead, progress: &mut Progress) -> Outcome {
        let Some(call) = progress.call_mut() else { return Outcome::Next };
        if attempts::sent() == 0 {
            // Somebody behind this plugin answered: no deployment was asked.
            self.release(call);
            self.used_nothing(call);
            progress.0 = Step::Nothing;
            return Outcome::Next;
        }
        let status = response.status();
        if status >= 300 || status == 204 || answering::is_foreign(response, call) {
            return self.failed(response, call);
        }
        call.is_answered = true;
        self.begin(response, call);
        Outcome::Next
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        progress: &mut Progress,
    ) -> Outcome {
        let Some(call) = progress.call_mut() else { return Outcome::Next };
        let outcome = match std::mem::take(&mut call.reading) {
            Reading::Whole => self.translate(body, call),
            Reading::Short => self.whole(body, call),
            _ => return self.failed_with(response, body, call),
        };
        if self.response_headers
            && matches!(outcome, Outcome::Next)
            && let Some(usage) = call.usage()
        {
            let cost = self.prices.of(&self.catalog.deployments[call.deployment], &usage);
            counting::write_usage(response, &usage, cost);
        }
        outcome
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, progress: &mut Progress) -> ChunkOutcome {
        let Some(call) = progress.call_mut() else { return ChunkOutcome::Next };
        if chunk.data().is_empty() && !chunk.is_last() {
            if std::mem::take(&mut call.is_held) && held_response::is_held() {
                self.late(call);
                return ChunkOutcome::Next;
            }
            let read = reading::broken(call, chunk);
            if let Some((failure, error)) = &read.failure {
                self.note(call, failure, *error);
                self.failed_late(call, &Failed::server(*error));
            }
            if read.usage {
                self.tell(call);
                self.tell_end(call);
            }
            return ChunkOutcome::Next;
        }
        let read = reading::chunk(call, chunk);
        if read.failure.is_some() || read.has_begun {
            // The gateway may have let it go by itself.
            let is_held = std::mem::take(&mut call.is_held) && held_response::is_held();
            if let Some((failure, error)) = &read.failure {
                self.note(call, failure, *error);
                if is_held && read.is_early {
                    self.failed_early(call, failure, *error);
                    return ChunkOutcome::Next;
                }
                if call.error.is_none() {
                    self.failed_late(call, &Failed { error: *error, ..Failed::of(failure) });
                }
            }
            if is_held && !chunk.is_last() {
                held_response::release();
            }
        }
        if read.usage {
            self.tell(call);
        }
        if chunk.is_last() {
            self.tell_end(call);
        }
        if read.is_cut {
            let why = read.failure.map(|(failure, _)| failure.message);
            return ChunkOutcome::Abort(why.unwrap_or_else(|| BEHIND_ERROR.to_owned()));
        }
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, progress: &Progress) {
        let Some(call) = progress.call() else { return };
        let (model, deployment) =
            (&self.catalog.models[call.model], &self.catalog.deployments[call.deployment]);
        let mut usage = call.usage();
        if let Some(usage) = usage.as_mut().filter(|usage| usage.estimated) {
            usage.output = usage.output.saturating_add(reading::passed_since(call));
        }
        if let Some(reserved) = &call.reserved {
            let used = usage.as_ref().map(|usage| usage.total());
            // What was answered without a usage keeps its estimate; what was not answered used nothing.
            let unknown = if call.is_answered { call.tokens } else { call.input };
            reserved.settle(&self.catalog, used.unwrap_or(unknown));
        }
        let cost = usage.as_ref().and_then(|usage| self.prices.of(deployment, usage));
        let now = reading::nanoseconds();
        let error = outcome::of_call(call, summary);
        if call.error.is_none() && error == Some(ErrorType::Cut) {
            // It broke off, which no hook for its body saw.
            fail_over::cool_down(deployment, &Failed::server(ErrorType::Cut));
        }
        let group = call.group.map(|group| self.catalog.groups.name(group));
        meter::Ended { call, model, deployment, group, error, usage, cost, now }.count(
            summary,
            self.metric_names,
            &self.series,
        );
    }
}

impl Models {
    /// Notes that an answer failed.
    fn note(&self, call: &state::Call, failure: &Failure, error: ErrorType) {
        let name = &self.catalog.deployments[call.deployment].name;
        let (error, message) = (error.name(), &failure.message);
        log::warn!("the answer of deployment {name} failed ({error}): {message}");
    }

    /// Says how far the usage of a call has come.
    fn tell(&self, call: &state::Call) {
        if let Some(usage) = call.usage() {
            let cost = self.prices.of(&self.catalog.deployments[call.deployment], &usage);
            meter::tell(&usage, cost);
        }
    }

    /// Says what is known of a call when its response has ended.
    fn tell_end(&self, call: &state::Call) {
        if let Some(usage) = call.usage() {
            meter::tell_end(call, &usage);
        }
    }

    /// What did not come has used nothing.
    fn used_nothing(&self, call: &mut state::Call) {
        call.set_usage(Usage::default());
        self.tell(call);
    }

    /// The list of models, or one of them.
    fn list(&self, request: &Request) -> Outcome {
        let (path, who) = (request.path(), self.catalog.who(request));
        let protocol = if path.ends_with("/api/tags") {
            Protocol::Ollama
        } else if request.header("anthropic-version").is_some() {
            Protocol::Anthropic
        } else if path.contains("/v1beta/") || request.header("x-goog-api-client").is_some() {
            Protocol::Gemini
        } else {
            Protocol::OpenAiOther
        };
        if path.ends_with("/models") || protocol == Protocol::Ollama {
            let list =
                listing::list(&self.catalog, protocol, |model| self.catalog.may_use(model, &who));
            return Outcome::respond(list);
        }
        let Some((_, name)) = path.rsplit_once("/models/") else {
            return Outcome::respond(refusal::no_endpoint(request.method(), path));
        };
        let name = protocols::decode(name);
        Outcome::respond(match self.model(&name, &who) {
            Ok((_, model)) => listing::one(model, protocol),
            Err(none) => none.answer(protocol, &name),
        })
    }
}

/// Numbers of the whole plugin that a schema bounds, for who is not asked by it.
fn check_numbers(config: &Config) -> Vec<ConfigError> {
    let bodies = [("/max_body", config.max_body), ("/max_answer", config.max_answer)];
    let wrong = bodies.into_iter().filter(|(_, bytes)| !(1024..=256 << 20).contains(bytes));
    let wrong = wrong.map(|(at, _)| ConfigError::at(at, "must be 1024 to 268435456"));
    let consumers = (config.metric_consumers > 1000)
        .then(|| ConfigError::at("/metric_consumers", "must be at most 1000"));
    wrong.chain(consumers).collect()
}

register_plugin!(Models);
