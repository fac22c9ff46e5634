//! The rules of a configuration, and what they decide.
//!
//! The first rule that is true decides. One that cannot be evaluated (what it reads is missing, or is of
//! another type) never lets a request pass: with `allow` it counts as not true, with `deny` as true.

use gateway_plugin_sdk::prelude::ConfigError;

use crate::config::{Config, Effect, Rule as RuleConfig};
use gateway_cel::{Condition, Evaluator, Facts, Reads};

/// The longest name of a rule, in bytes.
const MAX_NAME: usize = 64;
const MAX_RULES: usize = 1000;

/// All rules, in order.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    default: Effect,
    refusal: Refusal,
}

#[derive(Debug)]
struct Rule {
    name: String,
    effect: Effect,
    condition: Condition,
    refusal: Refusal,
    dry_run: bool,
}

/// How a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) detail: Option<String>,
}

/// What was decided of a request.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The name of the rule; `None` where no rule was true.
    pub(crate) rule: Option<&'a str>,
    pub(crate) effect: Effect,
    pub(crate) refusal: &'a Refusal,
    /// What else is to be known, in sentences: rules that could not be evaluated, and what those decide that
    /// decide nothing yet.
    pub(crate) notes: Vec<Note<'a>>,
}

/// What became of a rule that did not decide, or decided because it could not be evaluated.
#[derive(Debug)]
pub(crate) enum Note<'a> {
    Failed { rule: &'a str, effect: Effect, why: String },
    Would { rule: &'a str, effect: Effect },
}

impl Rules {
    /// Reads the rules; the reads of all are added to `reads`.
    pub(crate) fn new(config: &Config, reads: &mut Reads) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        if config.rules.is_empty() || config.rules.len() > MAX_RULES {
            let message = format!("there are from 1 to {MAX_RULES} rules");
            errors.push(ConfigError::at("/rules", message));
        }
        check_refusal("", Some(config.status), config.detail.as_deref(), &mut errors);
        let refusal = Refusal { status: config.status, detail: config.detail.clone() };
        let mut rules: Vec<Rule> = Vec::new();
        for (index, written) in config.rules.iter().enumerate() {
            let at = format!("/rules/{index}");
            if let Some(message) = wrong_name(&written.name, &config.rules[..index]) {
                errors.push(ConfigError::at(format!("{at}/name"), message));
            }
            check_refusal(&at, written.status, written.detail.as_deref(), &mut errors);
            rules.extend(rule(written, &at, &refusal, reads, &mut errors));
        }
        ConfigError::collect(errors)?;
        Ok(Self { rules, default: config.default, refusal })
    }

    /// Decides about a request.
    pub(crate) fn decide(&self, facts: &dyn Facts) -> Decision<'_> {
        let mut evaluator = Evaluator::new(facts);
        let mut notes = Vec::new();
        for rule in &self.rules {
            let (name, effect) = (rule.name.as_str(), rule.effect);
            let holds = rule.condition.holds(&mut evaluator).unwrap_or_else(|why| {
                notes.push(Note::Failed { rule: name, effect, why });
                effect == Effect::Deny
            });
            if !holds {
                continue;
            }
            if rule.dry_run {
                notes.push(Note::Would { rule: name, effect });
                continue;
            }
            return Decision { rule: Some(name), effect, refusal: &rule.refusal, notes };
        }
        Decision { rule: None, effect: self.default, refusal: &self.refusal, notes }
    }
}

fn rule(
    written: &RuleConfig,
    at: &str,
    refusal: &Refusal,
    reads: &mut Reads,
    errors: &mut Vec<ConfigError>,
) -> Option<Rule> {
    let (effect, key, source) = match (&written.allow, &written.deny) {
        (Some(source), None) => (Effect::Allow, "allow", source),
        (None, Some(source)) => (Effect::Deny, "deny", source),
        (Some(_), Some(_)) => {
            let message = "a rule has `allow` or `deny`, and not both: make it two rules";
            errors.push(ConfigError::at(at, message));
            return None;
        }
        (None, None) => {
            let message = "a rule has an expression: `allow = \"...\"` or `deny = \"...\"`";
            errors.push(ConfigError::at(at, message));
            return None;
        }
    };
    for (key, is_there) in
        [("status", written.status.is_some()), ("detail", written.detail.is_some())]
    {
        if effect == Effect::Allow && is_there {
            let message =
                "a rule with `allow` refuses nothing; the top level says how the rest is refused";
            errors.push(ConfigError::at(format!("{at}/{key}"), message));
        }
    }
    let condition = Condition::compile(source, reads).map_err(|messages| {
        let place = format!("{at}/{key}");
        errors.extend(messages.into_iter().map(|message| ConfigError::at(&*place, message)));
    });
    let refusal = Refusal {
        status: written.status.unwrap_or(refusal.status),
        detail: written.detail.clone().or_else(|| refusal.detail.clone()),
    };
    let (name, dry_run) = (written.name.clone(), written.dry_run);
    condition.ok().map(|condition| Rule { name, effect, condition, refusal, dry_run })
}

fn wrong_name(name: &str, before: &[RuleConfig]) -> Option<String> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_letter) {
        let message = format!("a name has from 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`");
        return Some(message);
    }
    if name == "default" {
        return Some("`default` is what is told where no rule decides".to_owned());
    }
    before.iter().any(|it| it.name == name).then(|| "another rule has this name".to_owned())
}

fn check_refusal(
    at: &str,
    status: Option<u16>,
    detail: Option<&str>,
    errors: &mut Vec<ConfigError>,
) {
    if status.is_some_and(|status| !matches!(status, 401 | 403 | 404)) {
        let message = "a refusal has the status 401, 403 or 404";
        errors.push(ConfigError::at(format!("{at}/status"), message));
    }
    if detail.is_some_and(|detail| detail.is_empty() || detail.len() > 1024) {
        let message = "a detail has from 1 to 1024 bytes";
        errors.push(ConfigError::at(format!("{at}/detail"), message));
    }
}
