//! `GET /experiments` and `GET /experiments/{name}`: experiments, and what is known of their variants.
//!
//! Owns which of a plugin's series is which number of a variant, and what is told of them: shares against the plan, rates and
//! means with their intervals. The numbers are those of `GET /plugins/{name}/metrics`.

use gateway_experiments::{Interval, Moments, Proportion};
use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use crate::config::Plugin;
use crate::experiments;
use crate::telemetry::metrics::{Recorded, RecordedValue};

/// Below this probability, what was assigned is not what was planned.
const MISMATCH: f64 = 0.001;
/// Quantiles of the duration.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    Ok(Reply::json(json!({ "plugins": all(admin) })))
}

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    let [wanted] = call.known(["plugin"])?;
    let name = call.path.first().map_or("", String::as_str);
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for mut plugin in all(admin) {
        let owner = plugin["plugin"].clone();
        if wanted.as_ref().is_some_and(|wanted| owner != wanted.as_str()) {
            continue;
        }
        let experiments = plugin["experiments"].as_array_mut().map(std::mem::take);
        let experiments: Vec<_> = experiments.into_iter().flatten().collect();
        names.extend(experiments.iter().filter_map(|it| Some(it["name"].as_str()?.to_owned())));
        let named = experiments.into_iter().filter(|it| it["name"] == name);
        found.extend(named.map(|mut experiment| {
            experiment["plugin"] = owner.clone();
            experiment
        }));
    }
    match found.len() {
        0 => Err(Refusal::no_such("experiment", name, names.iter().map(String::as_str))),
        1 => Ok(Reply::json(found.remove(0))),
        _ => {
            let plugins: Vec<_> = found.iter().filter_map(|it| it["plugin"].as_str()).collect();
            let plugins = plugins.join("`, `");
            let why = format!("`{plugins}` have an experiment of this name: add `?plugin=NAME`");
            Err(Refusal::bad(why))
        }
    }
}

fn all(admin: &Admin) -> Vec<Value> {
    let in_force = admin.in_force();
    let mut configured = experiments::configured(&in_force.config);
    for ((_, plugin), shown) in experiments::plugins(&in_force.config).zip(&mut configured) {
        add_numbers(admin, plugin, shown);
    }
    configured
}

fn add_numbers(admin: &Admin, plugin: &Plugin, shown: &mut Value) {
    let recorded = Series(admin.0.metrics.recorded(&plugin.name, "experiment_"));
    if shown["holdout"].is_object() {
        let of =
            |held_out: &str| recorded.results("experiment_holdout_", &[("held_out", held_out)]);
        let (others, held_out) = (of("false"), of("true"));
        shown["holdout"]["others"] = others.show(None);
        shown["holdout"]["held_out"] = held_out.show(Some(&others));
    }
    let counts_units = shown["counts_units"] == true;
    for experiment in shown["experiments"].as_array_mut().into_iter().flatten() {
        let name = experiment["name"].as_str().unwrap_or_default().to_owned();
        let control = experiment["control"].as_str().unwrap_or_default().to_owned();
        let of = |variant: &str| {
            recorded.results("experiment_", &[("experiment", &name), ("variant", variant)])
        };
        let of_control = of(&control);
        let variants = experiment["variants"].as_array_mut();
        let (mut units, mut weights, mut is_whole) = (Vec::new(), Vec::new(), true);
        for variant in variants.into_iter().flatten() {
            let variant_name = variant["name"].as_str().unwrap_or_default().to_owned();
            let labels = [("experiment", name.as_str()), ("variant", variant_name.as_str())];
            let is_out = recorded.gauge("experiment_variant_out", &labels) == Some(1.0);
            is_whole &= !is_out;
            units.push(recorded.gauge("experiment_units", &labels).map_or(0, whole));
            weights.push(variant["weight"].as_f64().unwrap_or_default());
            variant["is_out"] = json!(is_out);
            let compared = (variant_name != control).then_some(&of_control);
            if let (Some(variant), Value::Object(numbers)) =
                (variant.as_object_mut(), of(&variant_name).show(compared))
            {
                variant.extend(numbers);
            }
        }
        let all: u64 = units.iter().sum();
        for (variant, units) in
            experiment["variants"].as_array_mut().into_iter().flatten().zip(&units)
        {
            variant["units"] = if counts_units { json!(units) } else { Value::Null };
            let share = gateway_experiments::rate(Proportion { bad: *units, all });
            variant["units_share"] = interval(share.filter(|_| counts_units));
        }
        let probability = gateway_experiments::sample_ratio(&units, &weights);
        let probability = probability.filter(|_| counts_units && is_whole);
        experiment["sample_ratio"] = json!({
            "units": if counts_units { json!(all) } else { Value::Null },
            "p_value": probability,
            "is_mismatch": probability.is_some_and(|it| it < MISMATCH),
        });
    }
}

