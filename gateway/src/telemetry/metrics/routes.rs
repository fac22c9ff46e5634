//! What passed on the routes, as a part of the page.

use std::sync::Arc;

use super::Kind;
use super::text::{head, line, line_with, number};
use crate::error::Reason;
use crate::telemetry::traffic::{
    BYTES, CLASSES, Distribution, OTHER, OVERHEAD, RouteTraffic, SECONDS, ShownExemplars, Totals,
    Traffic,
};

type Routes = [(Arc<RouteTraffic>, Totals)];

/// Writes all families; routes without a request have no lines. Exemplars are for who reads OpenMetrics.
pub(super) fn write(page: &mut String, traffic: &Traffic, with_exemplars: bool) {
    write_unread(page, traffic);
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
    head(page, name, Kind::Counter, "Requests that failed, by whose fault it was and why.");
    let exemplars: Vec<_> = match with_exemplars {
        true => routes.iter().map(|(route, _)| route.exemplars()).collect(),
        false => Vec::new(),
    };
    for (index, (route, totals)) in routes.iter().enumerate() {
        let reasons = Reason::all().zip(&totals.reasons).enumerate();
        for (place, ((reason, fault), count)) in reasons.filter(|(_, (_, count))| **count > 0) {
            let labels = [("route", &*route.name), ("fault", fault.as_str()), ("reason", reason)];
            let exemplar = exemplars.get(index).and_then(|of| of.of_failure(place));
            line_with(page, name, &labels, count, exemplar);
        }
    }
    write_groups(page, routes);
    write_variants(page, &traffic.variants());
    let name = "gateway_requests_in_flight";
    head(page, name, Kind::Gauge, "Requests that have a route and have not ended.");
    for (route, totals) in routes {
        line(page, name, &[("route", &route.name)], totals.in_flight);
    }
    let seconds = 1e-9;
    let name = "gateway_request_duration_seconds";
    let help = "From the head of a request to the last byte of its response.";
    histogram(page, name, help, (routes, &exemplars), &SECONDS, seconds, |totals| &totals.duration);
    let name = "gateway_upstream_duration_seconds";
    let help =
        "From sending a request to the head of the response, connecting and retries included.";
    histogram(page, name, help, (routes, &[]), &SECONDS, seconds, |totals| &totals.upstream);
    let name = "gateway_overhead_duration_seconds";
    let help = "From the head of a request to the head of its response, without the upstream's time: \
                plugins, waiting for their turn, and the gateway itself.";
    histogram(page, name, help, (routes, &[]), &OVERHEAD, seconds, |totals| &totals.overhead);
    let name = "gateway_request_body_bytes";
    let help = "Bytes of request bodies that have come.";
    histogram(page, name, help, (routes, &[]), &BYTES, 1.0, |totals| &totals.uploaded);
    let name = "gateway_response_body_bytes";
    let help = "Bytes of response bodies that were sent.";
    histogram(page, name, help, (routes, &[]), &BYTES, 1.0, |totals| &totals.downloaded);
}

/// Heads that could not be read belong to no route, and to no request.
fn write_unread(page: &mut String, traffic: &Traffic) {
    let name = "gateway_heads_refused_total";
    let help = "Heads of requests that could not be read, by reason; they are no requests.";
    let unread = traffic.unread();
    for (index, (reason, count)) in unread.counts().enumerate() {
        if index == 0 {
            head(page, name, Kind::Counter, help);
        }
        line(page, name, &[("reason", reason)], count);
    }
}

/// Writes the requests by group, where consumers have one.
fn write_groups(page: &mut String, routes: &Routes) {
    let has_groups = routes.iter().any(|(_, totals)| !totals.groups.is_empty());
    let name = "gateway_consumer_group_requests_total";
    let help = "Requests that have ended of consumers that have a group, by route, group and class of the \
                status. Groups past the bound count together as \"~other\".";
    if has_groups {
        head(page, name, Kind::Counter, help);
    }
    for (route, totals) in routes {
        for (group, classes) in &totals.groups {
            for (class, count) in CLASSES.iter().zip(classes).filter(|(_, count)| **count > 0) {
                let labels = [("route", &*route.name), ("group", group), ("status", class)];
                line(page, name, &labels, count);
            }
        }
    }
    let name = "gateway_consumer_groups_overflowed_total";
    let help = "Requests of consumers whose group has no series, over the bound of groups.";
    head(page, name, Kind::Counter, help);
    let others = routes.iter().flat_map(|(_, totals)| &totals.groups);
    let others = others.filter(|(group, _)| group == OTHER).flat_map(|(_, classes)| classes);
    line(page, name, &[], others.sum::<u64>());
}

