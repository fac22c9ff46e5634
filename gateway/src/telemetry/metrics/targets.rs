//! What became of requests at the targets, and the connections to them, as a part of the page.

use super::Kind;
use super::text::{head, line};
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
