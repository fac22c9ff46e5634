//! Takes a variant out that does worse than the control, for all gateways that share the plugin's store.

use std::cell::RefCell;
use std::time::Duration;

use gateway_experiments::{Proportion, is_over};
use gateway_plugin_sdk::prelude::Summary;
use gateway_plugin_sdk::{Ending, duration, key_value, log, metrics};

use crate::check::one_of;
use crate::config::{ExperimentSpec, GuardrailSpec};
use crate::experiment::Experiment;

/// How often a variant that is good is taken out all the same.
const ALPHA: f64 = 0.01;

/// How many requests an instance counts by itself before it tells the store.
const BATCH: u64 = 8;

/// For how long an instance remembers what is out.
const REMEMBERED: Duration = Duration::from_secs(1);

/// The bounds of an experiment.
#[derive(Debug)]
pub(crate) struct Guardrail {
    control: usize,
    errors: Option<f64>,
    slow: Option<(f64, Duration)>,
    counted: RefCell<Vec<Counts>>,
    /// Which variants are out, and when that was looked up.
    out: RefCell<Option<(Duration, Vec<usize>)>>,
}

/// What became of requests with a variant.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    all: u64,
    errors: u64,
    slow: u64,
}

/// A key, what is wrong with it, and what can be done about it.
type Wrong = (&'static str, String, String);

fn wrong(key: &'static str, message: &str, help: &str) -> Wrong {
    (key, message.to_owned(), help.to_owned())
}

impl Guardrail {
    pub(crate) fn new(rail: &GuardrailSpec, spec: &ExperimentSpec) -> Result<Self, Vec<Wrong>> {
        let mut found = Vec::new();
        let control = spec.variants.iter().position(|variant| variant.name == rail.control);
        if control.is_none() {
            let message = format!("there is no variant {:?}", rail.control);
            found.push(("/control", message, one_of(spec)));
        }
        let slow = match (rail.slow, &rail.slower_than) {
            (Some(bound), Some(time)) => match duration::parse(time) {
                Ok(time) => Some((bound / 100.0, time)),
                Err(why) => {
                    let help = "write a duration such as `\"2s\"` or `\"500ms\"`";
                    found.push(wrong("/slower_than", why, help));
                    None
                }
            },
            (None, None) => None,
            (Some(_), None) => {
                let help = "add `slower_than = \"2s\"`: what counts as slow";
                found.push(wrong("/slow", "`slow` and `slower_than` go together", help));
                None
            }
            (None, Some(_)) => {
                let help = "add `slow = 5`, for 5 percent more than of the control";
                found.push(wrong("/slower_than", "`slow` and `slower_than` go together", help));
                None
            }
        };
        if rail.errors.is_none() && rail.slow.is_none() && rail.slower_than.is_none() {
            let help = "add `errors = 1`, for 1 percent more than of the control, or `slow` and `slower_than`";
            found.push(wrong("", "it has no bound", help));
        }
        for (key, bound) in [("/errors", rail.errors), ("/slow", rail.slow)] {
            if bound.is_some_and(|bound| !(0.0..=100.0).contains(&bound)) {
                let help = "write 1 for 1 percent more than of the control";
                found.push(wrong(key, "a bound is from 0 to 100 percent", help));
            }
        }
        let (Some(control), true) = (control, found.is_empty()) else { return Err(found) };
        let counted = RefCell::new(vec![Counts::default(); spec.variants.len()]);
        let errors = rail.errors.map(|bound| bound / 100.0);
        Ok(Self { control, errors, slow, counted, out: RefCell::default() })
    }

    /// The variants that are out.
    pub(crate) fn out(&self, experiment: &Experiment, now: Duration) -> Vec<usize> {
        let mut out = self.out.borrow_mut();
        match &*out {
            Some((at, variants)) if now.saturating_sub(*at) < REMEMBERED => variants.clone(),
            _ => {
                let is_out = |variant: &usize| {
                    *variant != self.control
                        && key_value::get(&place(experiment, *variant, "out")).is_some()
                };
                let variants: Vec<_> = (0..experiment.spec.variants.len()).filter(is_out).collect();
                // Another gateway, or another version of the experiment, may have said something else.
                if out.as_ref().is_none_or(|(_, before)| *before != variants) {
                    self.show(experiment, &variants);
                }
                *out = Some((now, variants.clone()));
                variants
            }
        }
    }

    fn show(&self, experiment: &Experiment, out: &[usize]) {
        for (index, variant) in experiment.spec.variants.iter().enumerate() {
            if index != self.control {
                let labels = [
                    ("experiment", experiment.spec.name.as_str()),
                    ("variant", variant.name.as_str()),
                ];
                let is_out = if out.contains(&index) { 1.0 } else { 0.0 };
                metrics::gauge_with("experiment_variant_out", &labels).set(is_out);
            }
        }
    }

    /// How long the head of a response may take that is not slow.
    pub(crate) fn slow(&self) -> Duration {
        self.slow.map_or(Duration::MAX, |(_, time)| time)
    }

    /// Counts what became of a request, and judges now and then.
    pub(crate) fn note(&self, experiment: &Experiment, variant: usize, summary: &Summary) {
        // A client that leaves says nothing of the variant.
        if summary.ending == Ending::ClientLeft {
            return;
        }
        let has_failed = summary.status >= 500 || summary.ending != Ending::Complete;
        let is_slow = self.slow.is_some_and(|(_, time)| summary.time_to_head > time);
        let (errors, slow) = (u64::from(has_failed), u64::from(is_slow));
        self.count(experiment, variant, Counts { all: 1, errors, slow });
    }

    /// As [`note`](Self::note), of requests that were complete and not slow.
    pub(crate) fn note_alike(
        &self,
        experiment: &Experiment,
        variant: usize,
        status: u16,
        count: u32,
    ) {
        let all = u64::from(count);
        let errors = if status >= 500 { all } else { 0 };
        self.count(experiment, variant, Counts { all, errors, slow: 0 });
    }

    fn count(&self, experiment: &Experiment, variant: usize, more: Counts) {
        let mut counted = self.counted.borrow_mut();
        let Some(counts) = counted.get_mut(variant) else { return };
        counts.all += more.all;
        counts.errors += more.errors;
        counts.slow += more.slow;
        if counts.all < BATCH {
            return;
        }
        let Counts { all, errors, slow } = std::mem::take(counts);
        for (what, by) in [("all", all), ("errors", errors), ("slow", slow)] {
            let by = i64::try_from(by).unwrap_or(0);
            if by > 0 && key_value::increment(&place(experiment, variant, what), by, None).is_err()
            {
                log::warn!("what became of experiment `{}` was not counted", experiment.spec.name);
                return;
            }
        }
        if variant != self.control {
            self.judge(experiment, variant);
        }
    }

    fn judge(&self, experiment: &Experiment, variant: usize) {
        let kept = |variant: usize, what: &str| {
            let kept = key_value::get(&place(experiment, variant, what)).unwrap_or_default();
            std::str::from_utf8(&kept).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64)
        };
        let bounds = [("errors", self.errors), ("slow", self.slow.map(|(bound, _)| bound))];
        for (what, bound) in bounds {
            let Some(bound) = bound else { continue };
            let of = |variant| Proportion { bad: kept(variant, what), all: kept(variant, "all") };
            let (theirs, control) = (of(variant), of(self.control));
            if is_over(theirs, control, bound, ALPHA) {
                self.take_out(experiment, variant, what, theirs, control);
                return;
            }
        }
    }

    fn take_out(
        &self,
        experiment: &Experiment,
        variant: usize,
        what: &str,
        theirs: Proportion,
        control: Proportion,
    ) {
        let (name, variant_name) = (&experiment.spec.name, &experiment.spec.variants[variant].name);
        let is_first =
            key_value::set_if_absent(&place(experiment, variant, "out"), what.as_bytes(), None);
        if !is_first.unwrap_or(false) {
            return;
        }
        *self.out.borrow_mut() = None;
        log::error!(
            "experiment `{name}`: variant `{variant_name}` is taken out: {what} in {} of {} requests, of the control in {} of {}",
            theirs.bad,
            theirs.all,
            control.bad,
            control.all
        );
        let labels = [("experiment", name.as_str()), ("variant", variant_name.as_str())];
        metrics::gauge_with("experiment_variant_out", &labels).set(1.0);
    }
}

fn place(experiment: &Experiment, variant: usize, what: &str) -> String {
    let name = &experiment.spec.name;
    format!("g:{name}:{:x}:{}:{what}", experiment.version, experiment.spec.variants[variant].name)
}
