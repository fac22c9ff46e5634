//! What can be wrong with an experiment as it is written, and what to write instead.
//!
//! Owns the sentences. Must not assign anybody.

use std::time::Duration;

use gateway_cel::{Condition, Reads};
use gateway_experiments::{Salt, Schedule};
use gateway_plugin_sdk::prelude::{ConfigError, HeaderName};
use gateway_plugin_sdk::{attempts, attributes, duration};

use crate::config::{ExperimentSpec, VariantSpec};
use crate::experiment::{Experiment, Layer};

/// Collects what is wrong with one experiment.
pub(crate) struct Faults<'a> {
    at: String,
    errors: &'a mut Vec<ConfigError>,
    before: usize,
}

impl<'a> Faults<'a> {
    /// For what stands at this place.
    pub(crate) fn at(at: String, errors: &'a mut Vec<ConfigError>) -> Self {
        let before = errors.len();
        Self { at, errors, before }
    }

    /// One more, with what can be done about it.
    pub(crate) fn add(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(ConfigError::at(format!("{}{key}", self.at), message).help(help));
    }

    /// Whether there is none.
    pub(crate) fn are_none(&self) -> bool {
        self.errors.len() == self.before
    }
}

/// The name of an experiment, and its share.
pub(crate) fn name_and_share(
    spec: &ExperimentSpec,
    others: &[Experiment],
    faults: &mut Faults<'_>,
) {
    if !is_name(&spec.name) {
        faults.add("/name", NO_NAME, named(&spec.name));
    } else if others.iter().any(|other| other.spec.name == spec.name) {
        let help = format!("give each experiment a name of its own, such as `{}-2`", spec.name);
        faults.add("/name", "another experiment has this name", help);
    }
    if !(0.0..=100.0).contains(&spec.share) {
        let help = "write `share = 5` for 5 percent of the audience";
        faults.add("/share", "a share is from 0 to 100 percent", help);
    }
}

const NO_NAME: &str = "a name has from 1 to 64 letters, digits, `-` and `_`";

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(is_in_name)
}

fn is_in_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// A name that is one, as near as can be.
fn named(name: &str) -> String {
    let near: String =
        name.chars().map(|it| if is_in_name(it) { it } else { '-' }).take(64).collect();
    format!("write a name such as `{}`", if near.is_empty() { "checkout" } else { &near })
}

/// The variants, and those of single units.
pub(crate) fn variants(spec: &ExperimentSpec, faults: &mut Faults<'_>) {
    if !(1..=20).contains(&spec.variants.len()) {
        let help = "write `variants = [{ name = \"control\", weight = 50 }, { name = \"new\", weight = 50 }]`";
        faults.add("/variants", "there are from 1 to 20 variants", help);
        return;
    }
    for (index, variant) in spec.variants.iter().enumerate() {
        let others = &spec.variants[..index];
        one_variant(&format!("/variants/{index}"), variant, others, faults);
    }
    let is_weight = |variant: &VariantSpec| variant.weight.is_finite() && variant.weight >= 0.0;
    let sum: f64 = spec.variants.iter().map(|variant| variant.weight).sum();
    if spec.variants.iter().all(is_weight) && sum == 0.0 {
        let help = "give at least one variant a weight above 0, such as `weight = 50`; `enabled = false` switches the experiment off";
        faults.add("/variants", "the weights sum to 0: nobody would have a variant", help);
    }
    for (unit, name) in &spec.overrides {
        if !spec.variants.iter().any(|known| known.name == *name) {
            let message = format!("{unit:?}: there is no variant {name:?}");
            faults.add("/overrides", message, one_of(spec));
        }
    }
}

/// Says which variants there are.
pub(crate) fn one_of(spec: &ExperimentSpec) -> String {
    let known: Vec<_> = spec.variants.iter().map(|variant| format!("`{}`", variant.name)).collect();
    format!("write one of {}", known.join(", "))
}

fn one_variant(at: &str, variant: &VariantSpec, others: &[VariantSpec], faults: &mut Faults<'_>) {
    let VariantSpec { name, weight, upstream, headers, attributes } = variant;
    if !is_name(name) {
        faults.add(&format!("{at}/name"), NO_NAME, named(name));
    } else if others.iter().any(|other| other.name == *name) {
        let help = format!("give each variant a name of its own, such as `{name}-2`");
        faults.add(&format!("{at}/name"), "another variant has this name", help);
    }
    if !(weight.is_finite() && *weight >= 0.0) {
        let help = "write `weight = 0` for a variant that nobody is to have by the rules";
        faults.add(&format!("{at}/weight"), "a weight is a number from 0 on", help);
    }
    if let Some(upstream) = upstream
        && !attempts::may_forward(upstream)
    {
        let message = format!("the upstream is not in `forward_to` of the plugin: {upstream:?}");
        let help = format!("add it beside `component`: `forward_to = [{upstream:?}]`");
        faults.add(&format!("{at}/upstream"), message, help);
    }
    for (name, value) in headers {
        field(&format!("{at}/headers/{name}"), name, faults);
        if !value.bytes().all(|byte| byte >= b' ' && byte != 0x7f) {
            let help = "write it in one line, without tabs and other control characters";
            let message = "this cannot be the value of a field";
            faults.add(&format!("{at}/headers/{name}"), message, help);
        }
    }
    for name in attributes.keys() {
        if name.is_empty() || name.len() > 128 || attributes::is_reserved(name) {
            let message = format!("{name:?} is no attribute that a plugin can set");
            let help = "choose a name of your own, of 1 to 128 bytes, such as `feature.checkout`";
            faults.add(&format!("{at}/attributes"), message, help);
        }
    }
}

