//! One experiment, checked, and who takes part in it.

use std::time::Duration;

use gateway_cel::{Condition, Evaluator, Reads};
use gateway_experiments::{Salt, Schedule, Variants};
use gateway_plugin_sdk::prelude::{ConfigError, Request};
use gateway_plugin_sdk::{attempts, attributes, duration, log};

use crate::config::{ExperimentSpec, VariantSpec};
use crate::guardrail::Guardrail;

/// An experiment.
#[derive(Debug)]
pub(crate) struct Experiment {
    pub(crate) spec: ExperimentSpec,
    pub(crate) attribute: String,
    pub(crate) variants: Variants,
    salt: Salt,
    share: Salt,
    layer: Option<(Salt, f64, f64)>,
    schedule: Schedule,
    audience: Option<Condition>,
    pub(crate) guardrail: Option<Guardrail>,
    /// What assignment depends on, for counts that begin again with another one.
    pub(crate) version: u64,
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
        let at = format!("/experiments/{index}");
        let first_error = errors.len();
        let mut wrong = |key: &str, message: String| {
            errors.push(ConfigError::at(format!("{at}{key}"), message))
        };
        if !is_name(&spec.name) {
            wrong("/name", "a name has from 1 to 64 letters, digits, `-` and `_`".to_owned());
        } else if before.iter().any(|other| other.spec.name == spec.name) {
            wrong("/name", "another experiment has this name".to_owned());
        }
        for (place, message) in wrong_variants(&spec) {
            wrong(&place, message);
        }
        let weights = spec.variants.iter().map(|variant| (variant.name.as_str(), variant.weight));
        let variants = Variants::new(weights);
        if variants.is_none() {
            wrong(
                "/variants",
                "the weights sum to 0, or one is below 0: nobody would have a variant".to_owned(),
            );
        }
        if !(0.0..=100.0).contains(&spec.share) {
            wrong("/share", "a share is from 0 to 100 percent".to_owned());
        }
        let layer = layer(&spec, before).unwrap_or_else(|(key, message)| {
            wrong(key, message);
            None
        });
        let schedule = schedule(&spec).unwrap_or_else(|(key, message)| {
            wrong(key, message);
            Schedule::default()
        });
        let audience = spec.audience.as_ref().and_then(|source| {
            let told = |messages: Vec<String>| {
                messages.into_iter().for_each(|message| wrong("/audience", message));
            };
            Condition::compile(source, reads).map_err(told).ok()
        });
        let guardrail = spec.guardrail.as_ref().and_then(|rail| {
            Guardrail::new(rail, &spec)
                .map_err(|(key, message)| wrong(&format!("/guardrail{key}"), message))
                .ok()
        });
        let variants = variants.filter(|_| errors.len() == first_error)?;
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
        let has_range = |(salt, from, to): &(Salt, f64, f64)| {
            (*from..*to).contains(&(salt.place(unit) * 100.0))
        };
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

    /// Sets what a variant says; what a client says of any of them does not count.
    pub(crate) fn apply(&self, request: &mut Request, chosen: Option<usize>) {
        let chosen = chosen.map(|index| &self.spec.variants[index]);
        let headers = self.spec.variants.iter().flat_map(|variant| variant.headers.keys());
        for header in self.spec.header.iter().chain(headers) {
            request.remove_header(header);
        }
        let Some(variant) = chosen else { return };
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

pub(crate) fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(is_letter)
}

fn wrong_variants(spec: &ExperimentSpec) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (index, VariantSpec { name, upstream, headers, attributes, .. }) in
        spec.variants.iter().enumerate()
    {
        let at = format!("/variants/{index}");
        if !is_name(name) {
            wrong.push((
                format!("{at}/name"),
                "a name has from 1 to 64 letters, digits, `-` and `_`".to_owned(),
            ));
        } else if spec.variants[..index].iter().any(|other| other.name == *name) {
            wrong.push((format!("{at}/name"), "another variant has this name".to_owned()));
        }
        if let Some(upstream) = upstream
            && !attempts::may_forward(upstream)
        {
            wrong.push((
                format!("{at}/upstream"),
                format!("the upstream is not in `forward_to` of the plugin: {upstream:?}"),
            ));
        }
        for (name, value) in headers {
            if !value.bytes().all(|byte| byte >= b' ' && byte != 0x7f) {
                wrong.push((
                    format!("{at}/headers/{name}"),
                    "this cannot be the value of a field".to_owned(),
                ));
            }
        }
        for name in attributes.keys() {
            if name.is_empty() || name.len() > 128 || attributes::is_reserved(name) {
                let message = format!("{name:?} is no attribute that a plugin can set");
                wrong.push((format!("{at}/attributes"), message));
            }
        }
    }
    for (unit, variant) in &spec.overrides {
        if !spec.variants.iter().any(|known| known.name == *variant) {
            let known: Vec<_> = spec.variants.iter().map(|variant| variant.name.as_str()).collect();
            let message = format!(
                "{unit:?}: there is no variant {variant:?}; there are {}",
                known.join(", ")
            );
            wrong.push(("/overrides".to_owned(), message));
        }
    }
    wrong
}

type Wrong = (&'static str, String);

fn layer(spec: &ExperimentSpec, before: &[Experiment]) -> Result<Option<(Salt, f64, f64)>, Wrong> {
    let (Some(layer), Some([from, to])) = (&spec.layer, spec.range) else {
        return match (&spec.layer, spec.range) {
            (Some(_), None) => {
                Err(("/layer", "it needs its part of the layer: `range = [0, 50]`".to_owned()))
            }
            (None, Some(_)) => {
                Err(("/range", "it is a part of a `layer`, which is not set".to_owned()))
            }
            _ => Ok(None),
        };
    };
    if !(0.0 <= from && from < to && to <= 100.0) {
        return Err((
            "/range",
            "a range is from and to, in percent of the layer: `[0, 50]`".to_owned(),
        ));
    }
    for other in before.iter().filter(|other| other.spec.layer.as_ref() == Some(layer)) {
        if let Some([begin, end]) = other.spec.range
            && from < end
            && begin < to
        {
            let name = &other.spec.name;
            return Err((
                "/range",
                format!("it overlaps with `{name}`, which has {begin} to {end} of the layer"),
            ));
        }
    }
    Ok(Some((Salt::new(&format!("layer:{layer}")), from, to)))
}

fn schedule(spec: &ExperimentSpec) -> Result<Schedule, Wrong> {
    let time = |text: &Option<String>, key: &'static str| {
        let read = |text: &String| {
            let nanoseconds =
                gateway_cel::timestamp(text).and_then(|time| u64::try_from(time).ok());
            nanoseconds
                .map(Duration::from_nanos)
                .ok_or_else(|| (key, format!("{text:?} is no time such as `2026-03-01T08:00:00Z`")))
        };
        text.as_ref().map(read).transpose()
    };
    let (from, to) = (time(&spec.from, "/from")?, time(&spec.to, "/to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(("/to", "it ends before it begins".to_owned()));
    }
    let ramp = match &spec.ramp {
        None => Duration::ZERO,
        Some(_) if from.is_none() => {
            return Err(("/ramp", "it begins with `from`, which is not set".to_owned()));
        }
        Some(text) => duration::parse(text).map_err(|why| ("/ramp", why.to_owned()))?,
    };
    Ok(Schedule { from, to, ramp })
}
