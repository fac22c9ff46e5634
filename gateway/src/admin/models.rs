//! `GET /models`: the models of plugins, and how their deployments stand.
//!
//! Owns which of a plugin's series is which number of a deployment or a model. The numbers are those of
//! `GET /plugins/{name}/metrics`, summed up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Reply};
use super::{Admin, recorded};
use crate::models;
use crate::telemetry::metrics::{Recorded, RecordedValue};

/// Tokens of each kind.
const TOKENS: [(&str, &str); 5] = [
    ("input", "gen_ai_client_inference_usage_input_tokens_total"),
    ("output", "gen_ai_client_inference_usage_output_tokens_total"),
    ("cache_read", "gen_ai_client_inference_usage_cache_read_input_tokens_total"),
    ("cache_write", "gen_ai_client_inference_usage_cache_write_input_tokens_total"),
    ("reasoning", "gen_ai_client_inference_usage_reasoning_output_tokens_total"),
];
const MODEL: &str = "gen_ai_request_model";

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let in_force = admin.in_force();
    let mut offered = models::offered(&in_force.config);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64());
    for ((_, plugin), shown) in models::plugins(&in_force.config).zip(&mut offered) {
        let numbers = Numbers::new(admin.0.metrics.recorded(&plugin.name, "gen_ai_"));
        let slots = recorded::slots(admin, plugin);
        for (list, label) in [("deployments", "deployment"), ("models", MODEL)] {
            for one in shown[list].as_array_mut().into_iter().flatten() {
                let name = one["name"].as_str().unwrap_or_default().to_owned();
                numbers.add_to(one, label, &name);
                if list == "deployments" {
                    let until =
                        numbers.gauge("gen_ai_cool_down_end_timestamp_seconds", label, &name);
                    one["cool_down_seconds_left"] = json!((until - now).max(0.0));
                    one["slots"] = slots_of(&slots, &name);
                } else {
                    one["refused_total"] =
                        numbers.by("gen_ai_refused_requests_total", label, &name, "reason");
                }
            }
        }
        shown["consumers"] = numbers.consumers();
    }
    Ok(Reply::json(json!({ "plugins": offered })))
}

/// How the places of a deployment are used; none is known of where nobody is.
fn slots_of(slots: &[Value], deployment: &str) -> Value {
    let key = format!("slots:{deployment}").escape_debug().to_string();
    let found = slots.iter().find(|slots| slots["key"] == key.as_str());
    let number = |name: &str| found.map_or_else(|| json!(0), |slots| slots[name].clone());
    json!({ "held": number("held"), "waiting": number("waiting") })
}

/// What a plugin recorded, by the name of the metric: there may be many models, and many series.
struct Numbers(HashMap<String, Vec<Recorded>>);

impl Numbers {
    fn new(recorded: Vec<Recorded>) -> Self {
        let mut by_name: HashMap<String, Vec<Recorded>> = HashMap::new();
        for series in recorded {
            match by_name.get_mut(&series.name) {
                Some(known) => known.push(series),
                None => drop(by_name.insert(series.name.clone(), vec![series])),
            }
        }
        Self(by_name)
    }

    /// All series of a metric.
    fn all(&self, name: &str) -> &[Recorded] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The series of a metric that have this value of a label.
    fn of(&self, name: &str, label: &str, value: &str) -> impl Iterator<Item = &Recorded> {
        let is_it = move |series: &&Recorded| label_of(series, label).unwrap_or_default() == value;
        self.all(name).iter().filter(is_it)
    }

    fn count(&self, name: &str, label: &str, value: &str) -> u64 {
        self.of(name, label, value).map(count).sum()
    }

    fn gauge(&self, name: &str, label: &str, value: &str) -> f64 {
        self.of(name, label, value).fold(0.0, |most, series| match series.value {
            RecordedValue::Number(number) => number.max(most),
            _ => most,
        })
    }

    /// The counts of a metric by the value of another label.
    fn by(&self, name: &str, label: &str, value: &str, other: &str) -> Value {
        let mut counts = BTreeMap::new();
        for series in self.of(name, label, value) {
            let of = label_of(series, other).unwrap_or_default();
            *counts.entry(of).or_insert(0) += count(series);
        }
        let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
        counts.collect::<Map<_, _>>().into()
    }

    /// Adds what is counted for a model, a deployment or a consumer.
    fn add_to(&self, one: &mut Value, label: &str, value: &str) {
        one["requests_total"] = self.by("gen_ai_requests_total", label, value, "outcome");
        let tokens = TOKENS.map(|(kind, name)| {
            let counted = self.count(name, label, value);
            let counted = if counted == 0 { self.old_tokens(kind, label, value) } else { counted };
            (kind.to_owned(), json!(counted))
        });
        one["tokens_total"] = Map::from_iter(tokens).into();
        one["cost_usd_nanos_total"] =
            json!(self.count("gen_ai_cost_usd_nanos_total", label, value));
        let mean = |name: &str| self.mean(name, label, value);
        one["mean_seconds"] = json!({
            "request": mean("gen_ai_server_request_duration_seconds"),
            "first_token": mean("gen_ai_server_time_to_first_token_seconds"),
            "output_token": mean("gen_ai_server_time_per_output_token_seconds"),
            "queue": mean("gen_ai_queue_duration_seconds"),
        });
        if label != "consumer" {
            let failed = "gen_ai_failed_attempts_total";
            one["failed_attempts_total"] = self.by(failed, label, value, "error_type");
            let others = self.of(failed, label, value);
            let others = others.filter(|it| label_of(it, "next").is_some_and(|it| !it.is_empty()));
            one["fail_overs_total"] = json!(others.map(count).sum::<u64>());
        }
    }

    /// Tokens where only the old names are recorded.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of whole numbers that are not negative"
    )]
    fn old_tokens(&self, kind: &str, label: &str, value: &str) -> u64 {
        let series = self.of("gen_ai_client_token_usage", label, value);
        let series = series.filter(|it| label_of(it, "gen_ai_token_type") == Some(kind));
        let sums = series.map(|series| match &series.value {
            RecordedValue::Values { sum, .. } => *sum,
            _ => 0.0,
        });
        sums.sum::<f64>() as u64
    }

    /// The mean of all values of a histogram; null without any.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    fn mean(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let (mut all, mut total) = (0, 0.0);
        for series in self.of(name, label, value) {
            if let RecordedValue::Values { cumulated, sum, .. } = &series.value {
                all += cumulated.last().copied().unwrap_or_default();
                total += sum;
            }
        }
        (all > 0).then(|| total / all as f64)
    }

    /// What is counted for each consumer that has a label of its own, and for all others.
    fn consumers(&self) -> Value {
        let requests = self.all("gen_ai_requests_total").iter();
        let names: BTreeSet<&str> =
            requests.filter_map(|series| label_of(series, "consumer")).collect();
        let show = |name: &str| {
            let mut shown = json!({ "name": name });
            self.add_to(&mut shown, "consumer", name);
            shown
        };
        names.into_iter().map(show).collect()
    }
}

fn count(series: &Recorded) -> u64 {
    match series.value {
        RecordedValue::Count(count) => count,
        _ => 0,
    }
}

fn label_of<'a>(series: &'a Recorded, label: &str) -> Option<&'a str> {
    let found = series.labels.iter().find(|(name, _)| name == label);
    found.map(|(_, value)| value.as_str())
}