/// A field that is set.
pub(crate) fn field(at: &str, name: &HeaderName, faults: &mut Faults<'_>) {
    if name.is_of_connection() {
        let message = format!("the field `{name}` is the gateway's to write");
        faults.add(at, message, "choose a name of your own, such as `x-variant`");
    }
}

/// The part of a layer.
pub(crate) fn layer(
    spec: &ExperimentSpec,
    others: &[Experiment],
    faults: &mut Faults<'_>,
) -> Option<Layer> {
    let (layer, [from, to]) = match (&spec.layer, spec.range) {
        (None, None) => return None,
        (Some(layer), Some(range)) => (layer, range),
        (Some(_), None) => {
            let help = "add `range = [0, 50]` for the first half of it";
            faults.add("/layer", "it needs its part of the layer", help);
            return None;
        }
        (None, Some(_)) => {
            let help = "add `layer = \"NAME\"`, the same for all experiments that exclude each other, or remove `range`";
            faults.add("/range", "it is a part of a `layer`, which is not set", help);
            return None;
        }
    };
    if !(0.0 <= from && from < to && to <= 100.0) {
        let help = "write `range = [0, 50]` for the first half of it";
        faults.add("/range", "a range is from and to, in percent of the layer", help);
        return None;
    }
    let same = others.iter().filter(|other| other.spec.layer.as_ref() == Some(layer));
    let taken: Vec<_> =
        same.filter_map(|other| Some((&other.spec.name, other.spec.range?))).collect();
    if let Some((name, [begin, end])) =
        taken.iter().find(|(_, [begin, end])| from < *end && *begin < to)
    {
        let message = format!("it overlaps with `{name}`, which has {begin} to {end} of the layer");
        let help = match free(taken.iter().map(|(_, range)| *range).collect()) {
            Some([from, to]) => format!("{from} to {to} is free: write `range = [{from}, {to}]`"),
            None => format!("nothing of the layer is free: make the range of `{name}` smaller"),
        };
        faults.add("/range", message, help);
        return None;
    }
    Some(Layer { salt: Salt::new(&format!("layer:{layer}")), from, to })
}

/// The largest part of a layer that no experiment has.
fn free(mut taken: Vec<[f64; 2]>) -> Option<[f64; 2]> {
    taken.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let begins = std::iter::once(0.0).chain(taken.iter().map(|range| range[1]));
    let ends = taken.iter().map(|range| range[0]).chain(std::iter::once(100.0));
    let gaps = begins.zip(ends).map(|(from, to)| [from, to]).filter(|[from, to]| from < to);
    gaps.max_by(|one, other| (one[1] - one[0]).total_cmp(&(other[1] - other[0])))
}

/// When it takes place.
pub(crate) fn schedule(spec: &ExperimentSpec, faults: &mut Faults<'_>) -> Schedule {
    let mut time = |text: &Option<String>, key: &str| {
        let text = text.as_ref()?;
        let read = gateway_cel::timestamp(text).and_then(|time| u64::try_from(time).ok());
        if read.is_none() {
            let help = "write it as RFC 3339 does, with the offset: `\"2026-03-01T08:00:00Z\"`";
            faults.add(key, format!("{text:?} is no time"), help);
        }
        read.map(Duration::from_nanos)
    };
    let (from, to) = (time(&spec.from, "/from"), time(&spec.to, "/to"));
    if let (Some(begin), Some(end)) = (from, to)
        && begin >= end
    {
        let help = format!("write a time after {}", spec.from.as_deref().unwrap_or_default());
        faults.add("/to", "it ends before it begins", help);
    }
    let ramp = match &spec.ramp {
        None => Duration::ZERO,
        Some(_) if spec.from.is_none() => {
            let help = "add `from = \"2026-03-01T08:00:00Z\"`, or remove `ramp`";
            faults.add("/ramp", "it begins with `from`, which is not set", help);
            Duration::ZERO
        }
        Some(text) => duration::parse(text).unwrap_or_else(|why| {
            faults.add("/ramp", why, "write a duration such as `\"7d\"` or `\"12h\"`");
            Duration::ZERO
        }),
    };
    Schedule { from, to, ramp }
}

/// Who may take part.
pub(crate) fn audience(
    spec: &ExperimentSpec,
    reads: &mut Reads,
    faults: &mut Faults<'_>,
) -> Option<Condition> {
    let told = |messages: Vec<String>| {
        let help = "write an expression in CEL that is true for the audience, such as `consumer.claims.plan == \"pro\"`";
        messages.into_iter().for_each(|message| faults.add("/audience", message, help));
    };
    Condition::compile(spec.audience.as_ref()?, reads).map_err(told).ok()
}
