//! What became of requests at the targets, and the connections to them, as a part of the page.

use super::Kind;
use super::text::{head, line};
use crate::health::{Health, NoPlace, NoRetry, Reason, State};
use crate::names::Names;
use crate::telemetry::traffic::{RESULTS, Traffic};

/// Writes all families.
pub(super) fn write(page: &mut String, traffic: &Traffic) {
    let targets = traffic.targets();
    if targets.is_empty() {
        return;
    }
    let totals: Vec<_> = targets.iter().map(|target| (target, target.totals())).collect();
    let name = "gateway_upstream_attempts_total";
    head(page, name, Kind::Counter, "Tries of requests at targets, by how they ended.");
    for (target, (results, _)) in &totals {
        for (result, count) in RESULTS.iter().zip(results) {
            // One that is zero shows that the target is there.
            if *count > 0 || *result == RESULTS[0] {
                let labels = [
                    ("upstream", &*target.upstream),
                    ("target", &target.target),
                    ("result", result),
                ];
                line(page, name, &labels, count);
            }
        }
    }
    let name = "gateway_upstream_retries_total";
    let help = "Tries that followed another one for the same request.";
    head(page, name, Kind::Counter, help);
    for target in &targets {
        let labels = [("upstream", &*target.upstream), ("target", &target.target)];
        line(page, name, &labels, target.retries());
    }
    let name = "gateway_upstream_connections_opened_total";
    let help = "Tries for which a connection was opened; the others found one in the pool.";
    head(page, name, Kind::Counter, help);
    for (target, (_, opened)) in &totals {
        let labels = [("upstream", &*target.upstream), ("target", &target.target)];
        line(page, name, &labels, opened);
    }
    let name = "gateway_upstream_connections";
    let help = "Open connections to targets, and whether they wait for a request.";
    head(page, name, Kind::Gauge, help);
    for target in &targets {
        let (in_use, idle) = target.connections();
        for (state, count) in [("idle", idle), ("in_use", in_use)] {
            let (upstream, target) = (&*target.upstream, &*target.target);
            let labels = [("upstream", upstream), ("target", target), ("state", state)];
            line(page, name, &labels, count);
        }
    }
}

/// Writes which requests were not sent again, and where no more are for now.
pub(super) fn write_loads(page: &mut String, health: &Health) {
    let all = health.loads();
    if all.is_empty() {
        return;
    }
    let name = "gateway_upstream_retries_refused_total";
    head(page, name, Kind::Counter, "Requests that were not sent again, by why.");
    for load in &all {
        for (reason, count) in NoRetry::ALL.iter().zip(load.refused()) {
            line(page, name, &[("upstream", load.upstream()), ("reason", reason.word())], count);
        }
    }
    let name = "gateway_upstream_retry_budget_spent";
    head(page, name, Kind::Gauge, "Whether the retry budget of the upstream is spent.");
    for load in &all {
        line(page, name, &[("upstream", load.upstream())], u8::from(load.is_spent()));
    }
    let places = all.iter().filter_map(|load| Some((load.upstream(), load.known_places()?)));
    let places: Vec<_> = places.collect();
    if places.is_empty() {
        return;
    }
    let name = "gateway_upstream_requests";
    let help = "Requests that the upstream has, and that wait for a place, where they are bounded.";
    head(page, name, Kind::Gauge, help);
    for (upstream, places) in &places {
        let (open, waiting) = places.counts();
        for (state, count) in [("open", open), ("waiting", waiting)] {
            line(page, name, &[("upstream", *upstream), ("state", state)], count);
        }
    }
    let name = "gateway_upstream_requests_limit";
    head(page, name, Kind::Gauge, "Requests that the upstream may have, where they are bounded.");
    for (upstream, places) in &places {
        line(page, name, &[("upstream", *upstream)], places.limit().0);
    }
    let name = "gateway_upstream_requests_shed_total";
    head(page, name, Kind::Counter, "Requests that got no place at the upstream, by why.");
    for (upstream, places) in &places {
        for (reason, count) in NoPlace::WORDS.iter().zip(places.shed()) {
            line(page, name, &[("upstream", *upstream), ("reason", *reason)], count);
        }
    }
}

