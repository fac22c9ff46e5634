//! `GET /routes/{name}/chain`: the plugins of a route, in order, and what each costs.
//!
//! Owns the sums. Histograms are of a plugin on all of its routes; what a call took on this route is read
//! from the records of single requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::live::{percentiles, rounded};
use crate::explain::{PutPlugin, chain};
use crate::recorder::{Filter, Kept, Record};
use crate::telemetry::metrics::{HOOK_BOUNDS, HookGlance};

/// Records that are read, at most: the newest.
const RECORDS: usize = 1_000;
/// Sampled records that are enough to leave out those that are kept for a reason.
const ENOUGH: usize = 20;

/// What the calls of a hook took on the route, in nanoseconds: nothing where a change was made again without
/// a call. And how many were calls.
type Calls = (Vec<u64>, u64);

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let config = &in_force.config;
    let found = config.routes.iter().find(|route| route.name == name);
    let names = config.routes.iter().map(|route| &*route.name);
    let route = found.ok_or_else(|| Refusal::no_such("route", name, names))?;
    let (all, _) = admin.0.recorder.list(&Filter::of_route(name, RECORDS));
    let sampled = all.iter().filter(|record| matches!(record.kept, Kept::Sampled));
    let is_enough = sampled.clone().count() >= ENOUGH;
    let records: Vec<&Arc<Record>> =
        if is_enough { sampled.collect() } else { all.iter().collect() };
    let calls = calls(&records);
    let routes = |plugin: &str| {
        let uses = |id: &crate::config::PluginId| config.plugins[id.0].name == plugin;
        config.routes.iter().filter(|route| route.plugins.iter().any(uses)).count()
    };
    let plugins = chain(config, route).into_iter().map(|put| {
        let shared = routes(&put.plugin);
        show(&put, shared, &admin.0.metrics.hook_glances(&put.plugin), &calls)
    });
    Ok(Reply::json(json!({
        "name": route.name,
        "records": records.len(),
        "records_kept": if is_enough { "sampled" } else { "all" },
        "plugins": plugins.collect::<Value>(),
    })))
}

fn calls(records: &[&Arc<Record>]) -> BTreeMap<(String, &'static str), Calls> {
    let mut calls: BTreeMap<_, Calls> = BTreeMap::new();
    for hook in records.iter().flat_map(|record| &record.hooks) {
        let (took, called) = calls.entry((hook.plugin.clone(), hook.hook)).or_default();
        took.push(hook.took_ns);
        *called += u64::from(hook.how == "called");
    }
    calls.values_mut().for_each(|(took, _)| took.sort_unstable());
    calls
}

fn show(
    put: &PutPlugin,
    routes: usize,
    hooks: &[HookGlance],
    calls: &BTreeMap<(String, &'static str), Calls>,
) -> Value {
    // What is made again without a call is in records alone, and hooks of no request in histograms alone.
    let mut names: Vec<&'static str> = hooks.iter().map(|hook| hook.hook).collect();
    names.retain(|hook| !matches!(*hook, "describe" | "configure"));
    let recorded = calls.keys().filter(|(plugin, _)| *plugin == put.plugin).map(|(_, hook)| *hook);
    names.extend(recorded);
    names.sort_unstable();
    names.dedup();
    let shown = names.into_iter().map(|name| {
        let all = hooks.iter().find(|hook| hook.hook == name);
        let here = calls.get(&(put.plugin.clone(), name));
        json!({ "hook": name, "all_routes": all.map(totals), "this_route": here.map(of_records) })
    });
    json!({
        "plugin": put.plugin,
        "component": put.component,
        "put_at": put.put_at,
        "defined_at": put.defined_at,
        "routes": routes,
        "hooks": shown.collect::<Value>(),
    })
}

fn totals(hook: &HookGlance) -> Value {
    let mut shown = percentiles(&HOOK_BOUNDS, &hook.counts);
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let calls = hook.calls().max(1) as f64;
    shown["mean"] = rounded(hook.seconds / calls).into();
    shown["calls_total"] = hook.calls().into();
    shown
}

fn of_records((took, called): &Calls) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let seconds = |nanos: u64| rounded(nanos as f64 * 1e-9);
    // The nearest rank.
    let share = |hundredths: usize| took.get((took.len() * hundredths).div_ceil(100).max(1) - 1);
    let sum: u64 = took.iter().sum();
    json!({
        "records": took.len(),
        "mean": seconds(sum / (took.len().max(1) as u64)),
        "p50": share(50).copied().map(seconds),
        "p95": share(95).copied().map(seconds),
        "p99": share(99).copied().map(seconds),
        "called": called,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_records_are_the_nearest_rank() {
        let shown = of_records(&((1..=100).map(|it| it * 1_000).collect(), 3));
        assert_eq!((&shown["p50"], &shown["p99"]), (&json!(0.000_05), &json!(0.000_099)));
        assert_eq!((&shown["records"], &shown["called"]), (&json!(100), &json!(3)));
        let one = of_records(&(vec![2_000], 0));
        assert_eq!((&one["p50"], &one["p99"]), (&json!(0.000_002), &json!(0.000_002)));
    }
}