/// Writes the requests of routes that split, by variant.
fn write_variants(page: &mut String, variants: &Routes) {
    if variants.is_empty() {
        return;
    }
    let name = "gateway_variant_requests_total";
    let help = "Requests that have ended of routes that split, by route, variant and status. They are counted \
                by route too.";
    head(page, name, Kind::Counter, help);
    for (route, totals) in variants {
        for (status, count) in &totals.statuses {
            let labels =
                [("route", &*route.name), ("variant", &*route.variant), ("status", status)];
            line(page, name, &labels, count);
        }
    }
    let name = "gateway_variant_requests_failed_total";
    let help = "Requests that failed, of routes that split, by whose fault it was and why.";
    head(page, name, Kind::Counter, help);
    for (route, totals) in variants {
        let reasons = Reason::all().zip(&totals.reasons);
        for ((reason, fault), count) in reasons.filter(|(_, count)| **count > 0) {
            let (route, variant) = (&*route.name, &*route.variant);
            let labels = [
                ("route", route),
                ("variant", variant),
                ("fault", fault.as_str()),
                ("reason", reason),
            ];
            line(page, name, &labels, count);
        }
    }
    let name = "gateway_variant_request_duration_seconds";
    let help = "From the head of a request to the last byte of its response, by variant.";
    histogram(page, name, help, (variants, &[]), &SECONDS, 1e-9, |totals| &totals.duration);
}

/// One family; the sums are counted in as many of the unit.
fn histogram(
    page: &mut String,
    name: &str,
    help: &str,
    (routes, exemplars): (&Routes, &[ShownExemplars]),
    bounds: &[f64],
    unit: f64,
    of: fn(&Totals) -> &Distribution,
) {
    head(page, name, Kind::Histogram, help);
    let bounds: Vec<String> = bounds.iter().copied().chain([f64::INFINITY]).map(number).collect();
    let (bucket, sum, count) =
        (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
    for (index, (route, totals)) in routes.iter().enumerate() {
        let distribution = of(totals);
        if distribution.counts.iter().all(|count| *count == 0) {
            continue;
        }
        let exemplars = exemplars.get(index);
        // Only what is of a variant is named after one.
        let named = if route.variant.is_empty() { 2 } else { 3 };
        let mut below = 0;
        for (place, (bound, count)) in bounds.iter().zip(&distribution.counts).enumerate() {
            below += count;
            let exemplar = exemplars.and_then(|of| of.of_bucket(place)).filter(|_| *count > 0);
            let labels = [("route", &*route.name), ("le", bound), ("variant", &*route.variant)];
            line_with(page, &bucket, &labels[..named], below, exemplar);
        }
        #[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers")]
        let total = distribution.sum as f64 * unit;
        let labels = [("route", &*route.name), ("variant", &*route.variant)];
        line(page, &sum, &labels[..named - 1], number(total));
        line(page, &count, &labels[..named - 1], below);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn a_hundred_thousand_groups_make_the_page_no_larger_than_its_bound() {
        let metrics = Metrics::default();
        let routes: Vec<_> =
            (0..10).map(|it| metrics.traffic.of_route(&it.to_string(), 2)).collect();
        for number in 0..100_000_usize {
            let route = &routes[number % routes.len()];
            route.begin(number % 2);
            route.end_of_group(number % 2, &format!("tenant-{number}"), Some(200));
        }
        let page = metrics.text();
        let of_groups = |line: &&str| line.starts_with("gateway_consumer_group_requests_total{");
        let lines: Vec<_> = page.lines().filter(of_groups).collect();
        assert_eq!(lines.len(), 10 * 65, "64 groups of each route, and the others");
        let count = |line: &&str| line.rsplit(' ').next().and_then(|it| it.parse::<u64>().ok());
        assert_eq!(lines.iter().filter_map(count).sum::<u64>(), 100_000, "none is lost");
        let others = 100_000 - 10 * 64;
        assert!(page.contains(&format!("\ngateway_consumer_groups_overflowed_total {others}\n")));
    }
}