/// Writes which targets take requests.
pub(super) fn write_health(page: &mut String, health: &Health) {
    let known = health.all();
    if known.is_empty() {
        return;
    }
    let all: Vec<_> = known.iter().map(|target| (target.names(), target.show())).collect();
    let name = "gateway_upstream_target_up";
    head(page, name, Kind::Gauge, "Whether the target takes requests.");
    for ((upstream, target), shown) in &all {
        let labels = [("upstream", *upstream), ("target", *target)];
        line(page, name, &labels, u8::from(shown.state == State::Up));
    }
    let name = "gateway_upstream_ejections_total";
    let help = "How often a target was taken out for a while, since requests failed at it, by why.";
    head(page, name, Kind::Counter, help);
    for ((upstream, target), shown) in &all {
        for (reason, count) in Reason::ALL.iter().zip(shown.ejections) {
            let reason = ("reason", reason.word());
            line(page, name, &[("upstream", *upstream), ("target", *target), reason], count);
        }
    }
    let bounded =
        known.iter().filter_map(|target| Some((target.names(), target.known_connections()?)));
    let bounded: Vec<_> = bounded.collect();
    if !bounded.is_empty() {
        let name = "gateway_upstream_connections_waiting";
        head(page, name, Kind::Gauge, "Requests that wait for a connection to the target.");
        for ((upstream, target), connections) in &bounded {
            let labels = [("upstream", *upstream), ("target", *target)];
            line(page, name, &labels, connections.counts().1);
        }
        let name = "gateway_upstream_connections_shed_total";
        head(page, name, Kind::Counter, "Requests that got no connection to the target, by why.");
        for ((upstream, target), connections) in &bounded {
            for (reason, count) in NoPlace::WORDS.iter().zip(connections.shed()) {
                let labels = [("upstream", *upstream), ("target", *target), ("reason", *reason)];
                line(page, name, &labels, count);
            }
        }
    }
    let name = "gateway_upstream_health_checks_total";
    head(page, name, Kind::Counter, "Health checks of targets, by how they ended.");
    for ((upstream, target), shown) in &all {
        for (result, count) in ["passed", "failed"].iter().zip(shown.checks) {
            let result = ("result", *result);
            line(page, name, &[("upstream", *upstream), ("target", *target), result], count);
        }
    }
}

/// Writes what became of looking names up.
pub(super) fn write_names(page: &mut String, names: &Names) {
    let all = names.all();
    if all.is_empty() {
        return;
    }
    let all: Vec<_> = all.iter().map(|name| (name.names(), name.show())).collect();
    let name = "gateway_upstream_name_look_ups_total";
    head(
        page,
        name,
        Kind::Counter,
        "Look-ups of names of targets, by whether they found something.",
    );
    for ((upstream, of), shown) in &all {
        for (result, count) in ["found", "failed"].iter().zip(shown.counts) {
            let labels = [("upstream", *upstream), ("name", *of), ("result", *result)];
            line(page, name, &labels, count);
        }
    }
    let name = "gateway_upstream_name_age_seconds";
    head(page, name, Kind::Gauge, "How old the answer is that a name of targets stands for.");
    for ((upstream, of), shown) in &all {
        if let Some(age) = shown.age {
            line(page, name, &[("upstream", *upstream), ("name", *of)], age.as_secs_f64());
        }
    }
    let name = "gateway_upstream_name_addresses";
    let help = "For how many addresses or services a name of targets stands.";
    head(page, name, Kind::Gauge, help);
    for ((upstream, of), shown) in &all {
        line(page, name, &[("upstream", *upstream), ("name", *of)], shown.answer.len());
    }
}
