//! Authorisation by rules: expressions in the Common Expression Language decide who may do what.
//!
//! `config` is what is written in the file, `rules` decides; the language is `gateway-cel`. The plugin authenticates
//! nobody: it reads what `auth`, or another plugin before it, found out.

mod config;
mod rules;

use std::time::Duration;

use gateway_cel::Reads;
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

pub use config::{Config, Effect, Rule};

use rules::{Decision, Note, Refusal, Rules};

/// The attribute with the name of the rule that decided.
const RULE: &str = "authorize.rule";

/// The attribute with what was decided: `allow`, `deny`, or `would-deny` in a dry run.
const DECISION: &str = "authorize.decision";

/// For how long the gateway may decide the same without a call.
const REUSE: Duration = Duration::from_secs(60);

/// The plugin, configured.
#[derive(Debug)]
pub struct Authorize {
    rules: Rules,
    reads: Reads,
    challenge: String,
    dry_run: bool,
}

impl Plugin for Authorize {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut reads = Reads::default();
        let rules = Rules::new(&config, &mut reads);
        let is_value = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let challenge = config.challenge.trim();
        let is_challenge = !challenge.is_empty() && challenge.bytes().all(is_value);
        let wrong = (!is_challenge).then(|| {
            ConfigError::at("/challenge", "is no challenge such as `Bearer realm=\"api\"`")
        });
        let rules = match (rules, wrong) {
            (Ok(rules), None) => rules,
            (Ok(_), Some(error)) | (Err(error), None) => return Err(error),
            (Err(error), Some(other)) => return Err(error.join(other)),
        };
        Ok(Self { rules, reads, challenge: challenge.to_owned(), dry_run: config.dry_run })
    }

    fn interest(&self) -> Interest {
        let Reads { method, path, query, headers, attributes, .. } = &self.reads;
        let mut interest = Interest::on_request().never_waits();
        if *method {
            interest = interest.method();
        }
        if *path {
            interest = interest.path();
        }
        if *query {
            interest = interest.query();
        }
        interest = headers.iter().fold(interest, Interest::header);
        attributes.iter().fold(interest, Interest::attribute)
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let Decision { rule, effect, refusal, notes } = self.rules.decide(request);
        let was_certain = notes.is_empty();
        notes.iter().for_each(note);
        let by = rule.unwrap_or("default");
        let decision = match (effect, self.dry_run) {
            (Effect::Allow, _) => "allow",
            (Effect::Deny, false) => "deny",
            (Effect::Deny, true) => "would-deny",
        };
        for (name, value) in [(RULE, by), (DECISION, decision)] {
            if request.set_attribute(name, value).is_err() {
                log::warn!("no room for the attribute {name}");
            }
        }
        if effect == Effect::Deny {
            let verb = if self.dry_run { "would refuse" } else { "refuses" };
            log::info!("{verb} the request: {}", told(rule));
            if !self.dry_run {
                return Outcome::respond(self.refuse(refusal).because(told(rule)));
            }
        }
        if was_certain && self.is_reusable() {
            request.reuse_for(REUSE);
        }
        Outcome::Next
    }
}

impl Authorize {
    /// Whether requests are often alike in all that the rules read. The path, the query and what is captured
    /// of the path hardly ever are, and time passes.
    fn is_reusable(&self) -> bool {
        let Reads { path, query, time, is_dynamic, attributes, .. } = &self.reads;
        let varies = |name: &String| {
            name.starts_with("capture.") || name == "request.id" || name == "client.port"
        };
        !(*path || *query || *time || *is_dynamic || attributes.iter().any(varies))
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let detail = refusal.detail.as_deref();
        match refusal.status {
            401 => Response::problem(
                401,
                "Unauthorized",
                detail.unwrap_or("A credential is needed that allows this."),
            )
            .header("www-authenticate", &*self.challenge),
            404 => Response::not_found(detail.unwrap_or("There is nothing here.")),
            _ => Response::forbidden(detail.unwrap_or("This is not allowed.")),
        }
    }
}

fn told(rule: Option<&str>) -> String {
    rule.map_or_else(|| "no rule allows it".to_owned(), |rule| format!("rule `{rule}`"))
}

/// What operators have to know of rules that did not decide as they are meant to.
fn note(note: &Note<'_>) {
    match note {
        Note::Failed { rule, effect: Effect::Allow, why } => {
            // It is what a rule about others does: most requests have no claim of an administrator.
            log::debug!("rule `{rule}` cannot be evaluated and allows nothing: {why}");
        }
        Note::Failed { rule, effect: Effect::Deny, why } => {
            log::warn!("rule `{rule}` cannot be evaluated and denies: {why}");
        }
        Note::Would { rule, effect } => {
            let verb = if *effect == Effect::Allow { "allow" } else { "deny" };
            log::info!("rule `{rule}` would {verb} the request (dry run)");
        }
    }
}

register_plugin!(Authorize);
