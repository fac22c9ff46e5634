//! `GET /plugins/{name}/metrics`: what a plugin recorded, and how its slots are used.
//!
//! Owns how a series is shown. The same for every plugin: what a series means only its plugin knows.

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use crate::config::{Config, Plugin};
use crate::telemetry::metrics::{Recorded, RecordedValue};

pub(super) fn of_plugin(admin: &Admin, call: &Call) -> Answer {
    let [prefix] = call.known(["prefix"])?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let plugin = plugin(&in_force.config, name)?;
    let recorded = admin.0.metrics.recorded(name, prefix.as_deref().unwrap_or_default());
    Ok(Reply::json(json!({
        "plugin": name,
        "metrics": recorded.iter().map(show).collect::<Vec<_>>(),
        "slots": slots(admin, plugin),
    })))
}

fn plugin<'a>(config: &'a Config, name: &str) -> Result<&'a Plugin, Refusal> {
    let found = config.plugins.iter().find(|plugin| plugin.name == name);
    let names = config.plugins.iter().map(|plugin| &*plugin.name);
    found.ok_or_else(|| Refusal::no_such("plugin", name, names))
}

/// The keys of which slots are held or waited for.
pub(super) fn slots(admin: &Admin, plugin: &Plugin) -> Vec<Value> {
    let slots = admin.0.limits.slots_of(plugin);
    let keys = slots.map(|slots| slots.all()).unwrap_or_default();
    let show = |(key, limit, now): &(std::sync::Arc<str>, u32, crate::state::slots::Occupancy)| {
        // Plugins choose their keys; control characters are escaped.
        let key = key.escape_debug().to_string();
        json!({ "key": key, "limit": limit, "held": now.held, "waiting": now.waiting })
    };
    keys.iter().map(show).collect()
}

fn show(series: &Recorded) -> Value {
    let labels = series.labels.iter().map(|(name, value)| (name.clone(), json!(value)));
    let mut shown = json!({
        "name": series.name,
        "kind": series.kind.word(),
        "labels": labels.collect::<Map<_, _>>(),
    });
    match &series.value {
        RecordedValue::Count(count) => shown["value"] = json!(count),
        RecordedValue::Number(number) => shown["value"] = json!(number),
        RecordedValue::Values { bounds, cumulated, sum } => {
            shown["count"] = json!(cumulated.last().copied().unwrap_or_default());
            shown["sum"] = json!(sum);
            shown["bounds"] = json!(bounds);
            shown["cumulated"] = json!(cumulated);
        }
    }
    shown
}