/// What became of the requests of one variant.
struct Results {
    requests: u64,
    errors: u64,
    seconds: Moments,
    /// Bounds of buckets, and how many values are below each.
    buckets: (Vec<f64>, Vec<u64>),
    usage: Vec<(String, f64, Moments)>,
}

impl Results {
    fn show(&self, control: Option<&Self>) -> Value {
        let rate = |it: &Self| Proportion { bad: it.errors, all: it.requests };
        let difference =
            control.and_then(|it| gateway_experiments::rate_difference(rate(self), rate(it)));
        let seconds =
            control.and_then(|it| gateway_experiments::mean_difference(self.seconds, it.seconds));
        let mean = gateway_experiments::mean(self.seconds);
        let mut duration = Map::from_iter([
            ("mean".to_owned(), interval(mean.map(not_below_zero))),
            ("difference".to_owned(), interval(seconds)),
        ]);
        let (bounds, counts) = &self.buckets;
        let quantiles = QUANTILES.iter();
        duration
            .extend(quantiles.map(|(name, share)| {
                ((*name).to_owned(), json!(quantile(bounds, counts, *share)))
            }));
        let usage = self.usage.iter().map(|(name, total, moments)| {
            let other = control.map(|it| {
                let known = it.usage.iter().find(|(other, _, _)| other == name);
                let none = Moments { count: it.requests, ..Moments::default() };
                known.map_or(none, |(_, _, moments)| *moments)
            });
            let difference =
                other.and_then(|other| gateway_experiments::mean_difference(*moments, other));
            let shown = json!({
                "total": total,
                "mean": interval(gateway_experiments::mean(*moments)),
                "difference": interval(difference),
            });
            (name.clone(), shown)
        });
        json!({
            "requests_total": self.requests,
            "errors_total": self.errors,
            "error_rate": interval(gateway_experiments::rate(rate(self))),
            "error_rate_difference": interval(difference),
            "duration_seconds": duration,
            "usage": usage.collect::<Map<_, _>>(),
        })
    }
}

/// The interval of a time, which is never negative: few values that differ much make it wide.
fn not_below_zero(of: Interval) -> Interval {
    Interval { low: of.low.max(0.0), ..of }
}

fn interval(of: Option<Interval>) -> Value {
    of.map_or(Value::Null, |it| json!({ "value": it.value, "low": it.low, "high": it.high }))
}

