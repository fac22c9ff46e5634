//! The experiments of plugins with the component `experiments`, read from their configuration: for those who run the gateway.
//!
//! Owns the form in which experiments and variants are shown, on the command line and by the admin API, and how far a
//! schedule is. Names of units, fields and secrets are left out. Nothing on the path of a request is here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::config::{self, Component, Config, Plugin, PluginId};

/// The component that this is about.
const COMPONENT: &str = "experiments";

/// The plugins of a configuration that have experiments, each with its routes and them.
#[must_use]
pub fn configured(config: &Config) -> Vec<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    plugins(config).map(|(id, plugin)| show(config, id, plugin, now)).collect()
}

/// Those plugins.
pub(crate) fn plugins(config: &Config) -> impl Iterator<Item = (PluginId, &Plugin)> {
    let all = config.plugins.iter().enumerate();
    let is_it = |plugin: &Plugin| matches!(&plugin.component, Component::BuiltIn(name) if name == COMPONENT);
    all.filter(move |(_, plugin)| is_it(plugin)).map(|(index, plugin)| (PluginId(index), plugin))
}

fn show(config: &Config, id: PluginId, plugin: &Plugin, now: Duration) -> Value {
    let routes = config.routes.iter().filter(|route| route.plugins.contains(&id));
    let routes: Vec<_> = routes.map(|route| route.name.as_str()).collect();
    let own: Value = serde_json::from_str(&plugin.config).unwrap_or_default();
    let experiments = own["experiments"].as_array().into_iter().flatten();
    json!({
        "plugin": plugin.name,
        "routes": routes,
        "holdout": own["holdout"].as_object().map(|it| json!({ "share": it.get("share") })),
        "counts_units": own["exposures"].is_object(),
        "experiments": experiments.map(|it| experiment(it, now)).collect::<Vec<_>>(),
    })
}

fn experiment(own: &Value, now: Duration) -> Value {
    let variants: Vec<&Value> = own["variants"].as_array().into_iter().flatten().collect();
    let weight = |variant: &Value| variant["weight"].as_f64().unwrap_or_default();
    let sum: f64 = variants.iter().map(|it| weight(it)).sum();
    let guardrail = &own["guardrail"];
    let control =
        guardrail["control"].as_str().or(variants.first().and_then(|it| it["name"].as_str()));
    let shown = variants.iter().map(|variant| {
        json!({
            "name": variant["name"],
            "weight": weight(variant),
            "planned": if sum > 0.0 { weight(variant) / sum } else { 0.0 },
            "upstream": variant["upstream"],
        })
    });
    let share = own["share"].as_f64().unwrap_or(100.0);
    let (state, part) = state(own, now);
    json!({
        "name": own["name"],
        "state": state,
        "share": share,
        "share_now": share * part,
        "from": own["from"],
        "to": own["to"],
        "ramp": own["ramp"],
        "layer": own["layer"],
        "range": own["range"],
        "audience": own["audience"],
        "control": control,
        "guardrail": match guardrail.is_object() {
            true => json!({
                "errors": guardrail["errors"],
                "slow": guardrail["slow"],
                "slower_than": guardrail["slower_than"],
            }),
            false => Value::Null,
        },
        "variants": shown.collect::<Vec<_>>(),
    })
}

/// Where an experiment is, and which part of its share takes part now.
fn state(own: &Value, now: Duration) -> (&'static str, f64) {
    if own["enabled"] == false {
        return ("disabled", 0.0);
    }
    let time = |key: &str| {
        let read: jiff::Timestamp = own[key].as_str()?.parse().ok()?;
        u64::try_from(read.as_millisecond()).ok().map(Duration::from_millis)
    };
    if time("to").is_some_and(|to| now >= to) {
        return ("over", 0.0);
    }
    let Some(from) = time("from") else { return ("running", 1.0) };
    let ramp = own["ramp"].as_str().and_then(|text| config::duration(text).ok());
    match (now.checked_sub(from), ramp) {
        (None, _) => ("planned", 0.0),
        (Some(passed), Some(ramp)) if passed < ramp => {
            ("ramping", passed.as_secs_f64() / ramp.as_secs_f64())
        }
        _ => ("running", 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_which_part_takes_part() {
        let at = |own: Value| state(&own, Duration::from_secs(1_767_225_600 + 6 * 3600));
        // 2026-01-01, six hours before now.
        let from = "2026-01-01T00:00:00Z";
        assert_eq!(at(json!({})), ("running", 1.0));
        assert_eq!(at(json!({ "enabled": false, "from": from })), ("disabled", 0.0));
        assert_eq!(at(json!({ "from": from, "ramp": "1d" })), ("ramping", 0.25));
        assert_eq!(at(json!({ "from": from, "ramp": "6h" })), ("running", 1.0));
        assert_eq!(at(json!({ "from": "2026-01-02T00:00:00+01:00" })), ("planned", 0.0));
        assert_eq!(at(json!({ "to": from })), ("over", 0.0));
    }
}
