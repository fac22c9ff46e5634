//! Feature flags in flagd's format: what a flag is for a request goes to the upstream, and applications ask for flags by
//! OFREP, the OpenFeature Remote Evaluation Protocol.
//!
//! `config` is what is written in the file, `definitions` keeps the document, `context` says who is evaluated
//! for, `setting` writes what a flag is into a request, and `ofrep` answers applications. How flags are evaluated is
//! `gateway-flags`. The plugin stores nothing.

mod config;
mod context;
mod definitions;
mod ofrep;
mod setting;

use std::time::Duration;

use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::*;

pub use config::{Config, SetSpec, Take};

use context::Contexts;
use definitions::Definitions;
use ofrep::Asked;
use setting::Setting;

/// For how long the gateway may set the same without a call.
const REUSE: Duration = Duration::from_secs(60);

/// The longest body of an OFREP request, in bytes.
const MOST_BODY: u64 = 64 << 10;

/// The plugin, configured.
pub struct FlagsPlugin {
    definitions: Definitions,
    contexts: Contexts,
    settings: Vec<Setting>,
    serves: bool,
}

impl Plugin for FlagsPlugin {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let definitions =
            Definitions::new(&config.document, config.strict).map_err(|error| errors.push(error));
        let contexts = Contexts::new(&config, &mut errors);
        let settings = setting::all(&config.set, &mut errors);
        if config.set.is_empty() && !config.ofrep {
            let help = "add `set = [{ flag = \"NAME\", header = \"x-flag\" }]`, or `ofrep = true` to serve flags to applications";
            errors.push(ConfigError::new("the plugin would do nothing").help(help));
        }
        ConfigError::collect(errors)?;
        let Ok(definitions) = definitions else {
            return Err(ConfigError::new("the document cannot be read"));
        };
        Ok(Self { definitions, contexts, settings, serves: config.ofrep })
    }

    fn interest(&self) -> Interest {
        let mut interest = self.contexts.interest(Interest::on_request().never_waits());
        if self.serves {
            interest =
                interest.method().path().attribute("request.has-body").header("if-none-match");
        }
        interest
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if self.serves
            && let Some(asked) = Asked::of_path(request.path())
        {
            return self.asked(request, &asked);
        }
        self.set(request);
        Outcome::Next
    }

    fn on_request_body(&self, request: &mut Request, body: &mut Body, (): &mut ()) -> Outcome {
        match Asked::of_path(request.path()) {
            Some(asked) => Outcome::respond(self.answer(request, &asked, body.bytes())),
            None => Outcome::Next,
        }
    }
}

impl FlagsPlugin {
    fn asked(&self, request: &mut Request, asked: &Asked) -> Outcome {
        if let Some(refused) = asked.wrong_method(request.method()) {
            return Outcome::respond(refused);
        }
        if request.attribute("request.has-body") == Some("true") {
            request.want_request_body(BodyMode::Buffered(MOST_BODY));
            return Outcome::Next;
        }
        Outcome::respond(self.answer(request, asked, b"{}"))
    }

    fn answer(&self, request: &Request, asked: &Asked, body: &[u8]) -> Response {
        let flags = self.definitions.get();
        let of_request = |theirs| self.contexts.served(request, theirs);
        let known = request.header("if-none-match");
        ofrep::answer(asked, flags.as_deref(), body, of_request, known, clock::now().as_secs())
    }

    fn set(&self, request: &mut Request) {
        if self.settings.is_empty() {
            return;
        }
        let flags = self.definitions.get();
        let context = self.contexts.of(request);
        let now = clock::now().as_secs();
        for setting in &self.settings {
            let found = flags.as_ref().map(|flags| flags.evaluate(&setting.flag, &context, now));
            setting.apply(request, found.as_ref());
        }
        let reads_time = flags.is_some_and(|flags| flags.reads_time());
        if !reads_time && self.definitions.is_settled() && self.contexts.are_often_alike() {
            request.reuse_for(REUSE);
        }
    }
}

register_plugin!(FlagsPlugin);
