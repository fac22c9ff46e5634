//! Experiments: a unit, such as a user, has the same variant of an experiment each time, on each gateway.
//!
//! `config` is what is written in the file, `check` says what is wrong with it, `experiment` says who takes part and what a variant changes,
//! `force` what testers force, `exposure` notes who was exposed, `outcome` counts what became of requests, and
//! `guardrail` takes a variant out that does worse than the control. How units are assigned is
//! `gateway-experiments`, how audiences are told is `gateway-cel`.

mod check;
mod config;
mod experiment;
mod exposure;
mod force;
mod guardrail;
mod outcome;

use std::time::Duration;

use gateway_cel::{Evaluator, Reads};
use gateway_experiments::Salt;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::source::Source;
use gateway_plugin_sdk::{clock, digest, log};
use serde::{Deserialize, Serialize};

pub use config::{
    Config, ExperimentSpec, ExposuresSpec, ForceSpec, GuardrailSpec, HoldoutSpec, VariantSpec,
};

use experiment::Experiment;
use exposure::Exposures;
use force::Force;
use outcome::{OfHoldout, Recorded};

/// The attribute of units that take part in nothing.
const HOLDOUT: &str = "experiment-holdout";
/// All variants that a request has: what keeps or joins responses tells them apart by it.
const VARIANTS: &str = "experiment-variants";
/// The longest list of variants that is written as it is, in bytes; a longer one becomes a digest.
const MAX_VARIANTS: usize = 1024;

/// For how long the gateway may decide the same without a call.
const REUSE: Duration = Duration::from_secs(60);

/// The same where the time counts.
const REUSE_WHERE_TIME_COUNTS: Duration = Duration::from_secs(1);

/// The plugin, configured.
pub struct Experiments {
    units: Vec<Source>,
    holdout: Option<(Salt, f64)>,
    force: Option<Force>,
    exposures: Option<Exposures>,
    experiments: Vec<Experiment>,
    reads: Reads,
    counts: bool,
    /// What became of those who are not held out, and of those who are.
    of_holdout: [OfHoldout; 2],
}

/// What a request has of experiments.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Assigned {
    /// Experiments and variants, by their places in the configuration.
    variants: Vec<(u16, u16)>,
    /// Whether it is one of those that take part in nothing; `None` without a holdout or a unit.
    is_held_out: Option<bool>,
}

impl Plugin for Experiments {
    type Config = Config;
    type Context = Assigned;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut units = Vec::new();
        for (index, text) in config.unit.iter().enumerate() {
            match Source::parse(text) {
                Ok(source) => units.push(source),
                Err(message) => {
                    let help = "write `consumer.id`, `claim:NAME`, `header:NAME` or `cookie:NAME`";
                    errors.push(ConfigError::at(format!("/unit/{index}"), message).help(help));
                }
            }
        }
        let mut kept = |error| errors.push(error);
        let force =
            config.force.map(|spec| Force::new(spec).map_err(&mut kept)).and_then(Result::ok);
        let exposures =
            config.exposures.as_ref().map(|spec| Exposures::new(spec).map_err(&mut kept));
        let exposures = exposures.and_then(Result::ok);
        let holdout = config.holdout.as_ref();
        if holdout.is_some_and(|spec| !(0.0..=100.0).contains(&spec.share)) {
            let error = ConfigError::at("/holdout/share", "a share is from 0 to 100 percent");
            errors.push(error.help("write `share = 5` for 5 percent of all units"));
        }
        if !(1..=100).contains(&config.experiments.len()) {
            let error = ConfigError::at("/experiments", "there are from 1 to 100 experiments");
            errors
                .push(error.help(
                    "add one with a `name` and `variants`, or share them out to two plugins",
                ));
        }
        let (mut experiments, mut reads) = (Vec::new(), Reads::default());
        for (index, spec) in config.experiments.into_iter().enumerate() {
            let read = Experiment::new(spec, index, &experiments, &mut reads, &mut errors);
            experiments.extend(read);
        }
        ConfigError::collect(errors)?;
        let holdout =
            holdout.map(|spec| (Salt::new(&format!("holdout:{}", spec.salt)), spec.share / 100.0));
        let (counts, of_holdout) = (config.metrics, Default::default());
        Ok(Self { units, holdout, force, exposures, experiments, reads, counts, of_holdout })
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
        interest = attributes.iter().fold(interest, Interest::attribute);
        interest = interest.attribute(VARIANTS);
        interest = self.units.iter().fold(interest, |interest, unit| unit.declare(interest));
        interest = self.force.iter().fold(interest, |interest, force| force.interest(interest));
        if self.counts || self.has_guardrail() { interest.and_on_complete() } else { interest }
    }

    fn on_request(&self, request: &mut Request, assigned: &mut Assigned) -> Outcome {
        let now = clock::now();
        let forced = self.force.as_ref().map(|force| force.take(request, now)).unwrap_or_default();
        let unit = self.units.iter().find_map(|source| source.value(request)).map(str::to_owned);
        let is_held_out = unit.as_ref().is_some_and(|unit| {
            self.holdout.is_some_and(|(salt, share)| salt.place(unit.as_bytes()) < share)
        });
        let chosen = self.chosen(request, unit.as_deref(), &forced, is_held_out, now);
        if is_held_out {
            // A short text under a name that is not reserved always has room, or the exchange has none for any.
            let _full = request.set_attribute(HOLDOUT, "true");
        }
        assigned.is_held_out = self.holdout.and(unit.as_ref()).map(|_| is_held_out);
        self.name_variants(request, &chosen);
        for (index, (experiment, chosen)) in self.experiments.iter().zip(&chosen).enumerate() {
            experiment.apply(request, chosen.map(|(variant, _)| variant));
            let Some((variant, is_assigned)) = *chosen else { continue };
            if !is_assigned {
                continue;
            }
            // There are at most 100 experiments with 20 variants.
            assigned.variants.push((index as u16, variant as u16));
            if let (Some(exposures), Some(unit)) = (&self.exposures, &unit) {
                exposures.note(experiment, variant, unit, now);
            }
        }
        self.allow_reuse(request);
        Outcome::Next
    }

    fn on_complete(&self, summary: &Summary, assigned: &Assigned) {
        let mut recorded = Recorded::default();
        if let Some(is_held_out) = assigned.is_held_out.filter(|_| self.counts) {
            self.of_holdout[usize::from(is_held_out)].count(is_held_out, summary, &mut recorded);
        }
        let mut is_judged = false;
        let used = match self.counts && !assigned.variants.is_empty() {
            true => outcome::used(),
            false => Vec::new(),
        };
        for (experiment, variant) in &assigned.variants {
            let Some(experiment) = self.experiments.get(usize::from(*experiment)) else { continue };
            let index = usize::from(*variant);
            let Some(variant) = experiment.spec.variants.get(index) else { continue };
            if let Some(guardrail) = &experiment.guardrail {
                guardrail.note(experiment, index, summary);
                is_judged = true;
            }
            if self.counts {
                let name = &experiment.spec.name;
                let outcome = &experiment.outcomes[index];
                outcome.count(name, &variant.name, summary, &used, &mut recorded);
            }
        }
        if self.counts {
            recorded.record(summary, is_judged);
        }
    }
}

