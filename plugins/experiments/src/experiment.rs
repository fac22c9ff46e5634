//! One experiment, checked, and who takes part in it.

use std::time::Duration;

use gateway_cel::{Condition, Evaluator, Reads};
use gateway_experiments::{Salt, Schedule, Variants};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::{ConfigError, Request};

use crate::check::{self, Faults};
use crate::config::ExperimentSpec;
use crate::guardrail::Guardrail;
use crate::outcome::OfVariant;

/// An experiment.
#[derive(Debug)]
pub(crate) struct Experiment {
    pub(crate) spec: ExperimentSpec,
    pub(crate) attribute: String,
    pub(crate) variants: Variants,
    salt: Salt,
    share: Salt,
    layer: Option<Layer>,
    schedule: Schedule,
    audience: Option<Condition>,
    pub(crate) guardrail: Option<Guardrail>,
    /// What assignment depends on, for counts that begin again with another one.
    pub(crate) version: u64,
    /// What became of requests, by variant.
    pub(crate) outcomes: Vec<OfVariant>,
}

/// A part of a layer, in percent.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) salt: Salt,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Experiment {
    /// Checks one of them. Those before it have names that are taken.
    pub(crate) fn new(
        spec: ExperimentSpec,
        index: usize,
        before: &[Self],
        reads: &mut Reads,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let mut faults = Faults::at(format!("/experiments/{index}"), errors);
        spec.header.iter().for_each(|name| check::field("/header", name, &mut faults));
        check::name_and_share(&spec, before, &mut faults);
        check::variants(&spec, &mut faults);
        let layer = check::layer(&spec, before, &mut faults);
        let schedule = check::schedule(&spec, &mut faults);
        let audience = check::audience(&spec, reads, &mut faults);
        let guardrail = spec.guardrail.as_ref().and_then(|rail| {
            Guardrail::new(rail, &spec)
                .map_err(|wrong| {
                    for (key, message, help) in wrong {
                        faults.add(&format!("/guardrail{key}"), message, help);
                    }
                })
                .ok()
        });
        let weights = spec.variants.iter().map(|variant| (variant.name.as_str(), variant.weight));
        let variants = Variants::new(weights).filter(|_| faults.are_none())?;
        let salt = spec.salt.as_deref().unwrap_or(&spec.name);
        let assigned =
            spec.variants.iter().map(|variant| format!("{}:{};", variant.name, variant.weight));
        Some(Self {
            attribute: format!("experiment.{}", spec.name),
            variants,
            salt: Salt::new(&format!("variant:{salt}")),
            share: Salt::new(&format!("share:{salt}")),
            layer,
            schedule,
            audience,
            guardrail,
            outcomes: spec.variants.iter().map(|_| OfVariant::default()).collect(),
            version: Salt::new(salt).key(assigned.collect::<String>().as_bytes()),
            spec,
        })
    }

    pub(crate) fn variant(&self, name: &str) -> Option<usize> {
        self.spec.variants.iter().position(|variant| variant.name == name)
    }

    /// Whether assignment depends on the time.
    pub(crate) fn has_schedule(&self) -> bool {
        self.schedule.is_set()
    }

    /// The variant of a unit by the rules; `None` if it does not take part.
    pub(crate) fn assigned(
        &self,
        unit: &[u8],
        now: Duration,
        evaluator: &mut Evaluator<'_>,
    ) -> Option<usize> {
        let share = self.spec.share / 100.0 * self.schedule.part(now);
        let is_in = self.spec.enabled && self.share.place(unit) < share;
        let has_range = |it: &Layer| (it.from..it.to).contains(&(it.salt.place(unit) * 100.0));
        if !is_in || !self.layer.as_ref().is_none_or(has_range) {
            return None;
        }
        if let Some(audience) = &self.audience {
            let holds = audience.holds(evaluator).unwrap_or_else(|why| {
                // What a rule about others does: most requests have no claim of theirs.
                log::debug!(
                    "the audience of experiment `{}` cannot be evaluated: {why}",
                    self.spec.name
                );
                false
            });
            if !holds {
                return None;
            }
        }
        let key = self.salt.key(unit);
        match &self.guardrail {
            None => Some(self.variants.choose(key)),
            Some(guardrail) => {
                let out = guardrail.out(self, now);
                self.variants.choose_of(key, |variant| !out.contains(&variant))
            }
        }
    }

    /// Removes what a client says of any of its fields. Before anything is set: experiments of a layer may have fields in common.
    pub(crate) fn clear(&self, request: &mut Request) {
        let headers = self.spec.variants.iter().flat_map(|variant| variant.headers.keys());
        for header in self.spec.header.iter().chain(headers) {
            request.remove_header(header);
        }
    }

    /// Sets what a variant says.
    pub(crate) fn apply(&self, request: &mut Request, chosen: usize) {
        let variant = &self.spec.variants[chosen];
        if let Some(header) = &self.spec.header {
            request.set_header(header, variant.name.as_str());
        }
        for (name, value) in &variant.headers {
            request.set_header(name, value.as_str());
        }
        if let Some(upstream) = &variant.upstream {
            request.set_upstream(upstream);
        }
        let own = std::iter::once((&self.attribute, &variant.name));
        for (name, value) in own.chain(&variant.attributes) {
            if request.set_attribute(name, value).is_err() {
                log::warn!("no room for the attribute {name}");
            }
        }
    }
}