/// By straight lines within buckets, as Prometheus does it; the last bound where it is behind it.
#[expect(clippy::cast_precision_loss, reason = "a quantile for people")]
fn quantile(bounds: &[f64], cumulated: &[u64], share: f64) -> Option<f64> {
    let all = cumulated.last().copied().filter(|all| *all > 0)? as f64;
    let at = cumulated.iter().position(|count| *count as f64 >= share * all)?;
    let Some(bound) = bounds.get(at) else { return bounds.last().copied() };
    let (below, lower) = match at.checked_sub(1) {
        Some(before) => (cumulated[before] as f64, bounds[before]),
        None => (0.0, 0.0),
    };
    Some(lower + (bound - lower) * (share * all - below) / (cumulated[at] as f64 - below).max(1.0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, which is not negative"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// What a plugin recorded.
struct Series(Vec<Recorded>);

type Labels<'a> = [(&'a str, &'a str)];

impl Series {
    /// The series of a metric that have these labels, and maybe others.
    fn of<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels<'a>,
    ) -> impl Iterator<Item = &'a Recorded> {
        self.0.iter().filter(move |series| {
            let has = |(name, value): &(&str, &str)| {
                series.labels.iter().any(|(known, its)| known == name && its == value)
            };
            series.name == name && labels.iter().all(has)
        })
    }

    fn gauge(&self, name: &str, labels: &Labels<'_>) -> Option<f64> {
        self.of(name, labels).find_map(|series| match series.value {
            RecordedValue::Number(number) => Some(number),
            _ => None,
        })
    }

    fn count(&self, name: &str, labels: &Labels<'_>) -> u64 {
        let counts = self.of(name, labels).map(|series| match series.value {
            RecordedValue::Count(count) => count,
            _ => 0,
        });
        counts.sum()
    }

    /// The sum of all values of a histogram.
    fn sum(&self, name: &str, labels: &Labels<'_>) -> f64 {
        let sums = self.of(name, labels).map(|series| match &series.value {
            RecordedValue::Values { sum, .. } => *sum,
            _ => 0.0,
        });
        sums.sum()
    }

    fn results(&self, prefix: &str, labels: &Labels<'_>) -> Results {
        let name = |name: &str| format!("{prefix}{name}");
        let requests_name = name("requests_total");
        let requests = self.count(&requests_name, labels);
        let failed: Vec<_> = labels.iter().copied().chain([("status", "5xx")]).collect();
        let duration = name("request_duration_seconds");
        let buckets = self.of(&duration, labels).find_map(|series| match &series.value {
            RecordedValue::Values { bounds, cumulated, .. } => {
                Some((bounds.to_vec(), cumulated.to_vec()))
            }
            _ => None,
        });
        let buckets = buckets.unwrap_or_default();
        let seconds = Moments {
            count: buckets.1.last().copied().unwrap_or_default(),
            sum: self.sum(&duration, labels),
            squares: self.sum(&name("request_duration_squared_seconds"), labels),
        };
        let usage_name = name("usage");
        let usage = self.of(&usage_name, labels).filter_map(|series| {
            let counter = series.labels.iter().find(|(name, _)| name == "counter")?.1.as_str();
            let own: Vec<_> = labels.iter().copied().chain([("counter", counter)]).collect();
            let sum = self.sum(&usage_name, &own);
            let squares = self.sum(&name("usage_squared"), &own);
            // A request that added nothing has 0 of it.
            Some((counter.to_owned(), sum, Moments { count: requests, sum, squares }))
        });
        let (errors, usage) = (self.count(&requests_name, &failed), usage.collect());
        Results { requests, errors, seconds, buckets, usage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_time_is_not_below_zero() {
        let seconds = Moments { count: 5, sum: 0.52, squares: 0.26 };
        let results = Results {
            requests: 5,
            errors: 0,
            seconds,
            buckets: (Vec::new(), Vec::new()),
            usage: Vec::new(),
        };
        assert!(gateway_experiments::mean(seconds).unwrap().low < 0.0, "few that differ much");
        let shown = results.show(None);
        let mean = &shown["duration_seconds"]["mean"];
        assert_eq!(mean["low"], 0.0, "{mean}");
        assert!(mean["high"].as_f64().unwrap() > 0.1733, "{mean}");
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let (bounds, counts) = ([0.1, 0.5, 1.0], [10, 50, 90, 100]);
        assert_eq!(quantile(&bounds, &counts, 0.05), Some(0.05));
        assert_eq!(quantile(&bounds, &counts, 0.5), Some(0.5));
        assert_eq!(quantile(&bounds, &counts, 0.7), Some(0.75));
        assert_eq!(quantile(&bounds, &counts, 0.99), Some(1.0));
        assert_eq!(quantile(&bounds, &[0, 0, 0, 0], 0.5), None);
        assert_eq!(quantile(&[], &[], 0.5), None);
    }
}