impl Experiments {
    /// Says in one attribute which variants a request has, behind those that another plugin of this kind has said.
    fn name_variants(&self, request: &mut Request, chosen: &[Option<(usize, bool)>]) {
        let mut text = request.attribute(VARIANTS).unwrap_or_default().to_owned();
        let before = text.len();
        for (experiment, chosen) in self.experiments.iter().zip(chosen) {
            let variant = chosen.and_then(|(index, _)| experiment.spec.variants.get(index));
            let Some(variant) = variant else { continue };
            for part in [experiment.spec.name.as_str(), ":", variant.name.as_str(), " "] {
                text.push_str(part);
            }
        }
        if text.len() == before {
            return;
        }
        if text.len() > MAX_VARIANTS {
            let digest = digest::sha256(text.as_bytes());
            text = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push(' ');
        }
        if request.set_attribute(VARIANTS, text.as_str()).is_err() {
            log::warn!("no room for the attribute {VARIANTS}");
        }
    }

    /// The variant of each experiment, and whether the rules assigned it: what is forced or overridden tells nothing.
    fn chosen(
        &self,
        request: &Request,
        unit: Option<&str>,
        forced: &[(String, String)],
        is_held_out: bool,
        now: Duration,
    ) -> Vec<Option<(usize, bool)>> {
        let mut evaluator = Evaluator::new(request);
        let chosen = |experiment: &Experiment| {
            let mine = forced.iter().find(|(name, _)| *name == experiment.spec.name);
            if let Some(variant) = mine.and_then(|(_, variant)| experiment.variant(variant)) {
                return Some((variant, false));
            }
            let unit = unit?;
            if let Some(name) = experiment.spec.overrides.get(unit) {
                return experiment.variant(name).map(|variant| (variant, false));
            }
            if is_held_out {
                return None;
            }
            experiment.assigned(unit.as_bytes(), now, &mut evaluator).map(|variant| (variant, true))
        };
        self.experiments.iter().map(chosen).collect()
    }

    fn has_guardrail(&self) -> bool {
        self.experiments.iter().any(|experiment| experiment.guardrail.is_some())
    }

    /// Requests that are alike in all that is read have the same variants.
    fn allow_reuse(&self, request: &mut Request) {
        let Reads { path, query, time, is_dynamic, attributes, .. } = &self.reads;
        let varies = |name: &String| {
            name.starts_with("capture.") || name == "request.id" || name == "client.port"
        };
        let is_rare = *path || *query || *time || *is_dynamic || attributes.iter().any(varies);
        // What testers force ends with its time.
        if is_rare || self.force.is_some() || self.units.iter().any(Source::is_rarely_alike) {
            return;
        }
        let may_change =
            self.has_guardrail() || self.experiments.iter().any(Experiment::has_schedule);
        request.reuse_for(if may_change { REUSE_WHERE_TIME_COUNTS } else { REUSE });
    }
}

register_plugin!(Experiments);
