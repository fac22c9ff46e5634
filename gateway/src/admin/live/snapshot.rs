//! One look as JSON.
//!
//! Owns its names, which are documented, and its size: so many routes, targets and plugins, those with most
//! to do.

use serde_json::{Map, Value, json};

use super::figures::{percentiles, rounded};
use super::look::{Look, RouteLook};
use crate::telemetry::metrics::{HOOK_BOUNDS, HookGlance, PluginGlance};
use crate::telemetry::traffic::{
    DURATION_BOUNDS, FAULTS, OVERHEAD_BOUNDS, RouteGlance, STATUS_CLASSES,
};

/// Routes, targets and plugins of a snapshot, at most.
const MOST: usize = 100;

/// A snapshot; `points` is the number of the last point of the history.
pub(super) fn json(look: &Look, points: u64) -> Value {
    let seconds = look.interval;
    let routes = look.routes.iter().take(MOST).map(|route| show_route(route, seconds));
    let targets = look.targets.iter().take(MOST).map(|(upstream, target, tries)| {
        json!({
            "upstream": upstream,
            "target": target,
            "answered_per_second": rate(tries.answered, seconds),
            "failed_per_second": rate(tries.failed, seconds),
            "opened_per_second": rate(tries.opened, seconds),
        })
    });
    let plugins = look.plugins.iter().take(MOST).map(|plugin| show_plugin(plugin, seconds));
    let mut total = figures(&look.total, seconds);
    total["in_flight"] = look.in_flight.into();
    json!({
        "sequence": look.sequence,
        "at": look.at,
        "interval_seconds": rounded(seconds),
        "last_point": points,
        "total": total,
        "routes": routes.collect::<Value>(),
        "routes_active": look.routes.len(),
        "targets": targets.collect::<Value>(),
        "plugins": plugins.collect::<Value>(),
        "workers": look.workers.iter().map(|share| share.map(rounded)).collect::<Value>(),
        "memory_bytes": look.memory,
        "connections": look.connections,
    })
}

fn show_route(route: &RouteLook, seconds: f64) -> Value {
    let mut shown = figures(&route.since, seconds);
    shown["name"] = Value::from(&*route.name);
    shown["in_flight"] = route.in_flight.into();
    shown
}

fn figures(since: &RouteGlance, seconds: f64) -> Value {
    json!({
        "requests": since.requests(),
        "requests_per_second": rate(since.requests(), seconds),
        "statuses": counts(&STATUS_CLASSES, &since.classes),
        "failed": counts(&FAULTS, &since.faults),
        "request_bytes_per_second": rate(since.uploaded, seconds),
        "response_bytes_per_second": rate(since.downloaded, seconds),
        "duration_seconds": percentiles(&DURATION_BOUNDS, &since.duration),
        "upstream_seconds": percentiles(&DURATION_BOUNDS, &since.upstream),
        "overhead_seconds": percentiles(&OVERHEAD_BOUNDS, &since.overhead),
        "duration_buckets": since.duration,
    })
}

fn show_plugin(plugin: &PluginGlance, seconds: f64) -> Value {
    let hooks = plugin.hooks.iter().filter(|hook| hook.calls() > 0);
    let hooks: Map<String, Value> =
        hooks.map(|hook| (hook.hook.to_owned(), show_hook(hook, seconds))).collect();
    json!({
        "name": plugin.name,
        "instances": plugin.instances,
        "calls_waiting": plugin.waiting,
        "computing_share": rounded(plugin.computing_seconds / seconds.max(0.001)),
        "waiting_share": rounded(plugin.waiting_seconds / seconds.max(0.001)),
        "failures": plugin.failures,
        "answers": plugin.answers,
        "reused": plugin.reused,
        "hooks": hooks,
    })
}

fn show_hook(hook: &HookGlance, seconds: f64) -> Value {
    let mut shown = percentiles(&HOOK_BOUNDS, &hook.counts);
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let calls = hook.calls().max(1) as f64;
    shown["calls"] = hook.calls().into();
    shown["calls_per_second"] = rate(hook.calls(), seconds).into();
    shown["mean"] = rounded(hook.seconds / calls).into();
    shown
}

fn counts(names: &[&str], counts: &[u64]) -> Value {
    let named = names.iter().zip(counts).filter(|(_, count)| **count > 0);
    named
        .map(|(name, count)| ((*name).to_owned(), Value::from(*count)))
        .collect::<Map<_, _>>()
        .into()
}

fn rate(count: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let count = count as f64;
    rounded(count / seconds.max(0.001))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::look::Sampler;
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use crate::telemetry::traffic::Sample;

    #[test]
    fn ten_thousand_busy_routes_make_a_snapshot_of_a_hundred() {
        let (metrics, mut sampler) = (Metrics::default(), Sampler::default());
        sampler.look(&metrics, true);
        let sample = Sample {
            status: Some(200),
            fault: None,
            reason: None,
            candidate: None,
            duration: Duration::from_millis(3),
            upstream: Some(Duration::from_millis(2)),
            overhead: Some(Duration::from_micros(30)),
            uploaded: 10,
            downloaded: 1_000,
        };
        for number in 0..10_000 {
            let route = metrics.traffic.of_route(&format!("route-{number}"), 2);
            for worker in 0..=usize::from(number % 100 == 0) {
                route.begin(worker);
                route.end(worker, &sample);
            }
        }
        let began = Instant::now();
        let look = sampler.look(&metrics, true);
        let shown = json(&look, 7);
        println!("a look at 10,000 busy routes took {:?}", began.elapsed());
        let began = Instant::now();
        sampler.look(&metrics, true);
        println!("a look at 10,000 idle routes took {:?}", began.elapsed());
        assert_eq!((&shown["routes_active"], &shown["last_point"]), (&10_000.into(), &7.into()));
        let routes = shown["routes"].as_array().expect("an array");
        assert!(routes.len() == MOST && routes.iter().all(|route| route["requests"] == 2));
        assert_eq!(shown["total"]["statuses"], serde_json::json!({ "2xx": 10_100 }));
        let size = shown.to_string().len();
        assert!(size < 80_000, "{size} bytes");
    }
}
