//! Who was exposed to which variant: each unit once in a window, counted and compared with the weights.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use gateway_experiments::{Salt, sample_ratio};
use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::{duration, events, key_value, log, metrics, usage};

use crate::config::ExposuresSpec;
use crate::experiment::Experiment;

/// The most that an instance remembers, so that the store is not asked for each request of a unit.
const MOST_REMEMBERED: usize = 10_000;

/// How often the counts are compared with the weights: after so many exposures of a variant.
const COMPARED_EACH: i64 = 16;

/// What the names of usage counters of exposures begin with.
pub(crate) const USAGE_PREFIX: &str = "exposed_";

/// How exposures are noted.
pub(crate) struct Exposures {
    window: Duration,
    logs: bool,
    uses: bool,
    /// A sink of events.
    sink: Option<String>,
    /// Whether events have the units themselves.
    names_units: bool,
    /// What was noted in which window; it may be forgotten. No hash set, whose seeds would make the gateway take each call for
    /// one that nothing can be made of again.
    remembered: RefCell<(u64, BTreeSet<u64>)>,
    /// The experiments of which this instance has shown how many units there are.
    shown: RefCell<BTreeSet<String>>,
}

impl Exposures {
    pub(crate) fn new(spec: &ExposuresSpec) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let range = Duration::from_secs(1)..=Duration::from_secs(90 * 86_400);
        let window = match duration::parse(&spec.window) {
            Ok(window) if range.contains(&window) => window,
            Ok(window) => {
                let error = ConfigError::at("/exposures/window", "a window is from `1s` to `90d`");
                errors.push(error.help("write `window = \"1d\"` to note each unit once a day"));
                window
            }
            Err(why) => {
                let error = ConfigError::at("/exposures/window", why);
                errors.push(error.help("write a duration such as `\"1d\"`"));
                Duration::ZERO
            }
        };
        if let Some(sink) = spec.sink.as_ref().filter(|sink| !events::is_granted(sink)) {
            let error = ConfigError::at("/exposures/sink", "the plugin is not granted the sink");
            errors.push(error.help(format!("write `events = [{sink:?}]` beside `component`")));
        }
        ConfigError::collect(errors)?;
        Ok(Self {
            window,
            logs: spec.log,
            uses: spec.usage,
            sink: spec.sink.clone(),
            names_units: spec.unit_names,
            remembered: RefCell::default(),
            shown: RefCell::default(),
        })
    }

    /// Notes that a unit has a variant.
    pub(crate) fn note(&self, experiment: &Experiment, variant: usize, unit: &str, now: Duration) {
        let (name, variant_name) = (&experiment.spec.name, &experiment.spec.variants[variant].name);
        let window = now.as_nanos() / self.window.as_nanos();
        let window = u64::try_from(window).unwrap_or(u64::MAX);
        // The store has no names of units, and no more of them than this number.
        let text = format!("{name}:{variant_name}:{:x}:{window}:{unit}", experiment.version);
        let key = Salt::new("exposure").key(text.as_bytes());
        if self.is_remembered(window, key) {
            return;
        }
        let place = format!("e:{key:016x}");
        match key_value::set_if_absent(&place, b"", Some(self.window)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                return log::warn!("an exposure to experiment `{name}` was not noted: {error}");
            }
        }
        metrics::counter_with(
            "experiment_exposures_total",
            &[("experiment", name), ("variant", variant_name)],
        )
        .increment();
        if self.logs {
            // Names are plain, and the number of a unit is no unit.
            log::info!(
                "{{\"event\":\"exposure\",\"experiment\":\"{name}\",\"variant\":\"{variant_name}\",\"unit\":\"{:016x}\"}}",
                Salt::new("unit").key(unit.as_bytes())
            );
        }
        if let Some(sink) = &self.sink {
            self.emit(sink, (name, variant_name), unit, now);
        }
        if self.uses {
            usage::add(&usage_name(name, variant_name), 1);
        }
        let Ok(count) = key_value::increment(&count_key(experiment, variant), 1, None) else {
            return;
        };
        // Of another version nothing of the one before is left.
        let is_first = self.shown.borrow_mut().insert(name.clone()) || count == 1;
        if is_first || count % COMPARED_EACH == 0 {
            compare(experiment, now);
        } else {
            show(experiment, variant, u64::try_from(count).unwrap_or_default());
        }
    }

    /// What there is no room for is counted by the gateway.
    fn emit(&self, sink: &str, (name, variant): (&str, &str), unit: &str, now: Duration) {
        // Names are plain; that of a unit and the id of a request may be any text.
        let event = serde_json::json!({
            "event": "exposure",
            "id": format!("{:016x}", Salt::new("event").key(format!("{name}:{variant}:{}:{unit}", now.as_nanos()).as_bytes())),
            "time": now.as_secs_f64(),
            "experiment": name,
            "variant": variant,
            "unit": format!("{:016x}", Salt::new("unit").key(unit.as_bytes())),
            "unit_name": self.names_units.then_some(unit),
        });
        let _counted = events::emit(sink, event.to_string());
    }

    fn is_remembered(&self, window: u64, key: u64) -> bool {
        let mut remembered = self.remembered.borrow_mut();
        if remembered.0 != window || remembered.1.len() >= MOST_REMEMBERED {
            *remembered = (window, BTreeSet::new());
        }
        !remembered.1.insert(key)
    }
}

fn count_key(experiment: &Experiment, variant: usize) -> String {
    let name = &experiment.spec.name;
    format!("c:{name}:{:x}:{}", experiment.version, experiment.spec.variants[variant].name)
}

/// Shows how many units have each variant, and compares that with the plan.
fn compare(experiment: &Experiment, now: Duration) {
    let count = |variant| {
        let kept = key_value::get(&count_key(experiment, variant)).unwrap_or_default();
        std::str::from_utf8(&kept).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64)
    };
    let counts: Vec<u64> = (0..experiment.spec.variants.len()).map(count).collect();
    counts.iter().enumerate().for_each(|(variant, count)| show(experiment, variant, *count));
    // Units of a variant that was taken out have others: that is no fault of the assignment.
    let is_whole =
        experiment.guardrail.as_ref().is_none_or(|it| it.out(experiment, now).is_empty());
    let weights: Vec<f64> = experiment.variants.weights().collect();
    if let Some(probability) = sample_ratio(&counts, &weights).filter(|_| is_whole) {
        let labels = [("experiment", experiment.spec.name.as_str())];
        metrics::gauge_with("experiment_sample_ratio_p_value", &labels).set(probability);
    }
}

fn show(experiment: &Experiment, variant: usize, count: u64) {
    let labels = [
        ("experiment", experiment.spec.name.as_str()),
        ("variant", experiment.spec.variants[variant].name.as_str()),
    ];
    metrics::gauge_with("experiment_units", &labels).set(count as f64);
}

/// The usage counter of a variant.
pub(crate) fn usage_name(experiment: &str, variant: &str) -> String {
    let mut name: String = format!("{USAGE_PREFIX}{experiment}_{variant}")
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' },
        )
        .collect();
    name.truncate(64);
    name
}
