//! What passed on the routes, as a part of the page.

use std::sync::Arc;

use super::Kind;
use super::text::{head, line, number};
use crate::telemetry::traffic::{
    BYTES, Distribution, FAULTS, OVERHEAD, RESULTS, RouteTraffic, SECONDS, Totals, Traffic,
};

type Routes = [(Arc<RouteTraffic>, Totals)];

/// Writes all families; routes without a request have no lines.
pub(super) fn write(page: &mut String, traffic: &Traffic) {
    let routes = traffic.routes();
    let routes = &routes[..];
    if routes.is_empty() {
        return;
    }
    let name = "gateway_requests_total";
    let help = "Requests that have ended, by route and status. A status that is rare is counted by its \
                class, \"none\" is a request without a response, and the empty route one without a route.";
    head(page, name, Kind::Counter, help);
    for (route, totals) in routes {
        for (status, count) in &totals.statuses {
            line(page, name, &[("route", &route.name), ("status", status)], count);
        }
    }
    let name = "gateway_requests_failed_total";
    head(page, name, Kind::Counter, "Requests that failed, by whose fault it was.");
    for (route, totals) in routes {
        for (fault, count) in FAULTS.iter().zip(&totals.faults).filter(|(_, count)| **count > 0) {
            line(page, name, &[("route", &route.name), ("fault", fault)], count);
        }
    }
    let name = "gateway_requests_in_flight";
    head(page, name, Kind::Gauge, "Requests that have a route and have not ended.");
    for (route, totals) in routes {
        line(page, name, &[("route", &route.name)], totals.in_flight);
    }
    let seconds = 1e-9;
    let name = "gateway_request_duration_seconds";
    let help = "From the head of a request to the last byte of its response.";
    histogram(page, name, help, routes, &SECONDS, seconds, |totals| &totals.duration);
    let name = "gateway_upstream_duration_seconds";
    let help =
        "From sending a request to the head of the response, connecting and retries included.";
    histogram(page, name, help, routes, &SECONDS, seconds, |totals| &totals.upstream);
    let name = "gateway_overhead_duration_seconds";
    let help = "From the head of a request to the head of its response, without the upstream's time: \
                plugins, waiting for their turn, and the gateway itself.";
    histogram(page, name, help, routes, &OVERHEAD, seconds, |totals| &totals.overhead);
    let name = "gateway_request_body_bytes";
    let help = "Bytes of request bodies that have come.";
    histogram(page, name, help, routes, &BYTES, 1.0, |totals| &totals.uploaded);
    let name = "gateway_response_body_bytes";
    let help = "Bytes of response bodies that were sent.";
    histogram(page, name, help, routes, &BYTES, 1.0, |totals| &totals.downloaded);
}

/// Writes what became of requests at the targets.
pub(super) fn write_targets(page: &mut String, traffic: &Traffic) {
    let targets = traffic.targets();
    if targets.is_empty() {
        return;
    }
    let totals: Vec<_> = targets.iter().map(|target| (target, target.totals())).collect();
    let name = "gateway_upstream_attempts_total";
    let help = "Tries of requests at targets, by how they ended.";
    head(page, name, Kind::Counter, help);
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
    let name = "gateway_upstream_connections_opened_total";
    let help = "Tries for which a connection was opened; the others found one in the pool.";
    head(page, name, Kind::Counter, help);
    for (target, (_, opened)) in &totals {
        let labels = [("upstream", &*target.upstream), ("target", &target.target)];
        line(page, name, &labels, opened);
    }
}

/// One family; the sums are counted in as many of the unit.
fn histogram(
    page: &mut String,
    name: &str,
    help: &str,
    routes: &Routes,
    bounds: &[f64],
    unit: f64,
    of: fn(&Totals) -> &Distribution,
) {
    head(page, name, Kind::Histogram, help);
    let bounds: Vec<String> = bounds.iter().copied().chain([f64::INFINITY]).map(number).collect();
    let (bucket, sum, count) =
        (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
    for (route, totals) in routes {
        let distribution = of(totals);
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(&distribution.counts) {
            below += count;
            line(page, &bucket, &[("route", &route.name), ("le", bound)], below);
        }
        if below == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers")]
        let total = distribution.sum as f64 * unit;
        line(page, &sum, &[("route", &route.name)], number(total));
        line(page, &count, &[("route", &route.name)], below);
    }
}
