//! `GET /plugins` and `GET /plugins/{name}`.
//!
//! Owns how a plugin is shown: what it is made of, its limits, and what it did. Instances belong to workers;
//! how many there are is counted where they are made and given up.

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::Page;
use crate::config::{Component, Config, Isolation, OnError, Plugin, PluginId, Positions};
use crate::telemetry::metrics::PluginNumbers;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let config = &in_force.config;
    let positions = config.source.positions();
    let show = |(index, plugin)| show(admin, config, &positions, (PluginId(index), plugin));
    Ok(Reply::json(page.of("plugins", config.plugins.iter().enumerate(), show)))
}

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let config = &in_force.config;
    let found = config.plugins.iter().enumerate().find(|(_, plugin)| plugin.name == name);
    let names = config.plugins.iter().map(|plugin| &*plugin.name);
    let (index, plugin) = found.ok_or_else(|| Refusal::no_such("plugin", name, names))?;
    let named = (PluginId(index), plugin);
    Ok(Reply::json(show(admin, config, &config.source.positions(), named)))
}

fn show(
    admin: &Admin,
    config: &Config,
    positions: &Positions<'_>,
    (id, plugin): (PluginId, &Plugin),
) -> Value {
    let routes = config.routes.iter().filter(|route| route.plugins.contains(&id)).count();
    let numbers = admin.0.metrics.plugin_numbers(&plugin.name).unwrap_or_default();
    let live = u64::try_from(numbers.instances).unwrap_or(0);
    json!({
        "name": plugin.name,
        "line": positions.of(plugin.span.start).line,
        "component": plugin.component_text,
        "first_party": matches!(plugin.component, Component::BuiltIn(_)),
        "routes": routes,
        "on_error": match plugin.on_error {
            OnError::Closed => "closed",
            OnError::Open => "open",
        },
        "isolation": match plugin.isolation {
            Isolation::Pooled => "pooled",
            Isolation::Fresh => "fresh",
        },
        "limits": {
            "deadline_seconds": plugin.deadline.as_secs_f64(),
            "memory_bytes": plugin.memory,
            "instances_per_worker": plugin.instances,
            "queue": plugin.queue,
        },
        "instances": {
            "live": live,
            "created_total": numbers.instances_created,
            "memory_bytes_max": live.saturating_mul(plugin.memory as u64),
        },
        "memory": {
            "held_body_bytes": numbers.held_body_bytes,
            "series": numbers.series,
            "series_bytes": numbers.series_bytes,
        },
        "time": {
            "computing_seconds_total": numbers.computing_seconds,
            "waiting_seconds_total": numbers.waiting_seconds,
            "calls_waiting": numbers.waiting,
        },
        "hooks": hooks(&numbers),
        "failures_total": counts(&numbers.failures),
        "upstream_requests_total": counts(&numbers.calls),
        "answers_total": numbers.answers,
        "changes_reused_total": numbers.reused,
        "log_lines_dropped_total": numbers.log_lines_dropped,
    })
}

fn hooks(numbers: &PluginNumbers) -> Value {
    let hooks = numbers.hooks.iter().map(|(hook, calls, seconds)| {
        ((*hook).to_owned(), json!({ "calls_total": calls, "seconds_total": seconds }))
    });
    hooks.collect::<Map<_, _>>().into()
}

fn counts(counts: &[(&'static str, u64)]) -> Value {
    let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), Value::from(*count)));
    counts.collect::<Map<_, _>>().into()
}
